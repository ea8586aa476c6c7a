//! Google Secret Manager, Cloud KMS, and Google's tokens. The identity comes from application
//! default credentials: the file that `GOOGLE_APPLICATION_CREDENTIALS` names (a service account or
//! an authorized user), else the metadata server. Sources:
//! cloud.google.com/secret-manager/docs/reference/rest, cloud.google.com/kms/docs/reference/rest,
//! cloud.google.com/docs/authentication/application-default-credentials.

use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use serde_json::{Value, json};

use landfall_config::env;
use landfall_model::{Clock, Secret};

use crate::call::{ApiCall, ApiClient, text};
use crate::error::FetchError;
use crate::tokens::{NewToken, Tokens, lifetime};

const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
/// The metadata server does not state the lifetime of an ID token, which is one hour.
const ID_TOKEN_LIFETIME: Duration = Duration::from_secs(3000);
const ASSERTION_LIFETIME_S: u64 = 3600;
const CIPHERTEXT_BYTES_MAX: u64 = 64 << 10;
const TOKEN_URL: &str = "https://oauth2.googleapis.com/token";
const JWT_GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// Access to Google's services.
#[derive(Clone, Copy)]
pub(crate) struct Gcp<'a> {
    pub(crate) api: &'a ApiClient,
    pub(crate) tokens: &'a Tokens,
    pub(crate) clock: Clock,
}

/// What a token is for.
#[derive(Clone, Copy)]
pub(crate) enum Claim<'a> {
    /// An access token for these scopes.
    Scope(&'a str),
    /// An ID token for this audience.
    Audience(&'a str),
}

/// A credentials file.
struct Credentials {
    path: PathBuf,
    fields: Value,
}

// === impl Gcp ===

impl Gcp<'_> {
    /// Secret Manager: `projects/P/secrets/NAME/versions/V`.
    pub(crate) async fn secret(self, name: &str) -> Result<Secret, FetchError> {
        let base = env::var("CLOUDSDK_API_ENDPOINT_OVERRIDES_SECRETMANAGER")
            .unwrap_or_else(|| "https://secretmanager.googleapis.com/".into());
        let url = format!("{}/v1/{name}:access", base.trim_end_matches('/'));

        let call = ApiCall::get(url, vec![self.authorization().await?]);
        let answer = self.api.send_for_json(call).await?;
        from_base64(text(&answer, "/payload/data")?)
    }

    /// Cloud KMS: decrypts a file, which contains ciphertext as bytes or as base64.
    pub(crate) async fn decrypt(self, key: &str, path: &Path) -> Result<Secret, FetchError> {
        let ciphertext = read_ciphertext(path).await?;
        let base = env::var("CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDKMS")
            .unwrap_or_else(|| "https://cloudkms.googleapis.com/".into());
        let body = json!({ "ciphertext": ciphertext }).to_string();

        let call = ApiCall {
            method: "POST",
            url: format!("{}/v1/{key}:decrypt", base.trim_end_matches('/')),
            headers: vec![
                self.authorization().await?,
                ("content-type".into(), "application/json".into()),
            ],
            body: body.into_bytes(),
        };
        let answer = self.api.send_for_json(call).await?;
        from_base64(text(&answer, "/plaintext")?)
    }

    /// A token. `key` is the file of a service account; without it, the identity is that of the
    /// node.
    pub(crate) async fn token(
        self,
        claim: Claim<'_>,
        key: Option<&Path>,
    ) -> Result<Secret, FetchError> {
        let file = key.unwrap_or(Path::new("")).display();
        let name = match claim {
            Claim::Scope(scope) => format!("gcp {scope} {file}"),
            Claim::Audience(audience) => format!("gcp-id {audience} {file}"),
        };

        let token = self.tokens.get(&name, self.request(claim, key)).await?;
        Ok(Secret::new(token))
    }

    async fn authorization(self) -> Result<(String, String), FetchError> {
        let request = self.request(Claim::Scope(SCOPE), None);
        let token = self.tokens.get("gcp", request).await?;
        Ok(("authorization".into(), format!("Bearer {token}")))
    }

    async fn request(self, claim: Claim<'_>, key: Option<&Path>) -> Result<NewToken, FetchError> {
        let path = key
            .map(Path::to_owned)
            .or_else(|| env::var("GOOGLE_APPLICATION_CREDENTIALS").map(PathBuf::from));
        let Some(path) = path else {
            return self.ask_metadata_server(claim).await.map_err(|error| {
                FetchError::NoCredentials {
                    problem: "GOOGLE_APPLICATION_CREDENTIALS is not set and there is no metadata \
                              server",
                    error: Box::new(error),
                }
            });
        };

        let credentials = Credentials::read(path).await?;
        let (url, form) = match (credentials.text("/type")?, claim) {
            ("service_account", _) => credentials.service_account_form(claim, self.clock)?,
            ("authorized_user", Claim::Scope(_)) => credentials.user_form()?,
            ("authorized_user", Claim::Audience(_)) => {
                return Err(credentials.unusable(
                    "a user's credentials give no ID token for an audience: use a service account",
                ));
            }
            (other, _) => {
                return Err(credentials.unusable(&format!(
                    "credentials of type `{other}` cannot be used: use service_account or \
                     authorized_user"
                )));
            }
        };

        let answer = self.api.send_for_json(ApiCall::form(url, form)).await?;
        new_token(&answer, claim)
    }

    async fn ask_metadata_server(self, claim: Claim<'_>) -> Result<NewToken, FetchError> {
        let host =
            env::var("GCE_METADATA_HOST").unwrap_or_else(|| "metadata.google.internal".into());
        let base = format!("http://{host}/computeMetadata/v1/instance/service-accounts/default");
        let headers = vec![("metadata-flavor".into(), "Google".into())];
        match claim {
            Claim::Scope(scope) => {
                let url = if scope == SCOPE {
                    format!("{base}/token")
                } else {
                    let scopes: Vec<_> = scope.split_whitespace().collect();
                    format!("{base}/token?scopes={}", form_encoded(&scopes.join(",")))
                };

                let answer = self.api.send_for_json(ApiCall::get(url, headers)).await?;
                new_token(&answer, claim)
            }
            Claim::Audience(audience) => {
                let audience = form_encoded(audience);
                let url = format!("{base}/identity?audience={audience}&format=full");
                let token = self.api.send(ApiCall::get(url, headers)).await?;
                Ok(NewToken {
                    token: String::from_utf8_lossy(&token).trim().to_owned(),
                    lifetime: ID_TOKEN_LIFETIME,
                })
            }
        }
    }
}

// === impl Credentials ===

/// The URL of a token server, and the form that is posted to it.
type TokenForm = (String, Vec<(&'static str, String)>);

impl Credentials {
    async fn read(path: PathBuf) -> Result<Credentials, FetchError> {
        let file = tokio::fs::read(&path)
            .await
            .map_err(|error| FetchError::file(&path, error))?;
        match serde_json::from_slice(&file) {
            Ok(fields) => Ok(Credentials { path, fields }),
            Err(_) => Err(FetchError::file(&path, "the file is not JSON")),
        }
    }

    fn text(&self, pointer: &str) -> Result<&str, FetchError> {
        text(&self.fields, pointer)
            .map_err(|_| self.unusable(&format!("the file has no `{}`", &pointer[1..])))
    }

    fn unusable(&self, why: &str) -> FetchError {
        FetchError::file(&self.path, why)
    }

    fn service_account_form(
        &self,
        claim: Claim<'_>,
        clock: Clock,
    ) -> Result<TokenForm, FetchError> {
        let token_url = self.text("/token_uri")?;
        let issued_s = clock
            .now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        let mut claims = json!({
            "iss": self.text("/client_email")?,
            "aud": token_url,
            "iat": issued_s,
            "exp": issued_s + ASSERTION_LIFETIME_S,
        });
        match claim {
            Claim::Scope(scope) => claims["scope"] = scope.into(),
            Claim::Audience(audience) => claims["target_audience"] = audience.into(),
        }

        let assertion = signed_jwt(&claims, self.text("/private_key")?)?;
        let form = vec![
            ("grant_type", JWT_GRANT.to_owned()),
            ("assertion", assertion),
        ];
        Ok((token_url.to_owned(), form))
    }

    fn user_form(&self) -> Result<TokenForm, FetchError> {
        let token_url = text(&self.fields, "/token_uri").unwrap_or(TOKEN_URL);
        let form = vec![
            ("client_id", self.text("/client_id")?.to_owned()),
            ("client_secret", self.text("/client_secret")?.to_owned()),
            ("refresh_token", self.text("/refresh_token")?.to_owned()),
            ("grant_type", "refresh_token".to_owned()),
        ];
        Ok((token_url.to_owned(), form))
    }
}

fn new_token(answer: &Value, claim: Claim<'_>) -> Result<NewToken, FetchError> {
    let field = match claim {
        Claim::Scope(_) => "/access_token",
        Claim::Audience(_) => "/id_token",
    };

    Ok(NewToken {
        token: text(answer, field)?.to_owned(),
        lifetime: lifetime(answer),
    })
}

/// A JWT as RFC 7523 requires it, signed with RS256.
fn signed_jwt(claims: &Value, private_key: &str) -> Result<String, FetchError> {
    let header = json!({ "alg": "RS256", "typ": "JWT" });
    let signed = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(header.to_string()),
        URL_SAFE_NO_PAD.encode(claims.to_string())
    );
    let signature =
        rs256_signature(signed.as_bytes(), private_key).ok_or(FetchError::PrivateKey)?;
    Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

/// None if the key is not PKCS #8 in PEM.
fn rs256_signature(signed: &[u8], private_key: &str) -> Option<Vec<u8>> {
    let base64: String = private_key
        .split("-----")
        .nth(2)?
        .split_whitespace()
        .collect();
    let der = STANDARD.decode(base64).ok()?;
    let pair = RsaKeyPair::from_pkcs8(&der).ok()?;
    let mut signature = vec![0; pair.public().modulus_len()];
    let random = ring::rand::SystemRandom::new();
    pair.sign(&RSA_PKCS1_SHA256, &random, signed, &mut signature)
        .ok()?;
    Some(signature)
}

/// The ciphertext as base64.
async fn read_ciphertext(path: &Path) -> Result<String, FetchError> {
    let file = tokio::fs::read(path)
        .await
        .map_err(|error| FetchError::file(path, error))?;
    if file.len() as u64 > CIPHERTEXT_BYTES_MAX {
        let why = format!("the file has more than {CIPHERTEXT_BYTES_MAX} bytes");
        return Err(FetchError::file(path, why));
    }

    let joined: Vec<u8> = file
        .iter()
        .copied()
        .filter(|byte| !byte.is_ascii_whitespace())
        .collect();
    if STANDARD.decode(&joined).is_ok() {
        Ok(String::from_utf8(joined).expect("base64 is text"))
    } else {
        Ok(STANDARD.encode(&file))
    }
}

fn from_base64(text: &str) -> Result<Secret, FetchError> {
    match STANDARD.decode(text) {
        Ok(bytes) => Ok(Secret::new(bytes)),
        Err(_) => Err(FetchError::InvalidBase64),
    }
}

fn form_encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}
