//! An event as conditions and templates see it. Its body is parsed at most once, when it is needed.

use std::cell::OnceCell;

use serde_json::{Map, Value, json};

use landfall_model::{ConditionPlace, Event, EventField, PROOF_ATTRIBUTE};
use landfall_verify::form_fields;

/// An event, and what was parsed of it.
pub(crate) struct Seen<'a> {
    event: &'a Event,
    json: OnceCell<Option<Value>>,
    form: OnceCell<Option<Vec<(String, String)>>>,
}

/// A condition on the JSON body of an event whose body is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NoJson;

// === impl Seen ===

impl<'a> Seen<'a> {
    pub(crate) fn new(event: &'a Event) -> Seen<'a> {
        Seen {
            event,
            json: OnceCell::new(),
            form: OnceCell::new(),
        }
    }

    /// The value at a place. `None`: there is none.
    pub(crate) fn find(&self, place: &ConditionPlace) -> Result<Option<Value>, NoJson> {
        let found = match place {
            ConditionPlace::Field(field) => self.field(*field).map(Value::from),
            ConditionPlace::Header(name) => self.header(name).map(Value::from),
            ConditionPlace::Attribute(name) => self.attribute(name).map(Value::from),
            ConditionPlace::Form(name) => self.form_field(name).map(Value::from),
            // An empty body has nothing where a pointer points.
            ConditionPlace::Json(_) if self.event.body.is_empty() => None,
            ConditionPlace::Json(pointer) => self.json().ok_or(NoJson)?.pointer(pointer).cloned(),
        };
        Ok(found)
    }

    /// The event as the templates of the bundled handlers see it.
    pub(crate) fn for_template(&self) -> Value {
        let Event {
            id,
            hook,
            received_at,
            method,
            path,
            query,
            body,
            ..
        } = self.event;
        json!({
            "event": {
                "id": id.to_string(),
                "hook": &**hook,
                "received_at": humantime::format_rfc3339_millis(*received_at).to_string(),
                "provider": self.attribute("provider"),
                "event_type": self.attribute("event-type"),
                "delivery_id": self.attribute("delivery-id"),
                "method": method.as_str(),
                "path": path,
                "query": query,
                "headers": headers(self.event),
                "attributes": attributes(self.event),
                "json": self.json(),
                "form": self.form().map(map),
                "text": std::str::from_utf8(body).ok(),
            }
        })
    }

    fn field(&self, field: EventField) -> Option<&str> {
        match field {
            EventField::Provider | EventField::EventType | EventField::DeliveryId => {
                self.attribute(field.name())
            }
            EventField::Hook => Some(&self.event.hook),
            EventField::Method => Some(self.event.method.as_str()),
            EventField::Path => Some(&self.event.path),
        }
    }

    fn header(&self, name: &str) -> Option<String> {
        let value = self.event.headers.get(name)?;
        Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
    }

    fn attribute(&self, name: &str) -> Option<&str> {
        if name == PROOF_ATTRIBUTE {
            return None;
        }
        self.event.attribute(name)
    }

    /// The JSON document: the body, or the field of a form that contains it.
    pub(crate) fn json(&self) -> Option<&Value> {
        self.json.get_or_init(|| self.read_json()).as_ref()
    }

    fn read_json(&self) -> Option<Value> {
        match self.event.attribute("json-form-field") {
            Some(field) => serde_json::from_str(self.form_field(field)?).ok(),
            None => serde_json::from_slice(&self.event.body).ok(),
        }
    }

    fn form_field(&self, name: &str) -> Option<&str> {
        self.form()?
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    fn form(&self) -> Option<&[(String, String)]> {
        self.form.get_or_init(|| form_fields(self.event)).as_deref()
    }
}

/// Of a repeated header, the first value.
fn headers(event: &Event) -> Map<String, Value> {
    event
        .headers
        .keys()
        .filter_map(|name| {
            let value = event.headers.get(name)?;
            let text = String::from_utf8_lossy(value.as_bytes()).into_owned();
            Some((name.as_str().to_owned(), text.into()))
        })
        .collect()
}

fn attributes(event: &Event) -> Map<String, Value> {
    let shown = event
        .attributes
        .iter()
        .filter(|(name, _)| name != PROOF_ATTRIBUTE);
    shown
        .rev()
        .map(|(name, value)| (name.clone(), value.clone().into()))
        .collect()
}

/// Of a repeated name, the first value.
fn map(pairs: &[(String, String)]) -> Map<String, Value> {
    pairs
        .iter()
        .rev()
        .map(|(name, value)| (name.clone(), value.clone().into()))
        .collect()
}
