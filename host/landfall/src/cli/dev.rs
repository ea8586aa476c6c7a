//! `landfall dev`: serves a handler's folder, builds it again after each change, runs the last
//! event with the new version, and prints what has changed in the reply and the calls.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::Args;
use landfall_author::{
    Built, Changed, Project, Run, Sample, ServedFolder, Sources, Stop, Target, build_until,
    difference, location,
};
use landfall_config::{Config, env, listen_address};
use landfall_model::{Clock, SecretRef};
use serde_json::json;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use super::changes::PrintedStatuses;
use super::flags::NodeFlags;
use super::keys::{SingleKeys, keys};
use super::output::{say, untrusted};
use super::send::{ShellSecret, curl};
use crate::app::{self, App, Events, HookState, HookStatus, Hooks, SignedSample};
use crate::shutdown::Shutdown;
use crate::telemetry;

/// Only what needs the author's attention: this command prints attempts, calls and log lines
/// itself.
const LOG_DEFAULT: &str = "warn,landfall_dispatch=off,handler=off";
/// Pause between two looks at the status of the hook.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// Pause between two looks for other changes of the status.
const STATUS_EVERY: Duration = Duration::from_millis(200);
/// After this time the author is told that the compilation of a new version goes on. It ends by the
/// compiler's own limits.
const SAY_COMPILING_AFTER: Duration = Duration::from_secs(20);
/// Steps that are under way at once.
const STEPS: usize = 64;
/// Attempts that have ended and are not printed yet.
const ATTEMPTS: usize = 1024;

/// What to serve.
#[derive(Debug, Args)]
pub(super) struct DevFlags {
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
    /// The build with this number.
    Built(u64, Instant, anyhow::Result<Built>),
    /// The node runs the new version. The time of the change, unless the author had to remove
    /// something that was in the way.
    Live(Option<Instant>),
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
    /// The last build, which a newer one replaces.
    building: Option<AbortHandle>,
    builds: u64,
    shutdown: Shutdown,
    steps: mpsc::Sender<Step>,
    printed: PrintedStatuses,
}

/// Serves until it is stopped.
pub(super) async fn dev(flags: DevFlags) -> anyhow::Result<ExitCode> {
    let project = Project::open(&flags.dir)?;
    let served = ServedFolder::create(&project)?;
    serve_hook_file(&served, &project);
    // Neither variables nor landfall.toml: they may name the ledger and the queue of a node in
    // production.
    let flags_of_node = NodeFlags {
        listen: flags.listen.or(Some((Ipv4Addr::LOCALHOST, 8080).into())),
        admin_listen: flags.admin_listen,
        plugins: Some(served.plugins()),
        data: Some(served.data()),
        log: flags.log.or(Some(LOG_DEFAULT.into())),
        ..NodeFlags::default()
    };
    let config = Config::of_flags(flags_of_node.into(), Clock::System)?;
    if has_other_settings() {
        say!(
            "LANDFALL_* variables and landfall.toml are not used: the events are in .landfall/data"
        );
    }
    telemetry::start(config.settings.log.format, &config.settings.log.level)?;

    // What changes from now on is built again.
    let mut changes = notice(Sources::watch(&project)?);
    let shutdown = Shutdown::on_signals()?;
    let began = Instant::now();
    let first = loop {
        tokio::select! {
            built = build(&project, flags.install) => break built,
            Some(Ok(_)) = changes.recv() => serve_hook_file(&served, &project),
            () = shutdown.clone().asked() => return Ok(ExitCode::SUCCESS),
        }
    };
    if let Ok(built) = &first {
        served.update_component(&project, &built.path)?;
    }

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
        building: None,
        builds: 0,
        shutdown: shutdown.clone(),
        printed: PrintedStatuses::default(),
        project,
        served,
        steps,
    };
    let mut serving = tokio::spawn(app.serve(shutdown.clone()));

    let single = SingleKeys::start();
    let mut pressed = keys();
    let mut has_keys = true;
    session.print_start(admin);
    session.built(began, first);
    let mut look = tokio::time::interval(STATUS_EVERY);
    loop {
        tokio::select! {
            ended = &mut serving => {
                ended.context("serving panicked")??;
                return Ok(ExitCode::SUCCESS);
            }
            Some(changed) = changes.recv() => session.changed(changed),
            Some((run, log)) = attempts.recv() => session.ran(run, &log),
            Some(step) = stepped.recv() => session.stepped(step).await,
            _ = look.tick() => session.print_statuses(),
            key = pressed.recv(), if has_keys => match key {
                Some('r') => session.replay_or_say().await,
                Some('s') => session.send_sample(),
                Some('o') => say!("admin listener: http://{admin}/, its token is in {}", session.token()),
                Some('q') => shutdown.ask(),
                Some(_) => {}
                None => {
                    has_keys = false;
                    if single.is_terminal() {
                        shutdown.ask();
                    }
                }
            },
        }
    }
}

/// Whether this shell or folder names the ledger or the queue of another node.
fn has_other_settings() -> bool {
    let mut variables = ["LANDFALL_LEDGER_URL", "LANDFALL_QUEUE_URL"].into_iter();
    variables.any(|name| env::var(name).is_some()) || Path::new("landfall.toml").is_file()
}

/// An editor may be replacing the file: an error is no reason to end.
fn serve_hook_file(served: &ServedFolder, project: &Project) {
    if let Err(error) = served.update_hook_file(project) {
        say!("! {error:#}");
    }
}

/// The changes of the sources. A task of its own waits for them: it must not be interrupted between
/// noticing a change and reporting it.
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
            Ok((request, file, secret)) => match curl(&request, file.as_deref(), secret.as_ref()) {
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

    /// Starts a build in the background. One that is still running is out of date: it is stopped.
    fn build(&mut self) {
        self.builds += 1;
        let (project, install, steps) = (self.project.clone(), self.install, self.steps.clone());
        let (number, began, shutdown) = (self.builds, Instant::now(), self.shutdown.clone());
        let building = tokio::spawn(async move {
            tokio::select! {
                built = build(&project, install) => {
                    steps.send(Step::Built(number, began, built)).await.ok();
                }
                () = shutdown.asked() => {}
            }
        });
        if let Some(before) = self.building.replace(building.abort_handle()) {
            before.abort();
        }
    }

    fn changed(&mut self, changed: anyhow::Result<Changed>) {
        let changed = match changed {
            Ok(changed) => changed,
            Err(error) => {
                say!("! {error:#}: changes are no longer noticed; press q and start again");
                return;
            }
        };
        if changed.hook {
            serve_hook_file(&self.served, &self.project);
            self.hooks.look_again();
        }
        if changed.code {
            self.build();
        }
    }

    async fn stepped(&mut self, step: Step) {
        match step {
            // A newer one is on its way.
            Step::Built(number, ..) if number != self.builds => {}
            Step::Built(_, began, built) => self.built(began, built),
            Step::Live(began) => {
                match began {
                    Some(began) => {
                        let seconds = began.elapsed().as_secs_f64();
                        say!("+ live {seconds:.1} s after the change");
                    }
                    None => say!("+ live"),
                }
                self.run_again().await;
            }
            Step::Answered(Ok((status, _))) if status < 400 => {}
            Step::Answered(Ok((status, body))) => {
                untrusted(
                    "",
                    &format!("! the sample was answered {status}: {}", body.trim()),
                );
            }
            Step::Answered(Err(error)) => say!("! the sample was not sent: {error:#}"),
        }
    }

    fn built(&mut self, began: Instant, built: anyhow::Result<Built>) {
        let placed = built.and_then(|built| {
            self.served.update_component(&self.project, &built.path)?;
            Ok(built)
        });
        let built = match placed {
            Ok(built) => built,
            Err(error) => {
                say!("! {error:#}; the last good version stays");
                return;
            }
        };

        let size = bytesize::ByteSize(built.inspected.size as u64);
        say!(
            "built in {:.1} s, {}",
            built.took.as_secs_f64(),
            size.display().iec()
        );
        self.hooks.look_again();
        let (hooks, steps) = (self.hooks.clone(), self.steps.clone());
        let (name, digest) = (self.project.name.clone(), built.inspected.digest);
        let waiting = tokio::spawn(async move {
            let is_direct = wait_until_live(&hooks, &name, &digest).await;
            let began = Some(began).filter(|_| is_direct);
            steps.send(Step::Live(began)).await.ok();
        });
        // The version before, if it is not live yet, never will be.
        if let Some(before) = self.waiting.replace(waiting.abort_handle()) {
            before.abort();
        }
    }

    /// After a new version: the last event, or the sample if there was none.
    async fn run_again(&mut self) {
        if self.last.is_some() {
            self.replay_or_say().await;
        } else {
            self.send_sample();
        }
    }

    async fn replay_or_say(&mut self) {
        if let Err(error) = self.replay().await {
            say!("! the last event was not replayed: {error:#}");
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

    /// The sample, the file of its body, and where a shell finds the secret.
    fn signed(&self) -> anyhow::Result<(SignedSample, Option<PathBuf>, Option<ShellSecret>)> {
        let plugins = self.served.plugins();
        let target = Target::read(&self.project, &plugins, &self.base)?;
        let providers = plugins.join("providers");
        let packs = app::packs(Some(&providers))?;
        if let Some(why) = target.cannot_sign(&packs) {
            bail!("{why}");
        }

        let secret = target.secret.as_ref().map(app::secret_value).transpose()?;
        let in_shell = match (&target.secret, &secret) {
            (Some(SecretRef::File(path)), Some(value)) => {
                let path = path.canonicalize().unwrap_or_else(|_| path.clone());
                Some(ShellSecret::new(value, &SecretRef::File(from_here(&path))))
            }
            (Some(reference), Some(value)) => Some(ShellSecret::new(value, reference)),
            _ => None,
        };
        let sample = Sample::first(&self.project)?;
        let request = target.request(sample.as_ref(), secret, &packs);
        let file = sample.map(|sample| from_here(&sample.path));
        Ok((app::sample(&request, Some(&providers))?, file, in_shell))
    }

    fn send_sample(&mut self) {
        let steps = self.steps.clone();
        match self.signed() {
            Ok((request, ..)) => drop(tokio::spawn(async move {
                let answer = app::send(request).await;
                steps.send(Step::Answered(answer)).await.ok();
            })),
            Err(error) => say!("! no sample was sent: {error:#}"),
        }
    }

    /// Prints an attempt, and how it differs from the one before.
    fn ran(&mut self, run: Run, log: &[String]) {
        log.iter().for_each(|line| untrusted("    ", line));
        untrusted("", &format!("{} {}", self.project.name, run.line()));
        if run.outcome != "done"
            && let Some(place) = location(&run.said, &self.project.dir)
        {
            say!("    at {place}");
        }

        match self.compare.take_if(|before| before.event == run.event) {
            None => untrusted("    ", run.facts()),
            Some(before) => match difference(&before, &run) {
                None => say!("    no difference to the run before"),
                Some(text) => {
                    say!("  difference to the run before:");
                    untrusted("    ", &text);
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
            changes.iter().for_each(|line| untrusted("", line));
        }
    }
}

/// The path relative to the working directory, if it is below it.
fn from_here(path: &Path) -> PathBuf {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(&here).unwrap_or(path).to_owned()
}

/// The tools of a build, which end with it.
struct Tools(Stop);

impl Drop for Tools {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// Builds. Dropping the future kills the tools.
async fn build(project: &Project, install: bool) -> anyhow::Result<Built> {
    let (project, tools) = (project.clone(), Tools(Stop::default()));
    let stop = tools.0.clone();
    let build = tokio::task::spawn_blocking(move || build_until(&project, install, &stop));
    build.await.context("the build panicked")?
}

/// How far a hook is on its way to a new version.
#[derive(Debug, PartialEq, Eq)]
enum Progress {
    Live,
    /// The author can remove what is in the way.
    Blocked(String),
    Loading,
}

/// `digest` is that of the new version.
fn progress(status: &HookStatus, digest: &str) -> Progress {
    if status.is_loading() {
        return Progress::Loading;
    }
    let is_new = status.digest.as_deref() == Some(digest);
    if is_new && status.state == HookState::Serving {
        return Progress::Live;
    }

    let name = &status.name;
    let other = status.component.as_ref();
    if let Some(other) = other.filter(|other| **other != format!("{name}.wasm")) {
        return Progress::Blocked(format!(
            "{name}.toml has component = \"{other}\", and a build writes {name}.wasm: remove the line"
        ));
    }
    let is_tried = is_new || status.tried.as_deref() == Some(digest);
    match &status.problem {
        Some(problem) if is_tried => Progress::Blocked(problem.clone()),
        _ => Progress::Loading,
    }
}

/// Waits until the hook runs the component with this digest. It says once what is in the way, and
/// waits on: a change of the hook file may remove that. Returns whether nothing was.
async fn wait_until_live(hooks: &Hooks, name: &str, digest: &str) -> bool {
    let began = Instant::now();
    let (mut in_the_way, mut has_said) = (None, false);
    loop {
        let statuses = hooks.statuses();
        let status = statuses.iter().find(|status| status.name == name);
        match status.map_or(Progress::Loading, |status| progress(status, digest)) {
            Progress::Live => return in_the_way.is_none(),
            Progress::Blocked(why) if in_the_way.as_ref() != Some(&why) => {
                untrusted("", &format!("! the new version does not serve: {why}"));
                in_the_way = Some(why);
            }
            Progress::Blocked(_) => {}
            Progress::Loading if !has_said && began.elapsed() > SAY_COMPILING_AFTER => {
                say!("the node is still compiling {name}");
                has_said = true;
            }
            Progress::Loading => {}
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn obstacles_are_said() {
        let status = |state, component: &str, digest: &str, problem: Option<&str>| HookStatus {
            name: "a".into(),
            state,
            component: Some(component.into()),
            digest: Some(digest.into()),
            tried: Some("new".into()),
            problem: problem.map(str::to_owned),
            ..HookStatus::default()
        };
        let closed = Some("closed: the hook has no [verify] table");
        for (status, expected) in [
            (
                status(HookState::Serving, "a.wasm", "new", None),
                Ok(Progress::Live),
            ),
            (
                status(HookState::Serving, "a.wasm", "old", None),
                Ok(Progress::Loading),
            ),
            (
                status(HookState::Closed, "a.wasm", "new", closed),
                Err("no [verify] table"),
            ),
            (
                status(HookState::Stale, "a.wasm", "old", Some("refused")),
                Err("refused"),
            ),
            (
                status(HookState::Unavailable, "b.wasm", "old", None),
                Err("a.toml has component = \"b.wasm\""),
            ),
        ] {
            match (progress(&status, "new"), expected) {
                (Progress::Blocked(why), Err(words)) => assert!(why.contains(words), "{why}"),
                (found, expected) => assert_eq!(Ok(found), expected),
            }
        }
    }
}
