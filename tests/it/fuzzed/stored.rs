//! Random calls of `kv` and `table`, beside a model of what they do, on both kinds of ledger.

use std::collections::BTreeMap;

use landfall_tests::faults::{Random, rounds};
use landfall_tests::{Setup, guest};
use serde_json::{Value, json};

use super::OPEN;

const KEY_BYTES_MAX: usize = 512;
const CALLS_MAX: usize = 8;

/// What one hook has stored.
#[derive(Debug, Clone, Default)]
struct Model {
    values: BTreeMap<String, String>,
    rows: Vec<Value>,
}

// === impl Model ===

impl Model {
    /// Does what a call does, and returns its result.
    fn call(&mut self, call: &[Value]) -> Value {
        let text = |at: usize| call[at].as_str().unwrap_or_default();
        let key = text(1);
        if ["set", "get", "delete"].contains(&text(0)) && !(1..=KEY_BYTES_MAX).contains(&key.len())
        {
            return json!({ "error": "invalid" });
        }
        match text(0) {
            "set" => {
                self.values.insert(key.to_owned(), text(2).to_owned());
                Value::Null
            }
            "get" => self.values.get(key).cloned().into(),
            "delete" => {
                self.values.remove(key);
                Value::Null
            }
            "list" => {
                let keys = self.values.keys().filter(|found| found.starts_with(key));
                keys.cloned().collect::<Vec<_>>().into()
            }
            _ => self.append(key, &call[2]),
        }
    }

    fn append(&mut self, table: &str, row: &Value) -> Value {
        match table {
            "t" if row.is_object() => {
                self.rows.push(row.clone());
                Value::Null
            }
            "u" => json!({ "error": "denied" }),
            _ => json!({ "error": "invalid" }),
        }
    }
}

fn texts() -> Vec<String> {
    let odd = [
        "",
        "a",
        "ab",
        "b",
        "A",
        "é",
        "e\u{301}",
        "\u{10ffff}",
        "\u{202e}",
        "\u{feff}",
        "\0",
        "a\0b",
        "\n",
        "\r\n",
        "\t",
        " ",
        "%",
        "_",
        "a%",
        "'",
        "\"",
        "\\",
        "--",
        "; DROP TABLE kv",
        "{{x}}",
        "${env:S}",
        "null",
        "0",
        "-1",
        "1e400",
    ];
    let mut texts: Vec<String> = odd.map(str::to_owned).into();
    for bytes in [KEY_BYTES_MAX - 1, KEY_BYTES_MAX, KEY_BYTES_MAX + 1, 5000] {
        texts.push("k".repeat(bytes));
    }
    texts.push("é".repeat(KEY_BYTES_MAX / 2));
    texts
}

fn random_call(texts: &[String], random: &mut Random) -> Vec<Value> {
    let mut text = || texts[random.below(texts.len())].clone();
    let (key, value, other) = (text(), text(), text());
    match random.below(6) {
        0 | 1 => vec!["set".into(), key.into(), value.into()],
        2 => vec!["get".into(), key.into()],
        3 => vec!["delete".into(), key.into()],
        4 => vec!["list".into(), key.into()],
        _ => {
            let rows = [
                json!({ "text": value, "n": 1.5, "list": [null, true, { other.clone(): value }] }),
                json!({ value.clone(): other }),
                json!([value]),
                json!(value),
            ];
            let table = ["t", "t", "t", "u", "T-1 "][random.below(5)];
            let row = rows[random.below(rows.len())].clone();
            vec!["append".into(), table.into(), row]
        }
    }
}

async fn compare(setup: Setup) {
    let hook_file = format!("{OPEN}[allow]\nkv = true\ntable = [\"t\"]\n");
    let node = setup
        .hook("keeps", &guest("keeps_script"), &hook_file)
        .serving("keeps")
        .await;
    let (texts, mut model, mut random) = (texts(), Model::default(), Random::seeded());
    for _ in 0..rounds(150, 5000) {
        let count = 1 + random.below(CALLS_MAX);
        let calls: Vec<Vec<Value>> = (0..count)
            .map(|_| random_call(&texts, &mut random))
            .collect();
        let mut staged = model.clone();
        let expected: Vec<Value> = calls.iter().map(|call| staged.call(call)).collect();
        let fails = random.below(8) == 0;
        let headers: &[(&str, &str)] = if fails { &[("x-fail", "1")] } else { &[] };

        let body = Value::from(calls).to_string();
        let (status, answer) = node.post("/keeps", headers, body.clone()).await;
        if fails {
            assert!(status >= 400, "{status}: {body}");
            continue;
        }
        assert_eq!(status, 200, "{body}: {answer}\n{}", node.log());
        let results: Value = serde_json::from_str(&answer).expect("a list of results");
        assert_eq!(results, Value::from(expected), "{body}");
        model = staged;
    }

    assert_eq!(node.all_rows("keeps", "t").await, model.rows);
}

#[tokio::test(flavor = "multi_thread")]
async fn stored_values_follow_the_model() {
    compare(Setup::new()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_values_follow_the_model() {
    if let Some(setup) = Setup::new().on_postgres() {
        compare(setup).await;
    }
}
