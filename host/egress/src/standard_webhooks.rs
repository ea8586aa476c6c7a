//! Signatures of outgoing calls by the Standard Webhooks specification.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Why a call cannot be signed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SignError {
    #[error("the secret of standard_webhooks is `whsec_` and base64")]
    Secret,
    #[error(
        "the Idempotency-Key becomes the webhook-id of standard_webhooks, which must not contain \
         `.`"
    )]
    Id,
}

/// The headers that sign a body.
pub(crate) fn headers(
    secret: &str,
    id: &str,
    seconds: i64,
    body: &[u8],
) -> Result<[(&'static str, String); 3], SignError> {
    let encoded = secret.strip_prefix("whsec_").unwrap_or(secret);
    let key = STANDARD.decode(encoded).map_err(|_| SignError::Secret)?;
    // A dot ends the id in the signed text. An id with a dot would have the same signature as
    // another id and time.
    if id.contains('.') {
        return Err(SignError::Id);
    }

    let seconds = seconds.to_string();
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).expect("HMAC takes keys of any length");
    for part in [id.as_bytes(), b".", seconds.as_bytes(), b".", body] {
        mac.update(part);
    }

    let signature = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
    Ok([
        ("webhook-id", id.to_owned()),
        ("webhook-timestamp", seconds),
        ("webhook-signature", signature),
    ])
}
