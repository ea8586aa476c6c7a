//! Any bytes as a message of a broker: what can be read is the same when it is written and read again, and with a key only what has a
//! MAC of it can be read.

use std::sync::{Arc, OnceLock};

use landfall_broker::{Envelope, Seal};
use landfall_model::clock::from_ms;
use landfall_model::{Clock, Event, EventId, Secret, SecretError, SecretRef, SecretSource, Stored};

const KEY: &str = "5d1c0f7b9a3e4c2d8f6b1a0e9d7c5b3a1f2e4d6c8b0a9f7e5d3c1b2a4f6e8d0c";

struct OneKey;

impl SecretSource for OneKey {
    fn value(&self, _: &SecretRef) -> Result<Secret, SecretError> {
        Ok(Secret::new(KEY))
    }
}

struct Seals {
    without_key: Seal,
    with_key: Seal,
}

fn seals() -> &'static Seals {
    static SEALS: OnceLock<Seals> = OnceLock::new();
    SEALS.get_or_init(|| {
        let seal = |keys: &[&str]| {
            let keys = keys.iter().map(|key| key.parse().expect("a reference"));
            let clock = Clock::fixed_at(1_760_000_000);
            Seal::new(keys.collect(), Arc::new(OneKey), clock).expect("the key can be used")
        };
        Seals {
            without_key: seal(&[]),
            with_key: seal(&["env:KEY"]),
        }
    })
}

pub(crate) fn run(data: &[u8]) {
    let seals = seals();
    if let Ok(envelope) = Envelope::decode(data, &seals.without_key, None) {
        let bytes = envelope
            .encode(&seals.without_key)
            .expect("no key is needed");
        let again = Envelope::decode(&bytes, &seals.without_key, Some(envelope.hook()));
        let again = again.expect("what was written can be read");
        assert_eq!(format!("{again:?}"), format!("{envelope:?}"));
    }
    if let Ok(envelope) = Envelope::decode(data, &seals.with_key, None) {
        assert_eq!(envelope.event().body, BODY, "an envelope without a MAC");
    }
}

const BODY: &[u8] = b"{\"n\":1}";

/// Good envelopes, without and with a MAC.
#[allow(dead_code)]
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let received_at = from_ms(1_760_000_000_123);
    let event = Event {
        id: EventId::new(received_at),
        hook: "h".into(),
        received_at,
        method: http::Method::POST,
        path: "/h".into(),
        query: Some("a=b".into()),
        headers: http::HeaderMap::new(),
        body: bytes::Bytes::from_static(BODY),
        attributes: vec![("delivery-id".into(), "7".into())],
    };
    let envelope = Envelope::new(Stored::new(event), None, Some("k".into()));
    let seals = seals();
    [&seals.without_key, &seals.with_key]
        .map(|seal| envelope.encode(seal).expect("the key can be used"))
        .into()
}
