//! The deadlines of an HTTP/1 connection. A request head must be complete within `head_timeout` of
//! its first byte, and the first head within `head_timeout` of the accept. Between two requests the
//! connection may be idle for `keep_alive`. `send_rate` has the deadlines of writes.
//!
//! A connection that closes before the request was read completely lingers: the host ends its own
//! side, then reads and drops what the client still sends, up to a number of bytes and a time.
//! Without this, the system would answer the client's next bytes with a reset, and the client would
//! lose the answer.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

use super::activity::{ConnectionActivity, Reading};
use super::chunk_sizes::{ChunkScan, HeadScan};
use super::deadline::Deadline;
use super::send_rate::SendRate;
use landfall_model::EdgeLimits;

const LINGER_BYTES_MAX: usize = 64 << 20;
const LINGER_TIME_MAX: Duration = Duration::from_secs(5);
const LINGER_PIECE_BYTES: usize = 16 << 10;

/// A connection with deadlines.
pub(crate) struct IoTimeouts {
    stream: TcpStream,
    activity: Arc<ConnectionActivity>,
    /// For the head that is being read, or for the pause before it.
    deadline: Deadline,
    /// Whether bytes of that head were received.
    has_started: bool,
    limits: EdgeLimits,
    /// From a write for which the system has no room until everything is written.
    blocked: Option<Blocked>,
    scan: Scan,
    /// Number of bytes dropped since the host ended its side.
    lingered: Option<usize>,
}

/// An answer for which the system has no room.
struct Blocked {
    rate: SendRate,
    timer: Pin<Box<Sleep>>,
}

/// What the next received bytes belong to.
enum Scan {
    Head(HeadScan),
    Body(ChunkScan),
    /// A head that was partly received before its scan could begin.
    Off,
}

// === impl Blocked ===

impl Blocked {
    fn new(limits: &EdgeLimits) -> Blocked {
        let rate = SendRate::start(std::time::Instant::now());
        let timer = tokio::time::sleep_until(rate.deadline(limits).into());
        Blocked {
            rate,
            timer: Box::pin(timer),
        }
    }

    /// Ready when the client is too slow.
    fn poll_deadline(&mut self, cx: &mut Context<'_>, limits: &EdgeLimits) -> Poll<()> {
        let deadline = Instant::from_std(self.rate.deadline(limits));
        if self.timer.deadline() != deadline {
            self.timer.as_mut().reset(deadline);
        }

        self.timer.as_mut().poll(cx)
    }
}

// === impl IoTimeouts ===

impl IoTimeouts {
    pub(crate) fn new(
        stream: TcpStream,
        limits: &EdgeLimits,
        activity: Arc<ConnectionActivity>,
    ) -> IoTimeouts {
        let deadline = Deadline::new(Instant::now() + limits.head_timeout);
        IoTimeouts {
            stream,
            activity,
            deadline,
            has_started: false,
            limits: *limits,
            blocked: None,
            scan: Scan::Head(HeadScan::new()),
            lingered: None,
        }
    }

    fn progress(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            if let (Poll::Ready(Ok(bytes)), Some(blocked)) = (&written, &mut self.blocked) {
                blocked.rate.record(std::time::Instant::now(), *bytes);
            }
            return written;
        }

        let limits = &self.limits;
        let blocked = self.blocked.get_or_insert_with(|| Blocked::new(limits));
        ready!(blocked.poll_deadline(cx, limits));
        self.activity.record_slow_reader();
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    /// Reads bytes of a head.
    fn read_head(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.deadline.poll(cx).is_ready() {
            if self.has_started {
                self.activity.record_slow_head();
            }

            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }

        let filled = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        let has_read = buf.filled().len() > filled;
        self.has_started |= has_read;
        self.activity.read_head(Instant::now().into(), has_read);
        self.observe_read(&buf.filled()[filled..]);
        read
    }

    /// Waits for the first bytes of the next head.
    fn read_idle(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let filled = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        if read.is_pending() {
            return self
                .deadline
                .poll(cx)
                .map(|()| Err(io::ErrorKind::TimedOut.into()));
        }

        if buf.filled().len() > filled {
            self.has_started = true;
            self.deadline.set(Instant::now() + self.limits.head_timeout);
            self.activity.start_head();
            if !matches!(self.scan, Scan::Off) {
                self.scan = Scan::Head(HeadScan::new());
            }
            self.observe_read(&buf.filled()[filled..]);
        }

        read
    }

    /// Reads bytes of a request, and reports what its chunks announce.
    fn observe_read(&mut self, mut bytes: &[u8]) {
        if let Scan::Head(head) = &mut self.scan {
            let Some(rest) = head.feed(bytes) else {
                return;
            };
            bytes = rest;
            self.scan = Scan::Body(ChunkScan::new());
            self.activity.start_body();
        }

        if let Scan::Body(chunks) = &mut self.scan {
            chunks.feed(bytes);
            self.activity.announce(chunks.announced());
        }
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
            if self.deadline.poll(cx).is_ready() {
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

impl Drop for IoTimeouts {
    fn drop(&mut self) {
        // The system would keep what it has buffered until the client reads it.
        if self.activity.is_reader_slow() {
            self.stream.set_zero_linger().ok();
        }
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
            Reading::Request => {
                let filled = buf.filled().len();
                let read = Pin::new(&mut self.stream).poll_read(cx, buf);
                self.observe_read(&buf.filled()[filled..]);
                read
            }
            // The answer is still being sent. The write has its own deadline.
            Reading::Answered if self.blocked.is_some() => {
                let filled = buf.filled().len();
                let read = Pin::new(&mut self.stream).poll_read(cx, buf);
                if buf.filled().len() > filled {
                    self.scan = Scan::Off;
                }
                read
            }
            Reading::Answered => {
                let (now, keep_alive) = (Instant::now(), self.limits.keep_alive);
                self.deadline.set(now + keep_alive);
                self.has_started = false;
                self.activity.start_idle(now.into());
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
        // hyper flushes when it has written everything.
        self.blocked = None;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(dropped) = self.lingered {
            return self.linger(cx, dropped);
        }

        ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
        if !self.must_linger() {
            return Poll::Ready(Ok(()));
        }

        self.deadline.set(Instant::now() + LINGER_TIME_MAX);
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
