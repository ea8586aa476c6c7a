//! `landfall dev`: serves a handler's folder, builds it again after each change, runs the last
//! event with the new version, and prints what has changed in the reply and the calls.

mod builds;
mod keys;
mod live;
mod node;
mod row;
mod sample;
mod session;
mod watch;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use landfall_author::{Project, ServedFolder, Sources};
use landfall_config::listen_address;

use self::builds::Builds;
use self::node::{DevNode, dev_config};
use self::session::Session;
use self::watch::{Changes, first_build, serve_hook_file, watch};
use super::flags::NodeFlags;
use crate::shutdown::Shutdown;
use crate::telemetry;

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
    /// The hook to serve, by its name or its file, if the folder has several hook files.
    #[arg(long, value_name = "FILE")]
    hook: Option<PathBuf>,
    /// Run the commands that install what is missing.
    #[arg(long)]
    install: bool,
    /// The level of the node's own log lines [default: warn].
    #[arg(long, value_name = "LEVEL")]
    log: Option<String>,
}

/// Serves until it is stopped.
pub(super) async fn dev(flags: DevFlags) -> anyhow::Result<ExitCode> {
    let project = Project::open(&flags.dir)?.choose_hook(flags.hook.as_deref())?;
    let served = ServedFolder::create(&project)?;
    serve_hook_file(&served, &project);
    let config = dev_config(NodeFlags {
        listen: flags.listen,
        admin_listen: flags.admin_listen,
        plugins: Some(served.plugins()),
        data: Some(served.data()),
        log: flags.log,
        ..NodeFlags::default()
    })?;
    let _log = telemetry::start(config.settings.log.format, &config.settings.log.level)?;

    // What changes from now on is built again.
    let mut changes: Changes = watch(Sources::watch(&project)?);
    let shutdown = Shutdown::on_signals()?;
    let mut builds = Builds::new(project.clone(), flags.install);
    let first = tokio::select! {
        first = first_build(&mut builds, &mut changes, &served, &project) => first,
        () = shutdown.clone().asked() => return Ok(ExitCode::SUCCESS),
    };
    if let Ok(built) = &first.built {
        served.update_component(&project, &built.path)?;
    }

    let node = DevNode::start(config, shutdown.clone()).await?;
    let session = Session::new(project, served, node, builds);
    session.run(first, changes, shutdown).await?;
    Ok(ExitCode::SUCCESS)
}
