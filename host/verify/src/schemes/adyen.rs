//! Adyen standard webhooks: each item of a batch carries an HMAC-SHA256 over chosen fields of
//! itself. Source: docs.adyen.com, "Verify HMAC signatures".

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::common::{from_base64, malformed_body, mismatch, of_length};
use crate::algorithm::{mac, same};
use crate::edit::put_json;
use crate::keys::Keys;
use crate::refusal::{Reason, Refusal};
use crate::request::Unverified;
use crate::sign_error::SignError;
use crate::view::View;
use landfall_model::Algorithm;

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

/// Where the signature of each item is: with the wrapper of the item, and without.
pub(crate) const SIGNATURES: [&str; 2] = [
    "/notificationItems/*/NotificationRequestItem/additionalData/hmacSignature",
    "/notificationItems/*/additionalData/hmacSignature",
];

/// Every item must be signed, all with the same key.
pub(crate) fn check(view: &View<'_>, keys: &Keys) -> Result<usize, Refusal> {
    let body = view.json().ok_or_else(|| malformed_body("is not JSON"))?;
    let items = body.pointer("/notificationItems").and_then(Value::as_array);
    let items = items
        .filter(|items| !items.is_empty())
        .ok_or_else(|| malformed_body("has no notificationItems"))?;
    let signed: Vec<(String, Vec<u8>)> = items.iter().map(signed_item).collect::<Result<_, _>>()?;

    keys.find(|_, key| {
        Ok(signed.iter().fold(true, |all, (text, given)| {
            same(&mac(Algorithm::HmacSha256, key, text.as_bytes()), given) & all
        }))
    })?
    .ok_or_else(mismatch)
}

fn signed_item(item: &Value) -> Result<(String, Vec<u8>), Refusal> {
    let item = item.get("NotificationRequestItem").unwrap_or(item);
    let given = item
        .pointer("/additionalData/hmacSignature")
        .and_then(Value::as_str);

    let given = given.filter(|text| !text.is_empty()).ok_or_else(|| {
        Refusal::new(
            Reason::MissingSignature,
            "additionalData.hmacSignature is missing",
        )
    })?;
    let given = of_length(from_base64(given)?, 32)?;

    check_cuts(item)?;
    Ok((signed_text(item), given))
}

/// Adyen joins the fields with colons and does not escape them. Only `merchantReference`, which the
/// merchant chooses, may contain colons: with two such fields, several items would have the same
/// signed text.
fn check_cuts(item: &Value) -> Result<(), Refusal> {
    let fixed = FIELDS
        .iter()
        .filter(|pointer| **pointer != "/merchantReference");

    match fixed
        .into_iter()
        .find(|pointer| field(item, pointer).contains(':'))
    {
        Some(pointer) => {
            let detail = format!(
                "{} holds a colon, which separates the signed fields",
                &pointer[1..]
            );

            Err(Refusal::new(Reason::MalformedBody, detail))
        }
        None => Ok(()),
    }
}

fn signed_text(item: &Value) -> String {
    FIELDS
        .iter()
        .map(|pointer| field(item, pointer))
        .collect::<Vec<_>>()
        .join(":")
}

fn field(item: &Value, pointer: &str) -> String {
    match item.pointer(pointer) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) | None => String::new(),
        Some(other) => other.to_string(),
    }
}

/// Signs every item of a draft.
pub(crate) fn sign(draft: &mut Unverified, key: &[u8]) -> Result<(), SignError> {
    let mut body: Value =
        serde_json::from_slice(&draft.body).map_err(|_| "the body must be JSON")?;
    let items = body
        .pointer_mut("/notificationItems")
        .and_then(Value::as_array_mut);

    for item in items.ok_or("the body must have notificationItems")? {
        let item = if item.get_mut("NotificationRequestItem").is_some() {
            &mut item["NotificationRequestItem"]
        } else {
            item
        };

        let signature = STANDARD.encode(mac(
            Algorithm::HmacSha256,
            key,
            signed_text(item).as_bytes(),
        ));

        put_json(item, "/additionalData/hmacSignature", signature.into());
    }

    draft.body = body.to_string().into();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(account: &str, reference: &str, code: &str) -> Value {
        serde_json::json!({
            "pspReference": "1",
            "merchantAccountCode": account,
            "merchantReference": reference,
            "amount": { "value": 1, "currency": "EUR" },
            "eventCode": code,
            "success": "true",
        })
    }

    fn cut(item: &Value) -> Result<(), Reason> {
        check_cuts(item).map_err(|refusal| refusal.reason)
    }

    #[test]
    fn colons_move_no_field() {
        let (honest, moved) = (item("shop", "a:b", "REFUND"), item("shop:a", "b", "REFUND"));
        assert_eq!(signed_text(&honest), signed_text(&moved));
        assert_eq!(
            (cut(&honest), cut(&moved)),
            (Ok(()), Err(Reason::MalformedBody))
        );

        assert_eq!(
            cut(&item("shop", "a", "1:REFUND")),
            Err(Reason::MalformedBody)
        );
    }
}
