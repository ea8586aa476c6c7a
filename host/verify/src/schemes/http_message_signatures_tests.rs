//! The examples of RFC 9421, appendix B, and what must be refused.

use std::time::Duration;

use super::*;
use crate::auth_scheme::AuthScheme;
use crate::check::{Verdict, check};
use crate::keys::{Keys, NoKeyDocuments};
use crate::pack::Packs;
use crate::sign::sign;
use crate::verifier::Verifier;
use landfall_model::{Secret, VerifySpec};

const SHARED_SECRET: &str =
    "uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ==";
const ED25519: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAJrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=
-----END PUBLIC KEY-----";
const ED25519_PRIVATE: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIJ+DYvh6SEqVTm50DFtMDoQikTmiCqirVv9mWG9qfSnF
-----END PRIVATE KEY-----";
const ECC_P256: &str = "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEqIVYZVLCrPZHGHjP17CTW0/+D9Lf
w0EkjqF7xB4FivAxzic30tMM4GF+hR6Dxh71Z50VGGdldkkDXZCnTNnoXQ==
-----END PUBLIC KEY-----";
const RSA_PSS: &str = "-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAr4tmm3r20Wd/PbqvP1s2
+QEtvpuRaV8Yq40gjUR8y2Rjxa6dpG2GXHbPfvMs8ct+Lh1GH45x28Rw3Ry53mm+
oAXjyQ86OnDkZ5N8lYbggD4O3w6M6pAvLkhk95AndTrifbIFPNU8PPMO7OyrFAHq
gDsznjPFmTOtCEcN2Z1FpWgchwuYLPL+Wokqltd11nqqzi+bJ9cvSKADYdUAAN5W
Utzdpiy6LbTgSxP7ociU4Tn0g5I6aDZJ7A8Lzo0KSyZYoA485mqcO0GVAdVw9lq4
aOT9v6d+nb4bnNkQVklLQ3fVAvJm+xdDOp9LCNCN48V2pnDOkFV6+U9nV5oyc6XI
2wIDAQAB
-----END PUBLIC KEY-----";
/// Made for this test; the RFC has no example with PKCS#1 v1.5.
const RSA_V1_5: &str = "-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEApEOk1FQ1D1svVyNNMPl8
sJzVE9JindycrGpa4JpSGZ2bjyQWFNIxCapJa197x7P1LyUTchbVs8Je+dxC4+pf
hsTjwxz2a3LU5asgXW2j+tIpPEFbfNOnDp65gleJInEkEUXzoUUoUeqyRgFipFc2
fC63d3RIXU32PWikruDKwO9pWd0Qc6JAujzKKzOmh2LceMOYdtpHZhglpzQBOksN
EecH8WPFerVgjkjceuObUfw3hA8sEUZmIIpe4bb6/RqC/QeXG5r+Inaf+cRRQFT3
w3hv7CtT8W3THGKQ7ZQeyWtVy/NLCiYZxqQxzx1f6giPxNtDfL2z2IqloaOFM/1y
RQIDAQAB
-----END PUBLIC KEY-----";
const CREATED: u64 = 1_618_884_473;
const BODY: &str = r#"{"hello": "world"}"#;

/// Algorithm, form of the key, key, needed components, input and signature of one example.
struct Example {
    algorithm: &'static str,
    form: &'static str,
    key: &'static str,
    components: &'static [&'static str],
    input: &'static str,
    signature: &'static str,
}

// B.2.2, B.2.3, B.2.5, B.2.6 and B.3, and one with PKCS#1 v1.5.
const EXAMPLES: [Example; 6] = [
    Example {
        algorithm: "rsa-pss-sha512",
        form: "pem",
        key: RSA_PSS,
        components: &["@authority", "content-digest", "@query-param"],
        input: r#"sig-b22=("@authority" "content-digest" "@query-param";name="Pet");created=1618884473;keyid="test-key-rsa-pss";tag="header-example""#,
        signature: "sig-b22=:LjbtqUbfmvjj5C5kr1Ugj4PmLYvx9wVjZvD9GsTT4F7GrcQEdJzgI9qHxICagShLRiLMlAJjtq6N4CDfKtjvuJyE5qH7KT8UCMkSowOB4+ECxCmT8rtAmj/0PIXxi0A0nxKyB09RNrCQibbUjsLS/2YyFYXEu4TRJQzRw1rLEuEfY17SARYhpTlaqwZVtR8NV7+4UKkjqpcAoFqWFQh62s7Cl+H2fjBSpqfZUJcsIk4N6wiKYd4je2U/lankenQ99PZfB4jY3I5rSV2DSBVkSFsURIjYErOs0tFTQosMTAoxk//0RoKUqiYY8Bh0aaUEb0rQl3/XaVe4bXTugEjHSw==:",
    },
    Example {
        algorithm: "rsa-pss-sha512",
        form: "pem",
        key: RSA_PSS,
        components: &["@method", "@path", "@query", "@authority", "content-digest"],
        input: r#"sig-b23=("date" "@method" "@path" "@query" "@authority" "content-type" "content-digest" "content-length");created=1618884473;keyid="test-key-rsa-pss""#,
        signature: "sig-b23=:bbN8oArOxYoyylQQUU6QYwrTuaxLwjAC9fbY2F6SVWvh0yBiMIRGOnMYwZ/5MR6fb0Kh1rIRASVxFkeGt683+qRpRRU5p2voTp768ZrCUb38K0fUxN0O0iC59DzYx8DFll5GmydPxSmme9v6ULbMFkl+V5B1TP/yPViV7KsLNmvKiLJH1pFkh/aYA2HXXZzNBXmIkoQoLd7YfW91kE9o/CCoC1xMy7JA1ipwvKvfrs65ldmlu9bpG6A9BmzhuzF8Eim5f8ui9eH8LZH896+QIF61ka39VBrohr9iyMUJpvRX2Zbhl5ZJzSRxpJyoEZAFL2FUo5fTIztsDZKEgM4cUA==:",
    },
    Example {
        algorithm: "hmac-sha256",
        form: "base64",
        key: SHARED_SECRET,
        components: &["date", "@authority", "content-type"],
        input: r#"sig-b25=("date" "@authority" "content-type");created=1618884473;keyid="test-shared-secret""#,
        signature: "sig-b25=:pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=:",
    },
    Example {
        algorithm: "ed25519",
        form: "pem",
        key: ED25519,
        components: &["@method", "@path", "@authority"],
        input: r#"sig-b26=("date" "@method" "@path" "@authority" "content-type" "content-length");created=1618884473;keyid="test-key-ed25519""#,
        signature: "sig-b26=:wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==:",
    },
    Example {
        algorithm: "ecdsa-p256-sha256",
        form: "pem",
        key: ECC_P256,
        components: &["@path", "@query", "@method", "@authority", "client-cert"],
        input: r#"ttrp=("@path" "@query" "@method" "@authority" "client-cert");created=1618884473;keyid="test-key-ecc-p256""#,
        signature: "ttrp=:xVMHVpawaAC/0SbHrKRs9i8I3eOs5RtTMGCWXm/9nvZzoHsIg6Mce9315T6xoklyy0yzhD9ah4JHRwMLOgmizw==:",
    },
    Example {
        algorithm: "rsa-v1_5-sha256",
        form: "pem",
        key: RSA_V1_5,
        components: &["@method", "@target-uri", "content-digest"],
        input: r#"sig1=("@method" "@target-uri" "content-digest");created=1618884473;keyid="k";alg="rsa-v1_5-sha256""#,
        signature: "sig1=:hsDu0zGDB9ygaqXp47n1fJfcGJxzv+onVtSC9r55ZTApmj32P8gEUECRd6HxPE0BlC5hGDv5JrwWut+CLgRCB5o1ht41GvhDV4/4kiigS8Hu7JIWxUn2hpfqq8Ifaisx9OYjoDBJBLdQKyJSXV7P4OcUCEXgCHk64m0yV9XqrOuyIzPHwe8cRQEDFroGwj17zFHQlMCGnWsd3bZDiV1zkwqHYhj0E7HETg17dpZSS05q3DN+Bjcn/3OeuUXWU2zwAJOvwXUbp6DlOF3RwssM1+hW7UG8OuDWlZ70oH79bVFLPOoxcE8n0gHic+fDR62jedBz2b5yhAp53ESypD3MSg==:",
    },
];

const CLIENT_CERT: &str = ":MIIBqDCCAU6gAwIBAgIBBzAKBggqhkjOPQQDAjA6MRswGQYDVQQKDBJMZXQncyBBdXRoZW50aWNhdGUxGzAZBgNVBAMMEkxBIEludGVybWVkaWF0ZSBDQTAeFw0yMDAxMTQyMjU1MzNaFw0yMTAxMjMyMjU1MzNaMA0xCzAJBgNVBAMMAkJDMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE8YnXXfaUgmnMtOXU/IncWalRhebrXmckC8vdgJ1p5Be5F/3YC8OthxM4+k1M6aEAEFcGzkJiNy6J84y7uzo9M6NyMHAwCQYDVR0TBAIwADAfBgNVHSMEGDAWgBRm3WjLa38lbEYCuiCPct0ZaSED2DAOBgNVHQ8BAf8EBAMCBsAwEwYDVR0lBAwwCgYIKwYBBQUHAwIwHQYDVR0RAQH/BBMwEYEPYmRjQGV4YW1wbGUuY29tMAoGCCqGSM49BAMCA0gAMEUCIBHda/r1vaL6G3VliL4/Di6YK0Q6bMjeSkC3dFCOOB8TAiEAx/kHSB4urmiZ0NX5r5XarmPk0wmuydBVoU4hBVZ1yhk=:";

// === impl Example ===

impl Example {
    fn rules(&self) -> String {
        let components = serde_json::to_string(self.components).unwrap();
        let (algorithm, form) = (self.algorithm, self.form);
        format!(
            "algorithm = \"{algorithm}\"\nkey = \"{form}\"\npublic_url = \"https://{}\"\nmessage_signature = {{ components = {components} }}\n",
            self.host()
        )
    }

    fn host(&self) -> &'static str {
        if self.input.starts_with("ttrp") {
            "service.internal.example"
        } else {
            "example.com"
        }
    }

    fn request(&self) -> Unverified {
        request(&[
            ("host", self.host()),
            ("date", "Tue, 20 Apr 2021 02:07:55 GMT"),
            ("content-type", "application/json"),
            (
                "content-digest",
                "sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:",
            ),
            ("content-length", "18"),
            ("client-cert", CLIENT_CERT),
            (INPUT, self.input),
            (SIGNATURE, self.signature),
        ])
    }

    fn verdict(&self, request: Unverified) -> Result<(), Reason> {
        verdict(&self.rules(), &[self.key], request, CREATED)
    }
}

fn request(headers: &[(&'static str, &str)]) -> Unverified {
    let mut map = http::HeaderMap::new();
    for (name, value) in headers {
        map.append(*name, value.parse().unwrap());
    }

    Unverified {
        method: http::Method::POST,
        path: "/foo".into(),
        query: Some("param=Value&Pet=dog".into()),
        params: Vec::new(),
        headers: map,
        body: BODY.into(),
        decoded: None,
    }
}

fn verifier(rules: &str, secrets: usize) -> Verifier {
    let secrets = vec!["\"env:S\""; secrets].join(", ");
    let public_url = if rules.contains("public_url") || rules.contains("components") {
        ""
    } else {
        "public_url = \"https://example.com\"\n"
    };

    let spec =
        format!("scheme = \"http-message-signatures\"\nsecret = [{secrets}]\n{public_url}{rules}");
    Verifier::build(
        &toml::from_str::<VerifySpec>(&spec).unwrap(),
        &Packs::default(),
    )
    .unwrap()
}

fn verdict(rules: &str, secrets: &[&str], request: Unverified, now: u64) -> Result<(), Reason> {
    let verifier = verifier(rules, secrets.len());
    let keys = Keys::new(
        secrets
            .iter()
            .map(|secret| (verifier.key_form(), Ok(Secret::new(*secret)))),
    );

    let now = Some(UNIX_EPOCH + Duration::from_secs(now));
    match check(
        &verifier,
        request,
        &VerifyContext {
            keys: &keys,
            documents: &NoKeyDocuments,
            now,
        },
        None,
    ) {
        Ok(Verdict::Verified(_)) => Ok(()),
        Ok(other) => panic!("{other:?}"),
        Err(refusal) => Err(refusal.reason),
    }
}

fn set(request: &mut Unverified, name: &'static str, value: &str) {
    request.headers.insert(name, value.parse().unwrap());
}

#[test]
fn examples_of_the_rfc_are_accepted() {
    for example in &EXAMPLES {
        assert_eq!(
            example.verdict(example.request()),
            Ok(()),
            "{}",
            example.input
        );
    }
}

#[test]
fn changed_examples_are_refused() {
    for example in &EXAMPLES {
        let mut other = example.request();
        other.method = http::Method::PUT;
        let covers = |name: &str| example.input.contains(&format!("\"{name}\""));

        assert_eq!(
            example.verdict(other).is_ok(),
            !covers("@method"),
            "{}",
            example.input
        );

        let mut other = example.request();
        other.path = "/fo0".into();
        assert_eq!(
            example.verdict(other).is_ok(),
            !covers("@path") && !covers("@target-uri"),
            "{}",
            example.input
        );

        let mut other = example.request();
        other.query = Some("param=Value&Pet=cat".into());
        let is_covered = covers("@query") || covers("@query-param") || covers("@target-uri");

        assert_eq!(
            example.verdict(other).is_ok(),
            !is_covered,
            "{}",
            example.input
        );

        let mut other = example.request();
        set(&mut other, "date", "Tue, 20 Apr 2021 02:07:56 GMT");
        assert_eq!(
            example.verdict(other).is_ok(),
            !covers("date"),
            "{}",
            example.input
        );

        for at in 0..BODY.len() {
            let mut other = example.request();
            let mut body = BODY.as_bytes().to_vec();
            body[at] ^= 1;
            other.body = body.into();

            let expected = if covers(DIGEST) {
                Err(Reason::BodyHashMismatch)
            } else {
                Ok(())
            };

            assert_eq!(example.verdict(other), expected, "{}", example.input);
        }

        let (label, encoded) = example.signature.split_once("=:").unwrap();
        let signature = STANDARD.decode(encoded.trim_end_matches(':')).unwrap();
        for at in 0..signature.len() {
            let mut changed = signature.clone();
            changed[at] ^= 1;
            let mut other = example.request();

            set(
                &mut other,
                SIGNATURE,
                &format!("{label}=:{}:", STANDARD.encode(changed)),
            );

            assert_eq!(
                example.verdict(other),
                Err(Reason::SignatureMismatch),
                "{} {at}",
                example.input
            );
        }
    }
}

#[test]
fn every_parameter_is_signed() {
    let example = &EXAMPLES[2];
    for (from, to) in [
        ("created=1618884473", "created=1618884474"),
        ("\"test-shared-secret\"", "\"test-shared-secre\""),
        ("\"date\" ", ""),
        (";keyid", ";nonce=\"1\";keyid"),
    ] {
        let mut other = example.request();
        set(&mut other, INPUT, &example.input.replacen(from, to, 1));
        assert!(example.verdict(other).is_err(), "{to}");
    }
}

/// Signs with `rules` at the time of the examples.
fn signed(rules: &str, key: &[u8], change: impl Fn(&mut Unverified)) -> Unverified {
    let mut draft = request(&[
        ("host", "example.com"),
        ("content-type", "application/json"),
    ]);

    change(&mut draft);
    sign(
        &verifier(rules, 1),
        draft,
        key,
        UNIX_EPOCH + Duration::from_secs(CREATED),
    )
    .unwrap()
}

const HMAC: &str = "algorithm = \"hmac-sha256\"\n";
const URL: &str = "public_url = \"https://example.com\"\n";

#[test]
fn default_covers_method_target_and_body() {
    let accept =
        |rules: &str, request| verdict(&format!("{HMAC}{rules}"), &["key"], request, CREATED);
    let with_url = "public_url = \"https://hooks.example.com/prefix\"\n";
    assert_eq!(accept("", signed(HMAC, b"key", |_| {})), Ok(()));

    assert_eq!(
        accept(
            with_url,
            signed(&format!("{HMAC}{with_url}"), b"key", |_| {})
        ),
        Ok(())
    );

    assert_eq!(
        accept("", signed(HMAC, b"other", |_| {})),
        Err(Reason::SignatureMismatch)
    );

    for (components, expected) in [
        (
            r#"["@method", "@authority", "@path", "@query", "content-digest"]"#,
            Ok(()),
        ),
        (
            r#"["@method", "@authority", "@request-target", "content-digest"]"#,
            Ok(()),
        ),
        (
            r#"["@method", "@authority", "@path", "content-digest"]"#,
            Err(Reason::UnsupportedSignatureVersion),
        ),
        (
            r#"["@method", "@path", "@query", "content-digest"]"#,
            Err(Reason::UnsupportedSignatureVersion),
        ),
        (
            r#"["@authority", "@path", "@query", "content-digest"]"#,
            Err(Reason::UnsupportedSignatureVersion),
        ),
        (
            r#"["@method", "@authority", "@path", "@query"]"#,
            Err(Reason::BodyHashMissing),
        ),
    ] {
        let rules = format!("{HMAC}{URL}message_signature = {{ components = {components} }}\n");
        assert_eq!(
            accept("", signed(&rules, b"key", |_| {})),
            expected,
            "{components}"
        );
    }

    // Without a body there is no digest, and without a query no further component.
    let bare = signed(HMAC, b"key", |draft| {
        draft.body = Default::default();
        draft.query = None;
    });

    assert!(!bare.headers.contains_key(DIGEST));
    assert_eq!(accept("", bare), Ok(()));
}

#[test]
fn times_are_judged() {
    let at = |seconds: u64| verdict(HMAC, &["key"], signed(HMAC, b"key", |_| {}), seconds);
    assert_eq!(at(CREATED + 300), Ok(()));
    assert_eq!(at(CREATED + 301), Err(Reason::TimestampTooOld));
    assert_eq!(at(CREATED - 61), Err(Reason::TimestampInFuture));
    let longer = format!("{HMAC}timestamp = {{ unit = \"s\", past = \"1h\" }}\n");

    assert_eq!(
        verdict(
            &longer,
            &["key"],
            signed(HMAC, b"key", |_| {}),
            CREATED + 3600
        ),
        Ok(())
    );

    let with = |parameters: &str, now: u64| {
        let input = format!("sig1=(\"@method\"){parameters}");
        let list = input.split_once('=').unwrap().1;
        let base = format!("\"@method\": POST\n\"@signature-params\": {list}");
        let mac = STANDARD.encode(mac(Algorithm::HmacSha256, b"key", base.as_bytes()));

        let request = request(&[
            ("host", "example.com"),
            (INPUT, &input),
            (SIGNATURE, &format!("sig1=:{mac}:")),
        ]);

        let rules = format!("{HMAC}message_signature = {{ components = [\"@method\"] }}\n");
        verdict(&rules, &["key"], request, now)
    };

    assert_eq!(with(";created=1618884473", CREATED), Ok(()));
    assert_eq!(with("", CREATED), Err(Reason::MissingTimestamp));
    assert_eq!(
        with(";created=\"1618884473\"", CREATED),
        Err(Reason::MalformedTimestamp)
    );

    assert_eq!(
        with(";created=1618884473;expires=1618884480", CREATED),
        Ok(())
    );

    assert_eq!(
        with(";created=1618884473;expires=1618884480", CREATED + 10),
        Err(Reason::TimestampTooOld)
    );

    assert_eq!(
        with(";created=1618884473;alg=\"hmac-sha256\"", CREATED),
        Ok(())
    );

    assert_eq!(
        with(";created=1618884473;alg=\"ed25519\"", CREATED),
        Err(Reason::AlgorithmNotAllowed)
    );

    assert_eq!(
        with(";created=1618884473;alg=none", CREATED),
        Err(Reason::AlgorithmNotAllowed)
    );
}

#[test]
fn key_ids_choose_the_secret() {
    let rules = format!("{HMAC}message_signature = {{ key_ids = [\"a\", \"b\"] }}\n");
    let of = |id: &str, key: &[u8]| {
        signed(
            &format!("{HMAC}message_signature = {{ key_ids = [\"{id}\"] }}\n"),
            key,
            |_| {},
        )
    };

    let accept = |request| verdict(&rules, &["key-a", "key-b"], request, CREATED);
    assert_eq!(accept(of("a", b"key-a")), Ok(()));
    assert_eq!(accept(of("b", b"key-b")), Ok(()));
    assert_eq!(accept(of("a", b"key-b")), Err(Reason::SignatureMismatch));
    assert_eq!(accept(of("c", b"key-a")), Err(Reason::KeyUnavailable));

    assert_eq!(
        accept(signed(HMAC, b"key-a", |_| {})),
        Err(Reason::KeyUnavailable)
    );
}

#[test]
fn label_and_tag_select_the_signature() {
    let rules = |more: &str| format!("{HMAC}message_signature = {{ {more} }}\n");
    let ours = signed(&rules("label = \"ours\", tag = \"app\""), b"key", |_| {});
    assert_eq!(verdict(HMAC, &["key"], ours.clone(), CREATED), Ok(()));

    assert_eq!(
        verdict(&rules("label = \"ours\""), &["key"], ours.clone(), CREATED),
        Ok(())
    );

    assert_eq!(
        verdict(&rules("label = \"other\""), &["key"], ours.clone(), CREATED),
        Err(Reason::MissingSignature)
    );

    assert_eq!(
        verdict(&rules("tag = \"app\""), &["key"], ours.clone(), CREATED),
        Ok(())
    );

    assert_eq!(
        verdict(&rules("tag = \"other\""), &["key"], ours.clone(), CREATED),
        Err(Reason::AudienceMismatch)
    );

    // A proxy may add a signature of its own, before or after.
    let mut both = ours.clone();
    let theirs = signed(&rules("label = \"proxy\""), b"another key", |_| {});
    for name in [INPUT, SIGNATURE] {
        let [ours, theirs] =
            [&ours, &theirs].map(|one| one.headers[name].to_str().unwrap().to_owned());
        set(&mut both, name, &format!("{theirs}, {ours}"));
    }

    assert_eq!(verdict(HMAC, &["key"], both, CREATED), Ok(()));

    let mut many = ours;
    for number in 0..SIGNATURES_MAX {
        many.headers.append(
            INPUT,
            format!("s{number}=(\"@method\");created=1")
                .parse()
                .unwrap(),
        );
    }

    assert_eq!(
        verdict(HMAC, &["key"], many, CREATED),
        Err(Reason::MalformedSignature)
    );
}

#[test]
fn headers_out_of_form_are_refused() {
    let rules = format!("{HMAC}message_signature = {{ components = [\"@method\"] }}\n");
    let mac = STANDARD.encode([0; 32]);
    let shown = |input: &str, signature: &str| {
        let mut headers = vec![("host", "example.com")];
        headers.extend(
            [(INPUT, input), (SIGNATURE, signature)]
                .into_iter()
                .filter(|(_, value)| !value.is_empty()),
        );

        verdict(&rules, &["key"], request(&headers), CREATED)
    };

    let signature = format!("s=:{mac}:");
    let good = "s=(\"@method\");created=1618884473";
    assert_eq!(shown(good, &signature), Err(Reason::SignatureMismatch));
    assert_eq!(shown("", &signature), Err(Reason::MissingSignature));
    assert_eq!(shown(good, ""), Err(Reason::MissingSignature));

    assert_eq!(
        shown(good, &format!("t=:{mac}:")),
        Err(Reason::MissingSignature)
    );

    assert_eq!(shown(good, "s=:AAAA:"), Err(Reason::MalformedSignature));
    assert_eq!(shown(good, "s=\"AAAA\""), Err(Reason::MalformedSignature));
    let components = |list: &str| shown(&format!("s=({list});created=1618884473"), &signature);

    for list in [
        "\"@method\" \"@method\"",
        "\"@method\" \"@status\"",
        "\"@method\" \"@unknown\"",
        "\"@method\" \"Date\"",
        "\"@method\" \"date\";sf",
        "\"@method\" \"date\";bs",
        "\"@method\" \"@path\";req",
        "\"@method\" \"@query-param\"",
        "\"@method\" \"@query-param\";name=\"none\"",
        "\"@method\" token",
        &format!(
            "\"@method\" {}",
            (0..COMPONENTS_MAX)
                .map(|number| format!("\"h{number}\" "))
                .collect::<String>()
        ),
    ] {
        assert_eq!(components(list), Err(Reason::MalformedSignature), "{list}");
    }

    assert_eq!(
        components("\"@method\" \"x-absent\""),
        Err(Reason::SignatureMismatch)
    );

    assert_eq!(
        components("\"date\""),
        Err(Reason::UnsupportedSignatureVersion)
    );

    assert_eq!(
        components("\"@method\" \"@target-uri\""),
        Err(Reason::NoSecret)
    );
}

#[test]
fn digests_must_be_right_and_known() {
    let digest = |value: &str| {
        let mut request = signed(HMAC, b"key", |_| {});
        set(&mut request, DIGEST, value);
        verdict(HMAC, &["key"], request, CREATED)
    };

    let right = STANDARD.encode(Sha256::digest(BODY));
    assert_eq!(digest(&format!("sha-256=:{right}:")), Ok(()));
    assert_eq!(
        digest(&format!("sha-256=:{right}:, sha-512=:AAAA:")),
        Err(Reason::BodyHashMismatch)
    );

    assert_eq!(digest("md5=:AAAA:"), Err(Reason::BodyHashMissing));
    assert_eq!(
        digest(&format!("sha-256=\"{right}\"")),
        Err(Reason::BodyHashMismatch)
    );

    assert_eq!(digest("sha-256"), Err(Reason::BodyHashMismatch));
    assert_eq!(digest("=("), Err(Reason::MalformedSignature));
}

#[test]
fn ed25519_signs_with_private_keys() {
    let rules = "algorithm = \"ed25519\"\nkey = \"pem\"\n";
    let AuthScheme::Provider(scheme) = verifier(rules, 1).auth_scheme().clone() else {
        panic!("a provider scheme");
    };
    let key = crate::schemes::private_key(&scheme, &Secret::new(ED25519_PRIVATE))
        .unwrap()
        .unwrap();
    let request = signed(rules, &key, |_| {});

    assert_eq!(verdict(rules, &[ED25519], request, CREATED), Ok(()));
    assert!(crate::schemes::private_key(&scheme, &Secret::new(ED25519)).is_err());

    // Example B.2.6 has its parameters in another order.
    let base = "\"@method\": POST\n\"@signature-params\": (\"@method\");created=1618884473";
    let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&key).unwrap();
    let public = pem_of(ED25519);

    assert!(is_made_by(
        Algorithm::Ed25519,
        &public,
        base.as_bytes(),
        pair.sign(base.as_bytes()).as_ref()
    ));
}

fn pem_of(text: &str) -> Vec<u8> {
    crate::certificate::pem_bytes(text, "PUBLIC KEY").unwrap()
}

#[test]
fn algorithms_and_key_ids_are_checked() {
    let key = |rules: &str| {
        let spec =
            format!("scheme = \"http-message-signatures\"\nsecret = \"env:S\"\n{URL}{rules}");
        let built = Verifier::build(
            &toml::from_str::<VerifySpec>(&spec).unwrap(),
            &Packs::default(),
        );

        built.map(drop).map_err(|error| error.key)
    };

    assert_eq!(key(""), Err("algorithm"));
    assert_eq!(key("algorithm = \"hmac-sha1\""), Err("algorithm"));
    let two = "message_signature = { key_ids = [\"a\", \"b\"] }";
    assert_eq!(key(&format!("{HMAC}{two}")), Err("message_signature"));
    assert_eq!(key(HMAC), Ok(()));
}
