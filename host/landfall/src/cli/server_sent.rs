//! Server-sent events, as they arrive in pieces.

use anyhow::ensure;

/// The most bytes of one event.
const EVENT_BYTES_MAX: usize = 1 << 20;

/// The part of a stream that has arrived and was not read yet.
#[derive(Debug, Default)]
pub(super) struct ServerSentEvents(Vec<u8>);

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ServerSentEvent {
    /// The name of the event.
    pub(super) name: String,
    /// Its data.
    pub(super) data: String,
}

// === impl ServerSentEvents ===

impl ServerSentEvents {
    pub(super) fn push(&mut self, piece: &[u8]) -> anyhow::Result<()> {
        ensure!(
            self.0.len() + piece.len() <= EVENT_BYTES_MAX,
            "an event of the stream has more than {EVENT_BYTES_MAX} bytes"
        );
        self.0.extend_from_slice(piece);
        Ok(())
    }

    /// The next event that has arrived completely. Comments are skipped.
    pub(super) fn next(&mut self) -> Option<ServerSentEvent> {
        loop {
            let end = self.0.windows(2).position(|two| two == b"\n\n")?;
            let block: Vec<u8> = self.0.drain(..end + 2).collect();
            if let Some(event) = ServerSentEvent::read(&String::from_utf8_lossy(&block)) {
                return Some(event);
            }
        }
    }
}

// === impl ServerSentEvent ===

impl ServerSentEvent {
    fn read(block: &str) -> Option<ServerSentEvent> {
        let data = field(block, "data:");
        (!data.is_empty()).then(|| ServerSentEvent {
            name: field(block, "event:"),
            data,
        })
    }
}

/// The lines of a field. `name` ends with the colon.
fn field(block: &str, name: &str) -> String {
    let lines = block.lines().filter_map(|line| line.strip_prefix(name));
    lines.map(str::trim_start).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_arrive_in_pieces() {
        let mut events = ServerSentEvents::default();
        let stream =
            ":\n\nevent: open\ndata: {\"delivery\":7}\n\nevent: done\nid: 8\ndata: \"ä\"\n\n";
        let mut found = Vec::new();
        for piece in stream.as_bytes().chunks(3) {
            events.push(piece).unwrap();
            found.extend(std::iter::from_fn(|| events.next()));
        }
        let event = |name: &str, data: &str| ServerSentEvent {
            name: name.to_owned(),
            data: data.to_owned(),
        };
        assert_eq!(
            found,
            [event("open", "{\"delivery\":7}"), event("done", "\"ä\"")]
        );
        assert!(events.push(&vec![b'x'; EVENT_BYTES_MAX + 1]).is_err());
    }
}
