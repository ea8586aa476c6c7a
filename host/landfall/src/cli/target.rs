//! Which node a command asks, and with which admin token.

use std::path::PathBuf;

use anyhow::{Context, bail, ensure};
use clap::Args;
use landfall_egress::Streamed;
use serde_json::Value;

use crate::app::{self, AdminAt};

/// Where the node is.
#[derive(Debug, Args)]
pub(super) struct AdminFlags {
    /// The URL of the node's admin listener [default: http://127.0.0.1:8081].
    #[arg(long, value_name = "URL", env = "LANDFALL_ADMIN", global = true)]
    admin: Option<String>,
    /// A reference to the admin token: `env:NAME` or `file:PATH`. Default for a node on this
    /// machine: the file `admin-token` in its data directory (LANDFALL_DATA, or .landfall).
    #[arg(
        long,
        value_name = "REFERENCE",
        env = "LANDFALL_ADMIN_TOKEN",
        global = true
    )]
    token: Option<String>,
}

/// A node, or the ledger of one that is not running.
#[derive(Debug, Args)]
pub(super) struct LedgerFlags {
    #[command(flatten)]
    admin: AdminFlags,
    /// Read the ledger in this data directory instead. The node must not run.
    #[arg(long, value_name = "DIR", global = true)]
    data: Option<PathBuf>,
}

/// Where a node has its admin listener unless its settings say otherwise.
const ADMIN_DEFAULT: &str = "http://127.0.0.1:8081";

/// The error for an answer that is not one of the admin API.
pub(super) const NO_ADMIN: &str = "that is no admin listener of Landfall";
/// The bytes that are read of an error to a request for a stream.
const ERROR_BYTES_MAX: usize = 64 << 10;

// === impl AdminFlags ===

impl AdminFlags {
    /// The address of the admin listener.
    pub(super) fn url(&self) -> &str {
        self.admin.as_deref().unwrap_or(ADMIN_DEFAULT)
    }

    /// Whether the operator named a node, with `--admin` or LANDFALL_ADMIN.
    pub(super) fn is_given(&self) -> bool {
        self.admin.is_some()
    }

    /// Status and text of what the node answers to a GET that needs no token.
    pub(super) async fn probe(&self, path: &str) -> anyhow::Result<(u16, String)> {
        AdminAt::open(self.url()).ask(path, None).await
    }

    /// The JSON that the node answers to a GET, or to a POST of this JSON.
    pub(super) async fn ask(&self, path: &str, post: Option<&Value>) -> anyhow::Result<Value> {
        let node = self.node()?;
        let (status, text) = node.ask(path, post.map(Value::to_string)).await?;
        self.answer(&node, status, &text)
    }

    /// Status and text of what the node answers to a call of the MCP server.
    pub(super) async fn ask_for_mcp(
        &self,
        path: &str,
        post: Option<String>,
    ) -> anyhow::Result<(u16, String)> {
        self.node()?.for_mcp().ask(path, post).await
    }

    /// The stream that the node answers to a GET.
    pub(super) async fn follow(&self, path: &str) -> anyhow::Result<Streamed> {
        let node = self.node()?;
        let mut stream = node.follow(path).await?;
        if stream.status == 200 {
            return Ok(stream);
        }

        let mut text = Vec::new();
        while let Some(piece) = stream.next().await
            && text.len() < ERROR_BYTES_MAX
        {
            text.extend_from_slice(&piece?);
        }
        let text = String::from_utf8_lossy(&text);
        self.answer(&node, stream.status, &text)?;
        bail!(NO_ADMIN)
    }

    fn node(&self) -> anyhow::Result<AdminAt> {
        Ok(match &self.token {
            Some(reference) => AdminAt {
                token: Some(
                    app::secret(reference)
                        .context("the admin token of --token or LANDFALL_ADMIN_TOKEN")?,
                ),
                ..AdminAt::open(self.url())
            },
            None => AdminAt::found(self.url()),
        })
    }

    /// The JSON of an answer with status 200. Other answers are errors.
    fn answer(&self, node: &AdminAt, status: u16, text: &str) -> anyhow::Result<Value> {
        let problem = node
            .problem
            .as_ref()
            .map(|why| format!("; the settings here cannot be used: {why}"));
        ensure!(
            status != 401 || node.token.is_some(),
            "the node at {} answers 401, since it wants its admin token: run this in the folder in which that node was started, or add --token \
             file:DIR/admin-token with its data directory{}",
            self.url(),
            problem.unwrap_or_default()
        );
        let (answer, why) = read(text);
        let hint = answer
            .as_ref()
            .and_then(|json| json["hint"].as_str())
            .map(|hint| format!("; {hint}"));
        ensure!(
            status == 200,
            "the node at {} answers {status}: {why}{}",
            self.url(),
            hint.unwrap_or_default()
        );
        answer.context(NO_ADMIN)
    }
}

// === impl LedgerFlags ===

impl LedgerFlags {
    /// As `AdminFlags::ask`; with `--data` the ledger answers.
    pub(super) async fn ask(&self, path: &str, post: Option<Value>) -> anyhow::Result<Value> {
        let Some(data) = &self.data else {
            return self.admin.ask(path, post.as_ref()).await;
        };

        let (status, text) = app::ask_ledger(data, path, post.map(|json| json.to_string())).await?;
        let (answer, why) = read(&text);
        ensure!(status == 200, "{why}");
        answer.context(NO_ADMIN)
    }

    /// The stream that the node answers to a GET.
    pub(super) async fn follow(&self, path: &str) -> anyhow::Result<Streamed> {
        ensure!(
            self.data.is_none(),
            "a stopped node has no new events: leave out --data, or use `list`"
        );
        self.admin.follow(path).await
    }
}

/// The JSON, if it is some, and what it says of an error.
fn read(text: &str) -> (Option<Value>, String) {
    let answer: Option<Value> = serde_json::from_str(text).ok();
    let why = answer
        .as_ref()
        .and_then(|json| json["error"].as_str())
        .unwrap_or(text.trim())
        .to_owned();
    (answer, why)
}
