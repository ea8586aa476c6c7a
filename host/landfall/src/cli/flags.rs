//! Flags of a node, and the settings that they give.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use landfall_config::{Config, Flags, LogFormat, listen_address};
use landfall_model::Clock;

/// Flags of everything that is or looks like a node. Each has an environment variable too:
/// `docs/CONFIG.md`.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct NodeFlags {
    /// The address of the public listener [default: 0.0.0.0:$PORT or 0.0.0.0:8080].
    #[arg(long, value_name = "ADDRESS", value_parser = listen_address)]
    pub(super) listen: Option<SocketAddr>,
    /// The address of the admin listener [default: 127.0.0.1:8081].
    #[arg(long, value_name = "ADDRESS", value_parser = listen_address)]
    pub(super) admin_listen: Option<SocketAddr>,
    /// The directory of components and hook files [default: plugins, for `up` .landfall/plugins].
    #[arg(long, value_name = "DIR")]
    pub(super) plugins: Option<PathBuf>,
    /// The data directory: ledger, compiled components, admin token [default: .landfall].
    #[arg(long, value_name = "DIR")]
    pub(super) data: Option<PathBuf>,
    /// A second directory of components, searched after `--plugins`.
    #[arg(long, value_name = "DIR")]
    pub(super) bundled: Option<PathBuf>,
    /// The settings file [default: landfall.toml, if it exists].
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Accept HTTP/2 without TLS beside HTTP/1.1.
    #[arg(long)]
    pub(super) http2: bool,
    /// Start with a ledger that has lost acknowledged events. A damaged log is kept as a copy.
    #[arg(long)]
    pub(super) recover_with_data_loss: bool,
    /// Store events on a disk that is memory, as on Cloud Run. They are lost when the instance
    /// ends.
    #[arg(long)]
    pub(super) allow_ephemeral_ledger: bool,
    #[arg(long, hide = true, num_args = 0, default_missing_value = "", value_parser = renamed_to_recover)]
    pub(super) accept_data_loss: Option<String>,
    #[arg(long, hide = true, num_args = 0, default_missing_value = "", value_parser = renamed_to_allow)]
    pub(super) accept_losing_events: Option<String>,
    /// The format of log lines [default: text on a terminal, otherwise json].
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub(super) log_format: Option<Format>,
    /// `error`, `warn`, `info`, `debug`, or a filter such as `landfall_edge=debug,info` [default:
    /// info].
    #[arg(long, value_name = "LEVEL")]
    pub(super) log: Option<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Format {
    Text,
    Json,
    CloudLogging,
}

/// The settings of a node; a variable that is no setting is an error.
pub(super) fn node_config(flags: NodeFlags) -> anyhow::Result<Config> {
    Config::reject_unknown_variables()?;
    Ok(Config::load(flags.into(), Clock::System)?)
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
