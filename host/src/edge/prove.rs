//! Asks `verify` whether a request may in, with the keys and key documents that it needs, and tells the operator why not.

use axum::response::Response;

use super::Edge;
use super::answer::{self, Stop};
use crate::hooks::Hook;
use crate::model::SecretSource;
use crate::verify::{Answer, Checked, Feed, Given, Keys, Refusal, Unverified, check};

/// The keys of a hook, now.
pub fn keys(edge: &Edge, hook: &Hook) -> Keys {
    let verifier = &hook.verifier;
    let proof = verifier.secrets().iter().map(|reference| (verifier.key_form(), edge.secrets.value(reference)));
    let challenge = verifier.challenge_secrets().iter().map(|reference| edge.secrets.value(reference));
    Keys::new(proof).with_challenge(challenge)
}

/// The verdict. A key document that is not at hand is fetched, once.
pub async fn prove(
    edge: &Edge,
    hook: &Hook,
    request: Unverified,
    keys: &Keys,
    feed: Option<Feed>,
) -> Result<Checked, Stop> {
    let given = Given { keys, documents: &*edge.documents, now: Some(edge.clock.now()) };
    let again = hook.verifier.may_fetch().then(|| request.clone());
    let checked = match (check(&hook.verifier, request, &given, feed), again) {
        (Err(Refusal { fetch: Some(url), .. }), Some(request)) => {
            if let Err(why) = edge.documents.fetch(&url).await {
                tracing::error!(hook = &*hook.spec.name, url, why, "a key document cannot be fetched");
                return Err(Stop::Unavailable);
            }
            check(&hook.verifier, request, &given, None)
        }
        (checked, _) => checked,
    };
    checked.map_err(|refusal| {
        refused(hook, &refusal);
        if refusal.is_ours() { Stop::Unavailable } else { Stop::Unauthorized(hook.verifier.answers()) }
    })
}

/// Answers an ownership check, after what it asks for besides.
pub async fn answered(edge: &Edge, hook: &Hook, answer: Answer) -> Result<Response, Stop> {
    let hook_name = &*hook.spec.name;
    if let Some(secret) = &answer.pair {
        let place = hook.verifier.secrets().first().ok_or(Stop::Unavailable)?;
        if let Err(why) = edge.secrets.pair(place, secret) {
            tracing::error!(hook = hook_name, %why, "pairing refused");
            return Err(Stop::Unavailable);
        }
        tracing::info!(hook = hook_name, secret = %place, "paired: the provider's secret is kept; close the pairing now");
    }
    if let Some(url) = &answer.confirm {
        if let Err(why) = edge.documents.call(url).await {
            tracing::error!(hook = hook_name, why, "the subscription cannot be confirmed");
            return Err(Stop::Unavailable);
        }
        tracing::info!(hook = hook_name, "subscription confirmed");
    }
    tracing::info!(hook = hook_name, status = answer.status, "ownership check answered");
    answer::challenge(answer).ok_or(Stop::BadHead("a value of the ownership check cannot be sent back"))
}

fn refused(hook: &Hook, refusal: &Refusal) {
    let (hook, reason, detail) = (&*hook.spec.name, refusal.reason.word(), refusal.to_string());
    match refusal.is_ours() {
        true => tracing::error!(hook, reason, detail, "request refused: the hook is closed"),
        false => tracing::warn!(hook, reason, detail, "request refused"),
    }
}
