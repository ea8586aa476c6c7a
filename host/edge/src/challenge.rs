//! Answers ownership checks that `verify` has recognised.

use axum::response::Response;
use http::Method;

use super::advice::challenge_hint;
use super::answer;
use super::edge::Edge;
use super::rejection::{Rejection, Why};
use landfall_hooks::Hook;
use landfall_model::SecretSource;
use landfall_verify::Answer;

/// Answers an ownership check. Before that, stores the secret of a pairing and confirms a
/// subscription.
pub(crate) async fn answer_challenge(
    edge: &Edge,
    hook: &Hook,
    method: &Method,
    answer: Answer,
) -> Result<Response, Rejection> {
    let hook_name = &*hook.spec.name;
    if let Some(refusal) = answer.refused {
        let hint = challenge_hint(hook, method, refusal.reason);
        let why = Why::new(refusal.reason.word(), refusal.detail);
        return Err(Rejection::Challenge(
            answer.status,
            Box::new(Why { hint, ..*why }),
        ));
    }

    if let Some(secret) = &answer.pair {
        store_paired(edge, hook, secret).await?;
    }

    if let Some(url) = &answer.confirm {
        confirm_subscription(edge, hook_name, url).await?;
    }

    let status = answer.status;
    let response = answer::challenge(answer).ok_or(Rejection::BadHead(
        "a value of the ownership check cannot be sent back",
    ))?;
    hook.metrics.count_challenge();
    tracing::info!(hook = hook_name, status, "ownership check answered");
    Ok(response)
}

/// Stores the secret that a provider sends in a pairing. A secret that has a value stays.
async fn store_paired(edge: &Edge, hook: &Hook, secret: &str) -> Result<(), Rejection> {
    let reference = hook.verifier.secrets().first().ok_or_else(|| {
        Rejection::Unavailable(pairing_refused(
            "the hook names no secret in which to store it",
        ))
    })?;

    if edge.secrets.value(reference).is_ok() {
        let why = pairing_refused(format!("there is a secret already ({reference})"));
        return Err(Rejection::Unauthorized(
            hook.verifier.answers().refused_status,
            why.with_hint(
                "close the pairing: remove handshake_open from `[verify] config`; to pair anew, \
                 remove the secret first",
            ),
        ));
    }

    edge.secrets
        .pair(reference, secret)
        .await
        .map_err(|error| Rejection::Unavailable(pairing_refused(error.to_string())))?;
    tracing::info!(hook = &*hook.spec.name, secret = %reference, "paired: the provider's secret is stored; close the pairing now");
    Ok(())
}

fn pairing_refused(what: impl Into<String>) -> Box<Why> {
    Why::new("pairing_refused", what)
}

/// Calls the URL that confirms a subscription.
async fn confirm_subscription(edge: &Edge, hook_name: &str, url: &str) -> Result<(), Rejection> {
    edge.documents.call(url).await.map_err(|why| {
        // The query is a secret: with it, anyone could confirm the subscription.
        let address = url.split('?').next().unwrap_or_default();
        Rejection::Unavailable(Why::new(
            "confirmation_failed",
            format!("the subscription cannot be confirmed at {address}: {why}"),
        ))
    })?;

    tracing::info!(hook = hook_name, "subscription confirmed");
    Ok(())
}
