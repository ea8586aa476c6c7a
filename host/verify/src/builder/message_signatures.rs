//! Rules of `scheme = "http-message-signatures"`.

use super::error::{BuildError, wrong};
use super::urls::{NEEDS_HOST, names_url};
use crate::schemes::{COMPONENTS_MAX, MessageSignatures, is_message_algorithm};
use landfall_model::{MessageSignatureSpec, VerifySpec};

const ALGORITHMS: &str = "hmac-sha256, ed25519, ecdsa-p256-sha256, rsa-v1_5-sha256, rsa-pss-sha512";

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

/// Rejects components that a signature over a request cannot cover: every request would be refused.
fn check_components(components: Option<&[String]>, spec: &VerifySpec) -> Result<(), BuildError> {
    for name in components.into_iter().flatten() {
        match name.as_str() {
            "signature" | "signature-input" => {
                return unsupported(name, "cannot be covered: it holds the signature itself");
            }
            name if name.starts_with('@') && !DERIVED.contains(&name) => {
                return unsupported(
                    name,
                    &format!(
                        "is not part of a request: one of {}, or a header",
                        DERIVED.join(", ")
                    ),
                );
            }
            name if name.starts_with('@') => {}
            name if name.bytes().any(|byte| byte.is_ascii_uppercase()) => {
                return unsupported(name, "must be written in lower case");
            }
            name if name.parse::<http::HeaderName>().is_err() => {
                return unsupported(name, "is not a header name");
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

    // The sender chooses the `Host` header. Without `public_url`, a request signed for another
    // receiver would be accepted.
    if components.is_none_or(|names| names.iter().any(|name| needs_url(name))) && !names_url(spec) {
        return Err(wrong("public_url", NEEDS_HOST));
    }

    Ok(())
}

fn needs_url(name: &str) -> bool {
    ["@authority", "@target-uri", "@scheme"].contains(&name)
}

fn unsupported(name: &str, why: &str) -> Result<(), BuildError> {
    Err(wrong(
        "message_signature",
        format!("component `{}` {why}", name.escape_debug()),
    ))
}

/// Whether a text is a string of RFC 9651 that is not empty.
fn is_string(text: &str) -> bool {
    !text.is_empty() && sfv::StringRef::from_str(text).is_ok()
}

/// Rejects a label, tag or key id that the header cannot contain.
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

    let texts = rules
        .tag
        .iter()
        .map(|tag| ("tag", tag))
        .chain(rules.key_ids.iter().map(|id| ("key_ids", id)));

    match texts.into_iter().find(|(_, text)| !is_string(text)) {
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
