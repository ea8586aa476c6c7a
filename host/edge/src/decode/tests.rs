//! Bodies in each encoding.

use std::io::Write;

use super::decoded::RATIO_MAX;
use super::*;
use crate::bodies::BodyBudget;

fn decoded(encoding: Encoding, body: &[u8], max: usize) -> Result<Bytes, Rejection> {
    decoded_in(&BodyBudget::new(64 << 20), encoding, body, max)
}

fn decoded_in(
    budget: &BodyBudget,
    encoding: Encoding,
    body: &[u8],
    max: usize,
) -> Result<Bytes, Rejection> {
    let decoded = encoding.decode_here(body, max, budget.reserve());
    decoded.map(|(bytes, reservation)| {
        assert!(
            reservation.bytes() >= bytes.len(),
            "{} bytes are reserved for {}",
            reservation.bytes(),
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
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
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
fn each_encoding_is_decoded() {
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
fn broken_and_large_bodies_are_refused() {
    let (large, broken) = (Err(Rejection::TooLarge), Err(Rejection::BadEncoding));
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
    let busy = Err(Rejection::Busy("limits.body_memory"));
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
            decoded_in(&BodyBudget::new(working - 1024), encoding, body, 2 << 20),
            busy,
            "{encoding:?}"
        );
        assert!(
            decoded_in(
                &BodyBudget::new(working + (3 << 20)),
                encoding,
                body,
                2 << 20
            )
            .is_ok(),
            "{encoding:?}"
        );
    }
}

#[test]
fn bodies_over_budget_are_refused() {
    let budget = BodyBudget::new(4 << 20);
    let text = gzip(&words(220_000));
    let (one, reservation) = Encoding::Gzip
        .decode_here(&text, 8 << 20, budget.reserve())
        .unwrap();
    assert!(reservation.bytes() >= one.len());
    let second = Encoding::Gzip.decode_here(&text, 8 << 20, budget.reserve());
    assert_eq!(second.map(drop), Err(Rejection::Busy("limits.body_memory")));
    drop(reservation);
    assert!(
        Encoding::Gzip
            .decode_here(&text, 8 << 20, budget.reserve())
            .is_ok()
    );
}

#[test]
fn large_brotli_windows_are_refused() {
    assert_eq!(
        decoded(Encoding::Brotli, b"\x11\x1e\x02\x80hello\x03", 100),
        Err(Rejection::BadEncoding)
    );
    let windows = [0x0b, 0x00, 0x01, 0x21, 0x71, 0x0f, 0x11].map(|first| brotli::window(&[first]));
    let bits = [22, 16, 17, 10, 15, 24].map(|bits| Some(1 << bits));
    assert_eq!(windows[..6], bits);
    assert_eq!(windows[6], None);
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

    let broken = Err(Rejection::BadEncoding);
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

fn of(values: &[&str]) -> Result<Option<Encoding>, Rejection> {
    let mut headers = HeaderMap::new();
    for value in values {
        headers.append(CONTENT_ENCODING, value.parse().unwrap());
    }

    Encoding::of(&headers)
}

#[test]
fn one_known_encoding_is_accepted() {
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
        assert_eq!(of(values), Err(Rejection::UnknownEncoding), "{values:?}");
    }
}
