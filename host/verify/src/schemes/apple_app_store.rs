//! App Store Server Notifications, version 2: the body contains a JSON web signature (RFC 7515)
//! whose header carries its certificate chain. The chain must end at Apple's root, carry Apple's
//! extensions for receipts, and be valid now. Sources:
//! developer.apple.com/documentation/appstoreservernotifications and
//! apple/app-store-server-library-python (`appstoreserverlibrary/signed_data_verifier.py`).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::{CertificateDer, UnixTime};
use serde_json::{Map, Value};
use thiserror::Error;
use webpki::{
    EndEntityCert, ExtendedKeyUsageValidator, KeyPurposeIdIter, anchor_from_trusted_cert,
    ring as algorithms,
};
use x509_cert::Certificate;
use x509_cert::der::{self, Decode, Encode};

use crate::algorithm::is_fixed_ecdsa_signed;
use crate::certificate::{PemError, pem_bytes};
use crate::jwt::Token;
use crate::keys::VerifyContext;
use crate::refusal::{Reason, Refusal, malformed};
use crate::view::View;
use landfall_model::ValueLocation;

/// Apple Root CA - G3. SHA-256: 63343abfb89a6a03ebb57e9b3f5fa7be7c4f5c756f3017b3a8c488c3653e9179.
const APPLE_ROOT_CA_G3: &str = include_str!("apple_root_ca_g3.pem");
/// The extension of leaf certificates that sign for the App Store.
const LEAF_MARKER: &str = "1.2.840.113635.100.6.11.1";
/// The extension of the intermediate certificates of Apple's Worldwide Developer Relations.
const INTERMEDIATE_MARKER: &str = "1.2.840.113635.100.6.2.1";
const CERTIFICATE_BYTES_MAX: usize = 8 << 10;
const ENVIRONMENTS: [&str; 2] = ["Production", "Sandbox"];

/// The app whose notifications are accepted.
#[derive(Debug, Clone, PartialEq)]
pub struct AppleAppStore {
    pub(crate) bundle_ids: Vec<String>,
    pub(crate) environments: Vec<String>,
    /// The app's Apple id; `None` allows any app with one of the bundle ids.
    pub(crate) app_apple_id: Option<String>,
    /// Root certificates besides Apple's, in DER.
    pub(crate) roots: Vec<Vec<u8>>,
}

/// Why the configured values name no app.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum AppStoreConfigError {
    #[error(
        "config.bundle_id is missing: write the bundle id of your app, such as \"com.example.app\""
    )]
    NoBundleId,
    #[error("config.environment is missing: write \"Production\" or \"Sandbox\"")]
    NoEnvironment,
    #[error("config.root_certificates {0}")]
    Pem(#[from] PemError),
    #[error("config.root_certificates is neither PEM nor base64")]
    NeitherPemNorBase64,
    #[error("config.root_certificates cannot be read: {0}")]
    UnusableRoot(webpki::Error),
}

/// Why a certificate chain does not end at a pinned root.
#[derive(Debug, Error)]
enum ChainError {
    #[error("one cannot be read: {0}")]
    Malformed(#[from] der::Error),
    #[error("one lacks the extension {0}")]
    NoMarker(&'static str),
    #[error("the first one cannot be read: {0}")]
    UnusableLeaf(webpki::Error),
    #[error("{0}")]
    Untrusted(webpki::Error),
    #[error("the first one is not issued by the second")]
    OtherIssuer,
}

/// Accepts every extended key usage: Apple's certificates are identified by their extensions.
struct AnyUsage;

impl ExtendedKeyUsageValidator for AnyUsage {
    fn validate(&self, _: KeyPurposeIdIter<'_, '_>) -> Result<(), webpki::Error> {
        Ok(())
    }
}

// === impl AppleAppStore ===

impl AppleAppStore {
    /// Checks the configured values. The error says what to write.
    pub(crate) fn new(
        bundle_ids: &[String],
        environments: &[String],
        app_apple_id: Option<String>,
        roots: &[String],
    ) -> Result<AppleAppStore, AppStoreConfigError> {
        if bundle_ids.is_empty() || bundle_ids.iter().any(String::is_empty) {
            return Err(AppStoreConfigError::NoBundleId);
        }

        let mut names = environments.iter().map(String::as_str);
        if environments.is_empty() || !names.all(|name| ENVIRONMENTS.contains(&name)) {
            return Err(AppStoreConfigError::NoEnvironment);
        }

        let roots = roots
            .iter()
            .map(|root| root_certificate(root))
            .collect::<Result<_, _>>()?;

        Ok(AppleAppStore {
            bundle_ids: bundle_ids.to_vec(),
            environments: environments.to_vec(),
            app_apple_id,
            roots,
        })
    }

    pub(crate) fn check(
        &self,
        view: &View<'_>,
        context: &VerifyContext<'_>,
    ) -> Result<(), Refusal> {
        if view.json().is_none() {
            return Err(Refusal::new(
                Reason::MalformedBody,
                "the body is not JSON, or too large",
            ));
        }

        let text = view.find(&ValueLocation::Json("/signedPayload".into()), false);
        let text = text.map_err(|_| {
            Refusal::new(Reason::MissingSignature, "JSON /signedPayload is missing")
        })?;
        let text = std::str::from_utf8(&text).map_err(|_| malformed("not text"))?;
        let token = Token::parse(text)?;
        if token.header.contains_key("crit") {
            return Err(malformed(
                "the signature has critical extensions, and none is known",
            ));
        }

        if token.header.get("alg").and_then(Value::as_str) != Some("ES256") {
            return Err(Refusal::new(
                Reason::AlgorithmNotAllowed,
                "alg is not ES256",
            ));
        }

        let [leaf, intermediate] = certificates(&token.header)?;
        // Request vectors without a time check the certificates at the signed time.
        let now = context.now.unwrap_or_else(|| signed_date(&token.claims));

        self.check_chain(&leaf, &intermediate, now).map_err(|why| {
            Refusal::new(
                Reason::SignatureMismatch,
                format!("the certificates are not Apple's: {why}"),
            )
        })?;

        let key = public_key(&leaf).map_err(malformed)?;
        if !is_fixed_ecdsa_signed(&key, token.signed.as_bytes(), &token.signature) {
            return Err(super::common::mismatch());
        }

        self.check_claims(&token.claims)?;
        view.keep_claims(token.claims);
        Ok(())
    }

    /// Checks the chain: leaf, intermediate, and a pinned root.
    fn check_chain(
        &self,
        leaf: &[u8],
        intermediate: &[u8],
        now: SystemTime,
    ) -> Result<(), ChainError> {
        has_marker(leaf, LEAF_MARKER)?;
        has_marker(intermediate, INTERMEDIATE_MARKER)?;
        let apple = root_certificate(APPLE_ROOT_CA_G3).expect("the embedded certificate is PEM");

        let roots: Vec<CertificateDer<'_>> = self
            .roots
            .iter()
            .chain([&apple])
            .map(|root| CertificateDer::from(root.as_slice()))
            .collect();

        let anchors: Vec<_> = roots
            .iter()
            .filter_map(|root| anchor_from_trusted_cert(root).ok())
            .collect();

        let signatures = [
            algorithms::ECDSA_P256_SHA256,
            algorithms::ECDSA_P256_SHA384,
            algorithms::ECDSA_P384_SHA256,
            algorithms::ECDSA_P384_SHA384,
        ];

        let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let leaf = CertificateDer::from(leaf);
        let leaf = EndEntityCert::try_from(&leaf).map_err(ChainError::UnusableLeaf)?;
        let intermediates = [CertificateDer::from(intermediate)];

        let path = leaf
            .verify_for_usage(
                &signatures,
                &anchors,
                &intermediates,
                UnixTime::since_unix_epoch(since),
                AnyUsage,
                None,
                None,
            )
            .map_err(ChainError::Untrusted)?;

        if path.intermediate_certificates().count() == 1 {
            Ok(())
        } else {
            Err(ChainError::OtherIssuer)
        }
    }

    fn check_claims(&self, claims: &Map<String, Value>) -> Result<(), Refusal> {
        // Each notification type has one of these fields.
        let about = ["data", "summary", "externalPurchaseToken", "appData"].into_iter();
        let (kind, about) = about
            .filter_map(|name| Some((name, claims.get(name)?.as_object()?)))
            .next()
            .ok_or_else(|| other_app("no app"))?;

        if !is_one(&self.bundle_ids, text(about, "bundleId")) {
            return Err(other_app("another bundle id than config.bundle_id"));
        }

        if let Some(expected) = &self.app_apple_id
            && about.get("appAppleId").map(Value::to_string).as_ref() != Some(expected)
        {
            return Err(other_app("another app than config.app_apple_id"));
        }

        let environment = match kind {
            // Only the id tells the environment.
            "externalPurchaseToken" => {
                if text(about, "externalPurchaseId").is_some_and(|id| id.starts_with("SANDBOX")) {
                    Some("Sandbox")
                } else {
                    Some("Production")
                }
            }
            _ => text(about, "environment"),
        };
        if is_one(&self.environments, environment) {
            Ok(())
        } else {
            Err(other_app("another environment than config.environment"))
        }
    }
}

/// The time at which the notification was signed.
fn signed_date(claims: &Map<String, Value>) -> SystemTime {
    let ms = claims.get("signedDate").and_then(Value::as_u64);
    UNIX_EPOCH + Duration::from_millis(ms.unwrap_or_default())
}

fn text<'a>(about: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    about.get(name).and_then(Value::as_str)
}

fn is_one(known: &[String], given: Option<&str>) -> bool {
    known.iter().any(|one| Some(one.as_str()) == given)
}

fn other_app(what: &str) -> Refusal {
    Refusal::new(
        Reason::AudienceMismatch,
        format!("the notification is for {what}"),
    )
}

/// The leaf and intermediate of a header with three certificates. The root that is sent is ignored,
/// because roots are pinned.
fn certificates(header: &Map<String, Value>) -> Result<[Vec<u8>; 2], Refusal> {
    let chain = header
        .get("x5c")
        .and_then(Value::as_array)
        .map(Vec::as_slice);

    let Some([leaf, intermediate, _]) = chain else {
        return Err(malformed("x5c does not hold three certificates"));
    };

    Ok([decode_certificate(leaf)?, decode_certificate(intermediate)?])
}

fn decode_certificate(certificate: &Value) -> Result<Vec<u8>, Refusal> {
    let text = certificate
        .as_str()
        .filter(|text| text.len() <= CERTIFICATE_BYTES_MAX);
    let text = text.ok_or_else(|| malformed("a certificate is not text, or it is too long"))?;

    STANDARD
        .decode(text)
        .map_err(|_| malformed("a certificate is not base64"))
}

fn has_marker(der: &[u8], marker: &'static str) -> Result<(), ChainError> {
    let certificate = Certificate::from_der(der)?;
    let extensions = certificate.tbs_certificate.extensions.unwrap_or_default();
    if extensions
        .iter()
        .any(|extension| extension.extn_id.to_string() == marker)
    {
        Ok(())
    } else {
        Err(ChainError::NoMarker(marker))
    }
}

fn public_key(der: &[u8]) -> Result<Vec<u8>, der::Error> {
    let certificate = Certificate::from_der(der)?;
    certificate.tbs_certificate.subject_public_key_info.to_der()
}

/// Parses a certificate in PEM, or in DER as base64.
fn root_certificate(text: &str) -> Result<Vec<u8>, AppStoreConfigError> {
    let der = if text.contains("-----BEGIN") {
        pem_bytes(text, "CERTIFICATE")?
    } else {
        STANDARD
            .decode(text.trim())
            .map_err(|_| AppStoreConfigError::NeitherPemNorBase64)?
    };

    anchor_from_trusted_cert(&CertificateDer::from(der.as_slice()))
        .map_err(AppStoreConfigError::UnusableRoot)?;

    Ok(der)
}

#[cfg(test)]
#[path = "apple_app_store_tests.rs"]
mod tests;
