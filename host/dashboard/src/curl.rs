//! A request as a command that a shell runs.

/// The most bytes of a body in a command.
const BODY_MAX: usize = 16 << 10;

/// A command that sends a sample.
#[derive(Debug, Clone, Default)]
pub(crate) struct SampleCommand {
    /// Empty if there is none.
    pub(crate) curl: String,
    /// What is to know about it, or why there is none.
    pub(crate) note: String,
}

/// `curl` with this request. A body that is not text, or too long, is read from `body.bin`.
pub(crate) fn curl(method: &str, url: &str, headers: &[(String, String)], body: &[u8]) -> String {
    let mut command = format!("curl -i -X {} {}", quote(method), quote(url));
    for (name, value) in headers {
        let is_computed = ["host", "content-length", "connection", "transfer-encoding"]
            .iter()
            .any(|computed| name.eq_ignore_ascii_case(computed));
        if !is_computed {
            command.push_str(&format!(" \\\n  -H {}", quote(&format!("{name}: {value}"))));
        }
    }

    match std::str::from_utf8(body) {
        Ok("") => {}
        Ok(text) if text.len() <= BODY_MAX && !text.contains('\0') => {
            command.push_str(&format!(" \\\n  --data-binary {}", quote_body(text)));
        }
        _ => command.push_str(" \\\n  --data-binary @body.bin"),
    }

    command
}

/// A word of a POSIX shell.
pub(crate) fn quote(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:=,+%".contains(&byte);
    if !text.is_empty() && text.bytes().all(is_plain) {
        return text.to_owned();
    }

    format!("'{}'", text.replace('\'', r"'\''"))
}

/// A body that begins with `@` would name a file.
fn quote_body(text: &str) -> String {
    if text.starts_with('@') {
        return format!("@- <<'LANDFALL_BODY'\n{text}\nLANDFALL_BODY");
    }

    quote(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_for_shells() {
        for (text, quoted) in [
            ("a-b/c", "a-b/c"),
            ("", "''"),
            ("it's $HOME", r"'it'\''s $HOME'"),
            ("`id`", "'`id`'"),
            ("a\nb", "'a\nb'"),
        ] {
            assert_eq!(quote(text), quoted);
        }
    }

    #[test]
    fn requests_become_commands() {
        let headers = [
            ("Host".to_owned(), "x".to_owned()),
            ("X-A".to_owned(), "b c".to_owned()),
        ];
        assert_eq!(
            curl(
                "POST",
                "http://127.0.0.1:8080/q?a=1",
                &headers,
                b"{\"a\":1}"
            ),
            "curl -i -X POST 'http://127.0.0.1:8080/q?a=1' \\\n  -H 'X-A: b c' \\\n  --data-binary '{\"a\":1}'"
        );
        assert!(curl("POST", "u", &[], &[0xff]).ends_with("--data-binary @body.bin"));
    }
}
