//! Authenticates a request with `verify`, and provides the keys and key documents for that.

use std::net::IpAddr;

use axum::response::Response;
use bytes::Bytes;
use http::Method;

use super::answer;
use super::bodies::BodyReservation;
use super::caller::Caller;
use super::decode::Encoding;
use super::edge::Edge;
use super::rejection::{Rejection, Why};
use landfall_hooks::Hook;
use landfall_model::{Secret, SecretRef, SecretSource};
use landfall_secrets::{KeyDocumentError, KeyRequest, TokenRequest};
use landfall_verify::{
    Answer, KeyGrant, Keys, Reason, Refusal, SenderCheck, SignedBody, StreamingMac, Unverified,
    Verdict, Verifier, VerifyContext, check_or_return, check_sender, hint,
};

/// What a request authenticates for: a hook, or the path of the queue.
#[derive(Clone, Copy)]
pub(crate) struct AuthTarget<'a> {
    /// The name in records and counters.
    pub(crate) name: &'a str,
    /// The rules.
    pub(crate) verifier: &'a Verifier,
    /// The client.
    pub(crate) client: Option<IpAddr>,
}

// === impl AuthTarget ===

impl<'a> AuthTarget<'a> {
    pub(crate) fn of(hook: &'a Hook, client: Option<IpAddr>) -> AuthTarget<'a> {
        AuthTarget {
            name: &hook.spec.name,
            verifier: &hook.verifier,
            client,
        }
    }
}

/// Checks `from_addresses`.
pub(crate) fn check_address(hook: &Hook, caller: &Caller) -> Result<(), Rejection> {
    let known = caller.address.filter(|_| caller.is_known);
    if hook.verifier.takes_address(known) {
        return Ok(());
    }
    let address = known.map_or_else(|| "unknown".to_owned(), |address| address.to_string());
    let why = Why::new(
        Reason::AddressNotAllowed.word(),
        format!("the client address {address} is in no range of `from_addresses`"),
    );
    let why = match caller.proxy {
        Some(proxy) => why.with_hint(format!(
            "the request was forwarded by {proxy}: if that is your proxy, list it in trusted_proxies in landfall.toml"
        )),
        None => why.with_hint(format!(
            "add the range to `from_addresses` in {}.toml, if it is the provider's",
            hook.spec.name
        )),
    };
    Err(Rejection::Unauthorized(
        hook.verifier.answers().refused_status,
        why,
    ))
}

/// The current keys.
pub(crate) fn keys(edge: &Edge, auth: AuthTarget<'_>) -> Keys {
    let verifier = auth.verifier;
    let proof = verifier
        .secrets()
        .iter()
        .map(|reference| (verifier.key_form(), edge.secrets.value(reference)));
    let challenge = verifier
        .challenge_secrets()
        .iter()
        .map(|reference| edge.secrets.value(reference));
    Keys::new(proof).with_challenge(challenge)
}

/// Verifies a request. A missing key document is fetched once.
pub(crate) async fn authenticate(
    edge: &Edge,
    auth: AuthTarget<'_>,
    request: Unverified,
    keys: &Keys,
    mac: Option<StreamingMac>,
) -> Result<Verdict, Rejection> {
    judge(edge, auth, request, keys, mac, check_or_return).await
}

/// Verifies a request whose body is encoded. The body is decoded after the sender is authenticated, unless the proof is in the decoded
/// body. The decoded bytes are reserved in `reservation`.
pub(crate) async fn authenticate_encoded(
    edge: &Edge,
    auth: AuthTarget<'_>,
    hook: &Hook,
    mut request: Unverified,
    (encoding, reservation): (Encoding, BodyReservation),
    keys: &Keys,
    mac: Option<StreamingMac>,
) -> Result<(Verdict, BodyReservation), Rejection> {
    let (max, signed) = (hook.sizes.max_body, hook.verifier.signs_body());
    if signed == SignedBody::Encoded {
        if let Some(decoded) =
            decoded_challenge(edge, hook, &request, encoding, &reservation).await?
        {
            let checked =
                authenticate(edge, auth, request.with_decoded(decoded, signed), keys, mac).await?;
            return Ok((checked, reservation));
        }
        match judge(edge, auth, request, keys, mac, check_sender).await? {
            SenderCheck::Authenticated(sender) => {
                let (decoded, reservation) = edge
                    .decoders
                    .decode(encoding, sender.body(), max, reservation)
                    .await?;
                return Ok((
                    sender.check(&hook.verifier, decoded, &context(edge, keys)),
                    reservation,
                ));
            }
            SenderCheck::NeedsContent(returned) => request = *returned,
        }
    }

    let (decoded, reservation) = edge
        .decoders
        .decode(encoding, &request.body, max, reservation)
        .await?;
    let checked = authenticate(
        edge,
        auth,
        request.with_decoded(decoded, signed),
        keys,
        None,
    )
    .await?;
    Ok((checked, reservation))
}

/// The decoded body, if it is so small that the request may be an ownership check that precedes authentication.
async fn decoded_challenge(
    edge: &Edge,
    hook: &Hook,
    request: &Unverified,
    encoding: Encoding,
    reservation: &BodyReservation,
) -> Result<Option<Bytes>, Rejection> {
    let Some(max) = hook.verifier.unauthenticated_decoded_max(request) else {
        return Ok(None);
    };
    match edge
        .decoders
        .decode(encoding, &request.body, max, reservation.sibling())
        .await
    {
        Ok((decoded, _)) => Ok(Some(decoded)),
        Err(Rejection::TooLarge) => Ok(None),
        Err(rejection) => Err(rejection),
    }
}

fn context<'a>(edge: &'a Edge, keys: &'a Keys) -> VerifyContext<'a> {
    VerifyContext {
        keys,
        documents: &*edge.documents,
        now: Some(edge.clock.now()),
    }
}

/// A function that verifies a request. It returns a refused request.
type Judge<T> = fn(
    &Verifier,
    Unverified,
    &VerifyContext<'_>,
    Option<StreamingMac>,
) -> Result<T, (Refusal, Box<Unverified>)>;

async fn judge<T>(
    edge: &Edge,
    auth: AuthTarget<'_>,
    request: Unverified,
    keys: &Keys,
    mac: Option<StreamingMac>,
    judge: Judge<T>,
) -> Result<T, Rejection> {
    let context = context(edge, keys);
    let checked = match judge(auth.verifier, request, &context, mac) {
        Err((refusal @ Refusal { fetch: Some(_), .. }, request)) => {
            let url = refusal.fetch.clone().unwrap_or_default();
            if let Err(why) = fetch(edge, auth, &url).await {
                let detail = format!("{}: {why}", refusal.detail);
                return Err(Rejection::Unavailable(Why::new(
                    refusal.reason.word(),
                    detail,
                )));
            }
            judge(auth.verifier, *request, &context, None)
        }
        checked => checked,
    };
    checked.map_err(|(refusal, request)| {
        let why = Why::new(refusal.reason.word(), refusal.to_string());
        let why = Box::new(Why {
            hint: hint_for(edge, auth, &request, &refusal),
            ..*why
        });
        let status = auth.verifier.answers().refused_status;
        if refusal.is_ours() {
            Rejection::Unavailable(why)
        } else {
            Rejection::Unauthorized(status, why)
        }
    })
}

/// Fetches a key document.
async fn fetch(edge: &Edge, auth: AuthTarget<'_>, document: &str) -> Result<(), String> {
    let request = key_request(edge, auth, document)?;
    edge.documents
        .fetch(document, request, auth.client)
        .await
        .map_err(|error| error.to_string())
}

fn key_request(
    edge: &Edge,
    auth: AuthTarget<'_>,
    document: &str,
) -> Result<KeyRequest, &'static str> {
    if let Some(lookup) = auth.verifier.lookup() {
        let secret = secret_for_keys(edge, auth)?;
        let body = lookup
            .ask(document, &secret)
            .ok_or("the document is of another look-up")?;
        return Ok(KeyRequest::Posted(body.into()));
    }
    if let Some(KeyGrant { token_url, scope }) = auth.verifier.key_grant() {
        return Ok(KeyRequest::Granted(TokenRequest {
            token_url,
            client: secret_for_keys(edge, auth)?,
            scope,
        }));
    }
    if auth.verifier.names_its_keys() {
        Ok(KeyRequest::Configured)
    } else {
        Ok(KeyRequest::Named)
    }
}

/// The first secret of the hook that has a value.
fn secret_for_keys(edge: &Edge, auth: AuthTarget<'_>) -> Result<Secret, &'static str> {
    auth.verifier
        .secrets()
        .iter()
        .find_map(|reference| edge.secrets.value(reference).ok())
        .ok_or("the secret for requesting a key has no value")
}

/// Answers an ownership check. Before that, stores the secret of a pairing and confirms a subscription.
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
        let refused = |what: String| Why::new("pairing_refused", what);
        let place = hook.verifier.secrets().first();
        let place = place.ok_or_else(|| {
            Rejection::Unavailable(refused("the hook names no secret to keep".into()))
        })?;
        if edge.secrets.value(place).is_ok() {
            let hint = "close the pairing: remove handshake_open from `[verify] config`; to pair anew, remove the secret first";
            let why = refused(format!("there is a secret already ({place})"));
            let why = Box::new(Why {
                hint: Some(hint.into()),
                ..*why
            });
            return Err(Rejection::Unauthorized(
                hook.verifier.answers().refused_status,
                why,
            ));
        }
        edge.secrets
            .pair(place, secret)
            .await
            .map_err(|error| Rejection::Unavailable(refused(error.to_string())))?;
        tracing::info!(hook = hook_name, secret = %place, "paired: the provider's secret is kept; close the pairing now");
    }
    if let Some(url) = &answer.confirm {
        // The query is a secret: with it, anyone could confirm the subscription.
        let address = url.split('?').next().unwrap_or_default();
        let failed = |why: KeyDocumentError| {
            Why::new(
                "confirmation_failed",
                format!("the subscription cannot be confirmed at {address}: {why}"),
            )
        };
        edge.documents
            .call(url)
            .await
            .map_err(|why| Rejection::Unavailable(failed(why)))?;
        tracing::info!(hook = hook_name, "subscription confirmed");
    }
    let status = answer.status;
    let response = answer::challenge(answer).ok_or(Rejection::BadHead(
        "a value of the ownership check cannot be sent back",
    ))?;
    edge.counters.challenge(hook_name);
    tracing::info!(hook = hook_name, status, "ownership check answered");
    Ok(response)
}

/// What the operator can do about a request that is not authenticated.
fn hint_for(
    edge: &Edge,
    auth: AuthTarget<'_>,
    request: &Unverified,
    refusal: &Refusal,
) -> Option<String> {
    let verifier = auth.verifier;
    let of_request = || {
        let secrets = verifier
            .secrets()
            .iter()
            .filter_map(|reference| edge.secrets.value(reference).ok());
        hint(verifier, request, &secrets.collect::<Vec<_>>(), refusal)
    };
    let computed = edge
        .hints
        .take(auth.name, request.body.len())
        .then(of_request)
        .flatten();
    computed.or_else(|| usual_hint(auth, refusal.reason))
}

fn usual_hint(auth: AuthTarget<'_>, reason: Reason) -> Option<String> {
    let name = auth.name;
    let secrets = listed(auth.verifier.secrets());
    Some(match reason {
        Reason::Closed => format!(
            "write `[verify]` in {name}.toml: provider = \"NAME\" (`landfall providers` lists them) and \
             secret = \"env:{}_SECRET\", or scheme = \"none\" to accept every caller",
            name.to_ascii_uppercase().replace('-', "_")
        ),
        Reason::NoSecret if secrets.is_empty() => format!("write `secret` in `[verify]` of {name}.toml"),
        Reason::NoSecret => format!("give {secrets} a value, or name another `secret` in {name}.toml"),
        Reason::SignatureMismatch => format!(
            "compare the secret at the provider with {secrets}; if they are equal, a proxy may have changed the body or the URL"
        ),
        Reason::MalformedSignature => format!(
            "the signature is not written as [verify] of {name}.toml says: compare `encoding`, `prefix` and `list` with what the \
             provider documents"
        ),
        Reason::MalformedTimestamp => format!(
            "the time is not written as [verify] of {name}.toml says: compare timestamp = {{ unit = … }} with what the provider \
             documents"
        ),
        Reason::TokenMismatch => format!("compare the token or password at the provider with {secrets}"),
        Reason::MissingSignature | Reason::MissingToken => format!(
            "set the secret of this webhook at the provider; a request from elsewhere, such as a browser or a scanner, has none \
             (hook {name})"
        ),
        Reason::TimestampTooOld | Reason::TimestampInFuture => {
            "compare the clock of this machine with the real time; a retry with its first timestamp is refused too"
                .into()
        }
        Reason::AudienceMismatch => {
            format!("`aud` is what the provider was told: compare it with `[verify]` of {name}.toml")
        }
        Reason::TopicNotAllowed => format!("list it in `config` in `[verify]` of {name}.toml, if you want its events"),
        _ => return None,
    })
}

/// What the operator can do about a failed ownership check.
fn challenge_hint(hook: &Hook, method: &Method, reason: Reason) -> Option<String> {
    let (name, own) = (&hook.spec.name, hook.verifier.challenge_secrets());
    let secrets = listed(if own.is_empty() {
        hook.verifier.secrets()
    } else {
        own
    });
    match reason {
        Reason::TopicNotAllowed => Some(format!(
            "list it in `config` in `[verify]` of {name}.toml, if you want its events"
        )),
        Reason::NoSecret => Some(format!("give {secrets} a value")),
        Reason::VerifyTokenMismatch => Some(format!(
            "the verify token that you typed at the provider must equal the value of {secrets}"
        )),
        _ => Some(format!(
            "an ownership check of {name} is a {method} with {}; a request that lacks it may come from elsewhere, such as a \
             browser",
            hook.verifier.challenge_needs(method).join(", or with ")
        )),
    }
}

fn listed(secrets: &[SecretRef]) -> String {
    secrets
        .iter()
        .map(|reference| format!("`{reference}`"))
        .collect::<Vec<_>>()
        .join(" or ")
}
