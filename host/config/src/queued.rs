//! The part of a hook file for events that are stored and run later: `[dedup]`, `[retry]`,
//! `max_rate` and `[accepted]`.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;

use super::mistake::{Mistake, in_range, mistake};
use super::value_error::ValueError;
use super::values::Time;
use landfall_model::{AcceptedSpec, DedupId, DedupSpec, DeliveryId, IdMatch, RetrySpec};

/// `[dedup]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DedupTable {
    id: Option<DedupIdTyped>,
    r#match: Option<IdMatch>,
    window: Option<Time>,
}

#[derive(Debug, Deserialize)]
#[serde(
    untagged,
    expecting = "{ header = \"NAME\" }, { json = \"/POINTER\" }, a list of such fields, \"body-digest\" or \"none\""
)]
enum DedupIdTyped {
    Word(DedupWord),
    At(DeliveryId),
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum DedupWord {
    BodyDigest,
    None,
}

/// `[retry]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RetryTable {
    attempts: Option<u32>,
    max_age: Option<Time>,
    backoff: Option<BackoffTable>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct BackoffTable {
    first: Option<Time>,
    factor: Option<f64>,
    max: Option<Time>,
    jitter: Option<f64>,
}

/// `50/s`, in attempts a second.
#[derive(Debug, Clone)]
pub(crate) struct Rate(pub(crate) f64);

/// `[accepted]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AcceptedTable {
    status: Option<u16>,
    #[serde(default)]
    headers: std::collections::BTreeMap<String, String>,
    body: Option<String>,
}

const HOSTS_OWN: [&str; 4] = ["content-length", "transfer-encoding", "connection", "date"];
const ACCEPTED_BODY_MAX: usize = 64 << 10;
const DEDUP_WINDOW_DEFAULT: Duration = Duration::from_secs(7 * 86_400);

/// How duplicates are recognised.
pub(crate) fn dedup(table: DedupTable) -> Result<DedupSpec, Mistake> {
    let id = match table.id {
        None => DedupId::OfPack,
        Some(DedupIdTyped::At(fields)) => DedupId::At(fields),
        Some(DedupIdTyped::Word(DedupWord::BodyDigest)) => DedupId::BodyDigest,
        Some(DedupIdTyped::Word(DedupWord::None)) => DedupId::Nothing,
    };
    let window = in_range(
        &["dedup", "window"],
        table.window,
        DEDUP_WINDOW_DEFAULT,
        1,
        90 * 86_400,
    )?;
    Ok(DedupSpec {
        id,
        id_match: table.r#match,
        window,
    })
}

/// The retry schedule.
pub(crate) fn retry(table: RetryTable) -> Result<RetrySpec, Mistake> {
    let defaults = RetrySpec::default();
    let backoff = table.backoff.unwrap_or_default();
    let spec = RetrySpec {
        attempts: table.attempts.unwrap_or(defaults.attempts),
        first: in_range(
            &["retry", "backoff"],
            backoff.first,
            defaults.first,
            0,
            86_400,
        )?,
        factor: backoff.factor.unwrap_or(defaults.factor),
        max: in_range(
            &["retry", "backoff"],
            backoff.max,
            defaults.max,
            0,
            7 * 86_400,
        )?,
        jitter: backoff.jitter.unwrap_or(defaults.jitter),
        max_age: in_range(
            &["retry", "max_age"],
            table.max_age,
            defaults.max_age,
            1,
            365 * 86_400,
        )?,
    };
    if !(1..=100).contains(&spec.attempts) {
        return mistake(
            &["retry", "attempts"],
            format!("attempts {} is out of range: 1 to 100", spec.attempts),
        );
    }
    if !(1.0..=100.0).contains(&spec.factor) {
        return mistake(
            &["retry", "backoff"],
            format!("factor {} is out of range: 1.0 to 100.0", spec.factor),
        );
    }
    if !(0.0..=1.0).contains(&spec.jitter) {
        return mistake(
            &["retry", "backoff"],
            format!("jitter {} is out of range: 0.0 to 1.0", spec.jitter),
        );
    }
    if spec.max < spec.first {
        return mistake(&["retry", "backoff"], "max is shorter than first");
    }
    Ok(spec)
}

/// The response to an event that is stored and runs later.
pub(crate) fn accepted(table: AcceptedTable) -> Result<AcceptedSpec, Mistake> {
    let AcceptedTable {
        status,
        headers: typed,
        body,
    } = table;
    if let Some(status) = status.filter(|status| !(200..=299).contains(status)) {
        let why = format!("status {status} does not say that an event was accepted: 200 to 299");
        return mistake(&["accepted", "status"], why);
    }
    let mut headers = HeaderMap::new();
    for (name, value) in typed {
        let (Ok(parsed), Ok(value)) = (name.parse::<HeaderName>(), value.parse::<HeaderValue>())
        else {
            return mistake(
                &["accepted", "headers"],
                format!("header `{}` cannot be sent", name.escape_debug()),
            );
        };
        if HOSTS_OWN.contains(&parsed.as_str()) {
            return mistake(
                &["accepted", "headers"],
                format!("header `{parsed}` is written by the host"),
            );
        }
        headers.insert(parsed, value);
    }
    match body {
        Some(body) if body.len() > ACCEPTED_BODY_MAX => {
            mistake(&["accepted", "body"], "the body is above 64 KiB")
        }
        Some(_) if matches!(status, Some(204 | 205)) => mistake(
            &["accepted", "body"],
            "status 204 and 205 have no body: leave it out, or take status 200",
        ),
        body => Ok(AcceptedSpec {
            status,
            headers,
            body,
        }),
    }
}

// === impl Rate ===

impl std::str::FromStr for Rate {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Rate, ValueError> {
        let wrong = || ValueError::Rate(text.to_owned());
        let (count, unit) = text.split_once('/').ok_or_else(wrong)?;
        let count: u32 = count.trim().parse().map_err(|_| wrong())?;
        let seconds = match unit.trim() {
            "s" => 1.0,
            "min" => 60.0,
            "h" => 3600.0,
            _ => return Err(wrong()),
        };
        if count == 0 {
            return Err(wrong());
        }

        Ok(Rate(f64::from(count) / seconds))
    }
}
