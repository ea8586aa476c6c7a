//! What happens to events before they run: `[filter]`, `[debounce]`, `[batch]`, `[transform]`.

mod batch;
mod debounce;
mod filter;
mod kills;
mod ledger;
mod nodes;
mod page;
mod transform;

use landfall_tests::{Node, Setup, bundled, eventually};
use serde_json::Value;

pub(crate) const OPEN: &str = "mode = \"async\"\n[verify]\nscheme = \"none\"\n";
/// The handler stores a row: `n` and `batch` of the body that it receives.
const STORE: &str = "[settings]\ntable = \"t\"\nfields = { n = \"/n\", batch = \"/batch\" }\nwith = [\"event-type\"]\n\
                     [allow]\ntable = [\"t\"]\n";

/// The hook `in`, whose handler stores rows, with these tables. An event is known by its header
/// `Id`.
fn setup(tables: &str) -> Setup {
    let dedup = "[dedup]\nid = { header = \"Id\" }\n";
    let file = format!("{OPEN}{STORE}{dedup}{tables}");
    Setup::new().hook("in", &bundled("store"), &file)
}

/// Posts `{"n": N}` for each number, with its id.
async fn send(node: &Node, numbers: impl IntoIterator<Item = u64>) {
    for n in numbers {
        let body = format!("{{\"n\":{n},\"key\":\"k{}\"}}", n % 2);
        let answer = node.deliver("/in", &[("id", &n.to_string())], body).await;
        assert_eq!(answer.0, 202, "{answer:?}");
    }
}

/// The numbers of all events that the handler has seen, sorted: those of single events, and those of
/// batches.
async fn seen(node: &Node) -> Vec<u64> {
    let mut numbers = Vec::new();
    for row in node.all_rows("in", "t").await {
        numbers.extend(row["n"].as_u64());
        numbers.extend(numbers_of(&row["batch"]));
    }
    numbers.sort_unstable();
    numbers
}

/// The numbers of the events in a batch, in their order.
fn numbers_of(batch: &Value) -> Vec<u64> {
    let members = batch.as_array().into_iter().flatten();
    members
        .filter_map(|member| member["json"]["n"].as_u64())
        .collect()
}

/// Waits until no delivery is open.
async fn until_ended(node: &Node) -> Vec<Value> {
    eventually("no delivery waits or runs", || async {
        let all = node.deliveries("in").await;
        let is_open = |one: &Value| {
            matches!(
                one["state"].as_str(),
                Some("waiting" | "pending" | "running")
            )
        };
        (!all.iter().any(is_open)).then_some(all)
    })
    .await
}
