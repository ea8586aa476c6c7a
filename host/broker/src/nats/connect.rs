//! The connection to the NATS servers: addresses, credentials, reconnection.

use std::time::Duration;

use async_nats::{Client, ConnectErrorKind, ConnectOptions, ServerAddr};
use percent_encoding::percent_decode_str;
use tokio::sync::watch;

use crate::error::BrokerError;

/// The longest wait for an answer of the server at the start.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest pause between two attempts to connect, before jitter.
const RECONNECT_MAX: Duration = Duration::from_secs(4);

/// Connects to one of the servers. If none answers, the client keeps trying, and the error of the
/// first attempt is returned beside it. Refused credentials are an error of the settings.
pub(super) async fn connect(
    servers: &str,
    changed: &watch::Sender<()>,
) -> Result<(Client, Option<BrokerError>), BrokerError> {
    let (first, addresses) = options(servers, changed.clone())?;
    let error = match first.connect(addresses).await {
        Ok(client) => return Ok((client, None)),
        Err(error) => error,
    };
    // Any other error may be the fault of the network.
    if matches!(
        error.kind(),
        ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation
    ) {
        return Err(BrokerError::Misconfigured(format!(
            "the queue cannot be reached: {error}"
        )));
    }
    let why = BrokerError::Unavailable(error.to_string());
    tracing::error!("{why}");
    let (later, addresses) = options(servers, changed.clone())?;
    let client = later
        .retry_on_initial_connect()
        .connect(addresses)
        .await
        .map_err(|error| BrokerError::Unavailable(error.to_string()))?;
    Ok((client, Some(why)))
}

fn options(
    servers: &str,
    changed: watch::Sender<()>,
) -> Result<(ConnectOptions, Vec<ServerAddr>), BrokerError> {
    let mut options = ConnectOptions::new()
        .name("landfall")
        .event_callback(move |_| {
            changed.send_replace(());
            std::future::ready(())
        })
        .connection_timeout(ANSWER_TIMEOUT)
        .ping_interval(Duration::from_secs(5))
        .reconnect_delay_callback(|turn| {
            let pause = Duration::from_millis(100 << turn.min(6)).min(RECONNECT_MAX);
            let chance = f64::from(getrandom::u32().unwrap_or_default()) / f64::from(u32::MAX);
            pause.mul_f64(0.5 + chance / 2.0)
        });
    let mut addresses = Vec::new();
    let mut known: Option<(String, Option<String>)> = None;
    for server in servers.split(',') {
        let mut url: url::Url = server.trim().parse().map_err(|_| wrong_url())?;
        let text = |part: &str| percent_decode_str(part).decode_utf8_lossy().into_owned();
        let given = (text(url.username()), url.password().map(text));
        match &known {
            _ if given.0.is_empty() => {}
            None => known = Some(given),
            Some(known) if *known == given => {}
            Some(_) => {
                return Err(BrokerError::Misconfigured(
                    "all servers in queue.url must have the same user and password, and these \
                     differ"
                        .into(),
                ));
            }
        }
        url.set_username("")
            .and_then(|()| url.set_password(None))
            .map_err(|()| wrong_url())?;
        addresses.push(
            url.as_str()
                .trim_end_matches('/')
                .parse()
                .map_err(|_| wrong_url())?,
        );
    }
    options = match known {
        None => options,
        Some((token, None)) => options.token(token),
        Some((user, Some(password))) => options.user_and_password(user, password),
    };
    Ok((options, addresses))
}

/// No error repeats the URL: it may hold a password.
fn wrong_url() -> BrokerError {
    BrokerError::Misconfigured(
        "queue.url is nats://USER:${env:PASSWORD}@HOST:4222, more of them separated by commas"
            .into(),
    )
}
