//! The filters of a list of deliveries. The ledger filters by its columns. Filters on headers,
//! bodies and attempts read each event. A request takes a bounded time, and its response says where
//! to go on.

use std::iter::Peekable;
use std::time::{Duration, Instant};
use std::vec::IntoIter;

use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::delivery::{Delivery, deliveries};
use super::error::{ApiError, ApiQuery, Refusal, answered, bad_request, failed};
use super::params::{PAGE_MAX, state, time};
use super::query_error::QueryError;
use crate::events::Events;
use landfall_ledger::{Content as Read, Filter, LedgerError, Listed, Parts};
use landfall_model::{Clock, Event, OUTCOME_WORDS, is_shown_header};

const PAGE_DEFAULT: usize = 50;
/// The most deliveries whose events or attempts one request reads.
const SCANNED_MAX: usize = 10_000;
/// The time after which a request reads no more, so that it is answered within 50 ms.
const TIME_MAX: Duration = Duration::from_millis(30);
/// Deliveries that are listed from the ledger at a time, and bytes of bodies that are read at a
/// time. A request reads so many, however long it takes.
const STEP: usize = 200;
const BYTES_MAX: i64 = 512 << 10;
/// Delivery numbers among which the ledger looks at a time: at first, and at most. After a quick
/// answer, the next range is twice as large.
const WINDOW_MIN: i64 = 10_000;
const WINDOW_MAX: i64 = 160_000;
const WINDOW_QUICK: Duration = Duration::from_millis(4);
/// Replays at the end of the searched window, among which its time is looked for.
const REPLAYS_MAX: usize = 50;

/// The filters of a list of deliveries, and the page.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct Search {
    /// Deliveries of this hook.
    hook: Option<String>,
    /// `waiting`, `pending`, `running`, `done`, `dead`, `resolved`, `discarded`, `filtered` or
    /// `superseded`.
    state: Option<String>,
    /// Delivery numbers, separated by commas; up to 1000.
    deliveries: Option<String>,
    /// Deliveries with smaller numbers: `next` of the page before.
    before: Option<i64>,
    /// Deliveries with greater numbers, in ascending order.
    after: Option<i64>,
    /// Events received at this time or later: `2026-01-31T08:15:30Z`, or `1h` for an hour ago.
    since: Option<String>,
    /// Events received before this time.
    until: Option<String>,
    /// The most deliveries, up to 1000. Default: 50.
    limit: Option<usize>,
    /// The delivery with this id of the provider.
    delivery_id: Option<String>,
    /// Events of this type of the provider.
    #[serde(rename = "type")]
    event_type: Option<String>,
    /// Requests with this header: `NAME: VALUE`.
    header: Option<String>,
    /// Events with this value in the JSON body: `/POINTER=VALUE`.
    value: Option<String>,
    /// Events with this text in the body.
    text: Option<String>,
    /// Deliveries with this text in the reason of a retry or death.
    reason: Option<String>,
    /// Deliveries with an attempt of this outcome.
    outcome: Option<String>,
    /// Deliveries with an attempt that took at least this long, such as `2s`.
    slower: Option<String>,
}

/// A page of deliveries.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EventPage {
    /// Newest first, or in ascending order with `after`.
    events: Vec<Delivery>,
    /// The `before` of the next page (or its `after`, if this request had `after`). Null at the
    /// end. A page may have fewer deliveries than were asked for, or none, and a `next`.
    next: Option<i64>,
    /// Number of deliveries that were examined.
    scanned: usize,
    /// When the event at the old end of the searched window was received, in RFC 3339. Null if no
    /// older delivery can match, and with `after`.
    back_to: Option<String>,
}

#[derive(Debug, Default)]
struct Found {
    events: Vec<Listed>,
    /// See `EventPage`.
    next: Option<i64>,
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

/// A page of deliveries, newest first.
///
/// A request that takes 30 ms or has read 10,000 events ends early, with a `next`: what it says
/// holds for the deliveries down to that number. The event of the last of them was received at
/// `back_to`.
#[utoipa::path(
    get,
    path = "/api/v1/events",
    operation_id = "list_events",
    tag = "events",
    params(Search),
    responses(
        (status = 200, body = EventPage),
        (status = 400, description = "A filter is wrong", body = ApiError),
        (status = 404, description = "There is no such hook, and no event of it", body = ApiError),
    )
)]
pub(crate) async fn list(
    State(events): State<Events>,
    ApiQuery(search): ApiQuery<Search>,
) -> Response {
    answered(page(&events, &search).await)
}

async fn page(events: &Events, search: &Search) -> Result<EventPage, Refusal> {
    let filter = search.filter(events.clock).map_err(bad_request)?;
    let content = search.content().map_err(bad_request)?;
    if let Some(hook) = &search.hook {
        events.require_known(hook).await?;
    }

    let found = find(events, filter, search.reason.as_deref(), &content)
        .await
        .map_err(failed)?;
    let back_to = match found.next.filter(|_| search.after.is_none()) {
        Some(next) => oldest_searched(events, next).await.map_err(failed)?,
        None => None,
    };
    Ok(EventPage {
        events: deliveries(events, found.events),
        next: found.next,
        scanned: found.scanned,
        back_to,
    })
}

/// When the event of the first delivery with this or a greater number was received. Replays are
/// younger than their events, and do not count.
async fn oldest_searched(events: &Events, next: i64) -> Result<Option<String>, LedgerError> {
    let filter = Filter {
        after: Some(next.saturating_sub(1)),
        limit: REPLAYS_MAX,
        ..Filter::default()
    };
    let listed = events.ledger.list(filter).await?;
    let first = listed.into_iter().find(|one| !one.replayed);
    Ok(first.map(|one| one.received_at))
}

// === impl Search ===

impl Search {
    fn filter(&self, clock: Clock) -> Result<Filter, QueryError> {
        let deliveries = match &self.deliveries {
            Some(list) => list
                .split(',')
                .map(delivery_number)
                .collect::<Result<_, _>>()?,
            None => Vec::new(),
        };

        if deliveries.len() > PAGE_MAX {
            return Err(QueryError::TooManyDeliveries(PAGE_MAX));
        }

        Ok(Filter {
            hook: self.hook.clone(),
            deliveries,
            states: state(self.state.as_deref())?.into_iter().collect(),
            before: self.before,
            after: self.after,
            since_ms: time(self.since.as_deref(), clock)?,
            until_ms: time(self.until.as_deref(), clock)?,
            limit: self.limit.unwrap_or(PAGE_DEFAULT).min(PAGE_MAX),
            ..Filter::default()
        })
    }

    fn content(&self) -> Result<Content, QueryError> {
        let header = pair(&self.header, &[':', '='], "`header` as NAME: VALUE")?;
        // A search must not reveal a masked value.
        if let Some((name, _)) = header
            .as_ref()
            .filter(|(name, _)| !is_shown_header(&name.to_ascii_lowercase()))
        {
            return Err(QueryError::MaskedHeader(name.clone()));
        }

        let value = pair(&self.value, &['='], "`value` as /POINTER=VALUE")?;
        if let Some((pointer, _)) = value
            .as_ref()
            .filter(|(pointer, _)| !pointer.starts_with('/'))
        {
            return Err(QueryError::Pointer(pointer.clone()));
        }

        if let Some(word) = self.outcome.as_deref()
            && !OUTCOME_WORDS.contains(&word)
        {
            return Err(QueryError::Outcome(word.to_owned()));
        }

        let slower = self.slower.as_deref().map(|text| {
            humantime::parse_duration(text).map_err(|_| QueryError::Duration(text.to_owned()))
        });
        Ok(Content {
            delivery_id: self.delivery_id.clone(),
            event_type: self.event_type.clone(),
            header,
            value,
            text: self.text.clone(),
            outcome: self.outcome.clone(),
            slower: slower.transpose()?,
        })
    }
}

fn delivery_number(text: &str) -> Result<i64, QueryError> {
    text.parse()
        .map_err(|_| QueryError::Delivery(text.to_owned()))
}

/// The two parts of a filter. `form` says how to write it.
fn pair(
    text: &Option<String>,
    marks: &[char],
    form: &'static str,
) -> Result<Option<(String, String)>, QueryError> {
    let Some(text) = text else { return Ok(None) };
    let (name, value) = text.split_once(marks).ok_or(QueryError::Form(form))?;

    Ok(Some((name.trim().to_owned(), value.trim().to_owned())))
}

/// A list of the newest deliveries looks at a bounded range of delivery numbers at a time, so that
/// no statement reads the whole ledger.
async fn find(
    events: &Events,
    mut filter: Filter,
    reason: Option<&str>,
    content: &Content,
) -> Result<Found, LedgerError> {
    let (limit, is_plain) = (filter.limit, reason.is_none() && content.is_empty());
    let began = Instant::now();
    let is_late = || began.elapsed() > TIME_MAX;
    let (mut found, mut window) = (Found::default(), WINDOW_MIN);
    let is_windowed = filter.after.is_none() && filter.deliveries.is_empty();
    let oldest = if is_windowed {
        let end = newest(events).await? + 1;
        filter.before = Some(filter.before.map_or(end, |before| before.min(end)));
        oldest(events, filter.since_ms).await?
    } else {
        0
    };

    loop {
        let left = limit - found.events.len();
        filter.limit = if is_plain { left } else { STEP };
        filter.floor = filter
            .before
            .filter(|_| is_windowed)
            .map(|before| before.saturating_sub(window).max(oldest));
        let asked = Instant::now();
        let page = events.ledger.list(filter.clone()).await?;
        if asked.elapsed() < WINDOW_QUICK {
            window = WINDOW_MAX.min(2 * window);
        }
        let is_full = page.len() == filter.limit;
        let last = page.last().map(|last| last.delivery);

        if is_plain {
            found.scanned += page.len();
            found.events.extend(page);
        } else {
            let mut page = page.into_iter().peekable();
            while page.peek().is_some() {
                let chunk = chunk(&mut page, events, content, reason).await?;
                for (one, fits) in chunk {
                    if found.events.len() == limit || found.scanned == SCANNED_MAX {
                        return Ok(found);
                    }

                    found.scanned += 1;
                    found.next = Some(one.delivery);
                    found.events.extend(fits.then_some(one));
                }

                if page.peek().is_some() && is_late() {
                    return Ok(found);
                }
            }
        }

        found.next = if is_full {
            last
        } else {
            filter.floor.filter(|floor| *floor > oldest)
        };
        if found.next.is_none() || found.events.len() == limit || is_late() {
            return Ok(found);
        }

        match filter.after {
            Some(_) => filter.after = found.next,
            None => filter.before = found.next,
        }
    }
}

/// The largest delivery number; 0 in an empty ledger.
pub(crate) async fn newest(events: &Events) -> Result<i64, LedgerError> {
    let filter = Filter {
        limit: 1,
        ..Filter::default()
    };
    let listed = events.ledger.list(filter).await?;
    Ok(listed.first().map_or(0, |one| one.delivery))
}

/// The smallest delivery number that can match; 0 in an empty ledger.
async fn oldest(events: &Events, since_ms: Option<i64>) -> Result<i64, LedgerError> {
    if let Some(since_ms) = since_ms
        && let Some(floor) = events.ledger.floor_since(since_ms).await?
    {
        return Ok(floor);
    }

    let filter = Filter {
        after: Some(0),
        limit: 1,
        ..Filter::default()
    };
    let listed = events.ledger.list(filter).await?;
    Ok(listed.first().map_or(0, |one| one.delivery))
}

/// The next deliveries whose bodies take little memory together, and whether each fits the filters.
async fn chunk(
    page: &mut Peekable<IntoIter<Listed>>,
    events: &Events,
    content: &Content,
    reason: Option<&str>,
) -> Result<Vec<(Listed, bool)>, LedgerError> {
    let (mut chunk, mut bytes) = (Vec::new(), 0);
    while let Some(one) = page.next_if(|one| bytes + one.body_bytes <= BYTES_MAX || bytes == 0) {
        bytes += one.body_bytes.max(1);
        let fits = reason.is_none_or(|reason| {
            one.reason
                .as_deref()
                .is_some_and(|why| why.contains(reason))
        });
        chunk.push((one, fits));
    }

    if content.is_empty() {
        return Ok(chunk);
    }

    let candidates = chunk.iter().filter(|(_, fits)| *fits);
    let numbers = candidates.map(|(one, _)| one.delivery).collect();
    let found = events.ledger.contents(numbers, content.parts()).await?;
    for (one, fits) in &mut chunk {
        let read = found.get(&one.delivery);
        *fits = *fits && read.is_some_and(|read| content.fits(events, read));
    }

    Ok(chunk)
}

// === impl Content ===

impl Content {
    fn is_empty(&self) -> bool {
        self.parts() == Parts::default()
    }

    /// The parts of a delivery that these filters need.
    fn parts(&self) -> Parts {
        let Content {
            delivery_id,
            event_type,
            header,
            value,
            text,
            outcome,
            slower,
        } = self;
        Parts {
            event: delivery_id.is_some()
                || event_type.is_some()
                || header.is_some()
                || value.is_some()
                || text.is_some(),
            attempts: outcome.is_some() || slower.is_some(),
        }
    }

    fn fits(&self, events: &Events, read: &Read) -> bool {
        let Parts { event, attempts } = self.parts();
        // A pruned or corrupt event matches no filter.
        let fits_event = !event
            || read
                .event
                .as_ref()
                // A search must not reveal a masked value.
                .is_some_and(|event| self.fits_event(&events.mask(event).event));
        fits_event && (!attempts || self.fits_attempts(&read.attempts))
    }

    fn fits_attempts(&self, attempts: &[(String, Duration)]) -> bool {
        attempts.iter().any(|(outcome, duration)| {
            self.outcome.as_ref().is_none_or(|wanted| outcome == wanted)
                && self.slower.is_none_or(|slower| *duration >= slower)
        })
    }

    fn fits_event(&self, event: &Event) -> bool {
        has_attribute(event, "delivery-id", self.delivery_id.as_deref())
            && has_attribute(event, "event-type", self.event_type.as_deref())
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

fn has_attribute(event: &Event, name: &str, wanted: Option<&str>) -> bool {
    wanted.is_none_or(|wanted| event.attribute(name) == Some(wanted))
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
