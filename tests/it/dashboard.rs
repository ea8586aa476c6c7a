//! The dashboard in a browser: what an operator does, with and without scripts, on a phone and on a desktop. `requests`, `roles`,
//! `jobs` and `errors` speak plain HTTP: who is let in, what each session may change, how jobs end, and which headers pages have.

mod errors;
mod flows;
mod hostile;
mod jobs;
mod live;
mod looks;
mod masked;
mod missed;
mod requests;
mod roles;
mod scene;
mod tamper;
mod tries;

use std::path::PathBuf;

use landfall_tests::{Node, Setup, guest};
use scene::{READ_TOKEN, SECRET};

/// A node with the hooks `in` (open), `signed` (as GitHub signs), and `bad`, whose handler rejects every event.
async fn node() -> Node {
    serving(setup()).await
}

/// The node when its hooks serve.
async fn serving(setup: Setup) -> Node {
    let node = setup.serving("in").await;
    for hook in ["signed", "bad"] {
        node.until(hook, "serving").await;
    }
    node
}

fn setup() -> Setup {
    let open = "mode = \"async\"\n[verify]\nscheme = \"none\"\n";
    let signed =
        "mode = \"async\"\n[verify]\nprovider = \"github\"\nsecret = \"env:DASHBOARD_SECRET\"\n";
    Setup::new()
        .env("DASHBOARD_SECRET", SECRET)
        .env("LANDFALL_ADMIN_READ_TOKEN", "env:READ_TOKEN")
        .env("READ_TOKEN", READ_TOKEN)
        .hook("in", &guest("answers_one"), open)
        .hook("signed", &guest("answers_one"), signed)
        .hook(
            "bad",
            &guest("rejects"),
            &format!("{open}[retry]\nattempts = 1\n"),
        )
}

/// Sends events to the hook that rejects them, and waits until they are dead.
async fn with_dead(node: &Node, count: usize) {
    for n in 0..count {
        assert_eq!(
            node.post("/bad", &[], format!("{{\"n\":{n}}}")).await.0,
            202
        );
    }
    node.until_states("bad", &vec!["dead"; count]).await;
}

/// Where pictures are stored.
fn pictures() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("dashboard")
}
