//! Every request of the tables in tests/fixtures/http gets its answer, and the next request on another connection is answered.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use landfall_tests::http_table::{Group, HTTP1, HTTP2, Row, bytes, groups};
use landfall_tests::http2::{Connection, Said, frame};
use landfall_tests::{Node, Setup, guest};

use super::OPEN;

const NEXT: &[u8] = b"POST /hook HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\n{}";
/// How much more memory the node may use after a table: far less than a body for each row.
const GROWTH_KIB_MAX: u64 = 64 << 10;

/// A node that never closes a connection because the machine is busy.
async fn node(http2: bool) -> Node {
    let hook_file = format!("max_body = \"64KiB\"\n{OPEN}");
    Setup::new()
        .hook("hook", &guest("answers_one"), &hook_file)
        .env("LANDFALL_HTTP2", &http2.to_string())
        .env("LANDFALL_LIMITS_HEAD_TIMEOUT", "120s")
        .env("LANDFALL_LIMITS_BODY_TIMEOUT", "120s")
        .serving("hook")
        .await
}

#[tokio::test]
async fn http1_requests_get_their_answers() {
    run(HTTP1, 250, false, ask_row).await;
}

#[tokio::test]
async fn http2_frames_get_their_answers() {
    run(HTTP2, 150, true, send_frames).await;
}

/// The same requests, on a listener that also takes HTTP/2.
#[tokio::test]
async fn http1_beside_http2_is_equal() {
    let node = node(true).await;
    let (mut wrong, mut checked) = (Vec::new(), 0);
    for group in groups(HTTP1) {
        // Only the preface of HTTP/2 differs.
        for row in group.rows.iter().filter(|row| !row.what.contains("HTTP/2")) {
            checked += 1;
            wrong.extend(difference(&group, row, ask_row(node.public, &group, row)));
        }
    }
    assert!(checked >= 250 && wrong.is_empty(), "{}", wrong.join("\n"));
}

async fn run(
    table: &str,
    rows_min: usize,
    http2: bool,
    answers: fn(SocketAddr, &Group, &Row) -> Vec<String>,
) {
    let node = node(http2).await;
    let before = node.resident_kib();
    let (mut wrong, mut rows) = (Vec::new(), 0);
    for group in groups(table) {
        for row in &group.rows {
            rows += 1;
            let found = answers(node.public, &group, row);
            wrong.extend(difference(&group, row, found));
            let next = ask(node.public, NEXT, false);
            if next != ["200"] {
                wrong.push(format!("{}: {}: the next: {next:?}", group.title, row.what));
            }
        }
    }

    assert!(
        wrong.is_empty(),
        "{} of {rows} rows:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(rows >= rows_min, "{rows} rows");
    let growth = node.resident_kib().saturating_sub(before);
    println!("{table}: {rows} rows, {growth} KiB more");
    assert!(growth < GROWTH_KIB_MAX, "{growth} KiB more");
}

fn difference(group: &Group, row: &Row, found: Vec<String>) -> Option<String> {
    let Row {
        what,
        sent,
        answers,
        ..
    } = row;
    let title = &group.title;
    (found != *answers).then(|| format!("{title}: {what}: {sent}: {found:?}, not {answers:?}"))
}

fn ask_row(address: SocketAddr, group: &Group, row: &Row) -> Vec<String> {
    ask(address, &bytes(&group.parts(row).concat()), row.stays_open)
}

/// Sends bytes, and returns the statuses of what comes until the node closes the connection.
fn ask(address: SocketAddr, bytes: &[u8], stays_open: bool) -> Vec<String> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(300)))
        .unwrap();
    // The node may close the connection before it has read everything.
    stream.write_all(bytes).ok();
    if !stays_open {
        stream.shutdown(Shutdown::Write).ok();
    }

    let mut received = Vec::new();
    stream.read_to_end(&mut received).ok();
    let statuses = statuses(&received);
    if statuses.is_empty() {
        vec!["closed".into()]
    } else {
        statuses
    }
}

fn statuses(received: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(received);
    let mut rest = text.as_ref();
    let mut statuses = Vec::new();
    while let Some((head, after)) = rest.split_once("\r\n\r\n") {
        let mut lines = head.split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1));
        statuses.push(status.unwrap_or(head).to_owned());
        let length = lines.find_map(|line| line.strip_prefix("content-length: "));
        let length = length.map_or(0, |length| length.parse().unwrap());
        rest = after.get(length..).unwrap_or_default();
    }

    if !rest.is_empty() {
        statuses.push(format!("and {rest}"));
    }
    statuses
}

/// Sends the frames of a row, and returns what the node says of its streams, up to as many answers as are expected.
fn send_frames(address: SocketAddr, group: &Group, row: &Row) -> Vec<String> {
    let mut connection = Connection::open(address, &[]);
    let mut answers = Vec::new();
    for part in group.parts(row) {
        if part == "wait" {
            answers.push(connection.said().to_string());
        } else {
            connection.send(&frame(&part));
        }
    }
    while answers.len() < row.answers.len() {
        let said = connection.said();
        answers.push(said.to_string());
        if said == Said::Closed {
            break;
        }
    }
    answers
}
