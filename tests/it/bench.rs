//! The load generator `landfall-bench`: every measurement runs and reports numbers. No test compares them with a limit.

use std::path::Path;
use std::process::Command;

use landfall_tests::{bundled, landfall, landfall_bench, root};
use serde_json::Value;

use crate::author::has_tools;
use crate::hostile::write_abuse_cases;

#[test]
fn sync_reports_both_servers() {
    let report = measure(&["sync", "--rounds", "1", "--connections", "4"], "echo");

    for number in [
        "/ratio",
        "/component/requests_per_second",
        "/component/memory_mib",
        "/component/processor_us",
        "/plain_axum/p99_ms",
        "/start_to_first_200_ms",
    ] {
        assert_is_positive(&report, number);
    }
}

/// One that ends at once is left out.
#[test]
fn sync_measures_programs_of_others() {
    let plain = format!(
        "plain={} plain-server 127.0.0.1:{{port}} \"$SECRET_FILE\"",
        text(landfall_bench())
    );
    let mut arguments = vec!["sync", "--rounds", "1", "--connections", "4"];
    arguments.extend(["--program", &plain, "--program", "ends=false"]);

    let report = measure(&arguments, "echo");

    assert_eq!(report["programs"][0]["name"], "plain", "{report}");
    assert_eq!(report["left_out"], serde_json::json!(["ends"]));
    for number in ["requests_per_second", "processor_us", "memory_mib"] {
        assert_is_positive(&report, &format!("/programs/0/{number}"));
    }
}

#[test]
fn durable_reports_every_round() {
    let report = measure(&["durable", "--poison", "--backlog", "100"], "echo");

    assert_is_positive(&report, "/syncs_per_second");
    assert_is_positive(&report, "/poison/ratio");
    assert_is_positive(&report, "/backlogs/0/start_to_first_200_ms");
    for ratio in ["to_sqlite_alone", "to_sqlite_behind_axum"] {
        assert_is_positive(&report, &format!("/accepting/3/{ratio}"));
    }
    assert_is_positive(&report, "/modes/async_to_auto");
    for rounds in ["/rounds", "/backlogs/0/rounds"] {
        assert_eq!(report.pointer(rounds).unwrap().as_array().unwrap().len(), 4);
        for round in 0..4 {
            assert_is_positive(&report, &format!("{rounds}/{round}/accepted_per_second"));
            assert_is_positive(&report, &format!("{rounds}/{round}/whole_cycle_per_second"));
        }
    }
}

#[test]
fn search_reports_each_query() {
    let small = ["search", "--events", "50", "--repeats", "3"];
    let report = measure(&[&small[..], &["--connections", "4"]].concat(), "echo");

    let queries = report["queries"].as_array().unwrap();
    let found = |query: &str| {
        let path = format!("/api/v1/events?{query}");
        let row = queries.iter().find(|row| row["query"] == path);
        row.unwrap_or_else(|| panic!("{query}: {report}"))["found"].as_u64()
    };
    for (query, events) in [("hook=quiet", 10), ("type=release", 10), ("type=absent", 0)] {
        assert_eq!(found(query), Some(events), "{query}");
    }
    for query in queries {
        let (p50, p99) = (query["p50_ms"].as_f64(), query["p99_ms"].as_f64());
        assert!(p50.is_some() && p50 <= p99, "{query}");
    }
    let paths: Vec<&str> = queries
        .iter()
        .filter_map(|row| row["query"].as_str())
        .collect();
    assert!(paths.contains(&"/api/v1/stats"), "{paths:?}");
}

#[test]
fn forward_keeps_its_connections() {
    let report = measure(
        &["forward", "--rounds", "1", "--connections", "8"],
        "forward",
    );

    assert_is_positive(&report, "/component/requests_per_second");
    assert_is_positive(&report, "/plain_axum_reqwest/requests_per_second");
    let connects = report["component"]["connects"].as_u64().unwrap();
    assert!((1..=16).contains(&connects), "{report}");
}

#[test]
fn interference_reports_each_hook() {
    let dir = tempfile::tempdir().unwrap();
    write_abuse_cases(dir.path(), 2);

    let report = measure(&["interference", &text(dir.path())], "echo");

    assert_eq!(report["hooks"].as_array().unwrap().len(), 2, "{report}");
    assert_is_positive(&report, "/hooks/0/ratio");
    assert_is_positive(&report, "/hooks/1/ratio");
}

#[test]
fn neighbours_reports_each_overload() {
    let report = measure(
        &[
            "neighbours",
            "--connections",
            "2",
            "--callers",
            "8",
            "--busy",
            &text(&bundled("echo")),
        ],
        "echo",
    );

    for hook in 0..3 {
        for number in ["alone/p99_ms", "beside/p99_ms", "p99_ratio"] {
            assert_is_positive(&report, &format!("/hooks/{hook}/{number}"));
        }
        assert_is_positive(&report, &format!("/hooks/{hook}/overloaded/ok_per_second"));
    }
}

#[test]
fn idle_connections_stay_open() {
    let report = measure(&["idle", "20", "--connections", "4"], "echo");

    assert_eq!(report["still_open"], 20, "{report}");
    assert_is_positive(&report, "/beside/requests_per_second");
}

#[test]
fn telemetry_reports_each_kind_of_line() {
    let report = measure(
        &["telemetry", "--rounds", "1", "--connections", "4"],
        "echo",
    );

    for (node, log) in ["no lines", "attempts", "defaults"].into_iter().enumerate() {
        assert_eq!(report["nodes"][node]["log"], log);
        for number in ["requests_per_second", "processor_us", "ratio"] {
            assert_is_positive(&report, &format!("/nodes/{node}/{number}"));
        }
    }
}

#[test]
fn settings_report_on_and_off() {
    let report = measure(&["settings", "--rounds", "1", "--connections", "4"], "echo");

    let names = [
        "nothing",
        "recordings of failures",
        "recordings of all",
        "shapes",
        "encryption",
        "defaults",
    ];
    for (node, name) in names.into_iter().enumerate() {
        assert_eq!(report["nodes"][node]["on"], name);
        for number in ["requests_per_second", "processor_us", "ratio"] {
            assert_is_positive(&report, &format!("/nodes/{node}/{number}"));
        }
    }
}

#[test]
fn growth_draws_each_number() {
    let dir = tempfile::tempdir().unwrap();
    let small = "growth --hooks 1,3 --backlog 0,20 --callers 1,4 --rounds 1 --connections 4";
    let mut arguments: Vec<&str> = small.split(' ').collect();
    let plots = text(dir.path());
    arguments.extend(["--plots", &plots]);

    let report = measure(&arguments, "echo");

    for axis in ["hooks", "backlog", "connections"] {
        assert_is_positive(&report, &format!("/{axis}/1/processor_us"));
        let plot = dir.path().join(format!("growth-{axis}.svg"));
        let plot = std::fs::read_to_string(plot).unwrap();
        assert_eq!(plot.matches("<circle").count(), 2, "{plot}");
    }
    assert_is_positive(&report, "/hooks/1/loaded_ms");
}

#[test]
fn start_is_timed_with_hooks() {
    let report = measure(&["start", "--hooks", "2,4"], "echo");

    assert_eq!(report["rows"][1]["hooks"], 4, "{report}");
    assert_is_positive(&report, "/rows/1/start_to_first_200_ms");
}

#[test]
fn dropped_components_are_timed() {
    let large = text(&bundled("echo"));
    let small = ["drop", "--rounds", "1", "--beside-seconds", "1", "--large"];

    let report = measure(&[&small[..], &[large.as_str()]].concat(), "echo");

    assert_is_positive(&report, "/median_ms");
    assert_is_positive(&report, "/large/ratio");
}

/// The script runs a part, and the page has its table where its section was.
#[test]
fn the_script_writes_its_section() {
    let dir = tempfile::tempdir().unwrap();
    let page = dir.path().join("BENCHMARKS.md");
    std::fs::copy(root().join("docs/BENCHMARKS.md"), &page).unwrap();
    let before = std::fs::read_to_string(&page).unwrap();

    let output = Command::new(root().join(".ci/benchmarks"))
        .args(["--quick", "--only", "memory"])
        .args(["--page", &text(&page)])
        .args(["--landfall", &text(landfall())])
        .args(["--bench", &text(landfall_bench())])
        .args(["--component", &text(&bundled("echo"))])
        .output()
        .unwrap();

    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let after = std::fs::read_to_string(&page).unwrap();
    let section = between(&after, "memory");
    assert!(
        section.starts_with("\n| hooks | resident memory | "),
        "{section}"
    );
    for row in ["\n| 2 | ", "\n| 4 | ", "\nMeasured on "] {
        assert!(section.contains(row), "{row:?} in {section}");
    }
    for other in ["sync", "build"] {
        assert_eq!(between(&after, other), between(&before, other));
    }
}

/// What is between the markers of a section.
fn between<'a>(page: &'a str, name: &str) -> &'a str {
    let (_, rest) = page
        .split_once(&format!("<!-- landfall-bench {name}: begin -->\n"))
        .unwrap();
    let end = format!("<!-- landfall-bench {name}: end -->\n");
    rest.split_once(&end).unwrap().0
}

/// Two of the languages: each build of the others takes as long again.
#[test]
fn languages_are_written_into_their_page() {
    if !has_tools("js") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let page = dir.path().join("cost.md");
    std::fs::copy(root().join("docs/handlers/cost.md"), &page).unwrap();
    let before = std::fs::read_to_string(&page).unwrap();

    let report = run(
        &["languages", "--rounds", "1"],
        &[
            "--only",
            "rust-without-wasi,javascript",
            "--update",
            &text(&page),
        ],
    );

    for language in ["/languages/0", "/languages/1"] {
        for number in ["component_bytes", "machine_code_bytes", "compile_ms"] {
            assert_is_positive(&report, &format!("{language}/{number}"));
        }
        for event in ["events/0", "events/1"] {
            for number in [
                "p50_ms",
                "p99_ms",
                "processor_ms",
                "instance_and_call_us",
                "memory_bytes",
            ] {
                assert_is_positive(&report, &format!("{language}/{event}/{number}"));
            }
        }
    }

    let after = std::fs::read_to_string(&page).unwrap();
    for row in [
        "| Rust without WASI | 1 KiB | ",
        "| TypeScript, JavaScript | 64 KiB | ",
    ] {
        assert!(after.contains(row), "{after}");
    }
    assert_eq!(last_section(&after), last_section(&before));
}

/// Runs one measurement of a bundled handler for a second. Returns its report.
fn measure(arguments: &[&str], component: &str) -> Value {
    run(arguments, &["--component", &text(&bundled(component))])
}

/// Runs one measurement for a second. Returns its report.
fn run(arguments: &[&str], more: &[&str]) -> Value {
    let output = Command::new(landfall_bench())
        .args(arguments)
        .args(["--json", "--seconds", "1"])
        .args(["--landfall", &text(landfall())])
        .args(more)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );

    serde_json::from_slice(&output.stdout).unwrap()
}

fn last_section(page: &str) -> &str {
    page.rsplit("\n## ").next().unwrap()
}

fn assert_is_positive(report: &Value, number: &str) {
    let value = report.pointer(number).and_then(Value::as_f64);
    assert!(
        value.is_some_and(|value| value > 0.0),
        "{number} of {report}"
    );
}

fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}
