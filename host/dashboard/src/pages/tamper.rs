//! The tamper switch of the page `Send`: what changes in a sample so that the hook must refuse it.

use landfall_hooks::Hook;
use landfall_verify::AuthScheme;

/// What a hook's scheme allows to tamper with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tamper {
    /// The body, after the request was signed.
    Body,
    /// The secret that the sample carries, or is signed with.
    Secret,
    /// The scheme checks nothing of the request.
    Nothing,
}

// === impl Tamper ===

impl Tamper {
    pub(super) fn of(hook: &Hook) -> Tamper {
        match hook.verifier.auth_scheme() {
            AuthScheme::Closed | AuthScheme::Open => Tamper::Nothing,
            _ if hook.verifier.covers_body() => Tamper::Body,
            _ => Tamper::Secret,
        }
    }

    /// What the switch does; empty if there is none.
    pub(super) fn label(self) -> &'static str {
        match self {
            Tamper::Body => "change one byte of the body after signing",
            Tamper::Secret => "change one character of the secret",
            Tamper::Nothing => "",
        }
    }

    /// Why the switch does not change the body.
    pub(super) fn note(self, hook: &Hook) -> String {
        match (self, hook.verifier.auth_scheme()) {
            (Tamper::Body, _) => String::new(),
            (Tamper::Nothing, _) if hook.spec.verify.from_addresses.is_some() => {
                "There is no tamper switch: the hook checks only the address of a caller, and accepts \
                 every body from it."
                    .to_owned()
            }
            (Tamper::Nothing, _) => {
                "There is no tamper switch: the hook accepts every request.".to_owned()
            }
            (Tamper::Secret, AuthScheme::Token { .. } | AuthScheme::Basic) => format!(
                "The scheme {} does not cover the body: with the right secret, the hook accepts every body.",
                hook.verifier.auth_scheme().word()
            ),
            (Tamper::Secret, _) => {
                "The signature does not cover the whole body, so that a changed body proves nothing."
                    .to_owned()
            }
        }
    }
}

/// Changes one byte. A JSON body stays JSON, so that only the signature is wrong.
pub(super) fn change_body(body: &mut Vec<u8>) {
    match body.iter().rposition(u8::is_ascii_digit) {
        Some(at) => body[at] = if body[at] == b'0' { b'1' } else { b'0' },
        None => body.push(b' '),
    }
}

/// Another secret of the same form: one character of the middle is another one of its kind.
pub(super) fn change_secret(secret: &[u8]) -> Vec<u8> {
    let mut changed = secret.to_vec();
    let middle = changed.len() / 2;
    let (before, after) = (0..middle, middle..changed.len());
    let place = after
        .chain(before.rev())
        .find(|at| changed[*at].is_ascii_alphanumeric());
    match place {
        Some(at) => {
            changed[at] = match changed[at] {
                b'0' => b'1',
                b'1'..=b'9' => b'0',
                b'a' => b'b',
                b'b'..=b'z' => b'a',
                b'A' => b'B',
                _ => b'A',
            };
        }
        None => changed.push(b'0'),
    }

    changed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_byte_of_bodies_changes() {
        for (body, changed) in [
            ("{\"id\":10}", "{\"id\":11}"),
            ("{\"a\":9 }", "{\"a\":0 }"),
            ("{}", "{} "),
        ] {
            let mut bytes = body.as_bytes().to_vec();
            change_body(&mut bytes);
            assert_eq!(String::from_utf8(bytes).unwrap(), changed);
        }
    }

    #[test]
    fn secrets_keep_their_form() {
        for (secret, changed) in [
            ("user:password", "user:pbssword"),
            ("00ff", "00af"),
            ("abc---", "aba---"),
            ("--", "--0"),
            ("", "0"),
        ] {
            let made = change_secret(secret.as_bytes());
            assert_eq!(String::from_utf8(made).unwrap(), changed, "{secret}");
        }
    }
}
