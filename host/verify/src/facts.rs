//! What the host learns from a request whose sender is authenticated: the attributes of the event,
//! its order key, and the delivery key that identifies redeliveries.

use sha2::{Digest, Sha256};

use crate::json_paths::JsonPaths;
use crate::request::Unverified;
use crate::verifier::Verifier;
use crate::view::{View, describe};
use landfall_model::{DeliveryId, Event, IdMatch, PROOF_ATTRIBUTE, ValueLocation};

/// What the host knows of an authenticated request.
pub(crate) struct Authenticated {
    pub(crate) facts: Vec<(String, String)>,
    pub(crate) delivery_key: Option<Vec<u8>>,
}

/// The order key of an event that did not arrive over HTTP.
pub fn order_key(verifier: &Verifier, event: &Event) -> Option<String> {
    let request = request_of(event);

    View::new(&request, None)
        .with_json_field(verifier.json_form_field.as_deref())
        .with_json_paths(&verifier.json_paths)
        .fact(verifier.order_key.as_ref()?)
}

/// The text at a place of a stored event. `None`: there is none, or it is not one text. Claims of a
/// token are not stored.
pub fn value_at(event: &Event, place: &ValueLocation) -> Option<String> {
    let request = request_of(event);
    let json_paths = match place {
        ValueLocation::Json(pointer) => JsonPaths::new(std::iter::once(pointer.as_str())),
        _ => JsonPaths::default(),
    };

    View::new(&request, None)
        .with_json_field(event.attribute("json-form-field"))
        .with_json_paths(&json_paths)
        .fact(place)
}

/// The text fields of an event whose body is a form, without files. `None`: the body is no form.
pub fn form_fields(event: &Event) -> Option<Vec<(String, String)>> {
    let request = request_of(event);
    View::new(&request, None)
        .form_fields()
        .map(<[(String, String)]>::to_vec)
}

/// The event as the request that it was.
fn request_of(event: &Event) -> Unverified {
    let Event {
        method,
        path,
        query,
        headers,
        body,
        ..
    } = event.clone();

    Unverified {
        method,
        path,
        query,
        params: params(event),
        headers,
        body,
        decoded: None,
    }
}

/// The path parameters, which the event carries as attributes.
fn params(event: &Event) -> Vec<(String, String)> {
    let named = event
        .attributes
        .iter()
        .filter_map(|(key, value)| Some((key.strip_prefix("param:")?, value)));

    named
        .map(|(name, value)| (name.to_owned(), value.clone()))
        .collect()
}

fn text_of(view: &View<'_>, place: &Option<ValueLocation>) -> Option<String> {
    view.fact(place.as_ref()?)
}

pub(crate) fn collect_facts(
    verifier: &Verifier,
    view: &View<'_>,
    matched: Option<usize>,
) -> Authenticated {
    let identity = verifier
        .delivery_id
        .as_ref()
        .and_then(|fields| identity(fields, view));

    // The number of the secret in the hook file. Components do not learn where the secret is
    // stored.
    let word = verifier.auth_scheme.word();
    let key = matched
        .map(|index| format!("{word}#{}", index + 1))
        .unwrap_or_else(|| word.to_owned());

    let facts = [
        ("provider", verifier.provider.clone()),
        ("event-type", text_of(view, &verifier.event_type)),
        (
            "delivery-id",
            identity.as_ref().map(|(_, fields)| joined(fields)),
        ),
        ("order-key", text_of(view, &verifier.order_key)),
        ("verified-by", Some(key)),
        (
            "verified-by-scheme",
            Some(verifier.auth_scheme.kind().to_owned()),
        ),
        ("json-form-field", view.json_field().map(str::to_owned)),
        (PROOF_ATTRIBUTE, Some(verifier.proof.clone())),
    ];

    let facts = facts
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)))
        .collect();

    Authenticated {
        facts,
        delivery_key: identity.map(|(alternative, fields)| {
            whole_key(verifier, verifier.id_match(), view, alternative, &fields)
        }),
    }
}

/// The keys under which a ledger may know this delivery: with the hook's `match`, and with the
/// other one, which the hook file may have had before. Empty if a field of the identity is missing.
pub(crate) fn known_keys(verifier: &Verifier, view: &View<'_>) -> Vec<Vec<u8>> {
    let found = verifier
        .delivery_id
        .as_ref()
        .and_then(|fields| identity(fields, view));
    let Some((alternative, fields)) = found else {
        return Vec::new();
    };

    [IdMatch::Id, IdMatch::IdAndBody]
        .into_iter()
        .map(|id_match| whole_key(verifier, id_match, view, alternative, &fields))
        .collect()
}

fn whole_key(
    verifier: &Verifier,
    id_match: IdMatch,
    view: &View<'_>,
    alternative: usize,
    fields: &[String],
) -> Vec<u8> {
    let mut key = delivery_key(verifier, id_match, alternative, fields);
    if verifier.identity_per_url {
        key.extend_from_slice(&url_key(view.request));
    }

    key
}

/// The first alternative whose fields are all present: its index and values.
fn identity(identity: &DeliveryId, view: &View<'_>) -> Option<(usize, Vec<String>)> {
    let mut alternatives = identity.alternatives().iter().enumerate();
    alternatives.find_map(|(position, fields)| {
        let values = fields.iter().map(|field| view.fact(field));
        Some((position, values.collect::<Option<_>>()?))
    })
}

/// The fields as one text. Slashes in the fields after the first one are escaped, so that two
/// identities with the same fields have different texts.
fn joined(fields: &[String]) -> String {
    let mut text = fields.first().cloned().unwrap_or_default();
    for field in fields.iter().skip(1) {
        text.push('/');
        text.push_str(&field.replace('%', "%25").replace('/', "%2F"));
    }

    text
}

/// Separates the URLs of one hook, because two tenants may receive the same event. Empty if the
/// hook has one URL. Hashed, because a URL may contain a secret.
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

/// One key for all fields: a digest of `match` and of each field's location and value. If the hook
/// file later names other fields, or another `match`, the same values make a different key, so that
/// no event is dropped as a duplicate.
fn delivery_key(
    verifier: &Verifier,
    id_match: IdMatch,
    alternative: usize,
    values: &[String],
) -> Vec<u8> {
    let mut digest = Sha256::new();
    let id_match = match id_match {
        IdMatch::Id => "id",
        IdMatch::IdAndBody => "id-and-body",
    };
    add_text(&mut digest, id_match);

    let places = verifier
        .delivery_id
        .iter()
        .flat_map(|identity| &identity.alternatives()[alternative]);

    for (place, value) in places.zip(values) {
        let place = match place {
            // Header names are case-insensitive.
            ValueLocation::Header(name) => {
                describe(&ValueLocation::Header(name.to_ascii_lowercase()))
            }
            place => describe(place),
        };

        add_text(&mut digest, &place);
        add_text(&mut digest, value);
    }

    [b"id\0", &digest.finalize()[..]].concat()
}

/// Adds a text and its length, so that two lists of texts with the same concatenation differ.
fn add_text(digest: &mut Sha256, text: &str) {
    digest.update((text.len() as u64).to_be_bytes());
    digest.update(text);
}
