//! Encrypted events. An encrypted event is an event too, so that ledgers and brokers carry it like
//! any other: its body is encrypted, and its only attribute is everything else but id, hook and
//! time, encrypted.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::keys::{KeyId, LedgerKeys, NotOpened, Place, sealed_by};
use landfall_model::clock::to_ms;
use landfall_model::stored_event::with_head;
use landfall_model::{Event, SEALED_ATTRIBUTE, Stored};

const HEAD: &str = "event-head";
const BODY: &str = "event-body";

/// The event with everything but id, hook and time encrypted. `digest`: what its duplicates are
/// compared by.
pub(super) fn seal(keys: &LedgerKeys, stored: &Stored, digest: [u8; 32]) -> Stored {
    if stored.is_sealed() {
        return stored.clone();
    }

    let event = stored.event();
    let row: &[&[u8]] = &[event.id.as_bytes(), event.hook.as_bytes()];
    let head = keys.seal(Place { column: HEAD, row }, stored.head());
    let body = keys.seal(Place { column: BODY, row }, &event.body);
    let sealed = Event {
        id: event.id,
        hook: event.hook.clone(),
        received_at: event.received_at,
        method: http::Method::POST,
        path: String::new(),
        query: None,
        headers: http::HeaderMap::new(),
        body: body.into(),
        attributes: vec![(SEALED_ATTRIBUTE.to_owned(), STANDARD.encode(head))],
    };
    stored.sealed(sealed, digest)
}

/// The event that was sealed, or the same event if it is not sealed.
pub(super) fn open(keys: &LedgerKeys, event: Event) -> Result<Event, NotOpened> {
    // A plain body in an encrypted event was put there by something else.
    if event.attribute(SEALED_ATTRIBUTE).is_some() && sealed_by(&event.body).is_none() {
        return Err(NotOpened::Damaged);
    }
    open_parts(keys, event)
}

/// The same for an event whose body was removed.
pub(super) fn open_without_body(keys: &LedgerKeys, event: Event) -> Result<Event, NotOpened> {
    open_parts(keys, event)
}

/// The key that the event is encrypted with, if the node does not have it.
pub(super) fn missing_key(keys: &LedgerKeys, event: &Event) -> Option<KeyId> {
    let head = STANDARD.decode(event.attribute(SEALED_ATTRIBUTE)?).ok()?;
    sealed_by(&head).filter(|id| !keys.has(*id))
}

fn open_parts(keys: &LedgerKeys, event: Event) -> Result<Event, NotOpened> {
    let Some(head) = event.attribute(SEALED_ATTRIBUTE) else {
        return Ok(event);
    };
    let head = STANDARD.decode(head).map_err(|_| NotOpened::Damaged)?;
    if sealed_by(&head).is_none() {
        return Err(NotOpened::Damaged);
    }

    let row: &[&[u8]] = &[event.id.as_bytes(), event.hook.as_bytes()];
    let head = keys.open(Place { column: HEAD, row }, head)?;
    let body = keys.open(Place { column: BODY, row }, event.body.to_vec())?;
    let of = (event.id, event.hook.to_string(), to_ms(event.received_at));
    with_head(of, &head, body).map_err(|_| NotOpened::Damaged)
}
