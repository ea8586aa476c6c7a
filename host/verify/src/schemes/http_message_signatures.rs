//! HTTP message signatures (RFC 9421) of a request, with the digest of its body in `Content-Digest`
//! (RFC 9530). The hook pins the algorithm and the components that a signature must cover. The
//! sender may cover more.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::signature::Ed25519KeyPair;
use sfv::{BareItem, Dictionary, InnerList, Item, ListEntry, Parser};
use sha2::{Digest, Sha256, Sha512};

use super::common::mismatch;
use super::http_components::field;
use super::labelled_signature::{INPUT, LabelledSignature, serialize};
use crate::algorithm::{is_fixed_ecdsa_signed, is_signed, mac, same};
use crate::edit::put;
use crate::keys::VerifyContext;
use crate::refusal::{Reason, Refusal, malformed};
use crate::request::Unverified;
use crate::sign_error::SignError;
use crate::view::{PublicUrl, View};
use crate::window::Window;
use landfall_model::{Algorithm, ValueLocation};

/// The most signatures of one request that are tried.
const SIGNATURES_MAX: usize = 8;
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
            let verdict = LabelledSignature::find(&inputs, &signatures, label)
                .and_then(|presented| self.check_one(&presented, window, view, context));
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
        presented: &LabelledSignature<'_>,
        window: Window,
        view: &View<'_>,
        context: &VerifyContext<'_>,
    ) -> Result<usize, Refusal> {
        if presented
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

        if self.tag.is_some() && presented.text("tag") != self.tag.as_deref() {
            return Err(Refusal::new(
                Reason::AudienceMismatch,
                "the signature has another tag than the configured one",
            ));
        }

        let covered = presented.covered_components()?;
        self.check_coverage(&covered, view)?;
        let length = match self.algorithm {
            Algorithm::HmacSha256 => Some(32),
            Algorithm::Ed25519 | Algorithm::EcdsaP256Sha256 => Some(64),
            _ => None,
        };
        if length.is_some_and(|length| length != presented.signature.len()) {
            return Err(malformed(format!(
                "{} bytes instead of {}",
                presented.signature.len(),
                length.unwrap_or_default()
            )));
        }

        presented.check_times(window, context.now)?;
        if covered.contains(&DIGEST) {
            check_digest(view)?;
        }

        let base = presented.signature_base(view)?;
        let key_id = presented.text("keyid");
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

        context
            .keys
            .find(|place, key| {
                let is_named = self.key_ids.is_empty()
                    || self.key_ids.get(place).map(String::as_str) == key_id;
                Ok(is_named
                    && is_made_by(self.algorithm, key, base.as_bytes(), presented.signature))
            })?
            .ok_or_else(mismatch)
    }

    /// Checks that the signature covers every required component.
    fn check_coverage(&self, covered: &[&str], view: &View<'_>) -> Result<(), Refusal> {
        let missing = match &self.components {
            Some(needed) => needed
                .iter()
                .map(String::as_str)
                .find(|name| !covered.contains(name)),
            None => missing_default(covered, view),
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

    /// The components and parameters of the signature of a draft.
    fn signature_input(&self, draft: &Unverified, now: SystemTime) -> Result<InnerList, SignError> {
        let components = match &self.components {
            Some(components) => components.iter().map(String::as_str).collect(),
            None => default_components(draft),
        };
        let items: Vec<Item> = components
            .into_iter()
            .map(|name| string_item(name).map(Item::new))
            .collect::<Result<_, _>>()?;

        let mut input = InnerList::new(items);
        let seconds = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let seconds = sfv::Integer::try_from(seconds).map_err(|_| "the clock is far ahead")?;
        set_parameter(&mut input, "created", seconds);
        if let Some(id) = self.key_ids.first() {
            set_parameter(&mut input, "keyid", string_item(id)?);
        }

        set_parameter(&mut input, "alg", string_item(name(self.algorithm))?);
        if let Some(tag) = &self.tag {
            set_parameter(&mut input, "tag", string_item(tag)?);
        }

        Ok(input)
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

        let input = self.signature_input(draft, now)?;
        let presented = LabelledSignature {
            input: &input,
            signature: &[],
        };

        let base = presented
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

/// Components that a receiver without `public_url` can check too.
fn default_components(draft: &Unverified) -> Vec<&'static str> {
    let mut components = vec!["@method", "@authority", "@path", "@query"];
    if !draft.body.is_empty() {
        components.push(DIGEST);
    }

    components
}

/// The first component that a signature must cover if the hook lists none, and does not.
fn missing_default(covered: &[&str], view: &View<'_>) -> Option<&'static str> {
    let has_query = view.request.query.is_none() || covered.contains(&"@query");
    let has_path = covered.contains(&"@path") && has_query;
    let has_target = covered.contains(&"@target-uri")
        || (covered.contains(&"@authority") && (covered.contains(&"@request-target") || has_path));

    if !covered.contains(&"@method") {
        Some("@method")
    } else if !has_target {
        Some("@target-uri")
    } else if !view.request.body.is_empty() && !covered.contains(&DIGEST) {
        Some(DIGEST)
    } else {
        None
    }
}

fn string_item(text: &str) -> Result<sfv::String, SignError> {
    sfv::String::from_string(text.to_owned()).map_err(|(why, _)| why.to_string().into())
}

fn set_parameter(input: &mut InnerList, name: &str, value: impl Into<BareItem>) {
    let key = sfv::Key::from_string(name.to_owned()).expect("a parameter of RFC 9421");
    input.params.insert(key, value.into());
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
#[path = "http_message_signatures_tests/mod.rs"]
mod tests;
