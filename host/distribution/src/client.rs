//! The client for downloads and registries: it follows redirects, but never from a public host to a special address.

use std::net::IpAddr;

use landfall_egress::{Client, Policy};
use url::Url;

/// The most redirects of one call. Registries answer with the place where a blob is stored.
const REDIRECTS_MAX: u8 = 3;

/// A client for calls to the host of this URL, and to where its answers lead. Response bodies have
/// at most `body_max` bytes.
pub(crate) async fn client_for(url: &str, body_max: usize) -> Client {
    let policy = Policy::from_host(&addresses(url).await).with_redirects(REDIRECTS_MAX);
    Client::without_credentials(policy).with_body_limit(body_max)
}

/// The addresses of the host; none if it has none.
async fn addresses(url: &str) -> Vec<IpAddr> {
    let Ok(url) = Url::parse(url) else {
        return Vec::new();
    };
    let host = url.host_str().unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let port = url.port_or_known_default().unwrap_or_default();
    let found = tokio::net::lookup_host((host, port)).await;
    found.map_or_else(|_| Vec::new(), |found| found.map(|at| at.ip()).collect())
}
