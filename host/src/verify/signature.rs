//! Scheme `signature`: candidates out of the request, a payload template, the comparison. The order of the checks is fixed:
//! required headers, duplicates, presence, syntax, id, time, window, and only then the comparison.

use std::time::SystemTime;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::{NO_PAD, STANDARD};
use base64::engine::{DecodePaddingMode, GeneralPurpose};
use bytes::Bytes;

use super::algorithm::{Running, is_signed, same, signature_length};
use super::challenge::is_token;
use super::check::Keys;
use super::payload::{Part, Signed};
use super::refusal::{Reason, Refusal};
use super::view::{Absent, View, describe};
use super::window::{self, Window};
use crate::model::{Algorithm, Encoding, ListStyle, Place, TimeUnit};

/// The most candidates of one request: each costs a comparison.
const CANDIDATES_MAX: usize = 64;

/// Providers differ in whether they pad it.
const BASE64URL: GeneralPurpose =
    GeneralPurpose::new(&alphabet::URL_SAFE, NO_PAD.with_decode_padding_mode(DecodePaddingMode::Indifferent));

/// How requests are signed.
#[derive(Debug, Clone, PartialEq)]
pub struct Signature {
    /// Places of signatures; any may match.
    pub from: Vec<Place>,
    /// Constant text before a single signature.
    pub prefix: String,
    /// How a header of several is split.
    pub list: Option<ListStyle>,
    /// Pinned: the request has no say in it.
    pub algorithm: Algorithm,
    /// Of a signature's bytes.
    pub encoding: Encoding,
    /// What is signed.
    pub payload: Vec<Part>,
    /// Where the signed time is; none in `from` = in the list.
    pub time: Option<Time>,
    /// Where the signed id is.
    pub id: Option<Place>,
    /// Headers that must have exactly this value.
    pub require: Vec<(String, String)>,
}

/// The signed time.
#[derive(Debug, Clone, PartialEq)]
pub struct Time {
    /// None = in the list.
    pub from: Option<Place>,
    /// How it is written.
    pub unit: TimeUnit,
    /// How far it may lie from now.
    pub window: Window,
}

/// What a request shows, decoded.
struct Shown {
    candidates: Vec<Vec<u8>>,
    timestamp: Vec<u8>,
    id: Vec<u8>,
}

/// Decoded signatures, and the time beside them.
type Listed = (Vec<Vec<u8>>, Option<Vec<u8>>);

/// MACs that run while the body comes, one for each key.
pub struct Feed {
    macs: Vec<Option<Running>>,
}

// === impl Signature ===

impl Signature {
    /// Which key made one of the signatures.
    pub fn check(
        &self,
        view: &View<'_>,
        keys: &Keys,
        now: Option<SystemTime>,
        feed: Option<Feed>,
    ) -> Result<usize, Refusal> {
        let shown = self.shown(view)?;
        if let (Some(time), Some(now)) = (&self.time, now) {
            window::judge(time.window, window::parse(time.unit, &shown.timestamp)?, now)?;
        } else if let Some(time) = &self.time {
            window::parse(time.unit, &shown.timestamp)?;
        }
        if !self.ends_clearly(&shown.id) {
            // Whoever may choose where the id ends may choose where the time begins.
            return Err(Refusal::new(Reason::SignatureMismatch, "the delivery id holds what may follow it"));
        }
        if self.can_be_lengthened() && std::str::from_utf8(&view.request.body).is_err() {
            // Behind a secret in front, a plain digest can be continued without the secret, but only over bytes that are no text.
            return Err(Refusal::new(
                Reason::SignatureMismatch,
                "the body is not text, and might have been lengthened",
            ));
        }
        let mut feed = feed.map(|feed| feed.macs).unwrap_or_default();
        keys.find(|place, key| match feed.get_mut(place).and_then(Option::take) {
            Some(running) => self.ends_right(running, view, &shown, key),
            None => self.is_made_by(key, view, &shown),
        })?
        .ok_or_else(|| {
            Refusal::new(Reason::SignatureMismatch, "the signature does not match: another secret, or another body")
        })
    }

    fn can_be_lengthened(&self) -> bool {
        self.algorithm == Algorithm::Sha256 && self.payload.first() == Some(&Part::Secret)
    }

    /// An id must not hold the text that ends it; one that nothing ends is a plain token or a date, so that it cannot take
    /// over the end of a JSON body.
    fn ends_clearly(&self, id: &[u8]) -> bool {
        let Some(place) = self.payload.iter().position(|part| *part == Part::Id) else { return true };
        match self.payload.get(place + 1) {
            Some(Part::Literal(text)) => !String::from_utf8_lossy(id).contains(text.as_str()),
            Some(_) | None => is_token(id) || is_date(id),
        }
    }

    /// Starts the MACs, where everything that comes before the body is known from the head.
    pub fn feed(&self, view: &View<'_>, keys: &Keys) -> Option<Feed> {
        let body = self.payload.iter().position(|part| *part == Part::Body)?;
        let is_streamed = self.payload.iter().enumerate().all(|(place, part)| place == body || part.is_of_the_head());
        if !is_streamed {
            return None;
        }
        let shown = self.shown(view).ok()?;
        let start = |key: &[u8]| {
            let mut running = Running::new(self.algorithm, key)?;
            self.payload[..body].iter().try_for_each(|part| {
                running.update(&part.bytes(view, shown.signed(), key).ok()?);
                Some(())
            })?;
            Some(running)
        };
        Some(Feed { macs: keys.iter().map(|key| key.and_then(start)).collect() })
    }

    fn shown(&self, view: &View<'_>) -> Result<Shown, Refusal> {
        for (name, expected) in &self.require {
            let found = view.header(name);
            if found == Err(Absent::Duplicate) {
                return Err(Refusal::new(Reason::DuplicateHeader, format!("header {name} given more than once")));
            }
            if found != Ok(expected.as_bytes()) {
                let detail = format!("header {name} is not `{expected}`");
                return Err(Refusal::new(Reason::UnsupportedSignatureVersion, detail));
            }
        }
        let time_place = self.time.as_ref().and_then(|time| time.from.as_ref());
        let used = self.from.iter().chain(time_place).chain(&self.id);
        if let Some(repeated) = used.clone().find(|place| view.is_repeated(place)) {
            return Err(Refusal::new(Reason::DuplicateHeader, format!("{} given more than once", describe(repeated))));
        }
        let texts: Vec<_> = self.from.iter().filter_map(|place| view.find(place, false).ok()).collect();
        if texts.is_empty() {
            return Err(missing(Reason::MissingSignature, "signature", &self.from));
        }
        let (candidates, listed_time) = self.candidates(&texts.iter().map(|text| &text[..]).collect::<Vec<_>>())?;
        let id = match &self.id {
            None => Vec::new(),
            Some(place) => view
                .find(place, false)
                .map_err(|_| missing(Reason::MissingId, "delivery id", std::slice::from_ref(place)))?
                .into_owned(),
        };
        let timestamp = match (time_place, listed_time) {
            (Some(place), _) => view
                .find(place, true)
                .map_err(|_| missing(Reason::MissingTimestamp, "timestamp", std::slice::from_ref(place)))?
                .into_owned(),
            (None, listed) => listed.unwrap_or_default(),
        };
        Ok(Shown { candidates, timestamp, id })
    }

    /// Every signature that can be decoded, and the time that the list carries.
    fn candidates(&self, texts: &[&[u8]]) -> Result<Listed, Refusal> {
        let mut time = None;
        let mut encoded: Vec<&[u8]> = Vec::new();
        for text in texts {
            match &self.list {
                None => encoded.push(after_prefix(text, &self.prefix)?),
                Some(style) => encoded.extend(listed(text, style, &mut time)?),
            }
        }
        if encoded.len() > CANDIDATES_MAX {
            return Err(malformed(format!("more than {CANDIDATES_MAX} signatures")));
        }
        let mut first_error = None;
        let mut decoded = Vec::new();
        for text in encoded {
            match self.decode(text) {
                Ok(bytes) => decoded.push(bytes),
                Err(why) => drop(first_error.get_or_insert(why)),
            }
        }
        match first_error {
            Some(why) if decoded.is_empty() => Err(malformed(why)),
            _ => Ok((decoded, time)),
        }
    }

    fn decode(&self, text: &[u8]) -> Result<Vec<u8>, String> {
        let bytes = match self.encoding {
            Encoding::Hex => hex::decode(text).map_err(|_| format!("not hex ({} characters)", text.len()))?,
            Encoding::Base64 => STANDARD.decode(text).map_err(|_| format!("not base64 ({} characters)", text.len()))?,
            Encoding::Base64url => {
                BASE64URL.decode(text).map_err(|_| format!("not base64url ({} characters)", text.len()))?
            }
        };
        match signature_length(self.algorithm) {
            Some(expected) if bytes.len() != expected => Err(format!("{} bytes instead of {expected}", bytes.len())),
            None if self.algorithm == Algorithm::RsaPkcs1v15Sha256 && (bytes.len() < 256 || bytes.len() % 64 != 0) => {
                Err(format!("{} bytes: no RSA signature is so long", bytes.len()))
            }
            _ if bytes.is_empty() => Err("empty".into()),
            _ => Ok(bytes),
        }
    }

    fn is_made_by(&self, key: &[u8], view: &View<'_>, shown: &Shown) -> Result<bool, Refusal> {
        if let Some(mut running) = Running::new(self.algorithm, key) {
            for part in &self.payload {
                running.update(&part.bytes(view, shown.signed(), key)?);
            }
            return Ok(shown.has(&running.finish()));
        }
        let mut message = Vec::with_capacity(view.request.body.len() + 64);
        for part in &self.payload {
            message.extend_from_slice(&part.bytes(view, shown.signed(), key)?);
        }
        Ok(shown.candidates.iter().any(|candidate| is_signed(self.algorithm, key, &message, candidate)))
    }

    /// What comes after the body, and the end.
    fn ends_right(&self, mut running: Running, view: &View<'_>, shown: &Shown, key: &[u8]) -> Result<bool, Refusal> {
        let after = self.payload.iter().skip_while(|part| **part != Part::Body).skip(1);
        for part in after {
            running.update(&part.bytes(view, shown.signed(), key)?);
        }
        Ok(shown.has(&running.finish()))
    }
}

// === impl Shown ===

impl Shown {
    fn signed(&self) -> Signed<'_> {
        Signed { timestamp: &self.timestamp, id: &self.id }
    }

    /// Every candidate is compared: the time taken does not tell which one matched.
    fn has(&self, digest: &[u8]) -> bool {
        self.candidates.iter().fold(false, |found, candidate| same(candidate, digest) | found)
    }
}

// === impl Feed ===

impl Feed {
    /// The next bytes of the body.
    pub fn update(&mut self, piece: &Bytes) {
        self.macs.iter_mut().flatten().for_each(|mac| mac.update(piece));
    }
}

/// What follows the prefix, which is compared as it is: upper case is another prefix.
fn after_prefix<'a>(text: &'a [u8], prefix: &str) -> Result<&'a [u8], Refusal> {
    text.strip_prefix(prefix.as_bytes()).ok_or_else(|| malformed(format!("it does not begin with `{prefix}`")))
}

/// The values of labels that count. The time label must be there exactly once.
fn listed<'a>(text: &'a [u8], style: &ListStyle, time: &mut Option<Vec<u8>>) -> Result<Vec<&'a [u8]>, Refusal> {
    let text = std::str::from_utf8(text).map_err(|_| malformed("not text".into()))?;
    let entries: Vec<(&str, &str)> = text
        .split(style.separator.as_str())
        .filter_map(|entry| entry.trim().split_once(style.assign.as_str()))
        .collect();
    if entries.is_empty() {
        return Err(malformed(format!("no `LABEL{}VALUE` in it", style.assign)));
    }
    if let Some(label) = &style.timestamp {
        let mut times = entries.iter().filter(|(name, value)| name == label && !value.is_empty());
        match (times.next(), times.next()) {
            (Some((_, value)), None) => *time = Some(value.as_bytes().to_vec()),
            _ => return Err(malformed(format!("not exactly one `{label}{}` in it", style.assign))),
        }
    }
    let known: Vec<&[u8]> = entries
        .iter()
        .filter(|(label, _)| style.labels.iter().any(|known| known == label))
        .map(|(_, value)| value.as_bytes())
        .collect();
    match known.is_empty() {
        false => Ok(known),
        true => Err(Refusal::new(
            Reason::UnsupportedSignatureVersion,
            format!("no signature labelled {} in it", style.labels.join(" or ")),
        )),
    }
}

/// Only characters of dates, such as `Thu, 09 Oct 2025 08:53:20 GMT`.
fn is_date(text: &[u8]) -> bool {
    const DATE_CHARS_MAX: usize = 64;
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b" ,:.+-".contains(byte);
    text.len() <= DATE_CHARS_MAX && text.iter().all(is_plain)
}

fn missing(reason: Reason, what: &str, places: &[Place]) -> Refusal {
    let places: Vec<String> = places.iter().map(describe).collect();
    Refusal::new(reason, format!("{what} missing ({})", places.join(", ")))
}

/// A signature that cannot be decoded.
pub fn malformed(why: String) -> Refusal {
    Refusal::new(Reason::MalformedSignature, format!("signature malformed: {why}"))
}
