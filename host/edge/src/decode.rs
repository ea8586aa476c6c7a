//! Undoes `Content-Encoding` of a request body: once, within `max_body` of the hook, the ratio below, and `limits.body_memory` of the node.
//! The working memory of the decoder is reserved before it starts, and each piece of the decoded body before it is kept.

use std::io::{self, Read};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_ENCODING;
use tokio::sync::Semaphore;

use super::answer::Stop;
use super::bodies::{BodyBuffer, Held, NoRoom};

/// An encoding that can be undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    Gzip,
    Deflate,
    Brotli,
    Zstd,
}

/// Larger bodies are decoded beside the executor.
const INLINE_BYTES_MAX: usize = 16 << 10;
const PIECE_BYTES: usize = 64 << 10;
/// Up to here a body may grow from nothing.
const RATIO_FREE_BYTES: usize = 1 << 20;
/// Text of one repeated line stays below this; only a bomb is above.
const RATIO_MAX: usize = 250;
/// RFC 9659 section 3.
const ZSTD_WINDOW_MAX: u64 = 8 << 20;
/// What a decoder needs besides its window. Inflate: a window of 32 KiB and its tables. Brotli: up to 256 tables of each of three
/// kinds. Zstandard: one block, its literals, its sequences and its tables.
const INFLATE_BYTES: usize = 64 << 10;
const BROTLI_TABLE_BYTES: usize = 4 << 20;
const ZSTD_BLOCK_BYTES: usize = 2 << 20;
/// A window that has no room for this many further bytes is moved to one of twice the size.
const ZSTD_SLACK_BYTES: usize = 256 << 10;

/// Decodes at most as many large bodies at a time as the machine has cores.
pub struct Decoders {
    permits: Arc<Semaphore>,
    /// How long a body waits for its turn.
    wait: Duration,
}

// === impl Decoders ===

impl Decoders {
    pub fn new(wait: Duration) -> Decoders {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Decoders {
            permits: Arc::new(Semaphore::new(cores)),
            wait,
        }
    }

    /// The decoded body, of at most `max` bytes, and `held`, grown by it.
    pub async fn decode(
        &self,
        encoding: Encoding,
        body: &Bytes,
        max: usize,
        held: Held,
    ) -> Result<(Bytes, Held), Stop> {
        if body.len() <= INLINE_BYTES_MAX {
            return encoding.decode_here(body, max, held);
        }

        let permit = tokio::time::timeout(self.wait, self.permits.clone().acquire_owned()).await;
        let permit = permit
            .map_err(|_| Stop::Busy("decoders"))?
            .map_err(|_| Stop::Busy("decoders"))?;
        let body = body.clone();
        let decoding = tokio::task::spawn_blocking(move || {
            let decoded = encoding.decode_here(&body, max, held);
            drop(permit);
            decoded
        });
        decoding.await.map_err(|_| Stop::BadEncoding)?
    }
}

/// The most bytes of an encoded body whose decoded form has at most `max`: what cannot be compressed becomes a little larger.
pub fn encoded_max(max: usize) -> usize {
    const FRAME_BYTES: usize = 1024;
    max.saturating_add(max / 64).saturating_add(FRAME_BYTES)
}

// === impl Encoding ===

impl Encoding {
    /// The one encoding of the body; none where the body is as it is.
    pub fn of(headers: &HeaderMap) -> Result<Option<Encoding>, Stop> {
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
            return Err(Stop::UnknownEncoding);
        }
        match name.as_str() {
            "gzip" | "x-gzip" => Ok(Some(Encoding::Gzip)),
            "deflate" => Ok(Some(Encoding::Deflate)),
            "br" => Ok(Some(Encoding::Brotli)),
            "zstd" => Ok(Some(Encoding::Zstd)),
            _ => Err(Stop::UnknownEncoding),
        }
    }

    fn decode_here(self, body: &[u8], max: usize, mut held: Held) -> Result<(Bytes, Held), Stop> {
        if body.is_empty() {
            return Ok((Bytes::new(), held));
        }
        let mut working = held.another();
        working.grow_to(PIECE_BYTES + self.working_bytes(body)?)?;
        let mut decoded = Decoded::new(body.len(), max, held.another());
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
            // One byte at a time, so that the decoder takes nothing that follows the stream.
            Encoding::Brotli => {
                let mut rest = body;
                decoded.read(brotli_decompressor::Decompressor::new(&mut rest, 1))?;
                check_whole(body.len() - rest.len(), body)?;
            }
            Encoding::Zstd => {
                let window_max = ZSTD_WINDOW_MAX.max(max as u64);
                let mut frames = ZstdFrames::new(body, window_max, working);
                let read = decoded.read(&mut frames);
                if frames.lacks_room {
                    Err(NoRoom)?
                } else {
                    read?
                }
            }
        }
        let (decoded, of_decoded) = decoded.buffer.into_bytes();
        held.merge(of_decoded);
        Ok((decoded, held))
    }

    /// The memory that the decoder needs from the start. Each Zstandard frame reserves its own.
    fn working_bytes(self, body: &[u8]) -> Result<usize, Stop> {
        match self {
            Encoding::Gzip | Encoding::Deflate => Ok(INFLATE_BYTES),
            Encoding::Brotli => {
                Ok(brotli_window(body).ok_or(Stop::BadEncoding)? + BROTLI_TABLE_BYTES)
            }
            Encoding::Zstd => Ok(0),
        }
    }
}

/// The stream must be the whole body: what follows it would be lost.
fn check_whole(taken: usize, body: &[u8]) -> Result<(), Stop> {
    if taken == body.len() {
        Ok(())
    } else {
        Err(Stop::BadEncoding)
    }
}

impl From<NoRoom> for Stop {
    fn from(NoRoom: NoRoom) -> Stop {
        Stop::Busy("limits.body_memory")
    }
}

/// The bytes that a decoder has returned, within the bounds.
struct Decoded {
    buffer: BodyBuffer,
    max: usize,
}

// === impl Decoded ===

impl Decoded {
    fn new(encoded: usize, max: usize, held: Held) -> Decoded {
        let max = max.min(RATIO_FREE_BYTES.max(encoded.saturating_mul(RATIO_MAX)));
        Decoded {
            buffer: BodyBuffer::new(held, max),
            max,
        }
    }

    /// Reads the decoder to its end.
    fn read(&mut self, mut decoder: impl Read) -> Result<(), Stop> {
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            let count = match decoder.read(&mut piece) {
                Ok(0) => return Ok(()),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => return Err(Stop::BadEncoding),
            };
            if self.buffer.len() + count > self.max {
                return Err(Stop::TooLarge);
            }
            self.buffer.extend(&piece[..count])?;
        }
    }
}

/// Every frame of a Zstandard body, one after another (RFC 8878 section 3). The checksum and the declared size of each are judged.
struct ZstdFrames<'a> {
    rest: &'a [u8],
    window_max: u64,
    frame: Option<ZstdFrame<'a>>,
    /// The working memory of the frames; it has room for the largest so far.
    working: Held,
    /// The last error means that there was no room for it.
    lacks_room: bool,
}

struct ZstdFrame<'a> {
    decoder: ruzstd::decoding::StreamingDecoder<&'a [u8], ruzstd::decoding::FrameDecoder>,
    decoded: u64,
}

// === impl ZstdFrames ===

impl<'a> ZstdFrames<'a> {
    fn new(body: &'a [u8], window_max: u64, working: Held) -> ZstdFrames<'a> {
        ZstdFrames {
            rest: body,
            window_max,
            frame: None,
            working,
            lacks_room: false,
        }
    }

    /// Skippable frames hold no data.
    fn skip(&mut self) -> io::Result<()> {
        while let [0x50..=0x5f, 0x2a, 0x4d, 0x18, a, b, c, d, rest @ ..] = self.rest {
            let size = u32::from_le_bytes([*a, *b, *c, *d]) as usize;
            self.rest = rest.get(size..).ok_or(io::ErrorKind::UnexpectedEof)?;
        }
        Ok(())
    }

    fn open(&mut self) -> io::Result<ZstdFrame<'a>> {
        let window = zstd_window(self.rest).filter(|window| *window <= self.window_max);
        let window = window.ok_or(io::ErrorKind::InvalidData)? as usize;
        self.working
            .grow_to(PIECE_BYTES + zstd_working_bytes(window))
            .map_err(|NoRoom| {
                self.lacks_room = true;
                io::ErrorKind::OutOfMemory
            })?;
        let decoder =
            ruzstd::decoding::StreamingDecoder::new(self.rest).map_err(io::Error::other)?;
        Ok(ZstdFrame {
            decoder,
            decoded: 0,
        })
    }
}

impl Read for ZstdFrames<'_> {
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

// === impl ZstdFrame ===

impl<'a> ZstdFrame<'a> {
    /// What follows the frame, if the frame is what it says.
    fn end(self) -> io::Result<&'a [u8]> {
        let ZstdFrame { decoder, decoded } = self;
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

/// `deflate` is the zlib format (RFC 9110 section 8.4.1.2); some senders leave its head out.
fn is_zlib(body: &[u8]) -> bool {
    matches!(body, [first, second, ..] if first & 0x0f == 8 && (u16::from(*first) << 8 | u16::from(*second)) % 31 == 0)
}

/// The window of a Brotli stream (RFC 7932 section 9.1). None for the "large window" streams, of up to 1 GiB, which are not the
/// encoding `br`.
fn brotli_window(body: &[u8]) -> Option<usize> {
    let first = *body.first()?;
    let bits = match (first & 1, first >> 1 & 7, first >> 4 & 7) {
        (0, ..) => 16,
        (_, 0, 0) => 17,
        (_, 0, 1) => return None,
        (_, 0, low) => 8 + low,
        (_, high, _) => 17 + high,
    };
    Some(1 << bits)
}

/// What the decoder allocates for a frame with this window: a buffer of the next power of two, and where that has no room for a block
/// beside the window, later one of twice the size, to which the first is copied.
fn zstd_working_bytes(window: usize) -> usize {
    let buffer = window.next_power_of_two();
    let buffers = if buffer - window < ZSTD_SLACK_BYTES {
        3 * buffer.max(ZSTD_SLACK_BYTES)
    } else {
        buffer
    };
    buffers + ZSTD_BLOCK_BYTES
}

/// How much memory the frame asks for (RFC 8878 section 3.1.1); none where it is no frame.
fn zstd_window(body: &[u8]) -> Option<u64> {
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
    let le = |count: usize| {
        size.get(..count).map(|bytes| {
            bytes
                .iter()
                .rev()
                .fold(0, |sum, byte| sum << 8 | u64::from(*byte))
        })
    };
    match descriptor >> 6 {
        0 => le(1),
        1 => le(2).map(|size| size + 256),
        2 => le(4),
        _ => le(8),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::super::bodies::Room;
    use super::*;

    fn decoded(encoding: Encoding, body: &[u8], max: usize) -> Result<Bytes, String> {
        decoded_in(&Room::new(64 << 20), encoding, body, max)
    }

    fn decoded_in(
        room: &Room,
        encoding: Encoding,
        body: &[u8],
        max: usize,
    ) -> Result<Bytes, String> {
        let decoded = encoding
            .decode_here(body, max, room.hold())
            .map_err(|stop| format!("{stop:?}"));
        decoded.map(|(bytes, held)| {
            assert!(
                held.bytes() >= bytes.len(),
                "{} bytes are reserved for {}",
                held.bytes(),
                bytes.len()
            );
            bytes
        })
    }

    fn gzip(body: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(body).unwrap();
        encoder.finish().unwrap()
    }

    fn zlib(body: &[u8]) -> Vec<u8> {
        let mut encoder =
            flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(body).unwrap();
        encoder.finish().unwrap()
    }

    /// Text that does not look like a bomb.
    fn words(count: usize) -> Vec<u8> {
        (0..count)
            .map(|n| format!("{n} words, "))
            .collect::<String>()
            .into_bytes()
    }

    #[test]
    fn each_encoding_is_undone() {
        let hello = Ok(Bytes::from_static(b"hello"));
        assert_eq!(decoded(Encoding::Gzip, &gzip(b"hello"), 5), hello);
        assert_eq!(decoded(Encoding::Deflate, &zlib(b"hello"), 5), hello);
        let zlib = zlib(b"hello");
        assert_eq!(
            decoded(Encoding::Deflate, &zlib[2..zlib.len() - 4], 5),
            hello
        );
        // One stored block each.
        assert_eq!(
            decoded(Encoding::Brotli, b"\x0b\x02\x80hello\x03", 5),
            hello
        );
        assert_eq!(
            decoded(
                Encoding::Zstd,
                b"\x28\xb5\x2f\xfd\x20\x05\x29\x00\x00hello",
                5
            ),
            hello
        );
        for encoding in [
            Encoding::Gzip,
            Encoding::Deflate,
            Encoding::Brotli,
            Encoding::Zstd,
        ] {
            assert_eq!(decoded(encoding, b"", 5), Ok(Bytes::new()));
        }
    }

    #[test]
    fn bounds_and_broken_bodies_are_refused() {
        let (large, broken) = (Err("TooLarge".to_owned()), Err("BadEncoding".to_owned()));
        assert_eq!(decoded(Encoding::Gzip, &gzip(b"hello"), 4), large);
        let bomb = gzip(&vec![0; 20 << 20]);
        assert!(bomb.len() * RATIO_MAX < 20 << 20, "{}", bomb.len());
        assert_eq!(decoded(Encoding::Gzip, &bomb, 64 << 20), large);
        let good = gzip(b"hello");
        for body in [
            &good[..good.len() - 9],
            b"hello",
            &[&good[..], b"x"].concat(),
        ] {
            assert_eq!(decoded(Encoding::Gzip, body, 100), broken, "{body:?}");
        }
        for encoding in [Encoding::Brotli, Encoding::Zstd] {
            assert_eq!(decoded(encoding, b"hello", 100), broken, "{encoding:?}");
        }
        // A window of 2 GiB.
        assert_eq!(
            decoded(
                Encoding::Zstd,
                b"\x28\xb5\x2f\xfd\x00\xa8\x29\x00\x00hello",
                100
            ),
            broken
        );
    }

    #[test]
    fn decoders_reserve_their_working_memory() {
        let frame_of_8_mib = b"\x28\xb5\x2f\xfd\x00\x68\x29\x00\x00hello";
        // A stored block in a stream with a window of 16 MiB.
        let brotli_of_16_mib = b"\x0f\x02\x80hello\x03";
        let busy = Err("Busy(\"limits.body_memory\")".to_owned());
        let text = words(100_000);
        for (encoding, body, working) in [
            (
                Encoding::Gzip,
                &gzip(&text)[..],
                PIECE_BYTES + INFLATE_BYTES,
            ),
            (Encoding::Deflate, &zlib(&text), PIECE_BYTES + INFLATE_BYTES),
            (Encoding::Brotli, brotli_of_16_mib, 20 << 20),
            (Encoding::Zstd, frame_of_8_mib, 26 << 20),
        ] {
            assert_eq!(
                decoded_in(&Room::new(working - 1024), encoding, body, 2 << 20),
                busy,
                "{encoding:?}"
            );
            assert!(
                decoded_in(&Room::new(working + (3 << 20)), encoding, body, 2 << 20).is_ok(),
                "{encoding:?}"
            );
        }
    }

    #[test]
    fn bodies_without_room_are_refused() {
        let room = Room::new(4 << 20);
        let text = gzip(&words(220_000));
        let (one, held) = Encoding::Gzip
            .decode_here(&text, 8 << 20, room.hold())
            .unwrap();
        assert!(held.bytes() >= one.len());
        let second = Encoding::Gzip.decode_here(&text, 8 << 20, room.hold());
        assert_eq!(
            second.map_err(|stop| format!("{stop:?}")).unwrap_err(),
            "Busy(\"limits.body_memory\")"
        );
        drop(held);
        assert!(
            Encoding::Gzip
                .decode_here(&text, 8 << 20, room.hold())
                .is_ok()
        );
    }

    #[test]
    fn large_brotli_windows_are_refused() {
        assert_eq!(
            decoded(Encoding::Brotli, b"\x11\x1e\x02\x80hello\x03", 100),
            Err("BadEncoding".to_owned())
        );
        let windows =
            [0x0b, 0x00, 0x01, 0x21, 0x71, 0x0f, 0x11].map(|first| brotli_window(&[first]));
        let bits = |bits: u32| Some(1 << bits);
        assert_eq!(
            windows,
            [
                bits(22),
                bits(16),
                bits(17),
                bits(10),
                bits(15),
                bits(24),
                None
            ]
        );
    }

    #[test]
    fn the_whole_body_is_decoded() {
        const FRAME: &[u8] = b"\x28\xb5\x2f\xfd\x20\x05\x29\x00\x00hello";
        const SKIPPABLE: &[u8] = b"\x50\x2a\x4d\x18\x03\x00\x00\x00abc";
        let frames = [SKIPPABLE, FRAME, FRAME, SKIPPABLE].concat();
        assert_eq!(
            decoded(Encoding::Zstd, &frames, 10),
            Ok(Bytes::from_static(b"hellohello"))
        );
        assert_eq!(
            decoded(Encoding::Gzip, &[gzip(b"a"), gzip(b"b")].concat(), 10),
            Ok(Bytes::from_static(b"ab"))
        );

        let broken = Err("BadEncoding".to_owned());
        let zlib = zlib(b"hello");
        for (encoding, good) in [
            (Encoding::Deflate, &zlib[..]),
            (Encoding::Deflate, &zlib[2..zlib.len() - 4]),
            (Encoding::Brotli, b"\x0b\x02\x80hello\x03"),
            (Encoding::Zstd, FRAME),
        ] {
            assert_eq!(
                decoded(encoding, &[good, b"rest"].concat(), 100),
                broken,
                "{encoding:?}"
            );
        }
        let mut wrong_size = FRAME.to_vec();
        wrong_size[5] = 200;
        assert_eq!(decoded(Encoding::Zstd, &wrong_size, 1000), broken);
    }

    #[test]
    fn one_known_encoding_is_taken() {
        let of = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(CONTENT_ENCODING, value.parse().unwrap());
            }
            Encoding::of(&headers).map_err(|stop| format!("{stop:?}"))
        };
        assert_eq!(of(&[]), Ok(None));
        assert_eq!(of(&["identity"]), Ok(None));
        assert_eq!(of(&["GZip"]), Ok(Some(Encoding::Gzip)));
        assert_eq!(of(&["identity, br"]), Ok(Some(Encoding::Brotli)));
        for values in [
            &["compress"][..],
            &["gzip, gzip"],
            &["gzip", "br"],
            &["aes128gcm"],
        ] {
            assert_eq!(of(values), Err("UnknownEncoding".to_owned()), "{values:?}");
        }
    }
}
