//! Makes every connection: resolves a name once, checks each address it got, connects to one that was checked.

use std::future::Future;
use std::io;
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

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Every address of the name is special and none was named by the operator.
    #[error(
        "`{host}` is {address}, which is not a public address: name it in `[allow] addresses` if it is meant"
    )]
    Denied {
        /// As called.
        host: String,
        /// The first one that was refused.
        address: IpAddr,
    },
    /// The name does not resolve.
    #[error("`{host}` does not resolve: {why}")]
    Unresolved {
        /// As called.
        host: String,
        /// What the resolver said.
        why: String,
    },
    /// Nobody answers there.
    #[error("no connection to `{host}`: {why}")]
    Unreachable {
        /// As called.
        host: String,
        /// What the system said of the last address.
        why: String,
    },
}

/// Connects under the grants of one hook.
#[derive(Debug, Clone)]
pub struct Connector {
    policy: Arc<Policy>,
}

// === impl Connector ===

impl Connector {
    pub fn new(policy: Arc<Policy>) -> Connector {
        Connector { policy }
    }

    async fn connect(self, uri: Uri) -> Result<TokioIo<TcpStream>, ConnectError> {
        let host = uri
            .host()
            .unwrap_or_default()
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned();
        let port = uri
            .port_u16()
            .unwrap_or(if uri.scheme_str() == Some("https") {
                443
            } else {
                80
            });
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

    /// The addresses that may be connected to. Literals go through the same check as names.
    async fn checked(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, ConnectError> {
        let unresolved = |why: String| ConnectError::Unresolved {
            host: host.into(),
            why,
        };
        let literal = host.parse::<IpAddr>();
        let is_literal = literal.is_ok();
        let found: Vec<SocketAddr> = match literal {
            Ok(address) => vec![SocketAddr::new(address, port)],
            Err(_) => {
                let lookup = timeout(CONNECT_TIMEOUT, tokio::net::lookup_host((host, port)));
                let found: io::Result<_> = lookup
                    .await
                    .map_err(|_| unresolved("no answer in time".into()))?;
                found
                    .map_err(|error| unresolved(error.to_string()))?
                    .take(ADDRESSES_MAX)
                    .collect()
            }
        };
        let first = found
            .first()
            .ok_or_else(|| unresolved("no address".into()))?
            .ip();
        let allowed: Vec<_> = found
            .into_iter()
            .filter(|address| self.policy.allows_address(host, address.ip(), is_literal))
            .collect();
        match allowed.is_empty() {
            true => Err(ConnectError::Denied {
                host: host.into(),
                address: first,
            }),
            false => Ok(allowed),
        }
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
