//! Scheme `signature`: candidates out of the request, a payload template, the comparison. The order of the checks is fixed:
//! required headers, duplicates, presence, syntax, id, time, window, and only then the comparison.

use std::time::SystemTime;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::{NO_PAD, STANDARD};
use base64::engine::{DecodePaddingMode, GeneralPurpose};
use bytes::Bytes;

use super::algorithm::{
    Running, can_be_lengthened, is_signed, is_signed_by, same, signature_length,
};
use super::certificate::{WebKey, web_key, web_keys};
use super::challenge::is_token;
use super::check::Keys;
use super::payload::{Part, Signed};
use super::refusal::{Reason, Refusal};
use super::view::{Absent, View, describe};
use super::window::{self, Window};
use landfall_model::{Algorithm, Documents, Encoding, TimeUnit, ValueLocation};

/// The most candidates of one request: each costs a comparison.
const CANDIDATES_MAX: usize = 64;
/// The longest name of a method.
const METHOD_CHARS_MAX: usize = 16;
/// The most keys of a set that are tried where the request names none.
const SET_KEYS_MAX: usize = 8;

/// Providers differ in whether they pad it.
const BASE64URL: GeneralPurpose = GeneralPurpose::new(
    &alphabet::URL_SAFE,
    NO_PAD.with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// How requests are signed.
#[derive(Debug, Clone, PartialEq)]
pub struct Signature {
    /// Places of signatures; any may match.
    pub from: Vec<ValueLocation>,
    /// Constant text before a single signature.
    pub prefix: String,
    /// How a header of several is split.
    pub list: Option<List>,
    /// Pinned: the request has no say in it.
    pub algorithm: Algorithm,
    /// Method names before a signature that are taken, and what each stands for. With one of them, `algorithm` means nothing.
    pub methods: Vec<(String, Algorithm)>,
    /// Where the provider's public keys are; none = the secrets are the keys.
    pub key_set: Option<KeySet>,
    /// Of a signature's bytes.
    pub encoding: Encoding,
    /// What is signed.
    pub payload: Vec<Part>,
    /// Other texts that count as well.
    pub alternatives: Vec<Vec<Part>>,
    /// A value must not hold the text that marks its end. Off where a provider documents a text without such marks.
    pub has_clear_cuts: bool,
    /// Where the signed time is; none in `from` = in the list.
    pub time: Option<Time>,
    /// Where the signed id is.
    pub id: Option<ValueLocation>,
    /// Headers that must have exactly this value.
    pub require: Vec<(String, String)>,
}

/// A set of public keys at an address.
#[derive(Debug, Clone, PartialEq)]
pub struct KeySet {
    /// Of the JSON web key set.
    pub url: String,
    /// Where the request names the key; none = every key is tried.
    pub id: Option<ValueLocation>,
}

/// How a header is split into several signatures.
#[derive(Debug, Clone, PartialEq)]
pub struct List {
    /// Between entries.
    pub separator: String,
    /// Between label and value.
    pub assign: Option<String>,
    /// Labels that count. Empty: every entry but the time is a signature.
    pub labels: Vec<String>,
    /// The signed time among the entries.
    pub time: ListTime,
    /// Labels whose values are part of what is signed.
    pub signed_labels: Vec<String>,
}

/// Where a list holds the signed time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListTime {
    /// Nowhere.
    Absent,
    /// At this label, exactly once.
    Labelled(String),
    /// In the first entry, without a label.
    First,
}

/// The signed time.
#[derive(Debug, Clone, PartialEq)]
pub struct Time {
    /// None = in the list.
    pub from: Option<ValueLocation>,
    /// How it is written.
    pub unit: TimeUnit,
    /// How far it may lie from now.
    pub window: Window,
}

/// What a request shows, decoded.
struct Shown {
    algorithm: Algorithm,
    candidates: Vec<Vec<u8>>,
    timestamp: Vec<u8>,
    id: Vec<u8>,
    labels: Vec<(String, String)>,
}

/// The values of a list, still encoded.
struct Entries<'a> {
    signatures: Vec<&'a [u8]>,
    time: Option<&'a [u8]>,
    labels: Vec<(String, String)>,
}

/// MACs that run while the body comes, one for each key.
pub struct StreamingMac {
    macs: Vec<Option<Running>>,
}

// === impl Signature ===

impl Signature {
    /// Which secret made one of the signatures; none where the key came from a key set.
    pub fn check(
        &self,
        view: &View<'_>,
        keys: &Keys,
        documents: &dyn Documents,
        now: Option<SystemTime>,
        mac: Option<StreamingMac>,
    ) -> Result<Option<usize>, Refusal> {
        let shown = self.shown(view)?;
        if let (Some(time), Some(now)) = (&self.time, now) {
            window::judge(
                time.window,
                window::parse(time.unit, &shown.timestamp)?,
                now,
            )?;
        } else if let Some(time) = &self.time {
            window::parse(time.unit, &shown.timestamp)?;
        }

        if !self.payloads().all(|payload| ends_clearly(payload, &shown)) {
            // A sender that chooses where the id ends chooses where the time begins.
            return Err(Refusal::new(
                Reason::SignatureMismatch,
                "the delivery id holds what may follow it",
            ));
        }

        if self.has_clear_cuts {
            self.payloads()
                .try_for_each(|payload| check_cuts(payload, view, &shown))?;
        }

        if self.can_be_lengthened() && std::str::from_utf8(&view.request.body).is_err() {
            // What continues a digest begins with bytes that are no text.
            return Err(Refusal::new(
                Reason::SignatureMismatch,
                "the body is not text, and might have been lengthened",
            ));
        }

        if let Some(key_set) = &self.key_set {
            return if self.is_made_by_one_of(key_set, view, &shown, documents)? {
                Ok(None)
            } else {
                // Nothing names the key: the provider may have another one by now.
                Err(Refusal {
                    fetch: key_set.id.is_none().then(|| key_set.url.clone()),
                    ..Refusal::new(
                        Reason::SignatureMismatch,
                        "the signature was made with another key",
                    )
                })
            };
        }

        let mut macs = mac.map(|mac| mac.macs).unwrap_or_default();
        let matched = keys.find(
            |place, key| match macs.get_mut(place).and_then(Option::take) {
                Some(running) => self.ends_right(running, view, &shown, key),
                None => self.is_made_by(key, view, &shown),
            },
        )?;

        let mismatch = || {
            Refusal::new(
                Reason::SignatureMismatch,
                "the signature does not match: another secret, or another body",
            )
        };

        matched.map(Some).ok_or_else(mismatch)
    }

    /// Every text that may be signed.
    pub fn payloads(&self) -> impl Iterator<Item = &[Part]> {
        std::iter::once(&self.payload)
            .chain(&self.alternatives)
            .map(Vec::as_slice)
    }

    /// A plain digest can be continued without the secret, unless the text ends with the secret.
    fn can_be_lengthened(&self) -> bool {
        can_be_lengthened(self.algorithm)
            && self
                .payloads()
                .any(|payload| payload.last() != Some(&Part::Secret))
    }

    /// Starts the MACs, where everything that comes before the body is known from the head.
    pub fn streaming_mac(&self, view: &View<'_>, keys: &Keys) -> Option<StreamingMac> {
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

        let shown = self.shown(view).ok()?;
        let start = |key: &[u8]| {
            let mut running = Running::new(shown.algorithm, key)?;
            self.payload[..body].iter().try_for_each(|part| {
                running.update(&part.bytes(view, shown.signed(), key).ok()?);
                Some(())
            })?;

            Some(running)
        };

        Some(StreamingMac {
            macs: keys.iter().map(|key| key.and_then(start)).collect(),
        })
    }

    /// The time as it was sent.
    pub fn sent_time(&self, view: &View<'_>) -> Option<Vec<u8>> {
        self.shown(view).ok().map(|shown| shown.timestamp)
    }

    fn shown(&self, view: &View<'_>) -> Result<Shown, Refusal> {
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
        let candidates = self.decoded(algorithm, &entries.signatures)?;
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

        Ok(Shown {
            algorithm,
            candidates,
            timestamp,
            id,
            labels,
        })
    }

    /// What the name before a signature stands for, where one of several may be there, and the text without it.
    fn method<'a>(&self, texts: Vec<&'a [u8]>) -> Result<(Algorithm, Vec<&'a [u8]>), Refusal> {
        if self.methods.is_empty() {
            return Ok((self.algorithm, texts));
        }

        let [text] = texts[..] else {
            return Err(malformed("more than one signature".into()));
        };

        // What is longer is no method, and may be the signature itself: it is not repeated.
        let at = text
            .iter()
            .take(METHOD_CHARS_MAX + 1)
            .position(|byte| *byte == b'=');

        let at = at.ok_or_else(|| malformed("no `METHOD=` in it".into()))?;
        let (name, value) = (&text[..at], &text[at + 1..]);
        let method = self
            .methods
            .iter()
            .find(|(known, _)| known.as_bytes() == name)
            .ok_or_else(|| {
                let known: Vec<&str> = self.methods.iter().map(|(name, _)| name.as_str()).collect();
                let detail = format!(
                    "the signature is made with `{}`: taken are {} (methods)",
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

    /// Every signature that can be decoded; at least one.
    fn decoded(&self, algorithm: Algorithm, encoded: &[&[u8]]) -> Result<Vec<Vec<u8>>, Refusal> {
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

    fn decode(&self, algorithm: Algorithm, text: &[u8]) -> Result<Vec<u8>, String> {
        let bytes = match self.encoding {
            Encoding::Hex => {
                hex::decode(text).map_err(|_| format!("not hex ({} characters)", text.len()))?
            }
            Encoding::Base64 => STANDARD
                .decode(text)
                .map_err(|_| format!("not base64 ({} characters)", text.len()))?,
            Encoding::Base64url => BASE64URL
                .decode(text)
                .map_err(|_| format!("not base64url ({} characters)", text.len()))?,
        };

        match signature_length(algorithm) {
            Some(expected) if bytes.len() != expected => {
                Err(format!("{} bytes instead of {expected}", bytes.len()))
            }
            None if algorithm == Algorithm::RsaPkcs1v15Sha256
                && (bytes.len() < 256 || bytes.len() % 64 != 0) =>
            {
                Err(format!(
                    "{} bytes: no RSA signature is so long",
                    bytes.len()
                ))
            }
            _ if bytes.is_empty() => Err("empty".into()),
            _ => Ok(bytes),
        }
    }

    fn is_made_by(&self, key: &[u8], view: &View<'_>, shown: &Shown) -> Result<bool, Refusal> {
        let mut is_made = false;
        for payload in self.payloads() {
            let is_one = match Running::new(shown.algorithm, key) {
                Some(mut running) => {
                    for part in payload {
                        running.update(&part.bytes(view, shown.signed(), key)?);
                    }

                    shown.has(&running.finish())
                }
                None => {
                    let message = message(payload, view, shown, key)?;
                    shown
                        .candidates
                        .iter()
                        .any(|candidate| is_signed(shown.algorithm, key, &message, candidate))
                }
            };

            is_made |= is_one;
        }

        Ok(is_made)
    }

    /// Whether a key of the set made one of the signatures.
    fn is_made_by_one_of(
        &self,
        key_set: &KeySet,
        view: &View<'_>,
        shown: &Shown,
        documents: &dyn Documents,
    ) -> Result<bool, Refusal> {
        let id = match &key_set.id {
            None => None,
            Some(place) => {
                let unnamed = || {
                    Refusal::new(
                        Reason::KeyUnavailable,
                        format!("no key is named ({})", describe(place)),
                    )
                };

                let id = view.find(place, false).map_err(|_| unnamed())?;
                Some(String::from_utf8(id.into_owned()).map_err(|_| unnamed())?)
            }
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
            let message = message(payload, view, shown, b"")?;
            let is_by = |key: &WebKey| {
                shown
                    .candidates
                    .iter()
                    .any(|candidate| is_signed_by(key, shown.algorithm, &message, candidate))
            };
            if keys.iter().any(is_by) {
                return Ok(true);
            }
        }

        Ok(false)
    }

    /// What comes after the body, and the end.
    fn ends_right(
        &self,
        mut running: Running,
        view: &View<'_>,
        shown: &Shown,
        key: &[u8],
    ) -> Result<bool, Refusal> {
        let after = self
            .payload
            .iter()
            .skip_while(|part| **part != Part::Body)
            .skip(1);

        for part in after {
            running.update(&part.bytes(view, shown.signed(), key)?);
        }

        Ok(shown.has(&running.finish()))
    }
}

// === impl List ===

impl List {
    /// The values of a header.
    fn split<'a>(&self, text: &'a [u8]) -> Result<Entries<'a>, Refusal> {
        let text = std::str::from_utf8(text).map_err(|_| malformed("not text".into()))?;
        let mut entries: Vec<&str> = text
            .split(self.separator.as_str())
            .map(str::trim)
            .filter(|entry| !entry.is_empty())
            .collect();

        let time = match &self.time {
            ListTime::Absent => None,
            ListTime::First if entries.is_empty() => None,
            ListTime::First => Some(entries.remove(0)),
            ListTime::Labelled(label) => {
                let labelled =
                    |entry: &&str| self.labelled(entry).is_some_and(|(name, _)| name == label);
                let (times, rest): (Vec<_>, Vec<_>) = entries.into_iter().partition(labelled);
                entries = rest;

                match times[..] {
                    [] => None,
                    [one] => self
                        .labelled(one)
                        .map(|(_, value)| value)
                        .filter(|value| !value.is_empty()),
                    _ => return Err(malformed(format!("more than one `{label}` in it"))),
                }
            }
        };

        let labels = self
            .signed_labels
            .iter()
            .map(|label| self.one(label, &entries))
            .collect::<Result<_, _>>()?;

        let values = if self.labels.is_empty() {
            entries
        } else {
            self.values(&entries)?
        };
        if values.is_empty() {
            return Err(malformed("no signature in it".into()));
        }

        Ok(Entries {
            signatures: values.into_iter().map(str::as_bytes).collect(),
            time: time.map(str::as_bytes),
            labels,
        })
    }

    fn labelled<'a>(&self, entry: &'a str) -> Option<(&'a str, &'a str)> {
        entry.split_once(self.assign.as_deref()?)
    }

    /// The value of a label that is there exactly once.
    fn one(&self, label: &str, entries: &[&str]) -> Result<(String, String), Refusal> {
        let mut values = entries
            .iter()
            .filter_map(|entry| self.labelled(entry))
            .filter(|(name, _)| *name == label);

        match (values.next(), values.next()) {
            (Some((_, value)), None) => Ok((label.to_owned(), value.to_owned())),
            _ => Err(malformed(format!("not exactly one `{label}` in it"))),
        }
    }

    /// The values of labels that count.
    fn values<'a>(&self, entries: &[&'a str]) -> Result<Vec<&'a str>, Refusal> {
        let labelled: Vec<_> = entries
            .iter()
            .filter_map(|entry| self.labelled(entry))
            .collect();
        if labelled.is_empty() {
            let assign = self.assign.as_deref().unwrap_or_default();
            return Err(malformed(format!("no `LABEL{assign}VALUE` in it")));
        }

        let is_known = |label: &str| self.labels.iter().any(|known| known == label);
        let known: Vec<_> = labelled
            .into_iter()
            .filter(|(label, _)| is_known(label))
            .map(|(_, value)| value)
            .collect();
        if known.is_empty() {
            let detail = format!("no signature labelled {} in it", self.labels.join(" or "));
            return Err(Refusal::new(Reason::UnsupportedSignatureVersion, detail));
        }

        Ok(known)
    }
}

// === impl Shown ===

impl Shown {
    fn signed(&self) -> Signed<'_> {
        Signed {
            timestamp: &self.timestamp,
            id: &self.id,
            labels: &self.labels,
        }
    }

    /// Every candidate is compared: the time taken does not tell which one matched.
    fn has(&self, digest: &[u8]) -> bool {
        self.candidates
            .iter()
            .fold(false, |found, candidate| same(candidate, digest) | found)
    }
}

// === impl StreamingMac ===

impl StreamingMac {
    /// The next bytes of the body.
    pub fn update(&mut self, piece: &Bytes) {
        self.macs
            .iter_mut()
            .flatten()
            .for_each(|mac| mac.update(piece));
    }
}

/// All parts of a payload, joined.
fn message(
    payload: &[Part],
    view: &View<'_>,
    shown: &Shown,
    key: &[u8],
) -> Result<Vec<u8>, Refusal> {
    let mut message = Vec::with_capacity(view.request.body.len() + 64);
    for part in payload {
        message.extend_from_slice(&part.bytes(view, shown.signed(), key)?);
    }

    Ok(message)
}

/// An id, or a value of the list, must not hold the text that ends it; one that nothing ends is a plain token or a date, so that
/// it cannot take over the end of a JSON body.
fn ends_clearly(payload: &[Part], shown: &Shown) -> bool {
    let value = |part: &Part| match part {
        Part::Id => Some(&shown.id[..]),
        Part::Label(label) => Some(
            shown
                .labels
                .iter()
                .find(|(name, _)| name == label)
                .map_or(&b""[..], |(_, value)| value.as_bytes()),
        ),
        _ => None,
    };

    payload
        .iter()
        .enumerate()
        .all(|(at, part)| match (value(part), payload.get(at + 1)) {
            (None, _) => true,
            (Some(value), Some(Part::Literal(text))) => {
                !String::from_utf8_lossy(value).contains(text.as_str())
            }
            (Some(value), _) => is_token(value) || is_date(value),
        })
}

/// A value of the request must not hold the text that separates it from the body: another cut would give the same text. Parts
/// before the body are ended by the text after them, parts behind it by the text before them.
fn check_cuts(payload: &[Part], view: &View<'_>, shown: &Shown) -> Result<(), Refusal> {
    let is_value = |part: &Part| {
        matches!(
            part,
            Part::Id | Part::Label(_) | Part::At(_) | Part::QueryLower(_)
        )
    };

    if payload.contains(&Part::FormSorted) && !view.is_urlencoded() {
        // Different bodies of another type have the same pairs, in another order or with other escapes.
        let why = "{form_sorted} is signed, and the content type is not application/x-www-form-urlencoded";
        return Err(Refusal::new(Reason::MalformedBody, why));
    }

    let free = payload
        .iter()
        .position(|part| matches!(part, Part::Body | Part::FormSorted));
    let is_long = |part: &Part| is_value(part) || matches!(part, Part::Url | Part::UrlUnescaped);
    let Some(free) = free.or_else(|| payload.iter().rposition(is_long)) else {
        return Ok(());
    };

    for (at, part) in payload
        .iter()
        .enumerate()
        .filter(|(at, part)| *at != free && is_value(part))
    {
        let neighbour = if at < free {
            payload.get(at + 1)
        } else {
            payload.get(at - 1)
        };
        if let Some(Part::Literal(mark)) = neighbour
            && memchr::memmem::find(&part.bytes(view, shown.signed(), b"")?, mark.as_bytes())
                .is_some()
        {
            return Err(Refusal::new(
                Reason::SignatureMismatch,
                "a signed value holds the text that ends it",
            ));
        }
    }

    Ok(())
}

/// What follows the prefix, which is compared as it is: upper case is another prefix.
fn after_prefix<'a>(text: &'a [u8], prefix: &str) -> Result<&'a [u8], Refusal> {
    text.strip_prefix(prefix.as_bytes())
        .ok_or_else(|| malformed(format!("it does not begin with `{prefix}`")))
}

/// Only characters of dates, such as `Thu, 09 Oct 2025 08:53:20 GMT`.
fn is_date(text: &[u8]) -> bool {
    const DATE_CHARS_MAX: usize = 64;

    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b" ,:.+-".contains(byte);
    text.len() <= DATE_CHARS_MAX && text.iter().all(is_plain)
}

fn missing(reason: Reason, what: &str, places: &[ValueLocation]) -> Refusal {
    let places: Vec<String> = places.iter().map(describe).collect();
    Refusal::new(reason, format!("{what} missing ({})", places.join(", ")))
}

/// A signature that cannot be decoded.
pub fn malformed(why: String) -> Refusal {
    Refusal::new(
        Reason::MalformedSignature,
        format!("signature malformed: {why}"),
    )
}
