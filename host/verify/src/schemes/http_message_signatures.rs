//! HTTP message signatures (RFC 9421) of a request, with the digest of its body in `Content-Digest`
//! (RFC 9530). The hook pins the algorithm and the components that a signature must cover. The
//! sender may cover more.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::signature::Ed25519KeyPair;
use sfv::{BareItem, Dictionary, FieldType, InnerList, Item, ListEntry, Parser};
use sha2::{Digest, Sha256, Sha512};

use super::common::mismatch;
use super::http_components::{component_name, component_value, field};
use crate::algorithm::{is_fixed_ecdsa_signed, is_signed, mac, same};
use crate::edit::put;
use crate::keys::VerifyContext;
use crate::refusal::{Reason, Refusal, malformed};
use crate::request::Unverified;
use crate::sign_error::SignError;
use crate::view::{PublicUrl, View};
use crate::window::{self, Window};
use landfall_model::{Algorithm, ValueLocation};

const SECOND_NS: i128 = 1_000_000_000;

/// The most signatures of one request that are tried.
const SIGNATURES_MAX: usize = 8;
/// The most components that one signature may cover.
pub(crate) const COMPONENTS_MAX: usize = 64;
const INPUT: &str = "signature-input";
const SIGNATURE: &str = "signature";
const DIGEST: &str = "content-digest";

/// The rules for message signatures of one hook.
#[derive(Debug, Clone, PartialEq)]
pub struct MessageSignatures {
    /// The only accepted algorithm.
    pub(crate) algorithm: Algorithm,
    /// Components that must be covered; `None` means method, target, and the digest of a body.
    pub(crate) components: Option<Vec<String>>,
    /// The label of the signature; `None` accepts any.
    pub(crate) label: Option<String>,
    /// The required `tag`.
    pub(crate) tag: Option<String>,
    /// The `keyid` of each secret, in the same order. If empty, any secret may match.
    pub(crate) key_ids: Vec<String>,
}

/// One signature of a request.
struct Shown<'a> {
    input: &'a InnerList,
    signature: &'a [u8],
}

// === impl MessageSignatures ===

impl MessageSignatures {
    /// Checks the request. Returns the index of the secret that matched. `window` is the time
    /// window of `created`.
    pub(crate) fn check(
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

    /// Whether every accepted signature covers the digest of the body.
    pub(crate) fn covers_body(&self) -> bool {
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

        let covered = shown.covered_components()?;
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

    /// Checks that the signature covers every required component.
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
    pub(crate) fn sign(
        &self,
        public_url: Option<&PublicUrl>,
        draft: &mut Unverified,
        key: &[u8],
        now: SystemTime,
    ) -> Result<(), SignError> {
        if !draft.body.is_empty() {
            let digest = format!("sha-256=:{}:", STANDARD.encode(Sha256::digest(&draft.body)));
            put(draft, &ValueLocation::Header(DIGEST.into()), &digest)?;
        }

        let defaults = || {
            // A receiver without `public_url` can check these components too.
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
        let seconds = sfv::Integer::try_from(seconds).map_err(|_| "the clock is far ahead")?;

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
                let pair = pair.map_err(|_| {
                    SignError::Secret("the secret is not an Ed25519 private key (PKCS#8)".into())
                })?;
                pair.sign(base.as_bytes()).as_ref().to_vec()
            }
            other => {
                return Err(format!("requests with {} cannot be made here", name(other)).into());
            }
        };

        let label = self.label.as_deref().unwrap_or("sig1");
        put(
            draft,
            &ValueLocation::Header(INPUT.into()),
            &format!("{label}={}", serialize(&input)),
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
                return Err(malformed(format!(
                    "{INPUT} does not contain a list of components"
                )));
            }
        };

        let signature = match signatures.get(label).ok_or_else(missing)? {
            ListEntry::Item(Item {
                bare_item: BareItem::ByteSequence(bytes),
                ..
            }) => bytes,
            _ => {
                return Err(malformed(
                    "the signature is not a byte sequence (RFC 9651)".into(),
                ));
            }
        };

        Ok(Shown { input, signature })
    }

    /// The value of a string parameter.
    fn text(&self, parameter: &str) -> Option<&'a str> {
        match self.input.params.get(parameter)? {
            BareItem::String(text) => Some(text.as_str()),
            // A value of another type matches nothing that is configured.
            _ => Some(""),
        }
    }

    fn seconds(&self, parameter: &str) -> Result<Option<i128>, Refusal> {
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

        window::check_time(window, created, now)?;
        match expires {
            Some(expires) => window::check_time(
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

    /// The names of the covered components. Each may occur once.
    fn covered_components(&self) -> Result<Vec<&'a str>, Refusal> {
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

    /// The signature base (RFC 9421 section 2.5).
    fn signature_base(&self, view: &View<'_>) -> Result<String, Refusal> {
        let mut lines = Vec::with_capacity(self.input.items.len() + 1);
        for item in &self.input.items {
            lines.push(format!(
                "{}: {}",
                item.serialize(),
                component_value(item, view)?
            ));
        }

        lines.push(format!("\"@signature-params\": {}", serialize(self.input)));
        Ok(lines.join("\n"))
    }
}

/// Checks that there is a digest of a known algorithm, and that all of them match the body.
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
    Parser::new(&text).parse::<Dictionary>().map_err(|why| {
        malformed(format!(
            "header {name} is not a dictionary (RFC 9651): {why}"
        ))
    })
}

fn serialize(list: &InnerList) -> String {
    vec![ListEntry::InnerList(list.clone())]
        .serialize()
        .unwrap_or_default()
}

/// The algorithm's name in the registry of RFC 9421.
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

/// Whether the algorithm can sign messages.
pub(crate) fn is_known(algorithm: Algorithm) -> bool {
    name(algorithm) != "another"
}

fn is_made_by(algorithm: Algorithm, key: &[u8], base: &[u8], signature: &[u8]) -> bool {
    match algorithm {
        Algorithm::HmacSha256 => same(&mac(algorithm, key, base), signature),
        // The RFC uses the fixed-length form, not DER.
        Algorithm::EcdsaP256Sha256 => is_fixed_ecdsa_signed(key, base, signature),
        _ => is_signed(algorithm, key, base, signature),
    }
}

#[cfg(test)]
#[path = "http_message_signatures_tests.rs"]
mod tests;
