//! Where an event has the value by which its sender has proven itself. An event says so in an
//! attribute: it is shown without the proof also when its hook has other rules now, or is gone.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::Not;

use bytes::Bytes;
use http::HeaderValue;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::form_urlencoded;

use crate::auth_scheme::AuthScheme;
use crate::proof::{PROOFS_MAX, Proof, WORK_MAX, encoded};
use crate::request::Unverified;
use crate::view::View;
use landfall_model::{Event, MASKED, PROOF_ATTRIBUTE, ValueLocation, is_shown_header};

/// The largest body of a refused request that is searched for proofs, and the most proofs in it:
/// anyone can send such a request.
const REFUSED_BYTES_MAX: usize = 16 << 10;
const REFUSED_PROOFS_MAX: usize = 16;
/// Before the name of an attribute that contains a segment of the path.
pub(crate) const PARAM: &str = "param:";

/// The locations of a proof.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ProofPlaces {
    at: Vec<ValueLocation>,
    /// Text before the proof.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    prefix: String,
    /// Whether the proof is a JSON web token. Its header and claims may be all that the request
    /// says, so that only its signature is masked.
    #[serde(default, skip_serializing_if = "Not::not")]
    is_token: bool,
}

// === impl ProofPlaces ===

impl ProofPlaces {
    /// Where a scheme reads its proof.
    pub(crate) fn of(scheme: &AuthScheme) -> ProofPlaces {
        let mut at = scheme.proof_places();
        if scheme.secret_carrier().is_some() {
            // An accepted request has no such segment any more.
            at.retain(|place| !matches!(place, ValueLocation::Path(_)));
        }

        ProofPlaces {
            at,
            prefix: scheme.proof_prefix().to_owned(),
            is_token: scheme.has_claims(),
        }
    }

    /// The text of the attribute for events of a scheme. It has no location if no reader of the
    /// stored event could see a proof.
    pub(crate) fn attribute(scheme: &AuthScheme) -> String {
        let mut places = ProofPlaces::of(scheme);
        let is_removed = scheme.secret_carrier().is_some();
        places.at.retain(|place| match place {
            ValueLocation::Header(name) => {
                !is_removed && is_shown_header(&name.to_ascii_lowercase())
            }
            ValueLocation::Query(_) | ValueLocation::Path(_) | ValueLocation::Param(_) => {
                !is_removed
            }
            place => is_in_body(place),
        });
        if places.at.is_empty() {
            places = ProofPlaces::default();
        }

        serde_json::to_string(&places).expect("locations are texts")
    }

    /// Whether there is no location.
    pub(crate) fn is_empty(&self) -> bool {
        self.at.is_empty()
    }

    /// The locations in the attribute of an event.
    pub(crate) fn recorded(event: &Event) -> Option<ProofPlaces> {
        serde_json::from_str(event.attribute(PROOF_ATTRIBUTE)?).ok()
    }

    /// Masks the proofs, wherever the event repeats them. `json_field`: the form field with the JSON
    /// document.
    pub(crate) fn mask(&self, shown: &mut Cow<'_, Event>, json_field: Option<&str>) {
        for place in &self.at {
            self.mask_values(shown, place, json_field);
            match place {
                ValueLocation::Header(name) => mask_header(shown, name),
                ValueLocation::Query(name) => mask_parameter(shown, name),
                _ => {}
            }
        }
    }

    /// The body of a refused request without the proofs that the scheme reads from it. `None`: it
    /// may have one and is too large to be searched, or has too many.
    pub(crate) fn masked_body(
        &self,
        request: &Unverified,
        json_field: Option<&str>,
    ) -> Option<Bytes> {
        let mut body = request.body.clone();
        let mut places = self.at.iter().filter(|place| is_in_body(place)).peekable();
        if places.peek().is_some() && body.len() > REFUSED_BYTES_MAX {
            return None;
        }

        let view = View::new(request, None).with_json_field(json_field);
        for place in places {
            let is_form = is_form(&view, place);
            let proofs = self.proofs(&view, place);
            if proofs.len() > REFUSED_PROOFS_MAX {
                return None;
            }
            for proof in proofs {
                body = proof.mask_body(&body, is_form);
            }
        }

        Some(body)
    }

    fn mask_values(
        &self,
        shown: &mut Cow<'_, Event>,
        place: &ValueLocation,
        json_field: Option<&str>,
    ) {
        let request = request_of(shown);
        let view = View::new(&request, None).with_json_field(json_field);
        let proofs = self.proofs(&view, place);
        let is_form = is_form(&view, place);
        let work = proofs.len().saturating_mul(shown.body.len());
        if proofs.len() > PROOFS_MAX || (proofs.len() > 1 && work > WORK_MAX) {
            shown.to_mut().body = Bytes::from_static(MASKED.as_bytes());
            return;
        }
        for proof in proofs {
            proof.mask_event(shown.to_mut(), is_form);
        }
    }

    /// The different proofs at a location.
    fn proofs(&self, view: &View<'_>, place: &ValueLocation) -> Vec<Proof> {
        let texts: BTreeSet<String> = values(view, place).into_iter().collect();
        texts.iter().filter_map(|text| self.proof(text)).collect()
    }

    /// `None` if the value has nothing behind its prefix.
    fn proof(&self, value: &str) -> Option<Proof> {
        let text = value.strip_prefix(&self.prefix).unwrap_or(value);
        let shown = match text.rsplit_once('.') {
            Some((signed, _)) if self.is_token => format!("{signed}.{MASKED}"),
            _ => MASKED.to_owned(),
        };
        (!text.is_empty()).then(|| Proof::new(text, shown))
    }
}

fn is_in_body(place: &ValueLocation) -> bool {
    match place {
        ValueLocation::Json(_)
        | ValueLocation::Each(_)
        | ValueLocation::Form(_)
        | ValueLocation::Body(_) => true,
        ValueLocation::Header(_)
        | ValueLocation::Query(_)
        | ValueLocation::Path(_)
        | ValueLocation::Param(_)
        | ValueLocation::Claim(_) => false,
    }
}

/// Whether the body is read as a form. For a form field, it is, whatever its content type is.
fn is_form(view: &View<'_>, place: &ValueLocation) -> bool {
    view.is_urlencoded() || matches!(place, ValueLocation::Form(_))
}

/// The request that became this event.
fn request_of(event: &Event) -> Unverified {
    let params = event.attributes.iter().filter_map(|(name, value)| {
        let name = name.strip_prefix(PARAM)?;
        Some((name.to_owned(), value.clone()))
    });
    Unverified {
        method: event.method.clone(),
        path: event.path.clone(),
        query: event.query.clone(),
        params: params.collect(),
        headers: event.headers.clone(),
        body: event.body.clone(),
        decoded: None,
    }
}

/// The values at this location, as text.
fn values(view: &View<'_>, place: &ValueLocation) -> Vec<String> {
    if let ValueLocation::Each(pointer) = place {
        return each(view, pointer);
    }

    let found = view.find(place, false).ok();
    let texts = found.and_then(|bytes| String::from_utf8(bytes.into_owned()).ok());
    texts.into_iter().collect()
}

/// The texts in the elements that have one.
fn each(view: &View<'_>, pointer: &str) -> Vec<String> {
    let Some((before, after)) = pointer.split_once("/*") else {
        return Vec::new();
    };

    let array = view
        .json()
        .and_then(|json| json.pointer(before)?.as_array());
    let texts = array
        .into_iter()
        .flatten()
        .filter_map(|element| element.pointer(after).and_then(Value::as_str));
    texts.map(str::to_owned).collect()
}

fn mask_header(shown: &mut Cow<'_, Event>, name: &str) {
    // Readers do not get the others.
    if !is_shown_header(&name.to_ascii_lowercase()) || !shown.headers.contains_key(name) {
        return;
    }

    for (known, value) in shown.to_mut().headers.iter_mut() {
        if known.as_str().eq_ignore_ascii_case(name) {
            *value = HeaderValue::from_static(MASKED);
        }
    }
}

/// Masks every query parameter of this name.
fn mask_parameter(shown: &mut Cow<'_, Event>, name: &str) {
    let Some(query) = &shown.query else {
        return;
    };

    let pairs = query.split('&').map(|pair| {
        let is_proof = form_urlencoded::parse(pair.as_bytes()).any(|(known, _)| known == name);
        if is_proof {
            format!("{}={MASKED}", encoded(name))
        } else {
            pair.to_owned()
        }
    });
    let masked = pairs.collect::<Vec<_>>().join("&");
    if masked != *query {
        shown.to_mut().query = Some(masked);
    }
}
