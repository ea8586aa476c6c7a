//! Headers that are malformed, and digests of other bodies.

use super::*;
use crate::schemes::COMPONENTS_MAX;

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
