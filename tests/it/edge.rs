//! The public listener: methods, sizes, odd heads, slow and silent callers, a full hook, a stop.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use landfall_tests::{Node, Setup, eventually, guest};

const OPEN: &str = "[verify]\nscheme = \"none\"\n";

async fn node(hook_file: &str) -> Node {
    Setup::new()
        .hook("hook", &guest("answers_one"), &format!("{hook_file}{OPEN}"))
        .serving("hook")
        .await
}

/// Sends raw bytes, reads what comes until the other side closes or `wait` is over.
fn raw(node: &Node, bytes: &[u8], wait: Duration) -> String {
    let mut stream = TcpStream::connect(node.public).unwrap();
    stream.set_read_timeout(Some(wait)).unwrap();
    stream.write_all(bytes).unwrap();
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = stream.read(&mut buffer) {
        answer.extend_from_slice(&buffer[..count]);
    }
    String::from_utf8_lossy(&answer).into_owned()
}

fn status_of(answer: &str) -> &str {
    answer.get(9..12).unwrap_or("closed")
}

#[tokio::test]
async fn methods_and_paths() {
    let node = node("methods = [\"POST\", \"GET\"]\n").await;
    let ask = async |method: &str, path: &str| {
        let response = node
            .client
            .request(method.parse().unwrap(), node.url(path))
            .send()
            .await
            .unwrap();
        let allow = response
            .headers()
            .get("allow")
            .map(|allow| allow.to_str().unwrap().to_owned());
        (response.status().as_u16(), allow)
    };
    let allow = Some("POST, GET, OPTIONS".to_owned());
    assert_eq!(ask("POST", "/hook").await, (200, None));
    assert_eq!(ask("GET", "/hook").await, (200, None));
    assert_eq!(ask("HEAD", "/hook").await, (200, None));
    assert_eq!(ask("OPTIONS", "/hook").await, (204, allow.clone()));
    assert_eq!(ask("DELETE", "/hook").await, (405, allow.clone()));
    assert_eq!(ask("TRACE", "/hook").await, (405, allow));
    assert_eq!(ask("POST", "/nothing").await, (404, None));
    assert_eq!(ask("POST", "/hook/").await, (404, None));
    assert_eq!(ask("POST", "/%68ook").await, (404, None));
    let post_only = self::node("").await;
    let response = post_only
        .client
        .head(post_only.url("/hook"))
        .send()
        .await
        .unwrap();
    assert_eq!(response.status().as_u16(), 405);
}

#[tokio::test]
async fn heads_that_cannot_be_right() {
    let node = node("").await;
    let second = Duration::from_secs(60);
    for (head, expected) in [
        (
            "POST /hook HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}",
            "200",
        ),
        ("POST /hook HTTP/1.1\r\ncontent-length: 2\r\n\r\n{}", "400"),
        (
            "POST /hook HTTP/1.1\r\nhost: a\r\nhost: b\r\ncontent-length: 2\r\n\r\n{}",
            "400",
        ),
        (
            "POST http://b/hook HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\n{}",
            "400",
        ),
        (
            "POST /hook HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}",
            "400",
        ),
        (
            "POST /hook HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
            "400",
        ),
        (
            "POST /hook HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip, chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
            "400",
        ),
        (
            "POST /hook HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
            "400",
        ),
        (
            "POST /hook HTTP/1.1\r\nhost: a\r\ntransfer-encoding: Chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
            "200",
        ),
        (
            "POST /ho%00ok HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n",
            "400",
        ),
        ("CONNECT a:1 HTTP/1.1\r\nhost: a:1\r\n\r\n", "400"),
        ("nonsense\r\n\r\n", "400"),
    ] {
        assert_eq!(
            status_of(&raw(&node, head.as_bytes(), second)),
            expected,
            "{head}"
        );
    }
    let many = format!(
        "POST /hook HTTP/1.1\r\nhost: a\r\n{}\r\n",
        "x: y\r\n".repeat(200)
    );
    assert_eq!(status_of(&raw(&node, many.as_bytes(), second)), "431");
    for bytes in [66_000, 100_000, 200_000] {
        let large = format!(
            "POST /hook HTTP/1.1\r\nhost: a\r\nx: {}\r\ncontent-length: 0\r\n\r\n",
            "y".repeat(bytes)
        );
        assert!(
            ["431", "closed"].contains(&status_of(&raw(&node, large.as_bytes(), second))),
            "{bytes}"
        );
    }
    let allowed = format!(
        "POST /hook HTTP/1.1\r\nhost: a\r\nx: {}\r\ncontent-length: 0\r\n\r\n",
        "y".repeat(60_000)
    );
    assert_eq!(status_of(&raw(&node, allowed.as_bytes(), second)), "200");
    assert_eq!(node.post("/hook", &[], "{}").await.0, 200);
}

#[tokio::test]
async fn smuggled_requests_are_not_read() {
    let node = node("").await;
    let hidden = "POST /hook HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\n{}";
    for framings in [
        "transfer-encoding: chunked\r\ncontent-length: 4",
        "content-length: 4\r\ntransfer-encoding: chunked",
    ] {
        let request = format!(
            "POST /hook HTTP/1.1\r\nhost: a\r\n{framings}\r\n\r\n2\r\n{{}}\r\n0\r\n\r\n{hidden}"
        );
        let answer = raw(&node, request.as_bytes(), Duration::from_secs(2));
        assert!(
            answer.matches("HTTP/1.1 ").count() <= 1,
            "{framings}: {answer}"
        );
    }
}

#[tokio::test]
async fn oversized_bodies_are_refused_early() {
    let node = node("max_body = \"1KiB\"\n").await;
    assert_eq!(node.post("/hook", &[], vec![b'x'; 1024]).await.0, 200);
    assert_eq!(node.post("/hook", &[], vec![b'x'; 1025]).await.0, 413);
    let declared = "POST /hook HTTP/1.1\r\nhost: a\r\ncontent-length: 10000000000\r\n\r\n";
    assert_eq!(
        status_of(&raw(&node, declared.as_bytes(), Duration::from_secs(60))),
        "413"
    );
    let chunk = format!("400\r\n{}\r\n", "x".repeat(0x400));
    let chunked = format!(
        "POST /hook HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n{}",
        chunk.repeat(4)
    );
    assert_eq!(
        status_of(&raw(&node, chunked.as_bytes(), Duration::from_secs(60))),
        "413"
    );
}

/// The connection is not reset while the client still sends.
#[tokio::test]
async fn refused_bodies_get_their_answer() {
    const SIZE: usize = 27 << 20;
    let node = node("max_body = \"1KiB\"\n").await;
    let body = vec![b'x'; SIZE];
    assert_eq!(node.post("/hook", &[], body.clone()).await.0, 413);
    assert_eq!(node.post("/unknown", &[], body.clone()).await.0, 404);

    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &body).unwrap();
    let data = format!("@{}", file.path().display());
    for header in [
        "expect:",
        "expect: 100-continue",
        "transfer-encoding: chunked",
    ] {
        let mut curl = std::process::Command::new("curl");
        curl.args([
            "--silent",
            "--show-error",
            "--write-out",
            "%{http_code}",
            "--output",
            "/dev/null",
        ]);
        let output = curl
            .args([
                "--header",
                header,
                "--data-binary",
                &data,
                &node.url("/hook"),
            ])
            .output()
            .unwrap();
        assert_eq!(
            String::from_utf8_lossy(&output.stdout),
            "413",
            "{header}: {output:?}"
        );
    }

    // A client that reads nothing before it has written everything.
    let head = format!("POST /hook HTTP/1.1\r\nhost: a\r\ncontent-length: {SIZE}\r\n\r\n");
    let answer = raw(
        &node,
        &[head.as_bytes(), &body].concat(),
        Duration::from_secs(60),
    );
    assert_eq!(status_of(&answer), "413", "{answer}");
    assert!(answer.contains("connection: close"), "{answer}");
}

#[tokio::test]
async fn missing_bodies_block_no_other_callers() {
    let hook =
        "[verify]\nscheme = \"token\"\nfrom = { header = \"Secret\" }\nsecret = \"env:NOT_SET\"\n";
    let setup = Setup::new().hook("hook", &guest("answers_one"), OPEN).hook(
        "closed",
        &guest("answers_one"),
        hook,
    );
    let setup = setup
        .env("LANDFALL_LIMITS_BODY_MEMORY", "4MiB")
        .env("LANDFALL_LIMITS_HEAD_TIMEOUT", "2s");
    let node = setup.serving("hook").await;
    node.until("closed", "closed").await;
    let declared = "POST /closed HTTP/1.1\r\nhost: a\r\ncontent-length: 1048576\r\n\r\nx";
    let chunked =
        "POST /closed HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n";
    let mut idle = Vec::new();
    for number in 0..40 {
        let mut stream = TcpStream::connect(node.public).unwrap();
        stream
            .write_all(if number % 2 == 0 { declared } else { chunked }.as_bytes())
            .unwrap();
        idle.push(stream);
    }
    node.settle().await;
    assert_eq!(node.post("/hook", &[], "{}").await.0, 200);
    // And they are not waited for longer than a silent head is.
    for mut stream in idle {
        stream
            .set_read_timeout(Some(Duration::from_secs(60)))
            .unwrap();
        let mut answer = String::new();
        let read = stream.read_to_string(&mut answer);
        assert!(!is_timeout(&read), "the connection stays open: {answer}");
        assert!(["408", "closed"].contains(&status_of(&answer)), "{answer}");
    }
}

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

/// Whether nothing came before the read timeout, and the connection stays open.
fn is_timeout<T>(read: &std::io::Result<T>) -> bool {
    use std::io::ErrorKind::{TimedOut, WouldBlock};
    read.as_ref()
        .is_err_and(|error| matches!(error.kind(), TimedOut | WouldBlock))
}

/// Waits until the node closes an idle connection; false if it stays open.
fn is_closed(stream: &mut TcpStream) -> bool {
    stream
        .set_read_timeout(Some(Duration::from_secs(60)))
        .unwrap();
    let read = stream.read(&mut [0; 16]);
    !is_timeout(&read) && read.unwrap_or(0) == 0
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
        let refusals = node.ask("/api/refusals").await;
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
    assert_eq!(node.ask("/api/refusals").await.as_array().unwrap().len(), 0);
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

async fn one_attempt_runs(node: &Node) {
    eventually("one attempt runs", || async {
        (node.ask("/api/queue").await["running"] == 1).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_full_hook_answers_503() {
    let hook = format!("concurrency = 1\n{OPEN}[settings]\nms = 5000\n");
    let node = Arc::new(
        Setup::new()
            .hook("slow", &guest("sleeps"), &hook)
            .serving("slow")
            .await,
    );
    let first = tokio::spawn({
        let node = node.clone();
        async move { node.post("/slow", &[], "{}").await.0 }
    });
    one_attempt_runs(&node).await;
    let response = node.client.post(node.url("/slow")).send().await.unwrap();
    assert_eq!(response.status().as_u16(), 503);
    assert_eq!(response.headers()["retry-after"], "1");
    assert_eq!(first.await.unwrap(), 200);
}

#[tokio::test]
async fn hang_ups_do_not_end_handlers() {
    let node = Setup::new()
        .hook(
            "slow",
            &guest("sleeps"),
            &format!("{OPEN}[settings]\nms = 4000\n"),
        )
        .serving("slow")
        .await;
    let mut caller = TcpStream::connect(node.public).unwrap();
    caller
        .write_all(b"POST /slow HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\n{}")
        .unwrap();
    one_attempt_runs(&node).await;
    drop(caller);
    node.logged("the attempt ends well", |line| line["outcome"] == "done")
        .await;
}

#[tokio::test]
async fn sigterm_drains_and_accepts_nothing_new() {
    let hook = format!("{OPEN}[settings]\nms = 3000\n");
    let mut node = Setup::new()
        .hook("slow", &guest("sleeps"), &hook)
        .serving("slow")
        .await;
    let running = tokio::spawn(node.client.post(node.url("/slow")).body("{}").send());
    one_attempt_runs(&node).await;
    node.terminate();
    assert_eq!(running.await.unwrap().unwrap().status().as_u16(), 200);
    assert!(node.ended().await.success());
    assert!(TcpStream::connect(node.public).is_err());
}

#[tokio::test]
async fn sigterm_ends_within_the_drain() {
    let hook = format!("{OPEN}[settings]\nms = 60000\n");
    let setup = Setup::new()
        .hook("slow", &guest("sleeps"), &hook)
        .env("LANDFALL_DRAIN", "1s");
    let mut node = setup.serving("slow").await;
    let running = tokio::spawn(node.client.post(node.url("/slow")).body("{}").send());
    one_attempt_runs(&node).await;
    node.terminate();
    assert!(node.ended().await.success());
    assert!(running.await.unwrap().is_err());
}

#[tokio::test]
async fn health_readiness_and_the_admin_token() {
    let node = node("").await;
    let get = async |path: &str| {
        node.client
            .get(format!("http://{}{path}", node.admin))
            .send()
            .await
            .unwrap()
            .status()
            .as_u16()
    };
    assert_eq!(
        (
            get("/healthz").await,
            get("/readyz").await,
            get("/api/hooks").await
        ),
        (200, 200, 401)
    );
    assert_eq!(
        node.admin_get("/api/hooks").send().await.unwrap().status(),
        200,
        "the node's own token"
    );
    let setup = Setup::new().hook("hook", &guest("answers_one"), OPEN);
    let guarded = setup
        .env("LANDFALL_ADMIN_TOKEN", "env:ADMIN")
        .env("ADMIN", "t0ken")
        .start()
        .await;
    let ask = async |path: &str, token: &str| {
        let request = guarded
            .client
            .get(format!("http://{}{path}", guarded.admin))
            .bearer_auth(token);
        request.send().await.unwrap().status().as_u16()
    };
    eventually("ready", || async {
        (ask("/readyz", "").await == 200).then_some(())
    })
    .await;
    assert_eq!(
        (
            ask("/api/hooks", "no").await,
            ask("/api/hooks", "t0ken").await
        ),
        (401, 200)
    );
}
