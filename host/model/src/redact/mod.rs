//! `[redact]` of a hook file: which values of an event are removed before it is stored or run.
//!
//! Everything else stays byte by byte: numbers, spaces and the order of keys are as sent. A body in
//! which the rules cannot find values is unreadable. It is never stored as it is: it is refused, or
//! removed as a whole.

mod form;
mod json;
mod path;
mod recorded;
mod removed;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::event::Event;
use super::value_location::ValueLocation;

use path::RedactPath;
pub use path::RedactPathError;
pub use removed::{REDACTED, UnreadableBody};

/// The attribute of an event from which values were removed: how many, or `UNREADABLE_BODY`.
pub const REDACTED_ATTRIBUTE: &str = "redacted";
/// What `REDACTED_ATTRIBUTE` says of an event whose whole body was removed, because the rules could
/// not read it.
pub const UNREADABLE_BODY: &str = "unreadable-body";
/// The attribute that names the form field with the JSON of a request.
const JSON_FORM_FIELD: &str = "json-form-field";
/// Headers with an unkeyed digest of the body. Short removed values can be guessed from it.
const DIGEST_HEADERS: [&str; 4] = ["content-digest", "repr-digest", "digest", "content-md5"];
const FORM_TYPE: &str = "application/x-www-form-urlencoded";

/// The rules of `[redact]`. Without rules nothing changes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RedactSpec {
    json: Vec<RedactPath>,
    form: Vec<String>,
    query: Vec<String>,
    headers: Vec<HeaderName>,
    unreadable: Unreadable,
    is_unknown: bool,
}

/// What becomes of a request whose body the rules cannot read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Unreadable {
    /// It is answered 422, and not stored.
    #[default]
    Refuse,
    /// It is stored without its body.
    Remove,
}

/// A body after the rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedactedBody {
    /// The bytes to store.
    pub body: Bytes,
    /// How many values were removed.
    pub removed: usize,
}

// === impl RedactSpec ===

impl RedactSpec {
    /// The rules of a hook file that cannot be read. They remove nothing: what is for its hook must
    /// not be stored.
    pub fn unknown() -> RedactSpec {
        RedactSpec {
            is_unknown: true,
            ..RedactSpec::default()
        }
    }

    /// Whether the hook file cannot be read, so that nobody knows what its rules remove.
    pub fn is_unknown(&self) -> bool {
        self.is_unknown
    }

    /// The rules for these JSON pointers.
    pub fn new<'p>(
        json: impl IntoIterator<Item = &'p str>,
        unreadable: Unreadable,
    ) -> Result<RedactSpec, RedactPathError> {
        let json = json.into_iter().map(str::parse).collect::<Result<_, _>>()?;
        Ok(RedactSpec {
            json,
            unreadable,
            ..RedactSpec::default()
        })
    }

    /// The same rules, also for these fields of forms and parameters of the query.
    pub fn with_fields(self, form: Vec<String>, query: Vec<String>) -> RedactSpec {
        RedactSpec {
            form,
            query,
            ..self
        }
    }

    /// The same rules, also for these headers.
    pub fn with_headers(self, headers: Vec<HeaderName>) -> RedactSpec {
        RedactSpec { headers, ..self }
    }

    /// Whether no value is removed.
    pub fn is_empty(&self) -> bool {
        !self.reads_bodies() && self.query.is_empty() && self.headers.is_empty()
    }

    /// What becomes of a request whose body the rules cannot read.
    pub fn unreadable(&self) -> Unreadable {
        self.unreadable
    }

    /// Whether a rule can change a body.
    pub fn reads_bodies(&self) -> bool {
        !self.json.is_empty() || !self.form.is_empty()
    }

    /// Whether the text at this place may be removed. Such a text must not become an attribute.
    pub fn covers(&self, place: &ValueLocation) -> bool {
        match place {
            ValueLocation::Header(name) => {
                let mut headers = self.headers.iter();
                headers.any(|header| header.as_str().eq_ignore_ascii_case(name))
            }
            ValueLocation::Query(name) => self.query.contains(name),
            ValueLocation::Form(name) => self.form.contains(name),
            ValueLocation::Json(pointer) | ValueLocation::Each(pointer) => {
                self.json.iter().any(|path| path.may_lead_to(pointer))
            }
            ValueLocation::Body(_) => self.reads_bodies(),
            ValueLocation::Path(_) | ValueLocation::Param(_) | ValueLocation::Claim(_) => false,
        }
    }

    /// The body of a message of this content type. `json_field` is the form field that contains
    /// JSON, if the sender sends JSON in one. Reads the body once, and copies it only if a value is
    /// removed.
    pub fn body(
        &self,
        content_type: Option<&HeaderValue>,
        json_field: Option<&str>,
        body: &Bytes,
    ) -> Result<RedactedBody, UnreadableBody> {
        if body.is_empty() || !self.reads_bodies() {
            return Ok(RedactedBody {
                body: body.clone(),
                removed: 0,
            });
        }

        let mut of_json = None;
        if !self.json.is_empty()
            && let Ok(found) = json::redact(body, &self.json)
        {
            of_json = Some(RedactedBody::of(found, body));
        }
        let is_form = content_type.is_some_and(is_form);
        if is_form && (!self.form.is_empty() || json_field.is_some()) {
            let rules = form::FormRules {
                names: &self.form,
                json_field,
                json: &self.json,
            };
            // A text can be both: `"a=1&b=2"` is a string, and has two fields.
            let sent = of_json.unwrap_or_else(|| RedactedBody::of(None, body));
            let left = RedactedBody::of(rules.redact(&sent.body)?, &sent.body);
            return Ok(RedactedBody {
                removed: sent.removed + left.removed,
                ..left
            });
        }

        of_json.ok_or(if self.json.is_empty() {
            UnreadableBody::NotForm
        } else {
            UnreadableBody::NotJson
        })
    }

    /// Replaces the values of headers that the rules name. Returns how many.
    pub fn headers(&self, headers: &mut HeaderMap) -> usize {
        let mut removed = 0;
        for name in &self.headers {
            if let http::header::Entry::Occupied(mut entry) = headers.entry(name) {
                for value in entry.iter_mut() {
                    *value = HeaderValue::from_static(REDACTED);
                    removed += 1;
                }
            }
        }
        removed
    }

    /// A query without the values of the parameters that the rules name. `None`: it has none.
    pub fn query(&self, query: &str) -> Option<(String, usize)> {
        let rules = form::FormRules {
            names: &self.query,
            json_field: None,
            json: &[],
        };
        if self.query.is_empty() {
            return None;
        }
        let (bytes, removed) = rules.redact(query.as_bytes()).ok().flatten()?;
        Some((String::from_utf8_lossy(&bytes).into_owned(), removed))
    }

    /// The event as it is stored and run. Fails, and nothing may be stored, if its body is
    /// unreadable and `unreadable` is `refuse`.
    pub fn event(&self, event: Event) -> Result<Event, UnreadableBody> {
        if self.is_empty() {
            return Ok(event);
        }

        match (self.event_body(&event), self.unreadable) {
            (Ok(body), _) => Ok(self.with_body(event, Some(body))),
            (Err(error), Unreadable::Refuse) => Err(error),
            (Err(_), Unreadable::Remove) => Ok(self.with_body(event, None)),
        }
    }

    /// The event as it is stored and run, without its body if that is unreadable. For events that
    /// cannot be refused, such as those that a handler emits.
    pub fn event_or_head(&self, event: Event) -> Event {
        if self.is_empty() {
            return event;
        }

        let body = self.event_body(&event).ok();
        self.with_body(event, body)
    }

    fn event_body(&self, event: &Event) -> Result<RedactedBody, UnreadableBody> {
        let content_type = event.headers.get(CONTENT_TYPE);
        self.body(content_type, event.attribute(JSON_FORM_FIELD), &event.body)
    }

    /// `None`: the body is unreadable.
    fn with_body(&self, mut event: Event, found: Option<RedactedBody>) -> Event {
        let is_unreadable = found.is_none();
        let RedactedBody { body, mut removed } = found.unwrap_or_else(RedactedBody::removed);
        if removed > 0 {
            for name in DIGEST_HEADERS {
                event.headers.remove(name);
            }
            if event.headers.contains_key(CONTENT_LENGTH) {
                event.headers.insert(CONTENT_LENGTH, body.len().into());
            }
            event.body = body;
        }

        removed += self.headers(&mut event.headers);
        let query = event.query.as_deref().and_then(|query| self.query(query));
        if let Some((query, parameters)) = query {
            event.query = Some(query);
            removed += parameters;
        }
        if removed > 0 {
            let value = if is_unreadable {
                UNREADABLE_BODY.to_owned()
            } else {
                removed.to_string()
            };
            event
                .attributes
                .push((REDACTED_ATTRIBUTE.to_owned(), value));
        }
        event
    }
}

// === impl RedactedBody ===

impl RedactedBody {
    /// What is left of a body that cannot be read.
    pub fn removed() -> RedactedBody {
        RedactedBody {
            body: Bytes::new(),
            removed: 1,
        }
    }

    fn of(found: Option<(Vec<u8>, usize)>, sent: &Bytes) -> RedactedBody {
        match found {
            Some((body, removed)) => RedactedBody {
                body: body.into(),
                removed,
            },
            None => RedactedBody {
                body: sent.clone(),
                removed: 0,
            },
        }
    }
}

fn is_form(content_type: &HeaderValue) -> bool {
    let text = content_type.to_str().unwrap_or_default();
    let essence = text.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case(FORM_TYPE)
}

#[cfg(test)]
mod tests;
