//! Zstandard (RFC 8878 section 3).

use std::io::{self, Read};

use super::decoded::PIECE_BYTES;
use crate::bodies::{BodyReservation, BudgetExhausted};

/// RFC 9659 section 3.
pub(super) const WINDOW_MAX: u64 = 8 << 20;
/// One block, its literals, its sequences and its tables, beside the window.
const BLOCK_BYTES: usize = 2 << 20;
/// A buffer with less space beside the window is copied to one of twice the size.
const SLACK_BYTES: usize = 256 << 10;

/// Reads all frames of a body. The checksum and the declared size of each are checked.
pub(super) struct Frames<'a> {
    rest: &'a [u8],
    window_max: u64,
    frame: Option<Frame<'a>>,
    /// The working memory, as large as the largest frame so far needs.
    working: BodyReservation,
    /// Whether the last error means that the budget is exhausted.
    pub(super) is_over_budget: bool,
}

struct Frame<'a> {
    decoder: ruzstd::decoding::StreamingDecoder<&'a [u8], ruzstd::decoding::FrameDecoder>,
    decoded: u64,
}

// === impl Frames ===

impl<'a> Frames<'a> {
    pub(super) fn new(body: &'a [u8], window_max: u64, working: BodyReservation) -> Frames<'a> {
        Frames {
            rest: body,
            window_max,
            frame: None,
            working,
            is_over_budget: false,
        }
    }

    /// Skippable frames contain no data.
    fn skip(&mut self) -> io::Result<()> {
        while let [0x50..=0x5f, 0x2a, 0x4d, 0x18, a, b, c, d, rest @ ..] = self.rest {
            let size = u32::from_le_bytes([*a, *b, *c, *d]) as usize;
            self.rest = rest.get(size..).ok_or(io::ErrorKind::UnexpectedEof)?;
        }

        Ok(())
    }

    fn open(&mut self) -> io::Result<Frame<'a>> {
        let size = window(self.rest).filter(|size| *size <= self.window_max);
        let size = size.ok_or(io::ErrorKind::InvalidData)? as usize;
        self.working
            .grow_to(PIECE_BYTES + working_bytes(size))
            .map_err(|BudgetExhausted| {
                self.is_over_budget = true;
                io::ErrorKind::OutOfMemory
            })?;
        let decoder =
            ruzstd::decoding::StreamingDecoder::new(self.rest).map_err(io::Error::other)?;
        Ok(Frame {
            decoder,
            decoded: 0,
        })
    }
}

impl Read for Frames<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let mut frame = match self.frame.take() {
                Some(frame) => frame,
                None => {
                    self.skip()?;
                    if self.rest.is_empty() {
                        return Ok(0);
                    }

                    self.open()?
                }
            };

            let count = frame.decoder.read(buffer)?;
            frame.decoded += count as u64;
            if count > 0 {
                self.frame = Some(frame);
                return Ok(count);
            }

            self.rest = frame.end()?;
        }
    }
}

// === impl Frame ===

impl<'a> Frame<'a> {
    /// Checks the frame at its end and returns what follows it.
    fn end(self) -> io::Result<&'a [u8]> {
        let Frame { decoder, decoded } = self;
        let (rest, frame) = (*decoder.get_ref(), decoder.decoder);
        let size = frame.content_size();
        let is_size_right = size == 0 || size == decoded;
        let is_checksum_right = frame
            .get_checksum_from_data()
            .is_none_or(|sent| Some(sent) == frame.get_calculated_checksum());
        if is_size_right && is_checksum_right {
            Ok(rest)
        } else {
            Err(io::ErrorKind::InvalidData.into())
        }
    }
}

/// What the decoder allocates for a frame with this window: a buffer of the next power of two. If a
/// block does not fit into it beside the window, it is copied to a buffer of twice the size later.
fn working_bytes(window: usize) -> usize {
    let buffer = window.next_power_of_two();
    let buffers = if buffer - window < SLACK_BYTES {
        3 * buffer.max(SLACK_BYTES)
    } else {
        buffer
    };

    buffers + BLOCK_BYTES
}

/// The window size of a frame (RFC 8878 section 3.1.1). `None` if this is not a frame.
fn window(body: &[u8]) -> Option<u64> {
    let [0x28, 0xb5, 0x2f, 0xfd, descriptor, rest @ ..] = body else {
        return None;
    };

    let is_single_segment = descriptor & 0x20 != 0;
    if !is_single_segment {
        let window = rest.first()?;
        let base = 1_u64 << (10 + (window >> 3));
        return Some(base + base / 8 * u64::from(window & 7));
    }

    let id_bytes = [0, 1, 2, 4][usize::from(descriptor & 3)];
    let size = rest.get(id_bytes..)?;
    match descriptor >> 6 {
        0 => little_endian(size, 1),
        1 => little_endian(size, 2).map(|size| size + 256),
        2 => little_endian(size, 4),
        _ => little_endian(size, 8),
    }
}

fn little_endian(bytes: &[u8], count: usize) -> Option<u64> {
    let bytes = bytes.get(..count)?;
    let number = bytes
        .iter()
        .rev()
        .fold(0, |sum, byte| sum << 8 | u64::from(*byte));
    Some(number)
}
