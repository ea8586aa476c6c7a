//! A body whose bytes count as memory of the attempt while the guest can read it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http_body::{Body, Frame, SizeHint};

use landfall_model::MemoryHold;

/// A body and the memory that it occupies.
pub(crate) struct Held<B> {
    body: B,
    _hold: Option<Arc<MemoryHold>>,
}

// === impl Held ===

impl<B> Held<B> {
    pub(crate) fn new(body: B, hold: Option<Arc<MemoryHold>>) -> Held<B> {
        Held { body, _hold: hold }
    }
}

impl<B: Body + Unpin> Body for Held<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
