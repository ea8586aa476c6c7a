//! Slow, silent and idle connections, and HTTP/2.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use landfall_tests::{Setup, eventually, guest};

use super::{OPEN, is_closed, node, raw, status_of};

#[tokio::test]
async fn slow_and_silent_callers_are_closed() {
    for http2 in [false, true] {
        let setup = Setup::new().hook("hook", &guest("answers_one"), OPEN);
        let setup = setup
            .env("LANDFALL_LIMITS_HEAD_TIMEOUT", "1s")
            .env("LANDFALL_LIMITS_BODY_TIMEOUT", "1s");
        let setup = setup.env("LANDFALL_LIMITS_KEEP_ALIVE", "1s");
        let node = setup
            .env("LANDFALL_HTTP2", &http2.to_string())
            .serving("hook")
            .await;
        let stalled = "POST /hook HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\n{";
        let kept = "POST /hook HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\n{}";
        for (bytes, expected) in [
            ("", "closed"),
            ("P", "closed"),
            ("POST /hook HTTP/1.1\r\nho", "closed"),
            (stalled, "408"),
            (kept, "200"),
        ] {
            let started = Instant::now();
            let answer = raw(&node, bytes.as_bytes(), Duration::from_secs(60));
            assert!(
                started.elapsed() < Duration::from_secs(60),
                "http2 {http2}: {bytes:?} was not closed"
            );
            let status = status_of(&answer);
            assert!(
                status == expected || (expected == "closed" && status == "408"),
                "http2 {http2}: {bytes:?}: {answer}"
            );
        }
        eventually("another caller is answered", || async {
            let answer = node.try_post("/hook", &[], "{}".into()).await?;
            (answer.0 == 200).then_some(())
        })
        .await;
    }
}

/// One request on a connection that stays open; false where the node has closed it.
fn ask_on(stream: &mut TcpStream) -> bool {
    stream
        .set_read_timeout(Some(Duration::from_secs(60)))
        .unwrap();
    if stream
        .write_all(b"POST /hook HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\n{}")
        .is_err()
    {
        return false;
    }
    let (mut answer, mut buffer) = (String::new(), [0; 4096]);
    while !answer.ends_with("one") {
        match stream.read(&mut buffer) {
            Ok(count @ 1..) => answer += &String::from_utf8_lossy(&buffer[..count]),
            _ => return false,
        }
    }
    assert_eq!(status_of(&answer), "200", "{answer}");
    true
}

#[tokio::test]
async fn idle_connections_outlive_the_head_timeout() {
    let setup = Setup::new()
        .hook("hook", &guest("answers_one"), OPEN)
        .env("LANDFALL_LIMITS_HEAD_TIMEOUT", "1s");
    let node = setup
        .env("LANDFALL_LIMITS_KEEP_ALIVE", "60s")
        .serving("hook")
        .await;
    let mut kept = TcpStream::connect(node.public).unwrap();
    for _ in 0..3 {
        assert!(ask_on(&mut kept));
        tokio::time::sleep(Duration::from_millis(1500)).await;
    }
    // A head that has begun has no more time than on a new connection.
    let started = Instant::now();
    kept.write_all(b"POST /hook HTTP/1.1\r\nho").unwrap();
    let mut rest = Vec::new();
    kept.read_to_end(&mut rest).ok();
    // Far below keep_alive.
    assert!(
        started.elapsed() < Duration::from_secs(50),
        "{:?}",
        started.elapsed()
    );
    eventually("the slow head is recorded", || async {
        let refusals = node.ask("/api/v1/refusals").await;
        (refusals[0]["reason"] == "head_timeout" && refusals[0]["status"].is_null()).then_some(())
    })
    .await;
}

#[tokio::test]
async fn silent_connections_end_at_keep_alive() {
    let setup = Setup::new().hook("hook", &guest("answers_one"), OPEN);
    let node = setup
        .env("LANDFALL_LIMITS_KEEP_ALIVE", "500ms")
        .serving("hook")
        .await;
    let mut kept = TcpStream::connect(node.public).unwrap();
    let started = Instant::now();
    assert!(ask_on(&mut kept));
    assert!(is_closed(&mut kept));
    assert!(started.elapsed() >= Duration::from_millis(500));
    assert_eq!(
        node.ask("/api/v1/refusals").await.as_array().unwrap().len(),
        0
    );
}

#[tokio::test]
async fn full_nodes_close_the_longest_idle() {
    let setup = Setup::new().hook("hook", &guest("answers_one"), OPEN);
    let node = setup
        .env("LANDFALL_LIMITS_CONNECTIONS", "4")
        .serving("hook")
        .await;
    let mut kept: Vec<TcpStream> = (0..4)
        .map(|_| TcpStream::connect(node.public).unwrap())
        .collect();
    for stream in &mut kept {
        assert!(ask_on(stream));
    }
    // The first is used again: the second is idle for longest.
    assert!(ask_on(&mut kept[0]));
    let mut fifth = TcpStream::connect(node.public).unwrap();
    assert!(ask_on(&mut fifth));
    assert!(is_closed(&mut kept[1]));
    for at in [0, 2, 3] {
        assert!(ask_on(&mut kept[at]), "connection {at}");
    }
}

#[tokio::test]
async fn idle_connections_are_cheap() {
    const COUNT: usize = 400;
    let node = node("").await;
    let mut warm = TcpStream::connect(node.public).unwrap();
    assert!((0..100).all(|_| ask_on(&mut warm)));
    let before = node.resident_kib();
    let mut kept: Vec<TcpStream> = (0..COUNT)
        .map(|_| TcpStream::connect(node.public).unwrap())
        .collect();
    assert!(kept.iter_mut().all(ask_on));
    let each = node.resident_kib().saturating_sub(before) as f64 / COUNT as f64;
    println!("{COUNT} idle connections: {each:.1} KiB each");
    assert!(each < 64.0, "{each} KiB for each idle connection");
}

#[tokio::test]
async fn callers_that_never_read_are_closed() {
    let hook = format!("max_body = \"2MiB\"\n{OPEN}");
    let setup = Setup::new().hook("echo", &landfall_tests::bundled("echo"), &hook);
    let node = setup
        .env("LANDFALL_LIMITS_HEAD_TIMEOUT", "1s")
        .serving("echo")
        .await;
    let body = format!("\"{}\"", "x".repeat(900 << 10));
    let request = format!(
        "POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut stream = TcpStream::connect(node.public).unwrap();
    stream
        .set_write_timeout(Some(Duration::from_secs(1)))
        .unwrap();
    let asked = Instant::now();
    let mut bytes = request.as_bytes().iter().cycle();
    let ended = loop {
        let part: Vec<u8> = bytes.by_ref().take(64 << 10).copied().collect();
        match stream.write_all(&part) {
            Err(error)
                if error.kind() == std::io::ErrorKind::WouldBlock
                    && asked.elapsed() < Duration::from_secs(60) => {}
            Err(error) => break error.kind(),
            Ok(()) => {}
        }
    };
    assert_ne!(
        ended,
        std::io::ErrorKind::WouldBlock,
        "the connection is still open"
    );
    assert_eq!(node.post("/echo", &[], "{}").await.0, 200);
}

/// An HTTP/2 client by hand: the preface, settings with a window of nothing, one request.
const HTTP2_NO_WINDOW: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\
    \x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x04\x00\x00\x00\x00\
    \x00\x00\x0c\x01\x05\x00\x00\x00\x01\x83\x86\x44\x05/hook\x41\x01a";

#[tokio::test]
async fn stalled_http2_callers_are_closed() {
    let setup = Setup::new()
        .hook("hook", &guest("answers_one"), OPEN)
        .arg("--http2");
    let node = setup
        .env("LANDFALL_LIMITS_HEAD_TIMEOUT", "1s")
        .serving("hook")
        .await;
    let mut stream = TcpStream::connect(node.public).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_millis(500)))
        .unwrap();
    stream.write_all(HTTP2_NO_WINDOW).unwrap();
    let (asked, mut buffer, mut got) = (Instant::now(), [0; 4096], 0);
    while asked.elapsed() < Duration::from_secs(60) {
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => got += count,
            // A ping now and then: the other end is alive, and takes nothing.
            Err(_) => drop(stream.write_all(b"\x00\x00\x08\x06\x00\x00\x00\x00\x00landfall")),
        }
    }
    assert!(
        got > 0 && asked.elapsed() < Duration::from_secs(60),
        "{got} bytes in {:?}",
        asked.elapsed()
    );
}

#[tokio::test]
async fn http2_without_tls_by_option() {
    let node = Setup::new()
        .hook("hook", &guest("answers_one"), OPEN)
        .arg("--http2")
        .serving("hook")
        .await;
    let client = reqwest::Client::builder()
        .http2_prior_knowledge()
        .build()
        .unwrap();
    let response = client
        .post(node.url("/hook"))
        .body("{}")
        .send()
        .await
        .unwrap();
    assert_eq!(
        (response.version(), response.status().as_u16()),
        (reqwest::Version::HTTP_2, 200)
    );
    assert_eq!(node.post("/hook", &[], "{}").await.0, 200);
}
