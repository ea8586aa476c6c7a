//! Keys, digests and time windows.

use super::{HMAC, MESSAGE, URL, assert_refused, build};
use crate::keys::Keys;
use landfall_model::Secret;

#[test]
fn keys_must_fit_every_scheme() {
    let message = |algorithm: &str| MESSAGE.replace("hmac-sha256", algorithm) + URL;
    let token = "scheme = \"token\"\nsecret = \"env:S\"\nfrom = { header = \"T\" }\n";
    let jwt = "scheme = \"jwt\"\nsecret = \"env:S\"\nfrom = { header = \"T\" }\njwt = { algorithms = [\"HS256\"] }\n";
    let words = "no secret fits this algorithm";

    assert_refused(&[
        (message("ed25519"), "scheme", words),
        (message("ed25519") + "key = \"whsec\"", "scheme", words),
        (message("ecdsa-p256-sha256"), "scheme", words),
        (message("rsa-pss-sha512") + "key = \"hex\"", "scheme", words),
        (message("hmac-sha256") + "key = \"pem\"", "scheme", words),
        (format!("{token}key = \"pem\""), "scheme", words),
        (format!("{jwt}key = \"ed25519-hex\""), "scheme", words),
        (
            "provider = \"keygen\"\nsecret = \"env:S\"\nkey = \"utf8\"".into(),
            "scheme",
            words,
        ),
        (
            format!("provider = \"twilio\"\nsecret = \"env:S\"\n{URL}key = \"pem\""),
            "scheme",
            words,
        ),
        (
            format!("{HMAC}prefix = \"\"\nmethods = [\"sha256\"]\nkey = \"pem\""),
            "scheme",
            words,
        ),
        (
            "scheme = \"none\"\nkey = \"hex\"".into(),
            "key",
            "means nothing",
        ),
    ]);

    let problem = |text: &str, secret: &str| {
        let verifier = build(text).unwrap();
        verifier.key_problem(&Keys::new([(verifier.key_form(), Ok(Secret::new(secret)))]))
    };

    const ED25519_KEY: &str = "MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";

    let fitting = message("ed25519") + "key = \"spki-base64\"";
    assert_eq!(problem(&fitting, ED25519_KEY), None);
    let public =
        "scheme = \"jwt\"\nsecret = \"env:S\"\nfrom = { header = \"T\" }\nkey = \"spki-base64\"\n";

    for text in [
        message("ecdsa-p256-sha256") + "key = \"spki-base64\"",
        message("rsa-pss-sha512") + "key = \"spki-base64\"",
        format!("{HMAC}prefix = \"\"\nalgorithm = \"rsa-pss-sha512\"\nkey = \"spki-base64\""),
        format!("{public}jwt = {{ algorithms = [\"RS256\"] }}"),
        format!("{public}jwt = {{ algorithms = [\"ES256\"] }}"),
    ] {
        let found = problem(&text, ED25519_KEY);
        assert!(
            found
                .as_ref()
                .is_some_and(|why| why.contains("not a public key")),
            "{text}: {found:?}"
        );
    }
}

#[test]
fn plain_digests_end_with_the_secret() {
    let digest =
        |name: &str, payload: &str| format!("{HMAC}algorithm = \"{name}\"\npayload = [{payload}]");
    let (key, secret, extended) = (
        "payload",
        "{secret} must be part",
        "can be extended by anyone",
    );

    assert_refused(&[
        (format!("{HMAC}algorithm = \"sha256\""), key, secret),
        (format!("{HMAC}algorithm = \"sha1\""), key, secret),
        (format!("{HMAC}algorithm = \"keccak256\""), key, secret),
        (
            "provider = \"cloudinary\"\nsecret = \"env:S\"\npayload = [\"{body}\"]".to_owned(),
            key,
            secret,
        ),
        (
            "provider = \"github\"\nsecret = \"env:S\"\nalgorithm = \"sha256\"".to_owned(),
            key,
            secret,
        ),
        (
            digest("sha256", "\"{body}\", \"{secret}\"")
                + "\npayload_alternatives = [[\"{body}\"]]",
            key,
            secret,
        ),
        (digest("sha256", "\"{secret}\", \"{body}\""), key, extended),
        (
            digest("sha1", "\"v\", \"{secret}\", \"{body}\", \"x\""),
            key,
            extended,
        ),
        (
            digest("sha256", "\"{secret}\", \"{body}\", \"{secret}\", \"x\""),
            key,
            extended,
        ),
    ]);

    build(&digest("sha256", "\"{body}\", \"{secret}\"")).unwrap();
    build(&digest("sha256", "\"{secret}\", \"{body}\", \"{secret}\"")).unwrap();
    build(&digest("keccak256", "\"{secret}\", \"{body}\"")).unwrap();

    // HubSpot documents that it signs this way.
    build("provider = \"hubspot-v1\"\nsecret = \"env:S\"").unwrap();
}

#[test]
fn windows_of_nothing_are_refused() {
    let jwt = "scheme = \"jwt\"\nsecret = \"env:S\"\nfrom = { header = \"T\" }\n";
    let detached = "scheme = \"detached-jws\"\nfrom = { header = \"T\" }\n";
    let set = "algorithms = [\"RS256\"], jwks = \"https://keys.example\", header_time = \"ts\"";

    assert_refused(&[
        (
            format!("{jwt}jwt = {{ algorithms = [\"HS256\"], max_age = \"0s\" }}"),
            "jwt",
            "max_age is below one second",
        ),
        (
            format!("{jwt}jwt = {{ algorithms = [\"HS256\"], max_age = \"5ms\" }}"),
            "jwt",
            "max_age is below",
        ),
        (
            format!("{detached}jwt = {{ {set}, max_age = \"0s\" }}"),
            "jwt",
            "max_age is below one second",
        ),
        (
            "provider = \"stripe\"\nsecret = \"env:S\"\ntimestamp = { past = \"0s\" }".into(),
            "timestamp",
            "past is below",
        ),
        (
            format!("{MESSAGE}{URL}timestamp = {{ past = \"0s\" }}"),
            "timestamp",
            "past is below",
        ),
    ]);

    build("provider = \"stripe\"\nsecret = \"env:S\"\ntimestamp = { future = \"0s\" }").unwrap();
}
