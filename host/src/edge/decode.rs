//! Undoes `Content-Encoding` of a request body: once, within the size of the hook, the ratio below, and the node's memory for
//! bodies.

use std::io::{self, Read};

use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_ENCODING;

use super::answer::Stop;
use super::bodies::{Held, NoRoom};

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

// === impl Encoding ===

impl Encoding {
    /// The one encoding of the body; none where the body is as it is.
    pub fn of(headers: &HeaderMap) -> Result<Option<Encoding>, Stop> {
        let values = headers.get_all(CONTENT_ENCODING).iter().map(|value| value.to_str().unwrap_or("?"));
        let names = values.flat_map(|value| value.split(',')).map(|name| name.trim().to_ascii_lowercase());
        let mut names = names.filter(|name| !name.is_empty() && name != "identity");
        let Some(name) = names.next() else { return Ok(None) };
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

    /// The decoded body, of at most `max` bytes. `held` grows by it.
    pub async fn decode(self, body: &Bytes, max: usize, mut held: Held) -> Result<(Bytes, Held), Stop> {
        if body.len() <= INLINE_BYTES_MAX {
            let decoded = self.decode_here(body, max, &mut held)?;
            return Ok((decoded, held));
        }

        let body = body.clone();
        let decoding = tokio::task::spawn_blocking(move || {
            let decoded = self.decode_here(&body, max, &mut held)?;
            Ok((decoded, held))
        });
        decoding.await.map_err(|_| Stop::BadEncoding)?
    }

    fn decode_here(self, body: &[u8], max: usize, held: &mut Held) -> Result<Bytes, Stop> {
        if body.is_empty() {
            return Ok(Bytes::new());
        }
        match self {
            Encoding::Gzip => read(flate2::bufread::MultiGzDecoder::new(body), body.len(), max, held),
            Encoding::Deflate if is_zlib(body) => {
                let mut decoder = flate2::bufread::ZlibDecoder::new(body);
                let decoded = read(&mut decoder, body.len(), max, held)?;
                whole(decoded, decoder.total_in() as usize, body)
            }
            Encoding::Deflate => {
                let mut decoder = flate2::bufread::DeflateDecoder::new(body);
                let decoded = read(&mut decoder, body.len(), max, held)?;
                whole(decoded, decoder.total_in() as usize, body)
            }
            // One byte at a time, so that the decoder takes nothing that follows the stream.
            Encoding::Brotli => {
                let mut rest = body;
                let decoded = read(brotli_decompressor::Decompressor::new(&mut rest, 1), body.len(), max, held)?;
                whole(decoded, body.len() - rest.len(), body)
            }
            Encoding::Zstd => read(ZstdFrames::new(body, ZSTD_WINDOW_MAX.max(max as u64)), body.len(), max, held),
        }
    }
}

/// The decoded bytes, if the stream took the whole body: what follows it would be lost.
fn whole(decoded: Bytes, taken: usize, body: &[u8]) -> Result<Bytes, Stop> {
    if taken == body.len() { Ok(decoded) } else { Err(Stop::BadEncoding) }
}

/// Every frame of a Zstandard body, one after another (RFC 8878 section 3). The checksum and the declared size of each are judged.
struct ZstdFrames<'a> {
    rest: &'a [u8],
    window_max: u64,
    frame: Option<ZstdFrame<'a>>,
}

struct ZstdFrame<'a> {
    decoder: ruzstd::decoding::StreamingDecoder<&'a [u8], ruzstd::decoding::FrameDecoder>,
    decoded: u64,
}

// === impl ZstdFrames ===

impl<'a> ZstdFrames<'a> {
    fn new(body: &'a [u8], window_max: u64) -> ZstdFrames<'a> {
        ZstdFrames { rest: body, window_max, frame: None }
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
        if zstd_window(self.rest).is_none_or(|window| window > self.window_max) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let decoder = ruzstd::decoding::StreamingDecoder::new(self.rest).map_err(io::Error::other)?;
        Ok(ZstdFrame { decoder, decoded: 0 })
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
        let is_checksum_right =
            frame.get_checksum_from_data().is_none_or(|sent| Some(sent) == frame.get_calculated_checksum());
        if is_size_right && is_checksum_right { Ok(rest) } else { Err(io::ErrorKind::InvalidData.into()) }
    }
}

/// Everything that comes, as long as it is within the bounds.
fn read(mut decoder: impl Read, encoded: usize, max: usize, held: &mut Held) -> Result<Bytes, Stop> {
    let most = max.min(RATIO_FREE_BYTES.max(encoded.saturating_mul(RATIO_MAX)));
    let mut decoded = Vec::new();
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let count = match decoder.read(&mut piece) {
            Ok(0) => return Ok(decoded.into()),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => return Err(Stop::BadEncoding),
        };
        if decoded.len() + count > most {
            return Err(Stop::TooLarge);
        }
        held.grow_to(encoded + decoded.len() + count).map_err(|NoRoom| Stop::Busy("limits.bodies"))?;
        decoded.extend_from_slice(&piece[..count]);
    }
}

/// `deflate` is the zlib format (RFC 9110 section 8.4.1.2); some senders leave its head out.
fn is_zlib(body: &[u8]) -> bool {
    matches!(body, [first, second, ..] if first & 0x0f == 8 && (u16::from(*first) << 8 | u16::from(*second)) % 31 == 0)
}

/// How much memory the frame asks for (RFC 8878 section 3.1.1); none where it is no frame.
fn zstd_window(body: &[u8]) -> Option<u64> {
    let [0x28, 0xb5, 0x2f, 0xfd, descriptor, rest @ ..] = body else { return None };
    let is_single_segment = descriptor & 0x20 != 0;
    if !is_single_segment {
        let window = rest.first()?;
        let base = 1_u64 << (10 + (window >> 3));
        return Some(base + base / 8 * u64::from(window & 7));
    }
    let id_bytes = [0, 1, 2, 4][usize::from(descriptor & 3)];
    let size = rest.get(id_bytes..)?;
    let le = |count: usize| {
        size.get(..count).map(|bytes| bytes.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
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
        let mut held = Room::new(64 << 20).hold();
        encoding.decode_here(body, max, &mut held).map_err(|stop| format!("{stop:?}"))
    }

    fn gzip(body: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(body).unwrap();
        encoder.finish().unwrap()
    }

    fn zlib(body: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(body).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn each_encoding_is_undone() {
        let hello = Ok(Bytes::from_static(b"hello"));
        assert_eq!(decoded(Encoding::Gzip, &gzip(b"hello"), 5), hello);
        assert_eq!(decoded(Encoding::Deflate, &zlib(b"hello"), 5), hello);
        let zlib = zlib(b"hello");
        assert_eq!(decoded(Encoding::Deflate, &zlib[2..zlib.len() - 4], 5), hello);
        // One stored block each.
        assert_eq!(decoded(Encoding::Brotli, b"\x0b\x02\x80hello\x03", 5), hello);
        assert_eq!(decoded(Encoding::Zstd, b"\x28\xb5\x2f\xfd\x20\x05\x29\x00\x00hello", 5), hello);
        for encoding in [Encoding::Gzip, Encoding::Deflate, Encoding::Brotli, Encoding::Zstd] {
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
        for body in [&good[..good.len() - 9], b"hello", &[&good[..], b"x"].concat()] {
            assert_eq!(decoded(Encoding::Gzip, body, 100), broken, "{body:?}");
        }
        for encoding in [Encoding::Brotli, Encoding::Zstd] {
            assert_eq!(decoded(encoding, b"hello", 100), broken, "{encoding:?}");
        }
        // A window of 2 GiB.
        assert_eq!(decoded(Encoding::Zstd, b"\x28\xb5\x2f\xfd\x00\xa8\x29\x00\x00hello", 100), broken);
    }

    #[test]
    fn the_whole_body_is_decoded() {
        const FRAME: &[u8] = b"\x28\xb5\x2f\xfd\x20\x05\x29\x00\x00hello";
        const SKIPPABLE: &[u8] = b"\x50\x2a\x4d\x18\x03\x00\x00\x00abc";
        let frames = [SKIPPABLE, FRAME, FRAME, SKIPPABLE].concat();
        assert_eq!(decoded(Encoding::Zstd, &frames, 10), Ok(Bytes::from_static(b"hellohello")));
        assert_eq!(decoded(Encoding::Gzip, &[gzip(b"a"), gzip(b"b")].concat(), 10), Ok(Bytes::from_static(b"ab")));

        let broken = Err("BadEncoding".to_owned());
        let zlib = zlib(b"hello");
        for (encoding, good) in [
            (Encoding::Deflate, &zlib[..]),
            (Encoding::Deflate, &zlib[2..zlib.len() - 4]),
            (Encoding::Brotli, b"\x0b\x02\x80hello\x03"),
            (Encoding::Zstd, FRAME),
        ] {
            assert_eq!(decoded(encoding, &[good, b"rest"].concat(), 100), broken, "{encoding:?}");
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
        for values in [&["compress"][..], &["gzip, gzip"], &["gzip", "br"], &["aes128gcm"]] {
            assert_eq!(of(values), Err("UnknownEncoding".to_owned()), "{values:?}");
        }
    }
}
