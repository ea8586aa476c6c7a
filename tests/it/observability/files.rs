//! Alert rules, the dashboard and the scrape samples: they are valid, and name metrics that exist.

use std::collections::BTreeSet;
use std::path::PathBuf;

use landfall_tests::root;
use serde_json::{Value, json};

use super::{documented, promtool, said};

fn dir() -> PathBuf {
    root().join("docs/observability")
}

fn read(name: &str) -> String {
    std::fs::read_to_string(dir().join(name)).unwrap()
}

fn yaml(name: &str) -> Value {
    let text = read(name);
    serde_saphyr::from_multiple(&text)
        .unwrap_or_else(|error| panic!("{name}: {error}"))
        .remove(0)
}

/// Every text under this key, at any depth.
fn texts(value: &Value, key: &str) -> Vec<String> {
    let mut found = Vec::new();
    match value {
        Value::Array(list) => found.extend(list.iter().flat_map(|one| texts(one, key))),
        Value::Object(object) => {
            found.extend(object.get(key).and_then(Value::as_str).map(str::to_owned));
            found.extend(object.values().flat_map(|one| texts(one, key)));
        }
        _ => {}
    }
    found
}

/// The queries of the dashboard, with a value for each variable of Grafana.
fn dashboard_queries() -> Vec<String> {
    let dashboard: Value = serde_json::from_str(&read("dashboard.json")).unwrap();
    let queries = texts(&dashboard, "expr");
    assert!(queries.len() > 40, "{} queries", queries.len());
    let filled = queries.iter().map(|query| {
        query
            .replace("$__rate_interval", "5m")
            .replace("$instance", ".*")
            .replace("$hook", ".*")
    });
    filled.collect()
}

fn alert_queries() -> Vec<String> {
    texts(&yaml("alerts.yaml"), "expr")
}

/// The metrics that a query names.
fn metrics_of(query: &str) -> BTreeSet<&str> {
    let words = query.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words
        .filter(|word| word.starts_with("landfall_") || word.starts_with("process_"))
        .collect()
}

#[test]
fn queries_name_existing_metrics() {
    let documented = documented();
    for query in alert_queries().iter().chain(&dashboard_queries()) {
        for name in metrics_of(query) {
            let parts = ["_bucket", "_sum", "_count"];
            let of_histogram = parts.iter().find_map(|part| name.strip_suffix(part));
            let is_histogram = of_histogram
                .and_then(|name| documented.get(name))
                .is_some_and(|metric| metric.kind == "histogram");
            let is_plain = documented
                .get(name)
                .is_some_and(|metric| metric.kind != "histogram");
            assert!(is_histogram || is_plain, "{name} in {query}");
        }
    }
}

#[test]
fn the_dashboard_shows_every_hook_metric() {
    let shown = dashboard_queries().join("\n");
    for (name, metric) in documented() {
        let is_of_hook = metric.labels.iter().any(|label| label == "hook");
        assert!(!is_of_hook || shown.contains(&name), "{name}");
    }
}

#[test]
fn queries_of_the_dashboard_parse() {
    let Some(mut promtool) = promtool() else {
        return;
    };
    let queries = dashboard_queries();
    let rules = queries
        .iter()
        .enumerate()
        .map(|(number, query)| json!({ "record": format!("panel:{number}"), "expr": query }));
    let groups = json!({ "groups": [{ "name": "dashboard", "rules": rules.collect::<Vec<_>>() }] });
    let folder = tempfile::tempdir().unwrap();
    // JSON is YAML.
    let file = folder.path().join("rules.yaml");
    std::fs::write(&file, groups.to_string()).unwrap();
    let output = promtool
        .args(["check", "rules"])
        .arg(&file)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", said(&output));
}

#[test]
fn promtool_accepts_rules_and_config() {
    let Some(mut check) = promtool() else {
        return;
    };
    // The sample expects the rules and the token beside it.
    let folder = tempfile::tempdir().unwrap();
    for name in ["prometheus.yml", "alerts.yaml"] {
        std::fs::copy(dir().join(name), folder.path().join(name)).unwrap();
    }
    std::fs::write(folder.path().join("admin-token"), "t").unwrap();
    let config = folder.path().join("prometheus.yml");
    let output = check
        .args(["check", "config"])
        .arg(config)
        .output()
        .unwrap();
    let text = said(&output);
    assert!(
        output.status.success() && text.contains("rules found"),
        "{text}"
    );

    let Some(mut test) = promtool() else {
        return;
    };
    let tests = root().join("tests/fixtures/observability/alerts.test.yaml");
    let output = test.args(["test", "rules"]).arg(tests).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
}

#[test]
fn every_alert_is_explained() {
    let page = read("README.md");
    let rules = yaml("alerts.yaml");
    let alerts = texts(&rules, "alert");
    assert!(alerts.len() > 15, "{alerts:?}");
    for alert in alerts {
        assert!(page.contains(&format!("`{alert}`")), "{alert}");
    }
    let severities: BTreeSet<String> = texts(&rules, "severity").into_iter().collect();
    assert_eq!(Vec::from_iter(severities), ["page", "ticket"]);
}

/// The sample receives what a node sends.
#[test]
fn the_collector_receives_otlp_by_http() {
    let collector = yaml("otel-collector.yaml");
    let http = &collector["receivers"]["otlp"]["protocols"]["http"];
    assert_eq!(http["endpoint"], "127.0.0.1:4318");
    let page = read("traces.md");
    assert!(page.contains("otlp_endpoint = \"http://127.0.0.1:4318\""));

    let pipelines = collector["service"]["pipelines"].as_object().unwrap();
    let signals: BTreeSet<&str> = pipelines.keys().map(String::as_str).collect();
    assert_eq!(signals, BTreeSet::from(["metrics", "traces"]));
    for (signal, pipeline) in pipelines {
        assert_eq!(pipeline["receivers"], json!(["otlp"]), "{signal}");
        for kind in ["processors", "exporters"] {
            let names = pipeline[kind].as_array().unwrap();
            let is_declared = names
                .iter()
                .all(|name| !collector[kind][name.as_str().unwrap()].is_null());
            assert!(is_declared, "{signal}: {kind}");
        }
    }
}

#[test]
fn samples_read_the_admin_listener() {
    let pods = yaml("podmonitor.yaml");
    let google = yaml("google-managed-prometheus.yaml");
    let (of_pods, of_google) = (
        &pods["spec"]["podMetricsEndpoints"][0],
        &google["spec"]["endpoints"][0],
    );
    let secret = json!({ "name": "landfall", "key": "admin-token" });
    assert_eq!(of_pods["authorization"]["credentials"], secret);
    assert_eq!(of_google["authorization"]["credentials"]["secret"], secret);
    let kubernetes = std::fs::read_to_string(root().join("docs/deploy/kubernetes.yaml")).unwrap();
    assert!(kubernetes.contains("{ name: landfall, key: admin-token }"));
    for (sample, endpoint) in [(&pods, of_pods), (&google, of_google)] {
        assert_eq!(
            (&endpoint["port"], &endpoint["path"]),
            (&"admin".into(), &"/metrics".into())
        );
        assert_eq!(sample["spec"]["selector"]["matchLabels"]["app"], "landfall");
    }
    let prometheus = yaml("prometheus.yml");
    assert_eq!(prometheus["scrape_configs"][0]["job_name"], "landfall");
}
