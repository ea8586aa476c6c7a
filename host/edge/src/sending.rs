//! The answers that an HTTP/2 connection is sending. hyper asks a body for its bytes only while the
//! client has room for them, so the bytes of a client that reads nothing stay here. `activity` drops
//! them when the client is too slow.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use axum::body::Body;
use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};

use landfall_model::{EdgeLimits, lock};

use super::send_rate::SendRate;

/// An answer is sent in steps of this size, so that a slow reader shows progress.
const STEP_BYTES: usize = 16 << 10;

/// An answer that is being sent.
pub(crate) struct Sending {
    state: Mutex<State>,
}

struct State {
    rate: SendRate,
    /// `None`: the client was too slow.
    unsent: Option<Unsent>,
}

struct Unsent {
    body: Body,
    /// The rest of a frame that is larger than one step.
    rest: Bytes,
    /// Whether a part of the frame was sent already.
    is_split: bool,
}

/// The body of an answer. `E` is told of each step and of the end.
pub(crate) struct SendingBody<E: SendingEvents> {
    sending: Arc<Sending>,
    events: E,
}

/// What happens to an answer.
pub(crate) trait SendingEvents: Send + Unpin + 'static {
    /// The client has room for more.
    fn on_step(&self);
    /// The answer was sent, or will not be.
    fn on_end(&self, sending: &Arc<Sending>);
}

// === impl Sending ===

impl Sending {
    pub(crate) fn new(body: Body) -> Arc<Sending> {
        let unsent = Unsent {
            body,
            rest: Bytes::new(),
            is_split: false,
        };
        Arc::new(Sending {
            state: Mutex::new(State {
                rate: SendRate::start(Instant::now()),
                unsent: Some(unsent),
            }),
        })
    }

    /// Drops what was not sent, if the client is too slow. Returns whether it did.
    pub(crate) fn cut_if_slow(&self, limits: &EdgeLimits) -> bool {
        let mut state = lock(&self.state);
        let is_slow = state.unsent.is_some() && Instant::now() >= state.rate.deadline(limits);
        if is_slow {
            state.unsent = None;
        }

        is_slow
    }
}

// === impl Unsent ===

impl Unsent {
    /// The next step. A part of a frame is a copy: it may be sent long after the frame was dropped,
    /// and would keep all its memory.
    fn step(&mut self) -> Bytes {
        if self.rest.len() <= STEP_BYTES && !self.is_split {
            return std::mem::take(&mut self.rest);
        }

        let len = self.rest.len().min(STEP_BYTES);
        let step = Bytes::copy_from_slice(&self.rest.split_to(len));
        self.is_split = !self.rest.is_empty();
        if self.rest.is_empty() {
            self.rest = Bytes::new();
        }
        step
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

// === impl SendingBody ===

impl<E: SendingEvents> SendingBody<E> {
    pub(crate) fn new(sending: Arc<Sending>, events: E) -> SendingBody<E> {
        SendingBody { sending, events }
    }
}

impl<E: SendingEvents> Drop for SendingBody<E> {
    fn drop(&mut self) {
        self.events.on_end(&self.sending);
    }
}

impl<E: SendingEvents> HttpBody for SendingBody<E> {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.events.on_step();
        let mut state = lock(&self.sending.state);
        let State { rate, unsent } = &mut *state;
        let Some(unsent) = unsent else {
            let error = io::Error::from(io::ErrorKind::TimedOut);
            return Poll::Ready(Some(Err(axum::Error::new(error))));
        };

        if unsent.rest.is_empty() {
            match ready!(Pin::new(&mut unsent.body).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => unsent.rest = data,
                    Err(other) => return Poll::Ready(Some(Ok(other))),
                },
                other => return Poll::Ready(other),
            }
        }

        let step = unsent.step();
        rate.record(Instant::now(), step.len());
        Poll::Ready(Some(Ok(Frame::data(step))))
    }

    fn is_end_stream(&self) -> bool {
        let state = lock(&self.sending.state);
        let unsent = state.unsent.as_ref();
        unsent.is_some_and(|unsent| unsent.rest.is_empty() && unsent.body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        let state = lock(&self.sending.state);
        let unsent = state.unsent.as_ref();
        unsent.map_or_else(SizeHint::new, Unsent::size_hint)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http_body_util::BodyExt;

    use super::*;

    struct Nothing;

    impl SendingEvents for Nothing {
        fn on_step(&self) {}
        fn on_end(&self, _: &Arc<Sending>) {}
    }

    /// Every client is too slow.
    const LIMITS: EdgeLimits = EdgeLimits {
        connections: 1,
        head_timeout: Duration::ZERO,
        keep_alive: Duration::ZERO,
        body_timeout: Duration::ZERO,
        queue_timeout: Duration::ZERO,
        body_memory: 0,
        response_memory: 0,
        connection_response_memory: 0,
        response_rate: u64::MAX,
    };

    /// Bytes that tell when they are dropped.
    struct Kept(Vec<u8>, #[allow(dead_code)] Arc<()>);

    impl AsRef<[u8]> for Kept {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }

    fn large() -> (Vec<u8>, Bytes, Arc<()>) {
        let bytes: Vec<u8> = (0..=250).cycle().take(3 * STEP_BYTES + 1).collect();
        let kept = Arc::new(());
        let owner = Kept(bytes.clone(), kept.clone());
        (bytes, Bytes::from_owner(owner), kept)
    }

    #[tokio::test]
    async fn answers_are_sent_in_steps() {
        let (bytes, body, _) = large();
        let mut body = SendingBody::new(Sending::new(Body::from(body)), Nothing);
        assert_eq!(body.size_hint().exact(), Some(bytes.len() as u64));

        let (mut sent, mut steps) = (Vec::new(), 0);
        while let Some(frame) = body.frame().await {
            sent.extend(frame.unwrap().into_data().unwrap());
            steps += 1;
        }
        assert_eq!((sent, steps), (bytes, 4));
        assert!(body.is_end_stream());
    }

    #[tokio::test]
    async fn slow_answers_release_their_memory() {
        let (_, body, kept) = large();
        let sending = Sending::new(Body::from(body));
        let mut body = SendingBody::new(sending.clone(), Nothing);
        let first = body.frame().await.unwrap().unwrap().into_data().unwrap();

        assert_eq!(Arc::strong_count(&kept), 2);
        assert!(sending.cut_if_slow(&LIMITS));
        assert_eq!(Arc::strong_count(&kept), 1, "also while a step is sent");
        assert_eq!(first.len(), STEP_BYTES);
        assert!(body.frame().await.unwrap().is_err());
        assert!(!sending.cut_if_slow(&LIMITS), "only once");
    }
}
