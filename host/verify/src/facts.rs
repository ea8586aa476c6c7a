//! What the host learns from a request whose sender is authenticated: the attributes of the event, its order key, and the
//! delivery key that identifies redeliveries.

use sha2::{Digest, Sha256};

use crate::request::Unverified;
use crate::verifier::Verifier;
use crate::view::{View, describe};
use landfall_model::{DeliveryId, Event, IdMatch, ValueLocation};

/// What is known of a request whose sender has matched itself.
pub struct Authenticated {
    pub facts: Vec<(String, String)>,
    pub delivery_key: Option<Vec<u8>>,
}

/// The key by which a hook orders its events, of one that came another way than over HTTP.
pub fn order_key(verifier: &Verifier, event: &Event) -> Option<String> {
    let Event {
        method,
        path,
        query,
        headers,
        body,
        ..
    } = event.clone();

    let request = Unverified {
        method,
        path,
        query,
        params: params(event),
        headers,
        body,
        decoded: None,
    };

    text_at(
        &View::new(&request, None).with_json_field(verifier.json_form_field.as_deref()),
        verifier.order_key.as_ref()?,
    )
}

/// The path parameters, as the event carries them.
fn params(event: &Event) -> Vec<(String, String)> {
    let named = event
        .attributes
        .iter()
        .filter_map(|(key, value)| Some((key.strip_prefix("param:")?, value)));

    named
        .map(|(name, value)| (name.to_owned(), value.clone()))
        .collect()
}

fn text_at(view: &View<'_>, place: &ValueLocation) -> Option<String> {
    String::from_utf8(view.find(place, true).ok()?.into_owned()).ok()
}

pub fn authenticated(
    verifier: &Verifier,
    view: &View<'_>,
    matched: Option<usize>,
) -> Authenticated {
    let at = |place: &Option<ValueLocation>| text_at(view, place.as_ref()?);
    let identity = verifier
        .delivery_id
        .as_ref()
        .and_then(|fields| identity(fields, view));

    // Which secret matched, by its number in the hook file: the component has no business with where it lives.
    let word = verifier.auth_scheme.word();
    let key = matched
        .map(|index| format!("{word}#{}", index + 1))
        .unwrap_or_else(|| word.to_owned());

    let facts = [
        ("provider", verifier.provider.clone()),
        ("event-type", at(&verifier.event_type)),
        (
            "delivery-id",
            identity.as_ref().map(|(_, fields)| fields.join("/")),
        ),
        ("order-key", at(&verifier.order_key)),
        ("verified-by", Some(key)),
        (
            "verified-by-scheme",
            Some(verifier.auth_scheme.kind().to_owned()),
        ),
        ("json-form-field", view.json_field().map(str::to_owned)),
    ];

    let facts = facts
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)))
        .collect();

    Authenticated {
        facts,
        delivery_key: identity.map(|(alternative, fields)| {
            let mut key = delivery_key(verifier, alternative, &fields);
            if verifier.identity_per_url {
                key.extend_from_slice(&url_key(view.request));
            }

            key
        }),
    }
}

/// The values of the first alternative whose fields are all present, and its position.
fn identity(identity: &DeliveryId, view: &View<'_>) -> Option<(usize, Vec<String>)> {
    let values = |fields: &Vec<ValueLocation>| {
        fields
            .iter()
            .map(|field| text_at(view, field))
            .collect::<Option<Vec<_>>>()
    };

    identity
        .alternatives()
        .iter()
        .enumerate()
        .find_map(|(position, fields)| Some((position, values(fields)?)))
}

/// Tells URLs of one hook apart: two tenants may get the same event. Empty where a hook has one URL. A digest, since a URL may hold a
/// secret.
fn url_key(request: &Unverified) -> Vec<u8> {
    if request.params.is_empty() && request.query.is_none() {
        return Vec::new();
    }

    let mut digest = Sha256::new();
    digest.update(&request.path);
    digest.update("?");
    digest.update(request.query.as_deref().unwrap_or_default());

    [b"\0url\0", &digest.finalize()[..]].concat()
}

/// One key for all fields: a digest of `match` and of each field's place and value. The same values at other places, or compared
/// by another rule, are another identity: no event is lost after a hook names other fields.
fn delivery_key(verifier: &Verifier, alternative: usize, values: &[String]) -> Vec<u8> {
    let mut digest = Sha256::new();
    let mut add = |text: &str| {
        digest.update((text.len() as u64).to_be_bytes());
        digest.update(text);
    };

    add(match verifier.id_match() {
        IdMatch::Id => "id",
        IdMatch::IdAndBody => "id-and-body",
    });

    let places = verifier
        .delivery_id
        .iter()
        .flat_map(|identity| &identity.alternatives()[alternative]);

    for (place, value) in places.zip(values) {
        match place {
            // Header names have no case.
            ValueLocation::Header(name) => {
                add(&describe(&ValueLocation::Header(name.to_ascii_lowercase())))
            }
            place => add(&describe(place)),
        }

        add(value);
    }

    [b"id\0", &digest.finalize()[..]].concat()
}
