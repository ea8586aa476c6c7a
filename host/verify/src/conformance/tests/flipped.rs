//! Accepted vectors with another key, or with one bit flipped.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{HeaderName, HeaderValue};

use super::*;
use crate::auth_scheme::AuthScheme;
use crate::check::check;
use crate::conformance::setup::{VectorDocuments, documents, keys, request, time, verifier};
use crate::keys::{Keys, NoKeyDocuments, VerifyContext};
use crate::request::Unverified;
use crate::settings;
use crate::sign::sign;
use crate::verifier::Verifier;
use crate::window::Window;
use landfall_model::{KeyForm, Secret, ValueLocation, VerifySpec};

/// One accepted vector a scheme, small enough to try every bit.
fn accepted() -> Vec<Vector> {
    let mut seen = BTreeSet::new();
    let is_small = |vector: &Vector| vector.body.as_str().is_some_and(|body| body.len() <= 1500);
    let accepted = vectors()
        .into_iter()
        .filter(|vector| vector.expect == "accept" && is_small(vector));

    accepted
        .filter(|vector| seen.insert(vector.scheme.clone()))
        .collect()
}

struct Flipper {
    verifier: Verifier,
    keys: Keys,
    documents: VectorDocuments,
    now: Option<SystemTime>,
    request: Unverified,
}

impl Flipper {
    fn new(vector: &Vector) -> Flipper {
        let verifier = verifier(
            &vector.scheme,
            &vector.config,
            &vector.secrets,
            &vector.url,
            &Packs::default(),
        )
        .unwrap();

        let verifier = match (vector.ignore_timestamp, vector.tolerance) {
            (false, None) => verifier.with_documented_window(),
            _ => verifier.with_window(Window {
                past: None,
                future: None,
            }),
        };

        let request = request(
            &vector.method,
            &vector.url,
            &vector.headers,
            vector.body().unwrap(),
        )
        .unwrap();

        let keys = keys(&verifier, &vector.secrets);
        Flipper {
            keys,
            documents: documents(&vector.config),
            now: vector.now.map(time),
            request,
            verifier,
        }
    }

    fn accepts(&self, request: Unverified) -> bool {
        let context = VerifyContext {
            keys: &self.keys,
            documents: &self.documents,
            now: self.now,
        };

        check(&self.verifier, request, &context, None).is_ok()
    }

    /// Bits of the body after whose flip the request is still accepted.
    fn survivors_in_body(&self) -> Vec<usize> {
        let flipped = |bit: usize| {
            let mut body = self.request.body.to_vec();
            body[bit / 8] ^= 1 << (bit % 8);
            Unverified {
                body: body.into(),
                ..self.request.clone()
            }
        };

        (0..self.request.body.len() * 8)
            .filter(|bit| self.accepts(flipped(*bit)))
            .collect()
    }

    /// The same for a header.
    fn survivors_in_header(&self, name: &str) -> Vec<String> {
        let Some(value) = self
            .request
            .headers
            .get(name)
            .map(|value| value.as_bytes().to_vec())
        else {
            return Vec::new();
        };

        let flipped = |bit: usize| {
            let mut bytes = value.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            bytes
        };

        let survives = |bytes: &Vec<u8>| {
            let Ok(changed) = HeaderValue::from_bytes(bytes) else {
                return false;
            };

            let mut request = self.request.clone();
            request
                .headers
                .insert(name.parse::<HeaderName>().unwrap(), changed);

            // The case of hex digits and of `Bearer ` means nothing.
            !bytes.eq_ignore_ascii_case(&value) && self.accepts(request)
        };

        let survivors = (0..value.len() * 8).map(flipped).filter(survives);
        survivors
            .map(|bytes| format!("{name}: {}", String::from_utf8_lossy(&bytes)))
            .collect()
    }

    fn signed_headers(&self) -> Vec<String> {
        let of = |places: Vec<&ValueLocation>| {
            let names = places.into_iter().filter_map(|place| match place {
                ValueLocation::Header(name) => Some(name.clone()),
                _ => None,
            });

            names.collect::<Vec<_>>()
        };

        match self.verifier.auth_scheme() {
            AuthScheme::Token { from, .. } => of(vec![from]),
            AuthScheme::Jwt(jwt) => of(vec![&jwt.from]),
            AuthScheme::Signature(signature) if signature.from.len() == 1 => {
                let time = signature.time.iter().filter_map(|time| time.from.as_ref());
                of(signature
                    .from
                    .iter()
                    .chain(time)
                    .chain(&signature.id)
                    .collect())
            }
            AuthScheme::Basic => vec!["authorization".into()],
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

/// Every accepted vector is refused with another key: the operator's secret, or the document that
/// holds the provider's key.
#[test]
fn verdicts_depend_on_the_key() {
    let mut tried = BTreeSet::new();
    for vector in vectors()
        .into_iter()
        .filter(|vector| vector.expect == "accept")
    {
        let flipper = Flipper::new(&vector);
        let asked = flipper.request.clone();
        assert!(flipper.accepts(asked.clone()), "{}", vector.id);
        let keys = flipper.keys.flipped();

        let context = if flipper.verifier.needs_secret() {
            VerifyContext {
                keys: &keys,
                documents: &flipper.documents,
                now: flipper.now,
            }
        } else {
            VerifyContext {
                keys: &flipper.keys,
                documents: &NoKeyDocuments,
                now: flipper.now,
            }
        };

        // Apple's keys come in the request, and lead to Apple's root.
        let is_pinned = vector.scheme == "apple-app-store";
        assert!(
            is_pinned || check(&flipper.verifier, asked, &context, None).is_err(),
            "{}: any key will do",
            vector.id
        );

        tried.insert(vector.scheme.clone());
    }

    // The others sign with a secret that both sides have, or a test of the scheme has the
    // provider's private key.
    for name in pack_names()
        .filter(|name| !tried.contains(*name) && *name != "http-message-signatures-ed25519")
    {
        let pack = Packs::default().find(name).unwrap();
        // Another version of a pack whose vectors a private key signed.
        let is_public = matches!(
            pack.verify.key,
            Some(KeyForm::Ed25519Hex | KeyForm::Pem | KeyForm::SpkiBase64)
        );
        if (is_public || pack.verify.key_set.is_some())
            && pack
                .variant_of
                .as_ref()
                .is_some_and(|main| tried.contains(main))
        {
            continue;
        }

        let typed = VerifySpec {
            provider: Some(name.into()),
            secret: vec!["env:S".parse().unwrap()],
            public_url: Some("https://hooks.example.com".into()),
            ..VerifySpec::default()
        };

        let verifier =
            Verifier::build(&settings::fill_in(&pack, typed), &Packs::default()).unwrap();
        let text = match verifier.key_form() {
            KeyForm::Hex => "00ff7788aabb",
            KeyForm::Base64 | KeyForm::Whsec | KeyForm::WhsecOrText => "c2VjcmV0IGtleQ==",
            _ => "user:password",
        };

        let keys = Keys::new([(verifier.key_form(), Ok(Secret::new(text)))]);
        let key = keys.iter().flatten().next().unwrap().to_vec();
        let draft = pack
            .draft(None, "https://hooks.example.com/in/secret", UNIX_EPOCH)
            .unwrap();
        let now = UNIX_EPOCH + Duration::from_secs(1_760_000_000);
        let signed =
            sign(&verifier, draft, &key, now).unwrap_or_else(|why| panic!("{name}: {why}"));

        let is_accepted = |keys: &Keys| {
            let context = VerifyContext {
                keys,
                documents: &NoKeyDocuments,
                now: Some(now),
            };

            check(&verifier, signed.clone(), &context, None).is_ok()
        };

        assert!(
            is_accepted(&keys) && !is_accepted(&keys.flipped()),
            "{name}: the verdict does not depend on the secret"
        );
    }
}

#[test]
fn paypal_binds_no_body() {
    let vector = vectors()
        .into_iter()
        .find(|vector| vector.scheme == "paypal" && vector.expect == "accept")
        .unwrap();

    let flipper = Flipper::new(&vector);
    let other = b"{\"event_type\":\"PAYMENT.SALE.COMPLETED\"} ";
    let patch = checksum_patch(other, crc32fast::hash(&flipper.request.body));
    let forged = [&other[..], &patch].concat();

    assert!(flipper.accepts(Unverified {
        body: forged.into(),
        ..flipper.request.clone()
    }));

    assert!(!flipper.accepts(Unverified {
        body: other.to_vec().into(),
        ..flipper.request.clone()
    }));

    assert!(flipper.verifier.body_note().is_some());

    let later = Flipper {
        now: Some(time(1_431_963_913 + 74 * 3600)),
        ..Flipper::new(&vector)
    };

    let context = VerifyContext {
        keys: &later.keys,
        documents: &later.documents,
        now: later.now,
    };

    let verdict = check(&later.verifier, later.request.clone(), &context, None);
    assert_eq!(verdict.unwrap_err().reason.word(), "timestamp_too_old");
}

#[test]
fn packs_declare_uncovered_bodies() {
    let mut wrong = Vec::new();
    for vector in accepted() {
        let flipper = Flipper::new(&vector);
        if !matches!(flipper.verifier.auth_scheme().kind(), "signature" | "jwt")
            || flipper.request.body.is_empty()
        {
            continue;
        }

        let said = meaning(&flipper.request);
        let changed = |bit: &usize| {
            let mut body = flipper.request.body.to_vec();
            body[bit / 8] ^= 1 << (bit % 8);
            meaning(&Unverified {
                body: body.into(),
                ..flipper.request.clone()
            }) != said
        };

        let is_open = flipper.survivors_in_body().iter().any(changed);
        // A checksum finds a flipped bit; `paypal_binds_no_body` makes another body for it.
        let is_open = is_open || vector.scheme == "paypal";
        if is_open != flipper.verifier.body_note().is_some() {
            wrong.push(format!(
                "{}: covers_body must be {}",
                vector.scheme, !is_open
            ));
        }
    }

    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn flipped_header_bits_are_refused() {
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
            let is_list =
                lists.contains(&name.to_ascii_lowercase().as_str()) && vector.secrets.len() + 1 > 1;

            assert!(
                survivors.is_empty() || (is_list && survivors.len() < 4),
                "{}: {survivors:?}",
                vector.id
            );
        }
    }
}

#[test]
fn flipped_body_bits_are_refused() {
    let covers = |vector: &Vector| {
        let kind = &vector.kind;
        let is_part =
            kind.contains("json-fields") || kind.contains("form") || kind.contains("dual");
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

/// Four bytes after which the CRC-32 of a text is `wanted`.
fn checksum_patch(text: &[u8], wanted: u32) -> [u8; 4] {
    // The reversed table steps: see Anarchriz, "CRC and how to reverse it".
    let table: Vec<u32> = (0..256u32)
        .map(|index| {
            (0..8).fold(index, |crc, _| {
                if crc & 1 == 1 {
                    (crc >> 1) ^ 0xedb8_8320
                } else {
                    crc >> 1
                }
            })
        })
        .collect();

    let mut crc = !wanted;
    for _ in 0..4 {
        let index = table
            .iter()
            .position(|entry| entry >> 24 == crc >> 24)
            .unwrap();

        crc = ((crc ^ table[index]) << 8) | index as u32;
    }

    (crc ^ !crc32fast::hash(text)).to_le_bytes()
}

/// What a body says, so that another spelling of the same is no other body.
fn meaning(request: &Unverified) -> Vec<String> {
    let content_type = request
        .headers
        .get("content-type")
        .map_or(&b""[..], |value| value.as_bytes());
    if content_type.starts_with(b"application/x-www-form-urlencoded") {
        let pairs = url::form_urlencoded::parse(&request.body);
        return pairs
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
    }

    match serde_json::from_slice::<Value>(&request.body) {
        Ok(json) => vec![json.to_string()],
        Err(_) => vec![String::from_utf8_lossy(&request.body).into_owned()],
    }
}
