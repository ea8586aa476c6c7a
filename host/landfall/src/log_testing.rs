//! Captures log lines in unit tests.

use std::io;
use std::sync::{Arc, Mutex};

use landfall_model::lock;
use serde_json::Value;
use tracing_subscriber::Registry;
use tracing_subscriber::fmt::format::DefaultFields;
use tracing_subscriber::fmt::{FormatEvent, MakeWriter};

/// What was written.
#[derive(Clone, Default)]
pub(crate) struct Written(Arc<Mutex<Vec<u8>>>);

/// The lines that `write` logs, which are JSON.
pub(crate) fn lines<E>(format: E, write: impl FnOnce()) -> Vec<Value>
where
    E: FormatEvent<Registry, DefaultFields> + Send + Sync + 'static,
{
    let written = Written::default();
    let logs = tracing_subscriber::fmt()
        .event_format(format)
        .with_writer(written.clone())
        .finish();
    tracing::subscriber::with_default(logs, write);

    let text = written.text();
    let lines = text.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

// === impl Written ===

impl Written {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(lock(&self.0).clone()).unwrap()
    }
}

impl io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        lock(&self.0).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Written {
    type Writer = Written;

    fn make_writer(&'a self) -> Written {
        self.clone()
    }
}
