//! The request vectors and handshakes of tests/vectors, and what one flipped bit does to them.

use std::collections::BTreeSet;

use super::super::pack::pack_names;
use super::super::verifier::Proof;
use super::*;
use crate::model::Place;

const VECTORS: &str = include_str!("../../../tests/vectors/requests.json");
const HANDSHAKES: &str = include_str!("../../../tests/vectors/handshakes.json");

fn vectors() -> Vec<Vector> {
    array(VECTORS, "vectors").unwrap().into_iter().map(|value| serde_json::from_value(value).unwrap()).collect()
}

#[test]
fn every_request_vector_is_judged_as_expected() {
    let report = run_vectors(VECTORS, &Packs::default()).unwrap();
    assert!(report.failures.is_empty(), "{}", report.failures.join("\n"));
    assert_eq!(report.passed, 1190);
}

#[test]
fn every_handshake_is_answered_as_expected() {
    let report = run_challenges(HANDSHAKES, &Packs::default()).unwrap();
    assert!(report.failures.is_empty(), "{}", report.failures.join("\n"));
    assert_eq!(report.passed, 70);
}

#[test]
fn readme_counts_providers_and_vectors() {
    const README: &str = include_str!("../../../README.md");
    let is_provider = |name: &&str| {
        let pack = Packs::default().find(name).unwrap();
        pack.evidence.is_some() && pack.variant_of.is_none()
    };
    let providers = pack_names().filter(is_provider).count();
    let vectors = vectors().len();
    let vectors = format!("{},{:03} request vectors", vectors / 1000, vectors % 1000);
    let stated = [format!("[{providers} providers]"), format!("one of {providers} providers"), vectors];
    for text in stated {
        assert!(README.contains(&text), "README does not say `{text}`");
    }
}

#[test]
fn a_file_of_another_shape_is_refused_with_a_sentence() {
    for (text, words) in [
        ("", "not JSON"),
        ("7", "not an array"),
        ("{}", "neither an array nor an object"),
        ("[{}]", "not a request vector: missing field `id`"),
    ] {
        let error = run_vectors(text, &Packs::default()).unwrap_err();
        assert!(error.contains(words), "{text}: {error}");
    }
    let unknown = r#"[{"id":"x","scheme":"nobody","method":"POST","url":"https://a/","headers":[],"body":"","now":null,"expect":"accept"}]"#;
    let report = run_vectors(unknown, &Packs::default()).unwrap();
    assert!(
        report.failures[0].starts_with("x: expected accept, got error: [verify] provider: no provider pack `nobody`")
    );
}

/// One accepted vector a scheme, small enough to try every bit.
fn accepted() -> Vec<Vector> {
    let mut seen = BTreeSet::new();
    let is_small = |vector: &Vector| vector.body.as_str().is_some_and(|body| body.len() <= 1500);
    let accepted = vectors().into_iter().filter(|vector| vector.expect == "accept" && is_small(vector));
    accepted.filter(|vector| seen.insert(vector.scheme.clone())).collect()
}

struct Flipper {
    verifier: Verifier,
    keys: Keys,
    documents: Carried,
    now: Option<SystemTime>,
    request: Unverified,
}

impl Flipper {
    fn new(vector: &Vector) -> Flipper {
        let verifier =
            verifier(&vector.scheme, &vector.config, &vector.secrets, &vector.url, &Packs::default()).unwrap();
        let verifier = match (vector.ignore_timestamp, vector.tolerance) {
            (false, None) => verifier,
            _ => verifier.with_window(Window { past: None, future: None }),
        };
        let request = request(&vector.method, &vector.url, &vector.headers, body_of(vector).unwrap()).unwrap();
        let keys = keys(&verifier, &vector.secrets);
        Flipper { keys, documents: documents(&vector.config), now: vector.now.map(time), request, verifier }
    }

    fn accepts(&self, request: Unverified) -> bool {
        let given = Given { keys: &self.keys, documents: &self.documents, now: self.now };
        check(&self.verifier, request, &given, None).is_ok()
    }

    /// Bits of the body after whose flip the request is still accepted.
    fn survivors_in_body(&self) -> Vec<usize> {
        let flipped = |bit: usize| {
            let mut body = self.request.body.to_vec();
            body[bit / 8] ^= 1 << (bit % 8);
            Unverified { body: body.into(), ..self.request.clone() }
        };
        (0..self.request.body.len() * 8).filter(|bit| self.accepts(flipped(*bit))).collect()
    }

    /// The same for a header.
    fn survivors_in_header(&self, name: &str) -> Vec<String> {
        let Some(value) = self.request.headers.get(name).map(|value| value.as_bytes().to_vec()) else {
            return Vec::new();
        };
        let flipped = |bit: usize| {
            let mut bytes = value.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            bytes
        };
        let survives = |bytes: &Vec<u8>| {
            let Ok(changed) = HeaderValue::from_bytes(bytes) else { return false };
            let mut request = self.request.clone();
            request.headers.insert(name.parse::<HeaderName>().unwrap(), changed);
            // The case of hex digits and of `Bearer ` means nothing.
            !bytes.eq_ignore_ascii_case(&value) && self.accepts(request)
        };
        let survivors = (0..value.len() * 8).map(flipped).filter(survives);
        survivors.map(|bytes| format!("{name}: {}", String::from_utf8_lossy(&bytes))).collect()
    }

    fn signed_headers(&self) -> Vec<String> {
        let of = |places: Vec<&Place>| {
            let names = places.into_iter().filter_map(|place| match place {
                Place::Header(name) => Some(name.clone()),
                _ => None,
            });
            names.collect::<Vec<_>>()
        };
        match self.verifier.proof() {
            Proof::Token { from, .. } => of(vec![from]),
            Proof::Jwt(jwt) => of(vec![&jwt.from]),
            Proof::Signature(signature) if signature.from.len() == 1 => {
                let time = signature.time.iter().filter_map(|time| time.from.as_ref());
                of(signature.from.iter().chain(time).chain(&signature.id).collect())
            }
            Proof::Basic => vec!["authorization".into()],
            _ => [
                "x-twilio-signature",
                "paypal-transmission-sig",
                "paypal-transmission-id",
                "x-contentful-signature",
                "x-ctct-webhook-sig",
            ]
            .map(str::to_owned)
            .into(),
        }
    }
}

#[test]
fn no_flipped_bit_of_a_signed_header_is_accepted() {
    for vector in accepted() {
        let flipper = Flipper::new(&vector);
        assert!(flipper.accepts(flipper.request.clone()), "{}", vector.id);
        // Infisical does not sign the time beside the signature; the body holds it too.
        if vector.scheme == "infisical" {
            continue;
        }
        // A list may hold entries that mean nothing.
        let lists = ["stripe-signature", "webhook-signature", "svix-signature"];
        for name in flipper.signed_headers() {
            let survivors = flipper.survivors_in_header(&name);
            let is_list = lists.contains(&name.to_ascii_lowercase().as_str()) && vector.secrets.len() + 1 > 1;
            assert!(survivors.is_empty() || (is_list && survivors.len() < 4), "{}: {survivors:?}", vector.id);
        }
    }
}

#[test]
fn no_flipped_bit_of_a_signed_body_is_accepted() {
    let covers = |vector: &Vector| {
        let kind = &vector.kind;
        let is_part = kind.contains("json-fields") || kind.contains("form") || kind.contains("dual");
        let whole = kind.contains("body") || kind.contains("ts.body") || kind.contains("crc32");
        whole && !is_part
    };
    let mut tried = 0;
    for vector in accepted().into_iter().filter(covers) {
        let flipper = Flipper::new(&vector);
        let survivors = flipper.survivors_in_body();
        assert!(survivors.is_empty(), "{}: bits {survivors:?}", vector.id);
        tried += 1;
    }
    assert!(tried >= 40, "only {tried} schemes");
}
