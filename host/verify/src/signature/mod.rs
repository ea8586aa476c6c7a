//! Scheme `signature`: compares the signatures of a request with those over a payload template. The
//! order of the checks is fixed: required headers, duplicates, presence, syntax, id, time, window,
//! and only then the comparison.

mod cuts;
mod list;
mod presented;
mod rules;

pub(crate) use list::{List, ListTime};
pub(crate) use rules::{KeySet, Signature, Time};

use std::time::SystemTime;

use bytes::Bytes;

use crate::algorithm::{Running, is_signed, is_signed_by};
use crate::certificate::{web_key, web_keys};
use crate::keys::Keys;
use crate::payload::Part;
use crate::refusal::{Reason, Refusal};
use crate::view::{View, describe};
use crate::window;
use cuts::{check_cuts, ends_clearly};
use landfall_model::{Documents, ValueLocation};
use presented::Presented;

/// The most keys of a set that are tried if the request names none.
const SET_KEYS_MAX: usize = 8;

/// MACs that are computed while the body arrives, one for each key.
pub struct StreamingMac {
    macs: Vec<Option<Running>>,
    /// What the request presents, if all of it is in the head.
    presented: Option<Presented>,
}

// === impl Signature ===

impl Signature {
    /// Checks the request. Returns the index of the secret that matched; `None` if the key came
    /// from a key set.
    pub(crate) fn check(
        &self,
        view: &View<'_>,
        keys: &Keys,
        documents: &dyn Documents,
        now: Option<SystemTime>,
        mac: Option<StreamingMac>,
    ) -> Result<Option<usize>, Refusal> {
        let (mut macs, presented) = match mac {
            Some(StreamingMac { macs, presented }) => (macs, presented),
            None => (Vec::new(), None),
        };
        let presented = match presented {
            Some(presented) => presented,
            None => self.present(view)?,
        };

        if let (Some(time), Some(now)) = (&self.time, now) {
            window::check_time(
                time.window,
                window::parse(time.unit, &presented.timestamp)?,
                now,
            )?;
        } else if let Some(time) = &self.time {
            window::parse(time.unit, &presented.timestamp)?;
        }

        if !self
            .payloads()
            .all(|payload| ends_clearly(payload, &presented))
        {
            // Otherwise the sender could choose where the id ends and the time begins.
            return Err(Refusal::new(
                Reason::SignatureMismatch,
                "the delivery id contains the text that ends it",
            ));
        }

        if self.has_clear_cuts {
            self.payloads()
                .try_for_each(|payload| check_cuts(payload, view, &presented))?;
        }

        if self.can_be_lengthened() && std::str::from_utf8(&view.request.body).is_err() {
            // Length extension adds padding bytes, which are not UTF-8.
            return Err(Refusal::new(
                Reason::SignatureMismatch,
                "the body is not text, and might have been lengthened",
            ));
        }

        if let Some(key_set) = &self.key_set {
            return if self.is_made_by_one_of(key_set, view, &presented, documents)? {
                Ok(None)
            } else {
                // The request names no key, so the provider may have rotated it: fetch the set
                // again.
                Err(Refusal {
                    fetch: key_set.id.is_none().then(|| key_set.url.clone()),
                    ..Refusal::new(
                        Reason::SignatureMismatch,
                        "the signature was made with another key",
                    )
                })
            };
        }

        let matched = keys.find(
            |place, key| match macs.get_mut(place).and_then(Option::take) {
                Some(running) => self.ends_right(running, view, &presented, key),
                None => self.is_made_by(keys, place, key, view, &presented),
            },
        )?;

        matched.map(Some).ok_or_else(mismatch)
    }

    /// Starts the MACs if every part before the body is known from the request's head.
    pub(crate) fn streaming_mac(&self, view: &View<'_>, keys: &Keys) -> Option<StreamingMac> {
        if !self.alternatives.is_empty() {
            return None;
        }

        let body = self.payload.iter().position(|part| *part == Part::Body)?;
        let is_streamed = self
            .payload
            .iter()
            .enumerate()
            .all(|(place, part)| place == body || part.is_of_the_head());
        if !is_streamed {
            return None;
        }

        let presented = self.present(view).ok()?;
        let macs = keys.iter().enumerate().map(|(place, key)| {
            let mac = keys.mac(place, presented.algorithm)?;
            start_mac(mac, &self.payload[..body], view, &presented, key?)
        });

        Some(StreamingMac {
            macs: macs.collect(),
            presented: self.is_in_head().then_some(presented),
        })
    }

    /// Whether the `key` at this index has made one of the signatures.
    fn is_made_by(
        &self,
        keys: &Keys,
        place: usize,
        key: &[u8],
        view: &View<'_>,
        presented: &Presented,
    ) -> Result<bool, Refusal> {
        let mut is_made = false;
        for payload in self.payloads() {
            let is_one = match keys.mac(place, presented.algorithm) {
                Some(mut running) => {
                    for part in payload {
                        running.update(&part.bytes(view, presented.signed(), key)?);
                    }

                    presented.has(&running.finish())
                }
                None => {
                    let message = message(payload, view, presented, key)?;
                    presented
                        .candidates
                        .iter()
                        .any(|candidate| is_signed(presented.algorithm, key, &message, candidate))
                }
            };

            is_made |= is_one;
        }

        Ok(is_made)
    }

    /// Whether one of the signatures verifies with a key of the set.
    fn is_made_by_one_of(
        &self,
        key_set: &KeySet,
        view: &View<'_>,
        presented: &Presented,
        documents: &dyn Documents,
    ) -> Result<bool, Refusal> {
        let id = match &key_set.id {
            Some(place) => Some(named_key(place, view)?),
            None => None,
        };

        let url = &key_set.url;
        let document = documents.get(url).ok_or_else(|| Refusal::needs(url))?;
        let keys = match &id {
            Some(id) => web_key(&document, Some(id)).into_iter().collect(),
            None => web_keys(&document, SET_KEYS_MAX),
        };
        if keys.is_empty() {
            let name = id.unwrap_or_default();
            let detail = format!("no key `{}` in {url}", name.escape_debug());
            return Err(Refusal {
                detail,
                ..Refusal::needs(url)
            });
        }

        for payload in self.payloads() {
            let message = message(payload, view, presented, b"")?;
            for key in &keys {
                let mut candidates = presented.candidates.iter();
                if candidates.any(|one| is_signed_by(key, presented.algorithm, &message, one)) {
                    return Ok(true);
                }
            }
        }

        Ok(false)
    }

    /// Adds the parts after the body and compares the MAC.
    fn ends_right(
        &self,
        mut running: Running,
        view: &View<'_>,
        presented: &Presented,
        key: &[u8],
    ) -> Result<bool, Refusal> {
        let after = self
            .payload
            .iter()
            .skip_while(|part| **part != Part::Body)
            .skip(1);

        for part in after {
            running.update(&part.bytes(view, presented.signed(), key)?);
        }

        Ok(presented.has(&running.finish()))
    }
}

/// Starts a MAC with the parts before the body; `None` if one is missing.
fn start_mac(
    mut running: Running,
    before: &[Part],
    view: &View<'_>,
    presented: &Presented,
    key: &[u8],
) -> Option<Running> {
    for part in before {
        running.update(&part.bytes(view, presented.signed(), key).ok()?);
    }

    Some(running)
}

/// The id of the key that the request names.
fn named_key(place: &ValueLocation, view: &View<'_>) -> Result<String, Refusal> {
    let id = view.find(place, false).ok();
    let id = id.and_then(|id| String::from_utf8(id.into_owned()).ok());
    id.ok_or_else(|| {
        Refusal::new(
            Reason::KeyUnavailable,
            format!("no key is named ({})", describe(place)),
        )
    })
}

fn mismatch() -> Refusal {
    Refusal::new(
        Reason::SignatureMismatch,
        "the signature does not match: another secret, or another body",
    )
}

// === impl StreamingMac ===

impl StreamingMac {
    /// Adds the next bytes of the body.
    pub fn update(&mut self, piece: &Bytes) {
        self.macs
            .iter_mut()
            .flatten()
            .for_each(|mac| mac.update(piece));
    }
}

/// The whole signed text.
fn message(
    payload: &[Part],
    view: &View<'_>,
    presented: &Presented,
    key: &[u8],
) -> Result<Vec<u8>, Refusal> {
    let mut message = Vec::with_capacity(view.request.body.len() + 64);
    for part in payload {
        message.extend_from_slice(&part.bytes(view, presented.signed(), key)?);
    }

    Ok(message)
}
