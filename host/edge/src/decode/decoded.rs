//! The decoded body, within `max_body` and a ratio.

use std::io::{self, Read};

use bytes::Bytes;

use crate::bodies::{BodyBuffer, BodyReservation, BudgetExhausted};
use crate::rejection::Rejection;

/// Bytes that are read from a decoder at a time.
pub(super) const PIECE_BYTES: usize = 64 << 10;
/// A decoded body of this size is accepted at any ratio.
const RATIO_FREE_BYTES: usize = 1 << 20;
/// The text of one repeated line stays below this ratio. Only a decompression bomb exceeds it.
pub(super) const RATIO_MAX: usize = 250;

/// The bytes that a decoder has returned, within the limits.
pub(super) struct Decoded {
    buffer: BodyBuffer,
    max: usize,
}

// === impl Decoded ===

impl Decoded {
    pub(super) fn new(encoded: usize, max: usize, reservation: BodyReservation) -> Decoded {
        let max = max.min(RATIO_FREE_BYTES.max(encoded.saturating_mul(RATIO_MAX)));
        Decoded {
            buffer: BodyBuffer::new(reservation, max),
            max,
        }
    }

    /// Reads the decoder to its end.
    pub(super) fn read(&mut self, mut decoder: impl Read) -> Result<(), Rejection> {
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            let count = match decoder.read(&mut piece) {
                Ok(0) => return Ok(()),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => return Err(Rejection::BadEncoding),
            };

            if self.buffer.len() + count > self.max {
                return Err(Rejection::TooLarge);
            }

            self.buffer.extend(&piece[..count])?;
        }
    }

    pub(super) fn into_bytes(self) -> (Bytes, BodyReservation) {
        self.buffer.into_bytes()
    }
}

impl From<BudgetExhausted> for Rejection {
    fn from(BudgetExhausted: BudgetExhausted) -> Rejection {
        Rejection::Busy("limits.body_memory")
    }
}
