//! Closes connections that say nothing, and those that never read what they are told. A request head has `head_timeout` from its
//! first byte on, and the first head of a connection from the moment the connection was accepted. Between two requests an HTTP/1
//! connection may say nothing for `keep_alive`. A write that makes no progress has `head_timeout` always.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

use super::idle::{Moves, Reading};
use crate::model::EdgeLimits;

/// A connection that must speak in time.
pub struct Guarded {
    stream: TcpStream,
    moves: Arc<Moves>,
    /// Of the head that is being read, or of the pause before it.
    deadline: Pin<Box<Sleep>>,
    /// Bytes of that head have come.
    has_begun: bool,
    head_timeout: Duration,
    keep_alive: Duration,
    /// Runs while a write makes no progress.
    stalled: Option<Pin<Box<Sleep>>>,
}

// === impl Guarded ===

impl Guarded {
    /// `moves` says what the connection is doing.
    pub fn new(stream: TcpStream, limits: &EdgeLimits, moves: Arc<Moves>) -> Guarded {
        let EdgeLimits { head_timeout, keep_alive, .. } = *limits;
        let deadline = Box::pin(tokio::time::sleep(head_timeout));
        Guarded { stream, moves, deadline, has_begun: false, head_timeout, keep_alive, stalled: None }
    }

    fn progress(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let stall = self.head_timeout;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(stall)));
        stalled.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }

    /// The first byte of a head, or more of it.
    fn read_head(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.deadline.as_mut().poll(cx).is_ready() {
            if self.has_begun {
                self.moves.head_was_slow();
            }
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        let filled = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        self.has_begun |= buf.filled().len() > filled;
        read
    }

    /// Nothing, or the first bytes of the next head.
    fn read_idle(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let filled = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        if read.is_pending() {
            return self.deadline.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()));
        }
        if buf.filled().len() > filled {
            self.has_begun = true;
            self.deadline.as_mut().reset(Instant::now() + self.head_timeout);
            self.moves.head_begins();
        }
        read
    }
}

impl AsyncRead for Guarded {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.moves.reading() {
            Reading::Head => self.read_head(cx, buf),
            Reading::Request => Pin::new(&mut self.stream).poll_read(cx, buf),
            // The answer still goes out, which has a deadline of its own.
            Reading::Answered if self.stalled.is_some() => Pin::new(&mut self.stream).poll_read(cx, buf),
            Reading::Answered => {
                let keep_alive = self.keep_alive;
                self.deadline.as_mut().reset(Instant::now() + keep_alive);
                self.has_begun = false;
                self.moves.idles();
                self.read_idle(cx, buf)
            }
            Reading::Idle => self.read_idle(cx, buf),
        }
    }
}

impl AsyncWrite for Guarded {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.progress(cx, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.progress(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
