//! The keys of an encrypted ledger, and one sealed value.
//!
//! A sealed value is: magic, id of the key, salt, nonce, ciphertext, tag. Each value has a key of
//! its own, HMAC-SHA256 of the salt under the ledger's key, so that random nonces of AES-256-GCM
//! suffice for any number of values. The place of a value is authenticated with it: one that was
//! copied to another event or column does not open.

use std::fmt;

use base64::Engine as _;
use base64::alphabet::{STANDARD as ALPHABET, URL_SAFE};
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};

/// Before every sealed value.
pub(super) const MAGIC: &[u8; 16] = b"\0landfall-seal1\0";
/// Before the base64 of a sealed value that is text.
pub(super) const TEXT_MAGIC: &str = "landfall-sealed:1:";
const ID_BYTES: usize = 8;
const SALT_BYTES: usize = 16;
const KEY_BYTES: usize = 32;
const HEADER_BYTES: usize = MAGIC.len() + ID_BYTES + SALT_BYTES + NONCE_LEN;
/// The most keys of a ledger.
const KEYS_MAX: usize = 16;
/// Padding may be left out.
const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);

/// Which key sealed a value: a digest of the key that does not reveal it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId([u8; ID_BYTES]);

/// The keys of a ledger. The first one seals, and each opens what it has sealed.
pub struct LedgerKeys {
    keys: Vec<LedgerKey>,
    random: SystemRandom,
}

struct LedgerKey {
    id: KeyId,
    secret: hmac::Key,
}

/// Why the keys of a ledger cannot be used. The texts have no part of a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// It is not 32 bytes.
    #[error(
        "the key {0} of ledger.encryption_keys is not 32 bytes in base64 or hexadecimal digits: make one with \
         `openssl rand -base64 32`"
    )]
    NoKey(String),
    /// Two references have the same value.
    #[error("the keys {0} and {1} of ledger.encryption_keys are the same: leave one out")]
    Same(String, String),
    /// There are none, or too many.
    #[error("ledger.encryption_keys has 1 to 16 keys: the first encrypts, and the others decrypt")]
    Count,
}

/// Why a sealed value cannot be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotOpened {
    /// No key of the node has this id.
    NoKey(KeyId),
    /// It was changed, cut, or copied from another place.
    Damaged,
}

/// Where a value is stored: its column, and what identifies its row.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) column: &'static str,
    pub(crate) row: &'a [&'a [u8]],
}

// === impl LedgerKeys ===

impl LedgerKeys {
    /// From the names and the texts of secrets.
    pub fn new<'s>(
        secrets: impl IntoIterator<Item = (&'s str, &'s [u8])>,
    ) -> Result<LedgerKeys, KeyError> {
        let (mut keys, mut names) = (Vec::new(), Vec::new());
        for (name, text) in secrets {
            let bytes = key_bytes(text).ok_or_else(|| KeyError::NoKey(name.to_owned()))?;
            let key = LedgerKey::new(&bytes);
            let same = keys.iter().position(|known: &LedgerKey| known.id == key.id);
            if let Some(same) = same {
                let first: &String = &names[same];
                return Err(KeyError::Same(first.clone(), name.to_owned()));
            }
            keys.push(key);
            names.push(name.to_owned());
        }
        if keys.is_empty() || keys.len() > KEYS_MAX {
            return Err(KeyError::Count);
        }

        Ok(LedgerKeys {
            keys,
            random: SystemRandom::new(),
        })
    }

    /// No key. It seals nothing, and opens what is not sealed.
    pub(super) fn none() -> LedgerKeys {
        LedgerKeys {
            keys: Vec::new(),
            random: SystemRandom::new(),
        }
    }

    /// The key that seals.
    pub fn current(&self) -> KeyId {
        self.keys[0].id
    }

    /// The ids of all keys, the first one first.
    pub(super) fn ids(&self) -> impl Iterator<Item = KeyId> {
        self.keys.iter().map(|key| key.id)
    }

    /// Whether the node has this key.
    pub fn has(&self, id: KeyId) -> bool {
        self.keys.iter().any(|key| key.id == id)
    }

    /// Seals a value with the first key.
    pub(crate) fn seal(&self, place: Place<'_>, value: &[u8]) -> Vec<u8> {
        let key = &self.keys[0];
        let (mut salt, mut nonce) = ([0; SALT_BYTES], [0; NONCE_LEN]);
        let filled = self
            .random
            .fill(&mut salt)
            .and_then(|()| self.random.fill(&mut nonce));
        filled.expect("the system has random bytes");

        let mut sealed = Vec::with_capacity(HEADER_BYTES + value.len() + AES_256_GCM.tag_len());
        for part in [&MAGIC[..], &key.id.0[..], &salt[..], &nonce[..], value] {
            sealed.extend_from_slice(part);
        }
        let aad = Aad::from(place.authenticated(key.id));
        let tag = key
            .of_value(&salt)
            .seal_in_place_separate_tag(
                Nonce::assume_unique_for_key(nonce),
                aad,
                &mut sealed[HEADER_BYTES..],
            )
            .expect("a value is shorter than the limit of AES-GCM");
        sealed.extend_from_slice(tag.as_ref());
        sealed
    }

    /// The value, or what is stored if it is not sealed.
    pub(crate) fn open(&self, place: Place<'_>, stored: Vec<u8>) -> Result<Vec<u8>, NotOpened> {
        let Some(id) = sealed_by(&stored) else {
            return Ok(stored);
        };
        let key = self.keys.iter().find(|key| key.id == id);
        let key = key.ok_or(NotOpened::NoKey(id))?;

        let (header, sealed) = stored
            .split_at_checked(HEADER_BYTES)
            .ok_or(NotOpened::Damaged)?;
        let (salt, nonce) = header[MAGIC.len() + ID_BYTES..].split_at(SALT_BYTES);
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| NotOpened::Damaged)?;
        let mut sealed = sealed.to_vec();
        let aad = Aad::from(place.authenticated(id));
        let length = key
            .of_value(salt)
            .open_in_place(nonce, aad, &mut sealed)
            .map_err(|_| NotOpened::Damaged)?
            .len();
        sealed.truncate(length);
        Ok(sealed)
    }

    /// As `seal`, as text.
    pub(crate) fn seal_text(&self, place: Place<'_>, value: &str) -> String {
        let sealed = self.seal(place, value.as_bytes());
        format!("{TEXT_MAGIC}{}", STANDARD.encode(sealed))
    }

    /// The text, or what is stored if it is not sealed.
    pub(crate) fn open_text(&self, place: Place<'_>, stored: String) -> Result<String, NotOpened> {
        let Some(sealed) = sealed_text(&stored) else {
            return Ok(stored);
        };
        let value = self.open(place, sealed)?;
        String::from_utf8(value).map_err(|_| NotOpened::Damaged)
    }

    /// Random bytes for a key that the ledger keeps.
    pub(super) fn random_bytes(&self) -> [u8; KEY_BYTES] {
        let mut bytes = [0; KEY_BYTES];
        self.random
            .fill(&mut bytes)
            .expect("the system has random bytes");
        bytes
    }
}

impl fmt::Debug for LedgerKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids: Vec<KeyId> = self.keys.iter().map(|key| key.id).collect();
        f.debug_tuple("LedgerKeys").field(&ids).finish()
    }
}

// === impl LedgerKey ===

impl LedgerKey {
    fn new(bytes: &[u8; KEY_BYTES]) -> LedgerKey {
        let secret = hmac::Key::new(hmac::HMAC_SHA256, bytes);
        let digest = hmac::sign(&secret, b"landfall ledger key id 1");
        let id = digest.as_ref()[..ID_BYTES]
            .try_into()
            .expect("a SHA-256 is longer");
        LedgerKey {
            id: KeyId(id),
            secret,
        }
    }

    /// The key of one value.
    fn of_value(&self, salt: &[u8]) -> LessSafeKey {
        let mut context = hmac::Context::with_key(&self.secret);
        context.update(b"landfall ledger value 1");
        context.update(salt);
        let key = UnboundKey::new(&AES_256_GCM, context.sign().as_ref());
        LessSafeKey::new(key.expect("AES-256 takes 32 bytes"))
    }
}

// === impl KeyId ===

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl std::str::FromStr for KeyId {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<KeyId, KeyError> {
        hex_bytes::<ID_BYTES>(text)
            .map(KeyId)
            .ok_or_else(|| KeyError::NoKey(text.to_owned()))
    }
}

// === impl Place ===

impl Place<'_> {
    fn authenticated(&self, key: KeyId) -> Vec<u8> {
        let mut bytes = Vec::new();
        let parts = [self.column.as_bytes(), &key.0[..]];
        for part in parts.iter().chain(self.row) {
            bytes.extend_from_slice(&(part.len() as u64).to_le_bytes());
            bytes.extend_from_slice(part);
        }
        bytes
    }
}

/// The key that sealed a value. `None`: it is not sealed.
pub(crate) fn sealed_by(stored: &[u8]) -> Option<KeyId> {
    let id = stored.strip_prefix(MAGIC)?.first_chunk::<ID_BYTES>()?;
    Some(KeyId(*id))
}

/// The bytes of a sealed text. `None`: it is not sealed.
pub(crate) fn sealed_text(stored: &str) -> Option<Vec<u8>> {
    STANDARD.decode(stored.strip_prefix(TEXT_MAGIC)?).ok()
}

/// 32 bytes in base64, with either alphabet, or in hexadecimal digits.
fn key_bytes(text: &[u8]) -> Option<[u8; KEY_BYTES]> {
    let text = std::str::from_utf8(text).ok()?.trim();
    if let Some(bytes) = hex_bytes(text) {
        return Some(bytes);
    }
    let decoded = [&ALPHABET, &URL_SAFE]
        .into_iter()
        .find_map(|alphabet| GeneralPurpose::new(alphabet, LENIENT).decode(text).ok())?;
    decoded.try_into().ok()
}

fn hex_bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    let is_hex = text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if text.len() != 2 * N || !is_hex {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, at) in bytes.iter_mut().zip((0..text.len()).step_by(2)) {
        *byte = u8::from_str_radix(&text[at..at + 2], 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &[u8] = b"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=\n";
    const TWO: &[u8] = b"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    const HERE: Place<'static> = Place {
        column: "body",
        row: &[b"event"],
    };

    fn keys(secrets: &[(&str, &[u8])]) -> Result<LedgerKeys, KeyError> {
        LedgerKeys::new(secrets.iter().copied())
    }

    #[test]
    fn values_open_with_every_key() {
        let old = keys(&[("one", ONE)]).unwrap();
        let sealed = old.seal(HERE, b"canary");
        assert!(!sealed.windows(6).any(|part| part == b"canary"));
        assert_ne!(
            sealed,
            old.seal(HERE, b"canary"),
            "each value has its nonce"
        );

        let rotated = keys(&[("two", TWO), ("one", ONE)]).unwrap();
        assert_eq!(rotated.open(HERE, sealed.clone()).unwrap(), b"canary");
        assert_eq!(sealed_by(&rotated.seal(HERE, b"")), Some(rotated.current()));
        assert_ne!(old.current(), rotated.current());

        let other = keys(&[("two", TWO)]).unwrap();
        let without = other.open(HERE, sealed).unwrap_err();
        assert_eq!(without, NotOpened::NoKey(old.current()));
        assert!(!other.has(old.current()));
        let shown: KeyId = old.current().to_string().parse().unwrap();
        assert_eq!(shown, old.current());
    }

    #[test]
    fn changed_and_moved_values_stay_closed() {
        let keys = keys(&[("one", ONE)]).unwrap();
        let sealed = keys.seal(HERE, b"canary");
        for at in MAGIC.len()..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(keys.open(HERE, changed).is_err(), "byte {at}");
        }
        assert!(
            keys.open(HERE, sealed[..sealed.len() - 1].to_vec())
                .is_err()
        );
        assert!(keys.open(HERE, sealed[..30].to_vec()).is_err());
        for place in [
            Place {
                column: "head",
                ..HERE
            },
            Place {
                row: &[b"other"],
                ..HERE
            },
            Place {
                row: &[b"even", b"t"],
                ..HERE
            },
        ] {
            assert_eq!(keys.open(place, sealed.clone()), Err(NotOpened::Damaged));
        }
    }

    #[test]
    fn plain_values_stay_as_they_are() {
        let keys = keys(&[("one", ONE)]).unwrap();
        assert_eq!(keys.open(HERE, b"plain".to_vec()).unwrap(), b"plain");
        let text = keys.seal_text(HERE, "canary");
        assert_eq!(keys.open_text(HERE, text).unwrap(), "canary");
        assert_eq!(keys.open_text(HERE, "plain".into()).unwrap(), "plain");
    }

    #[test]
    fn wrong_keys_are_named() {
        for (secrets, why) in [
            (&[("env:A", &b"short"[..])][..], "the key env:A"),
            (&[("env:A", ONE), ("env:B", ONE)][..], "are the same"),
            (&[][..], "1 to 16 keys"),
        ] {
            let error = keys(secrets).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
            assert!(!error.contains("short"), "{error}");
        }
        let shown = format!("{:?}", keys(&[("one", ONE)]).unwrap());
        assert!(
            !shown.contains("MDEy") && !shown.contains("0123456789abcdef"),
            "{shown}"
        );
    }
}
