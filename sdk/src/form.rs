//! The fields of a form body, of either content type. `multer` reads a stream; the body is at hand
//! as a whole, so that each step of it ends at once. The host reads forms in the same way when it
//! verifies a request (`host/verify/src/multipart.rs`).

use std::convert::Infallible;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::ready;
use futures_util::stream;
use memchr::memmem;
use multer::{Field, Multipart};

const BOUNDARY_BYTES_MAX: usize = 70;
const PARTS_MAX: usize = 10_000;

/// Names and values in their order; none where the body is no form.
pub(crate) fn fields(content_type: &str, body: &[u8]) -> Option<Vec<(String, String)>> {
    let essence = content_type.split(';').next()?.trim();
    if essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return Some(form_urlencoded::parse(body).into_owned().collect());
    }
    if essence.eq_ignore_ascii_case("multipart/form-data") {
        return multipart(content_type, body);
    }
    None
}

/// Names and values in their order; files are left out. None where the body is no form of this
/// content type.
fn multipart(content_type: &str, body: &[u8]) -> Option<Vec<(String, String)>> {
    let boundary = multer::parse_boundary(content_type).ok()?;
    if boundary.is_empty() || boundary.len() > BOUNDARY_BYTES_MAX {
        return None;
    }

    let stream = stream::once(ready(Ok::<_, Infallible>(Bytes::copy_from_slice(body))));
    let mut parts = Multipart::new(stream, boundary);
    let mut fields = Vec::new();
    // One step more than parts, for the end.
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

/// `multer` does not read `filename*`.
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

    /// The host and the SDK read the same cases.
    const CASES: &str = include_str!("../tests/multipart.json");

    #[test]
    fn form_cases_are_read() {
        let cases: Vec<serde_json::Value> = serde_json::from_str(CASES).unwrap();
        for case in cases {
            let text = |key: &str| case[key].as_str().unwrap();
            let fields = multipart(text("content_type"), text("body").as_bytes());
            assert_eq!(
                serde_json::to_value(fields).unwrap(),
                case["fields"],
                "{}",
                text("case")
            );
        }
    }

    #[test]
    fn cut_forms_have_no_fields() {
        let content_type = "multipart/form-data; boundary=b";
        let form = "--b\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n--b--";
        for cut in 0..form.len() {
            assert_eq!(
                multipart(content_type, &form.as_bytes()[..cut]),
                None,
                "{cut}"
            );
        }
        assert!(multipart(content_type, form.as_bytes()).is_some());
    }

    #[test]
    fn the_number_of_parts_is_bounded() {
        let form = |parts: usize| {
            let part = "--b\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n";
            let form = format!("{}--b--", part.repeat(parts));
            multipart("multipart/form-data; boundary=b", form.as_bytes()).map(|fields| fields.len())
        };
        assert_eq!(
            (form(PARTS_MAX), form(PARTS_MAX + 1)),
            (Some(PARTS_MAX), None)
        );
    }
}
