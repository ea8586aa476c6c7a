//! Rules of `list`: how a header with several signatures is split.

use super::error::{BuildError, wrong};
use crate::signature::{List, ListTime};
use landfall_model::{Encoding, ListSpec, TimeUnit, VerifySpec};

/// Builds the rules for signatures in this encoding. Rejects separators that could occur inside a
/// signature, a label or the time.
pub(super) fn build(
    typed: &ListSpec,
    spec: &VerifySpec,
    encoding: Encoding,
) -> Result<List, BuildError> {
    let separator = typed.separator.clone().filter(|text| !text.is_empty());
    let assign = typed.assign.clone().filter(|text| !text.is_empty());
    let labels = typed.labels.clone().unwrap_or_default();
    let has_labels = typed.timestamp.is_some() || typed.labels.is_some();

    let time = match (&typed.timestamp, typed.timestamp_first.unwrap_or_default()) {
        (Some(_), true) => {
            return Err(wrong(
                "list",
                "timestamp and timestamp_first exclude each other: leave one",
            ));
        }
        (Some(label), false) => ListTime::Labelled(label.clone()),
        (None, true) => ListTime::First,
        (None, false) => ListTime::Absent,
    };

    if typed.labels.as_ref().is_some_and(Vec::is_empty) {
        return Err(wrong(
            "list",
            "labels is empty: name the labels of signatures, or remove it",
        ));
    }

    if has_labels && assign.is_none() {
        return Err(wrong(
            "list",
            "assign is missing: the text between a label and its value, such as \"=\"",
        ));
    }

    let separator = separator.ok_or_else(|| {
        wrong(
            "list",
            "separator is missing: the text between two entries, such as \",\"",
        )
    })?;

    if spec
        .prefix
        .as_ref()
        .is_some_and(|prefix| !prefix.is_empty())
    {
        return Err(wrong(
            "prefix",
            "prefix means nothing beside list: write prefix = \"\", and name the labels in list",
        ));
    }

    let list = List {
        separator,
        assign,
        labels,
        time,
        signed_labels: Vec::new(),
    };

    check_labels(&list)?;
    check_marks(
        &list,
        encoding,
        spec.timestamp.as_ref().and_then(|time| time.unit),
    )?;

    Ok(list)
}

/// Rejects signed labels that hold the time (write `{timestamp}`) or a signature.
pub(super) fn check_signed_labels(list: &List, signed: &[String]) -> Result<(), BuildError> {
    if let ListTime::Labelled(label) = &list.time
        && signed.contains(label)
    {
        let why = format!(
            "{{list:{label}}} is the signed time, which is read apart from the labels: write \
             {{timestamp}}"
        );
        return Err(wrong("payload", why));
    }

    match signed.iter().find(|label| list.labels.contains(label)) {
        Some(label) => Err(wrong(
            "payload",
            format!(
                "{{list:{label}}} is the signature itself: no sender can make such a signature; \
                 remove it from payload"
            ),
        )),
        None => Ok(()),
    }
}

fn check_labels(list: &List) -> Result<(), BuildError> {
    let time = match &list.time {
        ListTime::Labelled(label) => Some(label),
        ListTime::Absent | ListTime::First => None,
    };

    let mut used = list.labels.iter().chain(time);
    if let Some(label) =
        used.find(|label| label.is_empty() || label.trim() != *label || is_split(label, list))
    {
        let why = "it is empty, holds separator or assign, or begins or ends with white space";
        return Err(wrong(
            "list",
            format!("label `{}` is never found: {why}", label.escape_debug()),
        ));
    }

    match time.filter(|time| list.labels.contains(time)) {
        Some(time) => Err(wrong(
            "list",
            format!(
                "`{time}` is the label of the time and one of labels: an entry is one of both; \
                 remove it from labels"
            ),
        )),
        None => Ok(()),
    }
}

/// Whether a label contains a mark of the list.
fn is_split(label: &str, list: &List) -> bool {
    let assign = list.assign.as_ref();
    label.contains(&list.separator) || assign.is_some_and(|assign| label.contains(assign))
}

/// Rejects a separator or an assignment that could occur inside the values.
fn check_marks(list: &List, encoding: Encoding, unit: Option<TimeUnit>) -> Result<(), BuildError> {
    let separator = &list.separator;
    let escaped = separator.escape_debug();
    if separator.contains(|c: char| c.is_control() && c != '\t') {
        return Err(wrong(
            "list",
            format!(
                "separator `{escaped}` is in no header value: name the text between two entries"
            ),
        ));
    }

    if list
        .assign
        .as_ref()
        .is_some_and(|assign| assign.contains(separator))
    {
        return Err(wrong(
            "list",
            format!(
                "separator `{escaped}` is in assign: each entry ends before its value; write \
                 another separator"
            ),
        ));
    }

    if separator.chars().all(|c| is_encoded(c, encoding)) {
        return Err(wrong(
            "list",
            format!(
                "separator `{escaped}` may be part of a signature in {}, which would be cut there: write the separator that the \
                 provider documents",
                word(encoding)
            ),
        ));
    }

    if list.time != ListTime::Absent && separator.chars().all(|c| is_in_time(c, unit)) {
        return Err(wrong(
            "list",
            format!(
                "separator `{escaped}` may be part of the time in the list, which would be cut \
                 there: write another one"
            ),
        ));
    }

    match (&list.time, &list.assign) {
        (ListTime::Labelled(label), Some(assign))
            if list.labels.is_empty()
                && label
                    .chars()
                    .chain(assign.chars())
                    .all(|c| is_encoded(c, encoding)) =>
        {
            Err(wrong(
                "list",
                format!(
                    "a signature without a label may begin with `{}`, the mark of the time: name \
                     the labels of signatures in labels",
                    format!("{label}{assign}").escape_debug()
                ),
            ))
        }
        _ => Ok(()),
    }
}

/// Whether a signature in this encoding may contain the character.
fn is_encoded(c: char, encoding: Encoding) -> bool {
    match encoding {
        Encoding::Hex => c.is_ascii_hexdigit(),
        Encoding::Base64 => c.is_ascii_alphanumeric() || "+/=".contains(c),
        Encoding::Base64url => c.is_ascii_alphanumeric() || "-_=".contains(c),
    }
}

/// Whether a time in this unit may contain the character.
fn is_in_time(c: char, unit: Option<TimeUnit>) -> bool {
    match unit {
        None => false,
        Some(TimeUnit::S | TimeUnit::Ms) => c.is_ascii_digit(),
        Some(TimeUnit::Rfc3339 | TimeUnit::Iso8601) => {
            c.is_ascii_digit() || "+-.: TtZz".contains(c)
        }
        Some(TimeUnit::HttpDate) => c.is_ascii_alphanumeric() || ",: ".contains(c),
    }
}

fn word(encoding: Encoding) -> &'static str {
    match encoding {
        Encoding::Hex => "hex",
        Encoding::Base64 => "base64",
        Encoding::Base64url => "base64url",
    }
}
