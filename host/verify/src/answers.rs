//! What a provider expects of a response: which status codes it treats as success, which ones
//! disable the webhook, and what the body must be. Each hook has one set of rules, built from its
//! pack and the `[accepted]` table of its file.

use std::collections::BTreeMap;

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue};
use thiserror::Error;

use crate::builder::{BuildError, wrong};
use crate::pack::{Pack, PackAnswer, ReplyBody, StatusPattern};
use landfall_model::AcceptedSpec;

const ACCEPTED: u16 = 202;
/// Replacements for a status that would disable the webhook: the host sends the first one that is
/// safe.
const SUBSTITUTES: [u16; 5] = [503, 500, 502, 429, 400];
const WITHOUT_BODY: [u16; 2] = [204, 205];

/// The response rules of one hook.
#[derive(Debug, Clone, PartialEq)]
pub struct AnswerRules {
    /// The provider's name, for error messages.
    provider: String,
    /// The status for a request that was not authenticated; 401 by default.
    pub refused_status: u16,
    /// The 2xx codes that the provider treats as success; `None` means all of them.
    success: Option<Vec<u16>>,
    avoided: Vec<StatusPattern>,
    /// The response to an event that is stored and handled later.
    pub accepted: Accepted,
    /// Which body the provider expects in a reply.
    pub reply_body: ReplyBody,
    reply_types: Vec<String>,
}

/// The answer to an event that is stored and handled later.
#[derive(Debug, Clone, PartialEq)]
pub struct Accepted {
    /// A 2xx code that the provider treats as success.
    pub status: u16,
    /// Added to the response. A `Content-Type` here replaces the default one.
    pub headers: HeaderMap,
    /// `{event}` is replaced by the event's id. `None` means `{"accepted": true, "event": ID}`, an
    /// empty text means no body.
    pub body: Option<String>,
}

/// Why a response cannot be sent to a provider.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
enum AnswerError {
    #[error("{provider} treats {status} as a failure: write {success}")]
    NotSuccess {
        provider: String,
        status: u16,
        /// The codes that the provider treats as success.
        success: String,
    },
    #[error("{provider} disables the webhook after status {status}: write another")]
    Disables { provider: String, status: u16 },
    #[error("header `{name}` of accepted cannot be sent", name = .0.escape_debug())]
    Header(String),
}

// === impl AnswerRules ===

impl AnswerRules {
    /// The rules of the pack alone.
    pub(super) fn of_pack(pack: &Pack, refused_status: u16) -> Result<AnswerRules, BuildError> {
        let success = pack
            .success
            .as_ref()
            .map(|all| all.iter().copied().filter(is_2xx).collect::<Vec<_>>());

        let usual = match &success {
            Some(success) if !success.contains(&ACCEPTED) => *success.first().ok_or_else(|| {
                wrong(
                    "provider",
                    format!("the pack of {} names no 2xx in success", pack.name),
                )
            })?,
            _ => ACCEPTED,
        };

        let PackAnswer {
            status,
            headers,
            body,
        } = &pack.accepted;

        let accepted = Accepted {
            status: status.unwrap_or(usual),
            headers: headers_of(headers).map_err(|why| wrong("provider", why))?,
            body: body.clone(),
        };

        let rules = AnswerRules {
            provider: pack.name.clone(),
            refused_status,
            success,
            avoided: pack.avoid_status.clone(),
            accepted,
            reply_body: pack.reply_body,
            reply_types: pack.reply_types.clone(),
        };

        rules
            .check(rules.accepted.status)
            .map_err(|why| wrong("provider", why))?;

        Ok(rules)
    }

    /// Overrides the pack's fields with those that the `[accepted]` table of a hook file sets. The
    /// error names the key.
    pub(super) fn with_accepted(mut self, spec: &AcceptedSpec) -> Result<AnswerRules, BuildError> {
        if let Some(status) = spec.status {
            self.check(status).map_err(|why| wrong("status", why))?;
            self.accepted.status = status;
        }

        self.accepted.headers.extend(spec.headers.clone());
        if let Some(body) = &spec.body {
            let provider = &self.provider;
            let why = if self.reply_body == ReplyBody::Empty {
                format!("{provider} requires answers without a body: leave it out")
            } else if self.has_no_body(self.accepted.status) {
                format!(
                    "the answer to {provider} has status {}, which has no body: leave it out",
                    self.accepted.status
                )
            } else {
                String::new()
            };
            if !body.is_empty() && !why.is_empty() {
                return Err(wrong("body", why));
            }

            self.accepted.body = Some(body.clone());
        }

        Ok(self)
    }

    /// The status to send for a handler's reply. A 2xx that the provider does not treat as success
    /// is replaced by one that it does.
    pub fn reply_status(&self, status: u16) -> u16 {
        match self.check(status) {
            Err(_) if (200..=299).contains(&status) => self.accepted.status,
            _ => status,
        }
    }

    /// The replacement for a status that disables or drops the webhook; `None` if `status` is safe
    /// to send.
    pub fn instead_of(&self, status: u16) -> Option<u16> {
        if !self.is_avoided(status) {
            return None;
        }

        let substitute = SUBSTITUTES
            .into_iter()
            .find(|other| !self.is_avoided(*other));
        Some(substitute.unwrap_or(SUBSTITUTES[0]))
    }

    fn is_avoided(&self, status: u16) -> bool {
        self.avoided.iter().any(|pattern| pattern.matches(status))
    }

    /// The status to send where the host wants to send `status`.
    pub(crate) fn sent_status(&self, status: u16) -> u16 {
        self.instead_of(status).unwrap_or(status)
    }

    /// Whether the provider accepts a reply of this content type. A reply without a content type is
    /// accepted.
    pub fn takes_type(&self, content_type: Option<&str>) -> bool {
        let Some(content_type) = content_type.filter(|_| !self.reply_types.is_empty()) else {
            return true;
        };

        let essence = content_type.split(';').next().unwrap_or_default().trim();
        self.reply_types
            .iter()
            .any(|accepted| accepted.eq_ignore_ascii_case(essence))
    }

    /// Whether HTTP forbids a body with this status.
    pub fn has_no_body(&self, status: u16) -> bool {
        WITHOUT_BODY.contains(&status)
    }

    /// Checks that the provider treats `status` as success. The error lists the codes that it does.
    fn check(&self, status: u16) -> Result<(), AnswerError> {
        let provider = self.provider.clone();
        match &self.success {
            Some(success) if !success.contains(&status) => {
                let success: Vec<String> = success.iter().map(u16::to_string).collect();
                Err(AnswerError::NotSuccess {
                    provider,
                    status,
                    success: success.join(", or "),
                })
            }
            _ if self.instead_of(status).is_some() => {
                Err(AnswerError::Disables { provider, status })
            }
            _ => Ok(()),
        }
    }
}

fn is_2xx(status: &u16) -> bool {
    (200..=299).contains(status)
}

fn headers_of(typed: &BTreeMap<String, String>) -> Result<HeaderMap, AnswerError> {
    typed.iter().map(parse_header).collect()
}

fn parse_header(
    (name, value): (&String, &String),
) -> Result<(HeaderName, HeaderValue), AnswerError> {
    match (name.parse::<HeaderName>(), value.parse::<HeaderValue>()) {
        (Ok(name), Ok(value)) => Ok((name, value)),
        _ => Err(AnswerError::Header(name.clone())),
    }
}

// === impl Accepted ===

impl Accepted {
    /// The body and content type for one event. Without a body there is no content type, unless one
    /// is configured.
    pub fn content(&self, event: &str) -> (String, Option<HeaderValue>) {
        let body = match &self.body {
            None => serde_json::json!({ "accepted": true, "event": event }).to_string(),
            Some(text) => text.replace("{event}", event),
        };

        let usual = (!body.is_empty()).then(|| HeaderValue::from_static("application/json"));
        (body, self.headers.get(CONTENT_TYPE).cloned().or(usual))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Packs, pack_names};

    fn rules(pack: &str) -> Result<AnswerRules, BuildError> {
        let text = format!("name = \"Test\"\n{pack}\n[verify]\nscheme = \"none\"\n");
        let pack: Pack = toml::from_str(&text).unwrap();
        AnswerRules::of_pack(&pack, 401)
    }

    fn spec(status: Option<u16>, body: Option<&str>) -> AcceptedSpec {
        AcceptedSpec {
            status,
            body: body.map(str::to_owned),
            ..AcceptedSpec::default()
        }
    }

    #[test]
    fn replies_get_statuses_of_success() {
        for (pack, accepted, replies) in [
            (
                "",
                202,
                [(200, 200), (202, 202), (204, 204), (299, 299), (410, 410)],
            ),
            (
                "success = [200]",
                200,
                [(200, 200), (202, 200), (204, 200), (302, 302), (503, 503)],
            ),
            (
                "success = [204, 200]",
                204,
                [(200, 200), (202, 204), (204, 204), (302, 302), (503, 503)],
            ),
            (
                "success = [102, 201, 202]",
                202,
                [(200, 202), (201, 201), (204, 202), (302, 302), (503, 503)],
            ),
            (
                "success = [200, 204]\naccepted.status = 204",
                204,
                [(200, 200), (202, 204), (204, 204), (1, 1), (2, 2)],
            ),
        ] {
            let rules = rules(pack).unwrap();
            assert_eq!(rules.accepted.status, accepted, "{pack}");
            for (reply, sent) in replies {
                assert_eq!(rules.reply_status(reply), sent, "{pack}: {reply}");
            }
        }

        assert_eq!(
            rules("success = [102]").unwrap_err().message,
            "the pack of Test names no 2xx in success"
        );

        assert!(rules("success = [200]\naccepted.status = 204").is_err());
    }

    #[test]
    fn avoided_statuses_have_a_substitute() {
        for (pack, status, sent) in [
            ("", 410, None),
            ("avoid_status = [\"404\", \"410\"]", 410, Some(503)),
            ("avoid_status = [\"404\", \"410\"]", 401, None),
            ("avoid_status = [\"4xx\"]", 413, Some(503)),
            ("avoid_status = [\"5xx\"]", 503, Some(429)),
            ("avoid_status = [\"5xx\", \"4xx\"]", 401, Some(503)),
        ] {
            assert_eq!(
                rules(pack).unwrap().instead_of(status),
                sent,
                "{pack}: {status}"
            );
        }
    }

    fn refused(pack: &str, spec: AcceptedSpec) -> (&'static str, String) {
        let error = rules(pack).unwrap().with_accepted(&spec).unwrap_err();
        (error.key, error.message)
    }

    #[test]
    fn accepted_fits_the_pack() {
        assert_eq!(
            refused("success = [200, 204]", spec(Some(202), None)),
            (
                "status",
                "Test treats 202 as a failure: write 200, or 204".to_owned()
            )
        );

        assert_eq!(
            refused("reply_body = \"empty\"", spec(None, Some("x"))),
            (
                "body",
                "Test requires answers without a body: leave it out".to_owned()
            )
        );

        assert_eq!(
            refused("success = [204]", spec(None, Some("x"))),
            (
                "body",
                "the answer to Test has status 204, which has no body: leave it out".to_owned()
            )
        );

        let pack = "[accepted]\nbody = \"a {event}\"\nheaders = { content-type = \"text/plain\" }";
        let rules = rules(pack)
            .unwrap()
            .with_accepted(&spec(Some(200), None))
            .unwrap();

        let content = rules.accepted.content("1");
        assert_eq!((rules.accepted.status, content.0.as_str()), (200, "a 1"));
        assert_eq!(content.1.unwrap(), "text/plain");
        let rules = rules.with_accepted(&spec(None, Some(""))).unwrap();
        assert_eq!(rules.accepted.content("1").0, "");
    }

    #[test]
    fn every_pack_has_an_answer() {
        for name in pack_names() {
            let pack = Packs::default().find(name).unwrap();
            let rules = AnswerRules::of_pack(&pack, 401)
                .unwrap_or_else(|error| panic!("{name}: {}", error.message));
            let Accepted { status, body, .. } = &rules.accepted;
            assert!((200..=299).contains(status), "{name}: {status}");
            let has_body = body.as_deref().is_some_and(|body| !body.is_empty());

            assert!(
                !has_body || !rules.has_no_body(*status),
                "{name}: status {status} has no body"
            );

            assert!(
                !has_body || rules.reply_body != ReplyBody::Empty,
                "{name}: wants no body and has one"
            );
        }
    }
}
