//! The connections of one hook, which are kept open between calls, and the TLS settings of all.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use super::connector::Connector;
use super::policy::Policy;

const IDLE_PER_HOST_MAX: usize = 128;
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

pub(crate) type Pool = legacy::Client<HttpsConnector<Connector>, Full<Bytes>>;

/// A pool without connections, which connects where the policy allows.
pub(crate) fn new(policy: Arc<Policy>) -> Pool {
    let https = HttpsConnectorBuilder::new()
        .with_tls_config(tls())
        .https_or_http()
        .enable_all_versions()
        .wrap_connector(Connector::new(policy));
    legacy::Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_TIMEOUT)
        .pool_max_idle_per_host(IDLE_PER_HOST_MAX)
        .build(https)
}

/// The TLS settings, with the root certificates of the machine (or of `SSL_CERT_FILE` and
/// `SSL_CERT_DIR`), which are read at the first call.
pub fn tls() -> rustls::ClientConfig {
    static CONFIG: OnceLock<rustls::ClientConfig> = OnceLock::new();
    CONFIG.get_or_init(tls_of_machine).clone()
}

fn tls_of_machine() -> rustls::ClientConfig {
    let mut roots = rustls::RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        tracing::error!(
            "no root certificates on this machine: every https call will fail; install \
             ca-certificates"
        );
    }

    let provider = Arc::new(rustls::crypto::ring::default_provider());
    rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring has every default protocol version")
        .with_root_certificates(roots)
        .with_no_client_auth()
}
