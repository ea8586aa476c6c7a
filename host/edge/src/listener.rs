//! Accepts connections and serves HTTP on them, within limits for their number, their speed, and
//! the size of a head.

use std::convert::Infallible;
use std::error::Error;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http::header::TRANSFER_ENCODING;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::net::{TcpListener, TcpStream};

use super::activity::{ConnectionActivity, Stall};
use super::connections::{Connections, OnLimited};
use super::executor::Executor;
use super::io_timeouts::IoTimeouts;
use super::rejection::Broken;
use super::service::Service;
use landfall_dispatch::RunSlots;
use landfall_model::EdgeLimits;

const HEAD_BYTES_MAX: usize = 64 << 10;
const STREAMS_MAX: u32 = 100;
/// What hyper takes of an answer before the client has room for it.
const STREAM_BUFFER_BYTES: usize = 64 << 10;
const PING_EVERY: Duration = Duration::from_secs(20);
/// After a failed accept, for example without free file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Called with a connection that is refused before it has a request.
pub(crate) type OnBroken = Arc<dyn Fn(Broken, IpAddr) + Send + Sync>;

/// How a listener treats its connections.
pub(crate) struct Rules {
    pub(crate) limits: EdgeLimits,
    /// What sets `limits.connections`, for the log.
    pub(crate) limited_by: &'static str,
    /// Called for each new connection at a limit.
    pub(crate) on_limited: OnLimited,
    pub(crate) http2: bool,
    /// What connections share with attempts. `None`: they are polled whenever they are woken.
    pub(crate) slots: Option<Arc<RunSlots>>,
    /// How long running requests may take after the stop.
    pub(crate) drain: Duration,
}

/// What all connections of a listener share.
#[derive(Clone)]
struct Served<S> {
    builder: Builder<Executor>,
    service: S,
    limits: EdgeLimits,
    on_broken: OnBroken,
}

/// Serves until `stop` returns, then waits for running requests.
pub(crate) async fn serve(
    listener: TcpListener,
    service: impl Service,
    rules: Rules,
    on_broken: OnBroken,
    stop: impl Future<Output = ()>,
) {
    let Rules {
        limits,
        limited_by,
        on_limited,
        http2,
        slots,
        drain,
    } = rules;
    let executor = Executor::new(slots);
    let served = Served {
        builder: builder(limits, http2, executor.clone()),
        service,
        limits,
        on_broken,
    };
    let connections = Connections::new(limits.connections, limited_by, on_limited);
    let graceful = GracefulShutdown::new();
    let mut stop = std::pin::pin!(stop);

    loop {
        let accepted = tokio::select! {
            () = &mut stop => break,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                connections.accept_failed(&error);
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };

        let slot = tokio::select! {
            () = &mut stop => break,
            slot = connections.acquire() => slot,
        };
        let connection = connection(
            served.clone(),
            stream,
            peer,
            slot.activity.clone(),
            graceful.watcher(),
        );
        executor.spawn(async move {
            connection.await;
            drop(slot);
        });
    }

    drop(listener);
    if tokio::time::timeout(drain, graceful.shutdown())
        .await
        .is_err()
    {
        tracing::warn!("connections are still open at the end of the drain: they are closed");
    }
}

/// Serves one connection to its end. Reports what was wrong if there was no request to answer, or
/// if an answer was not read.
async fn connection(
    served: Served<impl Service>,
    stream: TcpStream,
    peer: SocketAddr,
    activity: Arc<ConnectionActivity>,
    watcher: Watcher,
) {
    let Served {
        builder,
        service,
        limits,
        on_broken,
    } = served;
    stream.set_nodelay(true).ok();
    let io = TokioIo::new(IoTimeouts::new(stream, &limits, activity.clone()));
    let observer = activity.clone();
    let service = Arc::new(service);
    let service = service_fn(move |request: http::Request<Incoming>| {
        let in_flight = observer.start_request(request.version());
        let is_chunked = request.headers().contains_key(TRANSFER_ENCODING);
        let connection = observer.for_request(is_chunked);
        let answer = service.clone().answer(request, peer, connection);
        let observer = observer.clone();
        async move {
            let response = answer.await;
            drop(in_flight);
            Ok::<_, Infallible>(observer.observe(response))
        }
    });
    let served = builder.serve_connection(io, service);
    let on_slow = || on_broken(Broken::SlowReader, peer.ip());
    let broken = tokio::select! {
        ended = watcher.watch(served.into_owned()) => ended.err().and_then(|error| {
            tracing::debug!(%peer, %error, "connection ended");
            broken(&activity, &*error)
        }),
        () = activity.closed() => {
            tracing::debug!(%peer, "a connection without a request is closed: its slot is needed");
            None
        }
        stall = activity.stalled(&limits, on_slow) => {
            tracing::debug!(%peer, "connection closed: no activity");
            (stall == Stall::Sending).then_some(Broken::SlowReader)
        }
    };
    if let Some(broken) = broken {
        on_broken(broken, peer.ip());
    }
}

/// What was refused, if that ended the connection.
fn broken(
    activity: &ConnectionActivity,
    error: &(dyn Error + Send + Sync + 'static),
) -> Option<Broken> {
    if activity.is_head_slow() {
        return Some(Broken::SlowHead);
    }

    if activity.is_reader_slow() {
        return Some(Broken::SlowReader);
    }

    match error.downcast_ref::<hyper::Error>()? {
        error if error.is_parse_too_large() => Some(Broken::LargeHead),
        error if error.is_parse_version_h2() => Some(Broken::Http2),
        error if error.is_parse() => Some(Broken::BadHead),
        _ => None,
    }
}

fn builder(limits: EdgeLimits, http2: bool, executor: Executor) -> Builder<Executor> {
    let mut builder = Builder::new(executor);
    builder
        .http1()
        .timer(TokioTimer::new())
        // `IoTimeouts` has the deadlines of heads.
        .header_read_timeout(None)
        .max_buf_size(HEAD_BYTES_MAX)
        // A client may close its side after the request and still wait for the answer.
        .half_close(true)
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(HEAD_BYTES_MAX as u32)
        .max_send_buf_size(STREAM_BUFFER_BYTES)
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(limits.head_timeout);
    if http2 { builder } else { builder.http1_only() }
}
