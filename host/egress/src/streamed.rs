//! A response whose body is read while it arrives, for commands that follow a stream of the admin
//! API.

use std::fmt;

use bytes::Bytes;
use http_body_util::BodyExt;
use http_body_util::combinators::BoxBody;

use super::exchange::OutgoingError;

/// A response whose body may have no end.
pub struct Streamed {
    /// 100 to 999.
    pub status: u16,
    body: BoxBody<Bytes, OutgoingError>,
}

// === impl Streamed ===

impl Streamed {
    pub(crate) fn new(status: u16, body: BoxBody<Bytes, OutgoingError>) -> Streamed {
        Streamed { status, body }
    }

    /// Waits for the next piece of the body. `None`: the body has ended. May be cancelled.
    pub async fn next(&mut self) -> Option<Result<Bytes, OutgoingError>> {
        loop {
            match self.body.frame().await? {
                Ok(frame) => match frame.into_data() {
                    Ok(data) => return Some(Ok(data)),
                    // Trailers.
                    Err(_) => continue,
                },
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

impl fmt::Debug for Streamed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Streamed")
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}
