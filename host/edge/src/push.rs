//! Where a broker calls: its token is judged as that of any sender, and the answer tells it what became of what it brought.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use anyhow::Context;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use http::request::Parts;
use http::{HeaderMap, Method, StatusCode};

use super::answer::{self, Stop};
use super::prove::{self, Door};
use super::refuse::{self, Caller, Why};
use super::{Edge, head, receive};
use landfall_model::{ClaimValue, JwtSpec, PushSpec, VerifySpec};
use landfall_verify::{Packs, Verdict, Verifier};

/// A parcel in base64, in JSON.
const BODY_MAX: usize = 12 << 20;
/// Of records and counters; no hook has such a name.
const NAME: &str = "_queue";

/// How its calls are checked: the token of a push subscription and that of a task are made the same way.
///
/// Source: cloud.google.com/pubsub/docs/authenticate-push-subscriptions, cloud.google.com/tasks/docs/creating-http-target-tasks.
pub fn verifier(spec: &PushSpec) -> anyhow::Result<Verifier> {
    let one = |text: &str| ClaimValue::One(text.to_owned());
    let issuers = ["https://accounts.google.com", "accounts.google.com"]
        .map(str::to_owned)
        .to_vec();
    let claims = BTreeMap::from([
        ("iss".to_owned(), ClaimValue::Any(issuers)),
        ("aud".to_owned(), one(&spec.to)),
        ("email".to_owned(), one(&spec.account)),
        ("email_verified".to_owned(), ClaimValue::Truth(true)),
    ]);
    let (algorithms, jwks) = (Some(vec!["RS256".to_owned()]), Some(spec.keys.clone()));
    let jwt = Some(JwtSpec {
        algorithms,
        jwks,
        claims,
        ..JwtSpec::default()
    });
    let typed = VerifySpec {
        provider: Some("google-pubsub".into()),
        jwt,
        ..VerifySpec::default()
    };
    Verifier::build(&typed, &Packs::default())
        .map_err(|error| anyhow::anyhow!("{}", error.message))
        .context("queue.push_keys")
}

/// Handles every call of the broker.
pub async fn push(State(edge): State<Arc<Edge>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let caller = Caller::of(&edge, &head, &body).named(NAME);
    match taken(&edge, head, body, caller.address).await {
        Ok(response) => response,
        Err(stop) => refuse::refuse(&edge, stop, &caller, None),
    }
}

async fn taken(
    edge: &Edge,
    head: Parts,
    mut body: Body,
    client: Option<IpAddr>,
) -> Result<Response, Stop> {
    head::check(&head)?;
    if head.method != Method::POST {
        return Err(Stop::Method(http::HeaderValue::from_static("POST")));
    }
    let door = Door {
        name: NAME,
        verifier: edge.push.as_ref().ok_or(Stop::UnknownPath)?,
        client,
    };
    let brought = brought(&head);
    let keys = prove::keys(edge, door);
    // The token says nothing of the body: who has none is not listened to.
    let request = receive::unverified(head);
    let Verdict::Verified(_) = prove::prove(edge, door, request, &keys, None).await? else {
        return Err(Stop::Unavailable(Why::new(
            "unavailable",
            "an ownership check on the path of the queue",
        )));
    };
    let (body, _, _held) = receive::read(edge, BODY_MAX, &mut body, None).await?;
    Ok(answer::empty(
        match edge.delivery.pushed(&body, brought).await {
            true => StatusCode::NO_CONTENT,
            // It comes again. Cloud Tasks counts this apart from calls that nobody answered.
            false => StatusCode::TOO_MANY_REQUESTS,
        },
    ))
}

/// How often it was brought and nobody answered: of the tries, those that got an answer are not counted.
///
/// Source: cloud.google.com/tasks/docs/creating-http-target-tasks#handler.
fn brought(head: &Parts) -> u32 {
    let number = |name: &str| count(&head.headers, name).unwrap_or(0);
    let (tries, answered) = (
        number("x-cloudtasks-taskretrycount"),
        number("x-cloudtasks-taskexecutioncount"),
    );
    tries.saturating_sub(answered).saturating_add(1)
}

fn count(headers: &HeaderMap, name: &str) -> Option<u32> {
    headers.get(name)?.to_str().ok()?.parse().ok()
}
