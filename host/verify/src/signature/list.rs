//! Splits a signature header with several values into signatures, the signed time and labelled
//! values.

use crate::refusal::{Reason, Refusal, malformed};

/// The rules by which a header is split.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct List {
    /// The text between entries.
    pub(crate) separator: String,
    /// The text between label and value.
    pub(crate) assign: Option<String>,
    /// Labels of signatures. If empty, every entry except the time is a signature.
    pub(crate) labels: Vec<String>,
    /// Where the list contains the signed time.
    pub(crate) time: ListTime,
    /// Labels whose values are part of the signed text.
    pub(crate) signed_labels: Vec<String>,
}

/// Where a list contains the signed time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ListTime {
    /// The list contains no time.
    Absent,
    /// The value of this label, which must occur once.
    Labelled(String),
    /// The first entry, without a label.
    First,
}

/// The encoded values of a list.
pub(super) struct Entries<'a> {
    pub(super) signatures: Vec<&'a [u8]>,
    pub(super) time: Option<&'a [u8]>,
    pub(super) labels: Vec<(String, String)>,
}

// === impl List ===

impl List {
    /// Splits a header value.
    pub(super) fn split<'a>(&self, text: &'a [u8]) -> Result<Entries<'a>, Refusal> {
        let text = std::str::from_utf8(text).map_err(|_| malformed("not text"))?;
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
            return Err(malformed("no signature in it"));
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

    /// The value of a label that must occur exactly once.
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

    /// The values of signature labels.
    fn values<'a>(&self, entries: &[&'a str]) -> Result<Vec<&'a str>, Refusal> {
        let labelled: Vec<_> = entries
            .iter()
            .filter_map(|entry| self.labelled(entry))
            .collect();
        if labelled.is_empty() {
            let assign = self.assign.as_deref().unwrap_or_default();
            return Err(malformed(format!("no `LABEL{assign}VALUE` in it")));
        }

        let known: Vec<_> = labelled
            .into_iter()
            .filter(|(label, _)| self.labels.iter().any(|known| known == label))
            .map(|(_, value)| value)
            .collect();
        if known.is_empty() {
            let detail = format!("no signature labelled {} in it", self.labels.join(" or "));
            return Err(Refusal::new(Reason::UnsupportedSignatureVersion, detail));
        }

        Ok(known)
    }
}
