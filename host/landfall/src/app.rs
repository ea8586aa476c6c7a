//! The composition root: what is started in which order and why, and how it stops.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use anyhow::Context;
use percent_encoding::NON_ALPHANUMERIC;
use tokio::net::TcpListener;

use crate::descriptors;
use crate::metrics;
use crate::shutdown::Shutdown;
use crate::writable;
use landfall_admin::Admin;
use landfall_admin::guard::{Guard, Refused};
use landfall_broker::Broker;
use landfall_config::{Config, Flags};
use landfall_dispatch::{Delivery, Targets};
use landfall_edge::{Edge, Why};
use landfall_egress::{Client, Outgoing, OutgoingError, Policy};
use landfall_engine::{CacheUse, Confinement, Engine, EngineSettings, Target};
use landfall_hooks::{Platform, Setup};
use landfall_ledger::{Ledger, LedgerError, OnFatal, PostgresSettings, SqliteSettings};
use landfall_model::{
    BrokerSpec, Clock, CredentialPart, CredentialText, EdgeLimits, Secret, SecretAges, SecretGrant,
    SecretRef, SecretSource,
};
use landfall_secrets::{Secrets, Sources, create_admin_token};

// What the command line uses of the modules that it does not import itself.
use landfall_edge::serve_router;
pub use landfall_engine::{Inspected, compile_child, grant_for, inspect, precompile};
pub use landfall_hooks::{HookState, HookStatus, Hooks, packs};
pub use landfall_ledger::BackedUp;
pub use landfall_secrets::admin_token_path;
pub use landfall_verify::conformance::{Report, VectorError, run_challenges, run_vectors};
pub use landfall_verify::{Guide, SampleRequest, SignedSample, guides};

/// A request as a provider sends it, now.
pub fn sample(request: &SampleRequest, providers: Option<&Path>) -> anyhow::Result<SignedSample> {
    let sample = landfall_verify::sample(request, &packs(providers)?, Clock::System.now())?;
    Ok(sample)
}

/// The present value of a secret reference.
pub fn secret(reference: &str) -> anyhow::Result<Secret> {
    let reference: SecretRef = reference.parse().map_err(anyhow::Error::msg)?;
    Ok(untracked_secrets().value(&reference)?)
}

fn new_secrets(config: &Config) -> Arc<Secrets> {
    let secrets = Secrets::new(config.secrets, config.secret_grant.clone(), Clock::System);
    Arc::new(secrets)
}

/// Secrets for one command, which reads each of them once.
fn untracked_secrets() -> Secrets {
    Secrets::new(SecretAges::default(), SecretGrant::default(), Clock::System)
}

/// Sends a request wherever the operator says. Status and body of the answer.
pub async fn send(request: SignedSample) -> anyhow::Result<(u16, String)> {
    let target = request.url.split('?').next().unwrap_or_default().to_owned();
    let outgoing = Outgoing {
        method: request.method,
        url: request.url,
        headers: request.headers,
        body: request.body.into(),
        timeout: SEND_TIMEOUT,
        untrusted: Default::default(),
        memory: None,
    };
    call(&target, outgoing).await.map_err(|error| match error.downcast_ref::<OutgoingError>() {
        Some(OutgoingError::Tls(why)) => anyhow::anyhow!(
            "{why}: if the server signs its certificate itself, set SSL_CERT_FILE to that certificate, or send to the node's own \
             address, such as http://127.0.0.1:8080, with --public-url"
        ),
        _ => error,
    })
}

/// The admin listener of a running node.
pub struct AdminAt {
    /// Without a path.
    pub url: String,
    /// Sent with each request, where there is one.
    pub token: Option<Secret>,
    /// Why the settings that name the data directory cannot be used.
    pub problem: Option<String>,
}

// === impl AdminAt ===

impl AdminAt {
    /// With the token that the node made for itself in its data directory.
    pub fn with_own_token(url: String, data: &Path) -> AdminAt {
        let reference = SecretRef::File(admin_token_path(data));
        AdminAt {
            url,
            token: untracked_secrets().value(&reference).ok(),
            problem: None,
        }
    }

    /// The same for a node on this machine whose data directory is the one of these settings; without a token for any other.
    pub fn found(url: &str) -> AdminAt {
        let host = url::Url::parse(url)
            .ok()
            .and_then(|url| url.host().map(|host| host.to_owned()));
        let is_local = match host {
            Some(url::Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
            Some(url::Host::Ipv4(address)) => address.is_loopback(),
            Some(url::Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        };
        match Config::load(Flags::default()) {
            Ok(config) if is_local => AdminAt::with_own_token(url.to_owned(), &config.data),
            Err(error) if is_local => AdminAt {
                problem: Some(error.to_string()),
                ..AdminAt::open(url)
            },
            _ => AdminAt::open(url),
        }
    }

    /// Without a token.
    pub fn open(url: &str) -> AdminAt {
        AdminAt {
            url: url.to_owned(),
            token: None,
            problem: None,
        }
    }

    /// Asks by GET, or by POST of JSON. Status and body of the answer.
    pub async fn ask(&self, path: &str, post: Option<String>) -> anyhow::Result<(u16, String)> {
        let url = format!("{}{path}", self.url.trim_end_matches('/'));
        let token = self
            .token
            .as_ref()
            .map(|token| format!("Bearer {}", String::from_utf8_lossy(token.expose())));
        let is_json = post
            .as_ref()
            .map(|_| ("Content-Type".to_owned(), "application/json".to_owned()));
        let headers = token
            .map(|value| ("Authorization".to_owned(), value))
            .into_iter()
            .chain(is_json)
            .collect();
        let method = if post.is_some() { "POST" } else { "GET" };
        let outgoing = Outgoing {
            method: method.into(),
            url: url.clone(),
            headers,
            body: post.unwrap_or_default().into(),
            timeout: ADMIN_TIMEOUT,
            untrusted: Default::default(),
            memory: None,
        };
        let target = url.split('?').next().unwrap_or_default();
        call(target, outgoing).await.with_context(|| {
            format!(
                "no node has its admin listener at {}: --admin URL names another one, and --data DIR of `events` and `rows` reads the ledger of \
                 one that is stopped",
                self.url
            )
        })
    }
}

/// Asks the ledger of a stopped node: the same answers as those of the admin API.
pub async fn ask_ledger(
    data: &Path,
    path: &str,
    post: Option<String>,
) -> anyhow::Result<(u16, String)> {
    anyhow::ensure!(
        data.join("ledger.db").exists(),
        "{} has no ledger: name the data directory of a node",
        data.display()
    );
    anyhow::ensure!(
        !path.starts_with("/api/hooks"),
        "only a running node knows its hooks: leave out --data"
    );
    let config = Config::load(Flags {
        data: Some(data.into()),
        ..Flags::default()
    })?;
    let ledger =
        open_ledger(&config).context("--data reads the ledger of a node that is not running")?;
    let events = landfall_admin::events::Events {
        ledger: ledger.clone(),
        running: None,
    };
    let answer = landfall_admin::events::answer_one(events, path, post).await;
    ledger.close().await;
    answer
}

/// Copies the ledger of a data directory, also of a node that is running.
pub fn backup(data: &Path, to: &Path) -> anyhow::Result<BackedUp> {
    Ok(landfall_ledger::backup(data, to, Clock::System.now())?)
}

/// The operator's own calls may go anywhere.
async fn call(target: &str, outgoing: Outgoing) -> anyhow::Result<(u16, String)> {
    let policy = Policy::anywhere(vec![target.parse().map_err(anyhow::Error::msg)?]);
    let client = Client::without_credentials(policy);
    let received = client.send(outgoing, "landfall").await?;
    Ok((
        received.status,
        String::from_utf8_lossy(&received.body).into_owned(),
    ))
}

const ADMIN_TIMEOUT: Duration = Duration::from_secs(10);

/// Of the admin listener. Its connections are apart from `limits.connections`.
const ADMIN_LIMITS: EdgeLimits = EdgeLimits {
    connections: 64,
    head_timeout: Duration::from_secs(10),
    keep_alive: Duration::from_secs(60),
    body_timeout: Duration::from_secs(30),
    queue_timeout: Duration::ZERO,
    body_memory: 0,
};

/// Longer than any provider waits.
const SEND_TIMEOUT: Duration = Duration::from_secs(120);

/// A node that is bound to its addresses and not yet serving.
pub struct App {
    config: Config,
    engine: Arc<Engine>,
    edge: Arc<Edge>,
    secrets: Arc<Secrets>,
    admin_token: SecretRef,
    listener: TcpListener,
    admin_listener: TcpListener,
}

// === impl App ===

impl App {
    /// Everything that can fail, before anybody is listened to: addresses first, because they fail most.
    pub async fn start(mut config: Config) -> anyhow::Result<App> {
        let listener = bind(config.listen, "listen").await?;
        let admin_listener = bind(config.admin_listen, "admin.listen").await?;
        prepare_dirs(&config)?;
        config.edge.connections = descriptors::reserve(config.edge.connections);
        for warning in writable_by_others(&config) {
            tracing::warn!("{warning}");
        }
        for gap in Confinement::probe()?.gaps() {
            tracing::warn!("{gap}");
        }
        let secrets = new_secrets(&config);
        let admin_token = admin_token(&config)?;
        secrets.track_own(std::slice::from_ref(&admin_token)).await;
        let ledger = match &config.ledger_url {
            None => open_ledger(&config)?,
            Some(url) => connect_ledger(&config, url, &secrets).await?,
        };
        let engine = Arc::new(Engine::new(
            engine_settings(&config)?,
            Some(ledger.clone()),
        )?);
        // Not before the engine has opened the map of its own pages, which nobody may do any more after this.
        keep_memory_private();
        let broker = match &config.queue {
            None => None,
            Some(spec) => Some(connect_broker(spec, &config.queue_key, &secrets).await?),
        };
        for fact in facts(broker.as_ref()).await {
            tracing::info!("{fact}");
        }
        if may_sleep(&config) {
            tracing::warn!("{SLEEPS}");
        }
        let hooks = Hooks::start(setup(&config, engine.clone(), secrets.clone()));
        let targets = Arc::new(Served(hooks.clone()));
        let delivery = Delivery::new(ledger, broker, targets, Clock::System)
            .await
            .context("the ledger cannot be read")?;
        let push = config.queue.as_ref().and_then(BrokerSpec::push);
        let keys = Some(config.data.join("key-documents"));
        let edge = Edge::new(
            hooks,
            secrets.clone(),
            delivery,
            config.edge,
            config.trusted_proxies.clone(),
            push,
            keys,
            Clock::System,
        )?;
        Ok(App {
            config,
            engine,
            edge,
            secrets,
            admin_token,
            listener,
            admin_listener,
        })
    }

    /// Where it listens: public, admin.
    pub fn addresses(&self) -> std::io::Result<(std::net::SocketAddr, std::net::SocketAddr)> {
        Ok((
            self.listener.local_addr()?,
            self.admin_listener.local_addr()?,
        ))
    }

    /// The served hooks.
    pub fn hooks(&self) -> &Hooks {
        &self.edge.hooks
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

        self.edge.delivery.queue().ledger().close().await;
        let problem = |status: &HookStatus| {
            let why = status.problem.as_deref().unwrap_or("no reason is known");
            format!("{} ({}): {why}", status.name, status.state)
        };
        let problems: Vec<String> = not_served.iter().map(problem).collect();
        anyhow::bail!(
            "--strict: {} of the hook files are not served: fix or remove them\n{}",
            problems.len(),
            problems.join("\n")
        )
    }

    /// Serves until asked to stop, then drains: readiness off, no new connections, what runs may end.
    pub async fn serve(self, shutdown: Shutdown) -> anyhow::Result<()> {
        let (public, admin_at) = self.addresses()?;
        tokio::spawn(self.secrets.clone().run_refresh());
        tokio::spawn(self.edge.documents.clone().run_refresh());
        let delivery = self.edge.delivery.clone();
        tokio::spawn(delivery.clone().dispatch_for_ever());
        tokio::spawn(delivery.clone().beat_for_ever());
        tokio::spawn(delivery.clone().hear_for_ever());
        tokio::spawn(delivery.clone().take_for_ever());
        tokio::spawn(delivery.clone().answer_for_ever());
        tokio::spawn(delivery.clone().prune_for_ever());
        let admin = self.admin_router();
        tokio::spawn(serve_router(
            self.admin_listener,
            admin,
            ADMIN_LIMITS,
            std::future::pending(),
        ));
        tracing::info!(listen = %public, admin = %admin_at, plugins = %self.config.plugins.display(), "serving");
        tokio::spawn(reload_for_ever(
            shutdown.clone(),
            self.edge.hooks.clone(),
            self.secrets.clone(),
        ));
        let (edge, asked_at) = (self.edge.clone(), Arc::new(OnceLock::new()));
        let stop = {
            let (asked_at, delivery) = (asked_at.clone(), delivery.clone());
            async move {
                shutdown.asked().await;
                edge.drain();
                delivery.stop();
                asked_at.set(Instant::now()).ok();
            }
        };
        let drain = self.config.drain;
        landfall_edge::serve(self.listener, &self.edge, self.config.http2, stop, drain).await;
        // A caller that hung up has no connection any more, but its attempt may still run.
        let left = drain.saturating_sub(asked_at.get().map_or(drain, Instant::elapsed));
        if tokio::time::timeout(left, self.engine.idle())
            .await
            .is_err()
        {
            tracing::warn!("attempts still running at the end of the drain: cut");
        }
        let given = tokio::time::timeout(GIVE_BACK_WITHIN, delivery.queue().give_back()).await;
        match given.unwrap_or(Err(LedgerError::Busy)) {
            Ok(0) => {}
            Ok(count) => tracing::info!(count, "deliveries given back: the next start runs them"),
            Err(error) => {
                tracing::error!(%error, "deliveries cannot be given back: their leases run out")
            }
        }
        let ledger = delivery.queue().ledger();
        match ledger.is_shared() {
            true => tokio::time::timeout(GIVE_BACK_WITHIN, ledger.close())
                .await
                .unwrap_or_default(),
            false => ledger.close().await,
        }
        tracing::info!("stopped");
        Ok(())
    }

    fn admin_router(&self) -> axum::Router {
        let (edge, counted, refusing) = (self.edge.clone(), self.edge.clone(), self.edge.clone());
        let engine = self.engine.clone();
        landfall_admin::router(Admin {
            metrics: Arc::new(move || {
                let delivery = &counted.delivery;
                let of_edge = counted.counters.text(
                    delivery.dropped(),
                    &delivery.attempts(),
                    &delivery.repeats(),
                    &delivery.refused_messages(),
                );
                of_edge + &metrics::text(delivery, &engine)
            }),
            plugins: {
                let plugins = &self.config.plugins;
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
            hooks: self.edge.hooks.clone(),
            refusals: self.edge.refusals.clone(),
            not_ready: Arc::new(move || edge.not_ready()),
            guard: Guard::new(
                self.admin_token.clone(),
                self.secrets.clone(),
                self.config.admin_hosts.iter().cloned(),
                Arc::new(move |refused| refuse_admin(&refusing, refused)),
            ),
            ledger: self.edge.delivery.queue().ledger().clone(),
            delivery: self.edge.delivery.clone(),
        })
    }
}

/// SIGHUP: whatever is read again by itself is read again now.
async fn reload_for_ever(shutdown: Shutdown, hooks: Hooks, secrets: Arc<Secrets>) {
    let mut reloads = shutdown.reloads();
    while reloads.changed().await.is_ok() {
        hooks.look_again();
        for sources in [Sources::Local, Sources::Remote] {
            let secrets = secrets.clone();
            tokio::spawn(async move { secrets.refresh(sources).await });
        }
    }
}

/// The hooks that are served, as `delivery` sees them.
struct Served(Hooks);

impl Targets for Served {
    fn find(&self, hook: &str) -> Option<Target> {
        self.0.named(hook)?.target()
    }

    fn names(&self) -> Vec<Arc<str>> {
        self.0.names()
    }
}

/// A stop is over in time, whoever does not answer.
const GIVE_BACK_WITHIN: Duration = Duration::from_millis(700);

/// Where a sync has failed, nobody knows what is on the disk until it is opened anew.
const EXIT_LEDGER: i32 = 70;

fn open_ledger(config: &Config) -> anyhow::Result<Arc<dyn Ledger>> {
    let fatal: OnFatal = Arc::new(|error: &LedgerError| {
        tracing::error!(%error, "the ledger has failed: the process ends, and the next start says what was kept");
        std::process::exit(EXIT_LEDGER);
    });
    let settings = SqliteSettings {
        min_free_space: config.min_free_space,
        reserve: config.reserve,
        retention: config.retention,
        recover_with_data_loss: config.recover_with_data_loss,
    };
    let (ledger, recovered) =
        landfall_ledger::open(&config.data, settings, Clock::System.now(), fatal)?;
    if recovered.freed > 0 {
        tracing::warn!(
            freed = recovered.freed,
            given_up = recovered.given_up,
            "an earlier process ended in the middle of attempts: they are run again, or dead after three of those"
        );
    }
    Ok(ledger)
}

/// The ledger that nodes share.
async fn connect_ledger(
    config: &Config,
    url: &CredentialText,
    secrets: &Secrets,
) -> anyhow::Result<Arc<dyn Ledger>> {
    let url = with_secrets(url, secrets, "the URL of the ledger").await?;
    let settings = PostgresSettings {
        url,
        tls: landfall_egress::tls(),
        retention: config.retention,
    };
    Ok(landfall_ledger::connect(settings).await?)
}

const SLEEPS: &str = "on Cloud Run nothing runs between requests, unless its processor is always allotted: let the queue call (queue.push_to)";

/// Events wait where somebody has to fetch them, and may do so only during requests.
fn may_sleep(config: &Config) -> bool {
    config.on_cloud_run
        && config
            .queue
            .as_ref()
            .is_some_and(|queue| queue.push().is_none())
}

/// What `landfall doctor` says of one part of a node: its name, and what is promised there, or what is wrong.
pub type Finding = (&'static str, Result<Vec<String>, String>);

/// Asks everything that a node of these settings would rest on; streams that are not there yet are made.
pub async fn doctor(config: &Config) -> Vec<Finding> {
    let secrets = new_secrets(config);
    let ledger = match &config.ledger_url {
        None => Ok(vec![format!(
            "a file in {}, synced with every event that is accepted",
            config.data.display()
        )]),
        Some(url) => ledger_facts(config, url, &secrets)
            .await
            .map_err(|error| format!("{error:#}")),
    };
    let queue = match &config.queue {
        None => Ok(vec!["in the ledger".into()]),
        Some(spec) => queue_facts(config, spec, &secrets).await,
    };
    let platform = match (config.cannot_queue(), config.on_cloud_run) {
        (Some(why), _) => Err(format!("a hook with mode = \"async\" or \"auto\" {why}")),
        (None, true) if may_sleep(config) => Ok(vec!["Cloud Run".into(), SLEEPS.into()]),
        (None, true) => Ok(vec!["Cloud Run".into()]),
        (None, false) => Ok(Vec::new()),
    };
    vec![
        ("ledger", ledger),
        ("queue", queue),
        ("platform", platform),
        ("cache", cache_facts(config)),
        ("compiler", compiler_facts()),
    ]
}

fn cache_facts(config: &Config) -> Result<Vec<String>, String> {
    let dir = cache_dir(config);
    let size = |bytes: u64| bytesize::ByteSize(bytes).display().iec().to_string();
    match landfall_engine::cache_use(&dir, config.cache_max_size) {
        Ok(CacheUse {
            components,
            bytes,
            max_size,
        }) => Ok(vec![format!(
            "compiled components: {components} in {}, {} of at most {} (cache.max_size)",
            dir.display(),
            size(bytes),
            size(max_size)
        )]),
        Err(error) => Err(format!(
            "the node does not start: the cache of compiled components, {}, {error}",
            dir.display()
        )),
    }
}

/// How the process that compiles components is confined.
fn compiler_facts() -> Result<Vec<String>, String> {
    let found = Confinement::probe().map_err(|error| {
        format!("components do not compile, because their compiler cannot be confined: {error:#}")
    })?;
    let gaps = found.gaps().into_iter().map(String::from);
    Ok([found.summary()].into_iter().chain(gaps).collect())
}

async fn ledger_facts(
    config: &Config,
    url: &CredentialText,
    secrets: &Secrets,
) -> anyhow::Result<Vec<String>> {
    let url = with_secrets(url, secrets, "the URL of the ledger").await?;
    let settings = PostgresSettings {
        url,
        tls: landfall_egress::tls(),
        retention: config.retention,
    };
    Ok(landfall_ledger::describe(settings).await?)
}

async fn queue_facts(
    config: &Config,
    spec: &BrokerSpec,
    secrets: &Arc<Secrets>,
) -> Result<Vec<String>, String> {
    let broker = connect_broker(spec, &config.queue_key, secrets)
        .await
        .map_err(|error| format!("{error:#}"))?;
    if let Some(why) = spec.token().and_then(|token| secrets.value(&token).err()) {
        return Err(format!("events are refused: {why}"));
    }
    match broker.problem().await {
        None => Ok(broker.facts().await),
        Some(why) => Err(format!("events are refused: {why}")),
    }
}

/// Where events wait.
async fn connect_broker(
    spec: &BrokerSpec,
    keys: &[SecretRef],
    secrets: &Arc<Secrets>,
) -> anyhow::Result<Broker> {
    let servers = match spec {
        BrokerSpec::Nats(spec) => {
            with_secrets(&spec.servers, secrets, "the URL of the queue").await?
        }
        BrokerSpec::PubSub(_) | BrokerSpec::CloudTasks(_) => String::new(),
    };
    let own: Vec<SecretRef> = spec
        .token()
        .into_iter()
        .chain(keys.iter().cloned())
        .collect();
    secrets.track_own(&own).await;
    landfall_broker::connect(spec.clone(), &servers, keys.to_vec(), secrets.clone())
        .await
        .map_err(anyhow::Error::msg)
}

async fn facts(broker: Option<&Broker>) -> Vec<String> {
    match broker {
        None => Vec::new(),
        Some(broker) => broker.facts().await,
    }
}

/// A URL that may hold a password: no error repeats it.
async fn with_secrets(
    url: &CredentialText,
    secrets: &Secrets,
    what: &'static str,
) -> anyhow::Result<String> {
    let mut text = Vec::new();
    for part in url {
        match part {
            CredentialPart::Literal(literal) => text.extend_from_slice(literal.as_bytes()),
            CredentialPart::Secret(reference) => {
                secrets.track_own(std::slice::from_ref(reference)).await;
                let value = secrets.value(reference).context(what)?;
                // Alone it is a URL, in one it is a part of it.
                match url.len() {
                    1 => text.extend_from_slice(value.expose()),
                    _ => text.extend(
                        percent_encoding::percent_encode(value.expose(), NON_ALPHANUMERIC)
                            .to_string()
                            .bytes(),
                    ),
                }
            }
        }
    }
    String::from_utf8(text).map_err(|_| anyhow::anyhow!("{what} is not text"))
}

/// Plugins, packs, settings, and secrets in files of the node, that other users can change.
pub fn writable_by_others(config: &Config) -> Vec<String> {
    let own = config.secret_grant.own.iter().filter_map(|own| match own {
        SecretRef::File(path) => Some(path.clone()),
        _ => None,
    });
    let secrets = config.secret_grant.hooks_path.clone();
    let settings = config
        .secret_grant
        .own_paths
        .iter()
        .filter(|path| path.is_file())
        .cloned();
    let plugins = [config.plugins.clone(), config.plugins.join("providers")]
        .into_iter()
        .chain(config.bundled.clone());
    writable::warnings(plugins.chain(own).chain(secrets).chain(settings))
}

/// What `landfall check` says: how each hook would stand.
pub async fn check(config: &Config) -> anyhow::Result<Hooks> {
    prepare_dirs(config)?;
    let secrets = new_secrets(config);
    let engine = Arc::new(Engine::new(engine_settings(config)?, None)?);
    Ok(Hooks::once(setup(config, engine, secrets)).await)
}

fn setup(config: &Config, engine: Arc<Engine>, secrets: Arc<Secrets>) -> Setup {
    Setup {
        engine,
        secrets,
        dir: config.plugins.clone(),
        bundled: config.bundled.clone(),
        scan_interval: config.scan_interval,
        cannot_queue: config.cannot_queue(),
        cannot_keep: config.cannot_keep(),
        cannot_order: matches!(config.queue, Some(BrokerSpec::CloudTasks(_))),
        bodies: config.edge.body_memory,
        readiness: config.readiness,
        platform: Platform {
            timeout: config.platform_timeout,
            runs_in_requests: config
                .queue
                .as_ref()
                .is_some_and(|queue| queue.push().is_some()),
        },
    }
}

fn engine_settings(config: &Config) -> anyhow::Result<EngineSettings> {
    Ok(EngineSettings {
        cache: cache_dir(config),
        cache_max_size: config.cache_max_size,
        bundled: config.bundled.clone(),
        compiler: compiler()?,
        running: config.max_concurrency,
        limits: config.component,
    })
}

fn cache_dir(config: &Config) -> PathBuf {
    config.data.join("compiled")
}

/// This binary: it has the `compile` command.
pub fn compiler() -> anyhow::Result<PathBuf> {
    // Not by name where it can be helped: an upgrade may have put another file there.
    let running = PathBuf::from("/proc/self/exe");
    if running.exists() {
        return Ok(running);
    }
    std::env::current_exe()
        .context("cannot find the path of this binary, which compiles components")
}

/// No core dumps, and no other process of this user reads the memory: secrets are in it.
fn keep_memory_private() {
    use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    let done = setrlimit(Resource::Core, none)
        .and_then(|()| set_dumpable_behavior(DumpableBehavior::NotDumpable));
    if let Err(error) = done {
        tracing::warn!(%error, "core dumps cannot be switched off: one would hold secrets");
    }
}

/// The one that is configured, or the node's own.
fn admin_token(config: &Config) -> anyhow::Result<SecretRef> {
    if let Some(token) = &config.admin_token {
        return Ok(token.clone());
    }
    let path = admin_token_path(&config.data);
    create_admin_token(&config.data).with_context(|| {
        format!(
            "{} cannot be written: make the data directory writable, or set admin.token (LANDFALL_ADMIN_TOKEN)",
            path.display()
        )
    })
}

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

fn prepare_dirs(config: &Config) -> anyhow::Result<()> {
    let (data, plugins) = (&config.data, &config.plugins);
    // The plugins directory is not created: a wrong path, or a volume that is not mounted, must not look like a node without hooks.
    let mut entries = std::fs::read_dir(plugins).with_context(|| {
        format!(
            "plugins = {} cannot be read: create the directory, or name another with --plugins (LANDFALL_PLUGINS)",
            plugins.display()
        )
    })?;
    if entries.next().is_none() {
        let plugins = plugins.display();
        tracing::warn!(%plugins, "the plugins directory is empty: every request is answered 404 until you put a hook file into it");
    }
    // A mounted directory may be read only; it is there already.
    if !data.is_dir() {
        // Events are in the data directory: it is for this user alone.
        let made = DirBuilder::new().recursive(true).mode(0o700).create(data);
        made.with_context(|| format!("data = {} cannot be made", data.display()))?;
    }
    Ok(())
}

async fn bind(address: std::net::SocketAddr, key: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("{key} = {address} cannot be bound: choose another address"))
}
