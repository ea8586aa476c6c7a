//! The place of work in a trace, as the header `traceparent` of W3C Trace Context writes it.
//!
//! Source: www.w3.org/TR/trace-context/#traceparent-header.

use std::fmt;
use std::time::Instant;

use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::event::EventId;

/// The name of the header, and of the attribute of an event.
pub const TRACEPARENT: &str = "traceparent";

/// The length of a header of version 00.
const HEADER_LEN: usize = 55;
const SAMPLED: u8 = 1;

/// The id of a span. Never all zeros.
pub type SpanId = [u8; 8];

/// A span of a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceContext {
    /// The id of the trace. Never all zeros.
    pub trace_id: [u8; 16],
    /// The id of the span.
    pub span_id: SpanId,
    /// Whether the spans of the trace are recorded.
    pub is_sampled: bool,
}

/// The span of an outbound call, and when the call began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallTrace {
    /// The span, which the receiver of the call continues.
    pub context: TraceContext,
    /// When the call began.
    pub began: Instant,
}

// === impl TraceContext ===

impl TraceContext {
    /// The first span of a new trace.
    pub fn root(is_sampled: bool) -> TraceContext {
        TraceContext {
            trace_id: Uuid::new_v4().into_bytes(),
            span_id: random_span(),
            is_sampled,
        }
    }

    /// The trace of an event that has none: the same in every attempt and at every node.
    pub fn of_event(event: EventId, is_sampled: bool) -> TraceContext {
        TraceContext {
            trace_id: event.uuid().into_bytes(),
            span_id: derived_span(event, 0, 0),
            is_sampled,
        }
    }

    /// Reads a header. `None` if it is not valid.
    pub fn parse(text: &str) -> Option<TraceContext> {
        let (header, rest) = text.split_at_checked(HEADER_LEN)?;
        let mut parts = header.split('-');
        let version = bytes::<1>(parts.next()?)?[0];
        let trace_id = bytes::<16>(parts.next()?)?;
        let span_id = bytes::<8>(parts.next()?)?;
        let flags = bytes::<1>(parts.next()?)?[0];

        // A later version may add fields at the end.
        let has_known_form = match version {
            0 => rest.is_empty(),
            0xff => false,
            _ => rest.is_empty() || rest.starts_with('-'),
        };
        let is_valid = has_known_form && trace_id != [0; 16] && span_id != [0; 8];
        is_valid.then_some(TraceContext {
            trace_id,
            span_id,
            is_sampled: flags & SAMPLED == SAMPLED,
        })
    }

    /// A new span below this one.
    pub fn child(&self) -> TraceContext {
        TraceContext {
            span_id: random_span(),
            ..*self
        }
    }

    /// The span of an attempt in the trace of its event. It follows from the numbers of delivery
    /// and attempt, so that a later attempt can name it, also at another node.
    pub fn attempt(&self, event: EventId, delivery: i64, attempt: u32) -> TraceContext {
        TraceContext {
            span_id: derived_span(event, delivery, attempt),
            ..*self
        }
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let trace = u128::from_be_bytes(self.trace_id);
        let span = u64::from_be_bytes(self.span_id);
        let flags = u8::from(self.is_sampled);
        write!(f, "00-{trace:032x}-{span:016x}-{flags:02x}")
    }
}

fn random_span() -> SpanId {
    // The second half begins with the two bits of the variant, so it is not zero.
    second_half(Uuid::new_v4().into_bytes())
}

fn second_half(bytes: [u8; 16]) -> SpanId {
    let mut half = [0; 8];
    half.copy_from_slice(&bytes[8..]);
    half
}

fn derived_span(event: EventId, delivery: i64, attempt: u32) -> SpanId {
    let mut digest = Sha256::new();
    digest.update(event.uuid().as_bytes());
    digest.update(delivery.to_be_bytes());
    digest.update(attempt.to_be_bytes());

    let mut span = [0; 8];
    span.copy_from_slice(&digest.finalize()[..8]);
    // Zero is not an id.
    span[0] |= 1;
    span
}

/// Lower-case hexadecimal digits, as the header has them.
fn bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != 2 * N {
        return None;
    }

    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = (digit(pair[0])? << 4) | digit(pair[1])?;
    }
    Some(bytes)
}

fn digit(character: u8) -> Option<u8> {
    match character {
        b'0'..=b'9' => Some(character - b'0'),
        b'a'..=b'f' => Some(character - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn headers_are_read_and_written() {
        let context = TraceContext::parse(HEADER).unwrap();
        assert!(context.is_sampled);
        assert_eq!(context.span_id[0], 0xb7);
        assert_eq!(context.to_string(), HEADER);

        let unsampled = HEADER.replace("-01", "-00");
        let context = TraceContext::parse(&unsampled).unwrap();
        assert!(!context.is_sampled);
        assert_eq!(context.to_string(), unsampled);

        let later = format!("{}-more", HEADER.replacen("00", "cc", 1));
        assert!(TraceContext::parse(&later).is_some());
    }

    #[test]
    fn invalid_headers_are_ignored() {
        for wrong in [
            "",
            "00-x-y-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331_01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b71692033é-01",
        ] {
            assert_eq!(TraceContext::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn attempts_have_spans_of_their_own() {
        let context = TraceContext::parse(HEADER).unwrap();
        let event = EventId::from_bytes([7; 16]);
        let first = context.attempt(event, 1, 1);
        assert_eq!(first, context.attempt(event, 1, 1));
        assert_eq!(first.trace_id, context.trace_id);

        let others = [
            context.attempt(event, 1, 2),
            context.attempt(event, 2, 1),
            context.attempt(EventId::from_bytes([8; 16]), 1, 1),
            context.child(),
        ];
        for other in others {
            assert_ne!(first.span_id, other.span_id);
        }
    }

    #[test]
    fn events_without_trace_get_one() {
        let event = EventId::from_bytes([7; 16]);
        let context = TraceContext::of_event(event, true);
        assert_eq!(context, TraceContext::of_event(event, true));
        assert_eq!(context.trace_id, [7; 16]);
        assert_ne!(TraceContext::root(true), TraceContext::root(true));
    }
}
