//! What a check needs besides the request: the keys of the hook, the key documents and the time.

use std::sync::OnceLock;
use std::time::SystemTime;

use bytes::Bytes;

use crate::algorithm::Running;
use crate::key::{self, KeyBytes};
use crate::refusal::{Reason, Refusal};
use landfall_model::{Algorithm, Documents, KeyForm, Secret, SecretError};

/// The input of a check besides the request.
pub struct VerifyContext<'a> {
    /// The keys of the verifier's secrets, in the same order.
    pub keys: &'a Keys,
    /// Key documents that the caller has already fetched.
    pub documents: &'a dyn Documents,
    /// The current time. `None` skips the time windows, for request vectors without a time.
    pub now: Option<SystemTime>,
}

/// The keys of one hook. Secrets without a value are ignored. If none has a value, every request is
/// refused. Keys can be used for any number of requests.
#[derive(Default)]
pub struct Keys {
    delivery: Vec<Result<Key, SecretError>>,
    /// Keys for ownership checks only. If empty, ownership checks use `delivery`.
    challenge: Vec<Result<Key, SecretError>>,
}

/// A decoded secret.
struct Key {
    bytes: KeyBytes,
    /// The MAC of no data, with the algorithm of the first request: to absorb the key costs as much
    /// as to hash a short body.
    mac: OnceLock<(Algorithm, Running)>,
}

/// A store without key documents.
pub struct NoKeyDocuments;

impl Documents for NoKeyDocuments {
    fn get(&self, _: &str) -> Option<Bytes> {
        None
    }
}

// === impl Keys ===

impl Keys {
    /// Decodes each secret.
    pub fn new(secrets: impl IntoIterator<Item = (KeyForm, Result<Secret, SecretError>)>) -> Keys {
        let keys = secrets.into_iter().map(|(form, secret)| {
            key::decode(form, &secret?)
                .map(Key::new)
                .map_err(|error| SecretError::NoKey(error.to_string()))
        });

        Keys {
            delivery: keys.collect(),
            challenge: Vec::new(),
        }
    }

    /// Adds separate secrets for ownership checks.
    pub fn with_challenge(
        self,
        secrets: impl IntoIterator<Item = Result<Secret, SecretError>>,
    ) -> Keys {
        let secrets = secrets.into_iter().map(|secret| (KeyForm::Utf8, secret));
        Keys {
            challenge: Keys::new(secrets).delivery,
            ..self
        }
    }

    /// Whether `matches` holds for one of the keys for ownership checks.
    pub(crate) fn find_challenge(&self, matches: impl Fn(&[u8]) -> bool) -> bool {
        let keys = if self.challenge.is_empty() {
            &self.delivery
        } else {
            &self.challenge
        };

        keys.iter()
            .flatten()
            .any(|key| !key.bytes.is_empty() && matches(&key.bytes))
    }

    /// The first key for ownership checks that has a value.
    pub(crate) fn challenge_key(&self) -> Option<&[u8]> {
        let keys = if self.challenge.is_empty() {
            &self.delivery
        } else {
            &self.challenge
        };

        keys.iter()
            .flatten()
            .map(|key| &key.bytes[..])
            .find(|key| !key.is_empty())
    }

    /// The index of the first key for which `matches` holds. An empty key never matches.
    pub fn find(
        &self,
        mut matches: impl FnMut(usize, &[u8]) -> Result<bool, Refusal>,
    ) -> Result<Option<usize>, Refusal> {
        self.usable()?;
        for (place, key) in self.iter().enumerate() {
            let Some(key) = key.filter(|key| !key.is_empty()) else {
                continue;
            };

            if matches(place, key)? {
                return Ok(Some(place));
            }
        }

        Ok(None)
    }

    /// The same keys, each with one bit flipped.
    #[cfg(test)]
    pub(crate) fn flipped(&self) -> Keys {
        Keys {
            delivery: self.delivery.iter().map(flip).collect(),
            challenge: self.challenge.iter().map(flip).collect(),
        }
    }

    /// Why no key is usable; `None` if at least one is.
    pub fn problem(&self) -> Option<String> {
        let why: Vec<String> = self
            .delivery
            .iter()
            .filter_map(|key| key.as_ref().err().map(SecretError::to_string))
            .collect();

        (!why.is_empty() && why.len() == self.delivery.len()).then(|| why.join("; "))
    }

    /// Every key by its index; `None` for a secret without a value.
    pub fn iter(&self) -> impl Iterator<Item = Option<&[u8]>> {
        self.delivery
            .iter()
            .map(|key| key.as_ref().ok().map(|key| &key.bytes[..]))
    }

    /// The MAC of no data with the key at this index. `None` for public-key algorithms, and for a
    /// secret without a value.
    pub(crate) fn mac(&self, place: usize, algorithm: Algorithm) -> Option<Running> {
        self.delivery.get(place)?.as_ref().ok()?.mac(algorithm)
    }

    /// Fails if no key has a value.
    pub(crate) fn usable(&self) -> Result<(), Refusal> {
        match self.delivery.iter().find_map(|key| key.as_ref().err()) {
            Some(error) if self.delivery.iter().all(Result::is_err) => {
                Err(Refusal::no_secret(error))
            }
            None if self.delivery.is_empty() => {
                Err(Refusal::new(Reason::NoSecret, "no secret is configured"))
            }
            _ => Ok(()),
        }
    }
}

// === impl Key ===

impl Key {
    fn new(bytes: KeyBytes) -> Key {
        Key {
            bytes,
            mac: OnceLock::new(),
        }
    }

    fn mac(&self, algorithm: Algorithm) -> Option<Running> {
        if let Some((_, mac)) = self.mac.get().filter(|(known, _)| *known == algorithm) {
            return Some(mac.clone());
        }

        let mac = Running::new(algorithm, &self.bytes)?;
        // The sender may choose the algorithm. Then only the first one is kept.
        self.mac.set((algorithm, mac.clone())).ok();
        Some(mac)
    }
}

#[cfg(test)]
fn flip(key: &Result<Key, SecretError>) -> Result<Key, SecretError> {
    let mut bytes = match key {
        Ok(key) => key.bytes.clone(),
        Err(error) => return Err(error.clone()),
    };
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;

    Ok(Key::new(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mac(running: Option<Running>) -> Option<Vec<u8>> {
        let mut running = running?;
        running.update(b"body");
        Some(running.finish())
    }

    #[test]
    fn prepared_macs_are_those_of_keys() {
        let keys = Keys::new([
            (KeyForm::Utf8, Ok(Secret::new("one"))),
            (KeyForm::Utf8, Err(SecretError::Empty("two".into()))),
            (KeyForm::Utf8, Ok(Secret::new("three"))),
        ]);
        // The second round finds prepared MACs, of the first algorithm.
        for algorithm in [
            Algorithm::HmacSha256,
            Algorithm::HmacSha1,
            Algorithm::HmacSha256,
        ] {
            for (place, key) in keys.iter().enumerate() {
                let expected = key.and_then(|key| mac(Running::new(algorithm, key)));
                assert_eq!(mac(keys.mac(place, algorithm)), expected, "{algorithm:?}");
            }
        }

        assert!(keys.mac(0, Algorithm::Ed25519).is_none());
        assert!(keys.mac(3, Algorithm::HmacSha256).is_none());
    }
}
