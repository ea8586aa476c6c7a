//! The keys of `landfall dev`: single keys on a terminal, or lines on any other standard input.

use std::io::Read;

use rustix::termios::{LocalModes, OptionalActions, Termios, isatty, tcgetattr, tcsetattr};
use tokio::sync::mpsc;

/// The terminal gives each key at once, without showing it, until this is dropped.
pub(super) struct SingleKeys {
    before: Option<Termios>,
}

// === impl SingleKeys ===

impl SingleKeys {
    /// Changes the terminal, if standard input is one.
    pub(super) fn start() -> SingleKeys {
        let stdin = std::io::stdin();
        if !isatty(&stdin) {
            return SingleKeys { before: None };
        }

        let before = tcgetattr(&stdin).ok();
        if let Some(mut keys) = before.clone() {
            // Ctrl-C stays a signal.
            keys.local_modes
                .remove(LocalModes::ICANON | LocalModes::ECHO);
            tcsetattr(&stdin, OptionalActions::Now, &keys).ok();
        }
        SingleKeys { before }
    }

    /// Whether standard input is a terminal. If it ends, that terminal was closed.
    pub(super) fn is_terminal(&self) -> bool {
        self.before.is_some()
    }
}

impl Drop for SingleKeys {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            tcsetattr(std::io::stdin(), OptionalActions::Now, before).ok();
        }
    }
}

/// The keys that are pressed, in lower case. The channel closes at the end of standard input.
pub(super) fn keys() -> mpsc::Receiver<char> {
    let (press, pressed) = mpsc::channel(16);
    std::thread::spawn(move || {
        let bytes = std::io::stdin().lock().bytes().map_while(Result::ok);
        for key in bytes.map(char::from).filter(char::is_ascii_alphabetic) {
            if press.blocking_send(key.to_ascii_lowercase()).is_err() {
                return;
            }
        }
    });
    pressed
}
