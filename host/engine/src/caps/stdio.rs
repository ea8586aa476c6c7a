//! Standard output and standard error of a component, as lines of the attempt's log.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use landfall_model::lock;
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

use super::log::{BYTES_MAX, LINE_BYTES_MAX, SharedLines};

/// Standard output or standard error.
#[derive(Clone)]
pub(crate) struct Stdio {
    lines: SharedLines,
    level: &'static str,
    is_stderr: bool,
    unfinished: Arc<Mutex<Vec<u8>>>,
}

// === impl Stdio ===

impl Stdio {
    /// Standard output: its lines are `info`.
    pub(crate) fn stdout(lines: SharedLines) -> Stdio {
        Stdio {
            lines,
            level: "info",
            is_stderr: false,
            unfinished: Arc::default(),
        }
    }

    /// Standard error: its lines are `warn`.
    pub(crate) fn stderr(lines: SharedLines) -> Stdio {
        Stdio {
            lines,
            level: "warn",
            is_stderr: true,
            unfinished: Arc::default(),
        }
    }

    fn add(&self, bytes: &[u8]) {
        let mut unfinished = lock(&self.unfinished);
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
            let mut lines = self.lines.lock();
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
        // The last clone ends the line that the guest did not end.
        if Arc::strong_count(&unfinished) == 2 {
            self.finish(&mut lock(&unfinished));
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
    use landfall_model::MemoryBudget;

    fn lines() -> SharedLines {
        SharedLines::new(MemoryBudget::new(1 << 20), Arc::default())
    }

    fn taken(lines: &SharedLines) -> Vec<String> {
        let (lines, _) = lines.lock().take();
        lines.into_iter().map(|line| line.text).collect()
    }

    #[test]
    fn stdio_is_cut_into_lines() {
        let lines = lines();
        let stdio = Stdio::stdout(lines.clone());
        stdio.add(b"one\ntw");
        stdio.add(b"o\n\x1b[31mred");
        drop(stdio);
        assert_eq!(taken(&lines), ["one", "two", "\\u{1b}[31mred"]);
    }

    #[test]
    fn panics_are_found_on_stderr() {
        let lines = lines();
        let stderr = Stdio::stderr(lines.clone());
        stderr
            .add(b"starting\nthread 'main' panicked at src/lib.rs:1:2:\nno luck\nnote: run with `RUST_BACKTRACE=1`\n");
        assert_eq!(
            lines.lock().last_stderr().unwrap(),
            "thread 'main' panicked at src/lib.rs:1:2:\nno luck"
        );
        stderr.add(b"Traceback (most recent call last):\n  File \"app.py\"\nValueError: bad\n\n");
        stderr.add(b"thread '<unnamed>' panicked at lib.rs:1:2:\n");
        stderr.add(b"Python function threw an unexpected exception\n");
        assert!(lines.lock().last_stderr().unwrap().starts_with(
            "Traceback (most recent call last):\n  File \"app.py\"\nValueError: bad\n"
        ));
        (0..100).for_each(|_| stderr.add(&[b'x'; 100]));
        stderr.add(b"\nValueError: no luck\n");
        assert!(lines.lock().last_stderr().unwrap().len() <= (2 << 10) + 1);
        assert!(
            lines
                .lock()
                .last_stderr()
                .unwrap()
                .ends_with("ValueError: no luck")
        );
    }
}
