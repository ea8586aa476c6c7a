//! The fields of a form body, of either content type. The host reads `multipart/form-data` in the same way when it verifies a
//! request (`host/src/verify/multipart.rs`).

use memchr::memmem;

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

const BOUNDARY_BYTES_MAX: usize = 70;
const PARTS_MAX: usize = 1000;

/// Names and values in their order; files are left out. None where the body is no form of this content type.
fn multipart(content_type: &str, body: &[u8]) -> Option<Vec<(String, String)>> {
    let boundary = parameter(content_type, "boundary")?;
    if boundary.is_empty() || boundary.len() > BOUNDARY_BYTES_MAX {
        return None;
    }

    let delimiter = format!("\r\n--{boundary}").into_bytes();
    let finder = memmem::Finder::new(&delimiter);
    let mut rest = body.strip_prefix(&delimiter[2..])?;
    let mut fields = Vec::new();
    for _ in 0..PARTS_MAX {
        if rest.starts_with(b"--") {
            return Some(fields);
        }
        rest = rest.strip_prefix(b"\r\n")?;
        let end = finder.find(rest)?;
        let (part, after) = (&rest[..end], &rest[end + delimiter.len()..]);
        let head_end = memmem::find(part, b"\r\n\r\n")?;
        if let Some(name) = field_name(&part[..head_end])
            && let Ok(value) = std::str::from_utf8(&part[head_end + 4..])
        {
            fields.push((name, value.to_owned()));
        }
        rest = after;
    }
    None
}

/// The name of a part that is no file.
fn field_name(head: &[u8]) -> Option<String> {
    let head = std::str::from_utf8(head).ok()?;
    let mut headers = head.split("\r\n").filter_map(|line| line.split_once(':'));
    let (_, disposition) = headers.find(|(name, _)| name.trim().eq_ignore_ascii_case("content-disposition"))?;
    let is_file = parameter(disposition, "filename").or(parameter(disposition, "filename*")).is_some();
    if is_file { None } else { parameter(disposition, "name").map(str::to_owned) }
}

/// A parameter after the first `;`, its quotes dropped.
fn parameter<'a>(text: &'a str, wanted: &str) -> Option<&'a str> {
    let mut rest = text;
    while let Some((_, after)) = rest.split_once(';') {
        let (name, value) = after.split_once('=')?;
        let value = value.trim_start();
        let (value, next) = match value.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => value.split_at(value.find(';').unwrap_or(value.len())),
        };
        if name.trim().eq_ignore_ascii_case(wanted) {
            return Some(value.trim());
        }
        rest = next;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(body: &str) -> Option<Vec<(String, String)>> {
        multipart("multipart/form-data; charset=utf-8; boundary=\"b-1\"", body.as_bytes())
    }

    fn part(disposition: &str, value: &str) -> String {
        format!("--b-1\r\nContent-Type: text/plain\r\nContent-Disposition: form-data; {disposition}\r\n\r\n{value}\r\n")
    }

    #[test]
    fn text_fields_are_read_in_order() {
        let body = [
            part("name=\"a\"", "1"),
            part("filename=\"x; name=c\"; name=\"file\"", "2"),
            part("name=b", "--b\r\n--b-2"),
            part("name=\"a\"", ""),
            "--b-1--\r\n".to_owned(),
        ];
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(fields(&body.concat()).unwrap(), [pair("a", "1"), pair("b", "--b\r\n--b-2"), pair("a", "")]);
    }

    #[test]
    fn broken_forms_have_no_fields() {
        let good = format!("{}--b-1--", part("name=a", "1"));
        assert!(fields(&good).is_some());
        for cut in 0..good.len() {
            assert_eq!(fields(&good[..cut]), None, "{cut}");
        }
        for content_type in ["multipart/form-data", "multipart/form-data; boundary=", "multipart/form-data; boundary=c"]
        {
            assert_eq!(multipart(content_type, good.as_bytes()), None, "{content_type}");
        }
        assert_eq!(fields(&format!("x{good}")), None);
    }
}
