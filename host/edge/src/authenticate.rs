//! Authenticates a request with `verify`, and provides the keys and key documents for that.

use std::sync::Arc;

use bytes::Bytes;
use thiserror::Error;

use super::advice::hint_for;
use super::bodies::BodyReservation;
use super::caller::Caller;
use super::decode::Encoding;
use super::edge::Edge;
use super::excerpt;
use super::rejection::{Rejection, Why};
use super::target::AuthTarget;
use landfall_hooks::Hook;
use landfall_model::{Secret, SecretSource};
use landfall_secrets::{KeyDocumentError, KeyRequest, TokenRequest};
use landfall_verify::{
    KeyGrant, Keys, Reason, Refusal, SenderCheck, SignedBody, StreamingMac, Unverified, Verdict,
    Verifier, VerifyContext, check_or_return, check_sender,
};

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
            "the request was forwarded by {proxy}: if that is your proxy, list it in \
             trusted_proxies in landfall.toml"
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

/// The current keys: those of the last request, unless a secret may have changed since then.
pub(crate) fn keys(edge: &Edge, auth: AuthTarget<'_>) -> Arc<Keys> {
    let generation = edge.secrets.generation();
    if let Some(keys) = auth.keys.get(generation) {
        return keys;
    }

    let verifier = auth.verifier;
    let keys = Arc::new(decoded_keys(edge, verifier));
    if edge.secrets.tracks(verifier.secrets()) && edge.secrets.tracks(verifier.challenge_secrets())
    {
        auth.keys.set(generation, keys.clone());
    }
    keys
}

fn decoded_keys(edge: &Edge, verifier: &Verifier) -> Keys {
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

/// Verifies a request whose body is encoded. The body is decoded after the sender is authenticated,
/// unless the proof is in the decoded body. The decoded bytes are reserved in `reservation`.
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

/// The decoded body, if it is so small that the request may be an ownership check that precedes
/// authentication.
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
            if let Err(why) = Box::pin(fetch(edge, auth, &url)).await {
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
            request: Some(excerpt::of_request(edge, auth, &request)),
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

/// Why a key document cannot be fetched.
#[derive(Debug, Error)]
enum FetchError {
    #[error("the document is of another look-up")]
    OtherLookup,
    #[error("the secret for requesting a key has no value")]
    NoSecret,
    #[error(transparent)]
    Document(#[from] KeyDocumentError),
}

/// Fetches a key document.
async fn fetch(edge: &Edge, auth: AuthTarget<'_>, document: &str) -> Result<(), FetchError> {
    let request = key_request(edge, auth, document)?;
    edge.documents.fetch(document, request, auth.client).await?;

    Ok(())
}

fn key_request(
    edge: &Edge,
    auth: AuthTarget<'_>,
    document: &str,
) -> Result<KeyRequest, FetchError> {
    if let Some(lookup) = auth.verifier.lookup() {
        let secret = secret_for_keys(edge, auth)?;
        let body = lookup
            .ask(document, &secret)
            .ok_or(FetchError::OtherLookup)?;
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
fn secret_for_keys(edge: &Edge, auth: AuthTarget<'_>) -> Result<Secret, FetchError> {
    auth.verifier
        .secrets()
        .iter()
        .find_map(|reference| edge.secrets.value(reference).ok())
        .ok_or(FetchError::NoSecret)
}
