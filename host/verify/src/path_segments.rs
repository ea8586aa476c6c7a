//! Paths without a secret that is a segment of them, or several.

use percent_encoding::percent_decode_str;

/// Other texts contain a shorter secret by chance.
pub(crate) const PART_BYTES_MIN: usize = 8;
/// What stands in the place of a secret.
pub(crate) const REMOVED: &str = "-";

/// The path with `-` wherever the secret is a whole segment, or several, however its characters are
/// encoded. The rest stays as it was sent.
pub(crate) fn without_segments(path: &str, secret: &str) -> String {
    let secret: Vec<&str> = secret.split('/').collect();
    let segments: Vec<&str> = path.split('/').collect();

    let (mut kept, mut at) = (Vec::with_capacity(segments.len()), 0);
    while at < segments.len() {
        let part = segments[at..].iter().take(secret.len());
        if part.len() == secret.len() && part.zip(&secret).all(|(one, other)| is_same(one, other)) {
            kept.push(REMOVED);
            at += secret.len();
        } else {
            kept.push(segments[at]);
            at += 1;
        }
    }

    kept.join("/")
}

/// The path without the segment that carries a secret: `carrier` is the text that is read from
/// the path, `secret` the part of it that is secret. The route may take only a part of the segment,
/// and then the whole segment is removed. So is every other one that contains a long secret.
pub(crate) fn without_carrier(path: &str, carrier: &str, secret: &str) -> String {
    let left = without_segments(path, carrier);
    if left != path && secret.len() < PART_BYTES_MIN {
        return left;
    }

    let segments = left.split('/').map(|segment| {
        if contains(segment, secret) {
            REMOVED
        } else {
            segment
        }
    });
    segments.collect::<Vec<_>>().join("/")
}

fn is_same(one: &str, other: &str) -> bool {
    percent_decode_str(one).eq(percent_decode_str(other))
}

/// `other` is not empty.
fn contains(one: &str, other: &str) -> bool {
    let one: Vec<u8> = percent_decode_str(one).collect();
    let other: Vec<u8> = percent_decode_str(other).collect();
    one.windows(other.len()).any(|part| part == other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_whole_segments() {
        for (path, secret, without) in [
            ("/in/s3cret/a", "s3cret", "/in/-/a"),
            ("/in/s3cret", "s3cret", "/in/-"),
            ("/in/%73%33cret/s3cret", "s3cret", "/in/-/-"),
            ("/in/s3cret", "%733cret", "/in/-"),
            ("/in/s3crets/xs3cret", "s3cret", "/in/s3crets/xs3cret"),
            ("/in/a/b/c", "a/b", "/in/-/c"),
            ("/in/a/b", "b/a", "/in/a/b"),
            ("s3cret", "s3cret", "-"),
            ("/in/a%20b/", "a%20b", "/in/-/"),
            ("/in", "a/b/c/d", "/in"),
        ] {
            assert_eq!(without_segments(path, secret), without, "{path} {secret}");
        }
    }

    #[test]
    fn carriers_are_removed_whole() {
        for (path, carrier, secret, without) in [
            ("/in/tok_s3cret", "tok_s3cret", "s3cret", "/in/-"),
            ("/in/s3cret.json", "s3cret", "s3cret", "/in/-"),
            ("/in/k-%733cret", "s3cret", "s3cret", "/in/-"),
            ("/in/s/s3cret", "s", "s", "/in/-/s3cret"),
            (
                "/in/longs3cret/xlongs3cret",
                "longs3cret",
                "longs3cret",
                "/in/-/-",
            ),
            (
                "/in/a/b/longs3cret.json",
                "longs3cret",
                "longs3cret",
                "/in/a/b/-",
            ),
            ("/in/a/b", "a/b", "a/b", "/in/-"),
        ] {
            let left = without_carrier(path, carrier, secret);
            assert_eq!(left, without, "{path} {carrier}");
        }
    }
}
