//! Values that no header can have, and headers that prove nothing.

use super::{HMAC, assert_refused, build, jwt};
use crate::auth_scheme::AuthScheme;

const TOKEN: &str = "scheme = \"token\"\nsecret = \"env:S\"\n";

#[test]
fn impossible_headers_are_refused() {
    let list = |label: &str| {
        format!("{HMAC}list = {{ separator = \",\", assign = \"=\", labels = [\"{label}\"] }}")
    };

    assert_refused(&[
        (
            format!("{HMAC}prefix = \" v1=\""),
            "prefix",
            "no header value begins with",
        ),
        (
            format!("{HMAC}prefix = \"v1\\n\""),
            "prefix",
            "no header value begins with",
        ),
        (
            format!("{HMAC}require = {{ X-A = \"1 \" }}"),
            "require",
            "no header can have",
        ),
        (
            format!("{HMAC}require = {{ X-A = \"a\\nb\" }}"),
            "require",
            "no header can have",
        ),
        (list("v=1"), "list", "is never found"),
        (list("v1,"), "list", "is never found"),
        (list(" v1"), "list", "is never found"),
        (list(""), "list", "is never found"),
    ]);
}

#[test]
fn own_headers_have_no_silent_prefix() {
    let prefix = |text: &str| match build(text).unwrap().auth_scheme() {
        AuthScheme::Signature(signature) => signature.prefix.clone(),
        other => panic!("{other:?}"),
    };

    assert_eq!(prefix(HMAC), "");
    assert_eq!(prefix(&format!("{HMAC}prefix = \"v1=\"")), "v1=");
    assert_eq!(
        prefix("scheme = \"signature\"\nsecret = \"env:S\""),
        "sha256="
    );

    assert_eq!(
        prefix("provider = \"generic\"\nsecret = \"env:S\"\nfrom = { header = \"Sig\" }"),
        "sha256="
    );

    assert_eq!(
        prefix("provider = \"github\"\nsecret = \"env:S\"\nfrom = { header = \"Sig\" }"),
        "sha256="
    );
}

#[test]
fn transport_headers_hold_no_proof() {
    let words = "belongs to the HTTP connection";
    let refused: Vec<(String, &str, &str)> = [
        "Content-Encoding",
        "content-length",
        "Transfer-Encoding",
        "Host",
        "TE",
    ]
    .iter()
    .flat_map(|name| {
        let place = format!("{{ header = \"{name}\" }}");
        [
            (format!("{TOKEN}from = {place}"), "from", words),
            (HMAC.replace("{ header = \"Sig\" }", &place), "from", words),
            (format!("{HMAC}id = {place}"), "id", words),
            (
                format!("{HMAC}timestamp = {{ from = {place}, unit = \"s\" }}"),
                "timestamp",
                words,
            ),
        ]
    })
    .collect();

    assert_refused(&refused);
    build(&format!("{TOKEN}from = {{ header = \"X-Host\" }}")).unwrap();
}

#[test]
fn scheme_names_end_in_a_space() {
    let token = |name: &str, prefix: &str| {
        format!("{TOKEN}from = {{ header = \"{name}\" }}\nprefix = \"{prefix}\"")
    };

    let words = "write prefix = \"Bearer \"";
    assert_refused(&[
        (token("Authorization", "Bearer"), "prefix", words),
        (token("X-Token", "Bearer"), "prefix", words),
        (
            token("authorization", "bearer"),
            "prefix",
            "write prefix = \"bearer \"",
        ),
        (
            token("Authorization", "MyScheme"),
            "prefix",
            "write prefix = \"MyScheme \"",
        ),
        (
            HMAC.replace("\"Sig\"", "\"Authorization\"") + "prefix = \"HMAC\"",
            "prefix",
            "write prefix = \"HMAC \"",
        ),
        (
            jwt("header = \"Authorization\"", "") + "prefix = \"Bearer\"",
            "prefix",
            words,
        ),
    ]);

    build(&token("Authorization", "Bearer ")).unwrap();
    build(&token("X-Token", "tok_v1")).unwrap();
}
