//! Every bundled pack answers as its data says.

use landfall_tests::{Setup, guest};

use super::{JSON, TOO_LARGE, answer, packs, post, post_reply, with_hooks, with_keys};

/// What providers were seen to need: pack, then status, type and body of the answer in mode async,
/// then of the answer to a handler that replies 202 and JSON; none: the JSON.
type Row = (
    &'static str,
    (u16, Option<&'static str>, &'static str),
    (u16, Option<&'static str>, Option<&'static str>),
);

const NAMED: [Row; 12] = [
    (
        "smartsheet",
        (200, Some("application/json"), "{\"accepted\":"),
        (200, Some("application/json"), None),
    ),
    (
        "linear",
        (200, Some("application/json"), "{\"accepted\":"),
        (200, Some("application/json"), None),
    ),
    (
        "figma",
        (200, Some("application/json"), "{\"accepted\":"),
        (200, Some("application/json"), None),
    ),
    (
        "meta",
        (200, Some("application/json"), "{\"accepted\":"),
        (200, Some("application/json"), None),
    ),
    (
        "docusign",
        (200, Some("application/json"), "{\"accepted\":"),
        (200, Some("application/json"), None),
    ),
    (
        "x-twitter",
        (200, Some("application/json"), "{\"accepted\":"),
        (200, Some("application/json"), None),
    ),
    (
        "line",
        (200, Some("application/json"), "{\"accepted\":"),
        (200, Some("application/json"), None),
    ),
    (
        "dropbox-sign",
        (200, Some("text/plain"), "Hello API Event Received"),
        (200, Some("text/plain"), Some("Hello API Event Received")),
    ),
    (
        "twilio",
        (200, Some("text/xml"), "<Response/>"),
        (200, Some("text/xml"), Some("<Response/>")),
    ),
    (
        "slack-interactivity",
        (200, None, ""),
        (200, Some("application/json"), None),
    ),
    ("okta", (200, None, ""), (200, None, Some(""))),
    ("discord-events", (204, None, ""), (204, None, Some(""))),
];

/// The whole table: each pack with a handler that replies 202 and JSON, in mode async, without
/// proof, with too large a body.
#[tokio::test]
async fn every_pack_answers_as_expected() {
    let packs = packs();
    let setup = with_keys(packs.iter().fold(Setup::new(), with_hooks));
    let setup = setup.file("replies.wasm", std::fs::read(guest("replies")).unwrap());
    let node = setup.start().await;
    node.until_ready().await;
    for pack in &packs {
        let name = &pack.name;
        let reply = post_reply(&node, name, "202", "application/json", JSON).await;
        pack.check_success("a reply of 202", &reply);
        let is_kept = pack.reply_body.is_empty() && reply.status != 204;
        let is_read = pack.reply_types.is_empty()
            || pack.reply_types.iter().any(|one| one == "application/json");
        if is_kept && is_read {
            assert_eq!(
                (reply.body.as_str(), reply.content_type.as_deref()),
                (JSON, Some("application/json")),
                "{name}"
            );
        } else {
            pack.check_accepted_content("a reply of 202", &reply);
        }
        let later = post(&node, &format!("{name}-later"), &[], JSON).await;
        pack.check_success("mode async", &later);
        pack.check_accepted_content("mode async", &later);
        let large = post(&node, &format!("{name}-now"), &[], vec![b'x'; TOO_LARGE]).await;
        pack.check_refusal("too large a body", &large);
        for (what, method) in [("a wrong method", "DELETE"), ("an unused method", "PATCH")] {
            let url = node.url(&format!("/{name}-now"));
            let response = node
                .client
                .request(method.parse().unwrap(), url)
                .send()
                .await
                .unwrap();
            pack.check_refusal(what, &answer(response).await);
        }
        let segment = if pack.token_in_path { "/wrong" } else { "" };
        let unproven = post(&node, &format!("{name}-proof{segment}"), &[], "{}").await;
        pack.check_refusal("no proof", &unproven);
        assert_ne!(unproven.status, 404, "{name}: the hook did not load");
    }
    for (name, later, reply) in NAMED {
        let answer = post(&node, &format!("{name}-later"), &[], JSON).await;
        assert_eq!(
            (answer.status, answer.content_type.as_deref()),
            (later.0, later.1),
            "{name}"
        );
        assert!(
            answer.body.starts_with(later.2) && answer.body.is_empty() == later.2.is_empty(),
            "{name}: {answer:?}"
        );
        let answer = post_reply(&node, name, "202", "application/json", JSON).await;
        let expected = (reply.0, reply.1, reply.2.unwrap_or(JSON));
        assert_eq!(
            (
                answer.status,
                answer.content_type.as_deref(),
                answer.body.as_str()
            ),
            expected,
            "{name}"
        );
    }
    let problems: Vec<_> = node
        .hooks()
        .await
        .into_iter()
        .filter(|hook| !hook["problem"].is_null())
        .collect();
    assert!(problems.is_empty(), "{problems:#?}");
}
