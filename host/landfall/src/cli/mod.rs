//! The command line: the only module that knows flags. One function a command.

mod build;
mod changes;
mod check;
mod demos;
mod events;
mod explain;
mod manual;
mod operator;
mod output;
mod providers;
mod ready;
mod rows;
mod send;
mod served;
mod show;
mod tail;
mod target;
mod up;
mod verify;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::app::{self, App};
use crate::shutdown::Shutdown;
use crate::telemetry;
use landfall_config::{Config, Flags, LogFormat, listen_address};
use output::say;

/// A self-hosted webhook target: verifies senders, answers in time, and runs each event in a sandboxed WebAssembly component.
#[derive(Debug, Parser)]
#[command(name = "landfall", version, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Try Landfall: build the bundled handlers, write an example plugins directory, serve it, and print curl commands to paste.
    Up(NodeFlags),
    /// Run a node: serve the hooks of the plugins directory.
    Serve(ServeFlags),
    /// Load all hooks as `serve` would, print their status and exit: with 0 if all would serve, otherwise with 1.
    Check(CheckFlags),
    /// Check every dependency of this configuration (ledger, broker, platform) and the status of each hook. Exits with 1 if something is
    /// wrong.
    Doctor(CheckFlags),
    /// Check whether a running node is ready: exits with 0 if it is, otherwise with 1. For health checks.
    Ready(ready::ReadyFlags),
    /// Print what a component exports, imports and requests.
    Inspect {
        /// The component: a .wasm file.
        file: PathBuf,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Build the handlers of a cargo workspace for wasm32-wasip2. Installs the target with rustup if it is missing.
    Build {
        /// The directory of the Cargo.toml.
        #[arg(default_value = ".")]
        dir: PathBuf,
        /// The directory for the .wasm files.
        #[arg(long, default_value = "plugins")]
        out: PathBuf,
        /// Build the examples instead of the libraries.
        #[arg(long)]
        examples: bool,
        /// If a node serves the directory of `--out`: how many seconds to wait until it runs the new version. 0: do not wait.
        #[arg(long, value_name = "SECONDS", default_value_t = 120)]
        wait: u64,
        /// JSON, one object a component.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        admin: target::AdminFlags,
    },
    /// Check request vectors and ownership checks with the code that `serve` uses. Exits with 1 if one fails.
    Verify(verify::VerifyFlags),
    /// Send a sample request, signed as the provider signs it, and print the answer.
    Send(send::SignFlags),
    /// Print the request of `send` as a curl command.
    Sign(send::SignFlags),
    /// Print why a running node refused requests, and why hooks do not serve.
    Explain(explain::ExplainFlags),
    /// Print the status of a running node's hooks; pause and resume them.
    Hooks(events::HooksFlags),
    /// Find, show and follow events; replay, discard, hurry and purge them.
    Events(events::EventsFlags),
    /// Print the rows of a table.
    Rows(rows::RowsFlags),
    /// Copy a node's ledger into a new file, whether the node runs or not.
    Backup {
        /// The file to create.
        to: PathBuf,
        /// The node's data directory.
        #[arg(long, value_name = "DIR", default_value = ".landfall")]
        data: PathBuf,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// List the providers, or print how to connect one.
    Providers(providers::ProvidersFlags),
    /// Compile components to machine code, as `serve` would, for a container image.
    Precompile {
        /// The directory for the compiled files.
        #[arg(long)]
        out: PathBuf,
        /// .wasm files.
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// JSON, one object a component.
        #[arg(long)]
        json: bool,
    },
    /// Print the version.
    Version {
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Print a completion script for a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Print the manual page, or write one for each command.
    Man {
        /// Write a page for each command into this directory.
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
    },
    /// The compiler that `serve` runs as a child: a component on standard input, machine code into a file.
    #[command(hide = true)]
    Compile {
        /// The file to write.
        target: PathBuf,
    },
}

/// Flags of `serve`.
#[derive(Debug, Clone, Default, Args)]
struct ServeFlags {
    #[command(flatten)]
    node: NodeFlags,
    /// Exit with 1 and print the errors if a hook file is not served after the start.
    #[arg(long)]
    strict: bool,
}

/// Flags of everything that is or looks like a node. Each has an environment variable too: `docs/CONFIG.md`.
#[derive(Debug, Clone, Default, Args)]
struct NodeFlags {
    /// The address of the public listener [default: 0.0.0.0:$PORT or 0.0.0.0:8080].
    #[arg(long, value_name = "ADDRESS", value_parser = listen_address)]
    listen: Option<SocketAddr>,
    /// The address of the admin listener [default: 127.0.0.1:8081].
    #[arg(long, value_name = "ADDRESS", value_parser = listen_address)]
    admin_listen: Option<SocketAddr>,
    /// The directory of components and hook files [default: plugins, for `up` .landfall/plugins].
    #[arg(long, value_name = "DIR")]
    plugins: Option<PathBuf>,
    /// The data directory: ledger, compiled components, admin token [default: .landfall].
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// A second directory of components, searched after `--plugins`.
    #[arg(long, value_name = "DIR")]
    bundled: Option<PathBuf>,
    /// The settings file [default: landfall.toml, if it exists].
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Accept HTTP/2 without TLS beside HTTP/1.1.
    #[arg(long)]
    http2: bool,
    /// Start with a ledger that has lost acknowledged events. A damaged log is kept as a copy.
    #[arg(long)]
    recover_with_data_loss: bool,
    /// Store events on a disk that is memory, as on Cloud Run. They are lost when the instance ends.
    #[arg(long)]
    allow_ephemeral_ledger: bool,
    #[arg(long, hide = true, num_args = 0, default_missing_value = "", value_parser = renamed_to_recover)]
    accept_data_loss: Option<String>,
    #[arg(long, hide = true, num_args = 0, default_missing_value = "", value_parser = renamed_to_allow)]
    accept_losing_events: Option<String>,
    /// The format of log lines [default: text on a terminal, otherwise json].
    #[arg(long, value_enum, value_name = "FORMAT")]
    log_format: Option<Format>,
    /// `error`, `warn`, `info`, `debug`, or a filter such as `landfall_edge=debug,info` [default: info].
    #[arg(long, value_name = "LEVEL")]
    log: Option<String>,
}

#[derive(Debug, Args)]
struct CheckFlags {
    #[command(flatten)]
    node: NodeFlags,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    Text,
    Json,
    CloudLogging,
}

/// Runs the command of these arguments. What fails is one sentence on standard error.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let cli = match manual::parse(&arguments) {
        Ok(cli) => cli,
        Err(usage) => {
            usage.print().ok();
            return ExitCode::from(usage.exit_code() as u8);
        }
    };
    dispatch(cli.command).unwrap_or_else(|error| {
        eprintln!("landfall: {error:#}");
        ExitCode::FAILURE
    })
}

fn dispatch(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Compile { target } => app::compile_child(&target),
        Command::Up(flags) => block_on(up::up(flags)),
        Command::Serve(flags) => block_on(serve(flags)),
        Command::Check(flags) => block_on(check::check(flags.node, flags.json)),
        Command::Doctor(flags) => block_on(check::doctor(flags.node, flags.json)),
        Command::Version { json } => {
            let version = env!("CARGO_PKG_VERSION");
            if json {
                say!("{}", serde_json::json!({ "version": version }))
            } else {
                say!("landfall {version}")
            }
            Ok(ExitCode::SUCCESS)
        }
        Command::Completions { shell } => manual::completions(shell),
        Command::Man { out } => manual::man(out.as_deref()),
        Command::Ready(flags) => block_on(ready::ready(&flags)),
        Command::Inspect { file, json } => check::inspect(&file, json),
        Command::Build {
            dir,
            out,
            examples,
            wait,
            json,
            admin,
        } => {
            let what = if examples {
                build::What::Examples
            } else {
                build::What::All
            };
            let built = build::build(&dir, &out, what)?;
            let limit = Duration::from_secs(wait);
            block_on(served::wait(&admin, &out, &built, limit, json))
        }
        Command::Verify(flags) => verify::verify(&flags),
        Command::Send(flags) => block_on(send::send(&flags)),
        Command::Sign(flags) => send::sign(&flags),
        Command::Explain(flags) => block_on(explain::explain(&flags)),
        Command::Hooks(flags) => block_on(events::hooks(&flags)),
        Command::Events(flags) => block_on(events::events(&flags)),
        Command::Rows(flags) => block_on(rows::rows(&flags)),
        Command::Backup { to, data, json } => backup(&data, &to, json),
        Command::Providers(flags) => providers::providers(&flags),
        Command::Precompile { out, files, json } => block_on(precompile(&out, &files, json)),
    }
}

async fn serve(
    ServeFlags {
        node: flags,
        strict,
    }: ServeFlags,
) -> anyhow::Result<ExitCode> {
    // Kill points of tests; they stay until the process ends.
    #[cfg(debug_assertions)]
    std::mem::forget(fail::FailScenario::setup());
    let config = node_config(flags)?;
    telemetry::start(config.log_format, &config.log_level)?;
    let shutdown = Shutdown::on_signals()?;
    let app = App::start(config).await?;
    if strict {
        app.ensure_all_served().await?;
    }
    app.serve(shutdown).await?;
    Ok(ExitCode::SUCCESS)
}

/// The settings of a node; a variable that is no setting is an error.
fn node_config(flags: NodeFlags) -> anyhow::Result<Config> {
    Config::reject_unknown_variables()?;
    Ok(Config::load(flags.into())?)
}

fn backup(data: &std::path::Path, to: &std::path::Path, as_json: bool) -> anyhow::Result<ExitCode> {
    let app::BackedUp {
        bytes,
        events,
        open,
    } = app::backup(data, to)?;
    if as_json {
        say!(
            "{}",
            serde_json::json!({ "file": to, "events": events, "open": open, "bytes": bytes })
        )
    } else {
        say!(
            "{}: {events} events, {open} of them still to be handled, {bytes} bytes",
            to.display()
        )
    }
    Ok(ExitCode::SUCCESS)
}

async fn precompile(
    out: &std::path::Path,
    files: &[PathBuf],
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    std::fs::create_dir_all(out).with_context(|| format!("{} cannot be made", out.display()))?;
    let compiler = app::compiler()?;
    for file in files {
        let bytes =
            std::fs::read(file).with_context(|| format!("{} cannot be read", file.display()))?;
        let written = app::precompile(&compiler, out, &file.display().to_string(), bytes).await?;
        match as_json {
            true => say!(
                "{}",
                serde_json::json!({ "file": file, "compiled": written })
            ),
            false => say!("{}", written.display()),
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn block_on(command: impl Future<Output = anyhow::Result<ExitCode>>) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let runtime = runtime.context("the executor does not start")?;
    let ended = runtime.block_on(command);
    // The process ends now. A thread that hangs in a file system must not keep it from that, and what still runs must not find
    // half of its executor gone.
    std::mem::forget(runtime);
    ended
}

fn renamed_to_recover(_: &str) -> Result<String, &'static str> {
    Err("this flag is now --recover-with-data-loss")
}

fn renamed_to_allow(_: &str) -> Result<String, &'static str> {
    Err("this flag is now --allow-ephemeral-ledger")
}

impl From<NodeFlags> for Flags {
    fn from(flags: NodeFlags) -> Flags {
        Flags {
            config: flags.config,
            listen: flags.listen,
            admin_listen: flags.admin_listen,
            plugins: flags.plugins,
            data: flags.data,
            bundled: flags.bundled,
            http2: flags.http2.then_some(true),
            recover_with_data_loss: flags.recover_with_data_loss,
            allow_ephemeral_ledger: flags.allow_ephemeral_ledger,
            log_format: flags.log_format.map(|format| match format {
                Format::Text => LogFormat::Text,
                Format::Json => LogFormat::Json,
                Format::CloudLogging => LogFormat::CloudLogging,
            }),
            log_level: flags.log,
        }
    }
}
