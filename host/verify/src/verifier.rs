//! How the requests of one hook are checked: a `[verify]` table over its provider pack, made whole at load.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use super::algorithm::is_public_key;
use super::answers::AnswerRules;
use super::build::{self, BuildError, wrong};
use super::challenge::{self, Challenge};
use super::check::{Keys, is_credentials};
use super::jwt::Jwt;
use super::lookup::{KeyGrant, Lookup};
use super::pack::{Pack, Packs, SignedBody};
use super::payload::Part;
use super::request::Unverified;
use super::schemes::ProviderScheme;
use super::settings;
use super::signature::Signature;
use super::view::PublicUrl;
use super::window::Window;
use landfall_model::{
    AcceptedSpec, Algorithm, DedupId, DedupSpec, DeliveryId, FromAddresses, IdMatch, KeyForm,
    SecretRef, ValueLocation, VerifySpec,
};

/// How requests of one hook are checked.
#[derive(Debug, Clone)]
pub struct Verifier {
    pub(super) auth_scheme: AuthScheme,
    pub(super) challenges: Vec<Challenge>,
    pub(super) provider: Option<String>,
    pub(super) event_type: Option<ValueLocation>,
    pub(super) delivery_id: Option<DeliveryId>,
    id_match: IdMatch,
    /// The identity is the pack's: it counts for one URL.
    pub(super) identity_per_url: bool,
    repeats_reply: bool,
    pub(super) order_key: Option<ValueLocation>,
    pub(super) public_url: Option<PublicUrl>,
    /// Of schemes in code that have one.
    pub(super) window: Window,
    documented_window: Option<Window>,
    answers: Arc<AnswerRules>,
    signs_body: SignedBody,
    covers_body: bool,
    /// The form field that holds the JSON document.
    pub(super) json_form_field: Option<String>,
    answer_within: Option<Duration>,
    max_body: Option<u64>,
    key: KeyForm,
    secrets: Vec<SecretRef>,
    challenge_secrets: Vec<SecretRef>,
    /// None: every address.
    from_addresses: Option<Vec<IpNet>>,
}

/// What a sender has to show.
#[derive(Debug, Clone, PartialEq)]
pub enum AuthScheme {
    /// Nobody said: the hook is closed.
    Closed,
    /// Everybody is let in, by explicit choice.
    Open,
    /// A shared secret.
    Token {
        /// Where.
        from: ValueLocation,
        /// Before it.
        prefix: String,
    },
    /// `user:password` by HTTP basic authentication.
    Basic,
    /// A MAC or signature over a payload template.
    Signature(Box<Signature>),
    /// A JSON web token.
    Jwt(Box<Jwt>),
    /// A scheme of one provider.
    Provider(ProviderScheme),
}

// === impl Verifier ===

impl Verifier {
    /// Builds from the table as typed; an absent table builds a closed verifier.
    pub fn build(typed: &VerifySpec, packs: &Packs) -> Result<Verifier, BuildError> {
        let pack = match &typed.provider {
            None => Pack::generic(),
            Some(name) => packs
                .find(name)
                .map_err(|message| wrong("provider", message))?,
        };

        if typed.provider.is_none() && typed.scheme.is_none() {
            return closed(typed);
        }

        let spec = pack.merge(typed);
        settings::check(&pack, typed, &spec)?;
        let auth_scheme = build::auth_scheme(&spec, pack.documents(typed))?;
        if spec.secret.is_empty() && (needs_secret(&auth_scheme) || asks_for_keys(&auth_scheme)) {
            return Err(wrong(
                "secret",
                "a secret reference is missing: write secret = \"env:NAME\" or \"file:PATH\"",
            ));
        }

        Verifier::assemble(auth_scheme, &spec, pack)
    }

    fn assemble(
        auth_scheme: AuthScheme,
        spec: &VerifySpec,
        pack: Pack,
    ) -> Result<Verifier, BuildError> {
        let challenges = spec
            .challenge
            .iter()
            .flatten()
            .map(|rule| Challenge::build(rule, &spec.config));

        let challenges: Vec<Challenge> = challenges
            .collect::<Result<_, _>>()
            .map_err(|why| wrong("challenge", why))?;
        if challenges.iter().any(Challenge::signs_for_anybody) && !tells_tokens_apart(&auth_scheme)
        {
            return Err(wrong(
                "challenge",
                "this check signs what anybody asks for, and a delivery could be made of that: verify_first must stay on",
            ));
        }

        let in_identity = pack.delivery_id.iter().flat_map(DeliveryId::all_fields);
        for place in pack.event_type.iter().chain(in_identity) {
            // A hook that names another scheme than its pack keeps the pack's identity.
            build::check_fact(place, true).map_err(|error| wrong("provider", error.message))?;
        }

        let from_addresses = match &spec.from_addresses {
            None => None,
            Some(FromAddresses::Ranges(ranges)) => Some(ranges.clone()),
            Some(FromAddresses::Provider) if pack.from_addresses.is_empty() => {
                let what = "the pack has no published address ranges: write a list such as [\"192.0.2.0/24\"], or leave it out";
                return Err(wrong("from_addresses", what));
            }
            Some(FromAddresses::Provider) => Some(pack.from_addresses.clone()),
        };

        let refused_status = spec.refused_status.unwrap_or(401);
        // Some providers disable a webhook after a 4xx, and retry after 503.
        if !(400..=499).contains(&refused_status) && refused_status != 503 {
            return Err(wrong(
                "refused_status",
                format!("{refused_status} is not a refusal: 400 to 499, or 503"),
            ));
        }

        let own_window = match &auth_scheme {
            AuthScheme::Provider(code) => code.window(),
            _ => Window {
                past: None,
                future: None,
            },
        };

        // A time rule of the hook that says nothing of a side keeps the scheme's own.
        let window = spec
            .timestamp
            .as_ref()
            .map_or(own_window, |typed| build::window(typed).over(own_window));

        let answers = AnswerRules::of_pack(&pack, refused_status)?;
        let covers_body = auth_scheme.covers_body().unwrap_or(pack.covers_body);
        Ok(Verifier {
            auth_scheme,
            challenges,
            provider: spec.provider.clone(),
            answer_within: pack.answer_within(),
            max_body: pack.max_body_bytes,
            event_type: pack.event_type,
            delivery_id: pack.delivery_id,
            id_match: pack.delivery_id_match.unwrap_or_default(),
            identity_per_url: true,
            repeats_reply: pack.repeat_reply,
            order_key: None,
            public_url: build::public_url(spec)?,
            window,
            documented_window: pack.documented_window.map(|past| Window {
                past: Some(past),
                future: Some(pack.documented_future.unwrap_or(past)),
            }),
            answers: Arc::new(answers),
            signs_body: pack.signs_body,
            covers_body,
            json_form_field: pack.json_form_field,
            key: spec.key.unwrap_or_default(),
            secrets: spec.secret.clone(),
            challenge_secrets: spec.challenge_secret.clone(),
            from_addresses,
        })
    }

    /// What a sender has to show.
    pub fn auth_scheme(&self) -> &AuthScheme {
        &self.auth_scheme
    }

    /// The secrets that prove a delivery, in this order.
    pub fn secrets(&self) -> &[SecretRef] {
        &self.secrets
    }

    /// The secrets that only ownership checks show.
    pub fn challenge_secrets(&self) -> &[SecretRef] {
        &self.challenge_secrets
    }

    /// How the text of each secret becomes a key.
    pub fn key_form(&self) -> KeyForm {
        self.key
    }

    /// What the provider waits for, less a margin; none where nothing is known.
    pub fn answer_within(&self) -> Option<Duration> {
        self.answer_within
    }

    /// The largest body that the provider documents, in bytes.
    pub fn max_body(&self) -> Option<u64> {
        self.max_body
    }

    /// With what the operator says identifies a delivery, and orders events, of a hook at this path.
    pub fn with_places(
        self,
        dedup: &DedupSpec,
        order_key: Option<ValueLocation>,
        path: &str,
    ) -> Result<Verifier, (&'static str, String)> {
        let check = |place: &ValueLocation| {
            build::check_fact(place, self.auth_scheme.has_claims()).map_err(|error| error.message)
        };

        order_key
            .iter()
            .try_for_each(check)
            .map_err(|message| ("order_by", message))?;

        if let Some(place) = order_key
            .iter()
            .find(|place| !build::is_in_path(place, path))
        {
            return Err(("order_by", build::no_such_segment(place, path)));
        }

        let id_match = dedup.id_match.unwrap_or(self.id_match);
        let delivery_id = match &dedup.id {
            DedupId::At(fields) => {
                fields
                    .all_fields()
                    .try_for_each(check)
                    .map_err(|message| ("dedup", message))?;

                build::check_identity(fields, path).map_err(|error| ("dedup", error.message))?;
                Some(fields.clone())
            }
            DedupId::OfPack | DedupId::BodyDigest | DedupId::Nothing => self.delivery_id,
        };

        let identity_per_url = !matches!(dedup.id, DedupId::At(_));
        Ok(Verifier {
            delivery_id,
            id_match,
            identity_per_url,
            order_key,
            ..self
        })
    }

    /// Whether a different body under the same identity is another event.
    pub fn id_match(&self) -> IdMatch {
        self.id_match
    }

    /// Whether a duplicate gets the handler's reply to the first delivery again.
    pub fn repeats_reply(&self) -> bool {
        self.repeats_reply
    }

    /// With what the operator answers to events that are handled later; the error names the key in `[accepted]`.
    pub fn with_accepted(
        mut self,
        spec: &AcceptedSpec,
    ) -> Result<Verifier, (&'static str, String)> {
        self.answers = Arc::new(AnswerRules::clone(&self.answers).with_accepted(spec)?);
        Ok(self)
    }

    /// What the provider expects in answers.
    pub fn answers(&self) -> &Arc<AnswerRules> {
        &self.answers
    }

    /// Whether a compressed body is signed as sent or decoded.
    pub fn signs_body(&self) -> SignedBody {
        self.signs_body
    }

    /// What the operator should know of a signature that does not cover the whole body; none where it does, or where there is no
    /// signature.
    pub fn body_note(&self) -> Option<&'static str> {
        let is_signed = matches!(self.auth_scheme.kind(), "signature" | "jwt");
        (is_signed && !self.covers_body).then_some(BODY_NOT_COVERED)
    }

    /// Whether a request with this method may be an ownership check.
    pub fn takes_challenges_by(&self, method: &http::Method) -> bool {
        self.challenges
            .iter()
            .any(|challenge| challenge.method() == method)
    }

    /// How many bytes of an encoded body are decoded to look for an ownership check that comes before the proof; none where the request
    /// cannot be one.
    pub fn unauthenticated_decoded_max(&self, request: &Unverified) -> Option<usize> {
        let may_be_challenge = self
            .challenges
            .iter()
            .any(|rule| rule.is_before_authentication() && rule.method() == request.method);

        (may_be_challenge && request.body.len() <= challenge::BODY_BYTES_MAX)
            .then_some(challenge::BODY_BYTES_MAX)
    }

    /// Whether requests may come from this address; one that is not known is in no range.
    pub fn takes_address(&self, address: Option<IpAddr>) -> bool {
        let Some(ranges) = &self.from_addresses else {
            return true;
        };

        address.is_some_and(|address| ranges.iter().any(|range| range.contains(&address)))
    }

    /// What the ownership checks with this method must have, for the operator.
    pub fn challenge_needs(&self, method: &http::Method) -> Vec<String> {
        self.challenges
            .iter()
            .filter(|check| check.method() == method)
            .map(Challenge::needs)
            .collect()
    }

    /// Whether the operator's secrets are the keys.
    pub fn needs_secret(&self) -> bool {
        needs_secret(&self.auth_scheme)
    }

    /// Whether the hook has a secret: a key, or what the question for a key carries.
    pub fn has_secret(&self) -> bool {
        needs_secret(&self.auth_scheme) || asks_for_keys(&self.auth_scheme)
    }

    /// The address of its keys is the operator's word, not the sender's.
    pub fn names_its_keys(&self) -> bool {
        match &self.auth_scheme {
            AuthScheme::Jwt(jwt) => jwt.lookup.is_none(),
            AuthScheme::Signature(signature) => signature.key_set.is_some(),
            AuthScheme::Provider(ProviderScheme::DetachedJws(_)) => true,
            _ => false,
        }
    }

    /// How the right to ask for keys is obtained, where the provider gives them to its customers only.
    pub fn key_grant(&self) -> Option<KeyGrant> {
        match &self.auth_scheme {
            AuthScheme::Provider(ProviderScheme::Ebay(ebay)) => Some(ebay.grant()),
            _ => None,
        }
    }

    /// Why no request at this path of a hook can show its token; none where one can.
    pub fn path_problem(&self, path: &str) -> Option<String> {
        if let Some(PublicUrl::Base(base)) = &self.public_url
            && path != "/"
            && base.ends_with(path)
        {
            return Some(format!(
                "public_url ends with the path of the hook, which is appended to it: write public_url = \"{}\", or \
                 url = \"{base}\" for the whole URL",
                base.trim_end_matches(path)
            ));
        }

        let last = path.trim_end_matches('/');
        match self
            .auth_scheme
            .places()
            .into_iter()
            .find(|place| !build::is_in_path(place, path))?
        {
            ValueLocation::Path(_) => Some(format!(
                "the token is the last segment of the path: write path = \"{last}/{{secret}}\""
            )),
            place => Some(build::no_such_segment(place, path)),
        }
    }

    /// Why the secrets mean nothing: the keys are public and fetched. None where they are used, or there are none.
    pub fn unused_secret(&self) -> Option<&'static str> {
        // eBay's is for the token that the keys are asked for with.
        let asks_with_it = asks_for_keys(&self.auth_scheme)
            || matches!(
                self.auth_scheme,
                AuthScheme::Provider(ProviderScheme::Ebay(_))
            );

        let is_used =
            needs_secret(&self.auth_scheme) || asks_with_it || self.auth_scheme == AuthScheme::Open;
        let is_unused = !self.secrets.is_empty() && !is_used;

        is_unused.then_some(
            "`secret` means nothing here: the provider signs with keys that are public; remove it",
        )
    }

    /// Why no request could be verified with these keys; none where one can be.
    pub fn key_problem(&self, keys: &Keys) -> Option<String> {
        if let Some(why) = keys.problem() {
            return Some(format!("no secret has a value: {why}"));
        }

        let mut given = keys.iter().flatten().peekable();
        given.peek()?;
        given
            .map(|key| self.unusable(key))
            .collect::<Option<Vec<_>>>()
            .map(|why| why[0].to_owned())
    }

    /// Why no request can show this key.
    fn unusable(&self, key: &[u8]) -> Option<&'static str> {
        match &self.auth_scheme {
            AuthScheme::Basic if !is_credentials(key) => {
                Some("the secret is not of the form user:password")
            }
            AuthScheme::Token {
                from: ValueLocation::Header(_),
                ..
            } if key.trim_ascii() != key => {
                Some("the secret begins or ends with white space, and no header value does")
            }
            AuthScheme::Token {
                from: ValueLocation::Header(_),
                ..
            } if http::HeaderValue::from_bytes(key).is_err() => Some(
                "the secret holds a line end or another control character, and no header value does",
            ),
            AuthScheme::Signature(signature) if !is_public_key(signature.algorithm, key) => {
                Some(NOT_A_KEY)
            }
            AuthScheme::Provider(ProviderScheme::HttpMessageSignatures(rules))
                if !is_public_key(rules.algorithm, key) =>
            {
                Some(NOT_A_KEY)
            }
            AuthScheme::Provider(ProviderScheme::Keygen)
                if !is_public_key(Algorithm::Ed25519, key) =>
            {
                Some(NOT_A_KEY)
            }
            AuthScheme::Jwt(jwt)
                if jwt.lookup.is_none()
                    && !jwt.algorithms.iter().any(|name| fits_token(name, key)) =>
            {
                Some(NOT_A_KEY)
            }
            _ => None,
        }
    }

    /// How single keys are asked for.
    pub fn lookup(&self) -> Option<&Lookup> {
        match &self.auth_scheme {
            AuthScheme::Jwt(jwt) => jwt.lookup.as_ref(),
            _ => None,
        }
    }

    /// Everything as it is, but everybody is let in: for request vectors of checks that nothing authenticates.
    pub fn opened(self) -> Verifier {
        Verifier {
            auth_scheme: AuthScheme::Open,
            ..self
        }
    }

    /// With another public URL.
    pub(super) fn called_at(self, public_url: PublicUrl) -> Verifier {
        Verifier {
            public_url: Some(public_url),
            ..self
        }
    }

    /// With the window that the provider documents, if the pack's is longer: for request vectors.
    pub fn with_documented_window(self) -> Verifier {
        match self.documented_window {
            Some(window) => self.with_window(window),
            None => self,
        }
    }

    /// With another window, or none: for request vectors.
    pub fn with_window(mut self, other: Window) -> Verifier {
        if let AuthScheme::Jwt(jwt) = &mut self.auth_scheme
            && jwt.max_age.is_some()
        {
            jwt.max_age = other.past;
        }

        if let AuthScheme::Signature(signature) = &mut self.auth_scheme
            && let Some(time) = &mut signature.time
        {
            time.window = other;
        }

        self.window = other;
        self
    }
}

// === impl AuthScheme ===

impl AuthScheme {
    /// The places of the request without which nothing can be proven.
    fn places(&self) -> Vec<&ValueLocation> {
        match self {
            AuthScheme::Token { from, .. } => vec![from],
            AuthScheme::Jwt(jwt) => vec![&jwt.from],
            AuthScheme::Provider(ProviderScheme::DetachedJws(jws)) => vec![&jws.from],
            AuthScheme::Signature(signature) => {
                let time = signature.time.iter().filter_map(|time| time.from.as_ref());
                let key = signature.key_set.iter().filter_map(|set| set.id.as_ref());
                signature
                    .from
                    .iter()
                    .chain(time)
                    .chain(&signature.id)
                    .chain(key)
                    .collect()
            }
            AuthScheme::Closed | AuthScheme::Open | AuthScheme::Basic | AuthScheme::Provider(_) => {
                Vec::new()
            }
        }
    }

    /// Whether the whole body is what is proven; none where the pack says so of its scheme in code.
    fn covers_body(&self) -> Option<bool> {
        let is_body = |part: &Part| {
            matches!(
                part,
                Part::Body
                    | Part::BodySha256Hex
                    | Part::BodySha256Base64
                    | Part::BodyJsonString
                    | Part::FormSorted
            )
        };

        match self {
            AuthScheme::Signature(signature) => Some(
                signature
                    .payloads()
                    .all(|payload| payload.iter().any(is_body)),
            ),
            AuthScheme::Jwt(jwt) => Some(jwt.covers_body()),
            AuthScheme::Provider(ProviderScheme::HttpMessageSignatures(rules)) => {
                Some(rules.covers_body())
            }
            AuthScheme::Provider(_) => None,
            AuthScheme::Closed
            | AuthScheme::Open
            | AuthScheme::Token { .. }
            | AuthScheme::Basic => Some(false),
        }
    }

    /// Whether a verified request has a token with claims.
    fn has_claims(&self) -> bool {
        matches!(
            self,
            AuthScheme::Jwt(_) | AuthScheme::Provider(ProviderScheme::AppleAppStore(_))
        )
    }

    /// The kind of auth_scheme, whichever provider's scheme it is: the attribute `verified-by-scheme`.
    pub fn kind(&self) -> &'static str {
        match self {
            AuthScheme::Provider(code) => code.kind(),
            other => other.word(),
        }
    }

    /// The word for it in hook files and records.
    pub fn word(&self) -> &'static str {
        match self {
            AuthScheme::Closed => "closed",
            AuthScheme::Open => "none",
            AuthScheme::Token { .. } => "token",
            AuthScheme::Basic => "basic",
            AuthScheme::Signature(_) => "signature",
            AuthScheme::Jwt(_) => "jwt",
            AuthScheme::Provider(code) => code.word(),
        }
    }
}

const BODY_NOT_COVERED: &str = "the signature does not cover the whole body: a captured request is also accepted with other values in what it leaves out";
const NOT_A_KEY: &str = "the secret is not a public key of the algorithm";

/// Whether these bytes can be the key of tokens with that `alg`.
fn fits_token(name: &str, key: &[u8]) -> bool {
    match name {
        "RS256" => is_public_key(Algorithm::RsaPkcs1v15Sha256, key),
        "ES256" => is_public_key(Algorithm::EcdsaP256Sha256, key),
        _ => true,
    }
}

/// A text that an ownership check signs for any caller cannot pass for a delivery: only the body is signed, behind constant
/// text at most, and `challenge::is_token` bodies are refused.
fn tells_tokens_apart(scheme: &AuthScheme) -> bool {
    match scheme {
        AuthScheme::Signature(signature) => {
            signature
                .payloads()
                .all(|payload| match payload.split_last() {
                    Some((Part::Body, before)) => {
                        before.iter().all(|part| matches!(part, Part::Literal(_)))
                    }
                    _ => false,
                })
        }
        AuthScheme::Provider(ProviderScheme::Braintree { .. }) | AuthScheme::Closed => true,
        _ => false,
    }
}

/// With a secret that only the question for a key carries.
fn asks_for_keys(scheme: &AuthScheme) -> bool {
    match scheme {
        AuthScheme::Jwt(jwt) => jwt.lookup.is_some(),
        AuthScheme::Provider(code) => matches!(code, ProviderScheme::Ebay(_)),
        _ => false,
    }
}

fn needs_secret(scheme: &AuthScheme) -> bool {
    match scheme {
        AuthScheme::Closed | AuthScheme::Open => false,
        AuthScheme::Token { .. } | AuthScheme::Basic => true,
        AuthScheme::Signature(signature) => signature.key_set.is_none(),
        AuthScheme::Jwt(jwt) => jwt.jwks.is_none() && jwt.lookup.is_none(),
        AuthScheme::Provider(code) => code.needs_secret(),
    }
}

fn closed(typed: &VerifySpec) -> Result<Verifier, BuildError> {
    if *typed != VerifySpec::default() {
        return Err(wrong(
            "scheme",
            "provider or scheme is missing: write provider = \"github\" or scheme = \"token\"",
        ));
    }

    let bare = Pack {
        event_type: None,
        delivery_id: None,
        ..Pack::generic()
    };

    Verifier::assemble(AuthScheme::Closed, &VerifySpec::default(), bare)
}
