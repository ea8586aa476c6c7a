//! The command line: the only module that knows flags. One function a command.

mod add;
mod audit;
mod build;
mod candidate;
mod changes;
mod check;
mod command;
mod demos;
mod dev;
mod erase;
mod events;
mod explain;
mod flags;
mod invoke;
mod kv;
mod ledger;
mod listing;
mod manual;
mod mcp;
mod new;
mod operator;
mod output;
mod providers;
mod push;
mod ready;
mod reconcile;
mod rows;
mod save;
mod send;
mod served;
mod server_sent;
mod shape;
mod show;
mod tail;
mod target;
mod test;
mod tried;
mod up;
mod verify;

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use landfall_config::Config;

use crate::app::{self, App};
use crate::shutdown::Shutdown;
use crate::telemetry;
use command::{Command, ServeFlags};
use flags::node_config;
use output::say;

/// Runs the command of these arguments. What fails is one sentence on standard error.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let cli = match manual::parse(&arguments) {
        Ok(cli) => cli,
        Err(usage) => {
            let printed = usage.print().and_then(|()| std::io::stdout().flush());
            if !usage.use_stderr() {
                output::written(printed);
            }
            return ExitCode::from(usage.exit_code() as u8);
        }
    };

    dispatch(cli.command).unwrap_or_else(|error| {
        eprintln!("landfall: {error:#}");
        ExitCode::FAILURE
    })
}

fn dispatch(command: Command) -> anyhow::Result<ExitCode> {
    // The commands that run a node check this with its settings.
    if command.asks_a_node() {
        Config::reject_unknown_variables()?;
    }

    match command {
        Command::Compile {
            target,
            functions,
            init,
        } => app::compile_child(&target, functions.as_deref(), init.as_deref()),
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
        Command::Inspect { file, json } => block_on(check::inspect(&file, json)),
        Command::New(flags) => new::new(flags),
        Command::Build(flags) => block_on(build::build(&flags)),
        Command::Dev(flags) => block_on(dev::dev(flags)),
        Command::Test(flags) => block_on(test::test(flags)),
        Command::Invoke(flags) => block_on(invoke::invoke(flags)),
        Command::Try(flags) => block_on(tried::try_component(flags)),
        Command::Add(flags) => block_on(add::add(flags)),
        Command::Push(flags) => block_on(push::push(flags)),
        Command::Verify(flags) => verify::verify(&flags),
        Command::Send(flags) => block_on(send::send(&flags)),
        Command::Sign(flags) => send::sign(&flags),
        Command::Explain(flags) => block_on(explain::explain(&flags)),
        Command::Hooks(flags) => block_on(events::hooks(&flags)),
        Command::Candidate(flags) => block_on(candidate::candidate(&flags)),
        Command::Events(flags) => block_on(events::events(&flags)),
        Command::Reconcile(flags) => block_on(reconcile::reconcile(&flags)),
        Command::Shape(flags) => block_on(shape::shape(&flags)),
        Command::Rows(flags) => block_on(rows::rows(&flags)),
        Command::Kv(flags) => block_on(kv::kv(&flags)),
        Command::Audit(flags) => block_on(audit::audit(&flags)),
        Command::Mcp(flags) => block_on(mcp::mcp(flags)),
        Command::Ledger(flags) => block_on(ledger::ledger(&flags)),
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
    let _log = telemetry::start(config.settings.log.format, &config.settings.log.level)?;
    let shutdown = Shutdown::on_signals()?;
    let app = App::start(config).await?;
    if strict {
        app.ensure_all_served().await?;
    }

    app.serve(shutdown).await?;
    Ok(ExitCode::SUCCESS)
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
    std::fs::create_dir_all(out).with_context(|| format!("{} cannot be created", out.display()))?;
    let compiler = app::compiler()?;
    for file in files {
        let bytes =
            std::fs::read(file).with_context(|| format!("{} cannot be read", file.display()))?;
        let written = app::precompile(&compiler, out, &file.display().to_string(), bytes).await?;
        if as_json {
            say!(
                "{}",
                serde_json::json!({ "file": file, "compiled": written })
            );
        } else {
            say!("{}", written.display());
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
    // The process ends now. A thread that hangs in a file system must not keep it from that, and
    // what still runs must not find half of its executor gone.
    std::mem::forget(runtime);
    ended
}
