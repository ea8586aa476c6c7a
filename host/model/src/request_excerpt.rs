//! The part of a refused request that an operator sees. It has no secret: header values that may be
//! a proof, and every query value, are masked.

use serde::Serialize;

/// What stands in the place of a masked value.
pub const MASKED: &str = "(masked)";
/// The first bytes of a body that are kept.
const BODY_BYTES_MAX: usize = 1024;
/// The most headers that are kept, and the most bytes of one value.
const HEADERS_MAX: usize = 50;
const VALUE_BYTES_MAX: usize = 200;
/// The shortest part of a secret that is masked at the end of a body.
const PART_BYTES_MIN: usize = 3;
/// The most bytes of the path and of the query.
const TARGET_BYTES_MAX: usize = 300;

/// The head of a request and the beginning of its body.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct RequestExcerpt {
    /// The method as sent.
    pub method: String,
    /// The path. Segments that may be secrets are left out; for a known hook it is the hook's
    /// pattern.
    pub path: String,
    /// The names of the query parameters, with masked values.
    pub query: Option<String>,
    /// Names and values as sent, at most 50. Values that may be secrets are masked.
    pub headers: Vec<(String, String)>,
    /// Headers that are not listed.
    pub more_headers: usize,
    /// The first KiB of the body. `None`: the body was not read, or it contains the proof.
    pub body: Option<String>,
    /// Whether `body` is hexadecimal digits, because the body is not text.
    pub is_hex: bool,
    /// The length of the body. `None`: the body was not read.
    pub body_bytes: Option<usize>,
}

// === impl RequestExcerpt ===

impl RequestExcerpt {
    /// The head of a request. `path` is shown as it is.
    pub fn of_head(
        method: &http::Method,
        path: String,
        query: Option<&str>,
        headers: &http::HeaderMap,
    ) -> RequestExcerpt {
        let listed = headers.iter().take(HEADERS_MAX).map(|(name, value)| {
            let shown = if is_shown_header(name.as_str()) {
                cut(&String::from_utf8_lossy(value.as_bytes()), VALUE_BYTES_MAX)
            } else {
                MASKED.to_owned()
            };
            (name.as_str().to_owned(), shown)
        });
        RequestExcerpt {
            method: cut(method.as_str(), VALUE_BYTES_MAX),
            path: cut(&path, TARGET_BYTES_MAX),
            query: query.map(masked_query),
            headers: listed.collect(),
            more_headers: headers.len().saturating_sub(HEADERS_MAX),
            ..RequestExcerpt::default()
        }
    }

    /// Adds the beginning of the body.
    pub fn with_body(mut self, body: &[u8]) -> RequestExcerpt {
        let beginning = &body[..body.len().min(BODY_BYTES_MAX)];
        self.body_bytes = Some(body.len());
        match std::str::from_utf8(beginning) {
            Ok(text) => self.body = Some(text.to_owned()),
            // The end may be inside a character.
            Err(error) if beginning.len() < body.len() && error.error_len().is_none() => {
                let text = String::from_utf8_lossy(&beginning[..error.valid_up_to()]);
                self.body = Some(text.into_owned());
            }
            Err(_) => {
                let digits = beginning.iter().map(|byte| format!("{byte:02x}"));
                self.body = Some(digits.collect());
                self.is_hex = true;
            }
        }
        self
    }

    /// Masks a secret wherever it occurs.
    pub fn without(&mut self, secret: &[u8]) {
        let Ok(secret) = std::str::from_utf8(secret) else {
            return;
        };
        if secret.is_empty() {
            return;
        }

        if self.is_hex {
            let digits: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
            self.body = self.body.take().map(|body| body.replace(&digits, MASKED));
        }

        let values = self.headers.iter_mut().map(|(_, value)| value);
        for text in values.chain(&mut self.body).chain([&mut self.path]) {
            if text.contains(secret) {
                *text = text.replace(secret, MASKED);
            }
        }
        self.mask_end_of_body(secret);
    }

    /// Masks the beginning of a secret at the end of a body that was cut.
    fn mask_end_of_body(&mut self, secret: &str) {
        let is_cut = self.body_bytes.is_some_and(|bytes| bytes > BODY_BYTES_MAX);
        let Some(body) = self.body.as_mut().filter(|_| is_cut) else {
            return;
        };

        let mut ends = secret.char_indices().map(|(end, _)| end);
        let longest = ends.rfind(|end| *end >= PART_BYTES_MIN && body.ends_with(&secret[..*end]));
        if let Some(end) = longest {
            body.truncate(body.len() - end);
            body.push_str(MASKED);
        }
    }

    /// The bytes that this takes in memory, about.
    pub(crate) fn bytes(&self) -> usize {
        let headers = self
            .headers
            .iter()
            .map(|(name, value)| name.len() + value.len() + 2 * size_of::<String>());
        let texts = [&self.query, &self.body].map(|text| text.as_ref().map_or(0, String::len));
        size_of::<RequestExcerpt>()
            + self.method.len()
            + self.path.len()
            + texts.iter().sum::<usize>()
            + headers.sum::<usize>()
    }
}

/// Masks every header that is not known to be harmless, because a sender may put its proof into any
/// header. A reader must not be able to send the request again. `header` is in lower case.
pub fn is_shown_header(header: &str) -> bool {
    const WHOLE: [&str; 8] = [
        "accept",
        "date",
        "host",
        "traceparent",
        "tracestate",
        "user-agent",
        "via",
        "x-request-id",
    ];
    const PARTS: [&str; 8] = [
        "content-",
        "accept-",
        "event",
        "delivery",
        "topic",
        "timestamp",
        "forwarded",
        "-version",
    ];
    const NEVER: [&str; 6] = ["sign", "token", "secret", "auth", "key", "digest"];
    let is_harmless = WHOLE.contains(&header) || PARTS.iter().any(|part| header.contains(part));
    is_harmless && !NEVER.iter().any(|part| header.contains(part))
}

/// The names of the parameters, with masked values. A parameter without a value may itself be a
/// secret.
fn masked_query(query: &str) -> String {
    let names = query.split('&').map(|pair| match pair.split_once('=') {
        Some((name, _)) => format!("{name}={MASKED}"),
        None => MASKED.to_owned(),
    });
    cut(&names.collect::<Vec<_>>().join("&"), TARGET_BYTES_MAX)
}

fn cut(text: &str, max: usize) -> String {
    if text.len() <= max {
        return text.to_owned();
    }
    format!("{}…", &text[..text.floor_char_boundary(max)])
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, Method};

    use super::*;

    fn excerpt() -> RequestExcerpt {
        let mut headers = HeaderMap::new();
        headers.insert("x-hub-signature", HeaderValue::from_static("sha256=aa"));
        headers.insert("authorization", HeaderValue::from_static("Bearer canary"));
        headers.insert("x-github-event", HeaderValue::from_static("push"));
        RequestExcerpt::of_head(
            &Method::POST,
            "/github".into(),
            Some("token=canary&canary"),
            &headers,
        )
    }

    #[test]
    fn proofs_are_masked() {
        let text = format!("{:?}", excerpt());
        assert!(
            !text.contains("canary") && !text.contains("sha256"),
            "{text}"
        );
        assert!(text.contains("push"), "{text}");
        assert_eq!(excerpt().query.unwrap(), "token=(masked)&(masked)");
    }

    #[test]
    fn bodies_are_cut_and_masked() {
        let mut long = excerpt().with_body("é".repeat(1_000).as_bytes());
        assert_eq!(long.body_bytes, Some(2_000));
        assert_eq!(long.body.as_ref().unwrap().len(), BODY_BYTES_MAX);
        assert!(!long.is_hex);

        let cut = excerpt().with_body(format!("a{}", "é".repeat(1_000)).as_bytes());
        assert_eq!(cut.body.unwrap().len(), BODY_BYTES_MAX - 1);

        long = excerpt().with_body(b"{\"token\":\"canary\"}");
        long.without(b"canary");
        assert_eq!(long.body.unwrap(), "{\"token\":\"(masked)\"}");

        let mut split = format!("{}canary", "a".repeat(BODY_BYTES_MAX - 4)).into_bytes();
        split.extend(b"bbb");
        let mut split = excerpt().with_body(&split);
        split.without(b"canary");
        assert!(split.body.unwrap().ends_with("aa(masked)"));

        let bytes = excerpt().with_body(&[0xff, 0]);
        assert_eq!((bytes.body.unwrap().as_str(), bytes.is_hex), ("ff00", true));
    }

    #[test]
    fn excerpts_are_bounded() {
        let mut headers = HeaderMap::new();
        for number in 0..100 {
            let name = http::HeaderName::try_from(format!("x-event-{number}")).unwrap();
            let value = HeaderValue::try_from("v".repeat(1_000)).unwrap();
            headers.insert(name, value);
        }
        let path = format!("/{}", "p".repeat(10_000));
        let query = "q=1&".repeat(10_000);
        let excerpt = RequestExcerpt::of_head(&Method::POST, path, Some(&query), &headers)
            .with_body(&vec![b'b'; 1 << 20]);
        assert!(excerpt.bytes() < 20_000, "{}", excerpt.bytes());
        assert_eq!(excerpt.more_headers, 50);
    }
}
