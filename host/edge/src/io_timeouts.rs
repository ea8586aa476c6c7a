//! The deadlines of an HTTP/1 connection. A request head must be complete within `head_timeout` of
//! its first byte, and the first head within `head_timeout` of the accept. Between two requests the
//! connection may be idle for `keep_alive`. A write must make progress within `head_timeout`.
//!
//! A connection that closes before the request was read completely lingers: the host ends its own
//! side, then reads and drops what the client still sends, up to a number of bytes and a time.
//! Without this, the system would answer the client's next bytes with a reset, and the client would
//! lose the answer.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

use super::activity::{ConnectionActivity, Reading};
use landfall_model::EdgeLimits;

const LINGER_BYTES_MAX: usize = 64 << 20;
const LINGER_TIME_MAX: Duration = Duration::from_secs(5);
const LINGER_PIECE_BYTES: usize = 16 << 10;

/// A connection with deadlines.
pub(crate) struct IoTimeouts {
    stream: TcpStream,
    activity: Arc<ConnectionActivity>,
    /// For the head that is being read, or for the pause before it.
    deadline: Pin<Box<Sleep>>,
    /// Whether bytes of that head were received.
    has_started: bool,
    head_timeout: Duration,
    keep_alive: Duration,
    /// Runs while a write makes no progress.
    stalled: Option<Pin<Box<Sleep>>>,
    /// Number of bytes dropped since the host ended its side.
    lingered: Option<usize>,
}

// === impl IoTimeouts ===

impl IoTimeouts {
    pub(crate) fn new(
        stream: TcpStream,
        limits: &EdgeLimits,
        activity: Arc<ConnectionActivity>,
    ) -> IoTimeouts {
        let EdgeLimits {
            head_timeout,
            keep_alive,
            ..
        } = *limits;
        let deadline = Box::pin(tokio::time::sleep(head_timeout));
        IoTimeouts {
            stream,
            activity,
            deadline,
            has_started: false,
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

    /// Reads bytes of a head.
    fn read_head(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.deadline.as_mut().poll(cx).is_ready() {
            if self.has_started {
                self.activity.record_slow_head();
            }

            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }

        let filled = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        self.has_started |= buf.filled().len() > filled;
        read
    }

    /// Waits for the first bytes of the next head.
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
            self.has_started = true;
            self.deadline
                .as_mut()
                .reset(Instant::now() + self.head_timeout);
            self.activity.start_head();
        }

        read
    }

    /// Whether the client may still be sending a request that was already answered.
    fn must_linger(&self) -> bool {
        let is_head_refused = self.activity.reading() == Reading::Head && self.has_started;
        is_head_refused || self.activity.is_left_unread()
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

impl AsyncRead for IoTimeouts {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.activity.reading() {
            Reading::Head => self.read_head(cx, buf),
            Reading::Request => Pin::new(&mut self.stream).poll_read(cx, buf),
            // The answer is still being sent. The write has its own deadline.
            Reading::Answered if self.stalled.is_some() => {
                Pin::new(&mut self.stream).poll_read(cx, buf)
            }
            Reading::Answered => {
                let keep_alive = self.keep_alive;
                self.deadline.as_mut().reset(Instant::now() + keep_alive);
                self.has_started = false;
                self.activity.start_idle();
                self.read_idle(cx, buf)
            }
            Reading::Idle => self.read_idle(cx, buf),
        }
    }
}

impl AsyncWrite for IoTimeouts {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
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
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.progress(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
