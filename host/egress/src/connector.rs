//! Opens every connection: resolves a name once, checks each address, connects to one that was
//! checked.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::policy::Policy;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const ADDRESSES_MAX: usize = 8;

/// Why no connection was opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    /// Every address of the host is special, and the operator granted none.
    #[error("`{host}` is {address}")]
    Denied {
        /// The host of the call.
        host: String,
        /// The first refused address.
        address: IpAddr,
    },
    /// The host name does not resolve.
    #[error("`{host}` does not resolve: {why}")]
    Unresolved {
        /// The host of the call.
        host: String,
        /// The error of the resolver.
        why: String,
    },
    /// No address accepts a connection.
    #[error("no connection to `{host}`: {why}")]
    Unreachable {
        /// The host of the call.
        host: String,
        /// The error for the last address.
        why: String,
    },
}

/// Connects within the grants of one hook.
#[derive(Debug, Clone)]
pub(crate) struct Connector {
    policy: Arc<Policy>,
}

// === impl Connector ===

impl Connector {
    pub(crate) fn new(policy: Arc<Policy>) -> Connector {
        Connector { policy }
    }

    async fn connect(self, uri: Uri) -> Result<TokioIo<TcpStream>, ConnectError> {
        let host = uri
            .host()
            .unwrap_or_default()
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned();
        let default_port = if uri.scheme_str() == Some("https") {
            443
        } else {
            80
        };

        let port = uri.port_u16().unwrap_or(default_port);

        let addresses = self.checked(&host, port).await?;
        let mut last = "no address".to_owned();
        for address in addresses {
            match timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    stream.set_nodelay(true).ok();
                    return Ok(TokioIo::new(stream));
                }
                Ok(Err(error)) => last = error.to_string(),
                Err(_) => last = format!("no answer within {} s", CONNECT_TIMEOUT.as_secs()),
            }
        }

        Err(ConnectError::Unreachable { host, why: last })
    }

    /// The addresses to which a connection may be opened. Literal addresses are checked like those
    /// of a name.
    async fn checked(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, ConnectError> {
        let literal = host.parse::<IpAddr>().ok();
        let found = match literal {
            Some(address) => vec![SocketAddr::new(address, port)],
            None => look_up(host, port).await?,
        };

        let Some(first) = found.first().map(SocketAddr::ip) else {
            return Err(unresolved(host, "no address"));
        };

        let allowed: Vec<_> = found
            .into_iter()
            .filter(|address| {
                self.policy
                    .allows_address(host, address.ip(), literal.is_some())
            })
            .collect();
        if allowed.is_empty() {
            return Err(ConnectError::Denied {
                host: host.into(),
                address: first,
            });
        }

        Ok(allowed)
    }
}

async fn look_up(host: &str, port: u16) -> Result<Vec<SocketAddr>, ConnectError> {
    let lookup = tokio::net::lookup_host((host, port));
    let found = timeout(CONNECT_TIMEOUT, lookup)
        .await
        .map_err(|_| unresolved(host, "no answer in time"))?
        .map_err(|error| unresolved(host, error.to_string()))?;
    Ok(found.take(ADDRESSES_MAX).collect())
}

fn unresolved(host: &str, why: impl Into<String>) -> ConnectError {
    ConnectError::Unresolved {
        host: host.into(),
        why: why.into(),
    }
}

impl tower::Service<Uri> for Connector {
    type Response = TokioIo<TcpStream>;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, ConnectError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        Box::pin(self.clone().connect(uri))
    }
}
