//! A collector: a server that keeps what it receives, and reads it as OTLP.
//!
//! Source of the field numbers: github.com/open-telemetry/opentelemetry-proto.

use std::collections::BTreeMap;

use landfall_tests::receiver::Got;
use landfall_tests::{Receiver, eventually};

use super::wire::Message;

/// A running collector.
pub(super) struct Collector {
    pub(super) receiver: Receiver,
}

/// A span that came.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Span {
    pub(super) trace: String,
    pub(super) id: String,
    /// Empty: the first span of its trace.
    pub(super) parent: String,
    pub(super) name: String,
    /// 1 internal, 2 server, 3 client, 5 consumer.
    pub(super) kind: u64,
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) attributes: BTreeMap<String, String>,
    /// Trace and span.
    pub(super) links: Vec<(String, String)>,
    /// The message of an error.
    pub(super) error: Option<String>,
    pub(super) flags: u32,
}

// === impl Collector ===

impl Collector {
    pub(super) async fn start() -> Collector {
        Collector {
            receiver: Receiver::start().await,
        }
    }

    /// Without a path.
    pub(super) fn url(&self) -> String {
        self.receiver.url("")
    }

    /// The requests with spans, or with metrics.
    pub(super) fn requests(&self, path: &str) -> Vec<Got> {
        let got = self.receiver.got().into_iter();
        got.filter(|got| got.path == path).collect()
    }

    /// The attributes of the resource of the first spans.
    pub(super) fn resource(&self) -> BTreeMap<String, String> {
        let first = self.requests("/v1/traces").remove(0);
        let spans = Message::read(&first.body).messages(1).remove(0);
        attributes(&spans.message(1).unwrap(), 1)
    }

    /// Every span so far, in the order of their start.
    pub(super) fn spans(&self) -> Vec<Span> {
        let mut spans = Vec::new();
        for got in self.requests("/v1/traces") {
            assert_eq!(got.method, "POST");
            assert_eq!(got.headers["content-type"], "application/x-protobuf");
            for of_resource in Message::read(&got.body).messages(1) {
                for of_scope in of_resource.messages(2) {
                    assert_eq!(of_scope.message(1).unwrap().text(1), "landfall");
                    spans.extend(of_scope.messages(2).iter().map(Span::read));
                }
            }
        }
        spans.sort_by_key(|span: &Span| span.start);
        spans
    }

    /// Waits until a trace has spans of these names, in any order; gives all of its spans.
    pub(super) async fn trace(&self, trace: &str, names: &[&str]) -> Vec<Span> {
        let mut wanted = Vec::from(names);
        wanted.sort_unstable();
        eventually(&format!("the trace has the spans {wanted:?}"), || async {
            let mut spans = self.spans();
            spans.retain(|span| span.trace == trace);
            let mut found: Vec<&str> = spans.iter().map(|span| span.name.as_str()).collect();
            found.sort_unstable();
            (found == wanted).then_some(spans)
        })
        .await
    }
}

// === impl Span ===

impl Span {
    fn read(message: &Message) -> Span {
        let links = message.messages(13);
        let status = message.message(15);
        Span {
            trace: hex::encode(message.bytes(1)),
            id: hex::encode(message.bytes(2)),
            parent: hex::encode(message.bytes(4)),
            name: message.text(5),
            kind: message.varint(6),
            start: message.fixed64(7),
            end: message.fixed64(8),
            attributes: attributes(message, 9),
            links: links
                .iter()
                .map(|link| (hex::encode(link.bytes(1)), hex::encode(link.bytes(2))))
                .collect(),
            error: status
                .filter(|status| status.varint(3) == 2)
                .map(|status| status.text(2)),
            flags: message.fixed32(16),
        }
    }

    /// The value of an attribute.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.attributes.get(name).map(String::as_str)
    }
}

/// The only span with this name.
pub(super) fn named<'a>(spans: &'a [Span], name: &str) -> &'a Span {
    let mut found = spans.iter().filter(|span| span.name == name);
    let first = found
        .next()
        .unwrap_or_else(|| panic!("no {name}: {spans:#?}"));
    assert_eq!(found.next(), None, "several {name}");
    first
}

/// Names and values in a repeated field. Numbers and booleans become texts.
pub(super) fn attributes(message: &Message, number: u64) -> BTreeMap<String, String> {
    let pairs = message.messages(number).into_iter();
    pairs
        .map(|pair| {
            let value = pair.message(2).unwrap();
            let value = if value.has(1) {
                value.text(1)
            } else if value.has(2) {
                (value.varint(2) == 1).to_string()
            } else {
                value.varint(3).to_string()
            };
            (pair.text(1), value)
        })
        .collect()
}
