//! The request vectors and handshakes of tests/vectors.

mod flipped;

use super::*;
use crate::pack::pack_names;

const VECTORS: &str = include_str!("../../../../../tests/vectors/requests.json");

const HANDSHAKES: &str = include_str!("../../../../../tests/vectors/handshakes.json");

fn vectors() -> Vec<Vector> {
    array(VECTORS, "vectors", "a request vector").unwrap()
}

#[test]
fn every_request_vector_passes() {
    let report = run_vectors(VECTORS, &Packs::default()).unwrap();
    assert!(report.failures.is_empty(), "{}", report.failures.join("\n"));
    assert_eq!(report.passed, vectors().len());
}

#[test]
fn every_handshake_is_answered_as_expected() {
    let report = run_challenges(HANDSHAKES, &Packs::default()).unwrap();
    assert!(report.failures.is_empty(), "{}", report.failures.join("\n"));
    let handshakes: Vec<Value> = array(HANDSHAKES, "challenges", "a handshake").unwrap();
    assert_eq!(report.passed, handshakes.len());
}

/// A new pack or vector need not change the README.
#[test]
fn readme_claims_no_more_providers() {
    const README: &str = include_str!("../../../../../README.md");
    const CLAIM: &str = "[more than 250 providers](docs/providers/README.md), tested with more \
                         than 1,100 request vectors";
    let is_provider = |name: &&str| {
        let pack = Packs::default().find(name).unwrap();
        pack.evidence.is_some() && pack.variant_of.is_none()
    };
    assert!(README.contains(CLAIM), "README does not say `{CLAIM}`");
    assert!(pack_names().filter(is_provider).count() > 250);
    assert!(vectors().len() > 1100);
}

#[test]
fn malformed_vector_files_are_refused() {
    for (text, words) in [
        ("", "not JSON"),
        ("7", "neither an array nor an object"),
        ("{}", "neither an array nor an object"),
        ("[{}]", "not a request vector: missing field `id`"),
    ] {
        let error = run_vectors(text, &Packs::default())
            .unwrap_err()
            .to_string();
        assert!(error.contains(words), "{text}: {error}");
    }

    let unknown = r#"[{"id":"x","scheme":"no-such-pack","method":"POST","url":"https://a/","headers":[],"body":"","now":null,"expect":"accept"}]"#;
    let report = run_vectors(unknown, &Packs::default()).unwrap();
    assert!(report.failures[0].starts_with(
        "x: expected accept, got error: [verify] provider: no provider pack `no-such-pack`"
    ));
}
