//! Paths without a secret that is a segment of them, or several.

use percent_encoding::percent_decode_str;

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

fn is_same(one: &str, other: &str) -> bool {
    percent_decode_str(one).eq(percent_decode_str(other))
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
}
