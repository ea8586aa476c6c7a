//! `landfall dev`: serves a handler's folder, builds it again after each change, runs the last event with the new version, and prints
//! what has changed in the reply and the calls.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::Args;
use landfall_author::{
    Built, Changed, Project, Run, Sample, ServedFolder, Sources, Target, difference, location,
};
use landfall_config::{Config, listen_address};
use serde_json::json;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use super::changes::PrintedStatuses;
use super::flags::{NodeFlags, node_config};
use super::keys::{SingleKeys, keys};
use super::output::say;
use super::send::curl;
use crate::app::{self, App, Events, HookState, Hooks, SignedSample};
use crate::shutdown::Shutdown;
use crate::telemetry;

/// Only what needs the author's attention: this command prints attempts, calls and log lines itself.
const LOG_DEFAULT: &str = "warn,landfall_dispatch=off,handler=off";
/// Pause between two looks at the status of the hook.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// Pause between two looks for other changes of the status.
const STATUS_EVERY: Duration = Duration::from_millis(200);
/// After this time the author is told that the compilation of a new version goes on. It ends by the compiler's own limits.
const SAY_COMPILING_AFTER: Duration = Duration::from_secs(20);
/// Steps that are under way at once.
const STEPS: usize = 64;
/// Attempts that have ended and are not printed yet.
const ATTEMPTS: usize = 1024;

/// What to serve.
#[derive(Debug, Args)]
pub struct DevFlags {
    /// The handler's folder.
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// The address of the public listener [default: 127.0.0.1:8080].
    #[arg(long, value_name = "ADDRESS", value_parser = listen_address)]
    listen: Option<SocketAddr>,
    /// The address of the admin listener [default: 127.0.0.1:8081].
    #[arg(long, value_name = "ADDRESS", value_parser = listen_address)]
    admin_listen: Option<SocketAddr>,
    /// Run the commands that install what is missing.
    #[arg(long)]
    install: bool,
    /// The level of the node's own log lines [default: warn].
    #[arg(long, value_name = "LEVEL")]
    log: Option<String>,
}

/// A step that has ended.
enum Step {
    Built(Instant, anyhow::Result<Built>),
    /// The node runs the new version.
    Live(Instant, anyhow::Result<()>),
    /// The answer to a sample.
    Answered(anyhow::Result<(u16, String)>),
}

/// What is served, and what has happened.
struct Session {
    project: Project,
    served: ServedFolder,
    hooks: Hooks,
    events: Events,
    /// `http://ADDRESS` of the public listener.
    base: String,
    /// The last attempt.
    last: Option<Run>,
    /// The run that the next attempt of its event is compared with.
    compare: Option<Run>,
    /// Waits until the last built version is live.
    waiting: Option<AbortHandle>,
    install: bool,
    is_building: bool,
    /// A change came while a build was running.
    is_stale: bool,
    steps: mpsc::Sender<Step>,
    printed: PrintedStatuses,
}

/// Serves until it is stopped.
pub async fn dev(flags: DevFlags) -> anyhow::Result<ExitCode> {
    let project = Project::open(&flags.dir)?;
    let served = ServedFolder::create(&project)?;
    served.update_hook_file(&project)?;
    let mut config = node_config(NodeFlags {
        listen: flags.listen.or(Some((Ipv4Addr::LOCALHOST, 8080).into())),
        admin_listen: flags.admin_listen,
        plugins: Some(served.plugins()),
        data: Some(served.data()),
        log: flags.log.or(Some(LOG_DEFAULT.into())),
        ..NodeFlags::default()
    })?;
    use_own_ledger(&mut config);
    telemetry::start(config.settings.log.format, &config.settings.log.level)?;

    // What changes from now on is built again.
    let mut changes = notice(Sources::watch(&project)?);
    let began = Instant::now();
    let first = build(&project, flags.install).await;
    if let Ok(built) = &first {
        served.update_component(&project, &built.path)?;
    }

    let shutdown = Shutdown::on_signals()?;
    let app = App::start(config).await?;
    let (listen, admin) = app.addresses()?;
    let (report, mut attempts) = mpsc::channel(ATTEMPTS);
    app.observe(Box::new(move |event, number, attempt| {
        // Beyond the limit attempts are not printed; `landfall events` has them.
        report
            .try_send((Run::new(event, number, attempt), lines(attempt)))
            .ok();
    }));
    let (steps, mut stepped) = mpsc::channel(STEPS);
    let mut session = Session {
        hooks: app.hooks().clone(),
        events: app.events(),
        base: format!("http://{listen}"),
        last: None,
        compare: None,
        waiting: None,
        install: flags.install,
        is_building: false,
        is_stale: false,
        printed: PrintedStatuses::default(),
        project,
        served,
        steps,
    };
    let mut serving = tokio::spawn(app.serve(shutdown.clone()));

    let _single = SingleKeys::start();
    let mut pressed = keys();
    let mut has_keys = true;
    session.print_start(admin);
    session.built(began, first)?;
    let mut look = tokio::time::interval(STATUS_EVERY);
    loop {
        tokio::select! {
            ended = &mut serving => {
                ended.context("serving panicked")??;
                return Ok(ExitCode::SUCCESS);
            }
            Some(changed) = changes.recv() => session.changed(changed?),
            Some((run, log)) = attempts.recv() => session.ran(run, &log),
            Some(step) = stepped.recv() => session.stepped(step).await?,
            _ = look.tick() => session.print_statuses(),
            key = pressed.recv(), if has_keys => match key {
                Some('r') => session.replay().await?,
                Some('s') => session.send_sample(),
                Some('o') => say!("admin listener: http://{admin}/, its token is in {}", session.token()),
                Some('q') => shutdown.ask(),
                Some(_) => {}
                None => has_keys = false,
            },
        }
    }
}

/// A handler that is being written runs no events of a node that this shell or folder has settings for.
fn use_own_ledger(config: &mut Config) {
    if config.ledger_url().is_some() || config.queue.is_some() {
        say!("ledger.url and queue.url are not used: the events are in .landfall/data");
    }
    config.settings.ledger.url = None;
    config.queue = None;
}

/// The changes of the sources. A task of its own waits for them: it must not be interrupted between noticing a change and reporting it.
fn notice(mut sources: Sources) -> mpsc::Receiver<anyhow::Result<Changed>> {
    let (report, changes) = mpsc::channel(1);
    tokio::spawn(async move {
        loop {
            let changed = sources.changed().await;
            let is_last = changed.is_err();
            if report.send(changed).await.is_err() || is_last {
                return;
            }
        }
    });
    changes
}

/// The lines that the handler wrote: `info: hello`.
fn lines(attempt: &landfall_model::Attempt) -> Vec<String> {
    let lines = attempt.log.iter();
    lines
        .map(|line| format!("{:<5} {}", line.level, line.text))
        .collect()
}

// === impl Session ===

impl Session {
    fn print_start(&self, admin: SocketAddr) {
        let name = &self.project.name;
        say!("{name} at {} (admin listener: http://{admin})", self.base);
        match self.signed() {
            Ok((request, file)) => match curl(&request, file.as_deref()) {
                Ok(command) => say!("\n  {command}\n"),
                Err(error) => say!("no curl command: {error:#}"),
            },
            Err(error) => say!("no signed sample: {error:#}"),
        }
        say!("keys: r replay the last event, s send the sample, o the admin address, q quit");
    }

    fn token(&self) -> String {
        app::admin_token_path(&self.served.data())
            .display()
            .to_string()
    }

    /// Starts a build in the background.
    fn build(&mut self) {
        if self.is_building {
            self.is_stale = true;
            return;
        }

        self.is_building = true;
        let (project, install, steps) = (self.project.clone(), self.install, self.steps.clone());
        let began = Instant::now();
        tokio::spawn(async move {
            let built = build(&project, install).await;
            steps.send(Step::Built(began, built)).await.ok();
        });
    }

    fn changed(&mut self, changed: Changed) {
        if changed.hook {
            match self.served.update_hook_file(&self.project) {
                Ok(()) => self.hooks.look_again(),
                // Some editors remove a file before they write it.
                Err(error) => say!("! {error:#}; the last hook file stays"),
            }
        }
        if changed.code {
            self.build();
        }
    }

    async fn stepped(&mut self, step: Step) -> anyhow::Result<()> {
        match step {
            Step::Built(began, built) => {
                self.is_building = false;
                if std::mem::take(&mut self.is_stale) {
                    self.build();
                    return Ok(());
                }
                self.built(began, built)
            }
            Step::Live(began, Ok(())) => {
                say!(
                    "+ live {:.1} s after the change",
                    began.elapsed().as_secs_f64()
                );
                self.run_again().await
            }
            Step::Live(_, Err(error)) => {
                say!("! {error:#}");
                Ok(())
            }
            Step::Answered(Ok((status, _))) if status < 400 => Ok(()),
            Step::Answered(Ok((status, body))) => {
                say!("! the sample was answered {status}: {}", body.trim());
                Ok(())
            }
            Step::Answered(Err(error)) => {
                say!("! the sample was not sent: {error:#}");
                Ok(())
            }
        }
    }

    fn built(&mut self, began: Instant, built: anyhow::Result<Built>) -> anyhow::Result<()> {
        let built = match built {
            Ok(built) => built,
            Err(error) => {
                say!("! {error:#}; the last good version stays");
                return Ok(());
            }
        };

        let size = bytesize::ByteSize(built.inspected.size as u64);
        say!(
            "built in {:.1} s, {}",
            built.took.as_secs_f64(),
            size.display().iec()
        );
        self.served.update_component(&self.project, &built.path)?;
        self.hooks.look_again();
        let (hooks, steps) = (self.hooks.clone(), self.steps.clone());
        let (name, digest) = (self.project.name.clone(), built.inspected.digest);
        let waiting = tokio::spawn(async move {
            let live = wait_until_live(&hooks, &name, &digest).await;
            steps.send(Step::Live(began, live)).await.ok();
        });
        // The version before, if it is not live yet, never will be.
        if let Some(before) = self.waiting.replace(waiting.abort_handle()) {
            before.abort();
        }
        Ok(())
    }

    /// After a new version: the last event, or the sample if there was none.
    async fn run_again(&mut self) -> anyhow::Result<()> {
        if self.last.is_some() {
            self.replay().await
        } else {
            self.send_sample();
            Ok(())
        }
    }

    async fn replay(&mut self) -> anyhow::Result<()> {
        let Some(last) = self.last.clone() else {
            say!("no event has arrived yet: `s` sends the sample");
            return Ok(());
        };

        let order = json!({ "events": [last.event.to_string()], "again": true });
        let answer =
            app::answer_one(self.events.clone(), "/api/replay", Some(order.to_string())).await?;
        let replayed: serde_json::Value = serde_json::from_str(&answer.1).unwrap_or_default();
        if replayed["events"] == 1 {
            self.compare = Some(last);
        } else if replayed["waiting"] == 1 {
            // It is retried now, and not at its next time.
            self.retry_now(&last).await?;
            self.compare = Some(last);
        } else {
            say!(
                "! the event {} cannot be replayed: {}",
                last.event,
                answer.1
            );
        }
        Ok(())
    }

    async fn retry_now(&self, last: &Run) -> anyhow::Result<()> {
        let order = json!({ "events": [last.event.to_string()] });
        let path = "/api/retry-now";
        app::answer_one(self.events.clone(), path, Some(order.to_string())).await?;
        Ok(())
    }

    /// The sample, and the file of its body, relative to the working directory if it is below it.
    fn signed(&self) -> anyhow::Result<(SignedSample, Option<PathBuf>)> {
        let plugins = self.served.plugins();
        let target = Target::read(&self.project, &plugins, &self.base)?;
        let providers = plugins.join("providers");
        let packs = app::packs(Some(&providers))?;
        if let Some(why) = target.cannot_sign(&packs) {
            bail!("{why}");
        }

        let secret = target.secret.as_ref().map(app::secret_value).transpose()?;
        let sample = Sample::first(&self.project)?;
        let request = target
            .request(sample.as_ref(), secret, &packs)
            .context("[verify] names no provider")?;
        let here = std::env::current_dir().unwrap_or_default();
        let file = sample.map(|sample| match sample.path.strip_prefix(&here) {
            Ok(below) => below.to_owned(),
            Err(_) => sample.path.clone(),
        });
        Ok((app::sample(&request, Some(&providers))?, file))
    }

    fn send_sample(&mut self) {
        let steps = self.steps.clone();
        match self.signed() {
            Ok((request, _)) => drop(tokio::spawn(async move {
                let answer = app::send(request).await;
                steps.send(Step::Answered(answer)).await.ok();
            })),
            Err(error) => say!("! no sample was sent: {error:#}"),
        }
    }

    /// Prints an attempt, and how it differs from the one before.
    fn ran(&mut self, run: Run, log: &[String]) {
        log.iter().for_each(|line| say!("    {line}"));
        say!("{} {}", self.project.name, run.line());
        if run.outcome != "done"
            && let Some(place) = location(&run.said, &self.project.dir)
        {
            say!("    at {place}");
        }

        match self.compare.take_if(|before| before.event == run.event) {
            None => run.facts().lines().for_each(|line| say!("    {line}")),
            Some(before) => match difference(&before, &run) {
                None => say!("    no difference to the run before"),
                Some(text) => {
                    say!("  difference to the run before:");
                    text.lines().for_each(|line| say!("    {line}"));
                }
            },
        }
        self.last = Some(run);
    }

    fn print_statuses(&mut self) {
        // Before the first build there is nothing to load.
        if self
            .served
            .plugins()
            .join(format!("{}.wasm", self.project.name))
            .is_file()
        {
            let changes = self.printed.update(self.hooks.statuses());
            changes.iter().for_each(|line| say!("{line}"));
        }
    }
}

async fn build(project: &Project, install: bool) -> anyhow::Result<Built> {
    let project = project.clone();
    let build = tokio::task::spawn_blocking(move || landfall_author::build(&project, install));
    build.await.context("the build panicked")?
}

/// Returns when the hook runs the component with this digest. The error says why it does not.
async fn wait_until_live(hooks: &Hooks, name: &str, digest: &str) -> anyhow::Result<()> {
    let began = Instant::now();
    let mut has_said = false;
    loop {
        let statuses = hooks.statuses();
        let status = statuses.into_iter().find(|status| status.name == name);
        if let Some(status) = status.filter(|status| !status.is_loading()) {
            let is_new = status.digest.as_deref() == Some(digest);
            if is_new && status.state == HookState::Serving {
                return Ok(());
            }
            let is_tried = is_new || status.tried.as_deref() == Some(digest);
            if let Some(problem) = status.problem.filter(|_| is_tried) {
                bail!("the new version does not serve: {problem}");
            }
        }

        if !has_said && began.elapsed() > SAY_COMPILING_AFTER {
            say!("the node is still compiling {name}");
            has_said = true;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
