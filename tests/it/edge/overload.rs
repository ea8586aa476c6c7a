//! More connections, descriptors and requests than there is room for: what is served, what is refused, and that the node recovers.
//! `LANDFALL_LONG=1`: 10,000 connections, and arrivals above the capacity of a hook for 20 s.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use landfall_tests::faults::{is_long, rounds};
use landfall_tests::{Node, Receiver, Setup, descriptors, eventually, guest};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::OPEN;

/// The attempts of a hook under overload that run at a time. As many requests wait.
const CONCURRENCY: usize = 4;
/// How long each of them takes.
const ATTEMPT: Duration = Duration::from_millis(100);
/// Connections that send their requests at the same time.
const BATCH: usize = 100;

/// The head of an answer whose body is there too.
#[derive(Debug, Clone)]
struct Answer {
    status: u16,
    retry_after: Option<u64>,
}

// === impl Answer ===

impl Answer {
    /// None while the answer is incomplete.
    fn parse(bytes: &[u8]) -> Option<Answer> {
        let text = String::from_utf8_lossy(bytes);
        let (head, body) = text.split_once("\r\n\r\n")?;
        let header = |wanted: &str| {
            let mut pairs = head.lines().filter_map(|line| line.split_once(": "));
            let found = pairs.find(|(name, _)| name.eq_ignore_ascii_case(wanted));
            found.and_then(|(_, value)| value.parse::<u64>().ok())
        };
        let is_whole = body.len() as u64 >= header("content-length")?;
        is_whole.then_some(Answer {
            status: head.get(9..12)?.parse().ok()?,
            retry_after: header("retry-after"),
        })
    }
}

/// One request on a connection that stays open; none where the node closes it.
async fn ask(stream: &mut TcpStream, path: &str) -> Option<Answer> {
    let request = format!("POST {path} HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\n{{}}");
    stream.write_all(request.as_bytes()).await.ok()?;
    read_answer(stream).await
}

async fn read_answer(stream: &mut TcpStream) -> Option<Answer> {
    let (mut bytes, mut buffer) = (Vec::new(), [0; 2048]);
    loop {
        match stream.read(&mut buffer).await {
            Ok(count @ 1..) => bytes.extend_from_slice(&buffer[..count]),
            _ => return None,
        }
        if let Some(answer) = Answer::parse(&bytes) {
            return Some(answer);
        }
    }
}

/// One request on a connection of its own.
async fn ask_once(address: SocketAddr, path: &'static str) -> Option<Answer> {
    let mut stream = TcpStream::connect(address).await.ok()?;
    ask(&mut stream, path).await
}

async fn limited(node: &Node, result: &str) -> u64 {
    let metrics = node.metrics().await;
    let series = format!("landfall_connections_limited_total{{result=\"{result}\"}} ");
    let value = metrics.lines().find_map(|line| line.strip_prefix(&series));
    value.map_or(0, |value| value.parse().unwrap())
}

/// One request on each connection, some at the same time.
async fn ask_all(connections: Vec<TcpStream>) -> Vec<TcpStream> {
    let mut answered = Vec::new();
    let mut rest = connections.into_iter();
    loop {
        let mut running = JoinSet::new();
        for mut stream in rest.by_ref().take(BATCH) {
            running.spawn(async move {
                let answer = ask(&mut stream, "/hook").await;
                (stream, answer)
            });
        }
        if running.is_empty() {
            return answered;
        }
        for (stream, answer) in running.join_all().await {
            let answer = answer.expect("the node answers");
            assert_eq!(answer.status, 200, "{answer:?}");
            answered.push(stream);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_connections_are_served() {
    let count = rounds(1000, 10_000);
    if !descriptors::raise(count + 2000) {
        return;
    }
    let node = Setup::new()
        .hook("hook", &guest("answers_one"), OPEN)
        .env("LANDFALL_LIMITS_CONNECTIONS", &(count + 100).to_string())
        // The first connection sends its request after the last one was opened.
        .env("LANDFALL_LIMITS_HEAD_TIMEOUT", "10m")
        .serving("hook")
        .await;
    let before = node.descriptors();

    let mut connections = Vec::with_capacity(count);
    for _ in 0..count {
        connections.push(TcpStream::connect(node.public).await.unwrap());
    }
    let connections = ask_all(connections).await;
    // Each of them is still open, and another caller is answered beside them.
    let connections = ask_all(connections).await;
    assert_eq!(node.post("/hook", &[], "{}").await.0, 200);
    assert!(node.descriptors() >= before + count);
    println!("{count} connections: {} KiB resident", node.resident_kib());

    drop(connections);
    eventually("every descriptor is closed", || async {
        (node.descriptors() <= before + 8).then_some(())
    })
    .await;
    assert_eq!(limited(&node, "closed").await, 0);
}

/// None of the connections can be closed for a new one: each has a request.
#[tokio::test(flavor = "multi_thread")]
async fn few_descriptors_make_connections_wait() {
    let receiver = Receiver::start().await;
    receiver.hold();
    let node = Setup::new()
        .hook("waits", &guest("waits"), &receiver.hook_of_waits(""))
        .under("prlimit", &["--nofile=256:256"])
        .serving("waits")
        .await;
    let most = node
        .logged("the limit is lowered", |line| line["limit"] == 256)
        .await["most"]
        .as_u64()
        .unwrap() as usize;

    let mut running = JoinSet::new();
    for _ in 0..most {
        running.spawn(ask_once(node.public, "/waits"));
    }
    receiver.until_called(most).await;
    // The system accepts further connections, and the node answers them later.
    for _ in 0..most {
        running.spawn(ask_once(node.public, "/waits"));
    }

    node.until_log("every connection has a request: new connections wait")
        .await;
    assert_eq!(node.readyz().await, 200);
    assert!(node.hook("waits").await.is_some());
    eventually("the waiting connection is counted", || async {
        (limited(&node, "waited").await > 0).then_some(())
    })
    .await;

    receiver.release();
    for answer in running.join_all().await {
        let answer = answer.expect("every connection is answered");
        assert_eq!(answer.status, 200, "{}", node.log());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_accepts_are_tried_again() {
    let node = Setup::new()
        .hook("hook", &guest("answers_one"), OPEN)
        .serving("hook")
        .await;
    // Nothing of the node uses a descriptor now that would be free later.
    node.until_ready().await;
    node.limit_descriptors(1);
    let waiting = tokio::spawn(ask_once(node.public, "/hook"));
    let line = node
        .logged("the failed accept", |line| {
            let message = line["message"].as_str().unwrap_or_default();
            message.starts_with("a connection was not accepted")
        })
        .await;
    assert_eq!(line["level"], "WARN");

    node.limit_descriptors(1024);
    let answer = waiting.await.unwrap().expect("the connection is accepted");
    assert_eq!(answer.status, 200);
    assert!(limited(&node, "failed").await > 0);
    let lines = node.log();
    assert_eq!(lines.matches("a connection was not accepted").count(), 1);
}

/// A hook with `CONCURRENCY`, and a neighbour.
fn overloaded(component: &str, hook_file: &str) -> Setup {
    let hook_file = format!("concurrency = {CONCURRENCY}\n{hook_file}");
    Setup::new()
        .hook("busy", &guest(component), &hook_file)
        .hook("neighbour", &guest("answers_one"), OPEN)
}

async fn until_served_again(node: &Node) {
    eventually("the hook is served again", || async {
        let answer = ask_once(node.public, "/busy").await?;
        (answer.status == 200).then_some(())
    })
    .await;
}

async fn until_idle(node: &Node) {
    eventually("no attempt is left", || async {
        let metrics = node.metrics().await;
        let running = "landfall_hook_attempts_running{hook=\"busy\"} 0";
        metrics.contains(running).then_some(())
    })
    .await;
}

/// Nothing ends while the requests arrive: all but those that run are refused.
#[tokio::test(flavor = "multi_thread")]
async fn full_hooks_shed_and_recover() {
    let receiver = Receiver::start().await;
    receiver.hold();
    let node = overloaded("waits", &receiver.hook_of_waits(""))
        .serving("busy")
        .await;
    node.until("neighbour", "serving").await;

    let mut served = JoinSet::new();
    for _ in 0..CONCURRENCY {
        served.spawn(ask_once(node.public, "/busy"));
    }
    receiver.until_called(CONCURRENCY).await;
    let mut shed = JoinSet::new();
    for _ in 0..4 * CONCURRENCY {
        shed.spawn(ask_once(node.public, "/busy"));
    }

    for answer in shed.join_all().await {
        let answer = answer.expect("every request is answered");
        assert_eq!(answer.status, 503, "{answer:?}");
        assert!(answer.retry_after.is_some(), "{answer:?}");
    }
    assert_eq!(node.post("/neighbour", &[], "{}").await.0, 200);
    receiver.release();
    for answer in served.join_all().await {
        assert_eq!(answer.expect("an answer").status, 200);
    }
    until_served_again(&node).await;
    until_idle(&node).await;
}

/// Open loop: the requests arrive at a fixed rate, whether or not earlier ones are answered.
#[tokio::test(flavor = "multi_thread")]
async fn arrivals_above_capacity_are_shed() {
    let hook_file = format!("{OPEN}[settings]\nms = \"{}\"\n", ATTEMPT.as_millis());
    let node = overloaded("sleeps", &hook_file).serving("busy").await;
    node.until("neighbour", "serving").await;
    let capacity = CONCURRENCY as f64 / ATTEMPT.as_secs_f64();
    let every = Duration::from_secs_f64(1.0 / (4.0 * capacity));
    let arrivals = (rounds(2, 20) as f64 * 4.0 * capacity) as usize;
    if !descriptors::raise(arrivals + 2000) {
        return;
    }

    let mut running = JoinSet::new();
    let mut clock = tokio::time::interval(every);
    for _ in 0..arrivals {
        clock.tick().await;
        running.spawn(ask_once(node.public, "/busy"));
    }
    assert_eq!(node.post("/neighbour", &[], "{}").await.0, 200);
    let ended = Instant::now();
    until_served_again(&node).await;
    let recovered = ended.elapsed();
    until_idle(&node).await;

    let (mut served, mut shed) = (0, 0);
    for answer in running.join_all().await {
        let answer = answer.expect("every request is answered");
        match (answer.status, answer.retry_after) {
            (200, _) => served += 1,
            (503, Some(_)) => shed += 1,
            _ => panic!("{answer:?}"),
        }
    }
    println!(
        "{arrivals} requests at {} a second, capacity {capacity}: {served} served, {shed} shed, recovered in {recovered:?}",
        4.0 * capacity
    );
    assert!(served > 0 && served + shed == arrivals);
    if is_long() {
        assert!(shed > served, "{served} served, {shed} shed");
        assert!(recovered < Duration::from_secs(2), "{recovered:?}");
    }
}
