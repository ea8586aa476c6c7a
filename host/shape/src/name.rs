//! Names of fields that are ids: keys of a map, such as the numbers of customers, are no fields.

use super::format::Format;
use super::limits::NAME_BYTES_MAX;

const HEX_MIN: usize = 16;
/// A run of letters and digits of this length with so many digits is an id.
const RUN_MIN: usize = 8;
const RUN_DIGITS_MIN: usize = 4;

/// Whether a name is an id or another value, and not the name of a field.
pub(crate) fn is_id(name: &str) -> bool {
    let is_number = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit());
    let is_hex = name.len() >= HEX_MIN
        && name.bytes().all(|byte| byte.is_ascii_hexdigit())
        && name.bytes().any(|byte| byte.is_ascii_digit());
    let mut runs = name.split(|c: char| !c.is_ascii_alphanumeric());
    is_number
        || is_hex
        || name.len() > NAME_BYTES_MAX
        || name.contains('@')
        || name.contains("://")
        || Format::of(name).is_some()
        || runs.any(is_id_run)
}

fn is_id_run(run: &str) -> bool {
    let digits = run.bytes().filter(u8::is_ascii_digit).count();
    run.len() >= RUN_MIN && digits >= RUN_DIGITS_MIN
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_no_names() {
        for name in [
            "1234",
            "0190f3c1-8a5e-7000-8000-0123456789ab",
            "deadbeefdeadbee1",
            "jane@example.com",
            "https://example.com/1",
            "2026-01-31",
            "cus_9s6XKzkNRiz8i3",
            &"a".repeat(101),
        ] {
            assert!(is_id(name), "{name}");
        }
        for name in [
            "",
            "id",
            "address_line_1",
            "sha256",
            "utf8",
            "Größe",
            "a.b/c",
            "deadbeef",
        ] {
            assert!(!is_id(name), "{name}");
        }
    }
}
