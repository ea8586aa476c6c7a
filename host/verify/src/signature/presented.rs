//! Reads and decodes what a request presents for scheme `signature`. The order of the steps is
//! fixed: required headers, duplicates, presence, syntax, id, time.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::{NO_PAD, STANDARD};
use base64::engine::{DecodePaddingMode, GeneralPurpose};
use thiserror::Error;

use super::list::Entries;
use super::rules::Signature;
use crate::algorithm::{same, signature_length};
use crate::payload::Signed;
use crate::refusal::{Reason, Refusal, malformed};
use crate::view::{Absent, View, describe};
use landfall_model::{Algorithm, Encoding, ValueLocation};

/// The most signatures of one request. Each costs a comparison.
const CANDIDATES_MAX: usize = 64;

const METHOD_CHARS_MAX: usize = 16;

/// Base64url with or without padding: providers differ.
const BASE64URL: GeneralPurpose = GeneralPurpose::new(
    &alphabet::URL_SAFE,
    NO_PAD.with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Why the text of a signature cannot be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
enum TextError {
    #[error("not {encoding} ({chars} characters)")]
    Encoding {
        encoding: &'static str,
        chars: usize,
    },
    #[error("{found} bytes instead of {expected}")]
    WrongLength { found: usize, expected: usize },
    #[error("{0} bytes: no RSA signature has this length")]
    NoRsaLength(usize),
    #[error("empty")]
    Empty,
}

/// The decoded values of a request.
pub(super) struct Presented {
    pub(super) algorithm: Algorithm,
    pub(super) candidates: Vec<Vec<u8>>,
    pub(super) timestamp: Vec<u8>,
    pub(super) id: Vec<u8>,
    pub(super) labels: Vec<(String, String)>,
}

// === impl Signature ===

impl Signature {
    /// The signed time as sent.
    pub(crate) fn sent_time(&self, view: &View<'_>) -> Option<Vec<u8>> {
        self.present(view).ok().map(|presented| presented.timestamp)
    }

    /// Whether `present` reads only the head of a request.
    pub(super) fn is_in_head(&self) -> bool {
        let time = self.time.as_ref().and_then(|time| time.from.as_ref());
        self.from.iter().chain(time).chain(&self.id).all(|place| {
            matches!(
                place,
                ValueLocation::Header(_) | ValueLocation::Query(_) | ValueLocation::Path(_)
            )
        })
    }

    pub(super) fn present(&self, view: &View<'_>) -> Result<Presented, Refusal> {
        for (name, expected) in &self.require {
            let found = view.header(name);
            if found == Err(Absent::Duplicate) {
                return Err(Refusal::new(
                    Reason::DuplicateHeader,
                    format!("header {name} given more than once"),
                ));
            }

            if found != Ok(expected.as_bytes()) {
                let detail = format!("header {name} is not `{expected}`");
                return Err(Refusal::new(Reason::UnsupportedSignatureVersion, detail));
            }
        }

        let time_place = self.time.as_ref().and_then(|time| time.from.as_ref());
        let used = self.from.iter().chain(time_place).chain(&self.id);
        if let Some(repeated) = used.clone().find(|place| view.is_repeated(place)) {
            return Err(Refusal::new(
                Reason::DuplicateHeader,
                format!("{} given more than once", describe(repeated)),
            ));
        }

        let texts: Vec<_> = self
            .from
            .iter()
            .filter_map(|place| view.find(place, false).ok())
            .collect();
        if texts.is_empty() {
            return Err(missing(Reason::MissingSignature, "signature", &self.from));
        }

        let texts: Vec<&[u8]> = texts.iter().map(|text| &text[..]).collect();
        let (algorithm, texts) = self.method(texts)?;
        let mut entries = self.entries(&texts)?;
        let candidates = self.decode_all(algorithm, &entries.signatures)?;
        let listed_time = entries.time.map(<[u8]>::to_vec);
        let labels = std::mem::take(&mut entries.labels);

        let id = match &self.id {
            None => Vec::new(),
            Some(place) => view
                .find(place, false)
                .map_err(|_| {
                    missing(
                        Reason::MissingId,
                        "delivery id",
                        std::slice::from_ref(place),
                    )
                })?
                .into_owned(),
        };

        let timestamp = match (time_place, listed_time) {
            (Some(place), _) => view
                .find(place, true)
                .map_err(|_| {
                    missing(
                        Reason::MissingTimestamp,
                        "timestamp",
                        std::slice::from_ref(place),
                    )
                })?
                .into_owned(),
            (None, Some(listed)) => listed,
            (None, None) if self.time.is_some() => {
                return Err(Refusal::new(
                    Reason::MissingTimestamp,
                    "the signature's list holds no time",
                ));
            }
            (None, None) => Vec::new(),
        };

        Ok(Presented {
            algorithm,
            candidates,
            timestamp,
            id,
            labels,
        })
    }

    /// The algorithm that the method name before a signature stands for, and the text after the
    /// name.
    fn method<'a>(&self, texts: Vec<&'a [u8]>) -> Result<(Algorithm, Vec<&'a [u8]>), Refusal> {
        if self.methods.is_empty() {
            return Ok((self.algorithm, texts));
        }

        let [text] = texts[..] else {
            return Err(malformed("more than one signature"));
        };

        // A longer text is not a method name. It may be the signature itself, so the refusal does
        // not quote it.
        let at = text
            .iter()
            .take(METHOD_CHARS_MAX + 1)
            .position(|byte| *byte == b'=');

        let at = at.ok_or_else(|| malformed("no `METHOD=` in it"))?;
        let (name, value) = (&text[..at], &text[at + 1..]);
        let method = self
            .methods
            .iter()
            .find(|(known, _)| known.as_bytes() == name)
            .ok_or_else(|| {
                let known: Vec<&str> = self.methods.iter().map(|(name, _)| name.as_str()).collect();
                let detail = format!(
                    "the signature is made with `{}`: accepted are {} (methods)",
                    String::from_utf8_lossy(name).escape_debug(),
                    known.join(", ")
                );

                Refusal::new(Reason::AlgorithmNotAllowed, detail)
            })?;

        Ok((method.1, vec![value]))
    }

    fn entries<'a>(&self, texts: &[&'a [u8]]) -> Result<Entries<'a>, Refusal> {
        let mut entries = Entries {
            signatures: Vec::new(),
            time: None,
            labels: Vec::new(),
        };

        for text in texts {
            match &self.list {
                None => entries.signatures.push(after_prefix(text, &self.prefix)?),
                Some(list) => {
                    let listed = list.split(text)?;
                    entries.signatures.extend(listed.signatures);
                    entries.time = entries.time.or(listed.time);
                    entries.labels.extend(listed.labels);
                }
            }
        }

        if entries.signatures.len() > CANDIDATES_MAX {
            return Err(malformed(format!("more than {CANDIDATES_MAX} signatures")));
        }

        Ok(entries)
    }

    /// The signatures that can be decoded; at least one.
    fn decode_all(&self, algorithm: Algorithm, encoded: &[&[u8]]) -> Result<Vec<Vec<u8>>, Refusal> {
        let mut first_error = None;
        let mut decoded = Vec::new();
        for text in encoded {
            match self.decode(algorithm, text) {
                Ok(bytes) => decoded.push(bytes),
                Err(why) => drop(first_error.get_or_insert(why)),
            }
        }

        match first_error {
            Some(why) if decoded.is_empty() => Err(malformed(why)),
            _ => Ok(decoded),
        }
    }

    fn decode(&self, algorithm: Algorithm, text: &[u8]) -> Result<Vec<u8>, TextError> {
        let bytes = match self.encoding {
            Encoding::Hex => hex::decode(text).map_err(|_| TextError::encoding("hex", text))?,
            Encoding::Base64 => STANDARD
                .decode(text)
                .map_err(|_| TextError::encoding("base64", text))?,
            Encoding::Base64url => BASE64URL
                .decode(text)
                .map_err(|_| TextError::encoding("base64url", text))?,
        };

        match signature_length(algorithm) {
            Some(expected) if bytes.len() != expected => Err(TextError::WrongLength {
                found: bytes.len(),
                expected,
            }),
            None if algorithm == Algorithm::RsaPkcs1v15Sha256
                && (bytes.len() < 256 || bytes.len() % 64 != 0) =>
            {
                Err(TextError::NoRsaLength(bytes.len()))
            }
            _ if bytes.is_empty() => Err(TextError::Empty),
            _ => Ok(bytes),
        }
    }
}

// === impl TextError ===

impl TextError {
    fn encoding(encoding: &'static str, text: &[u8]) -> TextError {
        TextError::Encoding {
            encoding,
            chars: text.len(),
        }
    }
}

// === impl Presented ===

impl Presented {
    pub(super) fn signed(&self) -> Signed<'_> {
        Signed {
            timestamp: &self.timestamp,
            id: &self.id,
            labels: &self.labels,
        }
    }

    /// Whether one of the signatures equals `digest`. Compares all of them, so that the time does
    /// not reveal which one matched.
    pub(super) fn has(&self, digest: &[u8]) -> bool {
        self.candidates
            .iter()
            .fold(false, |found, candidate| same(candidate, digest) | found)
    }
}

/// The text after the prefix. The comparison is case-sensitive.
fn after_prefix<'a>(text: &'a [u8], prefix: &str) -> Result<&'a [u8], Refusal> {
    text.strip_prefix(prefix.as_bytes())
        .ok_or_else(|| malformed(format!("it does not begin with `{prefix}`")))
}

fn missing(reason: Reason, what: &str, places: &[ValueLocation]) -> Refusal {
    let places: Vec<String> = places.iter().map(describe).collect();
    Refusal::new(reason, format!("{what} missing ({})", places.join(", ")))
}
