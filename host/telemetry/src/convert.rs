//! Spans as OTLP has them.

use std::time::{SystemTime, UNIX_EPOCH};

use landfall_model::TraceContext;

use super::otlp;
use super::span::{Kind, Span, Value};

/// A longer text in an attribute is truncated.
const TEXT_CHARACTERS_MAX: usize = 256;
/// The spans and metrics come from this library.
const SCOPE: &str = "landfall";

/// The request that carries these spans.
pub(crate) fn traces(resource: &otlp::Resource, spans: &[Span]) -> otlp::ExportTraceServiceRequest {
    let of_scope = otlp::ScopeSpans {
        scope: Some(scope()),
        spans: spans.iter().map(span).collect(),
    };
    let of_resource = otlp::ResourceSpans {
        resource: Some(resource.clone()),
        scope_spans: vec![of_scope],
    };
    otlp::ExportTraceServiceRequest {
        resource_spans: vec![of_resource],
    }
}

/// The node, as names and values.
pub(crate) fn resource(attributes: &[(String, String)]) -> otlp::Resource {
    let attributes = attributes.iter();
    otlp::Resource {
        attributes: attributes
            .map(|(name, value)| text_attribute(name, value))
            .collect(),
    }
}

pub(crate) fn scope() -> otlp::InstrumentationScope {
    otlp::InstrumentationScope {
        name: SCOPE.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

pub(crate) fn text_attribute(name: &str, value: &str) -> otlp::KeyValue {
    attribute(name, otlp::Scalar::Text(value.to_owned()))
}

/// Nanoseconds since 1970. Earlier times count as 1970.
pub(crate) fn nanos(at: SystemTime) -> u64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

fn span(span: &Span) -> otlp::Span {
    let context = &span.ids.context;
    let attributes = span.attributes.iter();
    otlp::Span {
        trace_id: context.trace_id.to_vec(),
        span_id: context.span_id.to_vec(),
        parent_span_id: span.ids.parent.map(Vec::from).unwrap_or_default(),
        name: span.name.clone(),
        kind: kind(span.kind),
        start_time_unix_nano: nanos(span.start),
        end_time_unix_nano: nanos(span.end),
        attributes: attributes
            .map(|(name, value)| attribute(name, scalar(value)))
            .collect(),
        links: span.ids.link.iter().map(link).collect(),
        status: span.error.map(error),
        flags: flags(context),
    }
}

fn link(to: &TraceContext) -> otlp::Link {
    otlp::Link {
        trace_id: to.trace_id.to_vec(),
        span_id: to.span_id.to_vec(),
        flags: flags(to),
    }
}

fn flags(context: &TraceContext) -> u32 {
    u32::from(context.is_sampled)
}

fn error(word: &str) -> otlp::Status {
    otlp::Status {
        message: word.to_owned(),
        code: otlp::STATUS_ERROR,
    }
}

fn kind(kind: Kind) -> i32 {
    match kind {
        Kind::Internal => otlp::span_kind::INTERNAL,
        Kind::Server => otlp::span_kind::SERVER,
        Kind::Client => otlp::span_kind::CLIENT,
        Kind::Consumer => otlp::span_kind::CONSUMER,
    }
}

fn attribute(name: &str, value: otlp::Scalar) -> otlp::KeyValue {
    otlp::KeyValue {
        key: name.to_owned(),
        value: Some(otlp::AnyValue { value: Some(value) }),
    }
}

fn scalar(value: &Value) -> otlp::Scalar {
    match value {
        Value::Text(text) => otlp::Scalar::Text(text.chars().take(TEXT_CHARACTERS_MAX).collect()),
        Value::Word(word) => otlp::Scalar::Text((*word).to_owned()),
        Value::Int(number) => otlp::Scalar::Int(*number),
        Value::Bool(value) => otlp::Scalar::Bool(*value),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use prost::Message;

    use super::super::span::OpenSpan;
    use super::*;

    #[test]
    fn spans_survive_the_wire() {
        let context = TraceContext::root(true);
        let ids = OpenSpan {
            context: context.child(),
            parent: Some(context.span_id),
            link: Some(context),
        };
        let (start, end) = (UNIX_EPOCH, UNIX_EPOCH + Duration::from_nanos(5));
        let span = ids
            .ended("attempt", Kind::Consumer, start, end)
            .with("landfall.attempt", 2_u32)
            .with("text", "é".repeat(300))
            .failed(Some("timeout"));

        let sent = traces(&resource(&[("service.name".into(), "x".into())]), &[span]);
        let read = otlp::ExportTraceServiceRequest::decode(&*sent.encode_to_vec()).unwrap();
        assert_eq!(read, sent);

        let span = &read.resource_spans[0].scope_spans[0].spans[0];
        assert_eq!(span.parent_span_id, context.span_id);
        assert_eq!(span.links[0].span_id, context.span_id);
        assert_eq!((span.kind, span.end_time_unix_nano), (5, 5));
        assert_eq!(span.status.as_ref().unwrap().message, "timeout");
        let text = span.attributes[1].value.as_ref().unwrap();
        let truncated = otlp::Scalar::Text("é".repeat(TEXT_CHARACTERS_MAX));
        assert_eq!(text.value, Some(truncated));
    }
}
