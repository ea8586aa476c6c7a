//! `landfall bench`: the same signed request through a component and through plain axum, alternating, on one machine.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;
use serde_json::json;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use super::demos::signature;
use super::load::{self, Measured};
use super::output::say;
use super::{NodeFlags, beside, build, durable, idle, relay};
use crate::app::{self, AdminAt, PlainSender, compiler};
use crate::shutdown::Shutdown;
use landfall_config::Config;

#[derive(Debug, Args)]
pub struct BenchFlags {
    /// Events accepted on stable storage instead: mode `async`, at 1, 16, 64 and 256 connections.
    #[arg(long)]
    durable: bool,
    /// Events through the bundled forward to a local server instead, beside a relay in plain axum and reqwest.
    #[arg(long, conflicts_with = "durable")]
    forward: bool,
    /// How long callers of a healthy hook wait beside each hook of this plugins directory, called by 4 connections with `{}`;
    /// one that proves its senders answers by refusing them.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["durable", "forward"])]
    beside: Option<PathBuf>,
    /// What this many open connections without a request cost instead, up to `limits.connections` less `--connections`.
    #[arg(long, value_name = "CONNECTIONS", conflicts_with_all = ["durable", "forward", "beside"])]
    idle: Option<usize>,
    /// With `--durable`: again with so many events that wait, and how soon a node with them serves.
    #[arg(long, value_name = "EVENTS", default_value_t = 0)]
    pub backlog: usize,
    /// With `--durable`: also how long callers of a healthy hook wait beside one that fails every time.
    #[arg(long)]
    pub poison: bool,
    /// One JSON object instead of a table.
    #[arg(long)]
    pub json: bool,
    /// Keep-alive connections.
    #[arg(long, default_value_t = 64)]
    pub connections: usize,
    /// Seconds of each run.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..))]
    pub seconds: u64,
    /// Runs of each server, alternating; the medians are reported.
    #[arg(long, default_value_t = 5)]
    pub rounds: usize,
    /// The component to measure [default: the bundled echo, built if needed].
    #[arg(long)]
    pub component: Option<PathBuf>,
}

/// Everything that the comparison needs on disk.
pub struct Arena {
    dir: tempfile::TempDir,
    secret: String,
}

const START_WITHIN: Duration = Duration::from_secs(60);
const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);
const STARTS: usize = 7;

/// Measures and prints.
pub async fn bench(flags: BenchFlags) -> anyhow::Result<ExitCode> {
    if flags.durable {
        return durable::bench(&flags).await;
    }
    if flags.forward {
        return relay::bench(&flags).await;
    }
    if let Some(dir) = &flags.beside {
        return beside::bench(&flags, dir).await;
    }
    if let Some(count) = flags.idle {
        return idle::bench(&flags, count).await;
    }
    let arena = Arena::make(flags.component.as_deref(), "mode = \"sync\"\n", "")?;
    let (component, plain) = (arena.serve().await?, arena.plain(None).await?);
    let (of_component, of_plain) = alternating(&flags, &arena, &component, &plain).await?;
    let memory_kib = (component.memory_kib(), plain.memory_kib());
    component.end().await?;
    plain.end().await?;
    let start = arena.start_to_first_answer().await?;
    report(&flags, of_component, of_plain, memory_kib, start);
    Ok(ExitCode::SUCCESS)
}

/// The medians of the component's node and of the plain server, measured in turns.
pub async fn alternating(
    flags: &BenchFlags,
    arena: &Arena,
    component: &Server,
    plain: &Server,
) -> anyhow::Result<(Measured, Measured)> {
    let request = arena.request();
    let time = Duration::from_secs(flags.seconds);
    let (mut of_component, mut of_plain) = (Vec::new(), Vec::new());
    for server in [plain, component] {
        load::run(
            server.address,
            &request,
            flags.connections,
            Duration::from_secs(1),
        )
        .await?;
    }
    for _ in 0..flags.rounds.max(1) {
        of_plain.push(load::run(plain.address, &request, flags.connections, time).await?);
        of_component.push(load::run(component.address, &request, flags.connections, time).await?);
    }
    Ok((median(of_component), median(of_plain)))
}

/// The yardstick's process.
pub async fn plain_server(
    listen: SocketAddr,
    secret: &Path,
    relay_to: Option<String>,
) -> anyhow::Result<ExitCode> {
    let secret = std::fs::read(secret).context("the secret cannot be read")?;
    let listener = tokio::net::TcpListener::bind(listen)
        .await
        .context("cannot listen")?;
    let config = Config::load(NodeFlags::default().into())?;
    let stop = Shutdown::on_signals()?.asked();
    let router = match relay_to.map(PlainSender::new) {
        None => app::plain_router(secret),
        Some(sender) => app::plain_relay(secret, move |headers, body| {
            sender.clone().post(headers, body)
        }),
    };
    app::serve_plain(listener, router, config.edge, stop).await;
    Ok(ExitCode::SUCCESS)
}

fn report(
    flags: &BenchFlags,
    component: Measured,
    plain: Measured,
    memory_kib: (u64, u64),
    start: Duration,
) {
    let ratio = component.per_second / plain.per_second;
    let ms = |time: Duration| (time.as_secs_f64() * 100_000.0).round() / 100.0;
    let mib = |kib: u64| (kib as f64 / 102.4).round() / 10.0;
    let side = |measured: &Measured, kib: u64| {
        json!({
            "requests_per_second": measured.per_second.round(), "p50_ms": ms(measured.p50), "p99_ms": ms(measured.p99),
            "memory_mib": mib(kib),
        })
    };
    if flags.json {
        let report = json!({
            "ratio": (ratio * 1000.0).round() / 1000.0,
            "component": side(&component, memory_kib.0),
            "plain_axum": side(&plain, memory_kib.1),
            "start_to_first_200_ms": ms(start),
            "connections": flags.connections, "seconds": flags.seconds, "rounds": flags.rounds,
        });
        say!("{report}");
        return;
    }
    say!(
        "{:<12} {:>10} {:>9} {:>9} {:>10}",
        "",
        "requests/s",
        "p50 ms",
        "p99 ms",
        "memory MiB"
    );
    for (name, measured, kib) in [
        ("component", &component, memory_kib.0),
        ("plain axum", &plain, memory_kib.1),
    ] {
        let (p50, p99) = (ms(measured.p50), ms(measured.p99));
        say!(
            "{name:<12} {:>10.0} {p50:>9.2} {p99:>9.2} {:>10.1}",
            measured.per_second,
            mib(kib)
        );
    }
    say!("ratio component / plain axum: {ratio:.3}");
    say!(
        "process start to first 200, warm cache: {:.1} ms",
        ms(start)
    );
}

fn median(mut runs: Vec<Measured>) -> Measured {
    runs.sort_by(|one, other| one.per_second.total_cmp(&other.per_second));
    runs.swap_remove(runs.len() / 2)
}

// === impl Arena ===

impl Arena {
    /// `top` stands at the top of the hook file, `more` at its end.
    pub fn make(component: Option<&Path>, top: &str, more: &str) -> anyhow::Result<Arena> {
        let dir = tempfile::tempdir().context("no place for the bench")?;
        let plugins = dir.path().join("plugins");
        std::fs::create_dir(&plugins)?;
        let wasm = match component {
            Some(path) => path.to_owned(),
            None => built("echo", &dir.path().join("built"))?,
        };
        std::fs::copy(&wasm, plugins.join("bench.wasm"))
            .with_context(|| format!("{} cannot be read", wasm.display()))?;
        let secret = "a secret for the bench".to_owned();
        std::fs::write(dir.path().join("secret"), &secret)?;
        let verify = "[verify]\nprovider = \"generic\"\nsecret = \"file:../secret\"\n";
        let hook = format!("{top}concurrency = 1000\n{verify}[dedup]\nid = \"none\"\n{more}");
        std::fs::write(plugins.join("bench.toml"), hook)?;
        Ok(Arena { dir, secret })
    }

    /// Another hook that lets everybody in, with `text` in its file.
    pub fn also(&self, name: &str, text: &str) -> anyhow::Result<()> {
        let hook = format!("{text}\n[verify]\nscheme = \"none\"\n");
        Ok(std::fs::write(
            self.dir.path().join("plugins").join(format!("{name}.toml")),
            hook,
        )?)
    }

    /// About 1.1 kB of JSON, signed, with the dozen headers that a provider sends.
    pub fn request(&self) -> Vec<u8> {
        let commit = json!({ "id": "7fd1a60b01f91b314f59955a4e4d4e80d8edf11d", "message": "Landfall bench", "added": ["README.md"],
            "author": { "name": "Mona", "email": "mona@example.com" }, "timestamp": "2026-01-31T08:15:30Z", "distinct": true });
        let body =
            json!({ "ref": "refs/heads/main", "before": "0".repeat(40), "after": "1".repeat(40), "created": false,
            "repository": { "id": 35129377, "full_name": "octo/site", "private": false, "stargazers_count": 42 },
            "commits": [commit, commit, commit], "pusher": { "name": "mona" } })
            .to_string();
        self.request_of(&body)
    }

    /// With another body.
    pub fn request_of(&self, body: &str) -> Vec<u8> {
        let signature = signature(&self.secret, body);
        let headers = [
            ("user-agent", "GitHub-Hookshot/044aadd"),
            ("accept", "*/*"),
            ("x-github-delivery", "72d3162e-cc78-11e3-81ab-4c9367dc0958"),
            ("x-github-event", "push"),
            ("x-github-hook-id", "292430182"),
            ("x-github-hook-installation-target-id", "79929171"),
            ("x-github-hook-installation-target-type", "repository"),
            ("x-forwarded-for", "192.0.2.7"),
            ("x-signature", signature.as_str()),
        ];
        load::request("/bench", &headers, body)
    }

    /// A node with the component.
    pub async fn serve(&self) -> anyhow::Result<Server> {
        let server = self.spawn_node(ANY)?;
        self.first_answer(&server).await?;
        Ok(server)
    }

    /// A node and its admin listener.
    pub async fn serve_with_admin(&self) -> anyhow::Result<(Server, AdminAt)> {
        let admin = free_address()?;
        let server = self.spawn_node(admin)?;
        self.first_answer(&server).await?;
        Ok((
            server,
            AdminAt::with_own_token(format!("http://{admin}"), &self.dir.path().join("data")),
        ))
    }

    /// Where everything lies.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// The yardstick; with an address, the one that passes on.
    pub async fn plain(&self, relay_to: Option<&str>) -> anyhow::Result<Server> {
        let address = free_address()?;
        let secret = self.dir.path().join("secret");
        let mut command = Command::new(compiler()?);
        command
            .arg("plain-server")
            .arg(address.to_string())
            .arg(secret)
            .args(relay_to);
        let server = Server::spawn(command, address)?;
        self.first_answer(&server).await?;
        Ok(server)
    }

    fn spawn_node(&self, admin: SocketAddr) -> anyhow::Result<Server> {
        let address = free_address()?;
        let mut command = Command::new(compiler()?);
        // What a comparison drops in may be broken: hooks that serve are measured.
        command.env("LANDFALL_READINESS", "any").arg("serve").args([
            "--log",
            "error",
            "--listen",
            &address.to_string(),
            "--admin-listen",
            &admin.to_string(),
        ]);
        command
            .arg("--plugins")
            .arg(self.dir.path().join("plugins"));
        command.arg("--data").arg(self.dir.path().join("data"));
        Server::spawn(command, address)
    }

    /// From the start of the process to the first 200, the component being compiled already.
    async fn start_to_first_answer(&self) -> anyhow::Result<Duration> {
        let mut times = Vec::new();
        for _ in 0..STARTS {
            let started = Instant::now();
            let server = self.spawn_node(ANY)?;
            self.first_answer(&server).await?;
            times.push(started.elapsed());
            server.end().await?;
        }
        times.sort_unstable();
        Ok(times[times.len() / 2])
    }

    async fn first_answer(&self, server: &Server) -> anyhow::Result<()> {
        let (request, until) = (self.request(), Instant::now() + START_WITHIN);
        let mut buffer = vec![0; 64 << 10];
        while Instant::now() < until {
            if let Ok(mut stream) = TcpStream::connect(server.address).await
                && load::exchange(&mut stream, &request, &mut buffer)
                    .await
                    .is_ok_and(|status| status == 200)
            {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        anyhow::bail!("the server on {} does not answer 200", server.address)
    }
}

/// A server of the bench; killed when dropped.
pub struct Server {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
}

// === impl Server ===

impl Server {
    /// Gone when this returns: the next one wants the same data directory.
    pub async fn end(mut self) -> anyhow::Result<()> {
        Ok(self.child.kill().await?)
    }

    fn spawn(mut command: Command, address: SocketAddr) -> anyhow::Result<Server> {
        // Backtraces cost a fifth of the rate where errors are made; nobody serves with them on.
        command
            .env_remove("RUST_BACKTRACE")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .kill_on_drop(true);
        Ok(Server {
            child: command.spawn().context("the server does not start")?,
            address,
        })
    }

    /// The most memory it held.
    pub fn memory_kib(&self) -> u64 {
        self.status_kib("VmHWM:")
    }

    /// The memory that it holds now.
    pub fn resident_kib(&self) -> u64 {
        self.status_kib("VmRSS:")
    }

    /// The processor time that it has used: user and system.
    pub fn processor_time(&self) -> Duration {
        let stat = self.proc("stat");
        // After the name in parentheses, which may hold anything: fields 14 and 15 in hundredths of a second (proc(5)).
        let fields = stat
            .rsplit(')')
            .next()
            .unwrap_or_default()
            .split_whitespace();
        let ticks: u64 = fields
            .skip(11)
            .take(2)
            .filter_map(|field| field.parse::<u64>().ok())
            .sum();
        Duration::from_millis(ticks * 10)
    }

    fn status_kib(&self, key: &str) -> u64 {
        let status = self.proc("status");
        let value = status.lines().find_map(|line| line.strip_prefix(key));
        value
            .and_then(|value| value.trim().trim_end_matches(" kB").parse().ok())
            .unwrap_or(0)
    }

    fn proc(&self, file: &str) -> String {
        let text = self
            .child
            .id()
            .and_then(|id| std::fs::read_to_string(format!("/proc/{id}/{file}")).ok());
        text.unwrap_or_default()
    }
}

/// A bundled handler.
pub fn built(name: &str, out: &Path) -> anyhow::Result<PathBuf> {
    let sources = super::up::sources()
        .context("no sources of the bundled handlers here: name a file with --component")?;
    build::build(&sources, out, build::What::Packages(&[name]))?;
    Ok(out.join(format!("{name}.wasm")))
}

fn free_address() -> anyhow::Result<SocketAddr> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").context("no free port")?;
    Ok(listener.local_addr()?)
}
