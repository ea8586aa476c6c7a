//! Asks `verify` whether a request may in, with the keys and key documents that it needs, and tells the operator why not.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use axum::response::Response;

use super::Edge;
use super::answer::{self, Stop};
use crate::hooks::Hook;
use crate::model::{RefusedRequest, SecretSource};
use crate::secrets::{Ask, TokenRequest};
use crate::verify::{
    Answer, Checked, Feed, Given, KeyGrant, Keys, Refusal, Unverified, Verifier, check_or_return, hint,
};

const HINT_EVERY: Duration = Duration::from_secs(1);

/// What a request wants to pass.
#[derive(Clone, Copy)]
pub struct Door<'a> {
    /// Of the hook, in records and counters.
    pub name: &'a str,
    /// How it is checked.
    pub verifier: &'a Verifier,
}

// === impl Door ===

impl<'a> Door<'a> {
    /// That of a hook.
    pub fn of(hook: &'a Hook) -> Door<'a> {
        Door { name: &hook.spec.name, verifier: &hook.verifier }
    }
}

/// Its keys, now.
pub fn keys(edge: &Edge, door: Door<'_>) -> Keys {
    let verifier = door.verifier;
    let proof = verifier.secrets().iter().map(|reference| (verifier.key_form(), edge.secrets.value(reference)));
    let challenge = verifier.challenge_secrets().iter().map(|reference| edge.secrets.value(reference));
    Keys::new(proof).with_challenge(challenge)
}

/// The verdict. A key document that is not at hand is fetched, once.
pub async fn prove(
    edge: &Edge,
    door: Door<'_>,
    request: Unverified,
    keys: &Keys,
    feed: Option<Feed>,
    client_address: Option<&str>,
) -> Result<Checked, Stop> {
    let given = Given { keys, documents: &*edge.documents, now: Some(edge.clock.now()) };
    let checked = match check_or_return(door.verifier, request, &given, feed) {
        Err((refusal @ Refusal { fetch: Some(_), .. }, request)) => {
            let url = refusal.fetch.clone().unwrap_or_default();
            if let Err(why) = fetch(edge, door, &url).await {
                tracing::error!(hook = door.name, url, why, "a key document cannot be fetched");
                let refusal = Refusal { detail: format!("{}: {why}", refusal.detail), ..refusal };
                refused(edge, door, &request, &refusal, client_address);
                return Err(Stop::Unavailable);
            }
            check_or_return(door.verifier, *request, &given, None)
        }
        checked => checked,
    };
    checked.map_err(|(refusal, request)| {
        refused(edge, door, &request, &refusal, client_address);
        if refusal.is_ours() { Stop::Unavailable } else { Stop::Unauthorized(door.verifier.answers().refused_status) }
    })
}

async fn fetch(edge: &Edge, door: Door<'_>, document: &str) -> Result<(), String> {
    let secret = || door.verifier.secrets().iter().find_map(|reference| edge.secrets.value(reference).ok());
    let no_secret = "the secret that the question for a key carries has no value";
    let ask = match (door.verifier.lookup(), door.verifier.key_grant()) {
        (Some(lookup), _) => {
            let secret = secret().ok_or(no_secret)?;
            let body = lookup.ask(document, &secret).ok_or("the document is of another look-up")?;
            Ask::Posted(body.into())
        }
        (None, Some(KeyGrant { token_url, scope })) => {
            let client = secret().ok_or(no_secret)?;
            Ask::Granted(TokenRequest { token_url, client, scope })
        }
        (None, None) if door.verifier.names_its_keys() => Ask::Configured,
        (None, None) => Ask::Named,
    };
    edge.documents.fetch(document, ask).await
}

/// Answers an ownership check, after what it asks for besides.
pub async fn answered(edge: &Edge, hook: &Hook, answer: Answer) -> Result<Response, Stop> {
    let hook_name = &*hook.spec.name;
    if let Some(secret) = &answer.pair {
        let place = hook.verifier.secrets().first().ok_or(Stop::Unavailable)?;
        if edge.secrets.value(place).is_ok() {
            tracing::warn!(hook = hook_name, "pairing refused: there is a secret already; close the pairing");
            return Err(Stop::Unauthorized(hook.verifier.answers().refused_status));
        }
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
    edge.counters.challenge(hook_name);
    tracing::info!(hook = hook_name, status = answer.status, "ownership check answered");
    answer::challenge(answer).ok_or(Stop::BadHead("a value of the ownership check cannot be sent back"))
}

fn refused(edge: &Edge, door: Door<'_>, request: &Unverified, refusal: &Refusal, client_address: Option<&str>) {
    edge.counters.refused(door.name, refusal.reason.word());
    let hint = edge.hints.take().then(|| {
        let secrets = door.verifier.secrets().iter().filter_map(|reference| edge.secrets.value(reference).ok());
        hint(door.verifier, request, &secrets.collect::<Vec<_>>(), refusal)
    });
    let hint = hint.flatten();
    let (hook, reason, detail) = (door.name, refusal.reason.word(), refusal.to_string());
    let because = hint.as_deref();
    match refusal.is_ours() {
        true => tracing::error!(hook, reason, detail, "request refused: the hook is closed"),
        false => tracing::warn!(hook, reason, detail, hint = because, "request refused"),
    }
    let at = humantime::format_rfc3339_millis(edge.clock.now()).to_string();
    let client_address = client_address.map(str::to_owned);
    edge.refusals.push(RefusedRequest { at, hook: hook.into(), reason, detail, hint, client_address });
}

/// One hint a second: whoever sends forged requests must not make us work.
#[derive(Debug, Default)]
pub struct HintTurns {
    last: Mutex<Option<Instant>>,
}

// === impl HintTurns ===

impl HintTurns {
    fn take(&self) -> bool {
        let mut last = self.last.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let is_free = last.is_none_or(|last| last.elapsed() >= HINT_EVERY);
        if is_free {
            *last = Some(Instant::now());
        }
        is_free
    }
}
