//! A load generator: keep-alive connections that send one prepared request again and again and time each answer.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout_at;

const ANSWER_BYTES_MAX: usize = 256 << 10;
const LOAD_WITHIN: Duration = Duration::from_secs(60);

/// What one run measured.
#[derive(Debug, Clone)]
pub struct Measured {
    /// Answers a second, all of them 200.
    pub per_second: f64,
    /// Half of the answers came within this.
    pub p50: Duration,
    /// 99 of 100 did.
    pub p99: Duration,
    /// From the first request to the last answer.
    pub elapsed: Duration,
}

/// A whole request as bytes.
pub fn request(path: &str, headers: &[(&str, &str)], body: &str) -> Vec<u8> {
    let mut head =
        format!("POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    format!("{head}content-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// Sends on `connections` connections for `time`.
pub async fn run(
    to: SocketAddr,
    request: &[u8],
    connections: usize,
    time: Duration,
) -> anyhow::Result<Measured> {
    let request: Arc<[u8]> = request.into();
    let started = Instant::now();
    let workers: Vec<_> = (0..connections)
        .map(|_| tokio::spawn(worker(to, request.clone(), started + time)))
        .collect();
    let mut latencies = Vec::new();
    for worker in workers {
        latencies.extend(worker.await.context("a connection panicked")??);
    }
    let elapsed = started.elapsed();
    latencies.sort_unstable();
    ensure!(!latencies.is_empty(), "no answer at all from {to}");
    let at = |share: f64| latencies[((latencies.len() - 1) as f64 * share) as usize];
    Ok(Measured {
        per_second: latencies.len() as f64 / elapsed.as_secs_f64(),
        p50: at(0.5),
        p99: at(0.99),
        elapsed,
    })
}

/// Returns when this request is answered with 200: a hook may have to be loaded first.
pub async fn until_200(to: SocketAddr, request: &[u8]) -> anyhow::Result<()> {
    let until = Instant::now() + LOAD_WITHIN;
    let mut buffer = vec![0; ANSWER_BYTES_MAX];
    while Instant::now() < until {
        let mut stream = TcpStream::connect(to)
            .await
            .with_context(|| format!("nobody listens on {to}"))?;
        if exchange(&mut stream, request, &mut buffer)
            .await
            .is_ok_and(|status| status == 200)
        {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    bail!("no answer of 200 from {to}")
}

async fn worker(
    to: SocketAddr,
    request: Arc<[u8]>,
    until: Instant,
) -> anyhow::Result<Vec<Duration>> {
    let mut stream = TcpStream::connect(to)
        .await
        .with_context(|| format!("nobody listens on {to}"))?;
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; ANSWER_BYTES_MAX];
    let mut latencies = Vec::with_capacity(1 << 14);
    while Instant::now() < until {
        let sent = Instant::now();
        let status = exchange(&mut stream, &request, &mut buffer).await?;
        ensure!(status == 200, "an answer of {status} instead of 200");
        latencies.push(sent.elapsed());
    }
    Ok(latencies)
}

/// Sends on `connections` connections for `time`, whatever comes back. How many answers there were.
pub async fn knock(to: SocketAddr, request: &[u8], connections: usize, time: Duration) -> u64 {
    let request: Arc<[u8]> = request.into();
    let until = Instant::now() + time;
    let workers: Vec<_> = (0..connections)
        .map(|_| tokio::spawn(knocker(to, request.clone(), until)))
        .collect();
    let mut answers = 0;
    for worker in workers {
        answers += worker.await.unwrap_or(0);
    }
    answers
}

async fn knocker(to: SocketAddr, request: Arc<[u8]>, until: Instant) -> u64 {
    let (mut buffer, mut answers) = (vec![0; ANSWER_BYTES_MAX], 0);
    while Instant::now() < until {
        let Ok(mut stream) = TcpStream::connect(to).await else {
            return answers;
        };
        while let Ok(Ok(_)) =
            timeout_at(until.into(), exchange(&mut stream, &request, &mut buffer)).await
        {
            answers += 1;
        }
    }
    answers
}

/// Sends a request and reads its answer. Returns the status.
pub async fn exchange(
    stream: &mut TcpStream,
    request: &[u8],
    buffer: &mut [u8],
) -> anyhow::Result<u16> {
    stream.write_all(request).await?;
    let mut filled = 0;
    loop {
        let read = stream.read(&mut buffer[filled..]).await?;
        if read == 0 {
            bail!("the connection was closed");
        }
        filled += read;
        if let Some((status, bytes)) = parse(&buffer[..filled])?
            && filled >= bytes
        {
            return Ok(status);
        }
        ensure!(
            filled < buffer.len(),
            "an answer of more than {ANSWER_BYTES_MAX} bytes"
        );
    }
}

/// Status and length of an answer whose head has come whole.
fn parse(bytes: &[u8]) -> anyhow::Result<Option<(u16, usize)>> {
    let Some((head, length)) = head_and_length(bytes)? else {
        return Ok(None);
    };
    let status = head
        .get(9..12)
        .and_then(|text| text.parse().ok())
        .context("no HTTP answer")?;
    Ok(Some((status, length)))
}

/// The length of a request whose head has come whole.
pub fn request_bytes(bytes: &[u8]) -> anyhow::Result<Option<usize>> {
    Ok(head_and_length(bytes)?.map(|(_, length)| length))
}

/// A head that has come whole, and the length of it and its body.
fn head_and_length(bytes: &[u8]) -> anyhow::Result<Option<(&str, usize)>> {
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
        return Ok(None);
    };
    let head = std::str::from_utf8(&bytes[..end])?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse::<usize>().ok())?
    });
    Ok(Some((
        head,
        end + 4 + length.context("a head without content-length")?,
    )))
}
