//! `landfall explain`: why requests were refused, from the node that refused them.

use std::process::ExitCode;

use anyhow::{Context, ensure};
use clap::Args;
use serde::Deserialize;

use crate::app;

/// Whom to ask.
#[derive(Debug, Args)]
pub struct ExplainFlags {
    /// Only this hook.
    hook: Option<String>,
    /// Where the node's admin listener is.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8081")]
    admin: String,
    /// `env:NAME` or `file:PATH`: the admin token, where the node has one.
    #[arg(long, value_name = "REFERENCE")]
    token: Option<String>,
    /// As JSON, one object a line.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Deserialize)]
struct Refused {
    at: String,
    hook: String,
    reason: String,
    detail: String,
    hint: Option<String>,
    client_address: Option<String>,
}

/// Newest first.
pub async fn explain(flags: &ExplainFlags) -> anyhow::Result<ExitCode> {
    let token = flags.token.as_deref().map(app::secret).transpose()?;
    let (status, text) = app::ask_admin(&flags.admin, "/api/refusals", token, None).await?;
    ensure!(status == 200, "the node answers {status}: {}", text.trim());
    let all: Vec<serde_json::Value> = serde_json::from_str(&text).context("that is no admin listener of Landfall")?;
    let wanted = |one: &&serde_json::Value| flags.hook.as_deref().is_none_or(|hook| one["hook"] == hook);
    let mut lines = Vec::new();
    for one in all.iter().filter(wanted) {
        match flags.json {
            true => lines.push(one.to_string()),
            false => lines.push(line(&serde_json::from_value(one.clone())?)),
        }
    }
    match lines.is_empty() {
        true => println!("no request was refused since the node has started"),
        false => println!("{}", lines.join("\n")),
    }
    Ok(ExitCode::SUCCESS)
}

fn line(refused: &Refused) -> String {
    let Refused { at, hook, reason, detail, .. } = refused;
    let from = refused.client_address.as_deref().map(|address| format!(" from {address}")).unwrap_or_default();
    let hint = refused.hint.as_deref().map(|hint| format!("\n  hint: {hint}")).unwrap_or_default();
    format!("{at}  {hook}  {reason}{from}\n  {detail}{hint}")
}
