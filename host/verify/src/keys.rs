//! What a check needs besides the request: the keys of the hook, the key documents and the time.

use std::time::SystemTime;

use bytes::Bytes;

use crate::key::{self, KeyBytes};
use crate::refusal::{Reason, Refusal};
use landfall_model::{Documents, KeyForm, Secret, SecretError};

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
/// refused.
#[derive(Default)]
pub struct Keys {
    delivery: Vec<Result<KeyBytes, SecretError>>,
    /// Keys for ownership checks only. If empty, ownership checks use `delivery`.
    challenge: Vec<Result<KeyBytes, SecretError>>,
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
            key::decode(form, &secret?).map_err(|error| SecretError::NoKey(error.to_string()))
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
            .any(|key| !key.is_empty() && matches(key))
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
            .map(|key| &key[..])
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
            .map(|key| key.as_ref().ok().map(|key| &key[..]))
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

#[cfg(test)]
fn flip(key: &Result<KeyBytes, SecretError>) -> Result<KeyBytes, SecretError> {
    let mut key = key.clone()?;
    let middle = key.len() / 2;
    key[middle] ^= 1;

    Ok(key)
}
