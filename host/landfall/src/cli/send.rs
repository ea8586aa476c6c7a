//! `landfall sign` and `landfall send`: a request as a provider sends it.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, anyhow, bail, ensure};
use clap::Args;
use serde_json::{Value, json};
use url::Url;

use super::output::say;
use super::providers::named_packs;
use crate::app::{self, SampleRequest, SignedSample};
use landfall_model::{Secret, SecretRef};

/// What to make.
#[derive(Debug, Args)]
pub(super) struct SignFlags {
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
pub(super) fn sign(flags: &SignFlags) -> anyhow::Result<ExitCode> {
    let request = sample(flags)?;
    if flags.json {
        say!("{}", described(&request));
        return Ok(ExitCode::SUCCESS);
    }

    let secret = match &flags.secret {
        Some(text) => {
            let reference: SecretRef = text.parse().map_err(anyhow::Error::msg)?;
            Some(ShellSecret::new(
                &app::secret_value(&reference)?,
                &reference,
            ))
        }
        None => None,
    };
    say!("{}", curl(&request, None, secret.as_ref())?);
    Ok(ExitCode::SUCCESS)
}

/// A secret that a command reads when it runs, so that it is not printed.
pub(super) struct ShellSecret {
    value: String,
    /// What a shell replaces by the value. `None`: it is neither in a variable nor in a file.
    word: Option<String>,
}

// === impl ShellSecret ===

impl ShellSecret {
    pub(super) fn new(value: &Secret, reference: &SecretRef) -> ShellSecret {
        let word = match reference {
            SecretRef::Env(name) if is_variable(name) => Some(format!("\"${name}\"")),
            SecretRef::File(path) => {
                let path = quoted(&path.display().to_string());
                Some(format!("\"$(cat {path})\""))
            }
            SecretRef::Env(_) | SecretRef::Remote(_) => None,
        };
        ShellSecret {
            value: String::from_utf8_lossy(value.expose()).into_owned(),
            word,
        }
    }

    /// The flag and its argument for a header, and whether they have the secret.
    fn header(&self, name: &str, value: &str, word: &str) -> (String, bool) {
        let is_basic = name.eq_ignore_ascii_case("authorization") && value.starts_with("Basic ");
        if is_basic && !value.contains(&self.value) {
            // The whole secret, `user:password`, which curl encodes.
            return (format!("-u {word}"), true);
        }
        let (argument, has_it) = self.argument(&format!("{name}: {value}"), word);
        (format!("-H {argument}"), has_it)
    }

    /// The text as one argument, with `word` in place of the secret.
    fn argument(&self, text: &str, word: &str) -> (String, bool) {
        if self.value.is_empty() || !text.contains(&self.value) {
            return (quoted(text), false);
        }
        let parts = text.split(&self.value);
        let parts = parts.map(|part| {
            if part.is_empty() {
                String::new()
            } else {
                quoted(part)
            }
        });
        (parts.collect::<Vec<_>>().join(word), true)
    }
}

/// Whether a shell can name the variable.
fn is_variable(name: &str) -> bool {
    let is_start = |first: char| first.is_ascii_alphabetic() || first == '_';
    name.starts_with(is_start) && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// The request as a command to paste into a shell. `file` has the body, if signing has not changed
/// it. The secret is not in the command.
pub(super) fn curl(
    request: &SignedSample,
    file: Option<&Path>,
    secret: Option<&ShellSecret>,
) -> anyhow::Result<String> {
    let is_unchanged = |file: &&Path| std::fs::read(file).is_ok_and(|bytes| bytes == request.body);
    let body = match file.filter(is_unchanged) {
        Some(file) => format!("@{}", file.display()),
        None => std::str::from_utf8(&request.body)
            .context("the body is not text: use `landfall send`")?
            .to_owned(),
    };
    let headers = request.headers.iter();
    let (url, headers, body) = match secret.filter(|_| request.carries_secret) {
        None => {
            let headers =
                headers.map(|(name, value)| format!("-H {}", quoted(&format!("{name}: {value}"))));
            (quoted(&request.url), headers.collect(), quoted(&body))
        }
        Some(secret) => {
            let word = secret.word.as_deref();
            let word = word.context(
                "the request contains the secret, which is neither in a file nor in a variable: use `landfall send`",
            )?;
            let (url, in_url) = secret.argument(&request.url, word);
            let (body, in_body) = secret.argument(&body, word);
            let (headers, in_headers): (Vec<_>, Vec<_>) = headers
                .map(|(name, value)| secret.header(name, value, word))
                .unzip();
            ensure!(
                in_url || in_body || in_headers.contains(&true),
                "the request contains the secret in an encoded form: use `landfall send`"
            );
            (url, headers, body)
        }
    };
    let headers: Vec<String> = headers;
    // A body alone makes it a POST.
    let method = match request.method.as_str() {
        "POST" => String::new(),
        method => format!("-X {method} "),
    };
    Ok(format!(
        "curl -sS {method}{url} {} --data-binary {body}",
        headers.join(" ")
    ))
}

/// Sends it and prints what came back; 1 unless that is a 2xx.
pub(super) async fn send(flags: &SignFlags) -> anyhow::Result<ExitCode> {
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
    app::sample(&request, &named_packs(flags.providers.as_deref())?)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_read_the_secret_themselves() {
        let request = |url: &str, headers: &[(&str, &str)], body: &str| SignedSample {
            method: "POST".into(),
            url: url.into(),
            headers: headers
                .iter()
                .map(|(name, value)| (name.to_string(), value.to_string()))
                .collect(),
            body: body.into(),
            carries_secret: true,
        };
        let of_file = SecretRef::File("secrets/it's".into());
        let of_variable = SecretRef::Env("TOKEN".into());
        for (request, reference, expected) in [
            (
                request("http://a/", &[("x-token", "Bearer s3cret")], "{}"),
                &of_variable,
                r#"curl -sS 'http://a/' -H 'x-token: Bearer '"$TOKEN" --data-binary '{}'"#,
            ),
            (
                request("http://a/?k=s3cret&b=1", &[], "{}"),
                &of_file,
                r#"curl -sS 'http://a/?k='"$(cat 'secrets/it'\''s')"'&b=1'  --data-binary '{}'"#,
            ),
            (
                request("http://a/", &[], r#"{"token": "s3cret"}"#),
                &of_variable,
                r#"curl -sS 'http://a/'  --data-binary '{"token": "'"$TOKEN"'"}'"#,
            ),
            (
                request("http://a/", &[("authorization", "Basic czNjcmV0")], ""),
                &of_variable,
                r#"curl -sS 'http://a/' -u "$TOKEN" --data-binary ''"#,
            ),
        ] {
            let secret = ShellSecret::new(&Secret::new("s3cret"), reference);
            assert_eq!(curl(&request, None, Some(&secret)).unwrap(), expected);
        }

        let mut put = request("http://a/", &[], "{}");
        put.method = "PUT".into();
        let expected = "curl -sS -X PUT 'http://a/'  --data-binary '{}'";
        assert_eq!(curl(&put, None, None).unwrap(), expected);

        let secret = ShellSecret::new(&Secret::new("a/b"), &of_variable);
        let encoded = request("http://a/?k=a%2Fb", &[], "{}");
        let error = curl(&encoded, None, Some(&secret)).unwrap_err().to_string();
        assert!(error.contains("in an encoded form"), "{error}");
    }
}
