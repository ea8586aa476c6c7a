//! `landfall check`, `landfall doctor` and `landfall inspect`.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use serde_json::{Value, json};

use super::flags::{NodeFlags, node_config};
use super::listing::printable;
use super::output::say;
use crate::app::{self, CAPABILITIES, HookState, HookStatus, Init, Inspected, grant_for};
use crate::telemetry;
use landfall_config::{Manifest, SettingsSchema};

const NO_MANIFEST: &str = "there is no manifest, so that only the imports say which grants it needs: `#[handler]` and the SDKs \
    write one, `wasm-tools strip` removes it";

/// Loads all hooks as `serve` would and prints their status.
pub(super) async fn check(flags: NodeFlags, as_json: bool) -> anyhow::Result<ExitCode> {
    let found = statuses(flags).await?;
    if as_json {
        say!(
            "{}",
            json!({ "ok": found.is_well, "hooks": found.hooks, "warnings": found.warnings })
        )
    } else {
        print_all(&found)
    }

    Ok(if found.is_well {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The status of each hook.
struct Found {
    hooks: Vec<HookStatus>,
    warnings: Vec<String>,
    /// Whether all would serve and pass the ownership checks of their providers.
    is_well: bool,
}

async fn statuses(flags: NodeFlags) -> anyhow::Result<Found> {
    let mut config = node_config(flags)?;
    anyhow::ensure!(
        config.settings.plugins.is_dir(),
        "plugins = {} is not a folder",
        config.settings.plugins.display()
    );
    let scratch = tempfile::tempdir().context("no place for what is compiled")?;
    config.settings.data = scratch.path().into();
    let _log = telemetry::start(config.settings.log.format, "off")?;
    let (hooks, warnings) = app::check(&config).await?;
    let hooks = hooks.statuses();
    let is_well = hooks
        .iter()
        .all(|status| status.state == HookState::Serving && !status.refuses_ownership_checks());
    Ok(Found {
        hooks,
        warnings,
        is_well,
    })
}

fn print_all(found: &Found) {
    found.hooks.iter().for_each(print);
    found
        .warnings
        .iter()
        .for_each(|warning| say!("warning: {warning}"));
    let serving = found
        .hooks
        .iter()
        .filter(|status| status.state == HookState::Serving)
        .count();
    say!("{serving} of {} hooks would serve", found.hooks.len());
    let unsubscribed = found
        .hooks
        .iter()
        .filter(|status| status.refuses_ownership_checks())
        .count();
    if unsubscribed > 0 {
        say!("{unsubscribed} of them would refuse the provider's ownership check");
    }
}

/// Checks the dependencies of a node, then does the same as `check`.
pub(super) async fn doctor(flags: NodeFlags, as_json: bool) -> anyhow::Result<ExitCode> {
    let config = node_config(flags.clone())?;
    let (mut is_well, mut facts) = (true, Vec::new());
    for (what, found) in app::doctor(&config).await {
        let is_ok = found.is_ok();
        is_well &= is_ok;
        let lines = found.unwrap_or_else(|error| vec![format!("{error:#}")]);
        if as_json {
            facts.push(json!({ "what": what, "ok": is_ok, "lines": lines }));
            continue;
        }

        say!("{what:<16} {}", if is_ok { "ok" } else { "WRONG" });
        lines.iter().for_each(|line| say!("    {line}"));
    }

    let found = statuses(flags).await?;
    is_well &= found.is_well;
    if as_json {
        let Found {
            hooks, warnings, ..
        } = &found;
        say!(
            "{}",
            json!({ "ok": is_well, "facts": facts, "hooks": hooks, "warnings": warnings })
        );
    } else {
        print_all(&found)
    }

    Ok(if is_well {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn print(status: &HookStatus) {
    say!(
        "{:<16} {:<24} {}",
        status.name,
        status.path.as_deref().unwrap_or("-"),
        status.state
    );
    if let Some(problem) = &status.problem {
        say!("    {}", visible(problem));
    }

    if let Some(denied) = status.denied {
        say!("    {denied}");
    }

    if let Some(unsigned) = status.unsigned {
        say!("    {unsigned}");
    }

    if let Some(wants) = &status.wants {
        say!(
            "    its manifest also needs under [allow]:\n{}",
            indented(wants)
        );
    }
    status
        .warnings
        .iter()
        .for_each(|warning| say!("    {}", visible(warning)));
}

/// Components may have parts in it.
fn visible(text: &str) -> String {
    text.lines().map(printable).collect::<Vec<_>>().join("\n")
}

fn indented(text: &str) -> String {
    text.lines()
        .map(|line| format!("        {}", printable(line)))
        .collect::<Vec<_>>()
        .join("\n")
}

/// Loads a component as a node would, and prints what it exports, imports and requests, and the
/// grant that each import needs.
pub(super) async fn inspect(file: &Path, as_json: bool) -> anyhow::Result<ExitCode> {
    let inspected = app::try_component(file).await?;
    if as_json {
        say!("{}", receipt(&inspected)?)
    } else {
        print_receipt(&inspected)?
    }

    Ok(ExitCode::SUCCESS)
}

fn manifest(inspected: &Inspected) -> anyhow::Result<Manifest> {
    if let Some(text) = &inspected.manifest {
        return Ok(Manifest::parse("manifest", text, CAPABILITIES)?);
    }
    let mut manifest = Manifest::default();
    if inspected.imports.iter().any(|name| need(name).is_some()) {
        manifest.warnings.push(NO_MANIFEST.into());
    }
    Ok(manifest)
}

/// What a component exports, imports and requests, as JSON.
pub(super) fn receipt(inspected: &Inspected) -> anyhow::Result<Value> {
    let manifest = manifest(inspected)?;
    let schema = manifest.settings_schema.as_ref();
    let imports = inspected
        .imports
        .iter()
        .map(|name| json!({ "name": name, "needs": need(name) }));
    Ok(json!({
        "digest": inspected.digest,
        "bytes": inspected.size,
        "memory_bytes": inspected.memory_bytes,
        "exports": inspected.exports,
        "imports": imports.collect::<Vec<_>>(),
        "responder": inspected.has_responder(),
        "init": inspected.init.as_ref().map(init_receipt),
        "name": manifest.name,
        "version": manifest.version,
        "description": manifest.description,
        "event_types": manifest.event_types,
        "needs": manifest.needed_lines(),
        "warnings": manifest.warnings,
        "settings_schema": schema.map(SettingsSchema::json),
    }))
}

/// The `init` of a component. `snapshot` is null before the component is compiled.
fn init_receipt(init: &Init) -> Value {
    let report = init.report.as_deref();
    json!({
        "export": init.export,
        "snapshot": report.map(|report| report.is_snapshotted()),
        "no_snapshot_because": report.and_then(|report| report.obstacle.as_deref()),
        "processor_ms": report.map(|report| report.processor_ms),
        "took_random_numbers": report.map(|report| report.took_random_numbers),
        "read_environment": report.map(|report| report.read_environment),
    })
}

/// What a node does with the `init` of a component.
fn init_line(init: &Init) -> String {
    let Some(report) = &init.report else {
        return "runs once, when a node compiles the component; `landfall inspect` shows the result".into();
    };
    if let Some(obstacle) = &report.obstacle {
        return format!(
            "runs at the start of each event: there is no snapshot, because {obstacle}"
        );
    }

    let mut line = format!(
        "has run for {} ms; each event starts with what it left in memory",
        report.processor_ms
    );
    if report.took_random_numbers {
        line.push_str(", also the random numbers that it kept");
    }
    line
}

fn iec(bytes: u64) -> impl std::fmt::Display {
    bytesize::ByteSize(bytes).display().iec()
}

/// Prints what a component exports, imports and requests.
pub(super) fn print_receipt(inspected: &Inspected) -> anyhow::Result<()> {
    let manifest = manifest(inspected)?;
    if let Some(name) = &manifest.name {
        let version = manifest.version.as_deref().unwrap_or_default();
        let identity = format!("{name} {version}");
        say!("name     {}", printable(identity.trim_end()));
    }
    if let Some(description) = &manifest.description {
        say!("about    {}", printable(description));
    }
    if !manifest.event_types.is_empty() {
        say!("events   {}", printable(&manifest.event_types.join(", ")));
    }
    say!("digest   sha256:{}", inspected.digest);
    say!(
        "size     {} ({} bytes)",
        iec(inspected.size as u64),
        inspected.size
    );
    say!(
        "memory   {} at the start, at most [limits] memory",
        iec(inspected.memory_bytes)
    );
    inspected
        .exports
        .iter()
        .for_each(|name| say!("exports  {}", printable(name)));
    if let Some(init) = &inspected.init {
        say!("init     {}", printable(&init_line(init)));
    }
    let (wasi, ours): (Vec<&String>, Vec<&String>) = inspected
        .imports
        .iter()
        .partition(|name| name.starts_with("wasi:") && !is_draft(name));
    for name in ours {
        let shown = printable(name);
        match need(name) {
            Some(need) => say!("imports  {shown:<34} needs {need}"),
            None => say!("imports  {shown}"),
        }
    }

    if !wasi.is_empty() {
        say!(
            "imports  {} interfaces of WASI, with nothing behind them but [environment]: no files, no network",
            wasi.len()
        );
    }

    let schema = manifest.settings_schema.as_ref();
    for (name, takes, is_required, about) in schema.map(SettingsSchema::listed).unwrap_or_default()
    {
        let is_required = if is_required { "required" } else { "" };
        let (name, takes) = (printable(&name), printable(&takes));
        let line = format!(
            "setting  {name:<22} {takes:<16} {is_required:<8} {}",
            printable(&about)
        );
        say!("{}", line.trim_end());
    }
    if let Some(needs) = manifest.needed_lines() {
        say!("needs under [allow]\n{}", indented(&needs));
    }
    manifest
        .warnings
        .iter()
        .for_each(|warning| say!("warning  {}", printable(warning)));
    Ok(())
}

/// The grant of the hook file that a WASI draft needs.
fn is_draft(import: &str) -> bool {
    ["wasi:config/", "wasi:logging/", "wasi:keyvalue/"]
        .iter()
        .any(|package| import.starts_with(package))
}

/// The text that the operator writes to grant it.
fn need(import: &str) -> Option<String> {
    if import.starts_with("landfall:http/http@") {
        return Some("[allow] http = [\"URL\"] for each place that it calls".into());
    }
    grant_for(import).map(|key| format!("[allow] {}", key.line()))
}
