//! `log`, and standard output and error: lines of one attempt, capped.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};

use crate::bindings::v0_1::landfall::hook::log::{Host, Level, add_to_linker};
use crate::state::State;
use bytes::Bytes;
use landfall_model::{LogLine, MemoryBudget, Secret};
use tokio::io::AsyncWrite;
use wasmtime::component::{HasSelf, Linker};
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

/// Of all lines of an attempt together.
const BYTES_MAX: usize = 64 << 10;
const LINES_MAX: usize = 1000;
const LINE_BYTES_MAX: usize = 8 << 10;

/// Of the end of standard error, for the reason of a trap.
const STDERR_BYTES_MAX: usize = 2 << 10;

/// The lines so far.
#[derive(Debug)]
pub struct Lines {
    lines: Vec<LogLine>,
    bytes: usize,
    truncated: bool,
    /// The last lines of standard error.
    stderr: VecDeque<String>,
    memory: MemoryBudget,
    /// Values of secrets that the guest knows.
    secrets: Arc<[Secret]>,
}

/// The context of `log`.
pub struct Log {
    lines: Arc<Mutex<Lines>>,
}

/// Standard output or error: bytes cut into lines.
#[derive(Clone)]
pub struct Stdio {
    lines: Arc<Mutex<Lines>>,
    level: &'static str,
    is_stderr: bool,
    unfinished: Arc<Mutex<Vec<u8>>>,
}

pub fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    add_to_linker::<State, HasSelf<Log>>(linker, |state| &mut state.log)
}

// === impl Lines ===

impl Lines {
    pub fn new(memory: MemoryBudget, secrets: Arc<[Secret]>) -> Lines {
        Lines {
            lines: Vec::new(),
            bytes: 0,
            truncated: false,
            stderr: VecDeque::new(),
            memory,
            secrets,
        }
    }

    /// Adds a line, escaped and cut; past the caps it is dropped and that is remembered.
    pub fn push(&mut self, level: &'static str, text: &str) {
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

    /// Keeps a line of standard error at hand, whether or not there is room for it in the log.
    fn keep_stderr(&mut self, text: &str) {
        let text = self.redacted(text);
        self.stderr.push_back(escaped(&text, STDERR_BYTES_MAX).0);
        while self.stderr.iter().map(String::len).sum::<usize>() > STDERR_BYTES_MAX {
            self.stderr.pop_front();
        }
    }

    /// The text without the secrets that the guest knows.
    pub fn redacted<'a>(&self, text: &'a str) -> Cow<'a, str> {
        landfall_egress::redacted(&self.secrets, text)
    }

    /// What the guest wrote to standard error last: the text of its panic, if it panicked.
    pub fn last_words(&self) -> Option<String> {
        let is_panic = |line: &String| line.contains("panicked at ");
        let first = self.stderr.iter().rposition(is_panic).unwrap_or(0);
        let is_hint = |line: &String| line.starts_with("note: run with `RUST_BACKTRACE");
        let lines: Vec<&str> = self
            .stderr
            .iter()
            .skip(first)
            .filter(|line| !is_hint(line))
            .map(String::as_str)
            .collect();
        (!lines.is_empty()).then(|| lines.join("\n"))
    }

    /// What there is, and whether something was dropped.
    pub fn take(&mut self) -> (Vec<LogLine>, bool) {
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
    pub fn new(lines: Arc<Mutex<Lines>>) -> Log {
        Log { lines }
    }

    /// The lines, at the end of the attempt.
    pub fn lines(&self) -> MutexGuard<'_, Lines> {
        self.lines
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
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
        self.lines().push(level, &message);
    }
}

// === impl Stdio ===

impl Stdio {
    /// Standard output: its lines are `info`.
    pub fn stdout(lines: Arc<Mutex<Lines>>) -> Stdio {
        Stdio {
            lines,
            level: "info",
            is_stderr: false,
            unfinished: Arc::default(),
        }
    }

    /// Standard error: its lines are `warn`.
    pub fn stderr(lines: Arc<Mutex<Lines>>) -> Stdio {
        Stdio {
            lines,
            level: "warn",
            is_stderr: true,
            unfinished: Arc::default(),
        }
    }

    fn add(&self, bytes: &[u8]) {
        let mut unfinished = self
            .unfinished
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let room = LINE_BYTES_MAX.saturating_sub(unfinished.len());
            unfinished.extend_from_slice(&part[..part.len().min(room)]);
            if part.ends_with(b"\n") {
                self.finish(&mut unfinished);
            }
        }
    }

    fn finish(&self, unfinished: &mut Vec<u8>) {
        if !unfinished.is_empty() {
            let mut lines = self
                .lines
                .lock()
                .unwrap_or_else(|poisoned| poisoned.into_inner());
            let text = String::from_utf8_lossy(unfinished);
            lines.push(self.level, &text);
            if self.is_stderr {
                lines.keep_stderr(&text);
            }
            unfinished.clear();
        }
    }
}

impl Drop for Stdio {
    fn drop(&mut self) {
        let unfinished = self.unfinished.clone();
        // The last of the clones ends the line that the guest did not.
        if Arc::strong_count(&unfinished) == 2 {
            self.finish(
                &mut unfinished
                    .lock()
                    .unwrap_or_else(|poisoned| poisoned.into_inner()),
            );
        }
    }
}

impl IsTerminal for Stdio {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Stdio {
    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }

    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(tokio::io::sink())
    }
}

impl OutputStream for Stdio {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.add(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(BYTES_MAX)
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Stdio {
    async fn ready(&mut self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines() -> Lines {
        Lines::new(MemoryBudget::new(1 << 20), Arc::default())
    }

    fn taken(lines: &Arc<Mutex<Lines>>) -> Vec<String> {
        lines
            .lock()
            .unwrap()
            .take()
            .0
            .into_iter()
            .map(|line| line.text)
            .collect()
    }

    #[test]
    fn stdio_is_cut_into_lines() {
        let lines = Arc::new(Mutex::new(lines()));
        let stdio = Stdio::stdout(lines.clone());
        stdio.add(b"one\ntw");
        stdio.add(b"o\n\x1b[31mred");
        drop(stdio);
        assert_eq!(taken(&lines), ["one", "two", "\\u{1b}[31mred"]);
    }

    #[test]
    fn a_panic_is_found_on_stderr() {
        let lines = Arc::new(Mutex::new(lines()));
        let stderr = Stdio::stderr(lines.clone());
        stderr
            .add(b"starting\nthread 'main' panicked at src/lib.rs:1:2:\nno luck\nnote: run with `RUST_BACKTRACE=1`\n");
        assert_eq!(
            lines.lock().unwrap().last_words().unwrap(),
            "thread 'main' panicked at src/lib.rs:1:2:\nno luck"
        );
        (0..100).for_each(|_| stderr.add(&[b'x'; 100]));
        stderr.add(b"\nValueError: no luck\n");
        assert!(lines.lock().unwrap().last_words().unwrap().len() <= STDERR_BYTES_MAX + 1);
        assert!(
            lines
                .lock()
                .unwrap()
                .last_words()
                .unwrap()
                .ends_with("ValueError: no luck")
        );
    }

    #[test]
    fn a_flood_is_capped() {
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
