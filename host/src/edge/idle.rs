//! Ends HTTP/2 connections on which nothing moves: hyper keeps them open for as long as the other side answers pings, even
//! where it never takes its answer. HTTP/1 has deadlines of its own.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::body::Body;
use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};

/// A slow reader shows that it takes something at every so many bytes.
const STEP_BYTES: usize = 16 << 10;

/// What moves on one connection.
pub struct Moves {
    is_http2: AtomicBool,
    running: AtomicUsize,
    last: Mutex<Instant>,
}

/// A request that is being handled.
pub struct Handling(Arc<Moves>);

/// A response body that tells when a piece of it is taken.
struct Told {
    body: Body,
    /// Of a frame that is too large for one step.
    rest: Bytes,
    moves: Arc<Moves>,
}

// === impl Moves ===

impl Moves {
    pub fn new() -> Arc<Moves> {
        let (is_http2, running) = (AtomicBool::new(false), AtomicUsize::new(0));
        Arc::new(Moves { is_http2, running, last: Mutex::new(Instant::now()) })
    }

    /// A request begins.
    pub fn begin(self: &Arc<Moves>, version: http::Version) -> Handling {
        if version == http::Version::HTTP_2 {
            self.is_http2.store(true, Ordering::Relaxed);
        }
        self.running.fetch_add(1, Ordering::Relaxed);
        Handling(self.clone())
    }

    /// Its response goes out.
    pub fn tell(self: &Arc<Moves>, response: http::Response<Body>) -> http::Response<Body> {
        match self.is_http2.load(Ordering::Relaxed) {
            true => response.map(|body| Body::new(Told { body, rest: Bytes::new(), moves: self.clone() })),
            false => response,
        }
    }

    /// Returns when an HTTP/2 connection has not moved for that long and nothing is being handled.
    pub async fn stopped(&self, limit: Duration) {
        loop {
            let still = self.last.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).elapsed();
            let may_stop = self.is_http2.load(Ordering::Relaxed) && self.running.load(Ordering::Relaxed) == 0;
            match limit.checked_sub(still) {
                None | Some(Duration::ZERO) if may_stop => return,
                None | Some(Duration::ZERO) => tokio::time::sleep(limit).await,
                Some(left) => tokio::time::sleep(left).await,
            }
        }
    }

    fn moved(&self) {
        *self.last.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Instant::now();
    }
}

impl Drop for Handling {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::Relaxed);
        self.0.moved();
    }
}

impl HttpBody for Told {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
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
