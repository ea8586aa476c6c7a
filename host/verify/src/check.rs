//! The check itself: ownership checks, authentication, facts.

use bytes::Bytes;

use crate::answer::Answer;
use crate::auth_scheme::AuthScheme;
use crate::carried_secret::CarriedSecret;
use crate::challenge::{self, Challenge};
use crate::facts::{Authenticated, collect_facts};
use crate::keys::{Keys, VerifyContext};
use crate::payload::is_token;
use crate::refusal::{Reason, Refusal};
use crate::request::{SignedBody, Unverified, Verified};
use crate::schemes;
use crate::shared_secret::{basic, token};
use crate::signature::StreamingMac;
use crate::verifier::Verifier;
use crate::view::View;

/// The result of a check that passed.
#[derive(Debug)]
pub enum Verdict {
    /// An authenticated request, which becomes an event.
    Verified(Verified),
    /// An ownership check. The host sends the answer itself.
    Challenge(Answer),
}

/// The result of authenticating a request whose body is still compressed.
#[derive(Debug)]
pub enum SenderCheck {
    /// The sender is authenticated. The body can now be decoded.
    Authenticated(Box<Sender>),
    /// Authentication reads the body, so the body must be decoded first.
    NeedsContent(Box<Unverified>),
}

/// A request whose sender is authenticated and whose body is not decoded yet.
#[derive(Debug)]
pub struct Sender {
    request: Unverified,
    matched: Option<usize>,
    claims: Option<serde_json::Value>,
}

/// Starts the MACs that can be computed while the body arrives.
pub fn streaming_mac(verifier: &Verifier, head: &Unverified, keys: &Keys) -> Option<StreamingMac> {
    match &verifier.auth_scheme {
        AuthScheme::Signature(signature) => {
            signature.streaming_mac(&View::new(head, verifier.public_url.as_ref()), keys)
        }
        _ => None,
    }
}

/// Whether a request has the form of one of the hook's ownership checks, authenticated or not.
pub fn is_challenge(verifier: &Verifier, request: &Unverified) -> bool {
    let view = View::new(request, verifier.public_url.as_ref())
        .with_json_field(verifier.json_form_field.as_deref())
        .with_json_paths(&verifier.json_paths);
    challenge::is_one(&verifier.challenges, &view)
}

/// Checks one request. `mac` is the result of `streaming_mac`, updated with every byte of the body.
pub fn check(
    verifier: &Verifier,
    request: Unverified,
    context: &VerifyContext<'_>,
    mac: Option<StreamingMac>,
) -> Result<Verdict, Refusal> {
    check_or_return(verifier, request, context, mac).map_err(|(refusal, _)| refusal)
}

/// As `check`, but a refusal returns the request too, so that the caller can fetch a key document
/// and try again.
pub fn check_or_return(
    verifier: &Verifier,
    request: Unverified,
    context: &VerifyContext<'_>,
    mac: Option<StreamingMac>,
) -> Result<Verdict, (Refusal, Box<Unverified>)> {
    match decide(verifier, &request, context, mac) {
        Ok(decision) => Ok(verdict(verifier, request, decision)),
        Err(refusal) => Err((refusal, Box::new(request))),
    }
}

/// Authenticates a request whose body is still compressed, so that only bodies of authenticated
/// senders are decompressed. `Sender::check` does the rest. The caller must handle ownership checks
/// that come before authentication first.
pub fn check_sender(
    verifier: &Verifier,
    request: Unverified,
    context: &VerifyContext<'_>,
    mac: Option<StreamingMac>,
) -> Result<SenderCheck, (Refusal, Box<Unverified>)> {
    let view = view(verifier, &request).encoded();
    let matched = authenticate_sender(verifier, &view, context, mac);
    if view.wants_content() {
        return Ok(SenderCheck::NeedsContent(Box::new(request)));
    }

    match matched {
        Ok(matched) => {
            let claims = view.claims().cloned();
            Ok(SenderCheck::Authenticated(Box::new(Sender {
                request,
                matched,
                claims,
            })))
        }
        Err(refusal) => Err((refusal, Box::new(request))),
    }
}

// === impl Sender ===

impl Sender {
    /// The compressed body as sent.
    pub fn body(&self) -> &Bytes {
        &self.request.body
    }

    /// Finishes the check with the decoded body.
    pub fn check(
        self,
        verifier: &Verifier,
        decoded: Bytes,
        context: &VerifyContext<'_>,
    ) -> Verdict {
        let Sender {
            request,
            matched,
            claims,
        } = self;

        let request = request.with_decoded(decoded, SignedBody::Encoded);
        let view = view(verifier, &request);
        if let Some(serde_json::Value::Object(claims)) = claims {
            view.keep_claims(claims);
        }

        let decision = read_content(verifier, &view, context, matched);
        verdict(verifier, request, decision)
    }
}

enum Decision {
    Challenge(Answer),
    Authenticated(Authenticated),
}

fn verdict(verifier: &Verifier, mut request: Unverified, decision: Decision) -> Verdict {
    let Authenticated {
        mut facts,
        delivery_key,
    } = match decision {
        Decision::Challenge(answer) => return Verdict::Challenge(answer),
        Decision::Authenticated(authenticated) => authenticated,
    };

    let mut path_secret = None;
    if let Some(secret) = CarriedSecret::find(&verifier.auth_scheme, &request) {
        secret.hide_in(&mut facts);
        secret.remove(&mut request);
        path_secret = secret.in_path().map(str::to_owned);
    }

    Verdict::Verified(Verified::new(request, path_secret, facts, delivery_key))
}

fn view<'a>(verifier: &'a Verifier, request: &'a Unverified) -> View<'a> {
    View::new(request, verifier.public_url.as_ref())
        .with_json_field(verifier.json_form_field.as_deref())
        .with_json_paths(&verifier.json_paths)
        .strict(verifier.body_note().is_some())
}

fn decide(
    verifier: &Verifier,
    request: &Unverified,
    context: &VerifyContext<'_>,
    mac: Option<StreamingMac>,
) -> Result<Decision, Refusal> {
    let view = view(verifier, request);
    if !matches!(verifier.auth_scheme, AuthScheme::Closed)
        && let Some(answer) = challenge::answer(&verifier.challenges, false, &view, context.keys)
    {
        return Ok(Decision::Challenge(answer));
    }

    let matched = authenticate_sender(verifier, &view, context, mac)?;
    Ok(read_content(verifier, &view, context, matched))
}

/// The index of the secret that authenticates the sender; `None` if the scheme has no secret.
fn authenticate_sender(
    verifier: &Verifier,
    view: &View<'_>,
    context: &VerifyContext<'_>,
    mac: Option<StreamingMac>,
) -> Result<Option<usize>, Refusal> {
    if matches!(verifier.auth_scheme, AuthScheme::Closed) {
        let detail = "no `[verify]`: write how senders authenticate, or `scheme = \"none\"` to \
                      accept every request";
        return Err(Refusal::new(Reason::Closed, detail));
    }

    let request = view.request;
    // The value of an ownership check could also be the constant text before an empty body.
    let is_rest_of_token = request.body.is_empty()
        && matches!(&verifier.auth_scheme, AuthScheme::Signature(signature) if signature.payload.len() > 1);
    let could_be_challenge = is_token(&request.body) || is_rest_of_token;
    if could_be_challenge
        && verifier
            .challenges
            .iter()
            .any(Challenge::signs_for_unauthenticated)
    {
        // Any caller can have such a text signed by sending it in an ownership check.
        return Err(Refusal::new(
            Reason::MalformedBody,
            "the body could be an answer to an ownership check",
        ));
    }

    authenticate(verifier, view, context, mac)
}

/// Tells an event from an ownership check, after authentication.
fn read_content(
    verifier: &Verifier,
    view: &View<'_>,
    context: &VerifyContext<'_>,
    matched: Option<usize>,
) -> Decision {
    if let Some(answer) = challenge::answer(&verifier.challenges, true, view, context.keys) {
        return Decision::Challenge(answer);
    }

    if let AuthScheme::Provider(scheme) = &verifier.auth_scheme
        && let Some(confirm) = schemes::confirmation(scheme, view)
    {
        return Decision::Challenge(confirm);
    }

    Decision::Authenticated(collect_facts(verifier, view, matched))
}

/// The index of the secret that matched; `None` if the scheme has no secret.
fn authenticate(
    verifier: &Verifier,
    view: &View<'_>,
    context: &VerifyContext<'_>,
    mac: Option<StreamingMac>,
) -> Result<Option<usize>, Refusal> {
    let keys = context.keys;
    // Without a usable key the host is not ready, no matter what the request contains.
    if verifier.needs_secret() {
        keys.usable()?;
    }

    match &verifier.auth_scheme {
        AuthScheme::Closed => unreachable!("checked before"),
        AuthScheme::Open => Ok(None),
        AuthScheme::Token { from, prefix } => token(from, prefix, view, keys).map(Some),
        AuthScheme::Basic => basic(view, keys).map(Some),
        AuthScheme::Signature(signature) => {
            signature.check(view, keys, context.documents, context.now, mac)
        }
        AuthScheme::Jwt(jwt) => jwt.check(view, keys, context.documents, context.now),
        AuthScheme::Provider(code) => schemes::check(code, verifier.window, view, context),
    }
}

#[cfg(test)]
#[path = "check_tests/mod.rs"]
mod tests;
