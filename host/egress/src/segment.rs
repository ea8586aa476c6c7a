//! A secret in the path of a URL, as incoming webhooks of Slack and Discord have it: the value
//! takes the place of one whole segment.

use url::Url;

/// Why a value cannot be in the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SegmentError {
    /// Which of them the handler means is unknown.
    #[error("the placeholder occurs more than once in the path")]
    Twice,
    /// The value is a URL, as providers show it.
    #[error(
        "its value is a whole URL: store only the part of the path that takes the place of the placeholder"
    )]
    WholeUrl,
    /// The value would change more than the segment.
    #[error(
        "its value is not a path: letters, digits, `-._~:@!$&'()*+,;=` and `/`, without empty segments, `.` and `..`"
    )]
    NotAPath,
}

/// Whether the path has the segment `placeholder`.
pub(crate) fn is_in(url: &Url, placeholder: &str) -> bool {
    url.path().split('/').any(|text| text == placeholder)
}

/// Replaces the segment `placeholder` of the path. A path without it stays as it is.
pub(crate) fn replace(url: &mut Url, placeholder: &str, value: &[u8]) -> Result<(), SegmentError> {
    let segments: Vec<&str> = url.path().split('/').collect();
    match segments.iter().filter(|text| **text == placeholder).count() {
        0 => return Ok(()),
        1 => {}
        _ => return Err(SegmentError::Twice),
    }

    let value = std::str::from_utf8(value).map_err(|_| SegmentError::NotAPath)?;
    if value.contains("://") {
        return Err(SegmentError::WholeUrl);
    }

    let value = value.strip_prefix('/').unwrap_or(value);
    if !value.split('/').all(is_segment) {
        return Err(SegmentError::NotAPath);
    }
    let replaced: Vec<&str> = segments
        .into_iter()
        .map(|text| if text == placeholder { value } else { text })
        .collect();
    let path = replaced.join("/");
    url.set_path(&path);
    Ok(())
}

/// Whether the text is one segment that no server reads as another one (RFC 3986 section 3.3,
/// without `%`).
fn is_segment(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:@!$&'()*+,;=".contains(&byte);
    !matches!(text, "" | "." | "..") && text.bytes().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replaced(url: &str, value: &str) -> Result<String, SegmentError> {
        let mut url: Url = url.parse().unwrap();
        replace(&mut url, "SLACK", value.as_bytes()).map(|()| url.to_string())
    }

    #[test]
    fn one_whole_segment_is_replaced() {
        for (url, value, expected) in [
            (
                "https://a.example/services/SLACK",
                "T0/B0/x-1",
                "https://a.example/services/T0/B0/x-1",
            ),
            (
                "https://a.example/SLACK/send?a=SLACK",
                "/bot1:x",
                "https://a.example/bot1:x/send?a=SLACK",
            ),
            ("https://a.example/SLACKS", "x", "https://a.example/SLACKS"),
        ] {
            assert_eq!(replaced(url, value).unwrap(), expected);
        }
        assert_eq!(
            replaced("https://a.example/SLACK/SLACK", "x"),
            Err(SegmentError::Twice)
        );
    }

    #[test]
    fn values_stay_in_their_segment() {
        assert_eq!(
            replaced("https://a.example/SLACK", "https://a.example/T0/B0"),
            Err(SegmentError::WholeUrl)
        );
        for value in ["", "a//b", "..", "a/../b", "a?b", "a#b", "a%2e", "a b", "é"] {
            let result = replaced("https://a.example/SLACK", value);
            assert_eq!(result, Err(SegmentError::NotAPath), "{value}");
        }
    }
}
