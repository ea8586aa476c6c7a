//! Log lines with the keys that Google Cloud Logging reads.

use std::fmt;

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::log_json::{FieldValue, Fields, JsonObject, Recorder, now};

/// The target of the lines of answered requests (`edge/src/request_log.rs`).
const REQUESTS: &str = "request";

/// One JSON object per line.
///
/// Source: cloud.google.com/logging/docs/structured-logging.
pub(crate) struct CloudLogging {
    /// Without it a trace stands for itself.
    pub(crate) project: Option<String>,
}

impl<S, N> FormatEvent<S, N> for CloudLogging
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let metadata = event.metadata();
        let mut object = JsonObject::begin();
        object.add("severity", FieldValue::Text(severity(*metadata.level())));
        object.add("time", FieldValue::Shown(&now()));
        let is_request = metadata.target() == REQUESTS;
        let mut line = CloudLine {
            object,
            request: is_request.then(JsonObject::begin),
            project: self.project.as_deref(),
        };
        event.record(&mut Recorder(&mut line));

        let CloudLine {
            mut object,
            request,
            ..
        } = line;
        if let Some(request) = request {
            object.add_json("httpRequest", &request.into_text()?);
        }
        object.add("target", FieldValue::Text(metadata.target()));
        writer.write_str(&object.into_line()?)
    }
}

/// The line of an event. The fields of an answered request are moved to where Cloud Logging shows
/// them.
///
/// Source: cloud.google.com/logging/docs/reference/v2/rest/v2/LogEntry#HttpRequest.
struct CloudLine<'a> {
    object: JsonObject,
    request: Option<JsonObject>,
    project: Option<&'a str>,
}

// === impl CloudLine ===

impl Fields for CloudLine<'_> {
    fn add(&mut self, name: &str, value: FieldValue<'_>) {
        if name == "traceparent" {
            return self.add_trace(&value.to_string());
        }

        let Some(request) = &mut self.request else {
            return self.object.add(name, value);
        };
        match name {
            "method" => request.add("requestMethod", value),
            "path" => request.add("requestUrl", value),
            "status" => request.add("status", value),
            "client" => request.add("remoteIp", value),
            // Numbers of 64 bits are texts there, as in all JSON of Google.
            "bytes" => request.add("requestSize", FieldValue::Shown(&value)),
            "duration_ms" => {
                if let FieldValue::Float(ms) = value {
                    let seconds = format_args!("{:.6}s", ms / 1000.0);
                    request.add("latency", FieldValue::Shown(&seconds));
                }
                self.object.add(name, value);
            }
            _ => self.object.add(name, value),
        }
    }
}

impl CloudLine<'_> {
    fn add_trace(&mut self, traceparent: &str) {
        let Some((trace, span, is_sampled)) = trace(traceparent) else {
            return;
        };
        let name = "logging.googleapis.com/trace";
        match self.project {
            Some(project) => {
                let named = format_args!("projects/{project}/traces/{trace}");
                self.object.add(name, FieldValue::Shown(&named));
            }
            None => self.object.add(name, FieldValue::Text(trace)),
        }
        self.object
            .add("logging.googleapis.com/spanId", FieldValue::Text(span));
        let sampled = FieldValue::Bool(is_sampled);
        self.object
            .add("logging.googleapis.com/trace_sampled", sampled);
    }
}

fn severity(level: Level) -> &'static str {
    match level {
        Level::ERROR => "ERROR",
        Level::WARN => "WARNING",
        Level::INFO => "INFO",
        Level::DEBUG | Level::TRACE => "DEBUG",
    }
}

/// Trace id, span id and the sampled flag of a `traceparent`
/// (www.w3.org/TR/trace-context/#traceparent-header).
fn trace(traceparent: &str) -> Option<(&str, &str, bool)> {
    let mut parts = traceparent.split('-');
    let (_version, trace, span, flags) =
        (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let is_one = is_hex(trace, 32) && is_hex(span, 16) && is_hex(flags, 2);
    is_one.then(|| {
        (
            trace,
            span,
            u8::from_str_radix(flags, 16).is_ok_and(|flags| flags & 1 == 1),
        )
    })
}

fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|c| c.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    /// The only line, without its time.
    fn line(project: Option<&str>, write: impl FnOnce()) -> Value {
        let project = project.map(str::to_owned);
        let mut lines = crate::log_testing::lines(CloudLogging { project }, write);
        assert_eq!(lines.len(), 1, "{lines:?}");
        let mut line = lines.remove(0);
        let time = line.as_object_mut().unwrap().remove("time").unwrap();
        assert!(time.as_str().unwrap().ends_with('Z'), "{time}");
        line
    }

    #[test]
    fn requests_are_shown_as_requests() {
        let shown = line(Some("p"), || {
            tracing::info!(target: "request", hook = "github", method = "POST", path = "/github",
                status = 202, bytes = 12, client = %"192.0.2.7", duration_ms = 1.5,
                traceparent = %TRACEPARENT, "request");
        });
        let expected = json!({
            "severity": "INFO", "hook": "github", "duration_ms": 1.5, "message": "request",
            "target": "request",
            "logging.googleapis.com/trace": "projects/p/traces/0af7651916cd43dd8448eb211c80319c",
            "logging.googleapis.com/spanId": "b7ad6b7169203331",
            "logging.googleapis.com/trace_sampled": true,
            "httpRequest": {
                "requestMethod": "POST", "requestUrl": "/github", "status": 202,
                "remoteIp": "192.0.2.7", "requestSize": "12", "latency": "0.001500s",
            },
        });
        assert_eq!(shown, expected);
    }

    #[test]
    fn other_lines_keep_their_fields() {
        let shown = line(None, || {
            tracing::warn!(target: "other", status = 5, traceparent = TRACEPARENT, "says");
        });
        let expected = json!({
            "severity": "WARNING", "status": 5, "message": "says", "target": "other",
            "logging.googleapis.com/trace": "0af7651916cd43dd8448eb211c80319c",
            "logging.googleapis.com/spanId": "b7ad6b7169203331",
            "logging.googleapis.com/trace_sampled": true,
        });
        assert_eq!(shown, expected);
    }

    #[test]
    fn only_valid_traceparents_are_parsed() {
        let (trace_id, span) = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331");
        assert_eq!(trace(TRACEPARENT), Some((trace_id, span, true)));
        assert_eq!(
            trace(&format!("00-{trace_id}-{span}-00")),
            Some((trace_id, span, false))
        );
        for wrong in [
            "",
            "00-x-y-01",
            "a\nb",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
        ] {
            assert_eq!(trace(wrong), None, "{wrong}");
        }
    }
}
