//! What the other crates have of telemetry: new spans, and the queue of those that have ended.

use std::sync::Arc;

use landfall_metrics::Metrics;
use landfall_model::{Event, TRACEPARENT, TraceContext};
use tokio::sync::mpsc;

use super::span::{OpenSpan, Span};

/// The most spans that wait for the exporter: those of a second with 2,000 requests of four spans
/// each, about 5 MB.
const QUEUE_MAX: usize = 8192;

/// Makes the ids of spans, and takes the spans that have ended. Cheap to clone.
#[derive(Clone, Default)]
pub struct Tracer(Option<Arc<Shared>>);

struct Shared {
    spans: mpsc::Sender<Span>,
    sample_ratio: f64,
    metrics: Arc<Metrics>,
}

/// A tracer that is on, and the other end of its queue.
pub(crate) fn queue(sample_ratio: f64, metrics: Arc<Metrics>) -> (Tracer, mpsc::Receiver<Span>) {
    let (sender, receiver) = mpsc::channel(QUEUE_MAX);
    let shared = Shared {
        spans: sender,
        sample_ratio,
        metrics,
    };
    (Tracer(Some(Arc::new(shared))), receiver)
}

// === impl Tracer ===

impl Tracer {
    /// Telemetry is not configured: nothing is made, and nothing is taken.
    pub fn off() -> Tracer {
        Tracer::default()
    }

    /// Whether telemetry is configured.
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// The span of a request. It continues the trace of the caller, if `traceparent` is valid.
    pub fn request(&self, traceparent: Option<&str>) -> Option<OpenSpan> {
        let shared = self.0.as_ref()?;
        let span = match traceparent.and_then(TraceContext::parse) {
            Some(caller) => below(caller),
            None => {
                let root = TraceContext::root(true);
                first(shared.sampled(root))
            }
        };
        Some(span)
    }

    /// A span below the request, or below the attempt that emitted the event.
    pub fn below_event(&self, event: &Event) -> Option<OpenSpan> {
        let shared = self.0.as_ref()?;
        Some(match trace_of(event) {
            Some(parent) => below(parent),
            None => first(
                shared
                    .sampled(TraceContext::of_event(event.id, true))
                    .child(),
            ),
        })
    }

    /// The span of an attempt. `lease`: the numbers of the delivery and the attempt, if the event
    /// is stored; a later attempt is linked to the one before it.
    pub fn attempt(&self, event: &Event, lease: Option<(i64, u32)>) -> Option<OpenSpan> {
        let span = self.below_event(event)?;
        let Some((delivery, number)) = lease else {
            return Some(span);
        };

        let of = |number| span.context.attempt(event.id, delivery, number);
        Some(OpenSpan {
            context: of(number),
            link: (number > 1).then(|| of(number - 1)),
            ..span
        })
    }

    /// Takes a span that has ended. Never waits: if the queue is full, the span is dropped and
    /// counted.
    pub fn record(&self, span: Span) {
        let Some(shared) = &self.0 else {
            return;
        };
        if span.ids.context.is_sampled && shared.spans.try_send(span).is_err() {
            shared.metrics.count_dropped_spans(1);
        }
    }
}

// === impl Shared ===

impl Shared {
    /// The same trace, recorded or not by the ratio. It follows from the id of the trace, so that
    /// every node decides alike.
    fn sampled(&self, context: TraceContext) -> TraceContext {
        TraceContext {
            is_sampled: is_within(context, self.sample_ratio),
            ..context
        }
    }
}

/// The last seven bytes of the id are random, in ids of events too. A float holds 53 of their bits
/// without rounding.
fn is_within(context: TraceContext, ratio: f64) -> bool {
    let digits = context.trace_id[9..].iter();
    let number = digits.fold(0_u64, |number, byte| (number << 8) | u64::from(*byte));
    ((number >> 3) as f64) < ratio * (1_u64 << 53) as f64
}

fn trace_of(event: &Event) -> Option<TraceContext> {
    event.attribute(TRACEPARENT).and_then(TraceContext::parse)
}

fn below(parent: TraceContext) -> OpenSpan {
    OpenSpan {
        context: parent.child(),
        parent: Some(parent.span_id),
        link: None,
    }
}

fn first(context: TraceContext) -> OpenSpan {
    OpenSpan {
        context,
        parent: None,
        link: None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use landfall_metrics::Gauges;
    use landfall_model::EventId;

    use super::super::span::Kind;
    use super::*;

    const CALLER: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn on(ratio: f64) -> (Tracer, mpsc::Receiver<Span>, Arc<Metrics>) {
        let metrics = Arc::new(Metrics::new());
        let (tracer, spans) = queue(ratio, metrics.clone());
        (tracer, spans, metrics)
    }

    fn event(traceparent: Option<&str>) -> Event {
        let attribute = traceparent.map(|value| (TRACEPARENT.to_owned(), value.to_owned()));
        Event {
            id: EventId::from_bytes([9; 16]),
            hook: "h".into(),
            received_at: UNIX_EPOCH,
            method: "POST".parse().unwrap(),
            path: "/h".into(),
            query: None,
            headers: Default::default(),
            body: Default::default(),
            attributes: attribute.into_iter().collect(),
        }
    }

    fn ended(span: OpenSpan) -> Span {
        span.ended("step", Kind::Internal, UNIX_EPOCH, UNIX_EPOCH)
    }

    #[test]
    fn off_makes_no_spans() {
        let tracer = Tracer::off();
        assert!(!tracer.is_on());
        assert_eq!(tracer.request(Some(CALLER)), None);
        assert_eq!(tracer.attempt(&event(Some(CALLER)), Some((1, 1))), None);
    }

    #[test]
    fn requests_continue_the_callers_trace() {
        let (tracer, _spans, _) = on(0.0);
        let span = tracer.request(Some(CALLER)).unwrap();
        let caller = TraceContext::parse(CALLER).unwrap();
        assert_eq!(span.context.trace_id, caller.trace_id);
        assert_eq!(span.parent, Some(caller.span_id));
        assert!(span.context.is_sampled, "the caller decides");

        let own = tracer.request(Some("not-a-trace")).unwrap();
        assert_eq!(own.parent, None);
        assert!(!own.context.is_sampled, "the ratio decides");
    }

    #[test]
    fn retries_link_the_attempt_before() {
        let (tracer, _spans, _) = on(1.0);
        for traceparent in [Some(CALLER), None] {
            let event = event(traceparent);
            let first = tracer.attempt(&event, Some((5, 1))).unwrap();
            let second = tracer.attempt(&event, Some((5, 2))).unwrap();
            assert_eq!(first.link, None);
            assert_eq!(second.link, Some(first.context));
            assert_eq!(second.parent, first.parent);
            assert_ne!(second.context.span_id, first.context.span_id);
        }
    }

    #[test]
    fn the_ratio_chooses_by_trace() {
        let of = |byte: u8| TraceContext {
            trace_id: [byte; 16],
            ..TraceContext::root(true)
        };
        assert!(is_within(of(0xff), 1.0) && is_within(of(0x10), 0.5));
        assert!(!is_within(of(0xf0), 0.5) && !is_within(of(0x01), 0.0));
    }

    #[test]
    fn a_full_queue_drops_and_counts() {
        let (tracer, mut spans, metrics) = on(1.0);
        let span = ended(tracer.request(None).unwrap());
        for _ in 0..QUEUE_MAX + 3 {
            tracer.record(span.clone());
        }
        let text = metrics.text(&Gauges::new());
        assert!(
            text.contains("landfall_telemetry_dropped_total 3\n"),
            "{text}"
        );
        assert_eq!(spans.try_recv().unwrap(), span);
    }

    #[test]
    fn unsampled_spans_are_not_queued() {
        let (tracer, mut spans, metrics) = on(0.0);
        tracer.record(ended(tracer.request(None).unwrap()));
        assert!(spans.try_recv().is_err());
        let text = metrics.text(&Gauges::new());
        assert!(
            text.contains("landfall_telemetry_dropped_total 0\n"),
            "{text}"
        );
    }
}
