//! Closes connections that say nothing, and those that never read what they are told. A request head has `head_timeout` from its
//! first byte on, and the first head of a connection from the moment the connection was accepted. Between two requests an HTTP/1
//! connection may say nothing for `keep_alive`. A write that makes no progress has `head_timeout` always.
//!
//! A connection that is closed before the request was read whole lingers: the host ends its own side, then reads and drops what the
//! client still sends, up to a number of bytes and a time. If it closed at once, the system would answer the client's next bytes with
//! a reset, and the client would lose the answer.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

use super::idle::{Moves, OnHangUp, Reading};
use landfall_model::EdgeLimits;

const LINGER_BYTES_MAX: usize = 64 << 20;
const LINGER_TIME_MAX: Duration = Duration::from_secs(5);
const LINGER_PIECE_BYTES: usize = 16 << 10;

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
    /// How many bytes have been dropped since the host has ended its side.
    lingered: Option<usize>,
}

// === impl Guarded ===

impl Guarded {
    /// `moves` says what the connection is doing.
    pub fn new(stream: TcpStream, limits: &EdgeLimits, moves: Arc<Moves>) -> Guarded {
        let EdgeLimits {
            head_timeout,
            keep_alive,
            ..
        } = *limits;
        let deadline = Box::pin(tokio::time::sleep(head_timeout));
        Guarded {
            stream,
            moves,
            deadline,
            has_begun: false,
            head_timeout,
            keep_alive,
            stalled: None,
            lingered: None,
        }
    }

    fn progress(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let stall = self.head_timeout;
        let stalled = self
            .stalled
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(stall)));
        stalled
            .as_mut()
            .poll(cx)
            .map(|()| Err(io::ErrorKind::TimedOut.into()))
    }

    /// Before an answer is written that its caller must get.
    fn look_for_hang_up(&self, cx: &mut Context<'_>) {
        if let Some(OnHangUp(act)) = self.moves.take_on_hang_up()
            && self.has_ended(cx)
        {
            act();
        }
    }

    /// Whether the client has ended its side or the connection, which look the same until an answer is refused.
    fn has_ended(&self, cx: &mut Context<'_>) -> bool {
        let mut byte = [0];
        let mut next = ReadBuf::new(&mut byte);
        matches!(
            self.stream.poll_peek(cx, &mut next),
            Poll::Ready(Ok(0) | Err(_))
        )
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
            return self
                .deadline
                .as_mut()
                .poll(cx)
                .map(|()| Err(io::ErrorKind::TimedOut.into()));
        }
        if buf.filled().len() > filled {
            self.has_begun = true;
            self.deadline
                .as_mut()
                .reset(Instant::now() + self.head_timeout);
            self.moves.head_begins();
        }
        read
    }
}

impl Guarded {
    /// Whether the client may still be sending a request that is already answered.
    fn must_linger(&self) -> bool {
        let is_head_refused = self.moves.reading() == Reading::Head && self.has_begun;
        is_head_refused || self.moves.is_left_unread()
    }

    /// Drops what the client sends, until it ends its side or a bound is reached.
    fn linger(&mut self, cx: &mut Context<'_>, mut dropped: usize) -> Poll<io::Result<()>> {
        let mut piece = [0; LINGER_PIECE_BYTES];
        while dropped < LINGER_BYTES_MAX {
            if self.deadline.as_mut().poll(cx).is_ready() {
                break;
            }
            let mut buf = ReadBuf::new(&mut piece);
            match Pin::new(&mut self.stream).poll_read(cx, &mut buf) {
                Poll::Pending => {
                    self.lingered = Some(dropped);
                    return Poll::Pending;
                }
                Poll::Ready(Ok(())) if !buf.filled().is_empty() => dropped += buf.filled().len(),
                Poll::Ready(_) => break,
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Guarded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.moves.reading() {
            Reading::Head => self.read_head(cx, buf),
            Reading::Request => Pin::new(&mut self.stream).poll_read(cx, buf),
            // The answer still goes out, which has a deadline of its own.
            Reading::Answered if self.stalled.is_some() => {
                Pin::new(&mut self.stream).poll_read(cx, buf)
            }
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
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.look_for_hang_up(cx);
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.progress(cx, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(dropped) = self.lingered {
            return self.linger(cx, dropped);
        }
        std::task::ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
        if !self.must_linger() {
            return Poll::Ready(Ok(()));
        }
        self.deadline
            .as_mut()
            .reset(Instant::now() + LINGER_TIME_MAX);
        self.linger(cx, 0)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.look_for_hang_up(cx);
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.progress(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
