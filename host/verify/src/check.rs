//! The check itself: ownership checks, authentication, facts.

use bytes::Bytes;

use crate::answer::Answer;
use crate::auth_scheme::AuthScheme;
use crate::challenge::{self, Challenge};
use crate::facts::{Authenticated, authenticated};
use crate::keys::{Keys, VerifyContext};
use crate::payload::is_token;
use crate::refusal::{Reason, Refusal};
use crate::request::{SignedBody, Unverified, Verified};
use crate::schemes;
use crate::shared_secret::{basic, token};
use crate::signature::StreamingMac;
use crate::verifier::Verifier;
use crate::view::View;
use landfall_model::ValueLocation;

/// What a request turned out to be.
#[derive(Debug)]
pub enum Verdict {
    /// An event to be.
    Verified(Verified),
    /// An ownership check, answered without running the component.
    Challenge(Answer),
}

/// What is known of a request whose body is still encoded.
#[derive(Debug)]
pub enum SenderCheck {
    /// The sender has matched itself.
    Authenticated(Box<Sender>),
    /// The proof lies in what the body says.
    NeedsContent(Box<Unverified>),
}

/// A request whose sender has matched itself, and whose body has not been decoded yet.
#[derive(Debug)]
pub struct Sender {
    request: Unverified,
    matched: Option<usize>,
    claims: Option<serde_json::Value>,
}

/// Starts what can be computed while the body comes.
pub fn streaming_mac(verifier: &Verifier, head: &Unverified, keys: &Keys) -> Option<StreamingMac> {
    match &verifier.auth_scheme {
        AuthScheme::Signature(signature) => {
            signature.streaming_mac(&View::new(head, verifier.public_url.as_ref()), keys)
        }
        _ => None,
    }
}

/// Whether a request is an ownership check of this hook, whatever it proves.
pub fn is_challenge(verifier: &Verifier, request: &Unverified) -> bool {
    let view = View::new(request, verifier.public_url.as_ref())
        .with_json_field(verifier.json_form_field.as_deref());
    challenge::is_one(&verifier.challenges, &view)
}

/// Judges one request. `feed` is what `feed` started, fed with every byte of the body.
pub fn check(
    verifier: &Verifier,
    request: Unverified,
    context: &VerifyContext<'_>,
    mac: Option<StreamingMac>,
) -> Result<Verdict, Refusal> {
    check_or_return(verifier, request, context, mac).map_err(|(refusal, _)| refusal)
}

/// The same; who is refused gets the request back, to look at it again.
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

/// Judges a request whose body is still encoded, so that only the body of a known sender is decoded. `Sender::check` does the rest. The
/// caller has looked for ownership checks that come before the proof.
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
    /// The body as sent.
    pub fn body(&self) -> &Bytes {
        &self.request.body
    }

    /// What the request is, now that its body is decoded.
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

fn verdict(verifier: &Verifier, request: Unverified, decision: Decision) -> Verdict {
    match decision {
        Decision::Challenge(answer) => Verdict::Challenge(answer),
        Decision::Authenticated(Authenticated {
            facts,
            delivery_key,
        }) => {
            let carrier = secret_carrier(&verifier.auth_scheme);
            Verdict::Verified(Verified::new(
                request,
                carrier.as_ref(),
                facts,
                delivery_key,
            ))
        }
    }
}

fn view<'a>(verifier: &'a Verifier, request: &'a Unverified) -> View<'a> {
    View::new(request, verifier.public_url.as_ref())
        .with_json_field(verifier.json_form_field.as_deref())
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

/// Which secret proves the sender; none where none is needed.
fn authenticate_sender(
    verifier: &Verifier,
    view: &View<'_>,
    context: &VerifyContext<'_>,
    mac: Option<StreamingMac>,
) -> Result<Option<usize>, Refusal> {
    if matches!(verifier.auth_scheme, AuthScheme::Closed) {
        let detail = "no `[verify]`: write how senders prove themselves, or `scheme = \"none\"` to let everybody in";
        return Err(Refusal::new(Reason::Closed, detail));
    }

    let request = view.request;
    // A challenge could be the constant text before the body, and nothing else.
    let is_rest_of_token = request.body.is_empty()
        && matches!(&verifier.auth_scheme, AuthScheme::Signature(signature) if signature.payload.len() > 1);
    let could_be_challenge = is_token(&request.body) || is_rest_of_token;
    if could_be_challenge && verifier.challenges.iter().any(Challenge::signs_for_anybody) {
        // Anybody can have such a text signed by asking for it as a challenge.
        return Err(Refusal::new(
            Reason::MalformedBody,
            "the body could be an answer to an ownership check",
        ));
    }

    authenticate(verifier, view, context, mac)
}

/// What a request is whose sender has matched itself.
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

    Decision::Authenticated(authenticated(verifier, view, matched))
}

/// Which secret matched, by its place in the list; none where none is needed.
fn authenticate(
    verifier: &Verifier,
    view: &View<'_>,
    context: &VerifyContext<'_>,
    mac: Option<StreamingMac>,
) -> Result<Option<usize>, Refusal> {
    let keys = context.keys;
    // Whatever is wrong with the request: with nothing to compare with, it is our side that is not ready.
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

/// Where the request carries a secret that no component may see.
fn secret_carrier(scheme: &AuthScheme) -> Option<ValueLocation> {
    match scheme {
        AuthScheme::Token { from, .. } => Some(from.clone()),
        AuthScheme::Jwt(jwt) => Some(jwt.from.clone()),
        AuthScheme::Basic => Some(ValueLocation::Header("Authorization".into())),
        AuthScheme::Closed
        | AuthScheme::Open
        | AuthScheme::Signature(_)
        | AuthScheme::Provider(_) => None,
    }
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
