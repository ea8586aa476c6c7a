//! An alarm as an event for a hook. docs/WATCH.md documents the JSON.

use landfall_model::clock::from_ms;
use landfall_model::{AlarmKind, EventId};
use serde::Serialize;

use super::alarm::page;
use super::latch::{Notice, rfc3339};

/// An event that tells a hook of an alarm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlarmEvent {
    /// The same whenever it is made from the same notice.
    pub id: EventId,
    /// The identity of the delivery: an alarm that is told twice is one event.
    pub key: String,
    /// `alarm.opened` or `alarm.closed`.
    pub event_type: &'static str,
    /// JSON.
    pub body: String,
}

#[derive(Serialize)]
struct Body<'a> {
    r#type: &'static str,
    id: &'a str,
    hook: &'a str,
    alarm: AlarmKind,
    since: String,
    at: String,
    sentence: &'a str,
    hint: &'a str,
    link: String,
}

// === impl AlarmEvent ===

impl AlarmEvent {
    /// The event of a notice. `link` is the address of the admin listener.
    pub fn new(hook: &str, notice: &Notice, link: &str) -> AlarmEvent {
        let (event_type, word) = if notice.is_open {
            ("alarm.opened", "opened")
        } else {
            ("alarm.closed", "closed")
        };
        let key = format!("{hook}/{}/{}/{word}", notice.alarm, notice.since_ms);
        let link = format!("{}{}", link.trim_end_matches('/'), page(hook, notice.alarm));
        let body = Body {
            r#type: event_type,
            id: &key,
            hook,
            alarm: notice.alarm,
            since: rfc3339(notice.since_ms),
            at: rfc3339(notice.at_ms),
            sentence: &notice.sentence,
            hint: &notice.hint,
            link,
        };
        AlarmEvent {
            id: EventId::numbered(from_ms(notice.at_ms), fnv1a(key.as_bytes()), 0),
            event_type,
            body: serde_json::to_string(&body).unwrap_or_default(),
            key,
        }
    }
}

/// FNV-1a, which is the same in every version.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_json_is_as_documented() {
        let notice = Notice {
            alarm: AlarmKind::Silence,
            is_open: true,
            since_ms: 1_770_000_000_000,
            at_ms: 1_770_000_000_000,
            sentence: "no event for 7h".into(),
            hint: "look".into(),
        };
        let event = AlarmEvent::new("orders", &notice, "http://127.0.0.1:8081/");
        assert_eq!(
            event,
            AlarmEvent::new("orders", &notice, "http://127.0.0.1:8081")
        );
        assert_eq!(event.event_type, "alarm.opened");
        assert_eq!(
            event.body,
            "{\"type\":\"alarm.opened\",\"id\":\"orders/silence/1770000000000/opened\",\
             \"hook\":\"orders\",\"alarm\":\"silence\",\"since\":\"2026-02-02T02:40:00Z\",\
             \"at\":\"2026-02-02T02:40:00Z\",\"sentence\":\"no event for 7h\",\"hint\":\"look\",\
             \"link\":\"http://127.0.0.1:8081/why?hook=orders\"}"
        );

        let closed = Notice {
            is_open: false,
            ..notice
        };
        let closed = AlarmEvent::new("orders", &closed, "");
        assert_ne!(closed.id, event.id);
        assert_eq!(closed.key, "orders/silence/1770000000000/closed");
    }
}
