//! MCP over standard input and output: one JSON-RPC message in each line.

use rmcp::ServiceExt;
use rmcp::service::ServerInitializeError;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};

use crate::server::Server;

/// The most bytes of a line.
const LINE_MAX: usize = 1 << 20;
/// Bytes between the reader of lines and the server.
const PIPE_BYTES: usize = 64 << 10;
/// Stands for a line that is no message: the server answers it with the error `Invalid Request`.
/// Without an answer, the client would wait.
const NO_MESSAGE: &[u8] = b"{}\n";

/// Why the server ended.
#[derive(Debug, thiserror::Error)]
#[error("the MCP client cannot be served: {0}")]
pub struct StdioError(String);

/// Serves one client until it closes standard input.
pub async fn serve_stdio(server: Server) -> Result<(), StdioError> {
    let (input, output) = rmcp::transport::stdio();
    let (lines, pipe) = tokio::io::duplex(PIPE_BYTES);
    tokio::spawn(pass_on(BufReader::new(input), pipe));

    let running = match server.serve((lines, output)).await {
        Ok(running) => running,
        // The client has left before its first message.
        Err(ServerInitializeError::ConnectionClosed(_)) => return Ok(()),
        Err(error) => return Err(StdioError(error.to_string())),
    };
    let ended = running.waiting().await;
    ended
        .map(drop)
        .map_err(|error| StdioError(error.to_string()))
}

/// Passes on the lines that are JSON and not too long. Ends with the input, or with the server.
async fn pass_on(mut input: BufReader<impl AsyncRead + Unpin>, mut pipe: impl AsyncWrite + Unpin) {
    let (mut line, mut is_too_long) = (Vec::new(), false);
    loop {
        let Ok(read) = input.fill_buf().await else {
            return;
        };
        if read.is_empty() {
            return;
        }

        let end = read.iter().position(|byte| *byte == b'\n');
        let part = &read[..end.map_or(read.len(), |end| end + 1)];
        let length = part.len();
        is_too_long |= line.len() + length > LINE_MAX;
        if is_too_long {
            line.clear();
        } else {
            line.extend_from_slice(part);
        }
        input.consume(length);
        if end.is_none() {
            continue;
        }

        let message = if is_message(&line, is_too_long) {
            line.as_slice()
        } else {
            NO_MESSAGE
        };
        if pipe.write_all(message).await.is_err() {
            return;
        }
        line.clear();
        is_too_long = false;
    }
}

/// Whether the server can read the line. Empty lines are passed on: it skips them.
fn is_message(line: &[u8], is_too_long: bool) -> bool {
    let is_blank = line.iter().all(u8::is_ascii_whitespace);
    !is_too_long && (is_blank || serde_json::from_slice::<Value>(line).is_ok())
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    async fn passed(input: &[u8]) -> String {
        let (mut ours, theirs) = tokio::io::duplex(4 << 20);
        pass_on(BufReader::new(input), theirs).await;
        let mut passed = String::new();
        ours.read_to_string(&mut passed).await.unwrap();
        passed
    }

    #[tokio::test]
    async fn only_messages_are_passed_on() {
        for (input, expected) in [
            ("{\"a\":1}\n\n[2]\r\n", "{\"a\":1}\n\n[2]\r\n"),
            ("{\"a\":\nnot JSON\n{}\n", "{}\n{}\n{}\n"),
            ("{\"cut\":", ""),
        ] {
            assert_eq!(passed(input.as_bytes()).await, expected, "{input}");
        }
        let deep = format!("{}{}\n", "[".repeat(9_000), "]".repeat(9_000));
        assert_eq!(passed(deep.as_bytes()).await, "{}\n");
    }

    #[tokio::test]
    async fn long_lines_are_left_out() {
        let long = format!("{{\"a\":\"{}\"}}\n{{\"b\":1}}\n", "x".repeat(3 * LINE_MAX));
        assert_eq!(passed(long.as_bytes()).await, "{}\n{\"b\":1}\n");
    }
}
