//! The outbound calls of an offline run: answered by the case, and recorded as the component wrote
//! them.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderMap, HeaderName};

use crate::case::{AnswerContent, ScriptedAnswer, header_value};
use landfall_egress::{Answerer, Outgoing, OutgoingError, Received};

/// A call that the policy allowed, as the component wrote it: without credentials.
#[derive(Debug, Clone)]
pub struct MadeCall {
    /// The method.
    pub method: String,
    /// The whole URL.
    pub url: String,
    /// Headers of the component, in lower case.
    pub headers: Vec<(String, String)>,
    /// The whole body.
    pub body: Bytes,
    /// No answer of the case fits.
    pub is_unanswered: bool,
}

/// The answers of a case and the calls so far.
pub(crate) struct ScriptedCalls {
    state: Mutex<State>,
}

struct State {
    answers: Vec<ScriptedAnswer>,
    made: Vec<MadeCall>,
}

// === impl ScriptedCalls ===

impl ScriptedCalls {
    pub(crate) fn new(answers: Vec<ScriptedAnswer>) -> Arc<ScriptedCalls> {
        let made = Vec::new();
        Arc::new(ScriptedCalls {
            state: Mutex::new(State { answers, made }),
        })
    }

    /// The function that answers in place of the network.
    pub(crate) fn answerer(self: &Arc<Self>) -> Arc<Answerer> {
        let calls = self.clone();
        Arc::new(move |outgoing| calls.answer(outgoing))
    }

    /// The calls in their order.
    pub(crate) fn made(&self) -> Vec<MadeCall> {
        landfall_model::lock(&self.state).made.clone()
    }

    fn answer(&self, outgoing: &Outgoing) -> Result<Received, OutgoingError> {
        let mut state = landfall_model::lock(&self.state);
        let answer = state
            .answers
            .iter_mut()
            .find(|answer| answer.fits(outgoing))
            .map(ScriptedAnswer::used);
        state.made.push(MadeCall::new(outgoing, answer.is_none()));

        match answer {
            Some(content) => received(&content),
            None => Err(OutgoingError::Unreachable(
                "no answer of this case fits the call".into(),
            )),
        }
    }
}

// === impl MadeCall ===

impl MadeCall {
    fn new(outgoing: &Outgoing, is_unanswered: bool) -> MadeCall {
        let headers = outgoing.headers.iter();
        MadeCall {
            method: outgoing.method.clone(),
            url: outgoing.url.clone(),
            headers: headers
                .map(|(name, value)| (name.to_ascii_lowercase(), value.clone()))
                .collect(),
            body: outgoing.body.clone(),
            is_unanswered,
        }
    }
}

// === impl ScriptedAnswer ===

impl ScriptedAnswer {
    fn fits(&self, outgoing: &Outgoing) -> bool {
        self.times != Some(0)
            && outgoing.url.starts_with(&self.url)
            && self
                .method
                .as_ref()
                .is_none_or(|method| method.eq_ignore_ascii_case(&outgoing.method))
    }

    fn used(&mut self) -> AnswerContent {
        self.times = self.times.map(|times| times - 1);
        self.content.clone()
    }
}

fn received(content: &AnswerContent) -> Result<Received, OutgoingError> {
    match content {
        AnswerContent::Error(name) => Err(error(name)),
        AnswerContent::Response {
            status,
            headers,
            body,
        } => {
            let mut map = HeaderMap::new();
            for (name, value) in headers {
                if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), header_value(value)) {
                    map.append(name, value);
                }
            }
            Ok(Received {
                status: *status,
                headers: map,
                body: Bytes::copy_from_slice(body.as_bytes()),
                held: None,
            })
        }
    }
}

fn error(name: &str) -> OutgoingError {
    let why = "the case answers with this error".to_owned();
    match name {
        "denied" => OutgoingError::Denied(why),
        "invalid" => OutgoingError::Invalid(why),
        "unavailable" => OutgoingError::Unavailable(why),
        "unresolved" => OutgoingError::Unresolved(why),
        "unreachable" => OutgoingError::Unreachable(why),
        "tls" => OutgoingError::Tls(why),
        "interrupted" => OutgoingError::Interrupted(why),
        "timeout" => OutgoingError::Timeout(why),
        "limit" => OutgoingError::Limit(why),
        _ => OutgoingError::Other(why),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use landfall_model::CALL_ERROR_WORDS;

    #[test]
    fn each_error_has_its_name() {
        for name in CALL_ERROR_WORDS {
            assert_eq!(error(name).word(), name);
        }
    }
}
