//! Who is let in, over plain HTTP: sessions, forms, hosts and origins, and the headers of pages.

use landfall_tests::Node;
use reqwest::header::{COOKIE, LOCATION, SET_COOKIE};
use reqwest::{Client, Response, redirect};

use super::{SECRET, node};

pub(super) fn client() -> Client {
    let client = Client::builder()
        .redirect(redirect::Policy::none())
        .pool_max_idle_per_host(0);
    client.build().unwrap()
}

pub(super) fn url(node: &Node, path: &str) -> String {
    format!("http://{}{path}", node.admin)
}

pub(super) async fn log_in(client: &Client, node: &Node, token: &str) -> Response {
    let body = format!("token={token}&next=%2Fevents");
    let request = client.post(url(node, "/login")).body(body);
    request
        .header("origin", url(node, ""))
        .send()
        .await
        .unwrap()
}

/// The cookie of a new session.
pub(super) async fn session(client: &Client, node: &Node) -> String {
    let answer = log_in(client, node, &node.admin_token()).await;
    assert_eq!(answer.status(), 303);
    assert_eq!(answer.headers()[LOCATION], "/events");
    let cookie = answer.headers()[SET_COOKIE].to_str().unwrap();
    assert!(cookie.contains("; HttpOnly; SameSite=Strict"), "{cookie}");
    cookie.split(';').next().unwrap().to_owned()
}

pub(super) async fn get(client: &Client, node: &Node, path: &str, cookie: &str) -> (u16, String) {
    let answer = client
        .get(url(node, path))
        .header(COOKIE, cookie)
        .send()
        .await
        .unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

/// The form token of a page.
pub(super) fn csrf(page: &str) -> String {
    let (_, after) = page.split_once("name=\"csrf\" value=\"").unwrap();
    after.split('"').next().unwrap().to_owned()
}

#[tokio::test]
async fn pages_need_a_session() {
    let (node, client) = (node().await, client());
    for path in [
        "/",
        "/events?q=a",
        "/why",
        "/data",
        "/audit",
        "/live/overview",
    ] {
        let answer = client.get(url(&node, path)).send().await.unwrap();
        match path {
            "/live/overview" => assert_eq!(answer.status(), 401),
            _ => {
                assert_eq!(answer.status(), 303, "{path}");
                let to = answer.headers()[LOCATION].to_str().unwrap();
                assert!(to.starts_with("/login"), "{to}");
            }
        }
    }

    assert_eq!(log_in(&client, &node, "wrong").await.status(), 401);
    node.logged("the refused login", |line| {
        line["reason"] == "admin_token_wrong"
    })
    .await;
    let cookie = session(&client, &node).await;
    assert_eq!(get(&client, &node, "/events", &cookie).await.0, 200);
    assert_eq!(
        get(&client, &node, "/events", "landfall_session=00")
            .await
            .0,
        303
    );

    let page = get(&client, &node, "/", &cookie).await.1;
    let out = client.post(url(&node, "/logout")).header(COOKIE, &cookie);
    let out = out
        .body(format!("csrf={}", csrf(&page)))
        .send()
        .await
        .unwrap();
    assert_eq!(out.status(), 303);
    assert_eq!(get(&client, &node, "/events", &cookie).await.0, 303);
}

#[tokio::test]
async fn foreign_forms_are_refused() {
    let (node, client) = (node().await, client());
    let cookie = session(&client, &node).await;
    let page = get(&client, &node, "/", &cookie).await.1;
    let own = csrf(&page);
    let origin = url(&node, "");
    let paused = async || node.hook("in").await.unwrap()["paused"].clone();

    for (origin, token, status) in [
        ("https://evil.example", own.as_str(), 403),
        ("null", own.as_str(), 403),
        (origin.as_str(), "", 403),
        (origin.as_str(), "00", 403),
    ] {
        let request = client
            .post(url(&node, "/hooks/in/pause"))
            .header(COOKIE, &cookie);
        let request = request
            .header("origin", origin)
            .body(format!("csrf={token}"));
        assert_eq!(
            request.send().await.unwrap().status(),
            status,
            "{origin} {token}"
        );
    }
    assert_eq!(paused().await, false);

    let request = client
        .post(url(&node, "/hooks/in/pause"))
        .header(COOKIE, &cookie);
    let request = request
        .header("origin", url(&node, ""))
        .body(format!("csrf={own}"));
    assert_eq!(request.send().await.unwrap().status(), 303);
    assert_eq!(paused().await, true);

    let other = client
        .get(url(&node, "/"))
        .header(COOKIE, &cookie)
        .header("host", "evil.example");
    assert_eq!(other.send().await.unwrap().status(), 421);
}

#[tokio::test]
async fn pages_allow_no_foreign_content() {
    let (node, client) = (node().await, client());
    let cookie = session(&client, &node).await;
    let answer = client
        .get(url(&node, "/"))
        .header(COOKIE, &cookie)
        .send()
        .await
        .unwrap();
    let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(
        header("content-security-policy"),
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; \
         base-uri 'none'; frame-ancestors 'none'"
    );
    assert_eq!(header("x-content-type-options"), "nosniff");
    assert_eq!(header("cache-control"), "no-store");

    let page = answer.text().await.unwrap();
    let mut bytes = page.len();
    for quoted in page.split('"').filter(|word| word.starts_with("/assets/")) {
        let asset = client.get(url(&node, quoted)).send().await.unwrap();
        assert!(
            asset.headers()["cache-control"]
                .to_str()
                .unwrap()
                .contains("immutable")
        );
        bytes += asset.bytes().await.unwrap().len();
    }
    assert!(bytes < 100_000, "{bytes}");
}

#[tokio::test]
async fn links_from_other_sites_continue() {
    let (node, client) = (node().await, client());
    let request = client
        .get(url(&node, "/events?q=a"))
        .header("sec-fetch-site", "cross-site");
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let page = answer.text().await.unwrap();
    assert!(page.contains("http-equiv=\"refresh\""), "{page}");
}

#[tokio::test]
async fn pages_contain_no_secret() {
    let (node, client) = (node().await, client());
    let cookie = session(&client, &node).await;
    node.post("/signed", &[("x-hub-signature-256", "sha256=00")], "{}")
        .await;
    for path in [
        "/",
        "/events",
        "/why",
        "/send?hook=signed",
        "/components/signed",
        "/data?hook=signed",
        "/recordings?hook=signed",
        "/audit",
    ] {
        let (status, page) = get(&client, &node, path, &cookie).await;
        assert_eq!(status, 200, "{path}");
        assert!(
            !page.contains(SECRET) && !page.contains(&node.admin_token()),
            "{path}"
        );
    }
}

#[tokio::test]
async fn samples_carry_no_secret() {
    let (node, client) = (node().await, client());
    let cookie = session(&client, &node).await;
    for (name, from) in [
        ("in-path", "{ path = \"last\" }"),
        ("in-json", "{ json = \"/auth\" }"),
        ("in-body", "{ body = \"whole\" }"),
    ] {
        let proof = "[verify]\nscheme = \"token\"\nsecret = \"env:DASHBOARD_SECRET\"\n";
        let path = if name == "in-path" {
            "path = \"/in-path/{key}\"\n"
        } else {
            ""
        };
        let file = format!("{path}component = \"in.wasm\"\n{proof}from = {from}\n");
        node.put(&format!("{name}.toml"), file);
        node.until(name, "serving").await;
        let (status, page) = get(&client, &node, &format!("/send?hook={name}"), &cookie).await;
        assert!(status == 200 && page.contains("SECRET"), "{name}: {page}");
        assert!(!page.contains(SECRET), "{name}");
    }
}

#[tokio::test]
async fn unfinished_forms_end() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let node = node().await;
    let mut stream = tokio::net::TcpStream::connect(node.admin.to_string())
        .await
        .unwrap();
    let head = "POST /login HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\n\r\ntoken";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 408");
}
