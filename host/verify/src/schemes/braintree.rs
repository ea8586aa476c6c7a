//! Braintree: `bt_signature` contains key ids and HMAC-SHA1 digests of the form field `bt_payload`.
//! The key is the SHA-1 of the private key. Source: braintree_python, webhook_notification_gateway.

use super::common::{mismatch, of_length};
use crate::algorithm::{mac, same};
use crate::edit::put;
use crate::keys::Keys;
use crate::refusal::{Reason, Refusal, malformed};
use crate::request::Unverified;
use crate::sign_error::SignError;
use crate::view::View;
use landfall_model::{Algorithm, ValueLocation};

pub(crate) fn check(public_key: &str, view: &View<'_>, keys: &Keys) -> Result<usize, Refusal> {
    let signature = form_field(view, "bt_signature", Reason::MissingSignature)?;
    let payload = form_field(view, "bt_payload", Reason::MalformedBody)?;
    if !payload
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"+=/\n".contains(&byte))
    {
        return Err(Refusal::new(
            Reason::MalformedBody,
            "bt_payload contains characters that are not base64",
        ));
    }

    if (20..=32).contains(&payload.len()) && payload.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        // Any caller can have such a text signed by sending it in an ownership check.
        return Err(Refusal::new(
            Reason::MalformedBody,
            "bt_payload could be an answer to an ownership check",
        ));
    }

    let pairs = signature.split('&').filter_map(|pair| pair.split_once('|'));
    let ours = pairs
        .filter(|(id, _)| *id == public_key)
        .map(|(_, digest)| digest)
        .next()
        .ok_or_else(|| {
            Refusal::new(
                Reason::UnsupportedSignatureVersion,
                "no digest for config.public_key in bt_signature",
            )
        })?;

    let given = of_length(hex::decode(ours).map_err(|_| malformed("not hex"))?, 20)?;

    let ended = format!("{payload}\n");
    keys.find(|_, key| {
        let digests = [&payload, &ended].map(|text| mac(Algorithm::HmacSha1, key, text.as_bytes()));
        Ok(same(&digests[0], &given) | same(&digests[1], &given))
    })?
    .ok_or_else(mismatch)
}

fn form_field(view: &View<'_>, name: &str, absent: Reason) -> Result<String, Refusal> {
    let found = view.find(&ValueLocation::Form(name.into()), false).ok();
    let found = found.and_then(|bytes| String::from_utf8(bytes.into_owned()).ok());
    found.ok_or_else(|| Refusal::new(absent, format!("form field {name} is missing")))
}

/// Signs a draft whose body is `bt_payload=…`.
pub(crate) fn sign(public_key: &str, draft: &mut Unverified, key: &[u8]) -> Result<(), SignError> {
    let payload = url::form_urlencoded::parse(&draft.body).find(|(name, _)| name == "bt_payload");
    let payload = payload
        .ok_or("the body must be a form with bt_payload")?
        .1
        .into_owned();

    let digest = hex::encode(mac(Algorithm::HmacSha1, key, payload.as_bytes()));
    put(
        draft,
        &ValueLocation::Form("bt_signature".into()),
        &format!("{public_key}|{digest}"),
    )
}
