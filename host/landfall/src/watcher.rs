//! Watches the hooks: reads what the alarms of `landfall_watch` need, keeps their state in the
//! ledger, and stores an event for the hook that is told of a change.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use axum::http::{HeaderMap, HeaderValue, header};
use bytes::Bytes;
use futures_util::future::join_all;
use landfall_config::NodeWatchTable;
use landfall_dispatch::Dispatcher;
use landfall_hooks::{Hook, Hooks};
use landfall_ledger::{Filter, HookBacklog, Lead, Ledger, LedgerError, LedgerUse, Parts};
use landfall_model::{AlarmKind, AlarmReceiver, Clock, Emission, NO_HOOK, WATCH, lock};
use landfall_secrets::Secrets;
use landfall_watch::{
    Alarm, AlarmEvent, Backlog, Change, HookReading, HookRules, NodeReading, Unsaved, Watch,
    receiver_of,
};

use crate::candidates::CandidateControl;
use crate::shapes::Shapes;

/// Of the nodes that share a ledger, one watches. Another one takes over after so many intervals,
const LEAD_INTERVALS: u32 = 4;
/// and after this time.
const LEAD_MIN: Duration = Duration::from_secs(5);
/// What only one node does.
const LEAD: &str = "watch";
/// How often a shared ledger is asked for the newest events: after so many intervals,
const ASK_INTERVALS: u32 = 4;
/// or after this time.
const ASK_MAX: Duration = Duration::from_secs(60);
/// A look does not wait longer for the ledger.
const LEDGER_TIMEOUT: Duration = Duration::from_secs(2);
/// Events that are stored after one look. The others wait for the next one.
const TOLD_MAX: usize = 500;
/// States that are read from the ledger at a time.
const PAGE: usize = 100;
/// Calls of the ledger at the same time.
const AT_ONCE: usize = 16;
/// The newest deliveries of a hook among which an event of its provider is looked for.
const NEWEST: usize = 50;

/// The alarms of a node, and what they are made from.
pub(crate) struct Watcher {
    settings: NodeWatchTable,
    /// The address of the admin listener, for links.
    link: String,
    dispatcher: Arc<Dispatcher>,
    hooks: Hooks,
    secrets: Arc<Secrets>,
    candidates: Arc<CandidateControl>,
    shapes: Arc<Shapes>,
    clock: Clock,
    watch: Mutex<Watch>,
    /// The state was read from the ledger, and no other node watches.
    is_leading: AtomicBool,
    /// The state was read from the ledger since the start.
    is_restored: AtomicBool,
    /// When a shared ledger was asked last, and what it has said.
    newest: Mutex<(Option<Instant>, BTreeMap<String, Newest>)>,
    /// Receivers that do not exist, once each has been logged.
    missing: Mutex<BTreeSet<String>>,
}

/// The parts of the node that are watched.
pub(crate) struct Watched {
    pub(crate) dispatcher: Arc<Dispatcher>,
    pub(crate) hooks: Hooks,
    pub(crate) secrets: Arc<Secrets>,
    pub(crate) candidates: Arc<CandidateControl>,
    pub(crate) shapes: Arc<Shapes>,
}

/// The newest deliveries of a hook in a shared ledger, by number; 0 if there is none.
#[derive(Debug, Clone, Copy, Default)]
struct Newest {
    /// Of an event that the provider sent.
    sent: i64,
    /// Of any event.
    looked_at: i64,
}

// === impl Watcher ===

impl Watcher {
    pub(crate) fn new(
        settings: NodeWatchTable,
        link: String,
        watched: Watched,
        clock: Clock,
    ) -> Watcher {
        Watcher {
            settings,
            link,
            dispatcher: watched.dispatcher,
            hooks: watched.hooks,
            secrets: watched.secrets,
            candidates: watched.candidates,
            shapes: watched.shapes,
            clock,
            watch: Mutex::default(),
            is_leading: AtomicBool::new(false),
            is_restored: AtomicBool::new(false),
            newest: Mutex::default(),
            missing: Mutex::default(),
        }
    }

    /// The open alarms.
    pub(crate) fn open(&self) -> Vec<Alarm> {
        lock(&self.watch).open()
    }

    /// When the alarm on silence of a hook opens if no event arrives, if that is known.
    pub(crate) fn silent_from(&self, hook: &str) -> Option<SystemTime> {
        if !self.settings.enabled {
            return None;
        }
        let rules = self.rules(&*self.hooks.named(hook)?);
        lock(&self.watch).silent_from(hook, &rules)
    }

    /// Looks at every interval, until the process ends.
    pub(crate) async fn run(self: Arc<Watcher>) {
        let interval = self.settings.interval.0;
        loop {
            tokio::time::sleep(interval).await;
            // Before that, hooks are missing that exist.
            if self.hooks.is_complete() && self.leads(interval).await {
                self.look().await;
            }
        }
    }

    /// Saves the state of every hook, before the ledger is closed. Another node may watch at once.
    pub(crate) async fn end(&self) {
        if self.is_leading.load(Ordering::Relaxed) {
            self.save(true).await;
            self.ledger().lead(LEAD, Duration::ZERO).await.ok();
        }
    }

    /// Whether this node watches. If not, it takes over what the one that does has saved, so that
    /// every node shows the same alarms.
    async fn leads(&self, interval: Duration) -> bool {
        let lasts = LEAD_MIN.max(interval * LEAD_INTERVALS);
        // While the ledger does not answer, what is in memory is the newest.
        let Ok(lead) = self.ledger().lead(LEAD, lasts).await else {
            return false;
        };
        if lead == Lead::Held && self.is_leading.load(Ordering::Relaxed) {
            return true;
        }

        let is_restored = self.restore().await;
        let leads = lead.is_own() && is_restored;
        self.is_leading.store(leads, Ordering::Relaxed);
        leads
    }

    /// Takes over the saved state. Returns whether it could be read.
    async fn restore(&self) -> bool {
        let mut watch = match self.read_saved().await {
            Ok(watch) => watch,
            Err(error) => {
                tracing::warn!(%error, "the saved alarms cannot be read yet");
                return false;
            }
        };

        // At the start of the process, what it has counted is new. Later, another node has watched.
        if self.is_restored.swap(true, Ordering::Relaxed) {
            for name in self.hooks.names() {
                if let Some(hook) = self.hooks.named(&name) {
                    watch.begin_at(&name, hook.metrics.activity());
                }
            }
        }
        *lock(&self.watch) = watch;
        true
    }

    async fn look(&self) {
        let now = self.clock.now();
        let usage = self.ledger_use().await;
        let backlogs = usage.as_ref().map(backlogs);
        let names = self.hooks.names();
        self.ask_for_newest(&names).await;
        let readings: Vec<_> = names
            .iter()
            .filter_map(|name| {
                let hook = self.hooks.named(name)?;
                let rules = self.rules(&hook);
                hook.metrics.set_slow_answer(rules.slow_from);
                let backlog = backlogs
                    .as_ref()
                    .map(|backlogs| backlogs.get(&**name).copied().unwrap_or_default());
                let reading = self.reading(name, &hook, backlog, now);
                Some((name.to_string(), rules, reading))
            })
            .collect();
        let node = NodeReading {
            free_bytes: usage.as_ref().and_then(|usage| usage.free_bytes),
            free_min: self
                .settings
                .disk
                .then_some(self.settings.disk_free.0 as u64),
        };

        let changes = lock(&self.watch).look(now, &readings, &node);
        changes.iter().for_each(log_change);
        // A change is saved before it is told, so that a restart tells it under the same id.
        if self.save(false).await {
            self.pass_on().await;
            self.save(false).await;
        }
    }

    fn rules(&self, hook: &Hook) -> HookRules {
        let (spec, node) = (&hook.spec.watch, &self.settings);
        let is_on = |kind: &AlarmKind| {
            // What anyone sends to an open hook says nothing about its provider.
            let is_usual = *kind != AlarmKind::Shape || !hook.verifier.is_open();
            let switch = spec.alarms.get(*kind);
            switch.unwrap_or_else(|| is_usual && node.is_on(*kind))
        };
        let answer_within = hook.verifier.answer_within().or(hook.spec.answer_within);
        let node_max_age = node.secret_max_age.map(|time| time.0);
        HookRules {
            expect: spec.expect,
            alarms: AlarmKind::ALL.into_iter().filter(is_on).collect(),
            to: spec.to.as_ref().map(word_of),
            sender: hook.verifier.provider().unwrap_or("the sender").to_owned(),
            retries: hook.verifier.provider_retries(),
            challenge_every: hook.verifier.challenge_every(),
            slow_from: answer_within.map(|time| time * 9 / 10),
            queue_age: spec.queue_age.unwrap_or(node.queue_age.0),
            secret_expires: spec.secret_expires,
            secret_max_age: spec.secret_max_age.or(node_max_age),
            secret_notice: node.secret_notice.0,
        }
    }

    fn reading(
        &self,
        name: &str,
        hook: &Hook,
        backlog: Option<Backlog>,
        now: SystemTime,
    ) -> HookReading {
        let newest = lock(&self.newest).1.get(name).copied();
        let secrets = hook.verifier.secrets().iter();
        let ages = secrets.filter_map(|reference| self.secrets.age(reference, now));
        HookReading {
            activity: hook.metrics.activity(),
            backlog,
            newest_event: newest.map(|newest| newest.sent),
            secret_age: ages.min(),
            is_paused: self.dispatcher.hook_status(name).is_paused,
            candidate_problem: self.candidates.problem(name),
            shape: self.shapes.differences(name),
        }
    }

    /// Saves what has changed, or everything. Returns whether all of it is saved. Many states are
    /// written at a time, which share commits of the ledger. If another node watches by now, for
    /// example because this one was suspended, nothing is saved: that node knows more.
    async fn save(&self, all: bool) -> bool {
        let unsaved = lock(&self.watch).unsaved(all);
        let (mut is_saved, mut is_led) = (true, true);
        for some in unsaved.chunks(AT_ONCE) {
            let writes = some.iter().map(|Unsaved { hook, state }| {
                let value = state.clone().map(Bytes::from);
                self.ledger().put_own(LEAD, WATCH, hook.clone(), value)
            });
            let results = join_all(writes).await;
            for (Unsaved { hook, .. }, result) in some.iter().zip(results) {
                match result {
                    Ok(is_stored) => is_led &= is_stored,
                    Err(error) => {
                        tracing::warn!(hook, %error, "the state of the alarms cannot be saved yet");
                        lock(&self.watch).mark_unsaved(hook);
                        is_saved = false;
                    }
                }
            }
            if !is_led {
                tracing::info!(
                    "another node watches the hooks by now: this one takes over its alarms"
                );
                self.is_leading.store(false, Ordering::Relaxed);
                return false;
            }
        }
        is_saved
    }

    /// Stores an event for each change whose receiver does not know it yet. A receiver that cannot
    /// be told does not hold up the others.
    async fn pass_on(&self) {
        let notices = lock(&self.watch).notices();
        let (mut told, mut untold) = (0, BTreeSet::new());
        for (hook, notice) in notices {
            if told == TOLD_MAX {
                return;
            }
            let default = self.settings.to.as_ref().map(|to| &*to.0);
            let Some(to) = receiver_of(&hook, default, |hook| self.named_receiver(hook)) else {
                lock(&self.watch).passed_on(&hook, &notice);
                continue;
            };
            if self.hooks.named(&to).is_none() {
                self.log_missing(&hook, &to);
                continue;
            }
            lock(&self.missing).remove(&to);
            if untold.contains(&to) {
                continue;
            }

            let event = AlarmEvent::new(&hook, &notice, &self.link);
            match self.dispatcher.emit_own(WATCH, emission(event, &to)).await {
                Ok(()) => {
                    told += 1;
                    landfall_model::kill_point!("alarm-told");
                    lock(&self.watch).passed_on(&hook, &notice);
                }
                Err(error) => {
                    tracing::warn!(hook, to, %error, "an alarm cannot be told yet");
                    untold.insert(to);
                }
            }
        }
    }

    /// The receiver that the hook file names, `-` if it wants none. Of a hook that was removed: that
    /// its file named.
    fn named_receiver(&self, hook: &str) -> Option<String> {
        match self.hooks.named(hook) {
            Some(hook) => hook.spec.watch.to.as_ref().map(word_of),
            None => lock(&self.watch).last_to(hook).map(str::to_owned),
        }
    }

    fn log_missing(&self, hook: &str, to: &str) {
        if lock(&self.missing).insert(to.to_owned()) {
            tracing::warn!(
                hook,
                to,
                "the hook that [watch] names as the receiver of alarms does not exist: its alarms wait"
            );
        }
    }

    async fn read_saved(&self) -> Result<Watch, LedgerError> {
        let owner: Arc<str> = WATCH.into();
        let (mut watch, mut after) = (Watch::default(), String::new());
        loop {
            let keys = self
                .ledger()
                .keys(owner.clone(), String::new(), after, PAGE);
            let keys = keys.await?;
            for key in &keys {
                let is_read = match self.ledger().get(owner.clone(), key.clone()).await {
                    Ok(Some(value)) => watch.restore(key, &String::from_utf8_lossy(&value.bytes)),
                    Ok(None) => true,
                    // Its checksum does not match.
                    Err(LedgerError::Other(_)) => false,
                    Err(error) => return Err(error),
                };
                if !is_read {
                    tracing::warn!(
                        hook = key,
                        "the saved alarms of this hook are damaged or of another version: they begin anew"
                    );
                }
            }
            match keys.last() {
                Some(last) if keys.len() == PAGE => after = last.clone(),
                _ => return Ok(watch),
            }
        }
    }

    /// What the ledger uses. `None` if it does not answer.
    async fn ledger_use(&self) -> Option<LedgerUse> {
        let question = self.ledger().usage();
        let answer = tokio::time::timeout(LEDGER_TIMEOUT, question).await;
        answer.ok()?.ok()
    }

    /// Asks a shared ledger for the newest event that the provider of each hook has sent, which
    /// another node may have received.
    async fn ask_for_newest(&self, names: &[Arc<str>]) {
        let every = ASK_MAX.min(self.settings.interval.0 * ASK_INTERVALS);
        let is_due = lock(&self.newest)
            .0
            .is_none_or(|asked| asked.elapsed() >= every);
        if !self.ledger().is_shared() || !is_due {
            return;
        }

        let mut newest = BTreeMap::new();
        for some in names.chunks(AT_ONCE) {
            let questions = some.iter().map(|name| self.newest_of(name));
            for (name, found) in some.iter().zip(join_all(questions).await) {
                let Ok(found) = found else {
                    return;
                };
                newest.insert(name.to_string(), found);
            }
        }
        *lock(&self.newest) = (Some(Instant::now()), newest);
    }

    /// The newest event that the hook's provider sent. Events that a handler has emitted, and those
    /// of a search for missed deliveries, say nothing about the provider.
    async fn newest_of(&self, name: &str) -> Result<Newest, LedgerError> {
        let before = lock(&self.newest).1.get(name).copied().unwrap_or_default();
        let filter = Filter {
            hook: Some(name.to_owned()),
            floor: Some(before.looked_at + 1),
            limit: NEWEST,
            ..Filter::default()
        };
        let found = self.ledger().list(filter).await?;
        let Some(first) = found.first() else {
            return Ok(before);
        };

        let mut sent = before.sent;
        for one in found.iter().filter(|one| !one.replayed) {
            if self.is_sent(one.delivery).await? {
                sent = one.delivery;
                break;
            }
        }
        Ok(Newest {
            sent,
            looked_at: first.delivery,
        })
    }

    /// Whether the provider sent the event of this delivery.
    async fn is_sent(&self, delivery: i64) -> Result<bool, LedgerError> {
        let parts = Parts {
            event: true,
            ..Parts::default()
        };
        let contents = self.ledger().contents(vec![delivery], parts).await?;
        let event = contents
            .get(&delivery)
            .and_then(|content| content.event.as_ref());
        let is_own = |name: &str| event.is_some_and(|event| event.attribute(name).is_some());
        Ok(!is_own("emitted-by") && !is_own("reconciled"))
    }

    fn ledger(&self) -> &Arc<dyn Ledger> {
        self.dispatcher.ledger()
    }
}

/// What waits, by hook.
fn backlogs(usage: &LedgerUse) -> BTreeMap<&str, Backlog> {
    let of_hook = |found: &HookBacklog| Backlog {
        pending: found.pending,
        dead: found.dead,
        overdue: found.overdue,
    };
    let hooks = usage.hooks.iter();
    hooks
        .map(|found| (found.hook.as_str(), of_hook(found)))
        .collect()
}

/// A receiver as hook files name it.
fn word_of(receiver: &AlarmReceiver) -> String {
    match receiver {
        AlarmReceiver::Hook(name) => name.to_string(),
        AlarmReceiver::NoHook => NO_HOOK.to_owned(),
    }
}

fn emission(event: AlarmEvent, to: &str) -> Emission {
    let json = HeaderValue::from_static("application/json");
    Emission {
        id: event.id,
        hook: to.into(),
        event_type: Some(event.event_type.to_owned()),
        headers: HeaderMap::from_iter([(header::CONTENT_TYPE, json)]),
        body: event.body.into(),
        key: Some(event.key),
        delay: Duration::ZERO,
    }
}

fn log_change(change: &Change) {
    let Alarm {
        hook,
        alarm,
        sentence,
        hint,
        ..
    } = &change.alarm;
    let alarm = alarm.word();
    if change.is_open {
        tracing::warn!(hook, alarm, hint, "alarm opened: {sentence}");
    } else {
        tracing::info!(hook, alarm, "alarm closed: {sentence}");
    }
}
