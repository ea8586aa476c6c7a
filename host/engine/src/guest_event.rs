//! An event in the form in which a component receives it: text wherever the bytes are text.

use std::borrow::Cow;

use super::bindings::{GuestEvent, PayloadParam};
use landfall_model::{Event, PROOF_ATTRIBUTE};

const PROVIDER: &str = "provider";
const EVENT_TYPE: &str = "event-type";
const DELIVERY_ID: &str = "delivery-id";
/// Attributes that the component receives as fields, or that are for the host alone.
const LEFT_OUT: [&str; 4] = [PROVIDER, EVENT_TYPE, DELIVERY_ID, PROOF_ATTRIBUTE];

/// Owns the text that a [`GuestEvent`] borrows and that the event itself does not have.
pub(crate) struct EventText<'a> {
    event: &'a Event,
    id: String,
    received_at: String,
    headers: Vec<(&'a str, Cow<'a, str>)>,
}

// === impl EventText ===

impl<'a> EventText<'a> {
    pub(crate) fn new(event: &'a Event) -> EventText<'a> {
        let headers = event
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), String::from_utf8_lossy(value.as_bytes())))
            .collect();
        EventText {
            event,
            id: event.id.to_string(),
            received_at: humantime::format_rfc3339_millis(event.received_at).to_string(),
            headers,
        }
    }

    pub(crate) fn headers(&self) -> Vec<(&str, &str)> {
        self.headers
            .iter()
            .map(|(name, value)| (*name, &**value))
            .collect()
    }

    /// The attributes without those that are fields of their own, or for the host alone.
    pub(crate) fn attributes(&self) -> Vec<(&'a str, &'a str)> {
        self.event
            .attributes
            .iter()
            .filter(|(name, _)| !LEFT_OUT.contains(&name.as_str()))
            .map(|(name, value)| (&**name, &**value))
            .collect()
    }

    /// `number` counts the attempts, from 1.
    pub(crate) fn event<'b>(
        &'b self,
        number: u32,
        headers: &'b [(&'b str, &'b str)],
        attributes: &'b [(&'b str, &'b str)],
    ) -> GuestEvent<'b> {
        let event = self.event;
        let body = match std::str::from_utf8(&event.body) {
            Ok(text) => PayloadParam::Text(text),
            Err(_) => PayloadParam::Binary(&event.body),
        };
        GuestEvent {
            id: &self.id,
            hook: &event.hook,
            attempt: number,
            received_at: &self.received_at,
            provider: event.attribute(PROVIDER),
            event_type: event.attribute(EVENT_TYPE),
            delivery_id: event.attribute(DELIVERY_ID),
            method: event.method.as_str(),
            path: &event.path,
            query: event.query.as_deref(),
            headers,
            body,
            attributes,
        }
    }
}
