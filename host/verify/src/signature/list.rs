//! A signature header that holds several values: how it is split into signatures, the signed time and labelled values.

use crate::refusal::{Reason, Refusal, malformed};

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

/// The values of a list, still encoded.
pub(super) struct Entries<'a> {
    pub(super) signatures: Vec<&'a [u8]>,
    pub(super) time: Option<&'a [u8]>,
    pub(super) labels: Vec<(String, String)>,
}

// === impl List ===

impl List {
    /// The values of a header.
    pub(super) fn split<'a>(&self, text: &'a [u8]) -> Result<Entries<'a>, Refusal> {
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
