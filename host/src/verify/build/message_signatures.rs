//! Rules of `scheme = "http-message-signatures"`.

use super::super::schemes::{MessageSignatures, is_message_algorithm};
use super::urls::{NEEDS_URL, names_url};
use super::{BuildError, wrong};
use crate::model::VerifySpec;

pub(super) fn build(spec: &VerifySpec) -> Result<MessageSignatures, BuildError> {
    const ALGORITHMS: &str = "hmac-sha256, ed25519, ecdsa-p256-sha256, rsa-v1_5-sha256, rsa-pss-sha512";
    let algorithm = spec.algorithm.filter(|algorithm| is_message_algorithm(*algorithm));
    let algorithm = algorithm.ok_or_else(|| wrong("algorithm", format!("algorithm must be one of {ALGORITHMS}")))?;
    let rules = spec.message_signature.clone().unwrap_or_default();
    let needs_url = |name: &String| ["@target-uri", "@scheme"].contains(&name.as_str());
    if rules.components.iter().flatten().any(needs_url) && !names_url(spec) {
        return Err(wrong("public_url", NEEDS_URL));
    }
    let is_name = |name: &String| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"');
    if let Some(bad) = rules.components.iter().flatten().find(|name| !is_name(name) || name.to_lowercase() != **name) {
        return Err(wrong("message_signature", format!("component `{}` is not a lower-case name", bad.escape_debug())));
    }
    if rules.components.as_ref().is_some_and(Vec::is_empty) {
        return Err(wrong("message_signature", "components is empty: nothing of the request would be signed"));
    }
    if !rules.key_ids.is_empty() && !spec.secret.is_empty() && rules.key_ids.len() != spec.secret.len() {
        return Err(wrong("message_signature", "key_ids must have one id for each secret, in the same order"));
    }
    Ok(MessageSignatures {
        algorithm,
        components: rules.components,
        label: rules.label,
        tag: rules.tag,
        key_ids: rules.key_ids,
    })
}
