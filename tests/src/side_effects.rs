//! A hook whose attempts have one side effect of each kind (a row, a value, an emitted event), and the check that each was
//! applied exactly once.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use crate::{Node, Setup, bundled, eventually, guest};

const OPEN: &str = "\n[verify]\nscheme = \"none\"\n";
const STORE: &str =
    "[settings]\ntable = \"t\"\nfields = { n = \"/n\" }\n[allow]\ntable = [\"t\"]\n";

/// The hook `side_effects` in this mode, and `sink`, which gets its emissions. An event is known by its header `Id`.
pub fn setup(mode: &str) -> Setup {
    let side_effects = format!(
        "mode = \"{mode}\"\n{OPEN}[allow]\nkv = true\ntable = [\"t\", \"looks\"]\nemit = [\"sink\"]\n[dedup]\nid = {{ header = \"Id\" }}\n"
    );
    Setup::new()
        .hook("side_effects", &guest("side_effects"), &side_effects)
        .hook(
            "sink",
            &bundled("store"),
            &format!("mode = \"async\"\n{OPEN}{STORE}"),
        )
        .env("LANDFALL_LEDGER_RESERVE", "0B")
}

/// Both hooks serve.
pub async fn serving(setup: Setup) -> Node {
    let node = setup.serving("side_effects").await;
    node.until("sink", "serving").await;
    node
}

/// Every event done, every row, value and emitted event there once.
pub async fn check(node: &Node, events: usize, context: &str) {
    eventually(
        &format!("{context}: all are done\n{}", node.log()),
        || async {
            let (all, sunk) = (
                node.deliveries("side_effects").await,
                node.deliveries("sink").await,
            );
            let done = |all: &[Value]| all.iter().all(|one| one["state"] == "done");
            (all.len() >= events && done(&all) && sunk.len() >= events && done(&sunk)).then_some(())
        },
    )
    .await;
    let expected: Vec<u64> = (0..events as u64).collect();
    for hook in ["side_effects", "sink"] {
        let rows = node.rows(hook, "t").await;
        let mut numbers: Vec<u64> = rows
            .iter()
            .map(|row| row["row"]["n"].as_u64().expect("a number"))
            .collect();
        numbers.sort_unstable();
        assert_eq!(numbers, expected, "{context}: rows of {hook}");
    }
    eventually(&format!("{context}: a look is accepted"), || async {
        let (status, _) = node
            .try_post("/side_effects?look", &[], "{}".into())
            .await?;
        (200..300).contains(&status).then_some(())
    })
    .await;
    let looks = eventually("a look at the values", || async {
        node.rows("side_effects", "looks").await.pop()
    })
    .await;
    let values: BTreeMap<u64, String> =
        serde_json::from_value::<Vec<(String, String)>>(looks["row"]["values"].clone())
            .expect("pairs")
            .into_iter()
            .map(|(key, value)| (key.parse().expect("a number"), value))
            .collect();
    assert_eq!(
        values.keys().copied().collect::<Vec<_>>(),
        expected,
        "{context}: values"
    );
    assert!(
        values.values().all(|count| count == "1"),
        "{context}: {values:?}"
    );
}

/// Posts every event until a node acknowledges it, as providers do. Returns how many requests were not answered 2xx.
pub async fn deliver(at: Arc<Mutex<Vec<SocketAddr>>>, events: std::ops::Range<usize>) -> u64 {
    const SENDERS: usize = 8;
    let again = Arc::new(AtomicU64::new(0));
    let client = reqwest::Client::builder()
        .timeout(Duration::from_secs(30))
        .build()
        .expect("the lock is not poisoned");
    let senders: Vec<_> = (0..SENDERS)
        .map(|sender| {
            let (at, again, client, events) =
                (at.clone(), again.clone(), client.clone(), events.clone());
            tokio::spawn(async move {
                for n in events.filter(|n| n % SENDERS == sender) {
                    for turn in n.. {
                        let node = {
                            let at = at.lock().expect("the lock is not poisoned");
                            at[turn % at.len()]
                        };
                        let request = client
                            .post(format!("http://{node}/side_effects"))
                            .header("id", n.to_string());
                        let answer = request.body(json!({ "n": n }).to_string()).send().await;
                        if answer.is_ok_and(|answer| answer.status().is_success()) {
                            break;
                        }
                        again.fetch_add(1, Ordering::Relaxed);
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                }
            })
        })
        .collect();
    for sender in senders {
        sender.await.expect("the sender does not panic");
    }
    again.load(Ordering::Relaxed)
}
