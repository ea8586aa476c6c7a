//! JSON web signatures (RFC 7515) with detached payload: a header carries `HEADER..SIGNATURE`, and
//! the payload is the body as sent (RFC 7797, `b64: false`). The keys are a key set at the
//! configured URL.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::common::{document, mismatch};
use crate::algorithm::is_web_signed;
use crate::certificate::signing_keys;
use crate::keys::VerifyContext;
use crate::refusal::{Reason, Refusal, malformed};
use crate::view::{Absent, View, describe};
use crate::window::{self, Window};
use landfall_model::{TimeUnit, ValueLocation};

/// The rules for detached signatures of one hook.
#[derive(Debug, Clone, PartialEq)]
pub struct DetachedJws {
    /// The location of the signature.
    pub(crate) from: ValueLocation,
    /// Accepted `alg` values.
    pub(crate) algorithms: Vec<String>,
    /// The URL of the key set.
    pub(crate) jwks: String,
    /// The header parameter with the signed time in seconds.
    pub(crate) header_time: Option<String>,
    /// The time window of that parameter.
    pub(crate) window: Window,
}

// === impl DetachedJws ===

impl DetachedJws {
    pub(crate) fn check(
        &self,
        window: Window,
        view: &View<'_>,
        context: &VerifyContext<'_>,
    ) -> Result<(), Refusal> {
        let text = view
            .find(&self.from, false)
            .map_err(|absent| match absent {
                Absent::Duplicate => Refusal::new(
                    Reason::DuplicateHeader,
                    format!("{} given more than once", describe(&self.from)),
                ),
                _ => Refusal::new(
                    Reason::MissingSignature,
                    format!("signature missing ({})", describe(&self.from)),
                ),
            })?;

        let text = std::str::from_utf8(&text).map_err(|_| malformed("not text"))?;
        let parts: Vec<&str> = text.splitn(4, '.').collect();
        let [encoded, "", signature] = parts[..] else {
            return Err(malformed(
                "not HEADER..SIGNATURE, a signature without its payload",
            ));
        };

        let header: Map<String, Value> = serde_json::from_slice(&decode(encoded)?)
            .map_err(|_| malformed("the header of the signature is no JSON object"))?;
        let signature = decode(signature)?;
        let algorithm = self.check_header(&header)?;
        self.check_time(&header, window, context)?;

        let key_id = header.get("kid").and_then(Value::as_str);
        let keys = signing_keys(&document(context.documents, &self.jwks)?, key_id);
        if keys.is_empty() {
            return Err(Refusal {
                detail: format!(
                    "no key `{}` in {}",
                    key_id.unwrap_or_default().escape_debug(),
                    self.jwks
                ),
                ..Refusal::needs(&self.jwks)
            });
        }

        let signed = [encoded.as_bytes(), b".", &view.request.body].concat();
        if keys
            .iter()
            .any(|key| is_web_signed(key, algorithm, &signed, &signature))
        {
            return Ok(());
        }

        // A signature without a key id: the provider may have rotated its only key, so the set is
        // fetched again.
        Err(Refusal {
            fetch: key_id.is_none().then(|| self.jwks.clone()),
            ..mismatch()
        })
    }

    /// Checks the header and returns the algorithm.
    fn check_header<'a>(&self, header: &'a Map<String, Value>) -> Result<&'a str, Refusal> {
        let algorithm = header
            .get("alg")
            .and_then(Value::as_str)
            .unwrap_or_default();
        if !self.algorithms.iter().any(|known| known == algorithm) {
            let detail = format!(
                "alg is `{}`: accepted are {}",
                algorithm.escape_debug(),
                self.algorithms.join(", ")
            );

            return Err(Refusal::new(Reason::AlgorithmNotAllowed, detail));
        }

        // With `b64: true` the signature covers another text.
        if header.get("b64") != Some(&Value::Bool(false)) {
            return Err(malformed("b64 is not false"));
        }

        let is_b64_alone =
            |names: &Vec<Value>| matches!(&names[..], [Value::String(name)] if name == "b64");
        if !header
            .get("crit")
            .and_then(Value::as_array)
            .is_some_and(is_b64_alone)
        {
            return Err(malformed(
                "crit does not hold b64 alone: no other extension is known",
            ));
        }

        Ok(algorithm)
    }

    fn check_time(
        &self,
        header: &Map<String, Value>,
        window: Window,
        context: &VerifyContext<'_>,
    ) -> Result<(), Refusal> {
        let Some(name) = &self.header_time else {
            return Ok(());
        };

        let seconds = match header.get(name) {
            None => {
                return Err(Refusal::new(
                    Reason::MissingTimestamp,
                    format!("header parameter {name} is missing"),
                ));
            }
            Some(value) => value.as_u64().ok_or_else(|| {
                Refusal::new(
                    Reason::MalformedTimestamp,
                    format!("header parameter {name} is not a time in seconds"),
                )
            })?,
        };

        let time_ns = window::parse(TimeUnit::S, seconds.to_string().as_bytes())?;
        match context.now {
            Some(now) => window::check_time(window, time_ns, now),
            None => Ok(()),
        }
    }
}

fn decode(part: &str) -> Result<Vec<u8>, Refusal> {
    URL_SAFE_NO_PAD
        .decode(part)
        .map_err(|_| malformed("not base64url"))
}

#[cfg(test)]
#[path = "detached_jws_tests.rs"]
mod tests;
