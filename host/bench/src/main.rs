//! `landfall-bench`: measures the binary `landfall` beside servers that do the same work, in one
//! run on one machine.
//!
//! Each measurement starts its own servers on loopback, with their files in a temporary directory.

#![deny(unsafe_code)]

mod accepting;
mod async_hook;
mod binary;
mod durable;
mod env;
mod flags;
mod forward;
mod group_commit;
mod growth;
mod handlers;
mod idle;
mod interference;
mod languages;
mod live;
mod load;
mod memory;
mod modes;
mod neighbours;
mod page;
mod plain_server;
mod plot;
mod report;
mod request;
mod search;
mod server;
mod settings;
mod start;
mod sync;
mod telemetry;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, Subcommand};
use flags::RunFlags;

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

#[derive(Debug, Subcommand)]
enum Measurement {
    /// A component in mode `sync` beside plain axum with the same work (the default).
    Sync(sync::SyncFlags),
    /// Events stored before the answer, in mode `async`, at 1, 16, 64 and 256 connections; also
    /// accepting alone, beside SQLite with group commit, and mode `auto` over `--connections`.
    Durable(durable::DurableFlags),
    /// The bundled `forward` beside a relay in plain axum and reqwest.
    Forward,
    /// What an event costs with more hooks, pending events and connections. `--connections` does not
    /// apply to the last one.
    Growth(growth::GrowthFlags),
    /// From the start of the process to the first 200, with a warm cache of compiled components.
    Start(start::StartFlags),
    /// From a component dropped into the plugins directory to its first 200.
    Drop(live::DropFlags),
    /// The memory of a node without requests. Each hook has a component of its own.
    Memory(memory::MemoryFlags),
    /// The latency of a healthy hook while each hook of a plugins directory is called beside it.
    Interference {
        /// A plugins directory. Its hooks are called with `{}` on four connections.
        dir: PathBuf,
    },
    /// The latency of a hook alone, and beside an overloaded hook of the same node.
    Neighbours(neighbours::NeighboursFlags),
    /// What open connections without a request cost.
    Idle {
        /// How many, up to `limits.connections` less `--connections`.
        count: usize,
    },
    /// The same handler in each language: size, time to compile, and what one event costs in a
    /// fresh instance, over one connection. `--component` and `--connections` do not apply.
    Languages(languages::LanguagesFlags),
    /// Lists and searches of the admin API with a million events in the ledger.
    Search(search::SearchFlags),
    /// What log lines cost of the processor time of a request in mode `sync`.
    Telemetry,
    /// What recorded attempts, shapes and encryption cost of the processor time of a request in
    /// mode `sync`.
    Settings,
    /// Write standard input into a section of a page.
    #[command(hide = true)]
    Page {
        /// The Markdown file.
        page: PathBuf,
        /// The name in the markers.
        section: String,
    },
    /// The callers of the overloaded hook of `neighbours`.
    #[command(hide = true)]
    Callers {
        /// The address of the node.
        to: SocketAddr,
        /// The file with the request.
        request: PathBuf,
    },
    /// The server that `sync`, `forward` and `durable` compare with.
    #[command(hide = true)]
    PlainServer {
        /// The address to listen on.
        listen: SocketAddr,
        /// The file with the secret.
        secret: PathBuf,
        /// Where to forward each body to. Without it the server answers by itself.
        forward_to: Option<String>,
        /// Where to store each body, as SQLite.
        #[arg(long)]
        store: Option<PathBuf>,
    },
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let Cli { run, measurement } = Cli::parse();

    match measurement.unwrap_or(Measurement::Sync(sync::SyncFlags::default())) {
        Measurement::Sync(flags) => sync::measure(&run, &flags).await,
        Measurement::Durable(flags) => durable::measure(&run, &flags).await,
        Measurement::Forward => forward::measure(&run).await,
        Measurement::Growth(flags) => growth::measure(&run, &flags).await,
        Measurement::Start(flags) => start::measure(&run, &flags).await,
        Measurement::Drop(flags) => live::measure(&run, &flags).await,
        Measurement::Memory(flags) => memory::measure(&run, &flags).await,
        Measurement::Interference { dir } => interference::measure(&run, &dir).await,
        Measurement::Neighbours(flags) => neighbours::measure(&run, &flags).await,
        Measurement::Callers { to, request } => neighbours::call(&run, to, &request).await,
        Measurement::Idle { count } => idle::measure(&run, count).await,
        Measurement::Languages(flags) => languages::measure(&run, &flags).await,
        Measurement::Search(flags) => search::measure(&run, &flags).await,
        Measurement::Telemetry => telemetry::measure(&run).await,
        Measurement::Settings => settings::measure(&run).await,
        Measurement::PlainServer {
            listen,
            secret,
            forward_to,
            store,
        } => plain_server::serve(listen, &secret, forward_to, store.as_deref()).await,
        Measurement::Page { page, section } => page::update_from_input(&page, &section),
    }
}
