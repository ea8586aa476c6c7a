//! Rules of `scheme = "http-message-signatures"`.

use super::error::{BuildError, wrong};
use super::urls::{NEEDS_HOST, names_url};
use crate::schemes::{COMPONENTS_MAX, MessageSignatures, is_message_algorithm};
use landfall_model::{MessageSignatureSpec, VerifySpec};

/// Derived components of a request (RFC 9421 section 2.2).
const DERIVED: [&str; 8] = [
    "@method",
    "@target-uri",
    "@authority",
    "@scheme",
    "@request-target",
    "@path",
    "@query",
    "@query-param",
];

pub(super) fn build(spec: &VerifySpec) -> Result<MessageSignatures, BuildError> {
    const ALGORITHMS: &str =
        "hmac-sha256, ed25519, ecdsa-p256-sha256, rsa-v1_5-sha256, rsa-pss-sha512";

    let algorithm = spec
        .algorithm
        .filter(|algorithm| is_message_algorithm(*algorithm));

    let algorithm = algorithm.ok_or_else(|| {
        wrong(
            "algorithm",
            format!("algorithm must be one of {ALGORITHMS}"),
        )
    })?;

    let rules = spec.message_signature.clone().unwrap_or_default();
    check_components(rules.components.as_deref(), spec)?;
    check_names(&rules)?;

    if !rules.key_ids.is_empty()
        && !spec.secret.is_empty()
        && rules.key_ids.len() != spec.secret.len()
    {
        return Err(wrong(
            "message_signature",
            "key_ids must have one id for each secret, in the same order",
        ));
    }

    Ok(MessageSignatures {
        algorithm,
        components: rules.components,
        label: rules.label,
        tag: rules.tag,
        key_ids: rules.key_ids,
    })
}

/// Components that a signature over a request cannot cover would refuse every call.
fn check_components(components: Option<&[String]>, spec: &VerifySpec) -> Result<(), BuildError> {
    let refused = |name: &str, why: &str| {
        Err(wrong(
            "message_signature",
            format!("component `{}` {why}", name.escape_debug()),
        ))
    };

    for name in components.into_iter().flatten() {
        match name.as_str() {
            "signature" | "signature-input" => {
                return refused(name, "cannot be covered: it holds the signature itself");
            }
            name if name.starts_with('@') && !DERIVED.contains(&name) => {
                return refused(
                    name,
                    &format!(
                        "is not part of a request: one of {}, or a header",
                        DERIVED.join(", ")
                    ),
                );
            }
            name if name.starts_with('@') => {}
            name if name.bytes().any(|byte| byte.is_ascii_uppercase()) => {
                return refused(name, "must be written in lower case");
            }
            name if name.parse::<http::HeaderName>().is_err() => {
                return refused(name, "is not a header name");
            }
            _ => {}
        }
    }

    match components {
        Some([]) => {
            return Err(wrong(
                "message_signature",
                "components is empty: nothing of the request would be signed",
            ));
        }
        Some(many) if many.len() > COMPONENTS_MAX => {
            return Err(wrong(
                "message_signature",
                format!("components has more than {COMPONENTS_MAX} names"),
            ));
        }
        _ => {}
    }

    // The Host header is the sender's word: a request that was signed for another receiver would be accepted.
    let needs_url =
        |name: &String| ["@authority", "@target-uri", "@scheme"].contains(&name.as_str());
    if components.is_none_or(|names| names.iter().any(needs_url)) && !names_url(spec) {
        return Err(wrong("public_url", NEEDS_HOST));
    }

    Ok(())
}

/// A label, tag or key id that cannot be written in the header would match no signature.
fn check_names(rules: &MessageSignatureSpec) -> Result<(), BuildError> {
    if let Some(label) = rules
        .label
        .as_ref()
        .filter(|label| sfv::KeyRef::from_str(label).is_err())
    {
        return Err(wrong(
            "message_signature",
            format!(
                "label `{}` cannot stand before a signature (RFC 9651): lower-case letters, digits and `_-.*`, beginning \
                 with a letter or `*`",
                label.escape_debug()
            ),
        ));
    }

    let is_text = |text: &&String| !text.is_empty() && sfv::StringRef::from_str(text).is_ok();
    let texts = rules
        .tag
        .iter()
        .map(|tag| ("tag", tag))
        .chain(rules.key_ids.iter().map(|id| ("key_ids", id)));

    match texts.into_iter().find(|(_, text)| !is_text(text)) {
        Some((field, text)) => Err(wrong(
            "message_signature",
            format!(
                "`{}` in {field} is not a text of printable ASCII characters",
                text.escape_debug()
            ),
        )),
        None => Ok(()),
    }
}
