//! Which headers a recording does not have.

/// Parts of the names of headers whose values may be a proof or a credential.
const SECRET_PARTS: [&str; 9] = [
    "auth",
    "cookie",
    "token",
    "secret",
    "api-key",
    "apikey",
    "password",
    "session",
    "signature",
];

/// Whether the value of a header with this name, in lower case, may be a proof or a credential.
pub fn is_secret_header(name: &str) -> bool {
    SECRET_PARTS.iter().any(|part| name.contains(part))
}
