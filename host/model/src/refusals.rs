//! The last refused requests, for the operator. Each pair of hook and reason has its own list, so
//! that many refusals of one kind (404s of a scanner) do not displace the others.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::lock::lock;
use super::request_excerpt::RequestExcerpt;

/// The most requests that are stored for one hook and reason.
const KEPT_MAX: usize = 10;
/// The most pairs of hook and reason. A further pair replaces the one that was unchanged for
/// longest.
const KINDS_MAX: usize = 1_000;
/// The most bytes of `detail` and of `hint`.
const TEXT_MAX: usize = 600;
/// The most bytes of all excerpts of requests. Above it, the oldest excerpts are removed; their
/// refusals stay.
const EXCERPT_BYTES_MAX: usize = 4 << 20;
/// The most log lines of one hook and reason in one window.
const LINES_MAX: u32 = 5;
/// How long further lines are suppressed.
pub const LOG_WINDOW: Duration = Duration::from_secs(10);

/// The hook's name if no hook was found.
pub const NO_HOOK: &str = "-";
/// The hook's name in refusals of the admin listener.
pub const ADMIN: &str = "_admin";

/// One request that was refused.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct RefusedRequest {
    /// RFC 3339, UTC.
    pub at: String,
    /// The hook's name, or `-`.
    pub hook: String,
    /// The reason word, such as `signature_mismatch`.
    pub reason: &'static str,
    /// The status of the response. `None`: the connection was closed without a response, or the
    /// request was a duplicate, which is answered like an accepted event.
    pub status: Option<u16>,
    /// How the request differs from what was expected.
    pub detail: String,
    /// What the operator can do.
    pub hint: Option<String>,
    /// The address of the client: the other end of the connection, or what a trusted proxy reports.
    pub client_address: Option<String>,
    /// The head of the request and the beginning of its body. `None`: the listener refused the
    /// request before it had a head, or too many others were refused since.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<Box<RequestExcerpt>>,
}

/// A stored refusal, and the number of refusals of its kind.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct KeptRefusal {
    /// The request.
    #[serde(flatten)]
    pub request: RefusedRequest,
    /// Requests that were refused with this hook and reason since the start.
    pub count: u64,
    /// The time of the first of them.
    pub first_at: String,
}

/// Whether to write a log line for a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogDecision {
    /// Write the line.
    Write,
    /// Do not write the line.
    Suppress,
    /// Do not write the line, and call [`RefusalLog::take_suppressed`] after [`LOG_WINDOW`].
    SuppressFirst,
}

/// The refusals of one hook and reason.
#[derive(Debug)]
struct Kind {
    count: u64,
    first_at: String,
    /// The last refusals, numbered over all kinds.
    kept: VecDeque<(u64, RefusedRequest)>,
    window: Instant,
    lines: u32,
    suppressed: u64,
}

/// The last refused requests.
#[derive(Debug, Default)]
pub struct RefusalLog {
    kinds: Mutex<Kinds>,
}

#[derive(Debug, Default)]
struct Kinds {
    all: BTreeMap<(String, &'static str), Kind>,
    next: u64,
    /// The bytes of all excerpts.
    excerpt_bytes: usize,
}

// === impl RefusalLog ===

impl RefusalLog {
    /// Stores a refusal, and returns whether to log it.
    pub fn record(&self, mut refused: RefusedRequest, now: Instant) -> LogDecision {
        truncate(&mut refused.detail);
        refused.hint.iter_mut().for_each(truncate);

        let mut kinds = lock(&self.kinds);
        let number = kinds.next;
        kinds.next += 1;

        let key = (refused.hook.clone(), refused.reason);
        if kinds.all.len() >= KINDS_MAX && !kinds.all.contains_key(&key) {
            kinds.remove_oldest();
        }
        let kind = kinds
            .all
            .entry(key)
            .or_insert_with(|| Kind::new(refused.at.clone(), now));
        kind.count += 1;
        let displaced = if kind.kept.len() >= KEPT_MAX {
            kind.kept.pop_front()
        } else {
            None
        };
        let added = refused.excerpt_bytes();
        kind.kept.push_back((number, refused));
        let decision = kind.decide(now);

        let removed = displaced.map_or(0, |(_, request)| request.excerpt_bytes());
        kinds.excerpt_bytes = (kinds.excerpt_bytes + added).saturating_sub(removed);
        while kinds.excerpt_bytes > EXCERPT_BYTES_MAX && kinds.remove_oldest_excerpt() {}
        decision
    }

    /// The number of suppressed lines of this hook and reason. The next lines are written again.
    pub fn take_suppressed(&self, hook: &str, reason: &'static str, now: Instant) -> u64 {
        let mut kinds = lock(&self.kinds);
        let Some(kind) = kinds.all.get_mut(&(hook.to_owned(), reason)) else {
            return 0;
        };
        kind.window = now;
        kind.lines = 0;
        std::mem::take(&mut kind.suppressed)
    }

    /// The stored refusals, newest first.
    pub fn last(&self) -> Vec<KeptRefusal> {
        let kinds = lock(&self.kinds);
        let mut all: Vec<(u64, KeptRefusal)> = Vec::new();
        for kind in kinds.all.values() {
            for (number, request) in &kind.kept {
                let (count, first_at) = (kind.count, kind.first_at.clone());
                all.push((
                    *number,
                    KeptRefusal {
                        request: request.clone(),
                        count,
                        first_at,
                    },
                ));
            }
        }
        drop(kinds);

        all.sort_by_key(|(number, _)| std::cmp::Reverse(*number));
        all.into_iter().map(|(_, kept)| kept).collect()
    }
}

// === impl Kinds ===

impl Kinds {
    /// Removes the kind that was unchanged for longest.
    fn remove_oldest(&mut self) {
        let oldest = self.all.iter().min_by_key(|(_, kind)| kind.last_number());
        if let Some(key) = oldest.map(|(key, _)| key.clone()) {
            let removed = self.all.remove(&key);
            let kept = removed.iter().flat_map(|kind| &kind.kept);
            let bytes: usize = kept.map(|(_, request)| request.excerpt_bytes()).sum();
            self.excerpt_bytes = self.excerpt_bytes.saturating_sub(bytes);
        }
    }

    /// Removes the excerpt of the oldest refusal that has one. Returns whether there was one.
    fn remove_oldest_excerpt(&mut self) -> bool {
        let kept = self.all.values_mut().flat_map(|kind| &mut kind.kept);
        let oldest = kept
            .filter(|(_, request)| request.request.is_some())
            .min_by_key(|(number, _)| *number);
        let Some((_, refused)) = oldest else {
            return false;
        };

        let bytes = refused.excerpt_bytes();
        refused.request = None;
        self.excerpt_bytes = self.excerpt_bytes.saturating_sub(bytes);
        true
    }
}

// === impl RefusedRequest ===

impl RefusedRequest {
    fn excerpt_bytes(&self) -> usize {
        self.request.as_ref().map_or(0, |request| request.bytes())
    }
}

// === impl Kind ===

impl Kind {
    fn new(first_at: String, now: Instant) -> Kind {
        Kind {
            count: 0,
            first_at,
            kept: VecDeque::new(),
            window: now,
            lines: 0,
            suppressed: 0,
        }
    }

    fn last_number(&self) -> Option<u64> {
        self.kept.back().map(|(number, _)| *number)
    }

    fn decide(&mut self, now: Instant) -> LogDecision {
        if self.suppressed == 0 && now.duration_since(self.window) >= LOG_WINDOW {
            self.window = now;
            self.lines = 0;
        }
        if self.lines < LINES_MAX {
            self.lines += 1;
            return LogDecision::Write;
        }
        self.suppressed += 1;
        if self.suppressed == 1 {
            LogDecision::SuppressFirst
        } else {
            LogDecision::Suppress
        }
    }
}

fn truncate(text: &mut String) {
    if text.len() > TEXT_MAX {
        text.truncate(text.floor_char_boundary(TEXT_MAX));
        text.push('…');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(hook: &str, reason: &'static str, detail: &str) -> RefusedRequest {
        RefusedRequest {
            at: "2026-01-01T00:00:00Z".into(),
            hook: hook.into(),
            reason,
            status: Some(404),
            detail: detail.into(),
            hint: None,
            client_address: None,
            request: None,
        }
    }

    fn with_body(hook: &str, bytes: usize) -> RefusedRequest {
        let excerpt = RequestExcerpt {
            path: "p".repeat(bytes),
            ..RequestExcerpt::default()
        };
        RefusedRequest {
            request: Some(Box::new(excerpt)),
            ..refused(hook, "signature_mismatch", "")
        }
    }

    #[test]
    fn excerpts_are_bounded_in_bytes() {
        let log = RefusalLog::default();
        for number in 0..1_000 {
            let refused = with_body(&format!("hook{}", number % 200), 10_000);
            log.record(refused, Instant::now());
        }

        let last = log.last();
        assert_eq!(last.len(), 1_000);
        let with_excerpt = last.iter().filter(|kept| kept.request.request.is_some());
        let count = with_excerpt.count();
        assert!((300..=420).contains(&count), "{count}");
        assert!(last[0].request.request.is_some(), "the newest is kept");
        assert!(last[999].request.request.is_none(), "the oldest is removed");
    }

    #[test]
    fn kinds_do_not_displace_each_other() {
        let log = RefusalLog::default();
        let now = Instant::now();
        log.record(refused("github", "signature_mismatch", "first"), now);
        for number in 0..5_000 {
            log.record(refused(NO_HOOK, "unknown_path", &number.to_string()), now);
        }
        let last = log.last();
        assert_eq!(last.len(), KEPT_MAX + 1);
        assert_eq!(
            (last[0].request.detail.as_str(), last[0].count),
            ("4999", 5_000)
        );
        assert_eq!(
            (last[KEPT_MAX].request.detail.as_str(), last[KEPT_MAX].count),
            ("first", 1)
        );
    }

    #[test]
    fn the_number_of_kinds_is_bounded() {
        let log = RefusalLog::default();
        for number in 0..2 * KINDS_MAX {
            log.record(
                refused(&format!("hook{number}"), "closed", &"x".repeat(10_000)),
                Instant::now(),
            );
        }
        let last = log.last();
        assert_eq!(last.len(), KINDS_MAX);
        assert!(last.iter().all(|kept| kept.request.detail.len() < 700));
        assert_eq!(last[0].request.hook, format!("hook{}", 2 * KINDS_MAX - 1));
    }

    #[test]
    fn lines_beyond_a_few_are_counted() {
        let log = RefusalLog::default();
        let start = Instant::now();
        let record = |after: u64| {
            log.record(
                refused("a", "closed", ""),
                start + Duration::from_secs(after),
            )
        };
        for _ in 0..LINES_MAX {
            assert_eq!(record(1), LogDecision::Write);
        }
        assert_eq!(
            [record(2), record(2), record(30)],
            [
                LogDecision::SuppressFirst,
                LogDecision::Suppress,
                LogDecision::Suppress
            ]
        );
        assert_eq!(
            log.take_suppressed("a", "closed", start + Duration::from_secs(31)),
            3
        );
        assert_eq!(record(31), LogDecision::Write);
        assert_eq!(
            log.take_suppressed("a", "closed", start + Duration::from_secs(32)),
            0
        );
    }
}
