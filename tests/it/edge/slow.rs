//! Slow and silent clients of many kinds: others are answered beside them, and each is disconnected.

use std::net::SocketAddr;
use std::time::Duration;

use landfall_tests::faults::rounds;
use landfall_tests::{Node, Setup, eventually, guest};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::OPEN;

/// How often a client sends its next bytes.
const PAUSE: Duration = Duration::from_millis(100);

/// A client that never ends its side.
struct Kind {
    name: &'static str,
    first: &'static str,
    /// Sent again and again.
    then: &'static str,
}

static KINDS: [Kind; 14] = [
    silent("nothing", ""),
    silent("one byte", "P"),
    silent("a part of a request line", "POST /hook HT"),
    silent("a request line", "POST /hook HTTP/1.1\r\n"),
    silent(
        "a part of a header",
        "POST /hook HTTP/1.1\r\nhost: a\r\nx: y",
    ),
    silent("a part of the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nS"),
    silent(
        "no body",
        "POST /hook HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\n",
    ),
    silent(
        "a part of a body",
        "POST /hook HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\n{",
    ),
    silent(
        "a chunk without data",
        "POST /hook HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5\r\n",
    ),
    silent(
        "a body that waits for the node",
        "POST /hook HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 10\r\n\r\n",
    ),
    silent(
        "a request, and no other",
        "POST /hook HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\n{}",
    ),
    Kind {
        name: "a head that goes on",
        first: "POST /hook HTTP/1.1\r\nhost: a\r\nx: ",
        then: "y",
    },
    Kind {
        name: "a body that goes on",
        first: "POST /hook HTTP/1.1\r\nhost: a\r\ncontent-length: 100000\r\n\r\n",
        then: "x",
    },
    Kind {
        name: "chunks that go on",
        first: "POST /hook HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n",
        then: "1\r\nx\r\n",
    },
];

const fn silent(name: &'static str, first: &'static str) -> Kind {
    Kind {
        name,
        first,
        then: "",
    }
}

/// Clients of each kind.
fn clients() -> usize {
    rounds(30, 300)
}

async fn serving() -> Node {
    Setup::new()
        .hook("hook", &guest("answers_one"), OPEN)
        .arg("--http2")
        .env("LANDFALL_LIMITS_HEAD_TIMEOUT", "2s")
        .env("LANDFALL_LIMITS_BODY_TIMEOUT", "3s")
        .env("LANDFALL_LIMITS_KEEP_ALIVE", "2s")
        .serving("hook")
        .await
}

/// Returns when the node has closed the connection.
async fn run(address: SocketAddr, kind: &'static Kind) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(kind.first.as_bytes()).await.ok();
    let mut buffer = [0; 1024];
    loop {
        tokio::select! {
            read = stream.read(&mut buffer) => match read {
                Ok(1..) => {}
                _ => return,
            },
            () = tokio::time::sleep(PAUSE), if !kind.then.is_empty() => {
                if stream.write_all(kind.then.as_bytes()).await.is_err() {
                    return;
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_clients_of_every_kind_end() {
    let node = serving().await;
    let before = node.descriptors();
    for kind in &KINDS {
        let mut running = JoinSet::new();
        for _ in 0..clients() {
            running.spawn(run(node.public, kind));
        }

        eventually("another client is answered", || async {
            let answer = node.try_post("/hook", &[], "{}".into()).await?;
            (answer.0 == 200).then_some(())
        })
        .await;
        let ended = tokio::time::timeout(Duration::from_secs(300), running.join_all()).await;
        assert!(ended.is_ok(), "{}: connections stay open", kind.name);
    }

    eventually("every descriptor is closed", || async {
        (node.descriptors() <= before + 8).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_clients_leave_the_admin_listener() {
    let node = serving().await;
    for kind in &KINDS {
        let mut running = JoinSet::new();
        for _ in 0..clients() {
            running.spawn(run(node.admin, kind));
        }

        eventually("the admin listener answers", || async {
            node.try_ask("/api/v1/hooks").await
        })
        .await;
        running.shutdown().await;
    }
}
