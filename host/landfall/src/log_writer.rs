//! Writes log lines to standard error. Lines of the levels INFO and below are written together,
//! at most [`LINGER`] after they were logged: under load, a system call for each line would cost
//! more than the line. Warnings and errors are written at once, after the lines before them.

use std::io::{self, ErrorKind, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use landfall_model::lock;
use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

/// How long the lines after a written one wait for others.
const LINGER: Duration = Duration::from_millis(10);
/// With more bytes waiting, the caller writes them itself: what logs is not faster than what reads.
const PENDING_BYTES_MAX: usize = 256 * 1024;
/// How often a standard error that takes nothing is tried again, after [`LINGER`] each.
const RETRIES_MAX: u32 = 100;

/// Standard error for log lines. Clones share the lines that wait.
#[derive(Clone)]
pub(crate) struct LogWriter(Arc<Shared>);

/// Writes the lines that wait when it is dropped, and from then on each line at once.
#[must_use = "lines that wait are written when it is dropped"]
pub struct LogGuard(LogWriter);

struct Shared {
    /// Complete lines, in their order.
    pending: Mutex<Vec<u8>>,
    /// A first line waits.
    arrived: Condvar,
    /// Held while lines are taken out of `pending` and written, so that they keep their order.
    output: Mutex<Output>,
    at_once: AtomicBool,
}

struct Output {
    to: Box<dyn Write + Send>,
    /// Was written; its memory is used again.
    spare: Vec<u8>,
    /// Bytes that could not be written, and that no line tells of yet.
    lost: u64,
    /// The last write failed.
    is_failing: bool,
    /// What was written last is the beginning of a line whose rest is lost.
    is_in_line: bool,
}

/// The writer of one line.
pub(crate) struct LineWriter<'a> {
    shared: &'a Shared,
    at_once: bool,
}

// === impl LogWriter ===

impl LogWriter {
    /// Starts the thread that writes. With `at_once`, there is none: each line is one write, for
    /// somebody who reads along.
    pub(crate) fn start(
        to: impl Write + Send + 'static,
        at_once: bool,
    ) -> io::Result<(LogWriter, LogGuard)> {
        let writer = LogWriter(Arc::new(Shared {
            pending: Mutex::default(),
            arrived: Condvar::new(),
            output: Mutex::new(Output {
                to: Box::new(to),
                spare: Vec::new(),
                lost: 0,
                is_failing: false,
                is_in_line: false,
            }),
            at_once: AtomicBool::new(at_once),
        }));
        if !at_once {
            let shared = writer.0.clone();
            std::thread::Builder::new()
                .name("log".to_string())
                .spawn(move || shared.write_batches())?;
        }

        Ok((writer.clone(), LogGuard(writer)))
    }
}

impl<'a> MakeWriter<'a> for LogWriter {
    type Writer = LineWriter<'a>;

    fn make_writer(&'a self) -> LineWriter<'a> {
        LineWriter {
            shared: &self.0,
            at_once: true,
        }
    }

    fn make_writer_for(&'a self, metadata: &Metadata<'_>) -> LineWriter<'a> {
        LineWriter {
            shared: &self.0,
            at_once: *metadata.level() <= Level::WARN,
        }
    }
}

// === impl LogGuard ===

impl Drop for LogGuard {
    fn drop(&mut self) {
        let shared = &self.0.0;
        shared.at_once.store(true, Ordering::Relaxed);
        shared.write_pending();
    }
}

// === impl Shared ===

impl Shared {
    fn write_batches(&self) {
        loop {
            let mut pending = lock(&self.pending);
            while pending.is_empty() {
                pending = self
                    .arrived
                    .wait(pending)
                    .unwrap_or_else(PoisonError::into_inner);
            }
            drop(pending);

            self.write_pending();
            let lost = self.take_lost();
            if lost > 0 {
                tracing::warn!(
                    bytes = lost,
                    "log lines could not be written to standard error, and are lost"
                );
            }
            std::thread::sleep(LINGER);
        }
    }

    /// Writes all lines that wait.
    fn write_pending(&self) {
        let mut output = lock(&self.output);
        let mut lines = std::mem::take(&mut output.spare);
        std::mem::swap(&mut *lock(&self.pending), &mut lines);
        output.write(&lines);
        lines.clear();
        output.spare = lines;
    }

    /// The bytes that were lost and that nothing tells of yet. Zero while lines are lost.
    fn take_lost(&self) -> u64 {
        let mut output = lock(&self.output);
        match output.is_failing {
            true => 0,
            false => std::mem::take(&mut output.lost),
        }
    }
}

// === impl Output ===

impl Output {
    /// Writes lines. What cannot be written is counted.
    fn write(&mut self, lines: &[u8]) {
        if self.is_in_line && self.write_some(b"\n") == 1 {
            self.is_in_line = false;
        }

        let written = self.write_some(lines);
        self.is_failing = written < lines.len();
        if self.is_failing {
            self.lost += (lines.len() - written) as u64;
            self.is_in_line |= written > 0 && lines[written - 1] != b'\n';
        }
    }

    /// Returns how many bytes it has written. A standard error that somebody else has made
    /// non-blocking is waited for, but not without end: that would stop the node.
    fn write_some(&mut self, bytes: &[u8]) -> usize {
        let (mut written, mut retries) = (0, 0);
        while written < bytes.len() {
            match self.to.write(&bytes[written..]) {
                Ok(0) => break,
                Ok(count) => (written, retries) = (written + count, 0),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock && retries < RETRIES_MAX => {
                    retries += 1;
                    std::thread::sleep(LINGER);
                }
                Err(_) => break,
            }
        }
        written
    }
}

// === impl LineWriter ===

impl Write for LineWriter<'_> {
    /// `line` is complete.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let shared = self.shared;
        let mut pending = lock(&shared.pending);
        let is_first = pending.is_empty();
        pending.extend_from_slice(line);
        let is_full = pending.len() > PENDING_BYTES_MAX;
        drop(pending);

        if self.at_once || is_full || shared.at_once.load(Ordering::Relaxed) {
            shared.write_pending();
        } else if is_first {
            shared.arrived.notify_one();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::log_testing::Written;

    use super::*;

    fn log(writer: LogWriter, write: impl FnOnce()) {
        let lines = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(writer)
            .finish();
        tracing::subscriber::with_default(lines, write);
    }

    #[test]
    fn errors_are_written_at_once() {
        let written = Written::default();
        let (writer, _guard) = LogWriter::start(written.clone(), false).unwrap();
        log(writer, || {
            tracing::info!("first");
            tracing::info!("second");
            tracing::error!("third");
            let text = written.text();
            let lines: Vec<_> = text.lines().collect();
            assert_eq!(lines.len(), 3, "{text}");
            for (line, word) in lines.iter().zip(["first", "second", "third"]) {
                assert!(line.ends_with(word), "{text}");
            }
        });
    }

    #[test]
    fn lines_are_written_without_another() {
        let written = Written::default();
        let (writer, _guard) = LogWriter::start(written.clone(), false).unwrap();
        log(writer, || tracing::info!("alone"));
        while !written.text().contains("alone") {
            std::thread::yield_now();
        }
    }

    #[test]
    fn the_guard_writes_what_waits() {
        let written = Written::default();
        let (writer, guard) = LogWriter::start(written.clone(), false).unwrap();
        log(writer, || {
            tracing::info!("before");
            tracing::info!("too");
            drop(guard);
            tracing::info!("after");
            assert_eq!(written.text().lines().count(), 3);
        });
    }

    #[test]
    fn many_threads_lose_no_line() {
        let written = Written::default();
        let (writer, guard) = LogWriter::start(written.clone(), false).unwrap();
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let writer = writer.clone();
                scope.spawn(move || {
                    log(writer, || {
                        for number in 0..5000 {
                            tracing::info!(thread, number, "line");
                        }
                    });
                });
            }
        });
        drop(guard);

        let text = written.text();
        assert_eq!(text.lines().count(), 20_000);
        for thread in 0..4 {
            let mine = format!(" thread={thread} ");
            let of_thread = text.lines().filter(|line| line.contains(&mine));
            for (number, line) in of_thread.enumerate() {
                assert!(line.ends_with(&format!("number={number}")), "{line}");
            }
        }
    }

    /// Writes a few bytes, fails once, and then writes everything.
    struct FailsOnce(Written, u32);

    impl Write for FailsOnce {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.1 += 1;
            match self.1 {
                1 => self.0.write(&bytes[..3]),
                2 => Err(ErrorKind::StorageFull.into()),
                _ => self.0.write(bytes),
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lost_lines_are_counted() {
        let written = Written::default();
        let (writer, _guard) = LogWriter::start(FailsOnce(written.clone(), 0), true).unwrap();
        let shared = &writer.0;
        lock(&shared.pending).extend_from_slice(b"lost\n");
        shared.write_pending();
        assert_eq!(shared.take_lost(), 0);

        lock(&shared.pending).extend_from_slice(b"kept\n");
        shared.write_pending();
        assert_eq!(written.text(), "los\nkept\n");
        assert_eq!(shared.take_lost(), 2);
        assert_eq!(shared.take_lost(), 0);
    }
}
