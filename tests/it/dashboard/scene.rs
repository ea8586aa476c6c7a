//! A node as operators see one: hooks that work, hooks that fail, and one that was never called.

use landfall_tests::{Node, Receiver, Setup, bundled, event_id, guest, sign};

pub(super) const SECRET: &str = "canary-dashboard-6a1f";
pub(super) const READ_TOKEN: &str = "canary-dashboard-reads-0123456789";

const GITHUB: &str = "mode = \"async\"\n[verify]\nprovider = \"github\"\nsecret = [\"env:OLD_SECRET\", \"env:DASHBOARD_SECRET\"]\n\
                      [settings]\nhooks = [\"pushes\"]\nheaders = [\"x-github-event\"]\n[allow]\nemit = [\"pushes\", \"chat\"]\n";
const PUSHES: &str = "mode = \"async\"\n[verify]\nscheme = \"token\"\nfrom = { header = \"X-Token\" }\nsecret = \"env:DASHBOARD_SECRET\"\n\
                      [settings]\ntable = \"events\"\nfields = { repo = \"/repository/full_name\", who = \"/sender/login\" }\n\
                      with = [\"event-type\"]\n[allow]\ntable = [\"events\"]\n";
const PARTNER: &str = "[verify]\nscheme = \"token\"\nfrom = { header = \"X-Token\" }\nsecret = \"env:DASHBOARD_SECRET\"\n";
const PUSH: &str = "{\"ref\":\"refs/heads/main\",\"repository\":{\"id\":12345678901234567890,\"full_name\":\"acme/site\"},\
                    \"sender\":{\"login\":\"ada\"}}";

const SIGNED: &str = "provider = \"generic\"\nsecret = \"env:DASHBOARD_SECRET\"";
const ORDER: &str = "{\"order\":{\"id\":17,\"paid\":true}}";

/// The node, and the events of the hooks that a picture shows.
pub(super) struct Scene {
    pub(super) node: Node,
    /// Handled after a retry, with outbound calls.
    pub(super) order: String,
    /// Verified by the second key; its handler has emitted an event.
    pub(super) push: String,
    /// Dead.
    pub(super) invoice: String,
}

/// Starts the node and sends it requests.
pub(super) async fn scene() -> Scene {
    let target = Receiver::start().await;
    let node = Setup::new()
        .env("DASHBOARD_SECRET", SECRET)
        .env("OLD_SECRET", "canary-dashboard-old")
        .env("LANDFALL_ADMIN_READ_TOKEN", "env:READ_TOKEN")
        .env("READ_TOKEN", READ_TOKEN)
        .env("LANDFALL_WATCH_INTERVAL", "1s")
        .env("LANDFALL_WATCH_DISK", "false")
        .hook("github", &bundled("fan-out"), GITHUB)
        .hook("pushes", &bundled("store"), PUSHES)
        .hook(
            "orders",
            &bundled("forward"),
            &forward(&target, "auto", SIGNED, "/orders", 5),
        )
        .hook(
            "invoices",
            &bundled("forward"),
            &forward(&target, "async", "scheme = \"none\"", "/invoices", 1),
        )
        .hook(
            "counters",
            &guest("keeps"),
            "[verify]\nscheme = \"none\"\n[allow]\nkv = true\n",
        )
        .hook("partner", &bundled("echo"), PARTNER)
        .serving("github")
        .await;
    for hook in ["pushes", "orders", "invoices", "counters", "partner"] {
        node.until(hook, "serving").await;
    }

    target.answer(503);
    let signature = sign(SECRET, ORDER.as_bytes());
    let headers = [
        ("content-type", "application/json"),
        ("x-signature", &*signature),
    ];
    let order = event_id(&node.post("/orders", &headers, ORDER).await);
    node.until_states("orders", &["pending"]).await;
    target.answer(200);
    node.until_states("orders", &["done"]).await;

    let mut push = String::new();
    for kind in ["pull_request", "push"] {
        let signature = sign(SECRET, PUSH.as_bytes());
        let headers = [
            ("content-type", "application/json"),
            ("x-github-event", kind),
            ("x-github-delivery", kind),
            ("x-hub-signature-256", &signature),
        ];
        push = event_id(&node.post("/github", &headers, PUSH).await);
    }
    node.until_states("pushes", &["done", "done"]).await;
    node.post("/github", &[("x-hub-signature-256", "sha256=00")], PUSH)
        .await;
    node.post("/unknown", &[], "{}").await;
    node.post("/counters?seen+1&last=ada", &[], "{}").await;

    target.answer(422);
    let mut invoice = String::new();
    for number in 0..3 {
        invoice = event_id(
            &node
                .post("/invoices", &JSON, format!("{{\"invoice\":{number}}}"))
                .await,
        );
    }
    node.until_states("invoices", &["dead"; 3]).await;
    target.answer(200);
    node.order("/api/v1/hooks/partner/pause", serde_json::json!({}))
        .await;
    node.order("/api/v1/hooks/partner/resume", serde_json::json!({}))
        .await;
    Scene {
        node,
        order,
        push,
        invoice,
    }
}

/// The file of a hook that sends its events to the target.
fn forward(target: &Receiver, mode: &str, verify: &str, path: &str, attempts: u32) -> String {
    let at = format!("http://{}", target.address);
    format!(
        "mode = \"{mode}\"\n[verify]\n{verify}\n[settings]\ntargets = [\"{at}{path}\"]\n\
         [allow]\nhttp = [\"{at}/\", \"https://archive.example.com/\"]\n\
         [retry]\nattempts = {attempts}\nbackoff = {{ first = \"1s\" }}\n"
    )
}

const JSON: [(&str, &str); 1] = [("content-type", "application/json")];
