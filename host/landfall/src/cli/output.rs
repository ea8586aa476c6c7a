//! Standard output. A reader that has seen enough (`head`) ends a command quietly; a full disk ends
//! it with a sentence and exit code 1.

use std::fmt::Arguments;
use std::io::{self, ErrorKind, Write};

use rustix::event::{PollFd, PollFlags, poll};

use super::listing::printable;

/// As `println!`, which would panic where it cannot write.
macro_rules! say {
    ($($text:tt)*) => {
        $crate::cli::output::line(format_args!($($text)*))
    };
}
pub(super) use say;

/// One line. Ends the process if it cannot be written.
pub(super) fn line(text: Arguments<'_>) {
    let mut out = io::stdout().lock();
    written(out.write_fmt(text).and_then(|()| out.write_all(b"\n")));
}

/// Each line of a text that others have written, with control characters escaped.
pub(super) fn untrusted(indent: &str, text: &str) {
    for line in text.lines() {
        say!("{indent}{}", printable(line));
    }
}

/// Returns after a successful write; otherwise ends the process.
pub(super) fn written(result: io::Result<()>) {
    match result {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::BrokenPipe => std::process::exit(0),
        Err(error) => {
            writeln!(
                io::stderr(),
                "landfall: standard output cannot be written: {error}"
            )
            .ok();
            std::process::exit(1);
        }
    }
}

/// Returns when the reader of standard output has closed it. Never returns for a file, which has no
/// reader.
pub(super) async fn reader_gone() {
    // Without events to wait for, `poll` reports errors and hang-ups only.
    let waited = tokio::task::spawn_blocking(|| {
        let out = io::stdout();
        let mut polled = [PollFd::new(&out, PollFlags::empty())];
        rustix::io::retry_on_intr(|| poll(&mut polled, None))
    });
    if !matches!(waited.await, Ok(Ok(_))) {
        std::future::pending().await
    }
}
