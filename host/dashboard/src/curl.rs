//! A request as a command that a POSIX shell runs. It has no character that a reader cannot see:
//! those are octal escapes of `printf`, so that the command sends the bytes of the request.

use landfall_model::is_hidden;

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
        Ok("") => command,
        // An argument cannot contain NUL, and one that begins with `@` names a file.
        Ok(text) if text.len() <= BODY_MAX && (text.starts_with('@') || has_hidden(text)) => {
            format!("{} |\n{command} \\\n  --data-binary @-", printf(text))
        }
        Ok(text) if text.len() <= BODY_MAX => {
            format!("{command} \\\n  --data-binary {}", quote(text))
        }
        _ => format!("{command} \\\n  --data-binary @body.bin"),
    }
}

/// A word of a POSIX shell.
pub(crate) fn quote(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:=,+%".contains(&byte);
    if !text.is_empty() && text.bytes().all(is_plain) {
        return text.to_owned();
    }
    if has_hidden(text) {
        return format!("\"$({})\"", printf(text));
    }

    format!("'{}'", text.replace('\'', r"'\''"))
}

/// A command that prints this text.
fn printf(text: &str) -> String {
    let mut format = String::with_capacity(text.len() + 16);
    for (at, c) in text.char_indices() {
        match c {
            '%' => format.push_str("%%"),
            '\\' => format.push_str(r"\\"),
            '\'' => format.push_str(r"'\''"),
            // It would begin an option.
            '-' if at == 0 => format.push_str(r"\055"),
            _ if is_escaped(c) => {
                let mut buffer = [0; 4];
                format.extend(c.encode_utf8(&mut buffer).bytes().flat_map(octal));
            }
            _ => format.push(c),
        }
    }

    format!("printf '{format}'")
}

fn octal(byte: u8) -> [char; 4] {
    let digit = |shift: u8| char::from(b'0' + ((byte >> shift) & 7));
    ['\\', digit(6), digit(3), digit(0)]
}

fn has_hidden(text: &str) -> bool {
    text.chars().any(is_escaped)
}

/// Line feeds are seen.
fn is_escaped(c: char) -> bool {
    is_hidden(c) && c != '\n'
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
            ("a\u{202e}b", r#""$(printf 'a\342\200\256b')""#),
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

    #[test]
    fn printed_bodies_are_exact() {
        for text in [
            "@file",
            "@a\nLANDFALL_BODY\nid",
            "-n\u{0}\u{202e}%s\\n'$(id)'\r\n\t\u{1b}[2J",
            "\u{200d}שלום\n\n",
        ] {
            let command = curl("POST", "u", &[], text.as_bytes());
            let (print, rest) = command.split_once(" |\ncurl").unwrap();
            assert!(rest.ends_with("--data-binary @-"), "{command}");
            assert!(!has_hidden(print), "{print:?}");
            let shell = std::process::Command::new("sh")
                .args(["-c", print])
                .output();
            let printed = shell.expect("a POSIX shell is there").stdout;
            assert_eq!(printed, text.as_bytes(), "{print}");
        }
    }
}
