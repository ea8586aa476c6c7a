//! What the commands do beside a node: sign a request, call the admin API of a running node, and
//! read the ledger of a stopped one.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use landfall_admin::{Events, VIA, answer_one};
use landfall_config::{Config, Flags};
use landfall_egress::{Client, Outgoing, OutgoingError, Policy, Streamed};
use landfall_ledger::{BackedUp, EncryptionProgress};
use landfall_model::{Clock, Secret, SecretAges, SecretGrant, SecretRef, SecretSource};
use landfall_secrets::{Secrets, admin_token_path};
use landfall_verify::{Packs, SampleRequest, SignedSample};

use crate::connect::{connect_ledger, encrypted, new_secrets, open_ledger};

const ADMIN_TIMEOUT: Duration = Duration::from_secs(10);
/// Longer than any provider waits.
const SEND_TIMEOUT: Duration = Duration::from_secs(120);

/// A request as a provider sends it.
pub fn sample(request: &SampleRequest, packs: &Packs) -> anyhow::Result<SignedSample> {
    Ok(landfall_verify::sample(
        request,
        packs,
        Clock::System.now(),
    )?)
}

/// The current value of a secret.
pub fn secret(reference: &str) -> anyhow::Result<Secret> {
    let reference: SecretRef = reference.parse().map_err(anyhow::Error::msg)?;
    secret_value(&reference)
}

/// The current value of a secret that a hook file names.
pub fn secret_value(reference: &SecretRef) -> anyhow::Result<Secret> {
    Ok(untracked_secrets().value(reference)?)
}

/// Secrets for one command, which reads each of them once.
pub(crate) fn untracked_secrets() -> Secrets {
    Secrets::new(SecretAges::default(), SecretGrant::default(), Clock::System)
}

/// Sends a request to any URL. Returns status and body of the answer.
pub async fn send(request: SignedSample) -> anyhow::Result<(u16, String)> {
    let target = request.url.split('?').next().unwrap_or_default().to_owned();
    let outgoing = Outgoing {
        method: request.method,
        url: request.url,
        headers: request.headers,
        body: request.body.into(),
        timeout: SEND_TIMEOUT,
        untrusted: Default::default(),
        memory: None,
    };
    call(&target, outgoing).await.map_err(|error| match error.downcast_ref::<OutgoingError>() {
        Some(OutgoingError::Tls(why)) => anyhow::anyhow!(
            "{why}: if the server signs its certificate itself, set SSL_CERT_FILE to that certificate, or send to the node's own \
             address, such as http://127.0.0.1:8080, with --public-url"
        ),
        _ => error,
    })
}

/// The admin listener of a running node.
pub struct AdminAt {
    /// Without a path.
    pub url: String,
    /// Sent with each request, if there is one.
    pub token: Option<Secret>,
    /// Why the configuration, which names the data directory, cannot be loaded.
    pub problem: Option<String>,
    /// The requests come through the MCP server: the audit record says so, and a call may last as
    /// long as the sample that it sends.
    pub(crate) is_for_mcp: bool,
}

// === impl AdminAt ===

impl AdminAt {
    /// With the token that the node created in its data directory.
    pub fn with_own_token(url: String, data: &Path) -> AdminAt {
        let reference = SecretRef::File(admin_token_path(data));
        AdminAt {
            url,
            token: untracked_secrets().value(&reference).ok(),
            problem: None,
            is_for_mcp: false,
        }
    }

    /// For a node on this machine, with the token in the configured data directory. For any other
    /// node, without a token.
    pub fn found(url: &str) -> AdminAt {
        let host = url::Url::parse(url)
            .ok()
            .and_then(|url| url.host().map(|host| host.to_owned()));
        let is_local = match host {
            Some(url::Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
            Some(url::Host::Ipv4(address)) => address.is_loopback(),
            Some(url::Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        };

        match Config::load(Flags::default(), Clock::System) {
            Ok(config) if is_local => {
                AdminAt::with_own_token(url.to_owned(), &config.settings.data)
            }
            Err(error) if is_local => AdminAt {
                problem: Some(error.to_string()),
                ..AdminAt::open(url)
            },
            _ => AdminAt::open(url),
        }
    }

    /// Without a token.
    pub fn open(url: &str) -> AdminAt {
        AdminAt {
            url: url.to_owned(),
            token: None,
            problem: None,
            is_for_mcp: false,
        }
    }

    /// The same node, for the MCP server.
    pub(crate) fn for_mcp(self) -> AdminAt {
        AdminAt {
            is_for_mcp: true,
            ..self
        }
    }

    fn timeout(&self) -> Duration {
        if self.is_for_mcp {
            SEND_TIMEOUT + ADMIN_TIMEOUT
        } else {
            ADMIN_TIMEOUT
        }
    }

    /// Sends a GET, or a POST of JSON. Returns status and body of the answer.
    pub async fn ask(&self, path: &str, post: Option<String>) -> anyhow::Result<(u16, String)> {
        let outgoing = self.request(path, post);
        let target = target(&outgoing.url).to_owned();
        call(&target, outgoing).await.map_err(|error| {
            let sentence = self.describe_error(error.downcast_ref());
            error.context(sentence)
        })
    }

    /// Sends a GET whose answer is a stream. Returns when its head has arrived.
    pub async fn follow(&self, path: &str) -> anyhow::Result<Streamed> {
        let outgoing = self.request(path, None);
        let client = client(target(&outgoing.url))?;
        client.stream(outgoing).await.map_err(|error| {
            let sentence = self.describe_error(Some(&error));
            anyhow::Error::new(error).context(sentence)
        })
    }

    fn request(&self, path: &str, post: Option<String>) -> Outgoing {
        let token = self
            .token
            .as_ref()
            .map(|token| format!("Bearer {}", String::from_utf8_lossy(token.expose())));
        let is_json = post
            .as_ref()
            .map(|_| ("Content-Type".to_owned(), "application/json".to_owned()));
        let via = self.is_for_mcp.then(|| (VIA.to_owned(), "mcp".to_owned()));
        let headers = token
            .map(|value| ("Authorization".to_owned(), value))
            .into_iter()
            .chain(is_json)
            .chain(via)
            .collect();
        let method = if post.is_some() { "POST" } else { "GET" };
        Outgoing {
            method: method.into(),
            url: format!("{}{path}", self.url.trim_end_matches('/')),
            headers,
            body: post.unwrap_or_default().into(),
            timeout: self.timeout(),
            untrusted: Default::default(),
            memory: None,
        }
    }

    /// Why there is no answer, and what to do.
    fn describe_error(&self, error: Option<&OutgoingError>) -> String {
        let url = &self.url;
        match error {
            Some(OutgoingError::Interrupted(_)) => format!(
                "the connection to {url} broke before the answer was complete, so the node may have done what was asked: `landfall ready` says \
                 whether the node runs, `landfall events list` what has changed"
            ),
            Some(OutgoingError::Timeout(_)) => format!(
                "{url} did not answer within {} s, so the node may still do what was asked: try again when it is less busy",
                self.timeout().as_secs()
            ),
            _ => format!(
                "no node has its admin listener at {url}: --admin URL names another one, and --data DIR of `events` and `rows` reads the ledger of \
                 one that is stopped"
            ),
        }
    }
}

/// Answers a request to the admin API from the ledger of a stopped node.
pub async fn ask_ledger(
    data: &Path,
    path: &str,
    post: Option<String>,
) -> anyhow::Result<(u16, String)> {
    anyhow::ensure!(
        data.join("ledger.db").exists(),
        "{} has no ledger: name the data directory of a node",
        data.display()
    );
    // Of what the API says of hooks, only tries are in the ledger.
    let of_hook = path.strip_prefix("/api/v1/hooks/");
    let is_try = of_hook
        .and_then(|rest| rest.split('/').nth(1))
        .is_some_and(|part| part == "publish-try" || part == "tries");
    let needs_hooks = path.starts_with("/api/v1/hooks") && !is_try;
    anyhow::ensure!(
        !needs_hooks && !path.starts_with("/api/v1/reload"),
        "only a running node knows its hooks: leave out --data"
    );
    let flags = Flags {
        data: Some(data.into()),
        ..Flags::default()
    };
    let config = Config::load(flags, Clock::System)?;
    let ledger =
        open_ledger(&config).context("--data reads the ledger of a node that is not running")?;
    let (ledger, _) = encrypted(&config, ledger, &new_secrets(&config)).await?;
    let events = Events {
        ledger: ledger.clone(),
        clock: Clock::System,
        running: None,
    };
    let answer = answer_one(events, path, post).await;
    ledger.close().await;
    answer
}

/// Encrypts all that a ledger has stored with the first key. Returns the id of that key.
pub async fn encrypt_ledger(
    data: &Path,
    report: &(dyn Fn(&EncryptionProgress) + Send + Sync),
) -> anyhow::Result<(String, EncryptionProgress)> {
    let flags = Flags {
        data: Some(data.into()),
        ..Flags::default()
    };
    let config = Config::load(flags, Clock::System)?;
    let secrets = new_secrets(&config);
    let ledger = match config.ledger_url() {
        None => {
            open_ledger(&config).context("the node must not run: it encrypts its ledger itself")?
        }
        Some(url) => connect_ledger(&config, url, &secrets).await?,
    };
    let (ledger, encryption) = encrypted(&config, ledger, &secrets).await?;
    let encryption = encryption.context(
        "there is no key: set ledger.encryption_keys in landfall.toml, or LANDFALL_LEDGER_ENCRYPTION_KEYS",
    )?;
    let done = encryption.pass(Duration::ZERO, report).await;
    ledger.close().await;
    Ok((encryption.current().to_string(), done?))
}

/// Copies the ledger of a data directory, also of a node that is running.
pub fn backup(data: &Path, to: &Path) -> anyhow::Result<BackedUp> {
    Ok(landfall_ledger::backup(data, to, Clock::System.now())?)
}

/// The operator's own calls may go to any address.
pub(crate) async fn call(target: &str, outgoing: Outgoing) -> anyhow::Result<(u16, String)> {
    let received = client(target)?.send(outgoing, "landfall").await?;
    Ok((
        received.status,
        String::from_utf8_lossy(&received.body).into_owned(),
    ))
}

fn client(target: &str) -> anyhow::Result<Client> {
    let policy = Policy::anywhere(vec![target.parse().map_err(anyhow::Error::msg)?]);
    Ok(Client::without_credentials(policy))
}

/// A URL without its query.
fn target(url: &str) -> &str {
    url.split('?').next().unwrap_or_default()
}
