//! `landfall sign` and `landfall send`: a request as a provider sends it.

use std::io::Read;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail, ensure};
use clap::Args;

use super::output::say;
use crate::app::{self, Forged, Order};

/// What to make.
#[derive(Debug, Args)]
pub struct SignFlags {
    /// The provider; `landfall providers` lists them.
    provider: String,
    /// The type of the event, if the provider has types.
    event: Option<String>,
    /// The URL to send the request to.
    #[arg(long, value_name = "URL")]
    to: String,
    /// The full URL that the provider calls and signs, if it differs from `--to`, for example behind a proxy.
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,
    /// A reference to the secret that the hook uses: `env:NAME` or `file:PATH`.
    #[arg(long, value_name = "REFERENCE")]
    secret: Option<String>,
    /// A file with the body to send instead of the sample. `-` reads standard input.
    #[arg(long, value_name = "FILE")]
    body: Option<PathBuf>,
    /// A value of `[verify] config` that the provider signs. Can be repeated.
    #[arg(long, value_name = "NAME=VALUE")]
    config: Vec<String>,
    /// A directory of provider packs of your own, such as plugins/providers.
    #[arg(long, value_name = "DIR")]
    providers: Option<PathBuf>,
}

/// Prints the signed request as a curl to paste.
pub fn sign(flags: &SignFlags) -> anyhow::Result<ExitCode> {
    let request = forge(flags)?;
    let body =
        std::str::from_utf8(&request.body).context("the body is not text: use `landfall send`")?;
    let headers: Vec<String> = request
        .headers
        .iter()
        .map(|(name, value)| format!("-H {}", quoted(&format!("{name}: {value}"))))
        .collect();
    say!(
        "curl -sS {} {} --data-binary {}",
        quoted(&request.url),
        headers.join(" "),
        quoted(body)
    );
    Ok(ExitCode::SUCCESS)
}

/// Sends it and prints what came back; 1 unless that is a 2xx.
pub async fn send(flags: &SignFlags) -> anyhow::Result<ExitCode> {
    let (status, body) = app::send(forge(flags)?).await?;
    say!("{status}\n{body}");
    if status >= 400 {
        eprintln!(
            "landfall: the request was refused or failed: `landfall explain` and `landfall events list` of that node say why"
        );
    }
    Ok(if (200..300).contains(&status) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn forge(flags: &SignFlags) -> anyhow::Result<Forged> {
    let mut config = std::collections::BTreeMap::new();
    for pair in &flags.config {
        let Some((name, value)) = pair.split_once('=') else {
            bail!("--config {pair}: write NAME=VALUE")
        };
        config.insert(name.to_owned(), value.to_owned());
    }
    let order = Order {
        provider: flags.provider.clone(),
        event: flags.event.clone(),
        url: flags.to.clone(),
        public_url: flags.public_url.clone(),
        secret: flags.secret.as_deref().map(app::secret).transpose()?,
        body: flags.body.as_ref().map(read).transpose()?,
        config,
    };
    ensure!(
        order.url.starts_with("http"),
        "--to must be a URL such as http://localhost:8080/{}",
        order.provider
    );
    app::forge(&order, flags.providers.as_deref())
}

fn read(path: &PathBuf) -> anyhow::Result<Vec<u8>> {
    if path.as_os_str() != "-" {
        return std::fs::read(path).with_context(|| format!("{} cannot be read", path.display()));
    }
    let mut body = Vec::new();
    std::io::stdin()
        .read_to_end(&mut body)
        .context("standard input cannot be read")?;
    Ok(body)
}

/// For a POSIX shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
