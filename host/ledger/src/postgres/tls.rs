//! `sslmode` and `sslrootcert` of the database's URL, as libpq defines them. Without `sslmode`, a
//! server on another host must use TLS: otherwise a server without TLS would receive the password.

use std::net::IpAddr;
use std::sync::Arc;

use percent_encoding::percent_decode_str;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{VerifierBuilderError, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

/// The TLS options of a URL.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct TlsOptions {
    mode: Option<String>,
    /// Path of a PEM file.
    root: Option<String>,
}

/// Checks the issuer of a certificate but not its host name: `sslmode=verify-ca`.
#[derive(Debug)]
struct AnyName(Arc<WebPkiServerVerifier>);

/// Why the TLS options of a URL cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum TlsOptionError {
    #[error("sslmode is one of disable, prefer, require, verify-ca, verify-full")]
    UnknownMode,
    #[error("sslmode=verify-ca needs sslrootcert=PATH")]
    NoRoot,
    #[error("sslrootcert = {path} is not a PEM file of certificates: {why}")]
    Root { path: String, why: String },
    #[error(transparent)]
    Protocol(Error),
    #[error(transparent)]
    Verifier(VerifierBuilderError),
}

// === impl TlsOptions ===

impl TlsOptions {
    /// Removes the options from a URL. Returns both.
    pub(super) fn take_from(url: &str) -> (String, TlsOptions) {
        let host_at = url.find('@').map_or(0, |at| at + 1);
        let mut options = TlsOptions::default();
        let Some(query_at) = url[host_at..].find('?').map(|at| host_at + at) else {
            return (url.to_owned(), options);
        };

        let mut rest = Vec::new();
        for pair in url[query_at + 1..].split('&') {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = || Some(percent_decode_str(value).decode_utf8_lossy().into_owned());
            match key {
                "sslmode" => options.mode = value(),
                "sslrootcert" => options.root = value().filter(|path| path != "system"),
                _ => rest.push(pair),
            }
        }
        let mark = if rest.is_empty() { "" } else { "?" };
        (
            format!("{}{mark}{}", &url[..query_at], rest.join("&")),
            options,
        )
    }

    /// Sets the TLS mode, and returns the TLS configuration. `system` trusts the root certificates
    /// of this machine.
    pub(super) fn apply(
        &self,
        config: &mut Config,
        system: ClientConfig,
    ) -> Result<ClientConfig, TlsOptionError> {
        // With `hostaddr`, the connection goes to that address, and the name of the host is only
        // compared with the certificate.
        let is_local = config.get_hosts().iter().all(is_local)
            && config.get_hostaddrs().iter().all(IpAddr::is_loopback);
        let mode = match self.mode.as_deref() {
            None if is_local && self.root.is_none() => SslMode::Prefer,
            None | Some("require" | "verify-ca" | "verify-full") => SslMode::Require,
            Some("disable") => SslMode::Disable,
            Some("prefer") => SslMode::Prefer,
            Some(_) => {
                return Err(TlsOptionError::UnknownMode);
            }
        };
        config.ssl_mode(mode);
        let is_any_name = self.mode.as_deref() == Some("verify-ca");
        let roots = match &self.root {
            Some(path) => read_roots(path)?,
            None if is_any_name => return Err(TlsOptionError::NoRoot),
            None => return Ok(system),
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(TlsOptionError::Protocol)?;
        if !is_any_name {
            return Ok(builder.with_root_certificates(roots).with_no_client_auth());
        }
        let verifier = any_name(roots, provider)?;
        Ok(builder
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth())
    }
}

fn is_local(host: &Host) -> bool {
    match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => {
            name == "localhost"
                || name
                    .parse()
                    .is_ok_and(|address: IpAddr| address.is_loopback())
        }
    }
}

fn read_roots(path: &str) -> Result<RootCertStore, TlsOptionError> {
    let unread = |why: &dyn std::fmt::Display| TlsOptionError::Root {
        path: path.to_owned(),
        why: why.to_string(),
    };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| unread(&error))? {
        let certificate = certificate.map_err(|error| unread(&error))?;
        roots.add(certificate).map_err(|error| unread(&error))?;
    }
    if roots.is_empty() {
        Err(unread(&"it has none"))
    } else {
        Ok(roots)
    }
}

fn any_name(
    roots: RootCertStore,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<AnyName>, TlsOptionError> {
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build();
    Ok(Arc::new(AnyName(
        verifier.map_err(TlsOptionError::Verifier)?,
    )))
}

// === impl AnyName ===

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        // The name is checked last, so the issuer is valid then.
        match self
            .0
            .verify_server_cert(end_entity, intermediates, name, ocsp, now)
        {
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            verdict => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(url: &str) -> Result<SslMode, TlsOptionError> {
        let (url, options) = TlsOptions::take_from(url);
        let mut config: Config = url.parse().unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap();
        let tls = tls
            .with_root_certificates(RootCertStore::empty())
            .with_no_client_auth();
        options
            .apply(&mut config, tls)
            .map(|_| config.get_ssl_mode())
    }

    #[test]
    fn other_hosts_need_tls() {
        for local in [
            "localhost",
            "127.0.0.1",
            "[::1]",
            "%2Fvar%2Frun",
            "127.8.0.1",
        ] {
            assert_eq!(
                mode(&format!("postgres://u:p@{local}/d")).unwrap(),
                SslMode::Prefer,
                "{local}"
            );
        }
        for other in [
            "db",
            "10.1.2.3",
            "localhost.example",
            "localhost,db",
            "127.0.0.1.example",
        ] {
            assert_eq!(
                mode(&format!("postgres://u:p@{other}/d?connect_timeout=3")).unwrap(),
                SslMode::Require,
                "{other}"
            );
        }
    }

    #[test]
    fn other_addresses_need_tls() {
        for (addresses, expected) in [
            ("127.0.0.1", SslMode::Prefer),
            ("::1", SslMode::Prefer),
            ("192.0.2.2", SslMode::Require),
        ] {
            let url = format!("postgres://u:p@localhost:5555/d?hostaddr={addresses}");
            assert_eq!(mode(&url).unwrap(), expected, "{addresses}");
        }
        for url in [
            "postgres://u:p@localhost,localhost/d?hostaddr=127.0.0.1,192.0.2.2",
            "postgres:///d?user=u&password=p&hostaddr=192.0.2.2",
            "postgres://u:p@localhost/d?host=192.0.2.2",
        ] {
            assert_eq!(mode(url).unwrap(), SslMode::Require, "{url}");
        }
    }

    #[test]
    fn the_url_says_otherwise() {
        let cases = [
            ("disable", SslMode::Disable),
            ("prefer", SslMode::Prefer),
            ("require", SslMode::Require),
            ("verify-full", SslMode::Require),
        ];
        for (word, expected) in cases {
            assert_eq!(
                mode(&format!(
                    "postgres://u:p?q@db/d?sslmode={word}&connect_timeout=3"
                ))
                .unwrap(),
                expected,
                "{word}"
            );
        }
        assert!(
            mode("postgres://u:p@db/d?sslmode=verify-ca")
                .unwrap_err()
                .to_string()
                .contains("sslrootcert")
        );
        assert!(
            mode("postgres://u:p@db/d?sslmode=allow")
                .unwrap_err()
                .to_string()
                .contains("verify-full")
        );
        let missing = mode("postgres://u:p@db/d?sslrootcert=%2Fno%2Fca.pem")
            .unwrap_err()
            .to_string();
        assert!(missing.contains("sslrootcert = /no/ca.pem"), "{missing}");
        assert_eq!(
            mode("postgres://u:p@db/d?sslrootcert=system").unwrap(),
            SslMode::Require
        );
    }

    #[test]
    fn other_options_stay() {
        let (url, options) = TlsOptions::take_from("postgres://u@h/d?a=1&sslmode=require&b=2");
        assert_eq!(
            (url.as_str(), options.mode.as_deref()),
            ("postgres://u@h/d?a=1&b=2", Some("require"))
        );
    }
}
