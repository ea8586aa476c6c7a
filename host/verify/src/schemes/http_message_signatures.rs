//! HTTP message signatures (RFC 9421) of a request, with the digest of its body in `Content-Digest` (RFC 9530). The
//! operator pins the algorithm and says which components a signature must cover; the sender only says which further ones
//! it covers.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use ring::signature::Ed25519KeyPair;
use sfv::{BareItem, Dictionary, FieldType, InnerList, Item, ListEntry, Parser};
use sha2::{Digest, Sha256, Sha512};

use super::common::mismatch;
use crate::algorithm::{is_fixed_ecdsa_signed, is_signed, mac, same};
use crate::edit::put;
use crate::keys::VerifyContext;
use crate::refusal::{Reason, Refusal, malformed};
use crate::request::Unverified;
use crate::view::{PublicUrl, View};
use crate::window::{self, Window};
use landfall_model::{Algorithm, ValueLocation};

/// The most signatures of one request that are tried.
const SIGNATURES_MAX: usize = 8;
/// The most components that one signature may cover.
pub const COMPONENTS_MAX: usize = 64;
const INPUT: &str = "signature-input";
const SIGNATURE: &str = "signature";
const DIGEST: &str = "content-digest";
/// What `application/x-www-form-urlencoded` escapes, with a space as `%20`.
const FORM_VALUE: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'*')
    .remove(b'-')
    .remove(b'.')
    .remove(b'_');

/// How message signatures are judged.
#[derive(Debug, Clone, PartialEq)]
pub struct MessageSignatures {
    /// Pinned by the operator.
    pub algorithm: Algorithm,
    /// Components that must be covered; none = method, target, and the digest of a body.
    pub components: Option<Vec<String>>,
    /// The only signature that counts; none = any of them.
    pub label: Option<String>,
    /// The `tag` that it must have.
    pub tag: Option<String>,
    /// The `keyid` of each secret, in their order; empty = any secret may match.
    pub key_ids: Vec<String>,
}

/// One signature of a request.
struct Shown<'a> {
    input: &'a InnerList,
    signature: &'a [u8],
}

// === impl MessageSignatures ===

impl MessageSignatures {
    /// Which secret made one of the signatures. `window` is the one of `created`.
    pub fn check(
        &self,
        window: Window,
        view: &View<'_>,
        context: &VerifyContext<'_>,
    ) -> Result<usize, Refusal> {
        let inputs = dictionary(view, INPUT, Reason::MissingSignature)?;
        let signatures = dictionary(view, SIGNATURE, Reason::MissingSignature)?;
        let labels: Vec<&str> = match &self.label {
            Some(label) => vec![label],
            None => inputs.keys().map(|label| label.as_str()).collect(),
        };
        if labels.len() > SIGNATURES_MAX {
            return Err(malformed(format!(
                "more than {SIGNATURES_MAX} signatures: name one in `label`"
            )));
        }

        let mut first_refusal = None;
        for label in labels {
            let verdict = Shown::find(&inputs, &signatures, label)
                .and_then(|shown| self.check_one(&shown, window, view, context));
            match verdict {
                Ok(place) => return Ok(place),
                Err(refusal) => drop(first_refusal.get_or_insert(refusal)),
            }
        }

        Err(first_refusal
            .unwrap_or_else(|| Refusal::new(Reason::MissingSignature, "no signature is there")))
    }

    /// Whether each signature that counts covers the digest of the body.
    pub fn covers_body(&self) -> bool {
        self.components
            .as_ref()
            .is_none_or(|names| names.iter().any(|name| name == DIGEST))
    }

    fn check_one(
        &self,
        shown: &Shown<'_>,
        window: Window,
        view: &View<'_>,
        context: &VerifyContext<'_>,
    ) -> Result<usize, Refusal> {
        if shown
            .text("alg")
            .is_some_and(|named| named != name(self.algorithm))
        {
            return Err(Refusal::new(
                Reason::AlgorithmNotAllowed,
                format!(
                    "the signature names another algorithm than {}",
                    name(self.algorithm)
                ),
            ));
        }

        if self.tag.is_some() && shown.text("tag") != self.tag.as_deref() {
            return Err(Refusal::new(
                Reason::AudienceMismatch,
                "the signature has another tag than the configured one",
            ));
        }

        let covered = shown.covered()?;
        self.check_coverage(&covered, view)?;
        let length = match self.algorithm {
            Algorithm::HmacSha256 => Some(32),
            Algorithm::Ed25519 | Algorithm::EcdsaP256Sha256 => Some(64),
            _ => None,
        };
        if length.is_some_and(|length| length != shown.signature.len()) {
            return Err(malformed(format!(
                "{} bytes instead of {}",
                shown.signature.len(),
                length.unwrap_or_default()
            )));
        }

        shown.check_times(window, context.now)?;
        if covered.contains(&DIGEST) {
            check_digest(view)?;
        }

        let base = shown.signature_base(view)?;
        let key_id = shown.text("keyid");
        if !self.key_ids.is_empty()
            && !self
                .key_ids
                .iter()
                .any(|known| Some(known.as_str()) == key_id)
        {
            let detail = format!(
                "keyid `{}` is not in key_ids",
                key_id.unwrap_or_default().escape_debug()
            );

            return Err(Refusal::new(Reason::KeyUnavailable, detail));
        }

        let is_named = |place: usize| {
            self.key_ids.is_empty() || self.key_ids.get(place).map(String::as_str) == key_id
        };

        let is_right =
            |key: &[u8]| is_made_by(self.algorithm, key, base.as_bytes(), shown.signature);
        context
            .keys
            .find(|place, key| Ok(is_named(place) && is_right(key)))?
            .ok_or_else(mismatch)
    }

    /// Everything that must be signed is.
    fn check_coverage(&self, covered: &[&str], view: &View<'_>) -> Result<(), Refusal> {
        let has = |name: &str| covered.contains(&name);
        let missing = match &self.components {
            Some(needed) => needed.iter().find(|name| !has(name)).map(String::as_str),
            None => {
                let has_path = has("@path") && (view.request.query.is_none() || has("@query"));
                let has_target = has("@target-uri")
                    || (has("@authority") && (has("@request-target") || has_path));

                match (
                    has("@method"),
                    has_target,
                    view.request.body.is_empty() || has(DIGEST),
                ) {
                    (false, ..) => Some("@method"),
                    (_, false, _) => Some("@target-uri"),
                    (.., false) => Some(DIGEST),
                    _ => None,
                }
            }
        };

        match missing {
            None => Ok(()),
            Some(name) if name == DIGEST => Err(Refusal::new(
                Reason::BodyHashMissing,
                format!("the signature does not cover {DIGEST}"),
            )),
            Some(name) => Err(Refusal::new(
                Reason::UnsupportedSignatureVersion,
                format!("the signature does not cover {name}, which it must"),
            )),
        }
    }

    /// Signs a draft: with HMAC, or with an Ed25519 private key (PKCS#8, DER).
    pub fn sign(
        &self,
        public_url: Option<&PublicUrl>,
        draft: &mut Unverified,
        key: &[u8],
        now: SystemTime,
    ) -> Result<(), String> {
        if !draft.body.is_empty() {
            let digest = format!("sha-256=:{}:", STANDARD.encode(Sha256::digest(&draft.body)));
            put(draft, &ValueLocation::Header(DIGEST.into()), &digest)?;
        }

        let defaults = || {
            // A receiver that does not know its own URL can check these too.
            let target = ["@method", "@authority", "@path", "@query"];
            let digest = (!draft.body.is_empty()).then_some(DIGEST);
            target
                .into_iter()
                .chain(digest)
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };

        let components = self.components.clone().unwrap_or_else(defaults);
        let text = |text: &str| {
            sfv::String::from_string(text.to_owned()).map_err(|(why, _)| why.to_string())
        };

        let items: Vec<Item> = components
            .iter()
            .map(|name| text(name).map(Item::new))
            .collect::<Result<_, _>>()?;

        let mut input = InnerList::new(items);
        let seconds = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let seconds =
            sfv::Integer::try_from(seconds).map_err(|_| "the clock is far ahead".to_owned())?;

        let mut set = |name: &str, value: BareItem| {
            let key = sfv::Key::from_string(name.to_owned()).expect("a parameter of RFC 9421");
            input.params.insert(key, value);
        };

        set("created", seconds.into());
        if let Some(id) = self.key_ids.first() {
            set("keyid", text(id)?.into());
        }

        set("alg", text(name(self.algorithm))?.into());
        if let Some(tag) = &self.tag {
            set("tag", text(tag)?.into());
        }

        let shown = Shown {
            input: &input,
            signature: &[],
        };

        let base = shown
            .signature_base(&View::new(draft, public_url))
            .map_err(|refusal| refusal.to_string())?;

        let signature = match self.algorithm {
            Algorithm::HmacSha256 => mac(Algorithm::HmacSha256, key, base.as_bytes()),
            Algorithm::Ed25519 => {
                let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(key);
                let pair = pair.map_err(|_| "the secret is no Ed25519 private key (PKCS#8)")?;
                pair.sign(base.as_bytes()).as_ref().to_vec()
            }
            other => return Err(format!("requests with {} cannot be made here", name(other))),
        };

        let label = self.label.as_deref().unwrap_or("sig1");
        put(
            draft,
            &ValueLocation::Header(INPUT.into()),
            &format!("{label}={}", serialized(&input)),
        )?;

        put(
            draft,
            &ValueLocation::Header(SIGNATURE.into()),
            &format!("{label}=:{}:", STANDARD.encode(signature)),
        )
    }
}

// === impl Shown ===

impl<'a> Shown<'a> {
    fn find(
        inputs: &'a Dictionary,
        signatures: &'a Dictionary,
        label: &str,
    ) -> Result<Shown<'a>, Refusal> {
        let missing = || {
            Refusal::new(
                Reason::MissingSignature,
                format!("no signature `{}`", label.escape_debug()),
            )
        };

        let input = match inputs.get(label).ok_or_else(missing)? {
            ListEntry::InnerList(input) => input,
            ListEntry::Item(_) => {
                return Err(malformed(format!("{INPUT} holds no list of components")));
            }
        };

        let signature = match signatures.get(label).ok_or_else(missing)? {
            ListEntry::Item(Item {
                bare_item: BareItem::ByteSequence(bytes),
                ..
            }) => bytes,
            _ => {
                return Err(malformed(
                    "the signature is no byte sequence (RFC 9651)".into(),
                ));
            }
        };

        Ok(Shown { input, signature })
    }

    /// A parameter that is a string.
    fn text(&self, parameter: &str) -> Option<&'a str> {
        match self.input.params.get(parameter)? {
            BareItem::String(text) => Some(text.as_str()),
            // Another type is no string, and matches nothing that is configured.
            _ => Some(""),
        }
    }

    fn seconds(&self, parameter: &str) -> Result<Option<i128>, Refusal> {
        const SECOND_NS: i128 = 1_000_000_000;

        match self.input.params.get(parameter) {
            None => Ok(None),
            Some(BareItem::Integer(seconds)) => {
                Ok(Some(i128::from(i64::from(*seconds)) * SECOND_NS))
            }
            Some(_) => Err(Refusal::new(
                Reason::MalformedTimestamp,
                format!("parameter {parameter} is not an integer"),
            )),
        }
    }

    fn check_times(&self, window: Window, now: Option<SystemTime>) -> Result<(), Refusal> {
        let created = self.seconds("created")?;
        let created = created.ok_or_else(|| {
            Refusal::new(Reason::MissingTimestamp, "parameter created is missing")
        })?;
        let expires = self.seconds("expires")?;
        let Some(now) = now else { return Ok(()) };

        window::judge(window, created, now)?;
        match expires {
            Some(expires) => window::judge(
                Window {
                    past: Some(Default::default()),
                    future: None,
                },
                expires,
                now,
            ),
            None => Ok(()),
        }
    }

    /// The names of the components, each once.
    fn covered(&self) -> Result<Vec<&'a str>, Refusal> {
        if self.input.items.len() > COMPONENTS_MAX {
            return Err(malformed(format!("more than {COMPONENTS_MAX} components")));
        }

        let mut identifiers: Vec<String> = self.input.items.iter().map(Item::serialize).collect();
        identifiers.sort();
        identifiers.dedup();
        if identifiers.len() < self.input.items.len() {
            return Err(malformed("a component is covered twice".into()));
        }

        self.input.items.iter().map(component_name).collect()
    }

    /// RFC 9421 section 2.5.
    fn signature_base(&self, view: &View<'_>) -> Result<String, Refusal> {
        let mut lines = Vec::with_capacity(self.input.items.len() + 1);
        for item in &self.input.items {
            lines.push(format!(
                "{}: {}",
                item.serialize(),
                component_value(item, view)?
            ));
        }

        lines.push(format!("\"@signature-params\": {}", serialized(self.input)));
        Ok(lines.join("\n"))
    }
}

fn component_name(item: &Item) -> Result<&str, Refusal> {
    match &item.bare_item {
        BareItem::String(name) => Ok(name.as_str()),
        _ => Err(malformed("a component has no name".into())),
    }
}

fn component_value(item: &Item, view: &View<'_>) -> Result<String, Refusal> {
    let name = component_name(item)?;
    if name == "@query-param" {
        return query_param(item, view);
    }

    if let Some((parameter, _)) = item.params.first() {
        return Err(malformed(format!(
            "component {name} with `{}` is not supported",
            parameter.as_str()
        )));
    }

    let called = called(view);
    Ok(match name {
        "@method" => view.request.method.to_string(),
        "@target-uri" => view.url()?,
        "@authority" => authority(view)?,
        "@scheme" => match called.scheme {
            Some(scheme) => scheme,
            None => view.url()?,
        },
        "@path" => called.path,
        "@query" => format!("?{}", called.query.unwrap_or_default()),
        "@request-target" => match called.query {
            Some(query) => format!("{}?{query}", called.path),
            None => called.path,
        },
        _ if name.starts_with('@') => {
            return Err(malformed(format!("component {name} is not of a request")));
        }
        _ if name.bytes().any(|byte| byte.is_ascii_uppercase()) => {
            return Err(malformed(format!("component {name} is not in lower case")));
        }
        _ => field(view, name).ok_or_else(|| {
            Refusal::new(
                Reason::SignatureMismatch,
                format!("covered header {name} is missing"),
            )
        })??,
    })
}

/// All values of a header, in their order; none where there is none.
fn field(view: &View<'_>, name: &str) -> Option<Result<String, Refusal>> {
    let mut values = view.request.headers.get_all(name).iter().peekable();
    values.peek()?;
    let text = |value: &http::HeaderValue| {
        let text = std::str::from_utf8(value.as_bytes()).map(|text| text.trim_ascii().to_owned());
        text.map_err(|_| malformed(format!("header {name} is not text")))
    };

    Some(
        values
            .map(text)
            .collect::<Result<Vec<_>, _>>()
            .map(|values| values.join(", ")),
    )
}

/// RFC 9421 section 2.2.8.
fn query_param(item: &Item, view: &View<'_>) -> Result<String, Refusal> {
    let asked = match item.params.first() {
        Some((key, BareItem::String(name))) if key.as_str() == "name" && item.params.len() == 1 => {
            name.as_str()
        }
        _ => return Err(malformed("@query-param without a name".into())),
    };

    let escape = |text: &str| utf8_percent_encode(text, FORM_VALUE).to_string();
    let query = called(view).query.unwrap_or_default();
    let mut values =
        url::form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| escape(name) == asked);

    match (values.next(), values.next()) {
        (Some((_, value)), None) => Ok(escape(&value)),
        _ => Err(malformed(format!(
            "query parameter {} is not there exactly once",
            asked.escape_debug()
        ))),
    }
}

/// The URL that was called, as far as it is known.
struct Called {
    /// None where the operator has not said it: the request itself does not tell.
    scheme: Option<String>,
    authority: Option<String>,
    path: String,
    query: Option<String>,
}

/// The operator's word for the URL where there is one, else what the request says.
fn called(view: &View<'_>) -> Called {
    let Ok(url) = view.url() else {
        let (path, query) = (view.request.path.clone(), view.request.query.clone());
        return Called {
            scheme: None,
            authority: None,
            path,
            query,
        };
    };

    let (scheme, rest) = url.split_once("://").unwrap_or(("", &url));
    let (authority, rest) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let (path, query) = rest
        .split_once('?')
        .map_or((rest, None), |(path, query)| (path, Some(query.to_owned())));

    Called {
        scheme: Some(scheme.to_ascii_lowercase()),
        authority: Some(authority.to_owned()),
        path: if path.is_empty() {
            "/".into()
        } else {
            path.to_owned()
        },
        query,
    }
}

/// In lower case, without the port of the scheme.
fn authority(view: &View<'_>) -> Result<String, Refusal> {
    let called = called(view);
    let authority = match called.authority {
        Some(authority) => authority,
        None => field(view, "host")
            .ok_or_else(|| malformed("the request has no Host header".into()))??,
    };

    let authority = authority.to_ascii_lowercase();
    let standard = if called.scheme.as_deref() == Some("http") {
        ":80"
    } else {
        ":443"
    };

    Ok(authority
        .strip_suffix(standard)
        .unwrap_or(&authority)
        .to_owned())
}

/// Every digest of a known algorithm is right, and there is one.
fn check_digest(view: &View<'_>) -> Result<(), Refusal> {
    let digests = dictionary(view, DIGEST, Reason::BodyHashMissing)?;
    let body = &view.request.body;
    let mut is_bound = false;

    for (algorithm, value) in &digests {
        let computed = match algorithm.as_str() {
            "sha-256" => Sha256::digest(body).to_vec(),
            "sha-512" => Sha512::digest(body).to_vec(),
            _ => continue,
        };

        let is_right = matches!(value, ListEntry::Item(Item { bare_item: BareItem::ByteSequence(given), .. })
            if same(&computed, given));
        if !is_right {
            return Err(Refusal::new(
                Reason::BodyHashMismatch,
                format!("{DIGEST} is of another body"),
            ));
        }

        is_bound = true;
    }

    if is_bound {
        Ok(())
    } else {
        Err(Refusal::new(
            Reason::BodyHashMissing,
            format!("{DIGEST} has neither sha-256 nor sha-512"),
        ))
    }
}

fn dictionary(view: &View<'_>, name: &str, absent: Reason) -> Result<Dictionary, Refusal> {
    let text = field(view, name)
        .ok_or_else(|| Refusal::new(absent, format!("header {name} is missing")))??;
    Parser::new(&text)
        .parse::<Dictionary>()
        .map_err(|why| malformed(format!("header {name} is no dictionary (RFC 9651): {why}")))
}

fn serialized(list: &InnerList) -> String {
    vec![ListEntry::InnerList(list.clone())]
        .serialize()
        .unwrap_or_default()
}

/// In the registry of RFC 9421.
fn name(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::HmacSha256 => "hmac-sha256",
        Algorithm::Ed25519 => "ed25519",
        Algorithm::EcdsaP256Sha256 => "ecdsa-p256-sha256",
        Algorithm::RsaPkcs1v15Sha256 => "rsa-v1_5-sha256",
        Algorithm::RsaPssSha512 => "rsa-pss-sha512",
        _ => "another",
    }
}

/// Whether message signatures can be made with it.
pub fn is_known(algorithm: Algorithm) -> bool {
    name(algorithm) != "another"
}

fn is_made_by(algorithm: Algorithm, key: &[u8], base: &[u8], signature: &[u8]) -> bool {
    match algorithm {
        Algorithm::HmacSha256 => same(&mac(algorithm, key, base), signature),
        // The RFC writes both numbers side by side, not in DER.
        Algorithm::EcdsaP256Sha256 => is_fixed_ecdsa_signed(key, base, signature),
        _ => is_signed(algorithm, key, base, signature),
    }
}

#[cfg(test)]
#[path = "http_message_signatures_tests.rs"]
mod tests;
