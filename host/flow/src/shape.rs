//! The event in the form that a handler receives: the event of a batch, with the body of a template.

use std::sync::Arc;

use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING};
use landfall_model::{Event, FlowSpec};

use super::batch;
use super::mistake::FlowMistake;
use super::transform::Transform;

/// Headers that describe the body that was sent.
const OF_THE_BODY: [&str; 4] = ["content-digest", "repr-digest", "digest", "content-md5"];

/// What changes between the stored event and its handler.
#[derive(Debug, Clone, Default)]
pub struct Shape {
    has_batches: bool,
    transform: Option<Transform>,
}

// === impl Shape ===

impl Shape {
    /// The shape of the events of a hook whose bodies have at most `max_body` bytes.
    pub fn of(spec: &FlowSpec, max_body: usize) -> Shape {
        let transform = spec.transform.as_ref();
        Shape {
            has_batches: spec.batch.is_some(),
            transform: transform.map(|spec| Transform::new(spec, max_body)),
        }
    }

    /// The event for the handler, or why there is none: a sentence for the operator. The stored event
    /// stays as it was received.
    pub fn apply(&self, event: &Arc<Event>) -> Result<Arc<Event>, String> {
        let wraps = self.has_batches && !batch::is_batch(event);
        let event = if wraps {
            Arc::new(batch::compose(std::slice::from_ref(event)))
        } else {
            event.clone()
        };
        let Some(transform) = &self.transform else {
            return Ok(event);
        };

        let body = transform.render(&event)?;
        let mut shaped = Event::clone(&event);
        shaped.body = body;
        shaped
            .headers
            .insert(CONTENT_TYPE, transform.content_type().clone());
        for name in [CONTENT_LENGTH, CONTENT_ENCODING, TRANSFER_ENCODING] {
            shaped.headers.remove(name);
        }
        for name in OF_THE_BODY {
            shaped.headers.remove(name);
        }
        // The new body is no form.
        shaped
            .attributes
            .retain(|(name, _)| name != "json-form-field");
        shaped
            .attributes
            .push(("transformed".to_owned(), "true".to_owned()));
        Ok(Arc::new(shaped))
    }

    pub(crate) fn check(&self) -> Result<(), FlowMistake> {
        self.transform.as_ref().map_or(Ok(()), Transform::check)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::HeaderValue;
    use landfall_model::{BatchSpec, TransformSpec};

    use super::*;
    use crate::testing::event;

    fn template(body: &str) -> Option<TransformSpec> {
        Some(TransformSpec {
            body: body.to_owned(),
            content_type: HeaderValue::from_static("application/json"),
        })
    }

    #[test]
    fn an_event_without_flow_stays() {
        let sent = Arc::new(event("{}"));
        let shaped = Shape::default().apply(&sent).unwrap();
        assert!(Arc::ptr_eq(&sent, &shaped));
    }

    #[test]
    fn the_template_sees_the_batch() {
        let spec = FlowSpec {
            batch: Some(BatchSpec {
                key: None,
                count: 10,
                time: Duration::from_secs(1),
                split_after: 3,
            }),
            transform: template("[{% for one in event.json.batch %}{{ one.json.n }}{% endfor %}]"),
            ..FlowSpec::default()
        };
        let mut sent = event("{\"n\":7}");
        sent.headers
            .insert("content-length", HeaderValue::from_static("7"));
        let shaped = Shape::of(&spec, 1000).apply(&Arc::new(sent)).unwrap();
        assert_eq!(&shaped.body[..], b"[7]");
        assert_eq!(shaped.attribute("transformed"), Some("true"));
        assert_eq!(shaped.headers["content-type"], "application/json");
        assert!(!shaped.headers.contains_key("content-length"));
    }

    #[test]
    fn headers_of_the_old_body_go() {
        let spec = FlowSpec {
            transform: template("{}"),
            ..FlowSpec::default()
        };
        let mut sent = event("{\"n\":7}");
        for name in [
            "content-length",
            "content-encoding",
            "content-md5",
            "digest",
        ] {
            sent.headers.insert(name, HeaderValue::from_static("7"));
        }
        let shaped = Shape::of(&spec, 1000).apply(&Arc::new(sent)).unwrap();
        assert_eq!(shaped.headers.len(), 1, "{:?}", shaped.headers);
    }

    #[test]
    fn failures_name_the_table() {
        let spec = FlowSpec {
            transform: template("{{ event.json.a.b }}"),
            ..FlowSpec::default()
        };
        let why = Shape::of(&spec, 1000)
            .apply(&Arc::new(event("{}")))
            .unwrap_err();
        assert!(why.starts_with("[transform] fails"), "{why}");
    }
}
