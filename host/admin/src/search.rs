//! The filters of a list of deliveries. The ledger filters by its columns. Filters on headers, bodies and attempts read each event; such a
//! request reads a bounded number, and its response says where to go on.

use std::time::{Duration, Instant};

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};

use super::events::{Events, PAGE_MAX, answer, is_shown, refused, state, time};
use landfall_ledger::{Filter, LedgerError, Listed, Shown};
use landfall_model::Event;

const PAGE_DEFAULT: usize = 50;
/// The most deliveries that one request reads, and the most time that it takes.
const SCANNED_MAX: usize = 2000;
const TIME_MAX: Duration = Duration::from_secs(2);
/// Deliveries that are listed from the ledger at a time.
const STEP: usize = 200;

/// The query parameters.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Search {
    hook: Option<String>,
    state: Option<String>,
    /// Delivery numbers, separated by commas.
    deliveries: Option<String>,
    before: Option<i64>,
    after: Option<i64>,
    since: Option<String>,
    until: Option<String>,
    limit: Option<usize>,
    delivery_id: Option<String>,
    r#type: Option<String>,
    /// `NAME: VALUE`
    header: Option<String>,
    /// `/POINTER=VALUE`
    value: Option<String>,
    text: Option<String>,
    reason: Option<String>,
    outcome: Option<String>,
    slower: Option<String>,
    /// Respond with an object that has `next` and `scanned` beside the list.
    #[serde(default)]
    page: bool,
}

#[derive(Debug, Default, Serialize)]
struct Found {
    events: Vec<Listed>,
    /// The cursor for the next request: its `before` (or its `after`, if this one had `after`). `None` at the end.
    next: Option<i64>,
    /// Number of deliveries that were examined.
    scanned: usize,
}

/// Filters that need the event or its attempts.
#[derive(Debug, Default)]
struct Content {
    delivery_id: Option<String>,
    event_type: Option<String>,
    header: Option<(String, String)>,
    value: Option<(String, String)>,
    text: Option<String>,
    outcome: Option<String>,
    slower: Option<Duration>,
}

pub(super) async fn list(
    State(events): State<Events>,
    query: Result<Query<Search>, QueryRejection>,
) -> Response {
    let Query(search) = match query {
        Ok(query) => query,
        Err(why) => return refused(StatusCode::BAD_REQUEST, &why.body_text()),
    };
    let (filter, content) = match (search.filter(), search.content()) {
        (Ok(filter), Ok(content)) => (filter, content),
        (Err(why), _) | (_, Err(why)) => return refused(StatusCode::BAD_REQUEST, &why),
    };
    let found = find(&events, filter, search.reason.as_deref(), &content).await;
    match search.page {
        true => answer(found),
        false => answer(found.map(|found| found.events)),
    }
}

// === impl Search ===

impl Search {
    fn filter(&self) -> Result<Filter, String> {
        let number = |text: &str| {
            text.parse()
                .map_err(|_| format!("`{}` is no delivery", text.escape_debug()))
        };
        let deliveries = self
            .deliveries
            .as_deref()
            .map(|list| list.split(',').map(number).collect())
            .transpose()?;
        let deliveries: Vec<i64> = deliveries.unwrap_or_default();
        if deliveries.len() > PAGE_MAX {
            return Err(format!("{PAGE_MAX} deliveries at most in one request"));
        }
        Ok(Filter {
            hook: self.hook.clone(),
            deliveries,
            states: state(self.state.as_deref())?.into_iter().collect(),
            before: self.before,
            after: self.after,
            since_ms: time(self.since.as_deref())?,
            until_ms: time(self.until.as_deref())?,
            limit: self.limit.unwrap_or(PAGE_DEFAULT).min(PAGE_MAX),
            ..Filter::default()
        })
    }

    fn content(&self) -> Result<Content, String> {
        let pair = |text: &Option<String>, marks: &[char], form: &str| {
            let split = |text: &String| {
                let (name, value) = text
                    .split_once(marks)
                    .ok_or_else(|| format!("write {form}"))?;
                Ok::<_, String>((name.trim().to_owned(), value.trim().to_owned()))
            };
            text.as_ref().map(split).transpose()
        };
        let header = pair(&self.header, &[':', '='], "`header` as NAME: VALUE")?;
        // A search must not reveal a masked value.
        if let Some((name, _)) = header
            .as_ref()
            .filter(|(name, _)| !is_shown(&name.to_ascii_lowercase()))
        {
            return Err(format!(
                "header `{}` may carry a secret: it is masked, and not searched",
                name.escape_debug()
            ));
        }
        let value = pair(&self.value, &['='], "`value` as /POINTER=VALUE")?;
        if let Some((pointer, _)) = value
            .as_ref()
            .filter(|(pointer, _)| !pointer.starts_with('/'))
        {
            return Err(format!(
                "`{}` is no JSON pointer: it begins with /",
                pointer.escape_debug()
            ));
        }
        let slower = self.slower.as_deref().map(|text| {
            let wrong = |_| {
                format!(
                    "`{}` is no duration: write 2s or 250ms",
                    text.escape_debug()
                )
            };
            humantime::parse_duration(text).map_err(wrong)
        });
        Ok(Content {
            delivery_id: self.delivery_id.clone(),
            event_type: self.r#type.clone(),
            header,
            value,
            text: self.text.clone(),
            outcome: self.outcome.clone(),
            slower: slower.transpose()?,
        })
    }
}

async fn find(
    events: &Events,
    mut filter: Filter,
    reason: Option<&str>,
    content: &Content,
) -> Result<Found, LedgerError> {
    let limit = filter.limit;
    if reason.is_none() && content.is_empty() {
        let listed = events.ledger.list(filter).await?;
        let next = listed
            .last()
            .filter(|_| listed.len() == limit)
            .map(|last| last.delivery);
        return Ok(Found {
            scanned: listed.len(),
            events: listed,
            next,
        });
    }

    let began = Instant::now();
    let mut found = Found::default();
    filter.limit = STEP;
    loop {
        let page = events.ledger.list(filter.clone()).await?;
        let is_last = page.len() < STEP;
        for one in page {
            if found.events.len() == limit
                || found.scanned == SCANNED_MAX
                || began.elapsed() > TIME_MAX
            {
                return Ok(found);
            }
            found.scanned += 1;
            found.next = Some(one.delivery);
            let has_reason = reason.is_none_or(|reason| {
                one.reason
                    .as_deref()
                    .is_some_and(|why| why.contains(reason))
            });
            if has_reason && (content.is_empty() || content.is_of(events, &one).await?) {
                found.events.push(one);
            }
        }
        if is_last {
            found.next = None;
            return Ok(found);
        }
        match filter.after {
            Some(_) => filter.after = found.next,
            None => filter.before = found.next,
        }
    }
}

// === impl Content ===

impl Content {
    fn is_empty(&self) -> bool {
        !self.wants_event() && self.outcome.is_none() && self.slower.is_none()
    }

    fn wants_event(&self) -> bool {
        let Content {
            delivery_id,
            event_type,
            header,
            value,
            text,
            ..
        } = self;
        delivery_id.is_some()
            || event_type.is_some()
            || header.is_some()
            || value.is_some()
            || text.is_some()
    }

    async fn is_of(&self, events: &Events, one: &Listed) -> Result<bool, LedgerError> {
        let Ok(id) = one.event.parse() else {
            return Ok(false);
        };
        let Some(shown) = events.ledger.show(id).await? else {
            return Ok(false);
        };
        Ok(self.fits_attempts(&shown, one.delivery) && self.fits_event(&shown))
    }

    fn fits_attempts(&self, shown: &Shown, delivery: i64) -> bool {
        if self.outcome.is_none() && self.slower.is_none() {
            return true;
        }
        shown
            .attempts
            .iter()
            .filter(|attempt| attempt.delivery == delivery)
            .any(|attempt| {
                self.outcome
                    .as_ref()
                    .is_none_or(|outcome| attempt.outcome == *outcome)
                    && self
                        .slower
                        .is_none_or(|slower| attempt.duration_ms >= slower.as_secs_f64() * 1000.0)
            })
    }

    fn fits_event(&self, shown: &Shown) -> bool {
        if !self.wants_event() {
            return true;
        }
        // A pruned or corrupt event matches no filter.
        let Some(Ok(event)) = &shown.event else {
            return false;
        };
        let is_attribute = |name, wanted: &Option<String>| {
            wanted
                .as_deref()
                .is_none_or(|wanted| event.attribute(name) == Some(wanted))
        };
        is_attribute("delivery-id", &self.delivery_id)
            && is_attribute("event-type", &self.event_type)
            && self
                .header
                .as_ref()
                .is_none_or(|(name, value)| has_header(event, name, value))
            && self
                .text
                .as_ref()
                .is_none_or(|text| String::from_utf8_lossy(&event.body).contains(text.as_str()))
            && self
                .value
                .as_ref()
                .is_none_or(|(pointer, value)| has_value(event, pointer, value))
    }
}

fn has_header(event: &Event, name: &str, value: &str) -> bool {
    event
        .headers
        .get_all(name)
        .iter()
        .any(|found| found.as_bytes() == value.as_bytes())
}

fn has_value(event: &Event, pointer: &str, wanted: &str) -> bool {
    let body: Option<serde_json::Value> = serde_json::from_slice(&event.body).ok();
    body.as_ref()
        .and_then(|body| body.pointer(pointer))
        .is_some_and(|found| match found {
            serde_json::Value::String(text) => text == wanted,
            other => {
                let text = other.to_string();
                text == wanted
            }
        })
}
