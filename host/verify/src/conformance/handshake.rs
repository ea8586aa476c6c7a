//! Handshakes: an ownership check of a provider, and the response that a receiver must send.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::Method;
use serde::Deserialize;
use serde_json::Value;

use super::error::RunError;
use super::response::{Expected, Response};
use super::setup::{VectorSecret, documents, keys, request, time, verifier};
use crate::answer::Answer;
use crate::answers::AnswerRules;
use crate::check::{Verdict, check};
use crate::keys::{Keys, VerifyContext};
use crate::pack::{Packs, ReplyBody};
use landfall_model::{KeyForm, Secret};

#[derive(Debug, Deserialize)]
pub(super) struct Handshake {
    pub(super) id: String,
    provider: String,
    scheme: Option<String>,
    #[serde(default)]
    secrets: Vec<VectorSecret>,
    #[serde(default)]
    config: BTreeMap<String, Value>,
    request: HandshakeRequest,
    #[serde(default)]
    authenticated_by: String,
    expected_response: Expected,
    now: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct HandshakeRequest {
    method: String,
    url: String,
    headers: Vec<(String, String)>,
    body: String,
}

// === impl Handshake ===

impl Handshake {
    /// The differences between the response and the expected one.
    pub(super) fn run(&self, packs: &Packs) -> Result<String, RunError> {
        Ok(self.expected_response.differences(&self.respond(packs)?))
    }

    fn respond(&self, packs: &Packs) -> Result<Response, RunError> {
        let asked = &self.request;
        let scheme = self.scheme.as_deref().unwrap_or(&self.provider);
        let verifier = verifier(scheme, &self.config, &self.secrets, &asked.url, packs)?;
        let verifier = if self.is_open() {
            verifier.without_authentication()
        } else {
            verifier
        };

        let body = Bytes::copy_from_slice(asked.body.as_bytes());
        let request = request(&asked.method, &asked.url, &asked.headers, body)?;
        let is_post = request.method == Method::POST;

        let documents = documents(&self.config);
        // A handshake without a secret is sent to a hook that has one.
        let keys = if self.secrets.is_empty() {
            let secret = Secret::new("a secret that the handshake does not know");
            Keys::new([(KeyForm::Utf8, Ok(secret))])
        } else {
            keys(&verifier, &self.secrets)
        };
        let context = VerifyContext {
            keys: &keys,
            documents: &documents,
            now: self.now.map(time),
        };

        let answers = verifier.answers();
        let refused = plain(answers, answers.refused_status, "unauthorized");
        Ok(match check(&verifier, request, &context, None) {
            // A pairing never replaces an existing secret.
            Ok(Verdict::Challenge(Answer { pair: Some(_), .. })) if !self.secrets.is_empty() => {
                refused
            }
            Ok(Verdict::Challenge(answer)) => of_answer(answer),
            _ if !is_post => plain(answers, 405, ""),
            Ok(Verdict::Verified(_)) => Response {
                status: 200,
                headers: Vec::new(),
                body: String::new(),
                delivered: true,
            },
            Err(refusal) if refusal.is_ours() => Response {
                status: 503,
                ..plain(answers, 503, "unavailable")
            },
            Err(_) => refused,
        })
    }

    /// Whether nothing authenticates an ownership check that is an event too: it is accepted.
    fn is_open(&self) -> bool {
        let is_event = self.expected_response.deliver_to_plugin == Some(true);
        self.secrets.is_empty() && self.authenticated_by == "none" && is_event
    }
}

/// A response of the host to a request that no handler sees.
fn plain(answers: &AnswerRules, status: u16, body: &str) -> Response {
    let has_body = answers.reply_body != ReplyBody::Empty;
    Response {
        status: answers.sent_status(status),
        headers: Vec::new(),
        body: if has_body {
            body.to_owned()
        } else {
            String::new()
        },
        delivered: false,
    }
}

fn of_answer(answer: Answer) -> Response {
    let mut headers = answer.headers;
    if let Some((content_type, _)) = &answer.body {
        headers.push(("content-type".into(), (*content_type).into()));
        headers.push(("x-content-type-options".into(), "nosniff".into()));
    }

    Response {
        status: answer.status,
        headers,
        body: answer.body.map(|(_, body)| body).unwrap_or_default(),
        delivered: false,
    }
}
