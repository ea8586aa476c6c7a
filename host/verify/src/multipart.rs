//! The text fields of a `multipart/form-data` body (RFC 7578). `multer` reads a stream; the whole
//! body is in memory, so each step completes at once. The SDK parses forms the same way
//! (`sdk/src/form.rs`).

use std::convert::Infallible;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::ready;
use futures_util::stream;
use memchr::memmem;
use multer::{Field, Multipart};

const BOUNDARY_BYTES_MAX: usize = 70;
const PARTS_MAX: usize = 10_000;

/// Names and values in their order, without files. `None` if the body is not a valid form of this
/// content type.
pub(crate) fn text_fields(content_type: &str, body: &Bytes) -> Option<Vec<(String, String)>> {
    let boundary = multer::parse_boundary(content_type).ok()?;
    if boundary.is_empty() || boundary.len() > BOUNDARY_BYTES_MAX {
        return None;
    }

    let stream = stream::once(ready(Ok::<_, Infallible>(body.clone())));
    let mut parts = Multipart::new(stream, boundary);
    let mut fields = Vec::new();

    // One step more than parts, for the end of the form.
    for _ in 0..=PARTS_MAX {
        let Some(part) = parts.next_field().now_or_never()?.ok()? else {
            return Some(fields);
        };

        let name = part.name().filter(|_| !is_file(&part)).map(str::to_owned);
        let value = part.bytes().now_or_never()?.ok()?;
        if let Some(name) = name
            && let Ok(value) = std::str::from_utf8(&value)
        {
            fields.push((name, value.to_owned()));
        }
    }

    None
}

/// Whether the part is a file. `multer` does not parse the parameter `filename*`.
fn is_file(part: &Field<'_>) -> bool {
    let disposition = part
        .headers()
        .get("content-disposition")
        .map(|value| value.as_bytes());

    part.file_name().is_some()
        || disposition.is_some_and(|value| memmem::find(value, b"filename*").is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The host and the SDK run the same cases.
    const CASES: &str = include_str!("../../../sdk/tests/multipart.json");

    #[test]
    fn shared_form_cases_are_parsed() {
        let cases: Vec<serde_json::Value> = serde_json::from_str(CASES).unwrap();
        for case in cases {
            let [name, content_type, body] =
                ["case", "content_type", "body"].map(|key| case[key].as_str().unwrap());
            let fields = text_fields(content_type, &Bytes::copy_from_slice(body.as_bytes()));

            assert_eq!(
                serde_json::to_value(fields).unwrap(),
                case["fields"],
                "{name}"
            );
        }
    }

    #[test]
    fn cut_forms_have_no_fields() {
        let content_type = "multipart/form-data; boundary=b";
        let form = "--b\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n--b--";
        for cut in 0..form.len() {
            assert_eq!(
                text_fields(
                    content_type,
                    &Bytes::copy_from_slice(&form.as_bytes()[..cut])
                ),
                None,
                "{cut}"
            );
        }

        assert!(text_fields(content_type, &Bytes::from_static(form.as_bytes())).is_some());
    }

    #[test]
    fn the_number_of_parts_is_bounded() {
        for (parts, expected) in [(PARTS_MAX, Some(PARTS_MAX)), (PARTS_MAX + 1, None)] {
            let part = "--b\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n";
            let form = format!("{}--b--", part.repeat(parts));
            let fields = text_fields("multipart/form-data; boundary=b", &form.into());
            assert_eq!(fields.map(|fields| fields.len()), expected);
        }
    }
}
