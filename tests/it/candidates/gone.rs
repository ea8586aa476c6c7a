//! Hooks whose files are gone: what is remembered of them outlives that for a week.

use landfall_tests::{Node, Postgres, Setup, component, eventually};

use super::{canary, order, until_phase, until_reply, with_candidate};

/// Ends the node and removes the files of its hook. Returns the text of the hook file.
fn away(node: Node) -> (Setup, String) {
    let setup = node.killed();
    let file = setup.plugins().join("orders.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    std::fs::remove_file(setup.plugins().join("orders.wasm")).unwrap();
    (setup, text)
}

/// Waits until the node has noted that the hook is gone.
async fn until_noted(node: &Node) {
    node.logged("the absence is noted", |line| {
        line["hook"] == "orders"
            && line["message"]
                == "the hook is gone: what is remembered of its candidates stays for 7 days"
    })
    .await;
}

fn put_back(node: &Node, text: &str) {
    node.put("orders.wasm", component("answers_one"));
    node.put("orders.toml", text);
}

#[tokio::test(flavor = "multi_thread")]
async fn gone_hooks_are_forgotten_later() {
    let Some(server) = Postgres::shared() else {
        return;
    };
    let url = server.database();
    let node = with_candidate(&canary("share = 50\n"), "answers_two")
        .env("LANDFALL_LEDGER_URL", &url)
        .serving("orders")
        .await;
    until_phase(&node, "canary").await;
    order(&node, "promote").await;

    let (setup, text) = away(node);
    let node = setup.start().await;
    until_noted(&node).await;
    put_back(&node, &text);
    until_phase(&node, "promoted").await;
    until_reply(&node, "two").await;
    let name = url.rsplit('/').next().unwrap();
    eventually("the return is noted", || async {
        let since = "SELECT json::jsonb ->> 'gone_ms' FROM landfall.candidates";
        server.sql(name, since).is_empty().then_some(())
    })
    .await;

    let (setup, text) = away(node);
    let node = setup.start().await;
    until_noted(&node).await;
    let setup = node.killed();
    let long_ago =
        "UPDATE landfall.candidates SET json = jsonb_set(json::jsonb, '{gone_ms}', '1')::text";
    server.sql(name, long_ago);
    server.sql(name, "UPDATE landfall.components SET kept = 1");
    let node = setup.start().await;
    node.logged("it is forgotten", |line| {
        line["hook"] == "orders"
            && line["message"]
                == "the hook has been gone for 7 days: what was remembered of its candidates is removed"
    })
    .await;
    eventually("the components are removed", || async {
        let left = server.sql(name, "SELECT count(*) FROM landfall.components");
        (left == "0").then_some(())
    })
    .await;
    put_back(&node, &text);
    until_phase(&node, "canary").await;
}
