//! Alike deliveries of tests/vectors/deliveries.json, signed as the provider does where a shared
//! secret signs: no two of them share an identity, and a retry has the identity of the first.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde::Deserialize;
use serde_json::Value;

use crate::{
    Keys, NoKeyDocuments, Pack, Packs, Unverified, Verdict, Verified, Verifier, VerifyContext,
    check, pack_names, sign,
};
use landfall_model::{
    ConfigValue, DedupId, DedupSpec, DeliveryId, IdMatch, KeyForm, Scheme, Secret, ValueLocation,
    VerifySpec,
};

const DELIVERIES: &str = include_str!("../../../tests/vectors/deliveries.json");

/// Two different deliveries, as alike as the provider makes them, and a retry of the first.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    pack: String,
    about: String,
    first: Sent,
    second: Sent,
    /// The first again, where a retry differs from it.
    retry: Option<Sent>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sent {
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// Text as it is sent, or JSON.
    body: Option<Value>,
}

/// What decides whether a request is a duplicate.
struct Identity {
    key: Option<Vec<u8>>,
    body: Bytes,
}

fn cases() -> Vec<Case> {
    serde_json::from_str(DELIVERIES).unwrap()
}

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_760_000_000)
}

fn secret(form: KeyForm) -> Option<&'static str> {
    match form {
        KeyForm::Utf8 | KeyForm::Sha1 => Some("user:password"),
        KeyForm::Hex => Some("00ff7788aabb"),
        KeyForm::Base64 => Some("c2VjcmV0IGtleQ=="),
        KeyForm::Whsec | KeyForm::WhsecOrText => Some("whsec_c2VjcmV0IGtleQ=="),
        _ => None,
    }
}

impl Sent {
    fn unverified(&self) -> Unverified {
        let body = match &self.body {
            None => Bytes::new(),
            Some(Value::String(text)) => text.clone().into(),
            Some(json) => json.to_string().into(),
        };

        let header = |(name, value): (&String, &String)| {
            (
                name.parse::<HeaderName>().unwrap(),
                value.parse::<HeaderValue>().unwrap(),
            )
        };

        let mut headers: HeaderMap = self.headers.iter().map(header).collect();
        headers
            .entry("content-type")
            .or_insert(HeaderValue::from_static("application/json"));

        Unverified {
            method: Method::POST,
            path: "/in".into(),
            query: None,
            params: Vec::new(),
            headers,
            body,
            decoded: None,
        }
    }
}

/// The verifier of a pack and a key for its signatures. If only the provider can sign,
/// authentication is off.
fn verifier(name: &str, pack: &Pack, scheme: Option<Scheme>) -> Verifier {
    let config = pack
        .config
        .iter()
        .filter_map(|(key, value)| Some((key.clone(), value.example.clone()?)));

    let spec = VerifySpec {
        provider: Some(name.into()),
        scheme,
        secret: if scheme.is_none() {
            vec!["env:S".parse().unwrap()]
        } else {
            Vec::new()
        },
        public_url: scheme.is_none().then(|| "https://hooks.example.com".into()),
        config: config
            .map(|(key, value)| (key, ConfigValue::One(value)))
            .collect(),
        ..VerifySpec::default()
    };

    Verifier::build(&spec, &Packs::default()).unwrap_or_else(|error| panic!("{name}: {error:?}"))
}

fn verified(verifier: &Verifier, request: Unverified, keys: &Keys, case: &str) -> Verified {
    let context = VerifyContext {
        keys,
        documents: &NoKeyDocuments,
        now: Some(now()),
    };

    match check(verifier, request, &context, None) {
        Ok(Verdict::Verified(verified)) => verified,
        other => panic!("{case}: {other:?}"),
    }
}

/// The identity of a delivery, and whether it was found behind a signature.
fn identity(case: &Case, pack: &Pack, sent: &Sent) -> (Identity, bool) {
    let context = format!("{}, {}", case.pack, case.about);
    let signing = verifier(&case.pack, pack, None);
    let keys = secret(signing.key_form())
        .map(|text| Keys::new([(signing.key_form(), Ok(Secret::new(text)))]));

    let signed = keys.and_then(|keys| {
        let key = keys.iter().next().flatten()?.to_vec();
        Some((sign(&signing, sent.unverified(), &key, now()).ok()?, keys))
    });

    let (verified, is_signed) = match signed {
        Some((request, keys)) => (verified(&signing, request, &keys, &context), true),
        None => {
            let open = verifier(&case.pack, pack, Some(Scheme::None));
            (
                verified(&open, sent.unverified(), &Keys::new([]), &context),
                false,
            )
        }
    };

    let key = verified.delivery_key().map(<[u8]>::to_vec);
    (
        Identity {
            key,
            body: verified.request().body.clone(),
        },
        is_signed,
    )
}

fn is_duplicate(pack: &Pack, one: &Identity, other: &Identity) -> bool {
    let match_by = pack.delivery_id_match.unwrap_or_default();
    one.key.is_some() && one.key == other.key && (match_by == IdMatch::Id || one.body == other.body)
}

#[test]
fn no_two_deliveries_share_an_identity() {
    let mut signed = 0;
    for case in cases() {
        let pack = Packs::default().find(&case.pack).unwrap();
        let [(first, is_signed), (second, _)] =
            [&case.first, &case.second].map(|sent| identity(&case, &pack, sent));
        let context = format!("{}, {}", case.pack, case.about);

        assert_eq!(
            first.key.is_some(),
            pack.delivery_id.is_some(),
            "{context}: identity of the first"
        );

        assert_eq!(
            second.key.is_some(),
            pack.delivery_id.is_some(),
            "{context}: identity of the second"
        );

        assert!(
            !is_duplicate(&pack, &first, &second),
            "{context}: the second delivery is lost"
        );

        signed += usize::from(is_signed);
    }

    assert!(signed >= 90, "only {signed} cases are signed");
}

#[test]
fn retries_keep_their_identity() {
    for case in cases() {
        let pack = Packs::default().find(&case.pack).unwrap();
        let retry = case.retry.clone().unwrap_or_else(|| case.first.clone());
        let [(first, _), (retry, _)] =
            [&case.first, &retry].map(|sent| identity(&case, &pack, sent));
        let is_duplicate = is_duplicate(&pack, &first, &retry);

        assert_eq!(
            is_duplicate,
            pack.delivery_id.is_some(),
            "{}, {}: the retry",
            case.pack,
            case.about
        );
    }
}

#[test]
fn every_identity_has_alike_deliveries() {
    let tried: BTreeSet<String> = cases().into_iter().map(|case| case.pack).collect();
    // An identity inside a signed token needs a token: the tests of those schemes make one.
    let is_claim = |identity: &DeliveryId| {
        identity
            .all_fields()
            .any(|field| matches!(field, ValueLocation::Claim(_)))
    };

    let needs_case = |name: &&str| {
        let identity = Packs::default().find(name).unwrap().delivery_id;
        identity.is_some_and(|identity| !is_claim(&identity))
    };

    let missing: Vec<&str> = pack_names()
        .filter(needs_case)
        .filter(|name| !tried.contains(*name))
        .collect();

    assert!(
        missing.is_empty(),
        "tests/vectors/deliveries.json has no case for {missing:?}"
    );
}

#[test]
fn identities_are_bound_to_their_fields() {
    let key = |id: &str, id_match: IdMatch| {
        #[derive(Deserialize)]
        struct Table {
            id: DeliveryId,
        }

        let id = DedupId::At(toml::from_str::<Table>(&format!("id = {id}")).unwrap().id);
        let dedup = DedupSpec {
            id,
            id_match: Some(id_match),
            window: Duration::from_secs(60),
        };

        let typed = VerifySpec {
            scheme: Some(Scheme::None),
            ..VerifySpec::default()
        };

        let verifier = Verifier::build(&typed, &Packs::default())
            .unwrap()
            .with_locations(&dedup, None, "/in")
            .unwrap();

        let headers = [
            ("x-id".to_owned(), "7".to_owned()),
            ("x-other".to_owned(), "7".to_owned()),
        ]
        .into();

        let sent = Sent {
            headers,
            body: Some(serde_json::json!({ "id": "7" })),
        };

        verified(&verifier, sent.unverified(), &Keys::new([]), "open")
            .delivery_key()
            .unwrap()
            .to_vec()
    };

    let first = key("[{ header = \"X-Id\" }]", IdMatch::Id);
    assert_eq!(
        first,
        key("{ header = \"x-id\" }", IdMatch::Id),
        "the same field, written otherwise"
    );

    assert_eq!(
        first,
        key(
            "[[{ header = \"Absent\" }], [{ header = \"X-Id\" }]]",
            IdMatch::Id
        ),
        "as an alternative"
    );

    for (id, id_match) in [
        ("[{ header = \"X-Other\" }]", IdMatch::Id),
        ("[{ json = \"/id\" }]", IdMatch::Id),
        ("[{ header = \"X-Id\" }]", IdMatch::IdAndBody),
        (
            "[{ header = \"X-Id\" }, { header = \"X-Other\" }]",
            IdMatch::Id,
        ),
    ] {
        assert_ne!(first, key(id, id_match), "{id}");
    }
}

/// A hook whose events have the identity and the order key at these locations.
fn located(id: &str, order_by: ValueLocation) -> Verifier {
    #[derive(Deserialize)]
    struct Table {
        id: DeliveryId,
    }

    let dedup = DedupSpec {
        id: DedupId::At(toml::from_str::<Table>(&format!("id = {id}")).unwrap().id),
        id_match: Some(IdMatch::Id),
        window: Duration::from_secs(60),
    };
    let typed = VerifySpec {
        scheme: Some(Scheme::None),
        ..VerifySpec::default()
    };
    Verifier::build(&typed, &Packs::default())
        .unwrap()
        .with_locations(&dedup, Some(order_by), "/in")
        .unwrap()
}

fn checked(verifier: &Verifier, content_type: &str, body: &str) -> Verified {
    let sent = Sent {
        headers: [("content-type".to_owned(), content_type.to_owned())].into(),
        body: Some(Value::String(body.to_owned())),
    };
    verified(verifier, sent.unverified(), &Keys::new([]), body)
}

#[test]
fn numbers_identify_as_sent() {
    const JSON: &str = "application/json";
    const NUMBERS: [&str; 14] = [
        "0.1",
        "0.10000000000000000001",
        "1",
        "1.0",
        "1e0",
        "-0",
        "0",
        "9007199254740992.0",
        "9007199254740993.0",
        "18446744073709551615",
        "18446744073709551616",
        "18446744073709551617",
        "1e22",
        "1E22",
    ];
    let verifier = located("[{ json = \"/id\" }]", ValueLocation::Json("/id".into()));
    let mut keys = BTreeSet::new();
    for number in NUMBERS {
        let event = checked(&verifier, JSON, &format!("{{\"id\": {number} }}"));
        assert_eq!(event.fact("delivery-id"), Some(number));
        assert_eq!(event.fact("order-key"), Some(number));
        let key = event.delivery_key().unwrap().to_vec();
        assert!(keys.insert(key), "{number} has the identity of another");
        let again = checked(&verifier, JSON, &format!("{{\"a\":7,\"id\":{number}}}"));
        assert!(!keys.insert(again.delivery_key().unwrap().to_vec()));
    }

    // Neither rounded nor taken for another: no identity, so that the event is stored.
    for other in ["1e999", "null", "true", "[1.5]", "{\"a\":1.5}", "\"\""] {
        let event = checked(&verifier, JSON, &format!("{{\"id\":{other}}}"));
        assert_eq!(event.delivery_key(), None, "{other}");
    }
}

#[test]
fn numbers_in_forms_identify_as_sent() {
    let pack = VerifySpec {
        provider: Some("github".into()),
        scheme: Some(Scheme::None),
        ..VerifySpec::default()
    };
    let dedup = DedupSpec {
        id: DedupId::Nothing,
        id_match: None,
        window: Duration::from_secs(60),
    };
    let verifier = Verifier::build(&pack, &Packs::default())
        .unwrap()
        .with_locations(&dedup, Some(ValueLocation::Json("/id".into())), "/in")
        .unwrap();
    for number in ["0.1", "0.10000000000000000001", "18446744073709551616"] {
        let body = format!("payload=%7B%22id%22%3A{number}%7D");
        let event = checked(&verifier, "application/x-www-form-urlencoded", &body);
        assert_eq!(event.fact("order-key"), Some(number));
    }
}

#[test]
fn joined_fields_stay_apart() {
    let verifier = located(
        "[{ json = \"/a\" }, { json = \"/b\" }]",
        ValueLocation::Json("/a".into()),
    );
    let mut ids = BTreeSet::new();
    for (a, b, id) in [
        ("https://x.example/y", "1", "https://x.example/y/1"),
        ("https://x.example", "y/1", "https://x.example/y%2F1"),
        ("https://x.example", "y%2F1", "https://x.example/y%252F1"),
    ] {
        let body = serde_json::json!({ "a": a, "b": b }).to_string();
        let event = checked(&verifier, "application/json", &body);
        assert_eq!(event.fact("delivery-id"), Some(id));
        assert!(ids.insert(id));
    }
}
