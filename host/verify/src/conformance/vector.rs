//! Request vectors: a request, and the verdict that a receiver must reach.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;

use super::error::{BodyError, RunError};
use super::setup::{VectorSecret, documents, keys, request, time, verifier};
use crate::check::{Verdict, check, streaming_mac};
use crate::keys::VerifyContext;
use crate::pack::Packs;
use crate::refusal::Refusal;
use crate::request::Unverified;
use crate::signature::StreamingMac;
use crate::verifier::Verifier;
use crate::window::Window;

/// The largest body that a vector with `body_encoding = "repeat"` may have.
const REPEATED_BYTES_MAX: usize = 64 << 20;

#[derive(Debug, Deserialize)]
pub(super) struct Vector {
    pub(super) id: String,
    pub(super) scheme: String,
    /// The name of the vector's scheme family.
    #[serde(default)]
    pub(super) kind: String,
    #[serde(default)]
    pub(super) secrets: Vec<VectorSecret>,
    #[serde(default)]
    pub(super) config: BTreeMap<String, Value>,
    pub(super) method: String,
    pub(super) url: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Value,
    #[serde(default)]
    pub(super) body_encoding: Option<String>,
    #[serde(default)]
    pub(super) chunks: Vec<Vec<usize>>,
    pub(super) now: Option<u64>,
    pub(super) tolerance: Option<u64>,
    #[serde(default)]
    pub(super) ignore_timestamp: bool,
    pub(super) expect: String,
    #[serde(default)]
    pub(super) alt_reasons: Vec<String>,
}

// === impl Vector ===

impl Vector {
    /// The verdicts that count as passed.
    pub(super) fn expected(&self) -> Vec<String> {
        let mut expected = vec![self.expect.clone()];
        expected.extend(self.alt_reasons.iter().map(|text| {
            if text.starts_with("reject:") {
                text.clone()
            } else {
                format!("reject:{text}")
            }
        }));

        // A JSON web token is a token and a signature: files use either word if it is missing.
        if self.kind.starts_with("jwt") && self.expect == "reject:missing_token" {
            expected.push("reject:missing_signature".into());
        }

        expected
    }

    /// The verdict. It must be the same for every chunking of the body.
    pub(super) fn run(&self, packs: &Packs) -> Result<String, RunError> {
        let verifier = verifier(&self.scheme, &self.config, &self.secrets, &self.url, packs)?;
        let verifier = self.with_window(verifier);
        let body = self.body()?;
        let request = match request(&self.method, &self.url, &self.headers, body.clone()) {
            Ok(request) => request,
            // HTTP libraries reject such a request.
            Err(why) => return Ok(format!("reject:malformed_signature ({why})")),
        };

        let keys = keys(&verifier, &self.secrets);
        let documents = documents(&self.config);
        let context = VerifyContext {
            keys: &keys,
            documents: &documents,
            now: self.now.map(time),
        };

        let whole = verdict(&verifier, &request, &context, None);
        let head = Unverified {
            body: Bytes::new(),
            ..request.clone()
        };
        for sizes in self.chunks.iter().chain([&vec![1 << 30]]) {
            let mut mac = streaming_mac(&verifier, &head, &keys);
            if let Some(mac) = &mut mac {
                let pieces = pieces(&body, sizes);
                pieces.iter().for_each(|piece| mac.update(piece));
            }

            let chunked = verdict(&verifier, &request, &context, mac);
            if chunked != whole {
                return Ok(format!(
                    "{whole} whole and {chunked} in pieces of {sizes:?}"
                ));
            }
        }

        Ok(whole)
    }

    fn with_window(&self, verifier: Verifier) -> Verifier {
        let span = self.tolerance.map(Duration::from_secs);
        match span {
            _ if self.ignore_timestamp => verifier.with_window(Window {
                past: None,
                future: None,
            }),
            Some(_) => verifier.with_window(Window {
                past: span,
                future: span,
            }),
            None => verifier.with_documented_window(),
        }
    }

    pub(super) fn body(&self) -> Result<Bytes, BodyError> {
        match self.body_encoding.as_deref() {
            None | Some("utf-8") => Ok(Bytes::copy_from_slice(self.body_text()?.as_bytes())),
            Some("base64") => STANDARD
                .decode(self.body_text()?)
                .map(Bytes::from)
                .map_err(|_| BodyError::NotBase64),
            Some("repeat") => self.repeated_body(),
            Some(other) => Err(BodyError::Encoding(other.to_owned())),
        }
    }

    fn body_text(&self) -> Result<&str, BodyError> {
        self.body.as_str().ok_or(BodyError::NotText)
    }

    fn repeated_body(&self) -> Result<Bytes, BodyError> {
        let unit = self.body["unit"].as_str();
        let unit = unit.ok_or(BodyError::NoField("unit"))?;
        let count = self.body["count"].as_u64();
        let count = count.ok_or(BodyError::NoField("count"))? as usize;

        if unit.len().saturating_mul(count) <= REPEATED_BYTES_MAX {
            Ok(unit.repeat(count).into())
        } else {
            Err(BodyError::TooLarge)
        }
    }
}

fn verdict(
    verifier: &Verifier,
    request: &Unverified,
    context: &VerifyContext<'_>,
    mac: Option<StreamingMac>,
) -> String {
    match check(verifier, request.clone(), context, mac) {
        Ok(Verdict::Verified(_) | Verdict::Challenge(_)) => "accept".to_owned(),
        Err(Refusal { reason, .. }) => format!("reject:{}", reason.word()),
    }
}

/// Cycles through the chunk sizes until the body ends.
fn pieces(body: &Bytes, sizes: &[usize]) -> Vec<Bytes> {
    let mut rest = body.clone();
    let mut sizes = sizes.iter().copied().filter(|size| *size > 0).cycle();
    let mut pieces = Vec::new();
    while let (false, Some(size)) = (rest.is_empty(), sizes.next()) {
        pieces.push(rest.split_to(size.min(rest.len())));
    }

    pieces
}
