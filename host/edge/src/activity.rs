//! What one connection is doing: reading, handling requests, sending, or idle. HTTP/2 connections
//! on which nothing happens are closed here, because hyper keeps them open while the client answers
//! pings, even if it never reads its answer. `io_timeouts` has the deadlines of HTTP/1.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Instant;

use axum::body::Body;
use bytes::Bytes;
use http::header::CONNECTION;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::sync::Notify;

use landfall_model::{EdgeLimits, lock};

/// A frame is sent in steps of this size, so that a slow reader shows progress.
const STEP_BYTES: usize = 16 << 10;

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
    left_unread: AtomicBool,
    is_http2: AtomicBool,
    /// Notified when the first HTTP/2 request starts.
    http2_begun: Notify,
    running: AtomicUsize,
    /// HTTP/2 answers that the client has not read completely.
    sending: AtomicUsize,
    last: Mutex<Instant>,
    is_closed: AtomicBool,
    close: Notify,
}

/// A request that is being handled, until it is dropped.
pub(crate) struct InFlightRequest(Arc<ConnectionActivity>);

/// A response body that records when the client reads a part of it.
struct ObservedBody {
    body: Body,
    /// The rest of a frame that is larger than one step.
    rest: Bytes,
    activity: Arc<ConnectionActivity>,
}

// === impl ConnectionActivity ===

impl ConnectionActivity {
    /// A new connection.
    pub(crate) fn new() -> Arc<ConnectionActivity> {
        Arc::new(ConnectionActivity {
            reading: AtomicU8::new(Reading::Head as u8),
            slow_head: AtomicBool::new(false),
            left_unread: AtomicBool::new(false),
            is_http2: AtomicBool::new(false),
            http2_begun: Notify::new(),
            running: AtomicUsize::new(0),
            sending: AtomicUsize::new(0),
            last: Mutex::new(Instant::now()),
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
            Body::new(ObservedBody {
                body,
                rest: Bytes::new(),
                activity: self.clone(),
            })
        })
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

    /// Records the first bytes of the next head.
    pub(crate) fn start_head(&self) {
        self.set_reading(Reading::Head);
    }

    /// Records that the answer was sent.
    pub(crate) fn start_idle(&self) {
        *lock(&self.last) = Instant::now();
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

    /// Returns when this connection must make room for another.
    pub(crate) async fn closed(&self) {
        self.close.notified().await;
    }

    /// Returns when an HTTP/2 connection handles no request, and either the client has not read
    /// from an answer for `head_timeout`, or there was no request for `keep_alive`.
    pub(crate) async fn stalled(&self, limits: &EdgeLimits) {
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
                return;
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

    /// Whether no request of this connection is being handled, and a request head is not complete.
    pub(crate) fn awaits_head(&self) -> bool {
        !self.is_http2.load(Ordering::Relaxed) && self.reading() == Reading::Head
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

    fn set_reading(&self, what: Reading) {
        self.reading.store(what as u8, Ordering::Relaxed);
    }

    fn record_progress(&self) {
        *lock(&self.last) = Instant::now();
    }
}

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

impl Drop for ObservedBody {
    fn drop(&mut self) {
        self.activity.sending.fetch_sub(1, Ordering::Relaxed);
        self.activity.record_progress();
    }
}

impl HttpBody for ObservedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.activity.record_progress();
        if self.rest.is_empty() {
            match std::task::ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.rest = data,
                    Err(other) => return Poll::Ready(Some(Ok(other))),
                },
                other => return Poll::Ready(other),
            }
        }

        let step = self.rest.len().min(STEP_BYTES);
        Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(step)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (inner, rest) = (self.body.size_hint(), self.rest.len() as u64);
        let mut hint = SizeHint::new();
        hint.set_lower(inner.lower() + rest);
        if let Some(upper) = inner.upper() {
            hint.set_upper(upper + rest);
        }

        hint
    }
}
