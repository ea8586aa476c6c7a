//! `landfall-bench`: measures the binary `landfall` beside servers that do the same work, in one run on one machine.
//!
//! Each measurement starts its own servers on loopback, with their files in a temporary directory.

#![deny(unsafe_code)]

mod binary;
mod durable;
mod env;
mod forward;
mod idle;
mod interference;
mod load;
mod plain_server;
mod report;
mod request;
mod server;
mod sync;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// The same allocator as the binary that is measured.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measure Landfall on this machine.
#[derive(Debug, Parser)]
#[command(name = "landfall-bench")]
struct Cli {
    #[command(flatten)]
    run: RunFlags,
    #[command(subcommand)]
    measurement: Option<Measurement>,
}

/// What every measurement can be told.
#[derive(Debug, Clone, Args)]
struct RunFlags {
    /// The binary to measure [default: built with cargo from this workspace, in release mode].
    #[arg(long, global = true, value_name = "FILE")]
    landfall: Option<PathBuf>,
    /// The component to run [default: the bundled handler that the measurement needs, built with cargo].
    #[arg(long, global = true, value_name = "FILE")]
    component: Option<PathBuf>,
    /// Print one JSON object instead of a table.
    #[arg(long, global = true)]
    json: bool,
    /// Number of keep-alive connections.
    #[arg(long, global = true, default_value_t = 64)]
    connections: usize,
    /// Seconds of each run.
    #[arg(long, global = true, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// Runs of each server, alternating; the medians are reported.
    #[arg(long, global = true, default_value_t = 5)]
    rounds: usize,
}

#[derive(Debug, Subcommand)]
enum Measurement {
    /// A component in mode `sync` beside plain axum with the same work (the default).
    Sync,
    /// Events stored before the answer, in mode `async`, at 1, 16, 64 and 256 connections.
    Durable(durable::DurableFlags),
    /// The bundled `forward` beside a relay in plain axum and reqwest.
    Forward,
    /// The latency of a healthy hook while each hook of a plugins directory is called beside it.
    Interference {
        /// A plugins directory. Its hooks are called with `{}` on four connections.
        dir: PathBuf,
    },
    /// What open connections without a request cost.
    Idle {
        /// How many, up to `limits.connections` less `--connections`.
        count: usize,
    },
    /// The server that `sync` and `forward` compare with.
    #[command(hide = true)]
    PlainServer {
        /// The address to listen on.
        listen: SocketAddr,
        /// The file with the secret.
        secret: PathBuf,
        /// Where to forward each body to. Without it the server answers by itself.
        forward_to: Option<String>,
    },
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let Cli { run, measurement } = Cli::parse();

    match measurement.unwrap_or(Measurement::Sync) {
        Measurement::Sync => sync::measure(&run).await,
        Measurement::Durable(flags) => durable::measure(&run, &flags).await,
        Measurement::Forward => forward::measure(&run).await,
        Measurement::Interference { dir } => interference::measure(&run, &dir).await,
        Measurement::Idle { count } => idle::measure(&run, count).await,
        Measurement::PlainServer {
            listen,
            secret,
            forward_to,
        } => plain_server::serve(listen, &secret, forward_to).await,
    }
}
