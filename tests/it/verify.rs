//! Proof of senders against the running node: requests as providers send them, ownership checks,
//! keys by address, packs of the operator, explanations, and secrets that appear nowhere.

mod handshake;
mod keys;
mod packs;
mod signing;

use std::process::{Command, Output};

use landfall_tests::landfall;

const WHSEC: &str = "whsec_c2VjcmV0IGtleSBvZiBzb21lIGxlbmd0aA==";

fn run(arguments: &[&str], secret: &str) -> Output {
    Command::new(landfall())
        .args(arguments)
        .env("SECRET", secret)
        .env_remove("RUST_BACKTRACE")
        .output()
        .unwrap()
}

fn said(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// A hook for a provider, with the same values that `send` is given.
fn hook(provider: &str, more: &str) -> String {
    format!("[verify]\nprovider = \"{provider}\"\nsecret = \"env:SECRET\"\n{more}")
}
