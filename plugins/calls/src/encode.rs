//! Percent-encoding of what a template made, for a URL or a header.

/// Letters, digits and `-._~` stay, and the characters in `keep`. Every other byte becomes `%XX`.
pub fn percent_encoded(text: &str, keep: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        let is_kept = byte.is_ascii_alphanumeric()
            || b"-._~".contains(&byte)
            || keep.as_bytes().contains(&byte);
        if is_kept {
            out.push(byte.into());
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unreserved_characters_stay() {
        assert_eq!(percent_encoded("a-Z_0.~", ""), "a-Z_0.~");
        assert_eq!(percent_encoded("a/ä?&\r\n", "/"), "a/%C3%A4%3F%26%0D%0A");
    }
}
