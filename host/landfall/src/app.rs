//! The composition root: the order in which a node starts its parts, and the order in which it
//! stops them.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context;
use landfall_admin::{Admin, Guard, Refused};
use landfall_config::Config;
use landfall_dispatch::{Dispatcher, Observer, Targets};
use landfall_edge::{Edge, EdgeSetup, Why, serve_router};
use landfall_engine::{Confinement, Engine, EngineSettings, Target};
use landfall_hooks::Candidates;
use landfall_ledger::{Kv, LedgerError};
use landfall_metrics::Metrics;
use landfall_model::{Clock, EdgeLimits, Event, HookRetentions, PushSpec, SecretRef};
use landfall_reconcile::Reconciler;
use landfall_secrets::{KeyDocuments, Secrets, Sources};
use landfall_telemetry::Exporter;
use tokio::net::TcpListener;

use crate::candidates::{CandidateControl, Remembered};
use crate::connect::{
    connect_broker, connect_ledger, encrypted, new_secrets, open_ledger, plan_broker,
};
use crate::dashboard;
use crate::descriptors;
use crate::doctor::{SLEEPS, facts, may_sleep};
use crate::encryption::EncryptionJob;
use crate::mcp;
use crate::metrics::{LedgerCache, Scraper};
use crate::otlp::{RunningTelemetry, telemetry};
use crate::reconcile::OfNode;
use crate::samples::Samples;
use crate::setup::{
    admin_token, bind, engine_settings, exposed_files, keep_memory_private, prepare_dirs, setup,
};
use crate::shapes::{Shapes, ShapesOfNode};
use crate::shutdown::Shutdown;
use crate::watcher::{Watched, Watcher};

// What the command line uses.
pub use crate::doctor::doctor;
pub use crate::setup::{check, compiler};
pub use crate::tools::{
    AdminAt, ask_ledger, backup, encrypt_ledger, sample, secret, secret_value, send,
};
pub use crate::trial::try_component;
pub use landfall_admin::{Events, answer_one};
pub use landfall_distribution::{
    Callers, Fetched, FoundSignature, NewHookFile, Source, fetch, install, other_users, push,
    updated,
};
pub use landfall_engine::{
    CAPABILITIES, Init, Inspected, compile_child, grant_for, inspect, precompile, snapshot_obstacle,
};
pub use landfall_hooks::{HookState, HookStatus, Hooks, packs};
pub use landfall_ledger::{BackedUp, EncryptionProgress};
pub use landfall_secrets::admin_token_path;
pub use landfall_verify::conformance::{Report, VectorError, run_challenges, run_vectors};
pub use landfall_verify::{Guide, Packs, SampleRequest, SignedSample, guides};

/// The limits of the admin listener. Its connections do not count for `limits.connections`.
const ADMIN_LIMITS: EdgeLimits = EdgeLimits {
    connections: 64,
    head_timeout: Duration::from_secs(10),
    keep_alive: Duration::from_secs(60),
    body_timeout: Duration::from_secs(30),
    queue_timeout: Duration::ZERO,
    body_memory: 0,
    response_memory: 0,
    connection_response_memory: 0,
    response_rate: 8 << 10,
};

/// A node that is bound to its addresses and not yet serving.
pub struct App {
    encryption: Option<Arc<EncryptionJob>>,
    config: Config,
    engine: Arc<Engine>,
    edge: Arc<Edge>,
    secrets: Arc<Secrets>,
    admin_token: SecretRef,
    admin_read_token: Option<SecretRef>,
    listener: TcpListener,
    admin_listener: TcpListener,
    metrics: Arc<Metrics>,
    exporter: Option<Exporter>,
    watcher: Arc<Watcher>,
    candidates: Arc<CandidateControl>,
    reconciler: Arc<Reconciler>,
    shapes: Arc<Shapes>,
    /// Missed deliveries are only looked for when an operator asks for it.
    is_for_author: bool,
    started: SystemTime,
}

// === impl App ===

impl App {
    /// Starts everything that can fail before the first request is accepted. Addresses are first,
    /// because they fail most often.
    pub async fn start(config: Config) -> anyhow::Result<App> {
        App::start_with(config, None).await
    }

    /// As `start`, for the author of the only component: the node keeps its compiled functions for
    /// the next version.
    pub async fn start_for_author(mut config: Config) -> anyhow::Result<App> {
        // An author looks at each attempt.
        config.settings.watch.enabled = false;
        let functions = config.settings.data.join("functions");
        App::start_with(config, Some(functions)).await
    }

    async fn start_with(mut config: Config, functions: Option<PathBuf>) -> anyhow::Result<App> {
        let started = Clock::System.now();
        let is_for_author = functions.is_some();
        let plan = plan_broker(&config)?;
        let plan = plan.as_deref();
        let listener = bind(config.settings.listen.0, "listen").await?;
        let admin_listener = bind(config.settings.admin.listen.0, "admin.listen").await?;
        prepare_dirs(&config)?;
        config.settings.limits.connections =
            descriptors::reserve(config.settings.limits.connections);
        for gap in Confinement::probe()?.gaps() {
            tracing::warn!("{gap}");
        }

        let secrets = new_secrets(&config);
        let admin_token = admin_token(&config)?;
        let admin_read_token = config.admin_read_token().cloned();
        let tokens: Vec<SecretRef> = [admin_token.clone()]
            .into_iter()
            .chain(admin_read_token.clone())
            .collect();
        secrets.track_own(&tokens).await;
        let ledger = match config.ledger_url() {
            None => open_ledger(&config)?,
            Some(url) => connect_ledger(&config, url, &secrets).await?,
        };
        let (ledger, encryption) = encrypted(&config, ledger, &secrets).await?;
        if encryption.is_some() && config.queue.is_some() {
            tracing::warn!(
                "ledger.encryption_keys does not encrypt the messages of the broker: whoever can read the broker can read the events in it"
            );
        }
        let encryption = encryption.map(|one| Arc::new(EncryptionJob::new(one, ledger.clone())));

        let metrics = Arc::new(Metrics::new());
        let measured = metrics.clone();
        ledger.observe_commits(Box::new(move |time| measured.measure_commit(time)));
        let (tracer, exporter) = telemetry(&config, &secrets, &metrics).await;
        let settings = EngineSettings {
            functions,
            keeps_sent: is_for_author,
            passes_traces: tracer.is_on(),
            ..engine_settings(&config, metrics.clone())?
        };
        let values: Arc<dyn Kv> = ledger.clone();
        let engine = Arc::new(Engine::new(settings, Some(values))?);
        // Only after the engine has opened the map of its own pages, because later no process may
        // open it.
        keep_memory_private();
        let broker = match (&config.queue, plan) {
            (Some(spec), Some(plan)) => {
                Some(connect_broker(plan, &spec.url, &config, &secrets).await?)
            }
            _ => None,
        };

        for fact in facts(broker.as_deref()).await {
            tracing::info!("{fact}");
        }
        if may_sleep(&config, plan) {
            tracing::warn!("{SLEEPS}");
        }
        let candidates = Candidates::default();
        // Before the hooks are loaded, so that they begin with their promoted versions.
        let remembered = Remembered::read(ledger.clone(), candidates.clone()).await?;
        let hooks = Hooks::start(setup(
            &config,
            plan,
            engine.clone(),
            secrets.clone(),
            metrics.clone(),
            candidates,
        ));
        let candidates = CandidateControl::new(remembered, hooks.clone(), Clock::System);
        let candidates = Arc::new(candidates);
        let targets = Arc::new(Served(hooks.clone()));
        let counters = metrics.clone();
        let dispatcher = Dispatcher::new(
            ledger,
            broker,
            targets,
            Clock::System,
            counters,
            tracer.clone(),
        )
        .await
        .context("the ledger cannot be read")?;
        let reconciler = Reconciler::new(
            hooks.clone(),
            dispatcher.clone(),
            secrets.clone(),
            Clock::System,
        );
        let push = plan.and_then(|plan| plan.push()).cloned();
        let edge = Edge::new(EdgeSetup {
            hooks,
            secrets: secrets.clone(),
            documents: Arc::new(key_documents(&config, push.as_ref())),
            dispatcher,
            slots: engine.slots().clone(),
            limits: config.edge_limits(),
            trusted_proxies: config.trusted_proxies(),
            push,
            clock: Clock::System,
            metrics: metrics.clone(),
            tracer,
            request_lines: config.settings.log.requests,
            request_every: config.settings.log.request_every,
        })?;
        let watch = config.settings.watch.clone();
        let link = match &watch.link {
            Some(link) => link.clone(),
            None => format!("http://{}", admin_listener.local_addr()?),
        };
        let shapes = Arc::new(Shapes::new(
            config.settings.shape.clone(),
            edge.dispatcher.ledger().clone(),
            edge.hooks.clone(),
            Clock::System,
        ));
        let watched = Watched {
            dispatcher: edge.dispatcher.clone(),
            hooks: edge.hooks.clone(),
            secrets: secrets.clone(),
            candidates: candidates.clone(),
            shapes: shapes.clone(),
        };
        let watcher = Arc::new(Watcher::new(watch, link, watched, Clock::System));
        Ok(App {
            watcher,
            candidates,
            encryption,
            shapes,
            config,
            engine,
            edge,
            secrets,
            admin_token,
            admin_read_token,
            listener,
            admin_listener,
            metrics,
            exporter,
            reconciler,
            is_for_author,
            started,
        })
    }

    /// The public and the admin address.
    pub fn addresses(&self) -> std::io::Result<(std::net::SocketAddr, std::net::SocketAddr)> {
        Ok((
            self.listener.local_addr()?,
            self.admin_listener.local_addr()?,
        ))
    }

    /// The served hooks and their status.
    pub fn hooks(&self) -> &Hooks {
        &self.edge.hooks
    }

    /// Shows every attempt of this node to the observer.
    pub fn observe(&self, observer: Observer) {
        self.edge.dispatcher.observe(observer);
    }

    /// What the admin API reads and changes events with.
    pub fn events(&self) -> Events {
        Events {
            ledger: self.edge.dispatcher.ledger().clone(),
            clock: Clock::System,
            running: Some((self.edge.dispatcher.clone(), self.edge.hooks.clone())),
        }
    }

    /// For `--strict`: an error that lists every hook file that is not served.
    pub async fn ensure_all_served(&self) -> anyhow::Result<()> {
        let hooks = self.hooks();
        while !hooks.is_complete() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }

        let not_served = hooks.not_served();
        if not_served.is_empty() {
            return Ok(());
        }

        self.edge.dispatcher.ledger().close().await;
        let problems: Vec<String> = not_served
            .iter()
            .map(|status| {
                let why = status.problem.as_deref().unwrap_or("no reason is known");
                format!("{} ({}): {why}", status.name, status.state)
            })
            .collect();
        anyhow::bail!(
            "--strict: {} of the hook files are not served: fix or remove them\n{}",
            problems.len(),
            problems.join("\n")
        )
    }

    /// Serves until a stop is requested, then drains: ends readiness, accepts no connections, and
    /// waits for running attempts.
    pub async fn serve(mut self, shutdown: Shutdown) -> anyhow::Result<()> {
        let (public, admin_at) = self.addresses()?;
        let exporter = self.exporter.take();
        let telemetry = RunningTelemetry::start(exporter, self.scraper(), self.started);
        tokio::spawn(self.secrets.clone().run_refresh());
        tokio::spawn(self.edge.documents.clone().run_refresh());
        tokio::spawn(warn_of_exposed_files(
            self.config.clone(),
            self.secrets.clone(),
        ));
        let dispatcher = self.edge.dispatcher.clone();
        tokio::spawn(dispatcher.clone().run_scheduler());
        tokio::spawn(dispatcher.clone().run_heartbeat());
        tokio::spawn(dispatcher.clone().run_message_heartbeat());
        tokio::spawn(dispatcher.clone().run_hint_listener());
        tokio::spawn(dispatcher.clone().run_consumer());
        tokio::spawn(dispatcher.clone().run_reply_listener());
        tokio::spawn(dispatcher.clone().run_pruning());
        tokio::spawn(dispatcher.clone().run_repair());
        tokio::spawn(dispatcher.clone().run_shadows());
        tokio::spawn(self.candidates.clone().run());
        if let Some(encryption) = &self.encryption {
            tokio::spawn(encryption.clone().run());
        }
        let watcher = self.watcher.clone();
        let watch = self.config.settings.watch.enabled;
        let watching = watch.then(|| tokio::spawn(watcher.clone().run()));
        let reconciler = self.reconciler.clone();
        if !self.is_for_author {
            tokio::spawn(reconciler.clone().run_schedule());
        }
        let shapes = self.shapes.clone();
        let learning = (!self.is_for_author).then(|| tokio::spawn(shapes.clone().run()));
        let admin = self.admin_router(public);
        tokio::spawn(serve_router(
            self.admin_listener,
            admin,
            ADMIN_LIMITS,
            "the maximum of 64 connections to the admin listener",
            std::future::pending(),
        ));
        tracing::info!(listen = %public, admin = %admin_at, plugins = %self.config.settings.plugins.display(), "serving");
        tokio::spawn(reload_for_ever(
            shutdown.clone(),
            self.edge.hooks.clone(),
            self.secrets.clone(),
        ));
        let (edge, asked_at) = (self.edge.clone(), Arc::new(OnceLock::new()));
        let stop = {
            let (asked_at, dispatcher) = (asked_at.clone(), dispatcher.clone());
            let reconciler = reconciler.clone();
            async move {
                shutdown.asked().await;
                edge.drain();
                dispatcher.stop();
                reconciler.stop();
                asked_at.set(Instant::now()).ok();
            }
        };
        let drain = self.config.settings.drain.0;
        landfall_edge::serve(
            self.listener,
            &self.edge,
            self.config.settings.http2,
            stop,
            drain,
        )
        .await;
        // The attempt of a caller that hung up may still run.
        let left = drain.saturating_sub(asked_at.get().map_or(drain, Instant::elapsed));
        if tokio::time::timeout(left, self.engine.idle())
            .await
            .is_err()
        {
            tracing::warn!("attempts are still running at the end of the drain: they are stopped");
        }
        let given = tokio::time::timeout(RELEASE_TIMEOUT, dispatcher.release_all()).await;
        match given.unwrap_or(Err(LedgerError::Busy)) {
            Ok(0) => {}
            Ok(count) => tracing::info!(count, "deliveries given back: the next start runs them"),
            Err(error) => {
                tracing::error!(%error, "deliveries cannot be given back: their leases run out")
            }
        }

        let stored = tokio::time::timeout(RELEASE_TIMEOUT, dispatcher.flush_recordings()).await;
        if stored.is_err() {
            tracing::warn!("some recordings of attempts were not stored");
        }

        if let Some(watching) = watching {
            watching.abort();
        }
        shapes.stop();
        let learned = async {
            if let Some(learning) = learning {
                learning.await.ok();
            }
        };
        let ended = async { tokio::join!(watcher.end(), reconciler.release(), learned) };
        tokio::time::timeout(RELEASE_TIMEOUT, ended).await.ok();
        telemetry.flush().await;
        let ledger = dispatcher.ledger();
        if ledger.is_shared() {
            tokio::time::timeout(RELEASE_TIMEOUT, ledger.close())
                .await
                .unwrap_or_default();
        } else {
            ledger.close().await;
        }

        tracing::info!("stopped");
        Ok(())
    }

    fn scraper(&self) -> Scraper {
        Scraper {
            metrics: self.metrics.clone(),
            dispatcher: self.edge.dispatcher.clone(),
            engine: self.engine.clone(),
            hooks: self.edge.hooks.clone(),
            secrets: self.secrets.clone(),
            watcher: self.watcher.clone(),
            candidates: self.candidates.clone(),
            reconciler: self.reconciler.clone(),
            shapes: self.shapes.clone(),
            clock: Clock::System,
            started: self.started,
            ledger: LedgerCache::default(),
            encryption: self.encryption.clone(),
        }
    }

    /// `public`: the address of the public listener.
    fn admin_router(&self, public: std::net::SocketAddr) -> axum::Router {
        let (edge, refusing) = (self.edge.clone(), self.edge.clone());
        let scraper = Arc::new(self.scraper());
        let admin = Admin {
            metrics: Arc::new(move || {
                let scraper = scraper.clone();
                Box::pin(async move { scraper.text().await })
            }),
            plugins: {
                let plugins = &self.config.settings.plugins;
                plugins
                    .canonicalize()
                    .as_ref()
                    .unwrap_or(plugins)
                    .display()
                    .to_string()
            },
            running: {
                let engine = self.engine.clone();
                Arc::new(move || engine.running())
            },
            reload: {
                let (hooks, secrets) = (self.edge.hooks.clone(), self.secrets.clone());
                Arc::new(move || reload(&hooks, &secrets))
            },
            alarms: {
                let watcher = self.watcher.clone();
                Arc::new(move || watcher.open())
            },
            hooks: self.edge.hooks.clone(),
            refusals: self.edge.refusals.clone(),
            not_ready: Arc::new(move || edge.not_ready()),
            guard: Guard::new(
                self.admin_token.clone(),
                self.admin_read_token.clone(),
                self.secrets.clone(),
                self.config.admin_hosts().iter().cloned(),
                Arc::new(move |refused| refuse_admin(&refusing, refused)),
            ),
            clock: Clock::System,
            ledger: self.edge.dispatcher.ledger().clone(),
            dispatcher: self.edge.dispatcher.clone(),
            reconcile: Arc::new(OfNode(self.reconciler.clone())),
            candidates: self.candidates.clone(),
            samples: Arc::new(Samples {
                hooks: self.edge.hooks.clone(),
                secrets: self.secrets.clone(),
                packs: dashboard::read_packs(&self.config),
                public: dashboard::reachable(public),
                ledger: self.edge.dispatcher.ledger().clone(),
            }),
            shapes: Arc::new(ShapesOfNode(self.shapes.clone())),
        };
        let tools = mcp::routes(&admin, self.metrics.clone());
        let (secrets, watcher) = (self.secrets.clone(), self.watcher.clone());
        let pages = dashboard::pages(admin.clone(), &self.config, secrets, watcher, public);
        landfall_admin::router(admin).merge(tools).merge(pages)
    }
}

fn key_documents(config: &Config, push: Option<&PushSpec>) -> KeyDocuments {
    let own_url = push.map(|push| push.keys.clone());
    let dir = config.settings.data.join("key-documents");
    KeyDocuments::new(own_url, Some(dir), Clock::System)
}

/// On SIGHUP, reads the plugins directory and all secrets again.
async fn reload_for_ever(shutdown: Shutdown, hooks: Hooks, secrets: Arc<Secrets>) {
    let mut reloads = shutdown.reloads();
    while reloads.changed().await.is_ok() {
        reload(&hooks, &secrets);
    }
}

/// Starts to read the plugins directory and all secrets again.
fn reload(hooks: &Hooks, secrets: &Arc<Secrets>) {
    hooks.look_again();
    for sources in [Sources::Local, Sources::Remote] {
        let secrets = secrets.clone();
        tokio::spawn(async move { secrets.refresh(sources).await });
    }
}

/// Logs each file that other users can write, and each secret that they can read, once it is found.
async fn warn_of_exposed_files(config: Config, secrets: Arc<Secrets>) {
    let interval = config.settings.scan_interval.0.max(Duration::from_secs(1));
    let config = Arc::new(config);
    let mut known = Vec::new();
    loop {
        let (config, secrets) = (config.clone(), secrets.clone());
        let search = tokio::task::spawn_blocking(move || exposed_files(&config, &secrets));
        if let Ok(found) = search.await {
            for warning in found.iter().filter(|warning| !known.contains(*warning)) {
                tracing::warn!("{warning}");
            }

            known = found;
        }

        tokio::time::sleep(interval).await;
    }
}

/// The served hooks, for `dispatch`.
struct Served(Hooks);

impl Targets for Served {
    fn find(&self, hook: &str) -> Option<Target> {
        self.0
            .named(hook)?
            .target()
            .map(|target| Target::clone(target))
    }

    fn redacted(&self, event: Event) -> Result<Event, String> {
        self.0.redacted(event)
    }

    fn unread(&self, hook: &str) -> Option<String> {
        self.0.unread(hook)
    }

    fn retentions(&self) -> Option<HookRetentions> {
        self.0.retentions()
    }

    fn names(&self) -> Vec<Arc<str>> {
        self.0.names()
    }
}

/// A stop does not wait longer for the ledger.
const RELEASE_TIMEOUT: Duration = Duration::from_millis(700);

fn refuse_admin(edge: &Edge, refused: Refused) {
    let Refused {
        reason,
        status,
        detail,
        hint,
        client,
    } = refused;
    landfall_edge::refuse_admin(
        edge,
        *Why::new(reason, detail).with_hint(hint),
        status.as_u16(),
        client,
    );
}
