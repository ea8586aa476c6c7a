//! Each crate names one trait of the ledger, and SQL names the states of a delivery.

use landfall_tests::root;

use super::{files, files_ending};

/// What a crate may name of the ledger: its one trait, and the values that the trait's methods take
/// and return.
const OF_THE_LEDGER: [(&str, &[&str]); 2] = [
    ("engine", &["Kv", "LedgerError"]),
    (
        "admin",
        &[
            "Activity",
            "ActivityBucket",
            "ActivityQuery",
            "AuditEntry",
            "AuditFilter",
            "Content",
            "Count",
            "Erasure",
            "Filter",
            "History",
            "HookBacklog",
            "LedgerError",
            "Listed",
            "NewAudit",
            "NewTry",
            "NewTryGroup",
            "Parts",
            "Pick",
            "Purged",
            "RecordingFilter",
            "Repeats",
            "ReplayOrder",
            "Replayed",
            "Scrubbed",
            "Shown",
            "ShownAttempt",
            "Step",
            "StoredRecording",
            "StoredRow",
            "StoredTiming",
            "StoredValue",
            "TryPart",
            "TryParts",
            "UNDECODABLE",
        ],
    ),
];

#[test]
fn crates_name_one_ledger_trait() {
    for (name, allowed) in OF_THE_LEDGER {
        for path in files(&root().join("host").join(name).join("src")) {
            let text = std::fs::read_to_string(&path).unwrap();
            for after in text.split("landfall_ledger::").skip(1) {
                let list = match after.strip_prefix('{') {
                    Some(list) => list.split('}').next().unwrap(),
                    None => after
                        .split(|one: char| !one.is_alphanumeric())
                        .next()
                        .unwrap(),
                };
                for word in list
                    .split(',')
                    .map(str::trim)
                    .filter(|word| !word.is_empty())
                {
                    let word = word.split(" as ").next().unwrap();
                    assert!(
                        allowed.contains(&word),
                        "{}: host/{name} may not name {word} of the ledger",
                        path.display()
                    );
                }
            }
        }
    }
}

/// `state_column.rs` gives the states of deliveries names for SQL. The steps from older tables keep
/// their numbers.
#[test]
fn sql_names_delivery_states() {
    let before_a_state = ["= ", "< ", "> ", ">= ", "<> ", "IN (", "NOT IN (", ":= "];
    let ledger = root().join("host/ledger/src");
    let sources = files_ending(&ledger, "rs")
        .into_iter()
        .chain(files_ending(&ledger, "sql"))
        .filter(|path| !path.ends_with("sqlite/schema.rs"))
        .filter(|path| !path.to_string_lossy().contains("/tables/"));
    for path in sources {
        let text = std::fs::read_to_string(&path).unwrap();
        for after in text.split("state ").skip(1) {
            let operand = before_a_state
                .iter()
                .find_map(|operator| after.strip_prefix(operator));
            assert!(
                !operand
                    .is_some_and(|operand| operand.starts_with(|one: char| one.is_ascii_digit())),
                "{}: state {}",
                path.display(),
                after.lines().next().unwrap()
            );
        }
    }
}
