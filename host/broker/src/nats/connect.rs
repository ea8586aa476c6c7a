//! Who the servers are, who we are, and what is done when none of them answers.

use std::time::Duration;

use async_nats::{Client, ConnectErrorKind, ConnectOptions, ServerAddr};
use percent_encoding::percent_decode_str;
use tokio::sync::watch;

use super::ANSWER_WITHIN;

/// A broker that is away is tried again after this, at most, and some chance.
const RECONNECT_MAX: Duration = Duration::from_secs(4);

/// A server that is away is tried again for ever; one that does not let us in is a mistake of the settings.
/// With why the first try failed.
pub async fn connect(
    servers: &str,
    changed: &watch::Sender<()>,
) -> Result<(Client, Option<String>), String> {
    let (first, addresses) = options(servers, changed.clone())?;
    let error = match first.connect(addresses).await {
        Ok(client) => return Ok((client, None)),
        Err(error) => error,
    };
    let why = format!("the queue cannot be reached: {error}");
    // Whatever else is wrong may be the line's fault.
    if matches!(
        error.kind(),
        ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation
    ) {
        return Err(why);
    }
    tracing::error!("{why}");
    let (later, addresses) = options(servers, changed.clone())?;
    let client = later
        .retry_on_initial_connect()
        .connect(addresses)
        .await
        .map_err(|error| error.to_string())?;
    Ok((client, Some(why)))
}

fn options(
    servers: &str,
    changed: watch::Sender<()>,
) -> Result<(ConnectOptions, Vec<ServerAddr>), String> {
    // No error repeats the URL: it may hold a password.
    let wrong = || {
        "queue.url is nats://USER:${env:PASSWORD}@HOST:4222, more of them separated by commas"
            .to_owned()
    };
    let mut options = ConnectOptions::new()
        .name("landfall")
        .event_callback(move |_| {
            changed.send_replace(());
            std::future::ready(())
        })
        .connection_timeout(ANSWER_WITHIN)
        .ping_interval(Duration::from_secs(5))
        .reconnect_delay_callback(|turn| {
            let pause = Duration::from_millis(100 << turn.min(6)).min(RECONNECT_MAX);
            let chance = f64::from(getrandom::u32().unwrap_or_default()) / f64::from(u32::MAX);
            pause.mul_f64(0.5 + chance / 2.0)
        });
    let mut addresses = Vec::new();
    let mut known: Option<(String, Option<String>)> = None;
    for server in servers.split(',') {
        let mut url: url::Url = server.trim().parse().map_err(|_| wrong())?;
        let text = |part: &str| percent_decode_str(part).decode_utf8_lossy().into_owned();
        let given = (text(url.username()), url.password().map(text));
        match &known {
            _ if given.0.is_empty() => {}
            None => known = Some(given),
            Some(known) if *known == given => {}
            Some(_) => {
                return Err("the servers in queue.url are let in by one user and password, and these differ".into());
            }
        }
        url.set_username("")
            .and_then(|()| url.set_password(None))
            .map_err(|()| wrong())?;
        addresses.push(
            url.as_str()
                .trim_end_matches('/')
                .parse()
                .map_err(|_| wrong())?,
        );
    }
    options = match known {
        None => options,
        Some((token, None)) => options.token(token),
        Some((user, Some(password))) => options.user_and_password(user, password),
    };
    Ok((options, addresses))
}
