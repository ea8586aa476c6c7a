//! The header of a Brotli stream.

/// The window size (RFC 7932 section 9.1). `None` for "large window" streams of up to 1 GiB, which
/// are not the encoding `br`.
pub(super) fn window(body: &[u8]) -> Option<usize> {
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
