//! Log lines on standard error: text on a terminal, otherwise JSON. Control characters are escaped.

use std::fmt;
use std::io::IsTerminal;

use serde_json::{Map, Value, json};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use landfall_config::{LogFormat, env};
use landfall_model::Clock;

/// Starts logging. The default format is text on a terminal, otherwise JSON.
pub fn start(format: Option<LogFormat>, level: &str) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(level).map_err(|error| {
        anyhow::anyhow!("log level `{level}` cannot be read ({error}): write \"info\" or \"debug\"")
    })?;
    let terminal = std::io::stderr().is_terminal();
    let format = format.unwrap_or(if terminal {
        LogFormat::Text
    } else {
        LogFormat::Json
    });
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    let started = match format {
        LogFormat::Text => lines.with_ansi(terminal).with_target(false).try_init(),
        LogFormat::Json => lines
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .try_init(),
        LogFormat::CloudLogging => {
            let project = env::var("GOOGLE_CLOUD_PROJECT").filter(|project| !project.is_empty());
            lines.event_format(CloudLogging { project }).try_init()
        }
    };

    started.map_err(|error| anyhow::anyhow!("log lines cannot be written: {error}"))
}

/// One JSON object per line, with the keys that Google Cloud Logging reads.
///
/// Source: cloud.google.com/logging/docs/structured-logging.
struct CloudLogging {
    /// Without it a trace stands for itself.
    project: Option<String>,
}

impl<S: Subscriber + for<'a> LookupSpan<'a>, N: for<'a> FormatFields<'a> + 'static>
    FormatEvent<S, N> for CloudLogging
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields(Map::new());
        event.record(&mut fields);
        let Fields(mut line) = fields;
        let traceparent = line.remove("traceparent");
        if let Some((trace, span, is_sampled)) =
            traceparent.as_ref().and_then(Value::as_str).and_then(trace)
        {
            let named = self
                .project
                .as_ref()
                .map(|project| format!("projects/{project}/traces/{trace}"));
            line.insert(
                "logging.googleapis.com/trace".into(),
                named.unwrap_or_else(|| trace.to_owned()).into(),
            );
            line.insert("logging.googleapis.com/spanId".into(), span.into());
            line.insert(
                "logging.googleapis.com/trace_sampled".into(),
                is_sampled.into(),
            );
        }
        let level = event.metadata().level();
        line.insert("severity".into(), severity(*level).into());
        line.insert(
            "time".into(),
            humantime::format_rfc3339_micros(Clock::System.now())
                .to_string()
                .into(),
        );
        line.insert("target".into(), event.metadata().target().into());
        writeln!(writer, "{}", Value::Object(line))
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

/// The message and the fields of an event.
struct Fields(Map<String, Value>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0
            .insert(field.name().into(), format!("{value:?}").into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().into(), value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.insert(field.name().into(), value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.insert(field.name().into(), value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.0.insert(field.name().into(), json!(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.insert(field.name().into(), value.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_valid_traceparents_are_parsed() {
        let (trace_id, span) = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331");
        assert_eq!(
            trace(&format!("00-{trace_id}-{span}-01")),
            Some((trace_id, span, true))
        );
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
