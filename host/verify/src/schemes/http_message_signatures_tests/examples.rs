//! The examples of RFC 9421, appendix B, and what must be refused.

use super::*;

const SHARED_SECRET: &str =
    "uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ==";

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

const CLIENT_CERT: &str = ":MIIBqDCCAU6gAwIBAgIBBzAKBggqhkjOPQQDAjA6MRswGQYDVQQKDBJMZXQncyBBdXRoZW50aWNhdGUxGzAZBgNVBAMMEkxBIEludGVybWVkaWF0ZSBDQTAeFw0yMDAxMTQyMjU1MzNaFw0yMTAxMjMyMjU1MzNaMA0xCzAJBgNVBAMMAkJDMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE8YnXXfaUgmnMtOXU/IncWalRhebrXmckC8vdgJ1p5Be5F/3YC8OthxM4+k1M6aEAEFcGzkJiNy6J84y7uzo9M6NyMHAwCQYDVR0TBAIwADAfBgNVHSMEGDAWgBRm3WjLa38lbEYCuiCPct0ZaSED2DAOBgNVHQ8BAf8EBAMCBsAwEwYDVR0lBAwwCgYIKwYBBQUHAwIwHQYDVR0RAQH/BBMwEYEPYmRjQGV4YW1wbGUuY29tMAoGCCqGSM49BAMCA0gAMEUCIBHda/r1vaL6G3VliL4/Di6YK0Q6bMjeSkC3dFCOOB8TAiEAx/kHSB4urmiZ0NX5r5XarmPk0wmuydBVoU4hBVZ1yhk=:";

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
