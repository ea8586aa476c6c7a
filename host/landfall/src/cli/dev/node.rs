//! The node of `landfall dev`: its settings, and what of it the session sees.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use landfall_author::Run;
use landfall_config::{Config, env};
use landfall_model::{Attempt, Clock};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::app::{App, Events, Hooks};
use crate::cli::flags::NodeFlags;
use crate::cli::output::say;
use crate::shutdown::Shutdown;

/// Only what needs the author's attention: this command prints attempts, calls and log lines
/// itself.
const LOG_DEFAULT: &str = "warn,landfall_dispatch=off,handler=off";
/// Attempts that have ended and are not printed yet.
const ATTEMPTS: usize = 1024;

/// A node that serves.
pub(super) struct DevNode {
    /// What it serves.
    pub hooks: Hooks,
    /// What replays events.
    pub events: Events,
    /// `http://ADDRESS` of the public listener.
    pub base: String,
    /// The address of the admin listener.
    pub admin: SocketAddr,
    /// The attempts that have ended, and the lines that the handler wrote.
    pub attempts: mpsc::Receiver<(Run, Vec<String>)>,
    /// Ends with the node.
    pub serving: JoinHandle<anyhow::Result<()>>,
}

/// The settings of the node. Neither variables nor landfall.toml count: they may name the ledger
/// and the queue of a node in production.
pub(super) fn dev_config(flags: NodeFlags) -> anyhow::Result<Config> {
    let flags = NodeFlags {
        listen: flags.listen.or(Some((Ipv4Addr::LOCALHOST, 8080).into())),
        log: flags.log.or(Some(LOG_DEFAULT.into())),
        ..flags
    };
    let config = Config::of_flags(flags.into(), Clock::System)?;
    if has_other_settings() {
        say!(
            "LANDFALL_* variables and landfall.toml are not used: the events are in .landfall/data"
        );
    }
    Ok(config)
}

/// Whether this shell or folder names the ledger or the queue of another node.
fn has_other_settings() -> bool {
    let mut variables = ["LANDFALL_LEDGER_URL", "LANDFALL_QUEUE_URL"].into_iter();
    variables.any(|name| env::var(name).is_some()) || Path::new("landfall.toml").is_file()
}

// === impl DevNode ===

impl DevNode {
    /// Starts it. It serves until `shutdown` is asked for.
    pub(super) async fn start(config: Config, shutdown: Shutdown) -> anyhow::Result<DevNode> {
        let app = App::start_for_author(config).await?;
        let (listen, admin) = app.addresses()?;
        let (report, attempts) = mpsc::channel(ATTEMPTS);
        app.observe(Box::new(move |event, number, attempt| {
            // Beyond the limit attempts are not printed; `landfall events` has them.
            report
                .try_send((Run::new(event, number, attempt), lines(attempt)))
                .ok();
        }));
        Ok(DevNode {
            hooks: app.hooks().clone(),
            events: app.events(),
            base: format!("http://{listen}"),
            admin,
            attempts,
            serving: tokio::spawn(app.serve(shutdown)),
        })
    }
}

/// The lines that the handler wrote: `info: hello`.
fn lines(attempt: &Attempt) -> Vec<String> {
    let lines = attempt.log.iter();
    lines
        .map(|line| format!("{:<5} {}", line.level, line.text))
        .collect()
}
