//! Log lines on standard error: text on a terminal, otherwise JSON. Hidden characters are escaped.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::Directive;

use landfall_config::{LogFormat, env};

use crate::log_cloud::CloudLogging;
use crate::log_fields::EscapedFields;
use crate::log_json::JsonLines;
use crate::log_writer::{LogGuard, LogWriter};

/// The MCP library writes several lines for each request, some with texts of the client that are as
/// long as its request. The crate `landfall_mcp` writes one for each call.
const QUIET: (&str, &str) = ("rmcp", "rmcp=error");

/// Starts logging. The default format is text on a terminal, otherwise JSON. Lines that wait are
/// written when the guard is dropped.
pub fn start(format: Option<LogFormat>, level: &str) -> anyhow::Result<LogGuard> {
    let filter = filter(level)?;
    let terminal = std::io::stderr().is_terminal();
    let format = format.unwrap_or(if terminal {
        LogFormat::Text
    } else {
        LogFormat::Json
    });
    let (writer, guard) = LogWriter::start(std::io::stderr(), terminal)
        .map_err(|error| anyhow::anyhow!("the thread of the log lines cannot start: {error}"))?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer);
    let started = match format {
        LogFormat::Text => lines
            .with_ansi(terminal)
            .with_target(false)
            .fmt_fields(EscapedFields)
            .try_init(),
        LogFormat::Json => lines.event_format(JsonLines).try_init(),
        LogFormat::CloudLogging => {
            let project = env::var("GOOGLE_CLOUD_PROJECT").filter(|project| !project.is_empty());
            lines.event_format(CloudLogging { project }).try_init()
        }
    };

    started.map_err(|error| anyhow::anyhow!("log lines cannot be written: {error}"))?;
    Ok(guard)
}

/// The filter of a level. A level that names the quiet library is obeyed.
fn filter(level: &str) -> anyhow::Result<EnvFilter> {
    let filter = EnvFilter::try_new(level).map_err(|error| {
        anyhow::anyhow!("log level `{level}` cannot be read ({error}): write \"info\" or \"debug\"")
    })?;
    let (library, quiet) = QUIET;
    if level.contains(library) {
        return Ok(filter);
    }
    let quiet: Directive = quiet.parse()?;
    Ok(filter.add_directive(quiet))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mcp_library_is_quiet() {
        for (level, is_quiet) in [
            ("info", true),
            ("landfall_edge=debug,info", true),
            ("rmcp=debug,info", false),
        ] {
            let filter = filter(level).unwrap().to_string();
            assert_eq!(filter.contains("rmcp=error"), is_quiet, "{filter}");
        }
    }
}
