//! The admin listener: who may use it, and what unauthorized attempts cost other callers.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use landfall_tests::ports::blocking_listener;
use landfall_tests::{Node, Receiver, Setup, eventually, guest, landfall};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const OPEN: &str = "[verify]\nscheme = \"none\"\n";

async fn node() -> Node {
    Setup::new()
        .hook(
            "q",
            &guest("answers_one"),
            &format!("mode = \"async\"\n{OPEN}"),
        )
        .serving("q")
        .await
}

/// Status and body of the answer to a request that is written as it stands.
async fn raw(node: &Node, request: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(node.admin).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let status = answer
        .split(' ')
        .nth(1)
        .unwrap_or_else(|| panic!("{answer}"))
        .parse()
        .unwrap();
    (status, answer)
}

/// A request with the right token and these headers.
async fn asked(node: &Node, line: &str, headers: &str) -> (u16, String) {
    let token = node.admin_token();
    raw(
        node,
        &format!(
            "{line} HTTP/1.1\r\nconnection: close\r\nauthorization: Bearer {token}\r\n{headers}\r\n"
        ),
    )
    .await
}

async fn counted(node: &Node, reason: &str) -> u64 {
    let name = format!("landfall_refused_total{{hook=\"_admin\",reason=\"{reason}\"}} ");
    let metrics = node.metrics().await;
    metrics
        .lines()
        .find_map(|line| line.strip_prefix(&name))
        .map_or(0, |count| count.parse().unwrap())
}

#[tokio::test]
async fn other_hosts_and_pages_are_refused() {
    let node = node().await;
    let own = node.admin.to_string();
    let paused = async || node.hook("q").await.unwrap()["paused"].clone();

    for (host, status) in [
        (own.as_str(), 200),
        ("localhost:1", 200),
        ("[::1]:8081", 200),
        ("evil.example", 421),
        ("127.0.0.1.evil.example", 421),
        ("", 421),
    ] {
        let answer = asked(&node, "GET /api/v1/events", &format!("host: {host}\r\n")).await;
        assert_eq!(answer.0, status, "{host}: {}", answer.1);
    }

    for foreign in [
        "origin: https://evil.example\r\n",
        "origin: null\r\n",
        "origin: http://127.0.0.1:1\r\n",
        "sec-fetch-site: cross-site\r\n",
        "sec-fetch-site: same-site\r\n",
    ] {
        let answer = asked(
            &node,
            "POST /api/v1/hooks/q/pause",
            &format!("host: {own}\r\n{foreign}"),
        )
        .await;
        assert_eq!(answer.0, 403, "{foreign}: {}", answer.1);
    }
    assert_eq!(paused().await, false);
    let same = format!("host: {own}\r\norigin: http://{own}\r\nsec-fetch-site: same-origin\r\n");
    assert_eq!(
        asked(&node, "POST /api/v1/hooks/q/pause", &same).await.0,
        200
    );
    assert_eq!(paused().await, true);

    let form = format!("host: {own}\r\ncontent-type: text/plain\r\ncontent-length: 2\r\n\r\n{{}}");
    assert_eq!(asked(&node, "POST /api/v1/replay", &form).await.0, 415);
    for (reason, count) in [
        ("admin_host_unknown", 3),
        ("admin_origin_foreign", 5),
        ("admin_content_type", 1),
    ] {
        assert_eq!(counted(&node, reason).await, count, "{reason}");
        node.logged(reason, |line| {
            line["hook"] == "_admin" && line["reason"] == reason
        })
        .await;
    }
}

#[tokio::test]
async fn repeated_headers_are_refused() {
    let node = node().await;
    let own = node.admin.to_string();
    let (host, origin) = (
        format!("host: {own}\r\n"),
        format!("origin: http://{own}\r\n"),
    );
    let site = "sec-fetch-site: same-origin\r\n";
    let single = format!("{host}{origin}{site}");
    for (name, second) in [
        ("host", "host: evil.example\r\n"),
        ("host", host.as_str()),
        ("origin", "origin: https://evil.example\r\n"),
        ("sec-fetch-site", "sec-fetch-site: cross-site\r\n"),
        ("authorization", "authorization: Bearer wrong\r\n"),
    ] {
        for line in [
            "GET /api/v1/hooks",
            "POST /api/v1/hooks/q/pause",
            "GET /login",
        ] {
            let (status, answer) = asked(&node, line, &format!("{single}{second}")).await;
            assert_eq!(status, 400, "{line} {second}: {answer}");
            let why = format!("more than one header `{name}`");
            assert!(answer.contains(&why), "{line}: {answer}");
        }
    }
    assert_eq!(asked(&node, "GET /api/v1/hooks", &single).await.0, 200);
    assert_eq!(node.hook("q").await.unwrap()["paused"], false);
    assert_eq!(counted(&node, "admin_header_repeated").await, 15);
}

#[tokio::test]
async fn targets_name_the_same_host() {
    let node = node().await;
    let own = node.admin.to_string();
    for (target, host, status) in [
        (own.as_str(), own.as_str(), 200),
        ("localhost", "LOCALHOST", 200),
        ("evil.example", own.as_str(), 400),
        (own.as_str(), "evil.example", 400),
        ("127.0.0.1", own.as_str(), 400),
    ] {
        for path in ["/api/v1/hooks", "/login"] {
            let line = format!("GET http://{target}{path}");
            let answer = asked(&node, &line, &format!("host: {host}\r\n")).await;
            assert_eq!(answer.0, status, "{line} {host}: {}", answer.1);
        }
    }
    assert_eq!(counted(&node, "admin_host_conflict").await, 6);
}

#[tokio::test]
async fn configured_host_names_are_taken() {
    let setup = Setup::new().hook("q", &guest("answers_one"), OPEN);
    let node = setup
        .env("LANDFALL_ADMIN_HOSTS", "Node.Internal, other")
        .serving("q")
        .await;
    assert_eq!(
        asked(&node, "GET /api/v1/hooks", "host: node.internal:8081\r\n")
            .await
            .0,
        200
    );
    assert_eq!(
        asked(&node, "GET /api/v1/hooks", "host: internal:8081\r\n")
            .await
            .0,
        421
    );
}

#[tokio::test]
async fn token_is_made_and_found() {
    let setup = Setup::new().hook("q", &guest("answers_one"), OPEN);
    std::fs::create_dir(setup.data()).unwrap();
    let node = setup.serving("q").await;
    let path = node.data().join("admin-token");
    assert_eq!(
        std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    assert!(
        !node.log().contains(&node.admin_token()),
        "the token is in the log"
    );

    // As a user who starts the node and the command in one place.
    let mut command = node.command();
    command
        .env_remove("LANDFALL_ADMIN_TOKEN")
        .env("LANDFALL_DATA", node.data());
    let found = command.args(["hooks", "--json"]).output().unwrap();
    assert!(
        found.status.success(),
        "{}",
        String::from_utf8_lossy(&found.stderr)
    );
    let hook: Value = serde_json::from_slice(&found.stdout).unwrap();
    assert_eq!(
        (hook["name"].as_str(), hook["state"].as_str()),
        (Some("q"), Some("serving"))
    );

    let mut command = node.command();
    let missing = command
        .env_remove("LANDFALL_ADMIN_TOKEN")
        .args(["hooks"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&missing.stderr).into_owned();
    assert!(
        !missing.status.success() && said.contains("admin-token"),
        "{said}"
    );

    let token = node.admin_token();
    let node = node.killed().serving("q").await;
    assert_eq!(node.admin_token(), token, "a new start keeps the token");
}

#[tokio::test]
async fn wrong_tokens_are_slow_and_bounded() {
    let node = node().await;
    let wrong = |number: usize| {
        let client = node.client.clone();
        let request = client
            .get(format!("http://{}/api/v1/hooks", node.admin))
            .bearer_auth(format!("wrong-{number}"));
        async move {
            let started = std::time::Instant::now();
            (
                request.send().await.unwrap().status().as_u16(),
                started.elapsed(),
            )
        }
    };
    let (status, took) = wrong(0).await;
    assert_eq!(status, 401);
    assert!(took >= Duration::from_millis(400), "{took:?}");

    // 24 guesses take three turns of eight. The right token waits for its turn among them.
    let started = std::time::Instant::now();
    let guesses: Vec<_> = (1..=24).map(|number| tokio::spawn(wrong(number))).collect();
    assert_eq!(
        node.admin_get("/api/v1/hooks")
            .send()
            .await
            .unwrap()
            .status(),
        200
    );
    for guess in guesses {
        assert_eq!(guess.await.unwrap().0, 401);
    }
    assert!(
        started.elapsed() >= Duration::from_millis(1400),
        "{:?}",
        started.elapsed()
    );
    assert_eq!(counted(&node, "admin_token_wrong").await, 25);
}

#[tokio::test]
async fn pending_tokens_reveal_nothing() {
    let node = node().await;
    let address = node.admin;
    let guess = async |token: &str| {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let head = format!(
            "GET /api/v1/hooks HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\nauthorization: Bearer {token}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        stream
    };
    let mut pending = Vec::new();
    for _ in 0..48 {
        pending.push(guess("wrong").await);
    }

    let started = std::time::Instant::now();
    let mut early = Vec::new();
    for token in ["wrong".to_owned(), node.admin_token()] {
        let mut answer = String::new();
        guess(&token)
            .await
            .read_to_string(&mut answer)
            .await
            .unwrap();
        early.push(answer.split(' ').nth(1).unwrap().to_owned());
    }
    // A slow machine may have answered some of the pending ones by then.
    if started.elapsed() < Duration::from_millis(400) {
        assert_eq!(early, ["429", "429"]);
    }
    // On a busy machine the early ones may have taken turns of these.
    let mut compared = 0;
    for mut stream in pending {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let status = answer.split(' ').nth(1).unwrap();
        assert!(["401", "429"].contains(&status), "{answer}");
        compared += usize::from(status == "401");
    }
    assert!(compared >= 46, "{compared}");
    assert_eq!(
        node.admin_get("/api/v1/hooks")
            .send()
            .await
            .unwrap()
            .status(),
        200
    );
}

/// Three seconds of guesses from one address.
#[tokio::test]
async fn guesses_delay_no_other_client() {
    let node = node().await;
    let own = format!("http://{}", node.admin);
    let guesses: Vec<_> = (0..48)
        .map(|number| {
            let request = node.client.get(format!("{own}/api/v1/hooks"));
            let request = request.bearer_auth(format!("wrong-{number}"));
            tokio::spawn(async move { request.send().await.unwrap().status().as_u16() })
        })
        .collect();
    eventually("a token was wrong", || async {
        node.log().contains("admin_token_wrong").then_some(())
    })
    .await;

    let other = reqwest::Client::builder()
        .local_address(std::net::IpAddr::from([127, 0, 0, 2]))
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap();
    let token = node.admin_token();
    for _ in 0..4 {
        let request = other.get(format!("{own}/api/v1/hooks"));
        let answer = request.bearer_auth(&token).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        let login = other.post(format!("{own}/login")).header("origin", &own);
        let login = login.body(format!("token={token}")).send().await.unwrap();
        assert_eq!(login.status(), 303);
    }
    for guess in guesses {
        let status = guess.await.unwrap();
        assert!([401, 429].contains(&status), "{status}");
    }
}

#[tokio::test]
async fn silent_connections_stop_no_probe() {
    let node = node().await;
    let mut silent = Vec::new();
    for _ in 0..80 {
        let mut stream = TcpStream::connect(node.admin).await.unwrap();
        stream.write_all(b"GET /he").await.unwrap();
        silent.push(stream);
    }

    for path in ["/healthz", "/readyz", "/healthz"] {
        let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
        let answer = tokio::time::timeout(Duration::from_secs(5), raw(&node, &request)).await;
        let (status, text) = answer.expect("well before the head timeout of 10 s");
        assert_eq!(status, 200, "{text}");
    }
    node.logged("the limit that is reached", |line| {
        let message = line["message"].as_str().unwrap_or_default();
        message.contains("64 connections to the admin listener")
    })
    .await;
    // The newest ones are still open.
    let mut byte = [0];
    let last = silent.last().unwrap().peek(&mut byte);
    assert!(
        tokio::time::timeout(Duration::from_millis(50), last)
            .await
            .is_err()
    );
}

#[tokio::test]
async fn silent_connections_cost_the_public_nothing() {
    let node = node().await;
    let mut silent = Vec::new();
    for _ in 0..300 {
        silent.push(TcpStream::connect(node.admin).await.unwrap());
    }
    // Sockets that wait in the queue of the system are none of the process.
    let open = node.descriptors();
    assert!(open < 200, "{open} descriptors");
    for _ in 0..20 {
        assert_eq!(node.post("/q", &[], "{}").await.0, 202);
    }
    eventually("silent connections are closed", || async {
        let mut byte = [0];
        let read = tokio::time::timeout(Duration::from_millis(50), silent[0].peek(&mut byte)).await;
        matches!(read, Ok(Ok(0) | Err(_))).then_some(())
    })
    .await;
    drop(silent);
    assert_eq!(
        node.admin_get("/api/v1/hooks")
            .send()
            .await
            .unwrap()
            .status(),
        200
    );
}

/// What `landfall hooks` says of this address.
fn hooks_at(address: std::net::SocketAddr) -> String {
    let output = std::process::Command::new(landfall())
        .args(["hooks", "--admin", &format!("http://{address}")])
        .output()
        .unwrap();
    assert!(!output.status.success(), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn broken_admin_connections_are_named() {
    let listener = blocking_listener();
    let address = listener.local_addr().unwrap();
    let closing = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        std::io::Read::read(&mut stream, &mut [0; 4096]).unwrap();
    });
    let said = hooks_at(address);
    assert!(
        said.contains("broke before the answer was complete") && !said.contains("no node"),
        "{said}"
    );
    closing.join().unwrap();

    // A child that another test is starting may hold a copy of the listener for a moment.
    while std::net::TcpStream::connect(address).is_ok() {
        std::thread::sleep(Duration::from_millis(10));
    }
    let said = hooks_at(address);
    assert!(said.contains("no node has its admin listener"), "{said}");
}

#[tokio::test]
async fn connections_fit_the_open_file_limit() {
    let setup = Setup::new()
        .hook("q", &guest("answers_one"), OPEN)
        .under("prlimit", &["--nofile=256:256"]);
    let node = setup.serving("q").await;
    node.logged("the limit is lowered", |line| {
        line["limit"] == 256 && line["most"] == 64
    })
    .await;
    let mut silent = Vec::new();
    for _ in 0..400 {
        silent.push(TcpStream::connect(node.public).await.unwrap());
    }
    // The ledger, the plugins directory and the admin listener still have descriptors.
    assert_eq!(
        node.admin_get("/api/v1/hooks")
            .send()
            .await
            .unwrap()
            .status(),
        200
    );
    node.put("r.toml", format!("component = \"q.wasm\"\n{OPEN}"));
    node.until("r", "serving").await;
    drop(silent);
    assert_eq!(node.post("/r", &[], "{}").await.0, 200);
}

#[tokio::test]
async fn ready_says_when_not_ready() {
    let node = node().await;
    node.until_ready().await;
    let ready = || {
        let mut command = node.command();
        let output = command
            .env_remove("LANDFALL_ADMIN_TOKEN")
            .arg("ready")
            .output()
            .unwrap();
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    assert_eq!(ready(), (Some(0), String::new()));
    // It drains: what runs keeps it alive.
    let receiver = Receiver::start().await;
    receiver.hold();
    let setup = Setup::new().hook("slow", &guest("waits"), &receiver.hook_of_waits(""));
    let stopping = setup.serving("slow").await;
    let url = stopping.url("/slow");
    let client = stopping.client.clone();
    let running = tokio::spawn(async move { client.post(url).body("{}").send().await });
    receiver.until_called(1).await;
    stopping.terminate();
    eventually("it is not ready", || async {
        let output = stopping.command().arg("ready").output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code() == Some(1) && said.contains("the node answers 503: not ready"))
            .then_some(())
    })
    .await;
    running.abort();
    drop(node);
}
