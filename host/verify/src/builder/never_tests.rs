//! Tables by which no request could be verified, or by which a sender could choose what is signed,
//! do not load.

use super::tests::{HMAC, URL, assert_refused, build};
use crate::check::check;
use crate::keys::{Keys, NoKeyDocuments, VerifyContext};
use crate::request::Unverified;
use crate::verifier::Verifier;
use landfall_model::{DedupId, DedupSpec, Secret, ValueLocation};

const TOKEN: &str = "scheme = \"token\"\nsecret = \"env:S\"\n";

fn listed(encoding: &str, list: &str) -> String {
    format!("{HMAC}prefix = \"\"\nencoding = \"{encoding}\"\nlist = {{ {list} }}\n")
}

fn jwt(from: &str, rules: &str) -> String {
    let table = "scheme = \"jwt\"\nsecret = \"env:S\"\n";
    format!("{table}from = {{ {from} }}\njwt = {{ algorithms = [\"HS256\"], {rules} }}\n{URL}")
}

#[test]
fn separators_inside_values_are_refused() {
    let time = |unit: &str, list: &str| {
        format!(
            "{}timestamp = {{ unit = \"{unit}\", past = \"5m\" }}",
            listed("hex", list)
        )
    };

    let cut = "would be cut there";
    assert_refused(&[
        (
            listed(
                "base64",
                "separator = \"=\", assign = \":\", labels = [\"v1\"]",
            ),
            "list",
            cut,
        ),
        (listed("base64", "separator = \"+\""), "list", cut),
        (listed("base64url", "separator = \"-\""), "list", cut),
        (
            listed(
                "hex",
                "separator = \"a\", assign = \"=\", labels = [\"v1\"]",
            ),
            "list",
            cut,
        ),
        (listed("hex", "separator = \"0B\""), "list", cut),
        (
            listed(
                "hex",
                "separator = \"=\", assign = \"=\", labels = [\"v1\"]",
            ),
            "list",
            "is in assign",
        ),
        (
            listed(
                "hex",
                "separator = \",\", assign = \",=\", labels = [\"v1\"]",
            ),
            "list",
            "is in assign",
        ),
        (
            listed("hex", "separator = \"\\n\""),
            "list",
            "is in no header value",
        ),
        (
            time(
                "rfc3339",
                "separator = \":\", assign = \"=\", labels = [\"v1\"], timestamp = \"t\"",
            ),
            "list",
            "part of the time",
        ),
        (
            time("iso8601", "separator = \"-\", timestamp_first = true"),
            "list",
            "part of the time",
        ),
        (
            time(
                "http-date",
                "separator = \", \", assign = \"=\", labels = [\"v1\"], timestamp = \"t\"",
            ),
            "list",
            "part of the time",
        ),
    ]);

    build(&listed(
        "base64",
        "separator = \", \", assign = \"=\", labels = [\"v1\"]",
    ))
    .unwrap();

    build(&time(
        "s",
        "separator = \":\", assign = \"=\", labels = [\"v1\"], timestamp = \"t\"",
    ))
    .unwrap();
}

#[test]
fn list_entries_have_one_meaning() {
    let time = "timestamp = { unit = \"s\", past = \"5m\" }\n";
    let t_and_v1 = "separator = \",\", assign = \"=\", labels = [\"v1\"], timestamp = \"t\"";
    let signed = |label: &str| {
        let payload = format!("payload = [\"{{list:{label}}}\", \".\", \"{{body}}\"]");
        format!("{}{time}{payload}", listed("hex", t_and_v1))
    };

    let both = "separator = \",\", assign = \"=\", labels = [\"t\"], timestamp = \"t\"";
    let unlabelled = "separator = \",\", assign = \"a\", timestamp = \"b\"";
    assert_refused(&[
        (listed("hex", both) + time, "list", "remove it from labels"),
        (
            listed("hex", unlabelled) + time,
            "list",
            "may begin with `ba`",
        ),
        (signed("t"), "payload", "write {timestamp}"),
        (signed("v1"), "payload", "the signature itself"),
        (
            listed("hex", t_and_v1).replace("prefix = \"\"", "prefix = \"v1=\"") + time,
            "prefix",
            "means nothing beside list",
        ),
    ]);

    build(&signed("nonce")).unwrap();
}

#[test]
fn signatures_have_their_own_place() {
    let hmac = |rest: &str| format!("{HMAC}{rest}");
    let words = "no value is both";
    let body = HMAC.replace("header = \"Sig\"", "body = \"whole\"")
        + "payload = [\"{header:Id}\", \".\", \"{header:T}\"]\n";

    assert_refused(&[
        (hmac("id = { header = \"sig\" }"), "id", words),
        (
            hmac("timestamp = { from = { header = \"SIG\" }, unit = \"s\" }"),
            "timestamp",
            words,
        ),
        (format!("{body}id = {{ json = \"/id\" }}"), "id", words),
        (
            hmac("payload = [\"{header:SIG}\", \".\", \"{body}\"]"),
            "from",
            "no sender can make",
        ),
        (
            hmac("require = { X-A = \"1\", x-a = \"2\" }"),
            "require",
            "twice",
        ),
        (
            hmac("require = { sig = \"1\" }"),
            "require",
            "another value in each request",
        ),
        (
            hmac(
                "timestamp = { from = { header = \"T\" }, unit = \"s\" }\nrequire = { t = \"1\" }",
            ),
            "require",
            "another value",
        ),
    ]);

    build(&hmac(
        "id = { header = \"Id\" }\nrequire = { X-Version = \"1\" }",
    ))
    .unwrap();
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

#[test]
fn identities_are_in_the_path() {
    let placed = |id: &str, path: &str| {
        #[derive(serde::Deserialize)]
        struct Table {
            id: landfall_model::DeliveryId,
        }

        let id = DedupId::At(
            toml::from_str::<Table>(&format!("id = [{{ {id} }}]"))
                .unwrap()
                .id,
        );

        let dedup = DedupSpec {
            id,
            id_match: None,
            window: Default::default(),
        };

        build(HMAC)
            .unwrap()
            .with_locations(&dedup, None, path)
            .map(drop)
            .map_err(|error| error.message)
    };

    assert!(
        placed("param = \"x\"", "/hook")
            .unwrap_err()
            .contains("write path = \"/hook/{x}\"")
    );

    assert!(
        placed("path = \"last\"", "/hook")
            .unwrap_err()
            .contains("the same in each request")
    );

    assert!(
        placed("header = \"Content-Length\"", "/hook")
            .unwrap_err()
            .contains("belongs to the HTTP connection")
    );

    assert_eq!(placed("param = \"x\"", "/hook/{x}"), Ok(()));
    assert_eq!(placed("path = \"last\"", "/hook/{x}"), Ok(()));

    let dedup = DedupSpec {
        id: DedupId::OfPack,
        id_match: None,
        window: Default::default(),
    };

    let ordered = build(HMAC).unwrap().with_locations(
        &dedup,
        Some(ValueLocation::Param("x".into())),
        "/hook",
    );

    assert_eq!(ordered.map(drop).unwrap_err().key, "order_by");
}

fn request(headers: &[(&str, &str)], body: &str) -> Unverified {
    let named = headers
        .iter()
        .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));

    Unverified {
        method: http::Method::POST,
        path: "/hook".into(),
        query: None,
        params: Vec::new(),
        headers: named
            .collect::<Vec<(http::HeaderName, http::HeaderValue)>>()
            .into_iter()
            .collect(),
        body: body.to_owned().into(),
        decoded: None,
    }
}

fn is_accepted(verifier: &Verifier, request: Unverified, secrets: &[&str]) -> bool {
    let keys = Keys::new(
        secrets
            .iter()
            .map(|secret| (verifier.key_form(), Ok(Secret::new(*secret)))),
    );

    check(
        verifier,
        request,
        &VerifyContext {
            keys: &keys,
            documents: &NoKeyDocuments,
            now: None,
        },
        None,
    )
    .is_ok()
}

#[test]
fn sorted_forms_need_their_content_type() {
    let verifier = build(&format!("{HMAC}payload = [\"{{form_sorted}}\"]")).unwrap();
    // HMAC-SHA256 of `a1b2` with the key `s`.
    let signature = hex::encode(crate::algorithm::mac(
        landfall_model::Algorithm::HmacSha256,
        b"s",
        b"a1b2",
    ));

    let signed = |content_type: &str| {
        request(
            &[("sig", &signature), ("content-type", content_type)],
            "b=2&a=1",
        )
    };

    assert!(is_accepted(
        &verifier,
        signed("application/x-www-form-urlencoded; charset=utf-8"),
        &["s"]
    ));

    assert!(!is_accepted(&verifier, signed("application/json"), &["s"]));
    assert!(!is_accepted(
        &verifier,
        request(&[("sig", &signature)], "b=2&a=1"),
        &["s"]
    ));
}

#[test]
fn empty_passwords_match_nothing() {
    let verifier = build("scheme = \"basic\"\nsecret = \"env:S\"").unwrap();
    let basic = |pair: &str| {
        use base64::Engine as _;

        let value = format!(
            "Basic {}",
            base64::engine::general_purpose::STANDARD.encode(pair)
        );

        request(&[("authorization", &value)], "{}")
    };

    for guessed in [":", "user:"] {
        assert!(
            !is_accepted(&verifier, basic(guessed), &["user:password", guessed]),
            "{guessed}"
        );
    }

    assert!(is_accepted(
        &verifier,
        basic("user:password"),
        &["user:password", "user:"]
    ));
}

#[test]
fn signed_hosts_need_the_url() {
    let keygen = "provider = \"keygen\"\nsecret = \"env:S\"\n";
    assert_refused(&[
        (keygen.into(), "public_url", "public_url is missing"),
        (
            format!("{HMAC}payload = [\"{{header:host}}\", \"\\n\", \"{{body}}\"]"),
            "payload",
            "the sender's choice",
        ),
    ]);

    build(&format!("{keygen}{URL}")).unwrap();
}
