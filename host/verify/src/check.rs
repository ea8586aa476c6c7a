//! The check itself: challenge, proof, facts.

use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::algorithm::same_text;
use super::challenge::{self, Answer};
use super::key::{self, KeyBytes};
use super::pack::SignedBody;
use super::refusal::{Reason, Refusal};
use super::request::{Unverified, Verified};
use super::schemes;
use super::signature::StreamingMac;
use super::verifier::{AuthScheme, Verifier};
use super::view::{Absent, View, describe};
use landfall_model::{
    DeliveryId, Documents, Event, IdMatch, KeyForm, Secret, SecretError, ValueLocation,
};

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

/// What a check needs besides the request.
pub struct VerifyContext<'a> {
    /// For the verifier's secrets, in their order.
    pub keys: &'a Keys,
    /// Fetched before.
    pub documents: &'a dyn Documents,
    /// None = no window is decision: only for request vectors that have no time.
    pub now: Option<SystemTime>,
}

/// The keys of one hook. One that has no value now does not count, and with none left the hook is closed.
#[derive(Default)]
pub struct Keys {
    delivery: Vec<Result<KeyBytes, SecretError>>,
    /// Only for ownership checks; none = those of the proof.
    challenge: Vec<Result<KeyBytes, SecretError>>,
}

/// No documents.
pub struct NoKeyDocuments;

impl Documents for NoKeyDocuments {
    fn get(&self, _: &str) -> Option<Bytes> {
        None
    }
}

// === impl Keys ===

impl Keys {
    /// Decodes each secret in its form.
    pub fn new(secrets: impl IntoIterator<Item = (KeyForm, Result<Secret, SecretError>)>) -> Keys {
        let decode = |(form, secret): (KeyForm, Result<Secret, SecretError>)| {
            key::decode(form, &secret?).map_err(SecretError::NoKey)
        };

        Keys {
            delivery: secrets.into_iter().map(decode).collect(),
            challenge: Vec::new(),
        }
    }

    /// With secrets of their own for ownership checks.
    pub fn with_challenge(
        self,
        secrets: impl IntoIterator<Item = Result<Secret, SecretError>>,
    ) -> Keys {
        let secrets = secrets.into_iter().map(|secret| (KeyForm::Utf8, secret));
        Keys {
            challenge: Keys::new(secrets).delivery,
            ..self
        }
    }

    /// Whether a key for ownership checks matches. With none at hand nothing does.
    pub fn find_challenge(&self, matches: impl Fn(&[u8]) -> bool) -> bool {
        let keys = if self.challenge.is_empty() {
            &self.delivery
        } else {
            &self.challenge
        };

        keys.iter()
            .flatten()
            .any(|key| !key.is_empty() && matches(key))
    }

    /// The first key for ownership checks that has a value.
    pub fn challenge_key(&self) -> Option<&[u8]> {
        let keys = if self.challenge.is_empty() {
            &self.delivery
        } else {
            &self.challenge
        };

        keys.iter()
            .flatten()
            .map(|key| &key[..])
            .find(|key| !key.is_empty())
    }

    /// The first key for which `matches` holds. An empty key never matches.
    pub fn find(
        &self,
        mut matches: impl FnMut(usize, &[u8]) -> Result<bool, Refusal>,
    ) -> Result<Option<usize>, Refusal> {
        self.usable()?;
        for (place, key) in self.iter().enumerate() {
            let Some(key) = key.filter(|key| !key.is_empty()) else {
                continue;
            };

            if matches(place, key)? {
                return Ok(Some(place));
            }
        }

        Ok(None)
    }

    /// The same keys, each with one bit flipped.
    #[cfg(test)]
    pub fn flipped(&self) -> Keys {
        let flip = |key: &Result<KeyBytes, SecretError>| {
            key.clone().map(|mut key| {
                let middle = key.len() / 2;
                key[middle] ^= 1;
                key
            })
        };

        Keys {
            delivery: self.delivery.iter().map(flip).collect(),
            challenge: self.challenge.iter().map(flip).collect(),
        }
    }

    /// Why none of them can prove anything; none where one can.
    pub fn problem(&self) -> Option<String> {
        let why: Vec<String> = self
            .delivery
            .iter()
            .filter_map(|key| key.as_ref().err().map(SecretError::to_string))
            .collect();

        (!why.is_empty() && why.len() == self.delivery.len()).then(|| why.join("; "))
    }

    /// Every key in its place.
    pub fn iter(&self) -> impl Iterator<Item = Option<&[u8]>> {
        self.delivery
            .iter()
            .map(|key| key.as_ref().ok().map(|key| &key[..]))
    }

    fn usable(&self) -> Result<(), Refusal> {
        match self.delivery.iter().find_map(|key| key.as_ref().err()) {
            Some(error) if self.delivery.iter().all(Result::is_err) => {
                Err(Refusal::no_secret(error))
            }
            None if self.delivery.is_empty() => {
                Err(Refusal::new(Reason::NoSecret, "no secret is configured"))
            }
            _ => Ok(()),
        }
    }
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
    challenge::is_one(verifier, &view)
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

/// What is known of a request whose sender has matched itself.
struct Authenticated {
    facts: Vec<(String, String)>,
    delivery_key: Option<Vec<u8>>,
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
        && let Some(answer) = challenge::answer(verifier, false, &view, context.keys)
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
    let could_be_challenge = challenge::is_token(&request.body) || is_rest_of_token;
    if could_be_challenge
        && verifier
            .challenges
            .iter()
            .any(challenge::Challenge::signs_for_anybody)
    {
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
    if let Some(answer) = challenge::answer(verifier, true, view, context.keys) {
        return Decision::Challenge(answer);
    }

    if let Some(confirm) = schemes::confirmation(verifier, view) {
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
        AuthScheme::Provider(code) => schemes::check(code, verifier, view, context),
    }
}

fn token(
    from: &ValueLocation,
    prefix: &str,
    view: &View<'_>,
    keys: &Keys,
) -> Result<usize, Refusal> {
    let mismatch = || Refusal::new(Reason::TokenMismatch, "the token does not match");
    if let ValueLocation::Each(pointer) = from {
        let tokens = schemes::each(view, pointer)?;
        let matches = |key: &[u8]| {
            tokens
                .iter()
                .fold(true, |all, token| same_text(token.as_bytes(), key) & all)
        };

        return keys.find(|_, key| Ok(matches(key)))?.ok_or_else(mismatch);
    }

    let text = view
        .find(from, false)
        .map_err(|absent| absent_token(absent, from))?;

    let token = after_prefix(&text, prefix).ok_or_else(|| {
        Refusal::new(
            Reason::TokenMismatch,
            format!("the token does not begin with `{prefix}`"),
        )
    })?;

    keys.find(|_, key| Ok(same_text(token, key)))?
        .ok_or_else(mismatch)
}

/// `user:password` of an `Authorization: Basic …` header. The scheme's name is case-insensitive (RFC 9110 section 11.1).
fn basic(view: &View<'_>, keys: &Keys) -> Result<usize, Refusal> {
    let place = ValueLocation::Header("Authorization".into());
    let text = view
        .find(&place, false)
        .map_err(|absent| absent_token(absent, &place))?;

    let encoded = after_prefix(&text, "Basic ").ok_or_else(|| {
        Refusal::new(
            Reason::TokenMismatch,
            "the credentials do not begin with `Basic `",
        )
    })?;

    let malformed = |why: &str| {
        Refusal::new(
            Reason::MalformedSignature,
            format!("basic credentials malformed: {why}"),
        )
    };

    let pair = STANDARD
        .decode(encoded.trim_ascii())
        .map_err(|_| malformed("not base64"))?;
    if !pair.contains(&b':') {
        return Err(malformed("no colon in them"));
    }

    keys.find(|_, key| Ok(same_text(&pair, key) & is_credentials(key)))?
        .ok_or_else(|| Refusal::new(Reason::TokenMismatch, "the basic credentials do not match"))
}

/// Whether a secret is `user:password`. With an empty password, knowing the user's name would be enough.
pub fn is_credentials(secret: &[u8]) -> bool {
    secret
        .iter()
        .position(|byte| *byte == b':')
        .is_some_and(|colon| colon + 1 < secret.len())
}

fn absent_token(absent: Absent, place: &ValueLocation) -> Refusal {
    let place = describe(place);
    match absent {
        Absent::Duplicate => Refusal::new(
            Reason::DuplicateHeader,
            format!("token ({place}) given more than once"),
        ),
        Absent::NoJson => Refusal::new(
            Reason::MalformedBody,
            "the body is not JSON, or of more parts than a check reads",
        ),
        Absent::Missing => Refusal::new(Reason::MissingToken, format!("token missing ({place})")),
    }
}

/// What follows the prefix. A prefix that ends in a space is the name of an authentication scheme, such as `Bearer `, and
/// those are case-insensitive (RFC 9110 section 11.1); any other prefix is not.
fn after_prefix<'a>(text: &'a [u8], prefix: &str) -> Option<&'a [u8]> {
    match text.split_at_checked(prefix.len())? {
        (word, rest) if word == prefix.as_bytes() => Some(rest),
        (word, rest) if prefix.ends_with(' ') && word.eq_ignore_ascii_case(prefix.as_bytes()) => {
            Some(rest)
        }
        _ => None,
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

/// The key by which a hook orders its events, of one that came another way than over HTTP.
pub fn order_key(verifier: &Verifier, event: &Event) -> Option<String> {
    let Event {
        method,
        path,
        query,
        headers,
        body,
        ..
    } = event.clone();

    let request = Unverified {
        method,
        path,
        query,
        params: params(event),
        headers,
        body,
        decoded: None,
    };

    text_at(
        &View::new(&request, None).with_json_field(verifier.json_form_field.as_deref()),
        verifier.order_key.as_ref()?,
    )
}

/// The path parameters, as the event carries them.
fn params(event: &Event) -> Vec<(String, String)> {
    let named = event
        .attributes
        .iter()
        .filter_map(|(key, value)| Some((key.strip_prefix("param:")?, value)));

    named
        .map(|(name, value)| (name.to_owned(), value.clone()))
        .collect()
}

fn text_at(view: &View<'_>, place: &ValueLocation) -> Option<String> {
    String::from_utf8(view.find(place, true).ok()?.into_owned()).ok()
}

fn authenticated(verifier: &Verifier, view: &View<'_>, matched: Option<usize>) -> Authenticated {
    let at = |place: &Option<ValueLocation>| text_at(view, place.as_ref()?);
    let identity = verifier
        .delivery_id
        .as_ref()
        .and_then(|fields| identity(fields, view));

    // Which secret matched, by its number in the hook file: the component has no business with where it lives.
    let word = verifier.auth_scheme.word();
    let key = matched
        .map(|index| format!("{word}#{}", index + 1))
        .unwrap_or_else(|| word.to_owned());

    let facts = [
        ("provider", verifier.provider.clone()),
        ("event-type", at(&verifier.event_type)),
        (
            "delivery-id",
            identity.as_ref().map(|(_, fields)| fields.join("/")),
        ),
        ("order-key", at(&verifier.order_key)),
        ("verified-by", Some(key)),
        (
            "verified-by-scheme",
            Some(verifier.auth_scheme.kind().to_owned()),
        ),
        ("json-form-field", view.json_field().map(str::to_owned)),
    ];

    let facts = facts
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)))
        .collect();

    Authenticated {
        facts,
        delivery_key: identity.map(|(alternative, fields)| {
            let mut key = delivery_key(verifier, alternative, &fields);
            if verifier.identity_per_url {
                key.extend_from_slice(&url_key(view.request));
            }

            key
        }),
    }
}

/// The values of the first alternative whose fields are all present, and its position.
fn identity(identity: &DeliveryId, view: &View<'_>) -> Option<(usize, Vec<String>)> {
    let values = |fields: &Vec<ValueLocation>| {
        fields
            .iter()
            .map(|field| text_at(view, field))
            .collect::<Option<Vec<_>>>()
    };

    identity
        .alternatives()
        .iter()
        .enumerate()
        .find_map(|(position, fields)| Some((position, values(fields)?)))
}

/// Tells URLs of one hook apart: two tenants may get the same event. Empty where a hook has one URL. A digest, since a URL may hold a
/// secret.
fn url_key(request: &Unverified) -> Vec<u8> {
    if request.params.is_empty() && request.query.is_none() {
        return Vec::new();
    }

    let mut digest = Sha256::new();
    digest.update(&request.path);
    digest.update("?");
    digest.update(request.query.as_deref().unwrap_or_default());

    [b"\0url\0", &digest.finalize()[..]].concat()
}

/// One key for all fields: a digest of `match` and of each field's place and value. The same values at other places, or compared
/// by another rule, are another identity: no event is lost after a hook names other fields.
fn delivery_key(verifier: &Verifier, alternative: usize, values: &[String]) -> Vec<u8> {
    let mut digest = Sha256::new();
    let mut add = |text: &str| {
        digest.update((text.len() as u64).to_be_bytes());
        digest.update(text);
    };

    add(match verifier.id_match() {
        IdMatch::Id => "id",
        IdMatch::IdAndBody => "id-and-body",
    });

    let places = verifier
        .delivery_id
        .iter()
        .flat_map(|identity| &identity.alternatives()[alternative]);

    for (place, value) in places.zip(values) {
        match place {
            // Header names have no case.
            ValueLocation::Header(name) => {
                add(&describe(&ValueLocation::Header(name.to_ascii_lowercase())))
            }
            place => add(&describe(place)),
        }

        add(value);
    }

    [b"id\0", &digest.finalize()[..]].concat()
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
