//! What one connection is doing: reading, handling requests, sending, or idle. HTTP/2 connections
//! on which nothing happens are closed here, because hyper keeps them open while the client answers
//! pings, even if it never reads its answer. `io_timeouts` has the deadlines of HTTP/1.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use axum::body::Body;
use http::header::CONNECTION;
use tokio::sync::Notify;

use landfall_model::{EdgeLimits, lock};

use super::responses::ConnectionUse;
use super::sending::{Sending, SendingBody, SendingEvents};

/// What an HTTP/1 connection reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Reading {
    /// A request head.
    Head = 0,
    /// The body of a request that is being handled. For HTTP/2: everything after the first head.
    Request = 1,
    /// Nothing: the answer was just created.
    Answered = 2,
    /// Nothing until the next request.
    Idle = 3,
}

/// The activity on one connection.
pub(crate) struct ConnectionActivity {
    reading: AtomicU8,
    slow_head: AtomicBool,
    slow_reader: AtomicBool,
    left_unread: AtomicBool,
    /// Whether a request head was received whose body has not been claimed by a request.
    has_body: AtomicBool,
    /// What the chunks of the last body have announced, in bytes.
    announced: AtomicU64,
    announced_more: Notify,
    /// The bytes of replies that the client has not read.
    responses: ConnectionUse,
    is_http2: AtomicBool,
    /// Notified when the first HTTP/2 request starts.
    http2_begun: Notify,
    running: AtomicUsize,
    /// HTTP/2 answers that the client has not read completely.
    sending: AtomicUsize,
    answers: Mutex<Vec<Arc<Sending>>>,
    last: Mutex<Instant>,
    /// Since when nothing more of a head has arrived. `None`: there may be bytes to read.
    awaits_head_since: Mutex<Option<Instant>>,
    is_closed: AtomicBool,
    close: Notify,
}

/// A request that is being handled, until it is dropped.
pub(crate) struct InFlightRequest(Arc<ConnectionActivity>);

/// The connection of a request.
#[derive(Clone)]
pub(crate) struct OnConnection {
    activity: Arc<ConnectionActivity>,
    /// Whether the sizes of the chunks of this request are known before their bytes arrive.
    has_announced: bool,
}

/// Records the progress of an HTTP/2 answer.
struct SentAnswer(Arc<ConnectionActivity>);

/// Why an HTTP/2 connection is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stall {
    /// The client does not read its answers.
    Sending,
    /// There was no request.
    Idle,
}

// === impl ConnectionActivity ===

impl ConnectionActivity {
    /// A new connection.
    pub(crate) fn new() -> Arc<ConnectionActivity> {
        Arc::new(ConnectionActivity {
            reading: AtomicU8::new(Reading::Head as u8),
            slow_head: AtomicBool::new(false),
            slow_reader: AtomicBool::new(false),
            left_unread: AtomicBool::new(false),
            has_body: AtomicBool::new(false),
            announced: AtomicU64::new(0),
            announced_more: Notify::new(),
            responses: ConnectionUse::default(),
            is_http2: AtomicBool::new(false),
            http2_begun: Notify::new(),
            running: AtomicUsize::new(0),
            sending: AtomicUsize::new(0),
            answers: Mutex::default(),
            last: Mutex::new(Instant::now()),
            awaits_head_since: Mutex::default(),
            is_closed: AtomicBool::new(false),
            close: Notify::new(),
        })
    }

    /// Records the start of a request.
    pub(crate) fn start_request(
        self: &Arc<ConnectionActivity>,
        version: http::Version,
    ) -> InFlightRequest {
        self.set_reading(Reading::Request);
        if version == http::Version::HTTP_2 && !self.is_http2.swap(true, Ordering::Relaxed) {
            self.http2_begun.notify_one();
        }

        self.running.fetch_add(1, Ordering::Relaxed);
        InFlightRequest(self.clone())
    }

    /// Observes a response while it is sent.
    pub(crate) fn observe(
        self: &Arc<ConnectionActivity>,
        response: http::Response<Body>,
    ) -> http::Response<Body> {
        if !self.is_http2.load(Ordering::Relaxed) {
            if response
                .headers()
                .get(CONNECTION)
                .is_some_and(|value| value == "close")
            {
                self.leave_unread();
            }
            return response;
        }

        self.sending.fetch_add(1, Ordering::Relaxed);
        response.map(|body| {
            let sending = Sending::new(body);
            lock(&self.answers).push(sending.clone());
            Body::new(SendingBody::new(sending, SentAnswer(self.clone())))
        })
    }

    /// What the request that just started must know of its connection.
    pub(crate) fn for_request(self: &Arc<ConnectionActivity>, is_chunked: bool) -> OnConnection {
        let has_body = self.has_body.swap(false, Ordering::Relaxed);
        OnConnection {
            activity: self.clone(),
            has_announced: is_chunked && has_body,
        }
    }

    /// Records that the answer closes the connection while the client may still be sending.
    pub(crate) fn leave_unread(&self) {
        self.left_unread.store(true, Ordering::Relaxed);
    }

    /// Whether the connection closes before its last request was read completely.
    pub(crate) fn is_left_unread(&self) -> bool {
        self.left_unread.load(Ordering::Relaxed)
    }

    pub(crate) fn reading(&self) -> Reading {
        match self.reading.load(Ordering::Relaxed) {
            0 => Reading::Head,
            1 => Reading::Request,
            2 => Reading::Answered,
            _ => Reading::Idle,
        }
    }

    /// Records that bytes of a head were read, or that there are none to read.
    pub(crate) fn read_head(&self, now: Instant, has_read: bool) {
        let mut since = lock(&self.awaits_head_since);
        *since = match has_read {
            true => None,
            false => since.or(Some(now)),
        };
    }

    /// Records the first bytes of the next head.
    pub(crate) fn start_head(&self) {
        *lock(&self.awaits_head_since) = None;
        self.has_body.store(false, Ordering::Relaxed);
        self.set_reading(Reading::Head);
    }

    /// Records the end of a head that was received alone or as the first of several.
    pub(crate) fn start_body(&self) {
        self.announced.store(0, Ordering::Relaxed);
        self.has_body.store(true, Ordering::Relaxed);
    }

    /// Records how many bytes the chunks of the body have announced so far.
    pub(crate) fn announce(&self, bytes: u64) {
        if self.announced.swap(bytes, Ordering::Relaxed) != bytes {
            self.announced_more.notify_one();
        }
    }

    /// Records that the answer was sent.
    pub(crate) fn start_idle(&self, now: Instant) {
        *lock(&self.last) = now;
        self.set_reading(Reading::Idle);
    }

    /// Records that a head was started and not completed in time.
    pub(crate) fn record_slow_head(&self) {
        self.slow_head.store(true, Ordering::Relaxed);
    }

    /// Whether the connection ended because of a slow head.
    pub(crate) fn is_head_slow(&self) -> bool {
        self.slow_head.load(Ordering::Relaxed)
    }

    /// Records that the client reads its answer too slowly.
    pub(crate) fn record_slow_reader(&self) {
        self.slow_reader.store(true, Ordering::Relaxed);
    }

    /// Whether the connection ended because of a slow reader.
    pub(crate) fn is_reader_slow(&self) -> bool {
        self.slow_reader.load(Ordering::Relaxed)
    }

    /// Returns when this connection must make room for another.
    pub(crate) async fn closed(&self) {
        self.close.notified().await;
    }

    /// Returns when an HTTP/2 connection handles no request, and either the client has not read
    /// from an answer for `head_timeout`, or there was no request for `keep_alive`. Until then,
    /// drops single answers that are read too slowly, and calls `on_slow` for each.
    pub(crate) async fn stalled(&self, limits: &EdgeLimits, on_slow: impl Fn()) -> Stall {
        if !self.is_http2.load(Ordering::Relaxed) {
            self.http2_begun.notified().await;
        }

        loop {
            let sends = self.sending.load(Ordering::Relaxed) > 0;
            let limit = if sends {
                limits.head_timeout
            } else {
                limits.keep_alive
            };

            let left = limit.saturating_sub(lock(&self.last).elapsed());
            if left.is_zero() && self.running.load(Ordering::Relaxed) == 0 {
                if sends {
                    self.record_slow_reader();
                    return Stall::Sending;
                }
                return Stall::Idle;
            }

            for _ in 0..self.cut_slow_answers(limits) {
                on_slow();
            }

            // The limit may change in the meantime.
            let pause = if left.is_zero() {
                limits.head_timeout
            } else {
                left.min(limits.head_timeout)
            };

            tokio::time::sleep(pause).await;
        }
    }

    /// `None` if it is not idle, or is already being closed.
    pub(crate) fn idle_since(&self) -> Option<Instant> {
        let is_idle = if self.is_http2.load(Ordering::Relaxed) {
            self.running.load(Ordering::Relaxed) == 0 && self.sending.load(Ordering::Relaxed) == 0
        } else {
            self.reading() == Reading::Idle
        };

        (is_idle && !self.is_closing()).then(|| *lock(&self.last))
    }

    /// Since when the client has sent nothing more of a request head. `None`: a request is being
    /// handled, or there may be bytes to read.
    pub(crate) fn awaits_head_since(&self) -> Option<Instant> {
        let is_head = !self.is_http2.load(Ordering::Relaxed) && self.reading() == Reading::Head;
        is_head.then(|| *lock(&self.awaits_head_since))?
    }

    /// Whether the connection is being closed for another one.
    pub(crate) fn is_closing(&self) -> bool {
        self.is_closed.load(Ordering::Relaxed)
    }

    /// Closes a connection that handles no request.
    pub(crate) fn close(&self) {
        self.is_closed.store(true, Ordering::Relaxed);
        self.close.notify_one();
    }

    /// Returns how many answers are not sent completely, because the client reads them too slowly.
    fn cut_slow_answers(&self, limits: &EdgeLimits) -> usize {
        let answers = lock(&self.answers).clone();
        answers
            .iter()
            .filter(|answer| answer.cut_if_slow(limits))
            .count()
    }

    fn set_reading(&self, what: Reading) {
        self.reading.store(what as u8, Ordering::Relaxed);
    }

    fn record_progress(&self) {
        *lock(&self.last) = Instant::now();
    }
}

// === impl OnConnection ===

impl OnConnection {
    /// The bytes of replies that the client has not read.
    pub(crate) fn responses(&self) -> &ConnectionUse {
        &self.activity.responses
    }

    /// Returns when the chunks of the body have announced more than `max` bytes.
    pub(crate) async fn announced_more_than(&self, max: usize) {
        if !self.has_announced {
            return std::future::pending().await;
        }

        while self.activity.announced.load(Ordering::Relaxed) <= max as u64 {
            self.activity.announced_more.notified().await;
        }
    }
}

// === impl InFlightRequest ===

impl Drop for InFlightRequest {
    fn drop(&mut self) {
        let activity = &self.0;
        activity.running.fetch_sub(1, Ordering::Relaxed);
        if activity.is_http2.load(Ordering::Relaxed) {
            activity.record_progress();
        } else {
            activity.set_reading(Reading::Answered);
        }
    }
}

// === impl SentAnswer ===

impl SendingEvents for SentAnswer {
    fn on_step(&self) {
        self.0.record_progress();
    }

    fn on_end(&self, sending: &Arc<Sending>) {
        lock(&self.0.answers).retain(|answer| !Arc::ptr_eq(answer, sending));
        self.0.sending.fetch_sub(1, Ordering::Relaxed);
        self.0.record_progress();
    }
}
