//! What docs/deploy says fits the image and the node: user, ports, folders, variables, flags and
//! times. Every file in it is parsed.

mod cloud_run;
mod host;
mod kubernetes;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use landfall_tests::{landfall, root};
use serde_json::Value;

/// What the last stage of the Dockerfile says.
struct Image {
    uid: u64,
    ports: Vec<u64>,
    volumes: Vec<String>,
    environment: Vec<(String, String)>,
}

// === impl Image ===

impl Image {
    fn read() -> Image {
        let text = read(&root().join("Dockerfile"));
        let stage = text.rsplit("\nFROM ").next().unwrap().to_owned();
        let after = |word: &str| {
            let found = stage.lines().find_map(|line| line.strip_prefix(word));
            found
                .unwrap_or_else(|| panic!("the Dockerfile has no {word}"))
                .trim()
                .to_owned()
        };
        let pairs = after("ENV ");
        let pairs = pairs
            .split_whitespace()
            .filter_map(|pair| pair.split_once('='));
        Image {
            uid: after("USER ").split(':').next().unwrap().parse().unwrap(),
            ports: after("EXPOSE ")
                .split_whitespace()
                .map(|port| port.parse().unwrap())
                .collect(),
            volumes: serde_json::from_str(&after("VOLUME ")).unwrap(),
            environment: pairs
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
        }
    }

    fn variable(&self, name: &str) -> &str {
        let found = self.environment.iter().find(|(key, _)| key == name);
        &found
            .unwrap_or_else(|| panic!("the image sets no {name}"))
            .1
    }

    /// `/plugins` and `/data`, or where a variable of the container points.
    fn uses(&self, path: &str, container: &Value) -> bool {
        self.volumes.iter().any(|volume| volume == path)
            || variables(container).any(|(_, value)| value == path)
    }
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn dir() -> PathBuf {
    root().join("docs/deploy")
}

/// The files with this ending; all of them without one.
fn files(ending: Option<&str>) -> Vec<PathBuf> {
    let all = std::fs::read_dir(dir())
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = all
        .filter(|path| {
            ending.is_none_or(|ending| path.extension().is_some_and(|found| found == ending))
        })
        .collect();
    files.sort();
    files
}

/// The documents of a YAML text.
fn documents(place: &str, text: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(text).unwrap_or_else(|error| panic!("{place}: {error}\n{text}"))
}

/// The first document of a file.
fn document(name: &str) -> Value {
    documents(name, &read(&dir().join(name))).remove(0)
}

/// The object of this kind in kubernetes.yaml.
fn kubernetes(kind: &str) -> Value {
    let all = documents("kubernetes.yaml", &read(&dir().join("kubernetes.yaml")));
    all.into_iter()
        .find(|object| object["kind"] == kind)
        .unwrap_or_else(|| panic!("no {kind}"))
}

/// The fenced samples of a language.
fn samples(path: &Path, language: &str) -> Vec<String> {
    let text = read(path);
    let opening = format!("```{language}");
    let mut lines = text.lines();
    let mut found = Vec::new();
    while let Some(line) = lines.next() {
        if line.starts_with("```") {
            let body: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            if line == opening {
                found.push(body.join("\n") + "\n");
            }
        }
    }
    found
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn number(value: &Value) -> u64 {
    value
        .as_u64()
        .unwrap_or_else(|| panic!("{value} is no number"))
}

fn text(value: &Value) -> &str {
    value
        .as_str()
        .unwrap_or_else(|| panic!("{value} is no text"))
}

/// The variables of a container that have a plain value.
fn variables(container: &Value) -> impl Iterator<Item = (&str, &str)> {
    list(&container["env"]).filter_map(|one| Some((one["name"].as_str()?, one["value"].as_str()?)))
}

fn variable<'a>(container: &'a Value, name: &str) -> Option<&'a str> {
    variables(container)
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value)
}

/// `20s`, or the number alone.
fn seconds(text: &str) -> u64 {
    text.trim_end_matches('s')
        .parse()
        .unwrap_or_else(|_| panic!("{text} is no number of seconds"))
}

/// The page that lists every setting; a test of the crate `config` compares it with the code.
fn settings() -> String {
    read(&root().join("docs/CONFIG.md"))
}

/// How long a stop takes at most by default, because nothing here sets it.
fn drain_seconds() -> u64 {
    let page = settings();
    let row = page
        .lines()
        .find(|line| line.starts_with("| `drain` |"))
        .expect("the page has a row for `drain`");
    let value = row
        .split('`')
        .find_map(|part| part.strip_suffix('s')?.parse().ok());
    value.expect("the default of `drain` is in seconds")
}

fn help_of_serve() -> String {
    let output = Command::new(landfall())
        .args(["serve", "--help"])
        .output()
        .unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

/// The settings of a section of a systemd unit.
fn unit(section: &str) -> Vec<(String, String)> {
    let text = read(&dir().join("landfall.service"));
    let mut current = String::new();
    let mut found = Vec::new();
    for line in text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        if let Some(name) = line.strip_prefix('[') {
            current = name.trim_end_matches(']').to_owned();
            continue;
        }
        let (key, value) = line
            .split_once('=')
            .unwrap_or_else(|| panic!("landfall.service: {line}"));
        if current == section {
            found.push((key.to_owned(), value.to_owned()));
        }
    }
    found
}

/// What a key of the unit's service was set to, once.
fn of_service(key: &str) -> String {
    let found: Vec<String> = unit("Service")
        .into_iter()
        .filter(|(name, _)| name == key)
        .map(|pair| pair.1)
        .collect();
    assert_eq!(found.len(), 1, "{key}: {found:?}");
    found[0].clone()
}

#[test]
fn every_sample_parses() {
    let mut count = 0;
    for path in files(Some("yaml")) {
        count += documents(&path.display().to_string(), &read(&path)).len();
    }
    for path in files(Some("md")) {
        for sample in samples(&path, "yaml") {
            count += documents(&path.display().to_string(), &sample).len();
        }
        for sample in samples(&path, "toml") {
            sample
                .parse::<toml::Table>()
                .unwrap_or_else(|error| panic!("{}: {error}\n{sample}", path.display()));
            count += 1;
        }
    }
    assert!(count >= 10, "{count} samples");
}

#[test]
fn the_node_reads_every_variable() {
    let known = variables_in(&settings());
    for path in files(None) {
        let unknown: Vec<String> = variables_in(&read(&path))
            .difference(&known)
            .cloned()
            .collect();
        assert!(unknown.is_empty(), "{}: {unknown:?}", path.display());
    }
}

fn variables_in(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_uppercase() && !c.is_ascii_digit() && c != '_');
    words
        .filter(|word| word.starts_with("LANDFALL_"))
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_flag_of_serve_is_one() {
    let help = help_of_serve();
    let known: BTreeSet<&str> = help
        .split_whitespace()
        .filter(|word| word.starts_with("--"))
        .collect();
    let mut count = 0;
    for path in files(None) {
        let text = read(&path);
        for line in text.lines() {
            let words = line
                .split_whitespace()
                .map(bare)
                .skip_while(|word| word != "serve");
            for flag in words.filter(|word| word.starts_with("--")) {
                let name = flag.split('=').next().unwrap();
                assert!(known.contains(name), "{}: {line}", path.display());
                count += 1;
            }
        }
    }
    assert!(count > 0, "no flag is named");
}

/// The word without quotes and punctuation.
fn bare(word: &str) -> String {
    word.trim_matches(|c: char| "[]\"'`,.;:()".contains(c))
        .to_owned()
}

#[test]
fn ports_match_image_and_node() {
    let (image, help) = (Image::read(), help_of_serve());
    for port in &image.ports {
        assert!(
            help.contains(&format!("[default: 0.0.0.0:$PORT or 0.0.0.0:{port}]")),
            "{help}"
        );
    }
    assert!(help.contains("[default: 127.0.0.1:8081]"), "{help}");
}

#[test]
fn stop_time_outs_exceed_the_drain() {
    let drain = drain_seconds();
    assert_eq!(drain, 8, "the pages say so");
    let deployment = kubernetes("Deployment");
    let pod = &deployment["spec"]["template"]["spec"];
    let before = seconds(text(
        &pod["containers"][0]["lifecycle"]["preStop"]["exec"]["command"][1],
    ));
    assert!(number(&pod["terminationGracePeriodSeconds"]) > before + drain);
    let compose = document("compose.yaml");
    for (name, service) in compose["services"].as_object().unwrap() {
        assert!(
            seconds(text(&service["stop_grace_period"])) > drain,
            "{name}"
        );
    }
    assert!(seconds(&of_service("TimeoutStopSec")) > drain);
}

#[test]
fn the_overview_links_every_file() {
    let ways = read(&dir().join("README.md"));
    for path in files(None) {
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(
            name == "README.md" || ways.contains(&format!("({name})")),
            "{name}"
        );
    }
    for page in files(Some("md")) {
        for target in read(&page)
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
        {
            let file = target.split('#').next().unwrap();
            assert!(
                target.contains("://") || dir().join(file).exists(),
                "{}: {target}",
                page.display()
            );
        }
    }
}
