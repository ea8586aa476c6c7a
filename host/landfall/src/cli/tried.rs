//! `landfall try`: runs the recorded attempts of a hook on another component.

use std::io::{IsTerminal, Write, stderr};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, ensure};
use clap::Args;
use landfall_model::HookName;
use landfall_offline::{Allowed, Trial, TryPlan, TryReport};

use super::add;
use super::flags::{NodeFlags, node_config};
use super::listing::query;
use super::output::say;
use super::target::{LedgerFlags, NO_ADMIN};
use crate::offline;

/// Recordings of one response.
const PAGE_MAX: usize = 100;
/// Something differs.
const DIFFERS: u8 = 1;
/// Nothing can be tried, or the report cannot be published, or the component not promoted.
const NOT_TRIED: u8 = 2;

/// What to try.
#[derive(Debug, Args)]
pub(super) struct TryFlags {
    /// The component: a .wasm file.
    component: PathBuf,
    /// The hook whose recorded attempts are run.
    #[arg(long, value_name = "NAME")]
    hook: HookName,
    /// The most attempts, the newest first.
    #[arg(long, value_name = "COUNT", default_value_t = 100)]
    last: usize,
    /// Only attempts that did not end as `done`.
    #[arg(long)]
    failed: bool,
    /// Only attempts that began at this time or later: 2026-01-31T08:15:30Z, or 1d for a day ago.
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only attempts of this event: its id, or the beginning of it.
    #[arg(long, value_name = "ID")]
    event: Option<String>,
    /// A difference that is meant: `reply`, or one place of it, such as `reply:body/total`. Can be
    /// repeated.
    #[arg(long, value_name = "KIND[:PLACE]")]
    allow: Vec<Allowed>,
    /// The hook file, whose grants apply [default: NAME.toml in the plugins directory].
    #[arg(long, value_name = "FILE")]
    hook_file: Option<PathBuf>,
    /// The plugins directory [default: plugins].
    #[arg(long, value_name = "DIR")]
    plugins: Option<PathBuf>,
    /// If nothing differs except what is allowed: put the component in place of the hook's one, as
    /// `landfall add` does. The previous one stays as NAME.wasm.previous.
    #[arg(long)]
    promote: bool,
    /// Send the report to the node, also if something differs. Its dashboard shows it under
    /// "Recordings". Needs the token of an operator.
    #[arg(long)]
    publish: bool,
    #[command(flatten)]
    node: LedgerFlags,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Exits with 0 if nothing differs except what is allowed, with 1 if something differs, with 2 if
/// nothing can be tried, the report cannot be published or the component not promoted.
pub(super) async fn try_component(flags: TryFlags) -> anyhow::Result<ExitCode> {
    let report = match run(&flags).await {
        Ok(report) => report,
        Err(error) => {
            eprintln!("landfall: {error:#}");
            return Ok(ExitCode::from(NOT_TRIED));
        }
    };

    let published = if flags.publish {
        Some(publish(&flags, &report).await)
    } else {
        None
    };
    say_report(&flags, &report, &published);
    if let Some(Err(error)) = published {
        eprintln!("landfall: the report is not published: {error:#}");
        return Ok(ExitCode::from(NOT_TRIED));
    }
    if !report.is_same() {
        return Ok(ExitCode::from(DIFFERS));
    }
    if flags.promote
        && let Err(error) = promote(&flags).await
    {
        eprintln!("landfall: the component is not promoted: {error:#}");
        return Ok(ExitCode::from(NOT_TRIED));
    }
    Ok(ExitCode::SUCCESS)
}

async fn run(flags: &TryFlags) -> anyhow::Result<TryReport> {
    let plan = TryPlan {
        component: flags.component.clone(),
        hook: flags.hook.to_string(),
        hook_file: Some(flags.hook_file()?),
        allowed: flags.allow.clone(),
    };
    let mut trial = offline::try_component(plan).await?;
    let run = flags.run_all(&mut trial).await;
    progress("");
    run?;

    let report = trial.into_report();
    let hook = &flags.hook;
    ensure!(
        report.attempts() > 0,
        "no recorded attempt of hook {hook} can be run. Attempts are recorded if they fail; write [record] rate = 1.0 into {hook}.toml to \
         record all of them"
    );
    Ok(report)
}

/// Sends the report to the node. Returns its id.
async fn publish(flags: &TryFlags, report: &TryReport) -> anyhow::Result<String> {
    let path = format!("/api/v1/hooks/{}/publish-try", query(&flags.hook));
    let published = flags.node.ask(&path, Some(report.to_published())).await?;
    let id = published["id"].as_str().context(NO_ADMIN)?;
    Ok(id.to_owned())
}

fn say_report(flags: &TryFlags, report: &TryReport, published: &Option<anyhow::Result<String>>) {
    let id = published.as_ref().and_then(|result| result.as_ref().ok());
    if flags.json {
        let mut json = report.to_json();
        if let Some(id) = id {
            json["published"] = id.as_str().into();
        }
        say!("{json}");
        return;
    }

    say!("{}", report.to_text());
    if let Some(id) = id {
        say!("published: /tries/{}/{id} of the dashboard", flags.hook);
    }
}

async fn promote(flags: &TryFlags) -> anyhow::Result<()> {
    let plugins = flags.plugins()?;
    let previous = add::promote(&flags.component, &plugins, &flags.hook, flags.json).await?;
    if let (Some(previous), false) = (previous, flags.json) {
        let hook = &flags.hook;
        say!(
            "kept     {}: to go back, rename it to old.wasm and run `landfall add old.wasm --as {hook}`",
            previous.display()
        );
    }
    Ok(())
}

// === impl TryFlags ===

impl TryFlags {
    fn plugins(&self) -> anyhow::Result<PathBuf> {
        let config = node_config(NodeFlags {
            plugins: self.plugins.clone(),
            ..NodeFlags::default()
        })?;
        Ok(config.settings.plugins.clone())
    }

    fn hook_file(&self) -> anyhow::Result<PathBuf> {
        let path = match &self.hook_file {
            Some(path) => path.clone(),
            None => self.plugins()?.join(format!("{}.toml", self.hook)),
        };
        ensure!(
            path.is_file(),
            "{} is not there: name the hook file, whose grants apply, with --hook-file FILE, or its directory with --plugins DIR",
            path.display()
        );
        Ok(path)
    }

    /// Runs the attempts page by page.
    async fn run_all(&self, trial: &mut Trial) -> anyhow::Result<()> {
        let mut filters = format!("hook={}&failed={}", query(&self.hook), self.failed);
        for (name, wanted) in [("since", &self.since), ("event", &self.event)] {
            if let Some(wanted) = wanted {
                filters += &format!("&{name}={}", query(wanted));
            }
        }

        let (mut left, mut before) = (self.last, String::new());
        while left > 0 {
            let limit = left.min(PAGE_MAX);
            let path = format!("/api/v1/recordings?{filters}&limit={limit}{before}");
            let page = self.node.ask(&path, None).await?;
            for one in page["recordings"].as_array().into_iter().flatten() {
                trial.run(one).await;
                left = left.saturating_sub(1);
                progress(&format!("{} of {}", self.last - left, self.last));
            }
            match page["next"].as_str() {
                Some(next) => before = format!("&before={}", query(next)),
                None => break,
            }
        }
        Ok(())
    }
}

/// Replaces the last line of a terminal.
fn progress(text: &str) {
    if stderr().is_terminal() {
        write!(stderr(), "\r{text}\x1b[K").ok();
    }
}
