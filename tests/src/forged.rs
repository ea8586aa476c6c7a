//! Messages for a broker as a node makes them, by something that is no node.

use std::sync::Arc;
use std::time::SystemTime;

use landfall_broker::{Envelope, Seal};
use landfall_model::{Clock, Event, EventId, Secret, SecretError, SecretRef, SecretSource, Stored};

/// One secret for every reference.
struct Known(&'static str);

impl SecretSource for Known {
    fn value(&self, _: &SecretRef) -> Result<Secret, SecretError> {
        Ok(Secret::new(self.0))
    }
}

/// An event of this hook with this body, whose checksum is right; sealed with that key if there is one.
pub fn envelope(hook: &str, body: &'static str, key: Option<&'static str>) -> Vec<u8> {
    let now = SystemTime::now();
    let event = Event {
        id: EventId::new(now),
        hook: hook.into(),
        received_at: now,
        method: http::Method::POST,
        path: format!("/{hook}"),
        query: None,
        headers: http::HeaderMap::new(),
        body: body.into(),
        attributes: Vec::new(),
    };
    let keys = key
        .map(|_| SecretRef::Env("KEY".into()))
        .into_iter()
        .collect();
    let seal = Seal::new(
        keys,
        Arc::new(Known(key.unwrap_or_default())),
        Clock::System,
    )
    .expect("the key is long enough");
    let envelope = Envelope::new(Stored::new(event), None, None);
    envelope.encode(&seal).expect("the key has a value")
}
