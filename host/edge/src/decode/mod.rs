//! Decodes the `Content-Encoding` of a request body: once, within `max_body` of the hook, a ratio,
//! and `limits.body_memory` of the node. The working memory of the decoder is reserved before it
//! starts, and each piece of the decoded body before it is stored.

mod brotli;
mod decoded;
#[cfg(test)]
mod tests;
mod zstd;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_ENCODING;
use tokio::sync::Semaphore;

use crate::bodies::{BodyReservation, BudgetExhausted};
use crate::rejection::Rejection;
use decoded::{Decoded, PIECE_BYTES};

/// Larger bodies are decoded on the blocking pool.
const INLINE_BYTES_MAX: usize = 16 << 10;
/// A window of 32 KiB and the tables.
const INFLATE_BYTES: usize = 64 << 10;
/// Up to 256 tables of each of three kinds, beside the window.
const BROTLI_TABLE_BYTES: usize = 4 << 20;
/// An encoder adds at most this to incompressible data, beside a 64th.
const FRAME_BYTES: usize = 1024;

/// A supported encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    Gzip,
    Deflate,
    Brotli,
    Zstd,
}

/// Decodes at most as many large bodies at a time as the machine has cores.
pub(crate) struct Decoders {
    permits: Arc<Semaphore>,
    /// How long a body waits for a permit.
    wait: Duration,
}

// === impl Decoders ===

impl Decoders {
    pub(crate) fn new(wait: Duration) -> Decoders {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Decoders {
            permits: Arc::new(Semaphore::new(cores)),
            wait,
        }
    }

    /// Returns the decoded body of at most `max` bytes, and `reservation` extended by it.
    pub(crate) async fn decode(
        &self,
        encoding: Encoding,
        body: &Bytes,
        max: usize,
        reservation: BodyReservation,
    ) -> Result<(Bytes, BodyReservation), Rejection> {
        if body.len() <= INLINE_BYTES_MAX {
            return encoding.decode_here(body, max, reservation);
        }

        let permit = tokio::time::timeout(self.wait, self.permits.clone().acquire_owned()).await;
        let permit = permit
            .map_err(|_| Rejection::Busy("decoders"))?
            .map_err(|_| Rejection::Busy("decoders"))?;
        let body = body.clone();
        let decoding = tokio::task::spawn_blocking(move || {
            let decoded = encoding.decode_here(&body, max, reservation);
            drop(permit);
            decoded
        });
        decoding.await.map_err(|_| Rejection::BadEncoding)?
    }
}

/// The maximum length of an encoded body whose decoded form has at most `max` bytes: incompressible
/// data grows a little.
pub(crate) fn encoded_max(max: usize) -> usize {
    max.saturating_add(max / 64).saturating_add(FRAME_BYTES)
}

// === impl Encoding ===

impl Encoding {
    /// The encoding of a body; `None` if it is not encoded.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Option<Encoding>, Rejection> {
        let values = headers
            .get_all(CONTENT_ENCODING)
            .iter()
            .map(|value| value.to_str().unwrap_or("?"));
        let names = values
            .flat_map(|value| value.split(','))
            .map(|name| name.trim().to_ascii_lowercase());
        let mut names = names.filter(|name| !name.is_empty() && name != "identity");
        let Some(name) = names.next() else {
            return Ok(None);
        };

        if names.next().is_some() {
            return Err(Rejection::UnknownEncoding);
        }

        match name.as_str() {
            "gzip" | "x-gzip" => Ok(Some(Encoding::Gzip)),
            "deflate" => Ok(Some(Encoding::Deflate)),
            "br" => Ok(Some(Encoding::Brotli)),
            "zstd" => Ok(Some(Encoding::Zstd)),
            _ => Err(Rejection::UnknownEncoding),
        }
    }

    fn decode_here(
        self,
        body: &[u8],
        max: usize,
        mut reservation: BodyReservation,
    ) -> Result<(Bytes, BodyReservation), Rejection> {
        if body.is_empty() {
            return Ok((Bytes::new(), reservation));
        }

        let mut working = reservation.sibling();
        working.grow_to(PIECE_BYTES + self.working_bytes(body)?)?;
        let mut decoded = Decoded::new(body.len(), max, reservation.sibling());
        match self {
            Encoding::Gzip => decoded.read(flate2::bufread::MultiGzDecoder::new(body))?,
            Encoding::Deflate if is_zlib(body) => {
                let mut decoder = flate2::bufread::ZlibDecoder::new(body);
                decoded.read(&mut decoder)?;
                check_whole(decoder.total_in() as usize, body)?;
            }
            Encoding::Deflate => {
                let mut decoder = flate2::bufread::DeflateDecoder::new(body);
                decoded.read(&mut decoder)?;
                check_whole(decoder.total_in() as usize, body)?;
            }
            // One byte at a time, so that the decoder reads nothing after the stream.
            Encoding::Brotli => {
                let mut rest = body;
                decoded.read(brotli_decompressor::Decompressor::new(&mut rest, 1))?;
                check_whole(body.len() - rest.len(), body)?;
            }
            Encoding::Zstd => {
                let window_max = zstd::WINDOW_MAX.max(max as u64);
                let mut frames = zstd::Frames::new(body, window_max, working);
                let read = decoded.read(&mut frames);
                if frames.is_over_budget {
                    Err(BudgetExhausted)?
                } else {
                    read?
                }
            }
        }

        let (decoded, of_decoded) = decoded.into_bytes();
        reservation.merge(of_decoded);
        Ok((decoded, reservation))
    }

    /// The memory that the decoder needs at the start. Each Zstandard frame reserves its own.
    fn working_bytes(self, body: &[u8]) -> Result<usize, Rejection> {
        match self {
            Encoding::Gzip | Encoding::Deflate => Ok(INFLATE_BYTES),
            Encoding::Brotli => {
                Ok(brotli::window(body).ok_or(Rejection::BadEncoding)? + BROTLI_TABLE_BYTES)
            }
            Encoding::Zstd => Ok(0),
        }
    }
}

/// The stream must be the whole body: anything after it would be lost.
fn check_whole(read: usize, body: &[u8]) -> Result<(), Rejection> {
    if read == body.len() {
        Ok(())
    } else {
        Err(Rejection::BadEncoding)
    }
}

/// `deflate` is the zlib format (RFC 9110 section 8.4.1.2). Some senders omit its header.
fn is_zlib(body: &[u8]) -> bool {
    matches!(body, [first, second, ..] if first & 0x0f == 8 && (u16::from(*first) << 8 | u16::from(*second)) % 31 == 0)
}
