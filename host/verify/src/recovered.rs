//! A delivery that the host itself has read from the provider's API. It carries no signature: it is
//! trusted because the host called the configured address over TLS with the operator's credential.

use crate::facts::{Authenticated, collect_facts};
use crate::request::{Unverified, Verified};
use crate::verifier::Verifier;
use crate::view::View;

/// What `verified-by` and `verified-by-scheme` say of such a delivery.
const API: &str = "api";

/// Turns a delivery from the provider's API into a verified request, with the facts and the
/// identity that the same webhook would have. The caller guarantees where the delivery comes from.
pub fn recovered(verifier: &Verifier, request: Unverified) -> Verified {
    let Authenticated {
        mut facts,
        delivery_key,
    } = collect_facts(verifier, &view(verifier, &request), None);

    for (name, value) in &mut facts {
        if name.starts_with("verified-by") {
            *value = API.to_owned();
        }
    }
    Verified::new(request, None, facts, delivery_key)
}

/// The keys of this delivery in a ledger: with `match = "id"`, and with `match = "id-and-body"`,
/// which the hook file may have had before. Empty if a field of the identity is missing.
pub fn known_keys(verifier: &Verifier, request: &Unverified) -> Vec<Vec<u8>> {
    crate::facts::known_keys(verifier, &view(verifier, request))
}

fn view<'a>(verifier: &'a Verifier, request: &'a Unverified) -> View<'a> {
    View::new(request, verifier.public_url.as_ref())
        .with_json_field(verifier.json_form_field.as_deref())
        .with_json_paths(&verifier.json_paths)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use http::{HeaderMap, HeaderValue, Method};
    use landfall_model::{DedupId, DedupSpec, DeliveryId, IdMatch, Scheme, VerifySpec};
    use serde::Deserialize;

    use super::*;
    use crate::Packs;

    #[derive(Deserialize)]
    struct Table {
        id: DeliveryId,
    }

    fn verifier(id_match: IdMatch) -> Verifier {
        let table: Table =
            toml::from_str("id = [{ header = \"X-Id\" }, { json = \"/id\" }]").unwrap();
        let dedup = DedupSpec {
            id: DedupId::At(table.id),
            id_match: Some(id_match),
            window: Duration::from_secs(60),
        };
        let typed = VerifySpec {
            scheme: Some(Scheme::None),
            ..VerifySpec::default()
        };
        Verifier::build(&typed, &Packs::default())
            .unwrap()
            .with_locations(&dedup, None, "/in")
            .unwrap()
    }

    fn request(body: &'static str) -> Unverified {
        let mut headers = HeaderMap::new();
        headers.insert("x-id", HeaderValue::from_static("7"));
        Unverified {
            method: Method::POST,
            path: "/in".into(),
            query: None,
            params: Vec::new(),
            headers,
            body: Bytes::from_static(body.as_bytes()),
            decoded: None,
        }
    }

    #[test]
    fn recovered_deliveries_say_so() {
        let one = recovered(&verifier(IdMatch::Id), request("{\"id\":1}"));
        assert_eq!(one.fact("verified-by"), Some("api"));
        assert_eq!(one.fact("verified-by-scheme"), Some("api"));
        assert_eq!(one.fact("delivery-id"), Some("7/1"));
    }

    #[test]
    fn both_kinds_of_identity_are_known() {
        let sent = request("{\"id\":1}");
        let keys = known_keys(&verifier(IdMatch::Id), &sent);
        for (key, id_match) in keys.iter().zip([IdMatch::Id, IdMatch::IdAndBody]) {
            let one = recovered(&verifier(id_match), sent.clone());
            assert_eq!(one.delivery_key(), Some(&key[..]));
        }
        assert_ne!(keys[0], keys[1]);
        assert!(known_keys(&verifier(IdMatch::Id), &request("{}")).is_empty());
    }
}
