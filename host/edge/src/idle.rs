//! What a connection is doing. An idle one costs little, is kept for `keep_alive`, and is closed sooner where others need its place.
//! HTTP/2 connections on which nothing moves are ended here: hyper keeps them open for as long as the other side answers pings, even
//! where it never takes its answer. The deadlines of HTTP/1 are those of `guard`.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::body::Body;
use bytes::Bytes;
use http::header::CONNECTION;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use landfall_model::EdgeLimits;

/// A slow reader shows that it takes something at every so many bytes.
const STEP_BYTES: usize = 16 << 10;
/// How often a full listener looks for a connection that has become idle.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How often it is said that the listener is full.
const SAY_EVERY: Duration = Duration::from_secs(60);

/// What an HTTP/1 connection reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Reading {
    /// A request head.
    Head = 0,
    /// The body of a request that is being handled; of HTTP/2 everything after the first head.
    Request = 1,
    /// Nothing yet: the answer has just been made.
    Answered = 2,
    /// Nothing: it waits for the next request.
    Idle = 3,
}

/// What moves on one connection.
pub struct Moves {
    reading: AtomicU8,
    slow_head: AtomicBool,
    left_unread: AtomicBool,
    is_http2: AtomicBool,
    /// Wakes what watches over HTTP/2.
    http2_begun: Notify,
    running: AtomicUsize,
    /// HTTP/2 answers that have not been taken whole.
    sending: AtomicUsize,
    last: Mutex<Instant>,
    is_closed: AtomicBool,
    close: Notify,
    /// Of the answer that is written next.
    on_hang_up: Mutex<Option<OnHangUp>>,
    /// There is one: each write asks.
    asks_for_hang_up: AtomicBool,
}

/// In a response: what is to be done where the caller of an HTTP/1 request has hung up before the answer is written.
#[derive(Clone)]
pub struct OnHangUp(pub Arc<dyn Fn() + Send + Sync>);

/// A request that is being handled.
pub struct Handling(Arc<Moves>);

/// A response body that tells when a piece of it is taken.
struct Told {
    body: Body,
    /// Of a frame that is too large for one step.
    rest: Bytes,
    moves: Arc<Moves>,
}

/// The open connections, of which there are no more than `limits.connections`.
pub struct Connections {
    places: Arc<Semaphore>,
    open: Arc<Mutex<HashMap<u64, Arc<Moves>>>>,
    next: AtomicU64,
    said: Mutex<Option<Instant>>,
}

/// The place of one connection.
pub struct Place {
    /// What the connection is doing.
    pub moves: Arc<Moves>,
    id: u64,
    open: Arc<Mutex<HashMap<u64, Arc<Moves>>>>,
    _permit: OwnedSemaphorePermit,
}

// === impl Connections ===

impl Connections {
    /// With room for so many.
    pub fn new(max: usize) -> Connections {
        Connections {
            places: Arc::new(Semaphore::new(max)),
            open: Arc::default(),
            next: AtomicU64::new(0),
            said: Mutex::new(None),
        }
    }

    /// A place for one more. Where all are taken, the connection that has been idle for longest is closed; where none is idle, this
    /// waits.
    pub async fn place(&self) -> Place {
        loop {
            let acquired = match self.places.clone().try_acquire_owned() {
                Ok(permit) => Some(Ok(permit)),
                Err(_) => {
                    self.close_longest_idle();
                    tokio::time::timeout(LOOK_EVERY, self.places.clone().acquire_owned())
                        .await
                        .ok()
                }
            };
            if let Some(permit) = acquired {
                return self.placed(permit.expect("the semaphore is never closed"));
            }
        }
    }

    fn placed(&self, permit: OwnedSemaphorePermit) -> Place {
        let (moves, id) = (Moves::new(), self.next.fetch_add(1, Ordering::Relaxed));
        lock(&self.open).insert(id, moves.clone());
        Place {
            moves,
            id,
            open: self.open.clone(),
            _permit: permit,
        }
    }

    fn close_longest_idle(&self) {
        let longest = {
            let open = lock(&self.open);
            let idle = open
                .values()
                .filter_map(|moves| Some((moves.idle_since()?, moves)));
            idle.min_by_key(|(since, _)| *since)
                .map(|(_, moves)| moves.clone())
        };
        let is_found = longest.is_some();
        if let Some(moves) = longest {
            moves.is_closed.store(true, Ordering::Relaxed);
            moves.close.notify_one();
        }

        let mut said = lock(&self.said);
        if said.is_none_or(|said| said.elapsed() >= SAY_EVERY) {
            *said = Some(Instant::now());
            match is_found {
                true => {
                    tracing::warn!(
                        "limits.connections is reached: the connection that is idle for longest is closed"
                    )
                }
                false => tracing::warn!(
                    "limits.connections is reached, and no connection is idle: new ones wait"
                ),
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        lock(&self.open).remove(&self.id);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}

// === impl Moves ===

impl Moves {
    /// A connection that has said nothing yet.
    pub fn new() -> Arc<Moves> {
        Arc::new(Moves {
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
            on_hang_up: Mutex::new(None),
            asks_for_hang_up: AtomicBool::new(false),
        })
    }

    /// A request begins.
    pub fn begin(self: &Arc<Moves>, version: http::Version) -> Handling {
        self.read(Reading::Request);
        if version == http::Version::HTTP_2 && !self.is_http2.swap(true, Ordering::Relaxed) {
            self.http2_begun.notify_one();
        }
        self.running.fetch_add(1, Ordering::Relaxed);
        Handling(self.clone())
    }

    /// Its response goes out.
    pub fn tell(self: &Arc<Moves>, mut response: http::Response<Body>) -> http::Response<Body> {
        let on_hang_up = response.extensions_mut().remove::<OnHangUp>();
        if on_hang_up.is_some() && !self.is_http2.load(Ordering::Relaxed) {
            *lock(&self.on_hang_up) = on_hang_up;
            self.asks_for_hang_up.store(true, Ordering::Relaxed);
        }
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
            Body::new(Told {
                body,
                rest: Bytes::new(),
                moves: self.clone(),
            })
        })
    }

    /// What is to be done if the caller has hung up, once for each answer.
    pub fn take_on_hang_up(&self) -> Option<OnHangUp> {
        if !self.asks_for_hang_up.swap(false, Ordering::Relaxed) {
            return None;
        }
        lock(&self.on_hang_up).take()
    }

    /// The answer closes the connection, and the client may still be sending.
    pub fn leave_unread(&self) {
        self.left_unread.store(true, Ordering::Relaxed);
    }

    /// Whether the connection is closed before its last request was read whole.
    pub fn is_left_unread(&self) -> bool {
        self.left_unread.load(Ordering::Relaxed)
    }

    /// What an HTTP/1 connection reads now.
    pub fn reading(&self) -> Reading {
        match self.reading.load(Ordering::Relaxed) {
            0 => Reading::Head,
            1 => Reading::Request,
            2 => Reading::Answered,
            _ => Reading::Idle,
        }
    }

    /// The next head begins to come.
    pub fn head_begins(&self) {
        self.read(Reading::Head);
    }

    /// The answer has gone out.
    pub fn idles(&self) {
        *lock(&self.last) = Instant::now();
        self.read(Reading::Idle);
    }

    /// A head that had begun did not come in time.
    pub fn head_was_slow(&self) {
        self.slow_head.store(true, Ordering::Relaxed);
    }

    /// Whether that is why the connection has ended.
    pub fn is_head_slow(&self) -> bool {
        self.slow_head.load(Ordering::Relaxed)
    }

    /// Returns when the place of this connection, which was idle, is needed.
    pub async fn closed(&self) {
        self.close.notified().await;
    }

    /// Returns when nothing is being handled on an HTTP/2 connection and either an answer has not moved for `head_timeout`, or there
    /// was no request for `keep_alive`.
    pub async fn stopped(&self, limits: &EdgeLimits) {
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
            // What is sent, and with it the limit, may change meanwhile.
            let pause = if left.is_zero() {
                limits.head_timeout
            } else {
                left.min(limits.head_timeout)
            };
            tokio::time::sleep(pause).await;
        }
    }

    /// None where it is not idle, or is being closed already.
    fn idle_since(&self) -> Option<Instant> {
        let is_idle = match self.is_http2.load(Ordering::Relaxed) {
            false => self.reading() == Reading::Idle,
            true => {
                self.running.load(Ordering::Relaxed) == 0
                    && self.sending.load(Ordering::Relaxed) == 0
            }
        };
        (is_idle && !self.is_closed.load(Ordering::Relaxed)).then(|| *lock(&self.last))
    }

    fn read(&self, what: Reading) {
        self.reading.store(what as u8, Ordering::Relaxed);
    }

    fn moved(&self) {
        *lock(&self.last) = Instant::now();
    }
}

impl Drop for Handling {
    fn drop(&mut self) {
        let moves = &self.0;
        moves.running.fetch_sub(1, Ordering::Relaxed);
        match moves.is_http2.load(Ordering::Relaxed) {
            true => moves.moved(),
            false => moves.read(Reading::Answered),
        }
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        self.moves.sending.fetch_sub(1, Ordering::Relaxed);
        self.moves.moved();
    }
}

impl HttpBody for Told {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.moves.moved();
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
