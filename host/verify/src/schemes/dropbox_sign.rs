//! Dropbox Sign: the multipart field `json` contains `event_hash`, the HMAC-SHA256 of time and
//! type. The rest of the body is not signed. Source: developers.hellosign.com, "Event
//! verification".

use serde_json::Value;

use super::common::{malformed_body, mismatch, of_length};
use crate::algorithm::{mac, same};
use crate::edit::{put, put_json};
use crate::keys::Keys;
use crate::refusal::{Reason, Refusal, malformed};
use crate::request::Unverified;
use crate::sign_error::SignError;
use crate::unique_json;
use crate::view::{View, is_readable};
use landfall_model::{Algorithm, ValueLocation};

pub(crate) fn check(view: &View<'_>, keys: &Keys) -> Result<usize, Refusal> {
    let json = multipart_field(view, "json")
        .ok_or_else(|| malformed_body("has not exactly one multipart field `json`"))?;
    if !is_readable(json) {
        return Err(malformed_body(
            "has a field `json` of more parts than a check reads",
        ));
    }

    let json: Value = unique_json::parse(json).ok_or_else(|| {
        malformed_body("has a field `json` that is not JSON, or in which an object has a key twice")
    })?;

    let given = text_at(&json, "/event/event_hash").filter(|text| !text.is_empty());
    let given = given
        .ok_or_else(|| Refusal::new(Reason::MissingSignature, "event.event_hash is missing"))?;

    let given = of_length(hex::decode(given).map_err(|_| malformed("not hex"))?, 32)?;

    let time = text_at(&json, "/event/event_time");
    let time =
        time.ok_or_else(|| Refusal::new(Reason::MissingTimestamp, "event.event_time is missing"))?;
    let kind = text_at(&json, "/event/event_type")
        .ok_or_else(|| malformed_body("has no event.event_type"))?;
    let signed = format!("{time}{kind}");

    keys.find(|_, key| {
        Ok(same(
            &mac(Algorithm::HmacSha256, key, signed.as_bytes()),
            &given,
        ))
    })?
    .ok_or_else(mismatch)
}

/// The text or number at a JSON pointer.
fn text_at(json: &Value, pointer: &str) -> Option<String> {
    match json.pointer(pointer)? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn multipart_field<'a>(view: &'a View<'_>, wanted: &str) -> Option<&'a [u8]> {
    let content_type = std::str::from_utf8(view.header("content-type").ok()?).ok()?;
    let boundary = content_type
        .split(';')
        .find_map(|part| part.trim().strip_prefix("boundary="))?
        .trim_matches('"');

    let separator = format!("--{boundary}");
    let name = format!("name=\"{wanted}\"");
    let body: &'a [u8] = &view.request.body;
    let starts: Vec<usize> = memchr::memmem::find_iter(body, separator.as_bytes()).collect();

    let mut fields = starts.windows(2).filter_map(|pair| {
        let part = &body[pair[0] + separator.len()..pair[1]];
        let end = memchr::memmem::find(part, b"\r\n\r\n")?;
        let head = std::str::from_utf8(&part[..end]).ok()?;

        head.split([';', '\r', '\n'])
            .any(|piece| piece.trim() == name)
            .then(|| part[end + 4..].strip_suffix(b"\r\n"))?
    });

    // The consumer of the event may read the other value.
    match (fields.next(), fields.next()) {
        (Some(one), None) => Some(one),
        _ => None,
    }
}

/// Signs a draft whose body is JSON, and wraps the body as the provider does.
pub(crate) fn sign(draft: &mut Unverified, key: &[u8]) -> Result<(), SignError> {
    let mut json: Value =
        serde_json::from_slice(&draft.body).map_err(|_| "the body must be JSON")?;
    let (time, kind) = text_at(&json, "/event/event_time")
        .zip(text_at(&json, "/event/event_type"))
        .ok_or("the body must have event.event_time and event.event_type")?;

    let digest = hex::encode(mac(
        Algorithm::HmacSha256,
        key,
        format!("{time}{kind}").as_bytes(),
    ));

    put_json(&mut json, "/event/event_hash", digest.into());
    let part = "--landfall\r\nContent-Disposition: form-data; name=\"json\"\r\n\r\n";
    draft.body = format!("{part}{json}\r\n--landfall--\r\n").into();

    put(
        draft,
        &ValueLocation::Header("Content-Type".into()),
        "multipart/form-data; boundary=landfall",
    )
}
