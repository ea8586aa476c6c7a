//! Places of signatures, times and identities.

use super::{HMAC, URL, assert_refused, build};
use landfall_model::{DedupId, DedupSpec, IdMatch, ValueLocation};

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
