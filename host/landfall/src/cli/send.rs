//! `landfall sign` and `landfall send`: a request as a provider sends it.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, anyhow, bail, ensure};
use clap::Args;
use serde_json::{Value, json};
use url::Url;

use super::output::say;
use crate::app::{self, SampleRequest, SignedSample};

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
    /// The full URL that the provider calls and signs, if it differs from `--to`, for example
    /// behind a proxy.
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
    /// One JSON object.
    #[arg(long)]
    json: bool,
}

/// Prints the signed request as a curl to paste, or as JSON.
pub fn sign(flags: &SignFlags) -> anyhow::Result<ExitCode> {
    let request = sample(flags)?;
    if flags.json {
        say!("{}", described(&request));
        return Ok(ExitCode::SUCCESS);
    }

    say!("{}", curl(&request, None)?);
    Ok(ExitCode::SUCCESS)
}

/// The request as a command to paste into a shell. `file` has the body, if signing has not changed it.
pub(super) fn curl(request: &SignedSample, file: Option<&Path>) -> anyhow::Result<String> {
    let is_unchanged = |file: &&Path| std::fs::read(file).is_ok_and(|bytes| bytes == request.body);
    let body = match file.filter(is_unchanged) {
        Some(file) => format!("@{}", file.display()),
        None => std::str::from_utf8(&request.body)
            .context("the body is not text: use `landfall send`")?
            .to_owned(),
    };
    let headers: Vec<String> = request
        .headers
        .iter()
        .map(|(name, value)| format!("-H {}", quoted(&format!("{name}: {value}"))))
        .collect();
    Ok(format!(
        "curl -sS {} {} --data-binary {}",
        quoted(&request.url),
        headers.join(" "),
        quoted(&body)
    ))
}

/// Sends it and prints what came back; 1 unless that is a 2xx.
pub async fn send(flags: &SignFlags) -> anyhow::Result<ExitCode> {
    let (status, body) = app::send(sample(flags)?).await?;
    if flags.json {
        say!("{}", json!({ "status": status, "body": body }));
    } else {
        say!("{status}\n{body}");
    }

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

/// The request as JSON, with the body as text or hex, as `events show` has it.
fn described(request: &SignedSample) -> Value {
    let body = match std::str::from_utf8(&request.body) {
        Ok(text) => json!({ "text": text }),
        Err(_) => json!({ "hex": hex::encode(&request.body) }),
    };

    json!({
        "method": request.method,
        "url": request.url,
        "headers": request.headers,
        "body": body,
    })
}

fn sample(flags: &SignFlags) -> anyhow::Result<SignedSample> {
    check_url("--to", &flags.to)?;
    if let Some(called) = &flags.public_url {
        check_url("--public-url", called)?;
    }

    let mut config = std::collections::BTreeMap::new();
    for pair in &flags.config {
        let Some((name, value)) = pair.split_once('=') else {
            bail!("--config {pair}: write NAME=VALUE")
        };

        config.insert(name.to_owned(), value.to_owned());
    }

    let request = SampleRequest {
        event: flags.event.clone(),
        public_url: flags.public_url.clone(),
        secret: flags.secret.as_deref().map(app::secret).transpose()?,
        body: flags.body.as_ref().map(read).transpose()?,
        ..SampleRequest::of_provider(&flags.provider, config, flags.to.clone())
    };
    app::sample(&request, flags.providers.as_deref())
}

/// Refuses what no request can be sent to, and parts of a URL that a request does not carry.
fn check_url(flag: &str, typed: &str) -> anyhow::Result<()> {
    const FORM: &str = "write a URL such as http://localhost:8080/github";
    let url = Url::parse(typed).map_err(|why| anyhow!("{flag} {typed}: {why}: {FORM}"))?;
    // The parser also takes `http:host` and `http:///host`.
    let (scheme, rest) = typed.split_once("://").unwrap_or_default();
    ensure!(
        ["http", "https"].contains(&url.scheme())
            && scheme.eq_ignore_ascii_case(url.scheme())
            && !rest.starts_with(['/', '\\']),
        "{flag} {typed}: no http or https URL with a host: {FORM}"
    );
    ensure!(
        url.username().is_empty() && url.password().is_none(),
        "{flag} has a user or password: a provider signs, and does not log in; leave them out"
    );
    ensure!(
        url.fragment().is_none(),
        "{flag} {typed}: a request carries no fragment: leave out what follows #"
    );
    Ok(())
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
