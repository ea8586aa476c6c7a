//! Replies that clients do not read: their memory has a limit, other callers are answered, and slow readers are disconnected.

use std::time::Duration;

use landfall_tests::http2::{Connection, Said, frame};
use landfall_tests::{Node, Setup, eventually, guest};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use super::OPEN;

const MIB: usize = 1 << 20;
const LARGE: &str = "max_body = \"8MiB\"\n";
/// More than the system buffers for a connection.
const BODY_BYTES: usize = 6 * MIB;
/// A window of nothing for each stream.
const NO_WINDOW: [u8; 6] = [0, 4, 0, 0, 0, 0];

/// A node with room for two replies of `BODY_BYTES`. Its hooks send back what they get.
fn setup() -> Setup {
    let stored = format!("mode = \"auto\"\n{LARGE}{OPEN}");
    Setup::new()
        .hook("large", &guest("replies"), &format!("{LARGE}{OPEN}"))
        .hook("stored", &guest("replies"), &stored)
        .hook("small", &guest("answers_one"), OPEN)
        .env("LANDFALL_LIMITS_RESPONSE_MEMORY", "16MiB")
        .env("LANDFALL_LIMITS_BODY_TIMEOUT", "120s")
}

async fn serving(setup: Setup) -> Node {
    let node = setup.serving("large").await;
    node.until("stored", "serving").await;
    node.until("small", "serving").await;
    node
}

/// Sends a large request, and reads only the status of the answer. The client has hardly a buffer.
async fn ask(node: &Node, path: &str) -> (TcpStream, String) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream = socket.connect(node.public).await.unwrap();
    let head = format!("POST {path} HTTP/1.1\r\nhost: a\r\ncontent-length: {BODY_BYTES}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&vec![b'x'; BODY_BYTES]).await.unwrap();

    let mut status = [0; 12];
    stream.read_exact(&mut status).await.unwrap();
    (stream, String::from_utf8_lossy(&status[9..]).into_owned())
}

async fn dropped(node: &Node, reason: &str) -> Option<u64> {
    let metrics = node.metrics().await;
    let series = format!("landfall_replies_dropped_total{{reason=\"{reason}\"}} ");
    let value = metrics
        .lines()
        .find_map(|line| line.strip_prefix(&series))?;
    value.parse().ok()
}

#[tokio::test]
async fn unread_replies_stay_within_memory() {
    let node = serving(setup().env("LANDFALL_LIMITS_HEAD_TIMEOUT", "300s")).await;
    let mut clients = Vec::new();
    for expected in ["200", "200", "503", "503", "503"] {
        let (stream, status) = ask(&node, "/large").await;
        assert_eq!(status, expected, "{}", node.log());
        clients.push(stream);
    }

    assert_eq!(node.post("/small", &[], "{}").await.0, 200);
    assert_eq!(dropped(&node, "response_memory").await, Some(3));
    let refusals = node.ask("/api/v1/refusals").await;
    assert_eq!(refusals[0]["reason"], "busy", "{refusals}");
    assert!(
        refusals.to_string().contains("limits.response_memory"),
        "{refusals}"
    );

    drop(clients);
    eventually("the memory is free again", || async {
        let (_, status) = ask(&node, "/large").await;
        (status == "200").then_some(())
    })
    .await;
}

#[tokio::test]
async fn stored_events_get_the_accepted_answer() {
    let node = serving(setup().env("LANDFALL_LIMITS_HEAD_TIMEOUT", "300s")).await;
    let mut clients = Vec::new();
    for (path, expected) in [("/large", "200"), ("/stored", "200"), ("/stored", "202")] {
        let (stream, status) = ask(&node, path).await;
        assert_eq!(status, expected, "{path}: {}", node.log());
        clients.push(stream);
    }

    node.logged("the reply is not sent", |line| {
        line["message"] == "reply not sent" && line["hook"] == "stored"
    })
    .await;
    assert_eq!(dropped(&node, "response_memory").await, Some(1));
    node.until_states("stored", &["done", "done"]).await;
}

#[tokio::test]
async fn slow_readers_are_disconnected() {
    let setup = setup()
        .env("LANDFALL_LIMITS_HEAD_TIMEOUT", "3s")
        .env("LANDFALL_LIMITS_RESPONSE_RATE", "1MiB");
    let node = serving(setup).await;
    let (mut stream, status) = ask(&node, "/large").await;
    assert_eq!(status, "200");

    // The client reads all the time, but 200 times too slowly.
    let (mut read, mut piece) = (0, [0; 512]);
    while let Ok(count @ 1..) = stream.read(&mut piece).await {
        read += count;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }

    assert!(read < BODY_BYTES, "{read} bytes");
    node.logged("the slow reader", |line| {
        line["message"] == "answer not read in time" && line["reason"] == "slow_reader"
    })
    .await;
    assert_eq!(dropped(&node, "slow_reader").await, Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn http2_connections_have_a_share() {
    const STREAM_BYTES: usize = 512 << 10;
    let setup = setup()
        .arg("--http2")
        .env("LANDFALL_LIMITS_HEAD_TIMEOUT", "300s")
        .env("LANDFALL_LIMITS_CONNECTION_RESPONSE_MEMORY", "2MiB");
    let node = serving(setup).await;

    let mut connection = Connection::open(node.public, &NO_WINDOW);
    for (number, expected) in ["200", "200", "200", "200", "503"].iter().enumerate() {
        let stream = 2 * number as u32 + 1;
        let fields = ":method=POST|:scheme=http|:path=/large|:authority=a";
        connection.send(&frame(&format!("HEADERS 4 {stream} |{fields}")));
        for _ in 0..STREAM_BYTES / (16 << 10) {
            connection.send(&frame(&format!("DATA 0 {stream} {}", "x".repeat(16 << 10))));
        }
        connection.send(&frame(&format!("DATA 1 {stream} ")));

        let said = connection.said();
        assert_eq!(
            said,
            Said::Status(stream, (*expected).to_owned()),
            "{}",
            node.log()
        );
    }

    assert_eq!(dropped(&node, "connection_response_memory").await, Some(1));
    let body = vec![b'x'; STREAM_BYTES];
    let another = node.post("/large", &[], body).await;
    assert_eq!(another.0, 200, "another connection");
}

#[tokio::test(flavor = "multi_thread")]
async fn unread_http2_replies_end() {
    let setup = setup()
        .arg("--http2")
        .env("LANDFALL_LIMITS_HEAD_TIMEOUT", "3s");
    let node = serving(setup).await;
    let mut connection = Connection::open(node.public, &NO_WINDOW);
    let fields = ":method=POST|:scheme=http|:path=/large|:authority=a";
    connection.send(&frame(&format!("HEADERS 4 1 |{fields}")));
    connection.send(&frame("DATA 1 1 {}"));
    assert_eq!(connection.said(), Said::Status(1, "200".into()));

    let said = connection.said();
    assert!(!matches!(said, Said::Status(..)), "{said}");
    eventually("the client is counted", || async {
        dropped(&node, "slow_reader").await
    })
    .await;
}
