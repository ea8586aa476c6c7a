//! Requests that the edge refuses, and bodies that are too large or missing.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use landfall_tests::{Setup, guest};

use super::{OPEN, is_timeout, node, raw, status_of};

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
            "POST /hook HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip, chunked\r\n\r\n2\r\n{}\r\n\
             0\r\n\r\n",
            "501",
        ),
        (
            "POST /hook HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip\r\n\
             transfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
            "501",
        ),
        (
            "POST /hook HTTP/1.1\r\nhost: a\r\ntransfer-encoding: Chunked\r\n\r\n2\r\n{}\r\n0\r\n\
             \r\n",
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
        assert_eq!(
            status_of(&raw(&node, large.as_bytes(), second)),
            "431",
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
