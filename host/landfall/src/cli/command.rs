//! Every command and its flags.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use super::flags::NodeFlags;
use super::{
    add, audit, build, candidate, dev, events, explain, invoke, kv, ledger, mcp, new, providers,
    push, ready, reconcile, rows, send, shape, test, tried, verify,
};

/// A self-hosted webhook target: verifies senders, answers in time, and runs each event in a
/// sandboxed WebAssembly component.
#[derive(Debug, Parser)]
#[command(name = "landfall", version, propagate_version = true)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Try Landfall: build the bundled handlers, write an example plugins directory, serve it, and
    /// print curl commands to paste.
    Up(NodeFlags),
    /// Run a node: serve the hooks of the plugins directory.
    Serve(ServeFlags),
    /// Load all hooks as `serve` would, print their status and exit: with 0 if all would serve,
    /// otherwise with 1.
    Check(CheckFlags),
    /// Check every dependency of this configuration (ledger, broker, platform) and the status of
    /// each hook. Exits with 1 if something is wrong.
    Doctor(CheckFlags),
    /// Check whether a running node is ready: exits with 0 if it is, otherwise with 1. For health
    /// checks.
    Ready(ready::ReadyFlags),
    /// Load a component as a node would, and print what it exports, imports and requests. Exits
    /// with 1 and the reason if a node would refuse it.
    Inspect {
        /// The component: a .wasm file.
        file: PathBuf,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Write the folder of a new handler: sources, hook file, sample event, test and SDK.
    New(new::NewFlags),
    /// Build the component of a handler's folder in any language, or the handlers of a cargo
    /// workspace, and print what a node would load.
    Build(build::BuildFlags),
    /// Serve a handler's folder. After each change, build it, load it, run the last event again and
    /// print the difference.
    Dev(dev::DevFlags),
    /// Run the test cases of a handler's folder without a node: the real engine, faked answers to
    /// outbound calls, stored values, clock and random numbers. Exits with 0 if all passed, with 1
    /// if one failed, with 2 if they cannot be run.
    Test(test::TestFlags),
    /// Run a component once without a node, and print outcome, times, memory, calls, log and reply.
    Invoke(invoke::InvokeFlags),
    /// Run the recorded attempts of a hook on another component, without an effect, and print what
    /// differs. Exits with 0 if nothing does except what `--allow` names, with 1 if something does,
    /// with 2 if nothing can be tried.
    Try(tried::TryFlags),
    /// Add a component from a file, a URL or a registry: show what it is, ask for each grant that
    /// it needs, and write it beside a hook file that pins its digest. An existing hook gets the
    /// new version.
    Add(add::AddFlags),
    /// Publish a component in a registry.
    Push(push::PushFlags),
    /// Check request vectors and ownership checks with the code that `serve` uses. Exits with 1 if
    /// one fails.
    Verify(verify::VerifyFlags),
    /// Send a sample request, signed as the provider signs it, and print the answer.
    Send(send::SignFlags),
    /// Print the request of `send` as a curl command.
    Sign(send::SignFlags),
    /// Print why a running node refused requests, and why hooks do not serve.
    Explain(explain::ExplainFlags),
    /// Print the status of a running node's hooks; pause and resume them.
    Hooks(events::HooksFlags),
    /// Print how the candidate of a hook stands; promote it or roll it back.
    Candidate(candidate::CandidateFlags),
    /// Find, show and follow events; replay, retry, discard and purge them.
    Events(events::EventsFlags),
    /// Bring the deliveries that a hook has missed, from the provider's API.
    Reconcile(reconcile::ReconcileFlags),
    /// Print what was learned of the events of a hook, where new events differ, and their types as
    /// JSON Schema, TypeScript or Rust.
    Shape(shape::ShapeFlags),
    /// Print the rows of a table.
    Rows(rows::RowsFlags),
    /// Print the key-value pairs of a hook.
    Kv(kv::KvFlags),
    /// Print the changes that operators made: who, what, when and from where.
    Audit(audit::AuditFlags),
    /// Serve the tools of a running node to an MCP client, over standard input and output: find,
    /// explain, replay and inspect, as far as the token allows.
    Mcp(mcp::McpFlags),
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
    /// Encrypt a ledger with the first of its keys.
    Ledger(ledger::LedgerCommand),
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
    /// The compiler that `serve` runs as a child: a component on standard input, machine code into
    /// a file.
    #[command(hide = true)]
    Compile {
        /// The file to write.
        target: PathBuf,
        /// The functions that are compiled already. New ones are written beside the target.
        #[arg(long)]
        functions: Option<PathBuf>,
        /// The interface with `init`, which runs before its component is compiled.
        #[arg(long)]
        init: Option<String>,
    },
}

/// Flags of `serve`.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct ServeFlags {
    #[command(flatten)]
    pub(super) node: NodeFlags,
    /// Exit with 1 and print the errors if a hook file is not served after the start.
    #[arg(long)]
    pub(super) strict: bool,
}

#[derive(Debug, Args)]
pub(super) struct CheckFlags {
    #[command(flatten)]
    pub(super) node: NodeFlags,
    /// Print one JSON object.
    #[arg(long)]
    pub(super) json: bool,
}

// === impl Command ===

impl Command {
    /// Whether the command calls the admin API of a running node.
    pub(super) fn asks_a_node(&self) -> bool {
        matches!(
            self,
            Command::Ready(_)
                | Command::Build(_)
                | Command::Explain(_)
                | Command::Hooks(_)
                | Command::Candidate(_)
                | Command::Events(_)
                | Command::Reconcile(_)
                | Command::Shape(_)
                | Command::Rows(_)
                | Command::Kv(_)
                | Command::Audit(_)
                | Command::Mcp(_)
        )
    }
}
