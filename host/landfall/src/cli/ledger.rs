//! `landfall ledger encrypt`: encrypts the ledger of a stopped node.

use std::io::{IsTerminal, Write, stderr};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::ensure;
use clap::{Args, Subcommand};
use serde_json::json;

use super::output::say;
use crate::app::{self, EncryptionProgress};

/// What about a ledger.
#[derive(Debug, Args)]
pub(super) struct LedgerCommand {
    #[command(subcommand)]
    what: What,
    /// The node's data directory. Its ledger, or the one of `ledger.url`.
    #[arg(long, value_name = "DIR", default_value = ".landfall", global = true)]
    data: PathBuf,
    /// Print one JSON object.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Encrypt all that is stored with the first key of `ledger.encryption_keys`, also what is
    /// encrypted with another one. A running node does the same after its start.
    Encrypt,
}

/// Runs `landfall ledger …`.
pub(super) async fn ledger(flags: &LedgerCommand) -> anyhow::Result<ExitCode> {
    let What::Encrypt = flags.what;
    let is_terminal = stderr().is_terminal();
    let report = move |progress: &EncryptionProgress| {
        if is_terminal {
            write!(
                stderr(),
                "\r{} of {} read\x1b[K",
                progress.read,
                progress.kind
            )
            .ok();
        }
    };
    let (key, done) = app::encrypt_ledger(&flags.data, &report).await?;
    if is_terminal {
        write!(stderr(), "\r\x1b[K").ok();
    }

    let EncryptionProgress {
        read,
        encrypted,
        left,
        ..
    } = done;
    if flags.json {
        let by_key = done.by_key;
        say!(
            "{}",
            json!({ "key": key, "read": read, "encrypted": encrypted, "left": left, "by_key": by_key })
        );
    } else {
        say!("{encrypted} of {read} records were encrypted with the key {key}");
    }
    ensure!(
        left == 0,
        "{left} records cannot be read, or changed meanwhile: they stay as they are"
    );
    Ok(ExitCode::SUCCESS)
}
