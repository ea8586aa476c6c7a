//! Rules for JSON web tokens.

use super::{assert_refused, build, jwt};

#[test]
fn tokens_hold_no_digest_of_themselves() {
    let words = "would hold a digest of itself";
    assert_refused(&[
        (
            jwt("json = \"/token\"", "body_hash = \"hash\""),
            "jwt",
            words,
        ),
        (
            jwt("form = \"token\"", "body_hash = \"hash\""),
            "jwt",
            words,
        ),
        (
            jwt("body = \"whole\"", "body_claim = \"body\""),
            "jwt",
            words,
        ),
        (
            jwt("query = \"token\"", "url_hash = \"hash\""),
            "jwt",
            words,
        ),
        (jwt("path = \"last\"", "url_hash = \"hash\""), "jwt", words),
        (
            jwt("query = \"token\"", "query_string_hash = \"qsh\""),
            "jwt",
            words,
        ),
        (
            "scheme = \"detached-jws\"\nfrom = { json = \"/jws\" }\n\
             jwt = { algorithms = [\"RS256\"], jwks = \"https://keys.example\" }"
                .into(),
            "from",
            "part of the body that it signs",
        ),
    ]);

    build(&jwt(
        "query = \"jwt\"",
        "query_string_hash = \"qsh\", body_hash = \"hash\"",
    ))
    .unwrap();

    build(&jwt(
        "header = \"T\"",
        "url_hash = \"url\", body_hash = \"hash\"",
    ))
    .unwrap();
}

#[test]
fn claims_have_one_meaning() {
    let rules = |rules: &str| jwt("header = \"T\"", rules);
    assert_refused(&[
        (
            rules("claims = { exp = \"1\" }"),
            "jwt",
            "the claim exp is a time",
        ),
        (
            rules("claims = { iat = [\"1\"] }"),
            "jwt",
            "the claim iat is a time",
        ),
        (
            rules("claims = { nbf = true }"),
            "jwt",
            "the claim nbf is a time",
        ),
        (
            rules("claims = { hash = \"1\" }, body_hash = \"hash\""),
            "jwt",
            "another meaning",
        ),
        (
            rules("body_hash = \"hash\", url_hash = \"hash\""),
            "jwt",
            "another meaning",
        ),
        (rules("body_hash = \"exp\""), "jwt", "another meaning"),
    ]);

    build(&rules(
        "claims = { iss = \"a\", sub = \"b\" }, body_hash = \"hash\"",
    ))
    .unwrap();
}
