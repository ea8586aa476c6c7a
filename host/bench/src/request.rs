//! The requests that the measurements send, prepared as bytes.

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

/// The size of a body of `durable` in bytes.
pub(crate) const DURABLE_BODY_BYTES: usize = 2048;

/// A whole HTTP/1.1 request.
pub(crate) fn post(path: &str, headers: &[(&str, &str)], body: &str) -> Vec<u8> {
    let mut head =
        format!("POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }

    format!("{head}content-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// A signed push of GitHub's shape: about 1.1 kB of JSON and a dozen headers.
pub(crate) fn signed_push(path: &str, secret: &str) -> Vec<u8> {
    let commit = commit();
    let body = json!({
        "ref": "refs/heads/main",
        "before": "0".repeat(40),
        "after": "1".repeat(40),
        "created": false,
        "repository": {
            "id": 35129377, "full_name": "octo/site", "private": false, "stargazers_count": 42,
        },
        "commits": [commit, commit, commit],
        "pusher": { "name": "mona" },
    });

    signed(path, secret, &body.to_string())
}

/// The same headers with another body.
pub(crate) fn signed(path: &str, secret: &str, body: &str) -> Vec<u8> {
    let signature = signature(secret, body);
    let headers = [
        ("user-agent", "GitHub-Hookshot/044aadd"),
        ("accept", "*/*"),
        ("x-github-delivery", "72d3162e-cc78-11e3-81ab-4c9367dc0958"),
        ("x-github-event", "push"),
        ("x-github-hook-id", "292430182"),
        ("x-github-hook-installation-target-id", "79929171"),
        ("x-github-hook-installation-target-type", "repository"),
        ("x-forwarded-for", "192.0.2.7"),
        ("x-signature", signature.as_str()),
    ];

    post(path, &headers, body)
}

/// A push of exactly this many bytes of JSON, at least 100: as many commits as fit, and a padding.
pub(crate) fn push_of_size(bytes: usize) -> String {
    let commit = commit();
    let commit_bytes = commit.to_string().len() + ",".len();
    let count = bytes.saturating_sub(push(&[], "").len()) / commit_bytes;
    let commits = vec![commit; count];
    let padding = bytes.saturating_sub(push(&commits, "").len());

    push(&commits, &"x".repeat(padding))
}

fn push(commits: &[Value], padding: &str) -> String {
    json!({ "ref": "refs/heads/main", "commits": commits, "padding": padding }).to_string()
}

/// A commit of GitHub's shape.
fn commit() -> Value {
    json!({
        "id": "7fd1a60b01f91b314f59955a4e4d4e80d8edf11d",
        "message": "Landfall bench",
        "added": ["README.md"],
        "author": { "name": "Mona", "email": "mona@example.com" },
        "timestamp": "2026-01-31T08:15:30Z",
        "distinct": true,
    })
}

/// A JSON body of `DURABLE_BODY_BYTES`.
pub(crate) fn padded_body() -> String {
    let empty = json!({ "ref": "refs/heads/main", "padding": "" }).to_string();
    let padding = "x".repeat(DURABLE_BODY_BYTES - empty.len());

    json!({ "ref": "refs/heads/main", "padding": padding }).to_string()
}

/// `sha256=` and the HMAC-SHA256 of the body in hexadecimal.
pub(crate) fn signature(secret: &str, body: &str) -> String {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(body.as_bytes());

    format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
}
