//! Adyen standard webhooks: each item of a batch carries an HMAC-SHA256 over chosen fields of itself. Source:
//! docs.adyen.com, "Verify HMAC signatures".

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::super::algorithm::{mac, same};
use super::super::check::Keys;
use super::super::refusal::{Reason, Refusal};
use super::super::request::Unverified;
use super::super::sign::put_json;
use super::super::view::View;
use super::{from_base64, mismatch, of_length};
use crate::model::Algorithm;

const FIELDS: [&str; 8] = [
    "/pspReference",
    "/originalReference",
    "/merchantAccountCode",
    "/merchantReference",
    "/amount/value",
    "/amount/currency",
    "/eventCode",
    "/success",
];

/// Every item must be signed, and all by one key.
pub fn check(view: &View<'_>, keys: &Keys) -> Result<usize, Refusal> {
    let malformed = |why: &str| Refusal::new(Reason::MalformedBody, format!("the body {why}"));
    let body = view.json().ok_or_else(|| malformed("is not JSON"))?;
    let items = body.pointer("/notificationItems").and_then(Value::as_array);
    let items = items.filter(|items| !items.is_empty()).ok_or_else(|| malformed("has no notificationItems"))?;
    let signed: Vec<(String, Vec<u8>)> = items.iter().map(signed_item).collect::<Result<_, _>>()?;
    let is_right = |key: &[u8]| {
        let is_one = |(text, given): &(String, Vec<u8>)| same(&mac(Algorithm::HmacSha256, key, text.as_bytes()), given);
        signed.iter().fold(true, |all, item| is_one(item) & all)
    };
    keys.find(|_, key| Ok(is_right(key)))?.ok_or_else(mismatch)
}

fn signed_item(item: &Value) -> Result<(String, Vec<u8>), Refusal> {
    let item = item.get("NotificationRequestItem").unwrap_or(item);
    let given = item.pointer("/additionalData/hmacSignature").and_then(Value::as_str);
    let missing = || Refusal::new(Reason::MissingSignature, "additionalData.hmacSignature is missing");
    let given = of_length(from_base64(given.filter(|text| !text.is_empty()).ok_or_else(missing)?)?, 32)?;
    Ok((signed_text(item), given))
}

fn signed_text(item: &Value) -> String {
    let text = |pointer: &&str| match item.pointer(pointer) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) | None => String::new(),
        Some(other) => other.to_string(),
    };
    FIELDS.iter().map(text).collect::<Vec<_>>().join(":")
}

/// Signs every item of a draft.
pub fn sign(draft: &mut Unverified, key: &[u8]) -> Result<(), String> {
    let mut body: Value = serde_json::from_slice(&draft.body).map_err(|_| "the body must be JSON")?;
    let items = body.pointer_mut("/notificationItems").and_then(Value::as_array_mut);
    for item in items.ok_or("the body must have notificationItems")? {
        let item = match item.get_mut("NotificationRequestItem").is_some() {
            true => &mut item["NotificationRequestItem"],
            false => item,
        };
        let signature = STANDARD.encode(mac(Algorithm::HmacSha256, key, signed_text(item).as_bytes()));
        put_json(item, "/additionalData/hmacSignature", signature.into());
    }
    draft.body = body.to_string().into();
    Ok(())
}
