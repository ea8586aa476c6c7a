//! A body in a recording: text, other bytes, or only the digest of a long one.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// The most bytes of a long body that are kept for people, beside its digest.
const BEGINNING_BYTES_MAX: usize = 256;

/// A recorded body. In JSON: a text, `{"base64": …}`, or the digest of a body that is only compared
/// and never given to a component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum RecordedBody {
    /// Valid UTF-8.
    Text(String),
    /// Other bytes.
    Binary {
        /// The bytes.
        #[serde(with = "base64_bytes")]
        base64: Vec<u8>,
    },
    /// A long body.
    Digest {
        /// Hexadecimal digits.
        sha256: String,
        /// The length of the body.
        bytes: usize,
        /// Its beginning, if it is text.
        beginning: String,
    },
}

// === impl RecordedBody ===

impl RecordedBody {
    /// The whole body.
    pub fn new(body: &[u8]) -> RecordedBody {
        match std::str::from_utf8(body) {
            Ok(text) => RecordedBody::Text(text.to_owned()),
            Err(_) => RecordedBody::Binary {
                base64: body.to_vec(),
            },
        }
    }

    /// The whole body, or its digest if it has more than `bytes_max` bytes. Equal bodies are equal
    /// in this form.
    pub fn comparable(body: &[u8], bytes_max: usize) -> RecordedBody {
        if body.len() <= bytes_max {
            return RecordedBody::new(body);
        }
        let cut = &body[..body.len().min(BEGINNING_BYTES_MAX)];
        let beginning = match std::str::from_utf8(cut) {
            Ok(text) => text,
            Err(error) => std::str::from_utf8(&cut[..error.valid_up_to()]).unwrap_or_default(),
        };
        let digest = Sha256::digest(body);
        RecordedBody::Digest {
            sha256: digest.iter().map(|byte| format!("{byte:02x}")).collect(),
            bytes: body.len(),
            beginning: beginning.to_owned(),
        }
    }

    /// Whether the body has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The length of the body.
    pub fn len(&self) -> usize {
        match self {
            RecordedBody::Text(text) => text.len(),
            RecordedBody::Binary { base64 } => base64.len(),
            RecordedBody::Digest { bytes, .. } => *bytes,
        }
    }

    /// The bytes. `None`: only the digest was kept.
    pub fn bytes(&self) -> Option<Bytes> {
        match self {
            RecordedBody::Text(text) => Some(Bytes::copy_from_slice(text.as_bytes())),
            RecordedBody::Binary { base64 } => Some(Bytes::copy_from_slice(base64)),
            RecordedBody::Digest { .. } => None,
        }
    }

    /// The body as a JSON object or list.
    pub(super) fn structure(&self) -> Option<Value> {
        let RecordedBody::Text(text) = self else {
            return None;
        };
        let json: Value = serde_json::from_str(text).ok()?;
        (json.is_object() || json.is_array()).then_some(json)
    }

    /// The body as a JSON text, whatever it contains.
    pub(super) fn text(&self) -> Value {
        match self {
            RecordedBody::Text(text) => text.clone().into(),
            other => other.shown(),
        }
    }

    /// What a person reads of the body: JSON, text, or a description of it.
    pub fn shown(&self) -> Value {
        match self {
            RecordedBody::Text(text) => self.structure().unwrap_or_else(|| text.clone().into()),
            RecordedBody::Binary { base64 } => {
                format!("{} bytes that are not text", base64.len()).into()
            }
            RecordedBody::Digest {
                sha256,
                bytes,
                beginning,
            } => format!("{beginning}… ({bytes} bytes, sha256 {sha256})").into(),
        }
    }
}

impl Default for RecordedBody {
    fn default() -> RecordedBody {
        RecordedBody::Text(String::new())
    }
}

/// Bytes as base64 in JSON.
mod base64_bytes {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(deserializer)?;
        STANDARD.decode(text).map_err(D::Error::custom)
    }
}
