//! Tables that would refuse every request, or accept everyone, do not load.

use super::BuildError;
use crate::auth_scheme::AuthScheme;
use crate::keys::Keys;
use crate::pack::Packs;
use crate::verifier::Verifier;
use landfall_model::{DedupId, DedupSpec, IdMatch, Secret, ValueLocation};

pub(super) const HMAC: &str =
    "scheme = \"signature\"\nsecret = \"env:S\"\nfrom = { header = \"Sig\" }\n";
const MESSAGE: &str =
    "scheme = \"http-message-signatures\"\nsecret = \"env:S\"\nalgorithm = \"hmac-sha256\"\n";
pub(super) const URL: &str = "public_url = \"https://hooks.example.com\"\n";

pub(super) fn build(text: &str) -> Result<Verifier, BuildError> {
    Verifier::build(
        &toml::from_str(text).unwrap_or_else(|why| panic!("{text}: {why}")),
        &Packs::default(),
    )
}

/// Each table is refused at the key, with these words.
pub(super) fn assert_refused(cases: &[(String, &str, &str)]) {
    for (text, key, words) in cases {
        match build(text) {
            Ok(_) => panic!("it loads: {text}"),
            Err(error) => {
                assert_eq!(error.key, *key, "{text}: {}", error.message);
                assert!(error.message.contains(words), "{text}: {}", error.message);
            }
        }
    }
}

#[test]
fn impossible_message_components_are_refused() {
    let components =
        |names: &str| format!("{MESSAGE}{URL}message_signature = {{ components = [{names}] }}");
    let many: Vec<String> = (0..65).map(|number| format!("\"x-{number}\"")).collect();

    assert_refused(&[
        (
            components("\"@status\""),
            "message_signature",
            "not part of a request",
        ),
        (
            components("\"@signature-params\""),
            "message_signature",
            "not part of a request",
        ),
        (
            components("\"@metod\""),
            "message_signature",
            "one of @method",
        ),
        (
            components("\"signature\""),
            "message_signature",
            "holds the signature itself",
        ),
        (
            components("\"signature-input\""),
            "message_signature",
            "holds the signature itself",
        ),
        (components("\"Date\""), "message_signature", "lower case"),
        (
            components("\"a b\""),
            "message_signature",
            "not a header name",
        ),
        (
            components("\"(request-target)\""),
            "message_signature",
            "not a header name",
        ),
        (components("\"\""), "message_signature", "not a header name"),
        (
            components(&many.join(", ")),
            "message_signature",
            "more than 64",
        ),
        (components(""), "message_signature", "components is empty"),
    ]);

    build(&components("\"@method\", \"@path\", \"date\"")).unwrap();
}

#[test]
fn unwritable_labels_are_refused() {
    let rules = |rules: &str| format!("{MESSAGE}{URL}message_signature = {{ {rules} }}");
    assert_refused(&[
        (
            rules("label = \"Sig1\""),
            "message_signature",
            "label `Sig1`",
        ),
        (rules("label = \"1\""), "message_signature", "label `1`"),
        (rules("label = \"\""), "message_signature", "label ``"),
        (rules("label = \"a b\""), "message_signature", "label `a b`"),
        (rules("tag = \"\""), "message_signature", "in tag"),
        (rules("tag = \"é\""), "message_signature", "in tag"),
        (
            rules("key_ids = [\"a\\nb\"]"),
            "message_signature",
            "in key_ids",
        ),
        (rules("key_ids = [\"\"]"), "message_signature", "in key_ids"),
    ]);

    build(&rules(
        "label = \"*sig-1.a_b\", tag = \"x y\", key_ids = [\"a#b\"]",
    ))
    .unwrap();
}

#[test]
fn message_signatures_need_the_url() {
    let without = |rules: &str| format!("{MESSAGE}{rules}");
    let components =
        |names: &str| without(&format!("message_signature = {{ components = [{names}] }}"));

    assert_refused(&[
        (without(""), "public_url", "public_url is missing"),
        (
            components("\"@authority\""),
            "public_url",
            "public_url is missing",
        ),
        (
            components("\"@target-uri\""),
            "public_url",
            "public_url is missing",
        ),
        (
            components("\"@scheme\""),
            "public_url",
            "public_url is missing",
        ),
        (
            "provider = \"http-message-signatures\"\nsecret = \"env:S\"".into(),
            "public_url",
            "public_url is missing",
        ),
    ]);

    build(&components("\"@method\", \"@path\", \"content-digest\"")).unwrap();
    build(&without("url = \"https://hooks.example.com/in\"")).unwrap();
}

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
fn places_without_one_value_are_refused() {
    let place = |key: &str, place: &str| {
        HMAC.replace(
            "from = { header = \"Sig\" }",
            &format!("{key} = {{ {place} }}"),
        )
    };

    let each = "each = \"/value/*/state\"";
    let claim = "claim = \"/jti\"";
    let jwt = "scheme = \"jwt\"\nsecret = \"env:S\"\njwt = { algorithms = [\"HS256\"] }\n";
    let time = |from: &str| format!("{HMAC}timestamp = {{ from = {{ {from} }}, unit = \"s\" }}");
    let set = "algorithm = \"ed25519\"\nkey_set = { url = \"https://keys.example\", id = { each = \"/a/*/b\" } }";

    assert_refused(&[
        (place("from", each), "from", "names many values"),
        (place("from", claim), "from", "known only after"),
        (
            format!("{HMAC}id = {{ {each} }}"),
            "id",
            "names many values",
        ),
        (
            format!("{HMAC}id = {{ {claim} }}"),
            "id",
            "known only after",
        ),
        (time(each), "timestamp", "names many values"),
        (time(claim), "timestamp", "known only after"),
        (
            HMAC.replace("secret = \"env:S\"\n", "") + set,
            "key_set",
            "names many values",
        ),
        (
            format!("{jwt}from = {{ {each} }}"),
            "from",
            "names many values",
        ),
        (
            format!("{jwt}from = {{ {claim} }}"),
            "from",
            "known only after",
        ),
        (
            format!("scheme = \"token\"\nsecret = \"env:S\"\nfrom = {{ {claim} }}"),
            "from",
            "known only after",
        ),
    ]);

    build(&format!(
        "scheme = \"token\"\nsecret = \"env:S\"\nfrom = {{ {each} }}"
    ))
    .unwrap();
}

#[test]
fn identities_need_a_readable_place() {
    let jwt = "scheme = \"jwt\"\nsecret = \"env:S\"\nfrom = { header = \"T\" }\njwt = { algorithms = [\"HS256\"] }";
    let ordered = |text: &str, place: ValueLocation| {
        let dedup = DedupSpec {
            id: DedupId::OfPack,
            id_match: Some(IdMatch::Id),
            window: Default::default(),
        };

        build(text)
            .unwrap()
            .with_locations(&dedup, Some(place), "/hook")
            .map(drop)
            .map_err(|error| error.key)
    };

    let claim = || ValueLocation::Claim("/jti".into());
    assert_eq!(ordered(jwt, claim()), Ok(()));
    assert_eq!(ordered(HMAC, claim()), Err("order_by"));

    assert_eq!(
        ordered(jwt, ValueLocation::Each("/a/*/b".into())),
        Err("order_by")
    );

    assert_eq!(ordered(HMAC, ValueLocation::Json("/a".into())), Ok(()));
}

#[test]
fn signatures_inside_what_they_sign() {
    let from =
        |place: &str, rest: &str| format!("{}{rest}", HMAC.replace("header = \"Sig\"", place));
    let words = "no sender can make such a signature";

    assert_refused(&[
        (from("json = \"/sig\"", ""), "from", words),
        (
            from("form = \"sig\"", "payload = [\"{form_sorted}\"]"),
            "from",
            words,
        ),
        (from("body = \"whole\"", ""), "from", words),
        (
            from(
                "query = \"sig\"",
                &format!("{URL}payload = [\"{{url}}\", \"\\n\", \"{{body}}\"]"),
            ),
            "from",
            words,
        ),
        (
            from(
                "header = \"Sig\"",
                "payload = [\"{header:Sig}\", \"\\n\", \"{body}\"]",
            ),
            "from",
            words,
        ),
    ]);

    build(&from("json = \"/sig\"", "payload = [\"{json:/id}\"]")).unwrap();
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
fn path_parameters_must_exist() {
    let in_path = |key: &str| format!("{HMAC}{key}");
    let time = build(&in_path(
        "timestamp = { from = { param = \"time\" }, unit = \"s\" }",
    ))
    .unwrap();

    assert!(
        time.path_problem("/hook")
            .unwrap()
            .contains("path = \"/hook/{time}\"")
    );

    assert_eq!(time.path_problem("/hook/{time}"), None);
    let id = build(&in_path("id = { param = \"id\" }")).unwrap();
    assert!(id.path_problem("/hook").is_some());
    let jwt = "scheme = \"jwt\"\nsecret = \"env:S\"\nfrom = { path = \"last\" }\njwt = { algorithms = [\"HS256\"] }";

    assert!(
        build(jwt)
            .unwrap()
            .path_problem("/hook")
            .unwrap()
            .contains("last segment")
    );
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
fn parts_that_run_together_are_refused() {
    let payload =
        |parts: &str| format!("{HMAC}{URL}id = {{ header = \"Id\" }}\npayload = [{parts}]");
    let words = "nothing marks where";
    let time = "timestamp = { from = { header = \"T\" }, unit = \"s\" }\n";

    assert_refused(&[
        (payload("\"{header:A}\", \"{body}\""), "payload", words),
        (payload("\"{url}\", \"{body}\""), "payload", "a line end"),
        (
            payload("\"{url}\", \".\", \"{body}\""),
            "payload",
            "a line end",
        ),
        (
            payload("\"{method}\", \"{url_unescaped}\", \"{body}\""),
            "payload",
            "a line end",
        ),
        (payload("\"{body}\", \"{id}\""), "payload", words),
        (payload("\"{id}\", \"{header:A}\""), "payload", words),
        (
            payload("\"{query:a}\", \"{timestamp}\", \"{body}\"") + "\n" + time,
            "payload",
            words,
        ),
        (
            payload("\"{timestamp}\", \"{body}\"") + "\n" + time,
            "payload",
            "which has no `past`",
        ),
        (
            payload("\"{body}\", \".\", \"{form_sorted}\""),
            "payload",
            words,
        ),
        (
            payload("[\"{query:a}\", \";\"], \"{body}\""),
            "payload",
            words,
        ),
        (
            payload("[\"a:\", \"{query:a}\", \";\"], \"a\", \"{body}\""),
            "payload",
            words,
        ),
        (
            payload("\"{body}\", [\"a:\", \"{query:a}\", \";\"]"),
            "payload",
            words,
        ),
        (
            format!(
                "provider = \"hubspot\"\nsecret = \"env:S\"\n{URL}payload = [\"{{url}}\", \"{{body}}\"]"
            ),
            "payload",
            words,
        ),
    ]);

    for clear in [
        "\"{header:A}\", \":\", \"{body}\"",
        "\"{url}\", \"\\n\", \"{body}\"",
        "\"{body}\", \".\", \"{id}\"",
        "\"{method}\", \"{body}\"",
        "\"{method}\", \" \", \"{url}\"",
        "\"{body_sha256_hex}\", \"{header:A}\"",
    ] {
        build(&payload(clear)).unwrap_or_else(|error| panic!("{clear}: {}", error.message));
    }

    build("provider = \"hubspot\"\nsecret = \"env:S\"\npublic_url = \"https://a.example\"")
        .unwrap();
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
