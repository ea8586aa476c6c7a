//! `log`: the lines of one attempt, within limits.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};

use crate::bindings::v0_1::landfall::hook::log::{Host, Level, add_to_linker};
use landfall_egress::Redactor;
use landfall_model::{LogLine, MemoryBudget};
use wasmtime::component::{HasSelf, Linker};

/// The most bytes of all lines of an attempt.
pub(crate) const BYTES_MAX: usize = 64 << 10;
const LINES_MAX: usize = 1000;
pub(crate) const LINE_BYTES_MAX: usize = 8 << 10;

/// The most bytes of the last lines on standard error, which become the reason of a trap.
const STDERR_BYTES_MAX: usize = 2 << 10;

/// The beginning of the text of a Rust panic. On standard error, the name of the thread precedes
/// it.
const PANIC: &str = "panicked at ";

/// The panic of a component of `componentize-py` whose Python function raised an exception.
const PYTHON_EXCEPTION: &str = "Python function threw an unexpected exception";

/// The lines of an attempt, shared by the capabilities that add some.
#[derive(Debug, Clone)]
pub(crate) struct SharedLines(Arc<Mutex<Lines>>);

/// The lines of an attempt.
#[derive(Debug)]
pub(crate) struct Lines {
    lines: Vec<LogLine>,
    bytes: usize,
    truncated: bool,
    /// The last lines of standard error.
    stderr: VecDeque<String>,
    memory: MemoryBudget,
    /// Removes the secrets that the guest knows.
    redactor: Arc<Redactor>,
}

/// The context of `log`.
pub(crate) struct Log {
    lines: SharedLines,
}

/// Links the host functions. `context` finds the capability in the state of a store.
pub(crate) fn link<T>(
    linker: &mut Linker<T>,
    context: fn(&mut T) -> &mut Log,
) -> wasmtime::Result<()>
where
    T: 'static,
{
    add_to_linker::<T, HasSelf<Log>>(linker, context)
}

// === impl SharedLines ===

impl SharedLines {
    pub(crate) fn new(memory: MemoryBudget, redactor: Arc<Redactor>) -> SharedLines {
        SharedLines(Arc::new(Mutex::new(Lines::new(memory, redactor))))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Lines> {
        landfall_model::lock(&self.0)
    }
}

// === impl Lines ===

impl Lines {
    fn new(memory: MemoryBudget, redactor: Arc<Redactor>) -> Lines {
        Lines {
            lines: Vec::new(),
            bytes: 0,
            truncated: false,
            stderr: VecDeque::new(),
            memory,
            redactor,
        }
    }

    /// Adds a line, escaped and cut. A line beyond the limits is dropped, and the log is marked as
    /// truncated.
    pub(crate) fn push(&mut self, level: &'static str, text: &str) {
        if self.lines.len() >= LINES_MAX || self.bytes >= BYTES_MAX {
            self.truncated = true;
            return;
        }
        let room = LINE_BYTES_MAX.min(BYTES_MAX - self.bytes);
        let text = self.redacted(text);
        let (text, cut) = escaped(&text, room);
        self.truncated |= cut;
        if self.memory.take(text.len()).is_err() {
            self.truncated = true;
            return;
        }
        self.bytes += text.len();
        self.lines.push(LogLine { level, text });
    }

    /// Keeps a line of standard error for the reason of a trap, even if the log is full.
    pub(crate) fn keep_stderr(&mut self, text: &str) {
        let text = self.redacted(text);
        self.stderr.push_back(escaped(&text, STDERR_BYTES_MAX).0);
        while self.stderr.iter().map(String::len).sum::<usize>() > STDERR_BYTES_MAX {
            self.stderr.pop_front();
        }
    }

    /// Removes the secrets that the guest knows.
    pub(crate) fn redactor(&self) -> Arc<Redactor> {
        self.redactor.clone()
    }

    /// The text without the secrets that the guest knows.
    pub(crate) fn redacted<'a>(&self, text: &'a str) -> Cow<'a, str> {
        self.redactor.text(text)
    }

    /// The guest's last lines on standard error: the text of its panic, if it panicked.
    pub(crate) fn last_stderr(&self) -> Option<String> {
        let lines: Vec<&str> = self
            .stderr
            .iter()
            .skip(self.failure_start())
            .map(String::as_str)
            .filter(|line| !line.starts_with("note: run with `RUST_BACKTRACE"))
            .collect();
        (!lines.is_empty()).then(|| lines.join("\n"))
    }

    /// The first line of standard error that describes the failure. A Python component prints the
    /// exception, and panics after it.
    fn failure_start(&self) -> usize {
        let last = |text: &str| self.stderr.iter().rposition(|line| line.contains(text));

        if last(PYTHON_EXCEPTION).is_some() {
            last("Traceback (most recent call last)").unwrap_or(0)
        } else {
            last(PANIC).unwrap_or(0)
        }
    }

    /// Removes and returns the lines, and whether some were dropped.
    pub(crate) fn take(&mut self) -> (Vec<LogLine>, bool) {
        (std::mem::take(&mut self.lines), self.truncated)
    }
}

fn escaped(text: &str, room: usize) -> (String, bool) {
    let mut line = String::with_capacity(text.len().min(room));
    for character in text.trim_end_matches(['\r', '\n']).chars() {
        if line.len() + 12 > room {
            return (line, true);
        }
        match character {
            '\t' => line.push('\t'),
            control if control.is_control() => line.extend(control.escape_default()),
            plain => line.push(plain),
        }
    }
    (line, false)
}

// === impl Log ===

impl Log {
    pub(crate) fn new(lines: SharedLines) -> Log {
        Log { lines }
    }

    /// Locks the lines.
    pub(crate) fn lines(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock()
    }
}

impl Host for Log {
    fn log(&mut self, level: Level, message: String) {
        let level = match level {
            Level::Trace => "trace",
            Level::Debug => "debug",
            Level::Info => "info",
            Level::Warn => "warn",
            Level::Error => "error",
        };
        let mut lines = self.lines();
        // A component without WASI has no standard error: its panics arrive here.
        if message.starts_with(PANIC) {
            message.lines().for_each(|line| lines.keep_stderr(line));
        }
        lines.push(level, &message);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines() -> Lines {
        Lines::new(MemoryBudget::new(1 << 20), Arc::default())
    }

    #[test]
    fn logged_panics_are_reasons() {
        let lines = SharedLines::new(MemoryBudget::new(1 << 20), Arc::default());
        let mut log = Log::new(lines.clone());
        log.log(Level::Error, "not this".into());
        assert_eq!(lines.lock().last_stderr(), None);
        log.log(Level::Error, "panicked at src/lib.rs:1:2:\nboom".into());
        let reason = "panicked at src/lib.rs:1:2:\nboom";
        assert_eq!(lines.lock().last_stderr().as_deref(), Some(reason));
    }

    #[test]
    fn floods_are_cut() {
        let mut lines = self::lines();
        for _ in 0..5000 {
            lines.push("info", &"x".repeat(100));
        }
        let (kept, truncated) = lines.take();
        assert!(truncated && kept.len() <= LINES_MAX);
        let mut lines = self::lines();
        lines.push("info", &"x".repeat(1 << 20));
        let (kept, truncated) = lines.take();
        assert!(truncated && kept[0].text.len() <= LINE_BYTES_MAX);
    }
}
