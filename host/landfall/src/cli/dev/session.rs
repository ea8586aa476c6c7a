//! What happens while the folder is served: keys, changes, new versions, attempts.

use std::time::{Duration, Instant};

use anyhow::Context;
use landfall_author::{Changed, Project, Run, ServedFolder, difference, location};
use serde_json::json;
use tokio::task::JoinSet;

use super::builds::{Builds, Finished};
use super::keys::{SingleKeys, keys};
use super::live::{PendingVersion, live};
use super::node::DevNode;
use super::sample::DevSample;
use super::watch::{Changes, serve_hook_file};
use crate::app;
use crate::cli::changes::PrintedStatuses;
use crate::cli::output::{say, untrusted};
use crate::shutdown::Shutdown;

/// Pause between two looks for changes of the status.
const STATUS_EVERY: Duration = Duration::from_millis(200);
/// Attempts to replay an event whose last attempt has not ended in the ledger.
const REPLAY_TRIES: usize = 20;
const REPLAY_PAUSE: Duration = Duration::from_millis(100);

/// What is served, and what has happened.
pub(super) struct Session {
    project: Project,
    served: ServedFolder,
    node: DevNode,
    builds: Builds,
    /// The version that is built and not live yet. The one before, if it is not live, never will
    /// be.
    pending: Option<PendingVersion>,
    /// The samples that are sent and not answered yet.
    samples: JoinSet<anyhow::Result<(u16, String)>>,
    /// The last attempt, but for retries of older events.
    last: Option<Run>,
    /// The run that the next attempt of its event is compared with.
    compare: Option<Run>,
    /// Whether the command with the sample is printed.
    has_printed_sample: bool,
    printed: PrintedStatuses,
}

// === impl Session ===

impl Session {
    /// Nothing has happened yet.
    pub(super) fn new(
        project: Project,
        served: ServedFolder,
        node: DevNode,
        builds: Builds,
    ) -> Session {
        Session {
            project,
            served,
            node,
            builds,
            pending: None,
            samples: JoinSet::new(),
            last: None,
            compare: None,
            has_printed_sample: false,
            printed: PrintedStatuses::default(),
        }
    }

    /// Goes on until the node has ended.
    pub(super) async fn run(
        mut self,
        first: Finished,
        mut changes: Changes,
        shutdown: Shutdown,
    ) -> anyhow::Result<()> {
        let single = SingleKeys::start();
        let mut pressed = keys();
        let (mut has_keys, mut is_stopping) = (true, false);
        self.print_start();
        self.built(first);
        let mut look = tokio::time::interval(STATUS_EVERY);
        loop {
            tokio::select! {
                ended = &mut self.node.serving => return ended.context("serving panicked")?,
                () = shutdown.clone().asked(), if !is_stopping => {
                    is_stopping = true;
                    self.builds.close();
                }
                Some(changed) = changes.recv() => self.changed(changed),
                finished = self.builds.finished() => self.built(finished),
                began = live(&mut self.pending, &self.node.hooks) => {
                    self.pending = None;
                    self.is_live(began).await;
                }
                Some((run, log)) = self.node.attempts.recv() => self.ran(run, &log),
                Some(answered) = self.samples.join_next() => {
                    say_refused(answered.context("sending panicked").flatten());
                }
                _ = look.tick() => self.print_statuses(),
                key = pressed.recv(), if has_keys => match key {
                    Some(key) => self.pressed(key, &shutdown).await,
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

    fn print_start(&self) {
        let (hook, node) = (&self.project.hook, &self.node);
        say!(
            "{hook} at {} (admin listener: http://{})",
            node.base,
            node.admin
        );
        say!("keys: r replay the last event, s send the sample, o the admin address, q quit");
    }

    /// Prints the command that sends the sample, once: when the node answers it.
    fn print_sample(&mut self) {
        if std::mem::replace(&mut self.has_printed_sample, true) {
            return;
        }
        match self.sample() {
            Ok(sample) => match sample.command() {
                Ok(command) => say!("\n  {command}\n"),
                Err(error) => say!("no curl command: {error:#}"),
            },
            Err(error) => say!("no signed sample: {error:#}"),
        }
    }

    async fn pressed(&mut self, key: char, shutdown: &Shutdown) {
        match key {
            'r' => self.replay_or_say().await,
            's' => self.send_sample(),
            'o' => {
                let token = app::admin_token_path(&self.served.data());
                let admin = self.node.admin;
                say!(
                    "admin listener: http://{admin}/, its token is in {}",
                    token.display()
                );
            }
            'q' => shutdown.ask(),
            _ => {}
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
            self.node.hooks.look_again();
        }
        self.builds.changed(&changed.code);
    }

    fn built(&mut self, finished: Finished) {
        let placed = finished.built.and_then(|built| {
            self.served.update_component(&self.project, &built.path)?;
            Ok(built)
        });
        let built = match placed {
            Ok(built) => built,
            Err(error) => {
                say!("! {error:#}; the last good version stays");
                self.builds.begin_next();
                return;
            }
        };

        let size = bytesize::ByteSize(built.inspected.size as u64);
        say!(
            "built in {:.1} s, {}",
            built.took.as_secs_f64(),
            size.display().iec()
        );
        self.node.hooks.look_again();
        self.pending = Some(PendingVersion::new(&self.project, &built, finished.began));
    }

    /// `began` is the time of the change, unless the author had to remove something that was in the
    /// way.
    async fn is_live(&mut self, began: Option<Instant>) {
        match began {
            Some(began) => {
                let seconds = began.elapsed().as_secs_f64();
                say!("+ live {seconds:.1} s after the change");
            }
            None => say!("+ live"),
        }
        self.print_sample();
        // The last event, or the sample if there was none.
        if self.last.is_some() {
            self.replay_or_say().await;
        } else {
            self.send_sample();
        }
        self.builds.begin_next();
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

        let event = last.event.to_string();
        for _ in 0..REPLAY_TRIES {
            let order = json!({ "events": [event], "again": true });
            let answer = self.order("/api/v1/replay", &order).await?;
            if answer["events"] == 1 {
                self.compare = Some(last);
                return Ok(());
            }
            if answer["waiting"] != 1 {
                say!("! the event {event} cannot be replayed: {answer}");
                return Ok(());
            }

            // It is retried now, and not at its next time.
            let order = json!({ "events": [event] });
            if self.order("/api/v1/retry-now", &order).await?["deliveries"] != 0 {
                self.compare = Some(last);
                return Ok(());
            }

            // Its attempt runs, or has just ended: its result is not stored yet.
            tokio::time::sleep(REPLAY_PAUSE).await;
        }

        say!("! the event {event} still runs: press r when it has ended");
        Ok(())
    }

    async fn order(
        &self,
        path: &str,
        order: &serde_json::Value,
    ) -> anyhow::Result<serde_json::Value> {
        let events = self.node.events.clone();
        let (_, answer) = app::answer_one(events, path, Some(order.to_string())).await?;
        Ok(serde_json::from_str(&answer).unwrap_or(answer.into()))
    }

    fn sample(&self) -> anyhow::Result<DevSample> {
        DevSample::sign(&self.project, &self.served.plugins(), &self.node.base)
    }

    fn send_sample(&mut self) {
        match self.sample() {
            Ok(sample) => drop(self.samples.spawn(app::send(sample.request))),
            Err(error) => say!("! no sample was sent: {error:#}"),
        }
    }

    /// Prints an attempt, and how it differs from the one before.
    fn ran(&mut self, run: Run, log: &[String]) {
        log.iter().for_each(|line| untrusted("    ", line));
        untrusted("", &format!("{} {}", self.project.hook, run.line()));
        if run.outcome != "done"
            && let Some(place) = location(&run.said, &self.project.dir)
        {
            say!("    at {place}");
        }

        match self.compare.take_if(|before| before.event == run.event) {
            None => untrusted("    ", run.facts()),
            Some(before) => match difference(&before, &run) {
                None => say!("    no difference to the run before in what is compared"),
                Some(text) => {
                    say!("  difference to the run before:");
                    untrusted("    ", &text);
                }
            },
        }
        if !run.is_older_retry(self.last.as_ref()) {
            self.last = Some(run);
        }
    }

    fn print_statuses(&mut self) {
        let component = format!("{}.wasm", self.project.name);
        // Before the first build there is nothing to load.
        if self.served.plugins().join(component).is_file() {
            let mut statuses = self.node.hooks.statuses();
            // A component that the hook file does not name yet is no hook of the author.
            let Project { name, hook, .. } = &self.project;
            statuses.retain(|status| status.name == *hook || status.name != *name);
            let changes = self.printed.update(statuses);
            changes.iter().for_each(|line| untrusted("", line));
        }
    }
}

/// Says why a sample was not accepted. What the handler did is printed with its attempt.
fn say_refused(answered: anyhow::Result<(u16, String)>) {
    match answered {
        Ok((status, _)) if status < 400 => {}
        Ok((status, body)) => {
            let refused = format!("! the sample was answered {status}: {}", body.trim());
            untrusted("", &refused);
        }
        Err(error) => say!("! the sample was not sent: {error:#}"),
    }
}
