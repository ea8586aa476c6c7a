//! MACs over envelopes with `queue.key`: the right to publish to the broker is then not enough to
//! make events. If no key is set, envelopes have no MAC and none is required.

use std::sync::Arc;
use std::time::SystemTime;

use hmac::{Hmac, KeyInit, Mac};
use landfall_model::{Clock, SecretRef, SecretSource};
use sha2::Sha256;

use super::error::{DecodeError, KEY_MIN, KeyError};

const MAC_BYTES: usize = 32;
/// Prefixes of the authenticated bytes: a MAC of one kind is never valid for the other.
const ENVELOPE: &[u8] = b"landfall envelope 1\n";
const REPLY: &[u8] = b"landfall answer 1\n";
/// The end of a sealed line: this, the MAC in hex, and `"}`.
const BEFORE_MAC: &[u8] = b",\"mac\":\"";
const AFTER_MAC: &[u8] = b"\"}";

/// Why an envelope without a MAC is refused.
const NO_MAC: &str = "it has no MAC, and queue.key is set; if a node without the key published \
                      it, set queue.accept_unsealed_until and publish it again from the dead \
                      letters";

/// The keys of the queue.
pub struct Seal {
    /// The first key makes MACs; a MAC of any of them is valid.
    keys: Vec<SecretRef>,
    secrets: Arc<dyn SecretSource>,
    /// Until then, an envelope without a MAC is valid too.
    unsealed_until: Option<SystemTime>,
    clock: Clock,
}

// === impl Seal ===

impl Seal {
    /// Uses these keys. The error names a key that cannot be used.
    pub fn new(
        keys: Vec<SecretRef>,
        secrets: Arc<dyn SecretSource>,
        clock: Clock,
    ) -> Result<Seal, KeyError> {
        let seal = Seal {
            keys,
            secrets,
            unsealed_until: None,
            clock,
        };
        seal.keys
            .iter()
            .try_for_each(|key| seal.key(key).map(drop))?;
        Ok(seal)
    }

    /// Accepts envelopes without a MAC until this time: for what was published before the queue had
    /// a key.
    pub fn accepting_unsealed_until(self, until: Option<SystemTime>) -> Seal {
        Seal {
            unsealed_until: until,
            ..self
        }
    }

    /// Until when envelopes without a MAC are accepted, if that time has not passed.
    pub fn unsealed_until(&self) -> Option<SystemTime> {
        self.unsealed_until
            .filter(|until| self.clock.now() < *until)
    }

    /// Whether envelopes are sealed.
    pub fn has_key(&self) -> bool {
        !self.keys.is_empty()
    }

    /// What a message of the broker proves.
    pub(crate) fn describe(&self) -> String {
        if let Some(until) = self.unsealed_until() {
            let until = jiff::Timestamp::try_from(until).unwrap_or(jiff::Timestamp::MAX);
            format!(
                "queue.accept_unsealed_until: until {until} a message without a MAC runs too, so \
                 the right to publish is full trust until then"
            )
        } else if self.has_key() {
            "events carry a MAC with queue.key: a message without one is not run".into()
        } else {
            "queue.key is not set: each event of the queue runs as verified, so the right to publish is full trust; \
             set queue.key (LANDFALL_QUEUE_KEY)"
                .into()
        }
    }

    /// Joins a line of JSON and a body into an envelope.
    pub fn envelope(&self, mut line: Vec<u8>, body: &[u8]) -> Result<Vec<u8>, KeyError> {
        if let Some(key) = self.keys.first() {
            let mac = self.mac(key, ENVELOPE, &[&line, b"\n", body])?;
            line.pop();
            line.extend_from_slice(BEFORE_MAC);
            line.extend_from_slice(hex::encode(mac.finalize().into_bytes()).as_bytes());
            line.extend_from_slice(AFTER_MAC);
        }
        line.push(b'\n');
        line.extend_from_slice(body);
        Ok(line)
    }

    /// Verifies the MAC of an envelope before anything in it is parsed; `end` is the end of its
    /// first line. Every format has the MAC in the same place.
    pub fn check(&self, bytes: &[u8], end: usize) -> Result<(), DecodeError> {
        if !self.has_key() {
            return Ok(());
        }
        let Some((line, mac)) = split_mac(&bytes[..end]) else {
            return match self.unsealed_until() {
                Some(_) => Ok(()),
                None => Err(DecodeError::Unverified(NO_MAC.into())),
            };
        };

        match self.is_valid(ENVELOPE, &[line, b"}", &bytes[end..]], &mac) {
            Ok(true) => Ok(()),
            Ok(false) => Err(DecodeError::Unverified(
                "its MAC is of none of the keys in queue.key".into(),
            )),
            Err(error) => Err(DecodeError::Later(error.to_string())),
        }
    }

    /// Adds a MAC to a message from one node to another.
    pub fn seal_reply(&self, reply: Vec<u8>) -> Result<Vec<u8>, KeyError> {
        match self.keys.first() {
            None => Ok(reply),
            Some(key) => {
                let mac = self.mac(key, REPLY, &[&reply])?.finalize().into_bytes();
                Ok([&mac[..], &reply].concat())
            }
        }
    }

    /// The message without its MAC; `None` if the MAC is missing or wrong.
    pub fn open_reply<'a>(&self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        if !self.has_key() {
            return Some(bytes);
        }
        let (mac, reply) = bytes.split_at_checked(MAC_BYTES)?;

        self.is_valid(REPLY, &[reply], mac)
            .is_ok_and(|is_valid| is_valid)
            .then_some(reply)
    }

    /// Whether the MAC is valid for one of the keys. An error if it is not, and a key has no value
    /// at present.
    fn is_valid(&self, what: &[u8], parts: &[&[u8]], found: &[u8]) -> Result<bool, KeyError> {
        let mut missing = None;
        for key in &self.keys {
            match self.mac(key, what, parts) {
                Ok(mac) => {
                    // In constant time.
                    if mac.verify_slice(found).is_ok() {
                        return Ok(true);
                    }
                }
                Err(error) => missing = Some(error),
            }
        }
        missing.map_or(Ok(false), Err)
    }

    fn mac(&self, key: &SecretRef, what: &[u8], parts: &[&[u8]]) -> Result<Hmac<Sha256>, KeyError> {
        let mut mac = self.key(key)?;
        mac.update(what);
        parts.iter().for_each(|part| mac.update(part));
        Ok(mac)
    }

    fn key(&self, key: &SecretRef) -> Result<Hmac<Sha256>, KeyError> {
        let value = self.secrets.value(key)?;
        let bytes = value.expose();
        if bytes.len() < KEY_MIN {
            return Err(KeyError::TooShort(key.clone()));
        }

        Ok(Hmac::new_from_slice(bytes).expect("HMAC takes keys of any length"))
    }
}

/// The line before the MAC was added, without its last brace, and the MAC.
fn split_mac(line: &[u8]) -> Option<(&[u8], Vec<u8>)> {
    let sealed = line.strip_suffix(AFTER_MAC)?;
    let (rest, mac) = sealed.split_at_checked(sealed.len().checked_sub(2 * MAC_BYTES)?)?;
    Some((rest.strip_suffix(BEFORE_MAC)?, hex::decode(mac).ok()?))
}

#[cfg(test)]
pub(crate) mod tests {
    use landfall_model::{Secret, SecretError};

    use super::*;

    struct Values;

    impl SecretSource for Values {
        fn value(&self, reference: &SecretRef) -> Result<Secret, SecretError> {
            match reference {
                SecretRef::Env(name) if name == "AWAY" => Err(SecretError::NotSet(name.clone())),
                SecretRef::Env(name) if name == "SHORT" => Ok(Secret::new("short")),
                SecretRef::Env(name) => Ok(Secret::new(format!("the key that is called {name}"))),
                _ => unreachable!(),
            }
        }
    }

    /// With the keys of these names.
    pub(crate) fn seal(keys: &[&str]) -> Seal {
        let keys = keys
            .iter()
            .map(|name| SecretRef::Env((*name).into()))
            .collect();
        Seal {
            keys,
            secrets: Arc::new(Values),
            unsealed_until: None,
            clock: Clock::fixed_at(1_000),
        }
    }

    const LINE: &[u8] = b"{\"landfall\":1,\"hook\":\"h\"}";

    fn check(seal: &Seal, bytes: &[u8]) -> Result<(), DecodeError> {
        seal.check(bytes, memchr::memchr(b'\n', bytes).unwrap())
    }

    #[test]
    fn every_byte_is_sealed() {
        let seal = seal(&["A"]);
        let sealed = seal.envelope(LINE.to_vec(), b"{\n}").unwrap();
        assert_eq!(check(&seal, &sealed), Ok(()));
        let line: serde_json::Value =
            serde_json::from_slice(sealed.split(|byte| *byte == b'\n').next().unwrap()).unwrap();
        assert_eq!(
            (&line["hook"], line["mac"].as_str().unwrap().len()),
            (&"h".into(), 64)
        );
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            let end = memchr::memchr(b'\n', &changed).unwrap();
            assert!(
                matches!(seal.check(&changed, end), Err(DecodeError::Unverified(_))),
                "byte {at}"
            );
        }
        for changed in [
            [&sealed[..], b"x"].concat(),
            sealed[..sealed.len() - 1].to_vec(),
            [LINE, b"\n{\n}"].concat(),
        ] {
            assert!(matches!(
                check(&seal, &changed),
                Err(DecodeError::Unverified(_))
            ));
        }
    }

    #[test]
    fn keys_rotate() {
        let (old, both, new) = (seal(&["A"]), seal(&["B", "A"]), seal(&["B"]));
        let (of_old, of_both) = (
            old.envelope(LINE.to_vec(), b"").unwrap(),
            both.envelope(LINE.to_vec(), b"").unwrap(),
        );
        assert!(
            check(&both, &of_old).is_ok()
                && check(&both, &of_both).is_ok()
                && check(&new, &of_both).is_ok()
        );
        assert!(check(&new, &of_old).is_err() && check(&old, &of_both).is_err());
        assert_eq!(
            check(&seal(&[]), &of_old),
            Ok(()),
            "a node without a key asks for none"
        );
    }

    #[test]
    fn unsealed_envelopes_are_accepted_until_then() {
        let until = |seconds| {
            let at = std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
            seal(&["A"]).accepting_unsealed_until(Some(at))
        };
        let unsealed = [LINE, b"\nbody"].concat();
        assert_eq!(check(&until(1_001), &unsealed), Ok(()));
        for past in [0, 999, 1_000] {
            let refused = check(&until(past), &unsealed);
            assert_eq!(
                refused,
                Err(DecodeError::Unverified(NO_MAC.into())),
                "{past}"
            );
        }
        // A wrong MAC is never taken for none.
        let of_another = seal(&["B"]).envelope(LINE.to_vec(), b"body").unwrap();
        assert!(matches!(
            check(&until(1_001), &of_another),
            Err(DecodeError::Unverified(_))
        ));
    }

    #[test]
    fn key_without_value_waits() {
        let sealed = seal(&["A"]).envelope(LINE.to_vec(), b"").unwrap();
        let away = seal(&["B", "AWAY"]);
        assert!(
            matches!(check(&away, &sealed), Err(DecodeError::Later(why)) if why.contains("`AWAY` is not set"))
        );
        assert_eq!(check(&seal(&["AWAY", "A"]), &sealed), Ok(()));
        assert!(seal(&["AWAY"]).envelope(LINE.to_vec(), b"").is_err());
        let short = Seal::new(
            vec![SecretRef::Env("SHORT".into())],
            Arc::new(Values),
            Clock::System,
        );
        assert!(
            short
                .err()
                .unwrap()
                .to_string()
                .contains("shorter than 16 bytes")
        );
    }

    #[test]
    fn replies_are_no_envelopes() {
        let seal = seal(&["A"]);
        let reply = seal.seal_reply(b"{\"event\":\"e\"}".to_vec()).unwrap();
        assert_eq!(seal.open_reply(&reply), Some(&b"{\"event\":\"e\"}"[..]));
        assert_eq!(seal.open_reply(b"{\"event\":\"e\"}"), None);
        let mut changed = reply.clone();
        changed[40] ^= 1;
        assert_eq!(seal.open_reply(&changed), None);
        let mac = seal
            .mac(&seal.keys[0], ENVELOPE, &[b"x"])
            .unwrap()
            .finalize()
            .into_bytes();
        assert_eq!(seal.open_reply(&[&mac[..], b"x"].concat()), None);
    }
}
