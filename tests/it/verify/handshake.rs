//! Ownership checks and pairing.

use landfall_tests::{Node, Setup, eventually, guest};
use sha2::{Digest, Sha256};

use super::{hook, run, said};

async fn ask(
    node: &Node,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> (u16, String, String) {
    let method = method.parse().unwrap();
    let request = headers.iter().fold(
        node.client.request(method, node.url(path)),
        |request, (name, value)| request.header(*name, *value),
    );
    let response = request.body(body.to_owned()).send().await.unwrap();
    let content_type = response
        .headers()
        .get("content-type")
        .map(|value| value.to_str().unwrap().to_owned());
    let nosniff = response.headers().get("x-content-type-options").is_some();
    let content_type =
        content_type.map(|text| format!("{text}{}", if nosniff { " nosniff" } else { "" }));
    (
        response.status().as_u16(),
        content_type.unwrap_or_default(),
        response.text().await.unwrap(),
    )
}

#[tokio::test]
async fn only_genuine_ownership_checks_are_answered() {
    let node = Setup::new()
        .hook("dropbox", &guest("answers_one"), &hook("dropbox", ""))
        .hook("x", &guest("answers_one"), &hook("x-twitter", ""))
        .hook(
            "trello",
            &guest("answers_one"),
            &hook(
                "trello",
                "config = { callback_url = \"https://a.example\" }\n",
            ),
        )
        .hook(
            "events",
            &guest("answers_one"),
            &hook(
                "cloudevents",
                "config = { allowed_origins = [\"a.example\"] }\n",
            ),
        )
        .hook(
            "meta",
            &guest("answers_one"),
            &hook("meta", "challenge_secret = \"env:VERIFY\"\n"),
        )
        .hook("xero", &guest("answers_one"), &hook("xero", ""))
        .hook(
            "ebay",
            &guest("answers_one"),
            &hook(
                "ebay",
                "challenge_secret = \"env:VERIFY\"\npublic_url = \"https://hooks.example.com\"\n",
            ),
        )
        .env("SECRET", "s")
        .env("VERIFY", "v")
        .serving("xero")
        .await;
    for hook in ["dropbox", "x", "trello", "events", "meta", "ebay"] {
        node.until(hook, "serving").await;
    }
    let text = "text/plain; charset=utf-8 nosniff".to_owned();
    assert_eq!(
        ask(&node, "GET", "/dropbox?challenge=%3Cb%3E", &[], "").await,
        (200, text.clone(), "<b>".into())
    );
    assert_eq!(ask(&node, "GET", "/dropbox", &[], "").await.0, 405);
    let crc = ask(&node, "GET", "/x?crc_token=abc", &[], "").await;
    assert!(
        crc.0 == 200 && crc.2.starts_with("{\"response_token\":\"sha256="),
        "{crc:?}"
    );
    let forged = ask(&node, "GET", "/x?crc_token=%7B%22tweet%22%3A1%7D", &[], "").await;
    assert_eq!((forged.0, forged.2.as_str()), (400, ""));
    assert_eq!(ask(&node, "HEAD", "/trello", &[], "").await.0, 200);
    // SHA-256 of the code, the verification token and the address of the endpoint.
    let digest = hex::encode(Sha256::digest("a-1vhttps://hooks.example.com/ebay"));
    let challenged = ask(&node, "GET", "/ebay?challenge_code=a-1", &[], "").await;
    assert_eq!(
        challenged.2,
        format!("{{\"challengeResponse\":\"{digest}\"}}")
    );
    assert_eq!(challenged.1, "application/json nosniff");
    assert_eq!(ask(&node, "GET", "/ebay", &[], "").await.0, 405);
    assert_eq!(ask(&node, "POST", "/ebay", &[], "{}").await.0, 401);
    let origin = |name: &'static str| {
        [
            ("WebHook-Request-Origin", name),
            ("WebHook-Request-Rate", "120"),
        ]
    };
    assert_eq!(
        ask(&node, "OPTIONS", "/events", &origin("a.example"), "")
            .await
            .0,
        200
    );
    assert_eq!(
        ask(&node, "OPTIONS", "/events", &origin("b.example"), "")
            .await
            .0,
        403
    );
    assert_eq!(ask(&node, "OPTIONS", "/events", &[], "").await.0, 204);
    let hub =
        |token: &str| format!("/meta?hub.mode=subscribe&hub.challenge=7&hub.verify_token={token}");
    assert_eq!(
        ask(&node, "GET", &hub("v"), &[], "").await,
        (200, text, "7".into())
    );
    // The secret of deliveries is not the one of the check.
    assert_eq!(ask(&node, "GET", &hub("s"), &[], "").await.0, 403);
    let sent = run(
        &[
            "send",
            "xero",
            "--to",
            &node.url("/xero"),
            "--secret",
            "env:SECRET",
        ],
        "s",
    );
    assert_eq!(said(&sent), "200\n\n", "no body for those who want none");
    assert_eq!(
        ask(
            &node,
            "POST",
            "/xero",
            &[("x-xero-signature", "AAAA")],
            "{}"
        )
        .await,
        (401, String::new(), String::new())
    );
}

#[tokio::test]
async fn pairing_stores_one_secret_while_open() {
    let verify =
        |open: &str| format!("[verify]\nprovider = \"asana\"\nsecret = \"file:../asana\"\n{open}");
    let opened = "config = { handshake_open = \"true\" }\n";
    let setup = Setup::new().hook("in", &guest("answers_one"), &verify(""));
    let node = setup.start().await;
    node.until("in", "closed").await;
    let handshake = [("X-Hook-Secret", "handed-over")];
    assert_eq!(ask(&node, "POST", "/in", &handshake, "{}").await.0, 503);
    std::fs::write(node.plugins().join("in.toml"), verify(opened)).unwrap();
    eventually("the pairing is open", || async {
        (ask(&node, "POST", "/in", &handshake, "{}").await.0 == 200).then_some(())
    })
    .await;
    let kept = node.plugins().with_file_name("asana");
    assert_eq!(std::fs::read_to_string(&kept).unwrap(), "handed-over");
    // A second one does not replace it.
    assert_eq!(
        ask(&node, "POST", "/in", &[("X-Hook-Secret", "another")], "{}")
            .await
            .0,
        401
    );
    assert_eq!(std::fs::read_to_string(&kept).unwrap(), "handed-over");
    let sent = run(
        &[
            "send",
            "asana",
            "--to",
            &node.url("/in"),
            "--secret",
            "env:SECRET",
        ],
        "handed-over",
    );
    assert_eq!(said(&sent), "200\none\n", "{}", node.log());
    assert!(!node.log().contains("handed-over"), "{}", node.log());
}
