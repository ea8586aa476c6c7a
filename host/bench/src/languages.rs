//! `languages`: the same handler in each language. It parses the body as JSON and answers one
//! field. Each event runs in a fresh instance.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};
use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::env::{Admin, BenchEnv};
use crate::flags::RunFlags;
use crate::handlers::{self, Language};
use crate::load::{self, Measured};
use crate::page;
use crate::report::{ms, us};
use crate::request::push_of_size;
use crate::server::Server;

/// One, so that no request waits for another one.
const CONNECTIONS: usize = 1;
const WARM_UP: Duration = Duration::from_secs(1);
const BODY_KIB: [usize; 2] = [1, 64];

#[derive(Debug, Args)]
pub(crate) struct LanguagesFlags {
    /// Measure only these languages.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "LANGUAGES")]
    only: Vec<Language>,
}

/// The handler in one language.
struct Subject {
    language: Language,
    component_bytes: u64,
    code_bytes: u64,
    /// From the bytes of the component to its machine code, in a process of its own.
    compile_ms: f64,
    events: Vec<Event>,
}

/// One body, and the runs with it.
struct Event {
    body_kib: usize,
    request: Vec<u8>,
    /// The peak of the linear memory of the instance.
    memory_bytes: u64,
    runs: Vec<Run>,
}

#[derive(Clone)]
struct Run {
    measured: Measured,
    /// The processor time of the node for each request.
    processor: Duration,
    /// The mean time of an attempt: to create the instance and to call it.
    attempt: Duration,
}

/// The attempts of one hook since the start of the node.
struct Attempts {
    count: f64,
    seconds: f64,
}

pub(crate) async fn measure(flags: &RunFlags, languages: &LanguagesFlags) -> anyhow::Result<()> {
    let env = BenchEnv::without_hooks(flags)?;
    let subjects: anyhow::Result<Vec<Subject>> = Language::value_variants()
        .iter()
        .filter(|language| languages.only.is_empty() || languages.only.contains(language))
        .map(|language| Subject::build(&env, *language))
        .collect();
    let mut subjects = subjects?;

    let requests = subjects.iter().flat_map(|subject| &subject.events);
    let requests: Vec<Vec<u8>> = requests.map(|event| event.request.clone()).collect();
    let (node, admin) = env.start_node_with_admin_that_answers(&requests).await?;
    measure_all(flags, &node, &admin, &mut subjects).await?;
    node.stop().await?;

    let tables = tables(flags, &subjects);
    page::publish(flags, "languages", &tables)?;
    if flags.json {
        println!("{}", as_json(flags, &subjects));
    } else {
        print!("{tables}");
    }

    Ok(())
}

/// Every language and body in turns, so that what changes on the machine changes all of them.
async fn measure_all(
    flags: &RunFlags,
    node: &Server,
    admin: &Admin,
    subjects: &mut [Subject],
) -> anyhow::Result<()> {
    for event in subjects.iter().flat_map(|subject| &subject.events) {
        load::run(node.address, &event.request, CONNECTIONS, WARM_UP).await?;
    }

    for _ in 0..flags.rounds.max(1) {
        for subject in &mut *subjects {
            let hook = subject.language.word();
            for event in &mut subject.events {
                let run = run(flags, node, admin, hook, &event.request).await?;
                event.runs.push(run);
            }
        }
    }

    Ok(())
}

async fn run(
    flags: &RunFlags,
    node: &Server,
    admin: &Admin,
    hook: &str,
    request: &[u8],
) -> anyhow::Result<Run> {
    let time = Duration::from_secs(flags.seconds);
    let attempts_before = Attempts::of(admin, hook).await?;
    let before = node.processor_time();
    let measured = load::run(node.address, request, CONNECTIONS, time).await?;
    let used = node.processor_time() - before;
    let attempts = Attempts::of(admin, hook).await?;

    Ok(Run {
        processor: used.div_f64(measured.count().max(1) as f64),
        attempt: attempts.mean_since(&attempts_before),
        measured,
    })
}

// === impl Attempts ===

impl Attempts {
    /// From the metrics of the node.
    async fn of(admin: &Admin, hook: &str) -> anyhow::Result<Attempts> {
        let (_, text) = admin.get("/metrics").await?;
        Ok(Attempts {
            count: of_attempts(&text, hook, "count")?,
            seconds: of_attempts(&text, hook, "sum")?,
        })
    }

    fn mean_since(&self, before: &Attempts) -> Duration {
        let count = (self.count - before.count).max(1.0);
        Duration::from_secs_f64((self.seconds - before.seconds) / count)
    }
}

/// The count or the sum of the histogram of attempts.
fn of_attempts(metrics: &str, hook: &str, part: &str) -> anyhow::Result<f64> {
    let series = format!("landfall_attempt_duration_seconds_{part}{{hook=\"{hook}\"}} ");
    metrics
        .lines()
        .find_map(|line| line.strip_prefix(&series))
        .and_then(|value| value.parse().ok())
        .with_context(|| format!("the node has no metric {series}"))
}

// === impl Subject ===

impl Subject {
    /// Builds the handler, compiles it, runs it once with each body, and adds its hook.
    fn build(env: &BenchEnv, language: Language) -> anyhow::Result<Subject> {
        eprintln!("landfall-bench: builds the handler: {}", language.title());
        let name = language.word();
        let component = handlers::build(
            env.landfall(),
            language,
            env.path(),
            &env.path().join("built"),
        )?;

        let mut compile_ms = None;
        let mut events = Vec::new();
        for body_kib in BODY_KIB {
            let body = push_of_size(body_kib << 10);
            let invoked = invoke(env, &component, &body)?;
            // The first one finds no machine code.
            compile_ms = compile_ms.or(invoked["load_ms"].as_f64());
            events.push(Event {
                body_kib,
                request: env.request_to(name, &body),
                memory_bytes: invoked["memory_bytes"].as_u64().unwrap_or(0),
                runs: Vec::new(),
            });
        }

        env.add_component(name, &component)?;
        env.add_signed_hook(name, "mode = \"sync\"\n", "")?;
        Ok(Subject {
            language,
            component_bytes: std::fs::metadata(&component)?.len(),
            code_bytes: code_bytes(&env.compiled(), &component)?,
            compile_ms: compile_ms.context("`landfall invoke` reports no time to load")?,
            events,
        })
    }

    fn row(&self) -> String {
        format!(
            "| {} | {} | {} | {:.2} s |\n",
            self.language.title(),
            size(self.component_bytes),
            size(self.code_bytes),
            self.compile_ms / 1000.0
        )
    }

    fn as_json(&self) -> Value {
        let events: Vec<Value> = self.events.iter().map(Event::as_json).collect();
        json!({
            "language": self.language.word(),
            "component_bytes": self.component_bytes,
            "machine_code_bytes": self.code_bytes,
            "compile_ms": self.compile_ms,
            "events": events,
        })
    }
}

/// What `landfall invoke` reports of one event, which the handler must answer.
fn invoke(env: &BenchEnv, component: &Path, body: &str) -> anyhow::Result<Value> {
    let event = env.path().join("event.json");
    std::fs::write(&event, body)?;
    let output = Command::new(env.landfall())
        .arg("invoke")
        .arg(component)
        .arg("--event")
        .arg(&event)
        .arg("--json")
        .current_dir(env.path())
        .output()
        .context("landfall does not start")?;
    let invoked: Value = serde_json::from_slice(&output.stdout).with_context(|| {
        format!(
            "`landfall invoke {}` failed: {}",
            component.display(),
            String::from_utf8_lossy(&output.stderr).trim()
        )
    })?;

    ensure!(
        invoked["reply"]["json"] == json!({ "ref": "refs/heads/main" }),
        "{} answers otherwise than the other handlers: {invoked}",
        component.display()
    );
    Ok(invoked)
}

/// The size of the machine code of a component in this directory.
fn code_bytes(compiled: &Path, component: &Path) -> anyhow::Result<u64> {
    let digest = hex::encode(Sha256::digest(std::fs::read(component)?));
    for file in std::fs::read_dir(compiled)? {
        let file = file?;
        let name = file.file_name().to_string_lossy().into_owned();
        if name.starts_with(&digest) && name.ends_with(".cwasm") {
            return Ok(file.metadata()?.len());
        }
    }

    anyhow::bail!(
        "{} has no machine code of {}",
        compiled.display(),
        component.display()
    )
}

// === impl Event ===

impl Event {
    /// The run with the median latency.
    fn median(&self) -> Run {
        let mut runs = self.runs.clone();
        runs.sort_by_key(|run| run.measured.p50);
        runs.swap_remove(runs.len() / 2)
    }

    fn row(&self, language: Language) -> String {
        let run = self.median();
        format!(
            "| {} | {} KiB | {:.2} ms | {:.2} ms | {:.2} ms | {:.1} µs | {} |\n",
            language.title(),
            self.body_kib,
            ms(run.measured.p50),
            ms(run.measured.p99),
            ms(run.processor),
            us(run.attempt),
            size(self.memory_bytes)
        )
    }

    fn as_json(&self) -> Value {
        let run = self.median();
        json!({
            "body_kib": self.body_kib,
            "p50_ms": ms(run.measured.p50),
            "p99_ms": ms(run.measured.p99),
            "processor_ms": ms(run.processor),
            "instance_and_call_us": us(run.attempt),
            "memory_bytes": self.memory_bytes,
        })
    }
}

// === Reports ===

/// Two tables in Markdown, and the conditions.
fn tables(flags: &RunFlags, subjects: &[Subject]) -> String {
    let mut text = "| | component | machine code | to compile |\n|---|---|---|---|\n".to_owned();
    text.extend(subjects.iter().map(Subject::row));

    text.push_str(
        "\n| | body | p50 | p99 | processor time | instance and call | memory |\n|---|---|---|---|---|---|---|\n",
    );
    for subject in subjects {
        text.extend(
            subject
                .events
                .iter()
                .map(|event| event.row(subject.language)),
        );
    }

    text.push_str(&format!(
        "\nProcessors: {}. Runs of each row: {}, of {} s each; the row is the run with the median p50.\n",
        processors(),
        flags.rounds.max(1),
        flags.seconds
    ));
    text
}

fn as_json(flags: &RunFlags, subjects: &[Subject]) -> Value {
    let languages: Vec<Value> = subjects.iter().map(Subject::as_json).collect();
    json!({
        "languages": languages,
        "processors": processors(),
        "seconds": flags.seconds,
        "rounds": flags.rounds.max(1),
    })
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// `97 KiB`, `2.1 MiB`.
fn size(bytes: u64) -> String {
    let kib = bytes as f64 / 1024.0;
    if kib < 1000.0 {
        format!("{kib:.0} KiB")
    } else {
        format!("{:.1} MiB", kib / 1024.0)
    }
}
