//! The verifier of one hook, built at load from its `[verify]` table merged with the provider pack.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use crate::answers::AnswerRules;
use crate::auth_scheme::AuthScheme;
use crate::builder::{self, BuildError, wrong};
use crate::challenge::{self, Challenge};
use crate::json_paths::JsonPaths;
use crate::lookup::{KeyGrant, Lookup};
use crate::pack::{Pack, Packs};
use crate::proof_places::ProofPlaces;
use crate::request::SignedBody;
use crate::request::Unverified;
use crate::schemes::ProviderScheme;
use crate::settings;
use crate::view::PublicUrl;
use crate::window::Window;
use landfall_model::{
    AcceptedSpec, DedupId, DedupSpec, DeliveryId, FromAddresses, IdMatch, KeyForm, SecretRef,
    ValueLocation, VerifySpec,
};

const BODY_NOT_COVERED: &str = "the signature does not cover the whole body: a captured request \
                                is also accepted with other values in what it leaves out";

/// The rules by which requests of one hook are checked.
#[derive(Debug, Clone)]
pub struct Verifier {
    pub(super) auth_scheme: AuthScheme,
    /// The attribute of events that says where they have the proof of their sender.
    pub(super) proof: String,
    pub(super) challenges: Vec<Challenge>,
    pub(super) provider: Option<String>,
    pub(super) event_type: Option<ValueLocation>,
    pub(super) delivery_id: Option<DeliveryId>,
    id_match: IdMatch,
    /// Whether the delivery identity is the pack's. Such an identity is unique per URL only.
    pub(super) identity_per_url: bool,
    repeats_reply: bool,
    pub(super) order_key: Option<ValueLocation>,
    /// Every JSON pointer that a check reads.
    pub(super) json_paths: JsonPaths,
    pub(super) public_url: Option<PublicUrl>,
    /// The time window of provider schemes that have one.
    pub(super) window: Window,
    documented_window: Option<Window>,
    answers: Arc<AnswerRules>,
    signs_body: SignedBody,
    covers_body: bool,
    /// The form field with the JSON document.
    pub(super) json_form_field: Option<String>,
    answer_within: Option<Duration>,
    /// Whether the provider sends a failed delivery again; `None` if that is unknown.
    retries: Option<bool>,
    challenge_every: Option<Duration>,
    max_body: Option<u64>,
    key: KeyForm,
    secrets: Vec<SecretRef>,
    challenge_secrets: Vec<SecretRef>,
    /// `None` allows every address.
    from_addresses: Option<Vec<IpNet>>,
}

// === impl Verifier ===

impl Verifier {
    /// Builds the verifier from a hook's table. An empty table builds a verifier that refuses every
    /// request.
    pub fn build(typed: &VerifySpec, packs: &Packs) -> Result<Verifier, BuildError> {
        let pack = match &typed.provider {
            None => Packs::generic(),
            Some(name) => packs
                .find(name)
                .map_err(|error| wrong("provider", error.to_string()))?,
        };

        if typed.provider.is_none() && typed.scheme.is_none() {
            return build_closed(typed);
        }

        let spec = pack.merge(typed);
        settings::check(&pack, typed, &spec)?;
        let auth_scheme = builder::auth_scheme(&spec, pack.documents(typed))?;
        if spec.secret.is_empty() && (auth_scheme.needs_secret() || auth_scheme.asks_for_keys()) {
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
        if challenges.iter().any(Challenge::signs_for_unauthenticated)
            && !auth_scheme.tells_tokens_apart()
        {
            return Err(wrong(
                "challenge",
                "this ownership check signs values for unauthenticated callers, who could use the \
                 result as a delivery: verify_first must stay on",
            ));
        }

        let in_identity = pack.delivery_id.iter().flat_map(DeliveryId::all_fields);
        for place in pack.event_type.iter().chain(in_identity) {
            // A hook with another scheme than its pack keeps the pack's identity.
            builder::check_fact(place, true).map_err(|error| wrong("provider", error.message))?;
        }

        let from_addresses = match &spec.from_addresses {
            None => None,
            Some(FromAddresses::Ranges(ranges)) => Some(ranges.clone()),
            Some(FromAddresses::Provider) if pack.from_addresses.is_empty() => {
                let what = "the pack has no published address ranges: write a list such as \
                            [\"192.0.2.0/24\"], or leave it out";
                return Err(wrong("from_addresses", what));
            }
            Some(FromAddresses::Provider) => Some(pack.from_addresses.clone()),
        };

        let refused_status = spec.refused_status.unwrap_or(401);
        // 503 is allowed because some providers disable a webhook after a 4xx and retry after 503.
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

        // A side of the window that the hook does not set keeps the scheme's default.
        let window = spec
            .timestamp
            .as_ref()
            .map_or(own_window, |typed| builder::window(typed).over(own_window));

        let answers = AnswerRules::of_pack(&pack, refused_status)?;
        let covers_body = auth_scheme.covers_body().unwrap_or(pack.covers_body);
        let verifier = Verifier {
            proof: ProofPlaces::attribute(&auth_scheme),
            auth_scheme,
            challenges,
            provider: spec.provider.clone(),
            answer_within: pack.answer_within(),
            retries: pack.retries,
            challenge_every: pack.challenge_every,
            max_body: pack.max_body_bytes,
            event_type: pack.event_type,
            delivery_id: pack.delivery_id,
            id_match: pack.delivery_id_match.unwrap_or_default(),
            identity_per_url: true,
            repeats_reply: pack.repeat_reply,
            order_key: None,
            json_paths: JsonPaths::default(),
            public_url: builder::public_url(spec)?,
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
        };

        Ok(verifier.with_json_paths())
    }

    /// The form field with the JSON document, if the provider sends it in one.
    pub fn json_form_field(&self) -> Option<&str> {
        self.json_form_field.as_deref()
    }

    /// Collects the JSON pointers after a location was set.
    fn with_json_paths(self) -> Verifier {
        let fields = self.delivery_id.iter().flat_map(DeliveryId::all_fields);
        let places = self
            .auth_scheme
            .places()
            .into_iter()
            .chain(&self.event_type)
            .chain(fields)
            .chain(&self.order_key);
        let pointers = places.filter_map(|place| match place {
            ValueLocation::Json(pointer) => Some(pointer.as_str()),
            _ => None,
        });
        let in_challenges = self.challenges.iter().flat_map(Challenge::json_pointers);
        let json_paths = JsonPaths::new(pointers.chain(in_challenges));

        Verifier { json_paths, ..self }
    }

    /// The places whose texts become attributes of the event: its type, the fields of the delivery
    /// identity, the order key.
    pub fn recorded_places(&self) -> impl Iterator<Item = &ValueLocation> {
        let fields = self.delivery_id.iter().flat_map(DeliveryId::all_fields);
        self.event_type.iter().chain(fields).chain(&self.order_key)
    }

    /// How senders authenticate.
    pub fn auth_scheme(&self) -> &AuthScheme {
        &self.auth_scheme
    }

    /// The secrets that authenticate deliveries, in the order in which they are tried.
    pub fn secrets(&self) -> &[SecretRef] {
        &self.secrets
    }

    /// The secrets for ownership checks only.
    pub fn challenge_secrets(&self) -> &[SecretRef] {
        &self.challenge_secrets
    }

    /// How the text of a secret is decoded into a key.
    pub fn key_form(&self) -> KeyForm {
        self.key
    }

    /// The provider's timeout less a margin; `None` if the timeout is unknown.
    pub fn answer_within(&self) -> Option<Duration> {
        self.answer_within
    }

    /// Whether the provider sends a failed delivery again; `None` if that is unknown.
    pub fn provider_retries(&self) -> Option<bool> {
        self.retries
    }

    /// How often the provider repeats its ownership check; `None` if it does not, or if that is
    /// unknown.
    pub fn challenge_every(&self) -> Option<Duration> {
        self.challenge_every
    }

    /// The provider of the hook file, as it is written there.
    pub fn provider(&self) -> Option<&str> {
        self.provider.as_deref()
    }

    /// The largest body that the provider documents, in bytes.
    pub fn max_body(&self) -> Option<u64> {
        self.max_body
    }

    /// Sets the delivery identity and the order key of a hook at this path. The error names the key
    /// of the hook file.
    pub fn with_locations(
        self,
        dedup: &DedupSpec,
        order_key: Option<ValueLocation>,
        path: &str,
    ) -> Result<Verifier, BuildError> {
        let has_claims = self.auth_scheme.has_claims();
        if let Some(place) = &order_key {
            builder::check_fact(place, has_claims)
                .map_err(|error| wrong("order_by", error.message))?;
        }

        if let Some(place) = order_key
            .iter()
            .find(|place| !builder::is_in_path(place, path))
        {
            return Err(wrong("order_by", builder::no_such_segment(place, path)));
        }

        let id_match = dedup.id_match.unwrap_or(self.id_match);
        let delivery_id = match &dedup.id {
            DedupId::At(fields) => {
                for place in fields.all_fields() {
                    builder::check_fact(place, has_claims)
                        .map_err(|error| wrong("dedup", error.message))?;
                }

                builder::check_identity(fields, path)
                    .map_err(|error| wrong("dedup", error.message))?;
                Some(fields.clone())
            }
            DedupId::OfPack | DedupId::BodyDigest | DedupId::Nothing => self.delivery_id,
        };

        let identity_per_url = !matches!(dedup.id, DedupId::At(_));
        let verifier = Verifier {
            delivery_id,
            id_match,
            identity_per_url,
            order_key,
            ..self
        };

        Ok(verifier.with_json_paths())
    }

    /// Whether a different body with the same identity is another event.
    pub fn id_match(&self) -> IdMatch {
        self.id_match
    }

    /// Whether a duplicate gets the handler's reply to the first delivery.
    pub fn repeats_reply(&self) -> bool {
        self.repeats_reply
    }

    /// Sets the response to events that are handled later. The error names the key in `[accepted]`.
    pub fn with_accepted(mut self, spec: &AcceptedSpec) -> Result<Verifier, BuildError> {
        self.answers = Arc::new(AnswerRules::clone(&self.answers).with_accepted(spec)?);
        Ok(self)
    }

    /// The response rules of the hook.
    pub fn answers(&self) -> &Arc<AnswerRules> {
        &self.answers
    }

    /// Which form of a compressed body is signed.
    pub fn signs_body(&self) -> SignedBody {
        self.signs_body
    }

    /// A warning for the operator if the signature does not cover the whole body; `None` if it
    /// does, or if the scheme has no signature.
    pub fn body_note(&self) -> Option<&'static str> {
        let is_signed = matches!(self.auth_scheme.kind(), "signature" | "jwt");
        (is_signed && !self.covers_body).then_some(BODY_NOT_COVERED)
    }

    /// Whether the sender's signature covers the whole body, so that a request with another body is
    /// refused.
    pub fn covers_body(&self) -> bool {
        self.covers_body
    }

    /// Whether a request with this method may be an ownership check.
    pub fn takes_challenges_by(&self, method: &http::Method) -> bool {
        self.challenges
            .iter()
            .any(|challenge| challenge.method() == method)
    }

    /// How many bytes of a compressed body may be decompressed to look for an ownership check that
    /// comes before authentication; `None` if the request cannot be one.
    pub fn unauthenticated_decoded_max(&self, request: &Unverified) -> Option<usize> {
        let may_be_challenge = self
            .challenges
            .iter()
            .any(|rule| rule.is_before_authentication() && rule.method() == request.method);

        (may_be_challenge && request.body.len() <= challenge::BODY_BYTES_MAX)
            .then_some(challenge::BODY_BYTES_MAX)
    }

    /// Whether requests from this address are allowed. An unknown address is in no range.
    pub fn takes_address(&self, address: Option<IpAddr>) -> bool {
        let Some(ranges) = &self.from_addresses else {
            return true;
        };

        address.is_some_and(|address| ranges.iter().any(|range| range.contains(&address)))
    }

    /// Whether anyone can send to the hook: it accepts every request, from every address.
    pub fn is_open(&self) -> bool {
        matches!(self.auth_scheme, AuthScheme::Open) && self.from_addresses.is_none()
    }

    /// What each ownership check with this method requires, for the operator.
    pub fn challenge_needs(&self, method: &http::Method) -> Vec<String> {
        self.challenges
            .iter()
            .filter(|check| check.method() == method)
            .map(Challenge::needs)
            .collect()
    }

    /// Whether the hook's secrets are the keys.
    pub(crate) fn needs_secret(&self) -> bool {
        self.auth_scheme.needs_secret()
    }

    /// Whether the hook needs a secret: as the key, or to request keys.
    pub(crate) fn has_secret(&self) -> bool {
        self.auth_scheme.needs_secret() || self.auth_scheme.asks_for_keys()
    }

    /// Whether the URL of the keys comes from the hook file and not from the request.
    pub fn names_its_keys(&self) -> bool {
        match &self.auth_scheme {
            AuthScheme::Jwt(jwt) => jwt.lookup.is_none(),
            AuthScheme::Signature(signature) => signature.key_set.is_some(),
            AuthScheme::Provider(ProviderScheme::DetachedJws(_)) => true,
            _ => false,
        }
    }

    /// How to get an access token for key requests, for providers that require one.
    pub fn key_grant(&self) -> Option<KeyGrant> {
        match &self.auth_scheme {
            AuthScheme::Provider(ProviderScheme::Ebay(ebay)) => Some(ebay.grant()),
            _ => None,
        }
    }

    /// How to request single keys from the provider.
    pub fn lookup(&self) -> Option<&Lookup> {
        match &self.auth_scheme {
            AuthScheme::Jwt(jwt) => jwt.lookup.as_ref(),
            _ => None,
        }
    }

    /// The same rules without authentication, for request vectors that are not authenticated.
    pub fn without_authentication(self) -> Verifier {
        Verifier {
            auth_scheme: AuthScheme::Open,
            proof: String::new(),
            ..self
        }
    }

    pub(super) fn called_at(self, public_url: PublicUrl) -> Verifier {
        Verifier {
            public_url: Some(public_url),
            ..self
        }
    }

    /// Uses the time window that the provider documents, if the pack's is longer. For request
    /// vectors.
    pub(crate) fn with_documented_window(self) -> Verifier {
        match self.documented_window {
            Some(window) => self.with_window(window),
            None => self,
        }
    }

    /// The greatest age of a signed request; `None` if the scheme has no time, or the hook allows
    /// any.
    pub fn max_age(&self) -> Option<Duration> {
        match &self.auth_scheme {
            AuthScheme::Signature(signature) => signature.time.as_ref()?.window.past,
            AuthScheme::Jwt(jwt) => jwt.max_age,
            AuthScheme::Provider(_) => self.window.past,
            AuthScheme::Closed | AuthScheme::Open => None,
            AuthScheme::Token { .. } | AuthScheme::Basic => None,
        }
    }

    /// Replaces the time window. For request vectors.
    pub(crate) fn with_window(mut self, other: Window) -> Verifier {
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

fn build_closed(typed: &VerifySpec) -> Result<Verifier, BuildError> {
    if *typed != VerifySpec::default() {
        return Err(wrong(
            "scheme",
            "provider or scheme is missing: write provider = \"github\" or scheme = \"token\"",
        ));
    }

    let bare = Pack {
        event_type: None,
        delivery_id: None,
        ..Packs::generic()
    };

    Verifier::assemble(AuthScheme::Closed, &VerifySpec::default(), bare)
}
