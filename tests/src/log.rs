//! What a process writes to its standard error, line by line.

use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;

/// The lines so far. A thread adds to them until the process closes its end.
pub(crate) struct Log(Arc<Mutex<Vec<String>>>);

// === impl Log ===

impl Log {
    /// Reads the lines of a process.
    pub(crate) fn of(stderr: impl Read + Send + 'static) -> Log {
        let log = Arc::new(Mutex::new(Vec::new()));
        let lines = log.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                lines.lock().expect("the lock is not poisoned").push(line);
            }
        });
        Log(log)
    }

    /// The first line in JSON that matches.
    pub(crate) fn find(&self, matches: impl Fn(&Value) -> bool) -> Option<Value> {
        let lines = self.0.lock().expect("the lock is not poisoned");
        lines
            .iter()
            .filter_map(|line| serde_json::from_str(line).ok())
            .find(|line| matches(line))
    }

    pub(crate) fn text(&self) -> String {
        self.0.lock().expect("the lock is not poisoned").join("\n")
    }

    /// The text of a process that has ended, to its last line.
    pub(crate) async fn last_words(&self) -> String {
        // A child of the process may hold the pipe for longer.
        for _ in 0..500 {
            if Arc::strong_count(&self.0) == 1 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.text()
    }
}
