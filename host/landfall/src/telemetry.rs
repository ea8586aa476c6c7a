//! Log lines on standard error: text on a terminal, otherwise JSON. Hidden characters are escaped.
//! Each line is one write, so that no line is lost when the process ends.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use landfall_config::{LogFormat, env};

use crate::log_cloud::CloudLogging;
use crate::log_fields::EscapedFields;
use crate::log_json::JsonLines;

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

    started.map_err(|error| anyhow::anyhow!("log lines cannot be written: {error}"))
}
