//! The load generator: keep-alive connections that send one prepared request repeatedly and time
//! each answer.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout_at;

/// The size of the buffer that an answer is read into.
pub(crate) const ANSWER_BYTES_MAX: usize = 256 << 10;
/// How long a hook may take to load.
const LOAD_TIMEOUT: Duration = Duration::from_secs(300);
const PROBE_INTERVAL: Duration = Duration::from_millis(1);

/// One answer that was read to its end.
struct Answer {
    status: u16,
    /// Whether the server closes the connection.
    closes: bool,
}

/// What one run measured.
#[derive(Debug, Clone)]
pub(crate) struct Measured {
    /// Answers per second, all of them 200.
    pub(crate) per_second: f64,
    /// The median latency.
    pub(crate) p50: Duration,
    /// The 99th percentile of the latency.
    pub(crate) p99: Duration,
    /// From the first request to the last answer.
    pub(crate) elapsed: Duration,
}

/// The answers of one run with any status.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Answers {
    pub(crate) all: u64,
    /// Those with status 200.
    pub(crate) ok: u64,
}

// === impl Measured ===

impl Measured {
    /// From the latencies of all answers, at least one, and the time that they took together.
    pub(crate) fn of(mut latencies: Vec<Duration>, elapsed: Duration) -> Measured {
        latencies.sort_unstable();
        Measured {
            per_second: latencies.len() as f64 / elapsed.as_secs_f64(),
            p50: percentile(&latencies, 0.5),
            p99: percentile(&latencies, 0.99),
            elapsed,
        }
    }

    /// The number of answers.
    pub(crate) fn count(&self) -> u64 {
        (self.per_second * self.elapsed.as_secs_f64()).round() as u64
    }
}

/// Sends `request` on `connections` connections for `time`. Any status but 200 is an error.
pub(crate) async fn run(
    to: SocketAddr,
    request: &[u8],
    connections: usize,
    time: Duration,
) -> anyhow::Result<Measured> {
    run_each(to, &[request.to_vec()], connections, time).await
}

/// The same with several requests, at least one, which each connection sends in turns.
pub(crate) async fn run_each(
    to: SocketAddr,
    requests: &[Vec<u8>],
    connections: usize,
    time: Duration,
) -> anyhow::Result<Measured> {
    let requests: Arc<[Vec<u8>]> = requests.into();
    let started = Instant::now();
    let workers: Vec<_> = (0..connections)
        .map(|first| tokio::spawn(send_until(to, requests.clone(), first, started + time)))
        .collect();

    let mut latencies = Vec::new();
    for worker in workers {
        latencies.extend(worker.await.context("a connection panicked")??);
    }

    let elapsed = started.elapsed();
    ensure!(!latencies.is_empty(), "{to} did not answer");
    Ok(Measured::of(latencies, elapsed))
}

/// Sends `request` on `connections` connections for `time` and accepts any answer.
pub(crate) async fn run_any_status(
    to: SocketAddr,
    request: &[u8],
    connections: usize,
    time: Duration,
) -> Answers {
    let request: Arc<[u8]> = request.into();
    let until = Instant::now() + time;
    let workers: Vec<_> = (0..connections)
        .map(|_| tokio::spawn(send_any_status_until(to, request.clone(), until)))
        .collect();

    let mut answers = Answers::default();
    for worker in workers {
        let Answers { all, ok } = worker.await.unwrap_or_default();
        answers.all += all;
        answers.ok += ok;
    }

    answers
}

/// Returns when `request` is answered with 200.
pub(crate) async fn wait_for_200(to: SocketAddr, request: &[u8]) -> anyhow::Result<()> {
    let until = Instant::now() + LOAD_TIMEOUT;
    let mut buffer = vec![0; ANSWER_BYTES_MAX];

    while Instant::now() < until {
        if let Ok(mut stream) = TcpStream::connect(to).await
            && exchange(&mut stream, request, &mut buffer)
                .await
                .is_ok_and(|status| status == 200)
        {
            return Ok(());
        }
        tokio::time::sleep(PROBE_INTERVAL).await;
    }

    bail!(
        "{to} did not answer 200 within {} s",
        LOAD_TIMEOUT.as_secs()
    )
}

/// Sends a request and reads its answer. Returns the status.
pub(crate) async fn exchange(
    stream: &mut TcpStream,
    request: &[u8],
    buffer: &mut [u8],
) -> anyhow::Result<u16> {
    Ok(ask(stream, request, buffer).await?.status)
}

async fn ask(stream: &mut TcpStream, request: &[u8], buffer: &mut [u8]) -> anyhow::Result<Answer> {
    stream.write_all(request).await?;

    let mut filled = 0;
    loop {
        let read = stream.read(&mut buffer[filled..]).await?;
        ensure!(read > 0, "the server closed the connection");
        filled += read;

        if let Some((head, bytes)) = head_and_length(&buffer[..filled])?
            && filled >= bytes
        {
            return Ok(Answer {
                status: status(head)?,
                closes: header(head, "connection")
                    .is_some_and(|value| value.eq_ignore_ascii_case("close")),
            });
        }
        ensure!(
            filled < buffer.len(),
            "the answer has more than {ANSWER_BYTES_MAX} bytes"
        );
    }
}

/// The length of a message in bytes, once its head is complete.
pub(crate) fn message_bytes(bytes: &[u8]) -> anyhow::Result<Option<usize>> {
    Ok(head_and_length(bytes)?.map(|(_, length)| length))
}

async fn send_until(
    to: SocketAddr,
    requests: Arc<[Vec<u8>]>,
    first: usize,
    until: Instant,
) -> anyhow::Result<Vec<Duration>> {
    let mut stream = connect(to).await?;
    let mut buffer = vec![0; ANSWER_BYTES_MAX];
    let mut latencies = Vec::with_capacity(1 << 10);

    for number in first.. {
        if Instant::now() >= until {
            break;
        }

        let sent = Instant::now();
        let request = &requests[number % requests.len()];
        let answer = ask(&mut stream, request, &mut buffer).await?;
        let status = answer.status;
        ensure!(status == 200, "{to} answered {status} instead of 200");
        latencies.push(sent.elapsed());

        if answer.closes {
            stream = connect(to).await?;
        }
    }

    Ok(latencies)
}

async fn connect(to: SocketAddr) -> anyhow::Result<TcpStream> {
    let stream = TcpStream::connect(to)
        .await
        .with_context(|| format!("cannot connect to {to}: is `ulimit -n` large enough?"))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

async fn send_any_status_until(to: SocketAddr, request: Arc<[u8]>, until: Instant) -> Answers {
    let (mut buffer, mut answers) = (vec![0; ANSWER_BYTES_MAX], Answers::default());

    while Instant::now() < until {
        let Ok(mut stream) = TcpStream::connect(to).await else {
            return answers;
        };

        while let Ok(Ok(status)) =
            timeout_at(until.into(), exchange(&mut stream, &request, &mut buffer)).await
        {
            answers.all += 1;
            answers.ok += u64::from(status == 200);
        }
    }

    answers
}

fn percentile(sorted: &[Duration], share: f64) -> Duration {
    sorted[((sorted.len() - 1) as f64 * share) as usize]
}

fn status(head: &str) -> anyhow::Result<u16> {
    head.get(9..12)
        .and_then(|text| text.parse().ok())
        .context("the answer is not HTTP/1.1")
}

/// A complete head, and the length in bytes of head and body. `None`: not all bytes have come that
/// tell the length.
fn head_and_length(bytes: &[u8]) -> anyhow::Result<Option<(&str, usize)>> {
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
        return Ok(None);
    };

    let head = std::str::from_utf8(&bytes[..end])?;
    let body = end + 4;
    let is_chunked = header(head, "transfer-encoding")
        .is_some_and(|value| value.eq_ignore_ascii_case("chunked"));
    if is_chunked {
        return Ok(chunked_bytes(&bytes[body..])?.map(|length| (head, body + length)));
    }

    let body_bytes = header(head, "content-length")
        .and_then(|value| value.parse::<usize>().ok())
        .context("the head has no content-length")?;
    Ok(Some((head, body + body_bytes)))
}

/// The first value of a header.
fn header<'a>(head: &'a str, wanted: &str) -> Option<&'a str> {
    head.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case(wanted))
        .map(|(_, value)| value.trim())
}

/// The length of a chunked body without trailers, once it is complete.
fn chunked_bytes(bytes: &[u8]) -> anyhow::Result<Option<usize>> {
    let mut at = 0;
    loop {
        let Some(line) = bytes[at..].windows(2).position(|two| two == b"\r\n") else {
            return Ok(None);
        };

        let size = std::str::from_utf8(&bytes[at..at + line])?;
        let size = size.split(';').next().unwrap_or_default().trim();
        let size = usize::from_str_radix(size, 16).context("the size of a chunk is no number")?;
        at += line + 2 + size + 2;
        if at > bytes.len() {
            return Ok(None);
        }
        if size == 0 {
            return Ok(Some(at));
        }
    }
}
