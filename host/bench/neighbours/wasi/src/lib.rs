//! The work of both components: check the HMAC of the body, parse the JSON and answer with it.

use hmac::{Hmac, KeyInit, Mac};
use serde::Serialize;
use serde_json::value::RawValue;
use sha2::Sha256;

#[derive(Serialize)]
struct Answer<'a> {
    hook: &'a str,
    event_id: &'a str,
    received: &'a RawValue,
}

/// The answer, or the status of a refusal. The secret is in the variable `SECRET`.
pub fn answer(signature: Option<&str>, body: &[u8]) -> Result<String, u16> {
    let secret = std::env::var("SECRET").map_err(|_| 500_u16)?;
    let signature = signature
        .and_then(|value| value.strip_prefix("sha256="))
        .and_then(|text| hex::decode(text).ok())
        .ok_or(401_u16)?;

    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).map_err(|_| 500_u16)?;
    mac.update(body);
    mac.verify_slice(&signature).map_err(|_| 401_u16)?;

    let received = serde_json::from_slice(body).map_err(|_| 400_u16)?;
    let answer = Answer {
        hook: "bench",
        event_id: "-",
        received,
    };
    serde_json::to_string(&answer).map_err(|_| 500)
}
