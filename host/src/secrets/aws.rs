//! AWS Secrets Manager. Who we are comes from the environment, the container's credentials endpoint, or the instance
//! metadata service, version 2. Sources: docs.aws.amazon.com/secretsmanager/latest/apireference and
//! docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html.

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::remote::{Call, needed, text};
use crate::config::env;
use crate::model::{Clock, Secret};

const SERVICE: &str = "secretsmanager";
const CONTAINER_HOST: &str = "http://169.254.170.2";
const INSTANCE_HOST: &str = "http://169.254.169.254";

struct Credentials {
    id: String,
    secret: String,
    session: Option<String>,
}

/// The present value of a secret, or of a field of its JSON.
pub async fn secret(id: &str, field: Option<&str>) -> Result<Secret, String> {
    let region = match env::var("AWS_REGION") {
        Some(region) => region,
        None => needed("AWS_DEFAULT_REGION", "AWS_REGION says where the secret is")?,
    };
    let endpoint = env::var("AWS_ENDPOINT_URL_SECRETS_MANAGER").or_else(|| env::var("AWS_ENDPOINT_URL"));
    let url = endpoint.unwrap_or_else(|| format!("https://{SERVICE}.{region}.amazonaws.com"));
    let url = format!("{}/", url.trim_end_matches('/'));
    let body = json!({ "SecretId": id }).to_string();
    let headers = signed(&credentials().await?, &region, &url, &body)?;
    let answer = Call { method: "POST", url, headers, body: body.into_bytes() }.json().await?;
    let value =
        text(&answer, "/SecretString").map_err(|_| format!("{id} has no text: binary secrets cannot be used"))?;
    let Some(field) = field else { return Ok(Secret::new(value.as_bytes())) };
    let fields: Value =
        serde_json::from_str(value).map_err(|_| format!("{id} is not JSON: write it without `#{field}`"))?;
    match fields.get(field).and_then(Value::as_str) {
        Some(value) => Ok(Secret::new(value.as_bytes())),
        None => Err(format!("{id} has no text in `{field}`")),
    }
}

async fn credentials() -> Result<Credentials, String> {
    if let (Some(id), Some(secret)) = (env::var("AWS_ACCESS_KEY_ID"), env::var("AWS_SECRET_ACCESS_KEY")) {
        return Ok(Credentials { id, secret, session: env::var("AWS_SESSION_TOKEN") });
    }
    let relative = env::var("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI").map(|path| format!("{CONTAINER_HOST}{path}"));
    let answer = match relative.or_else(|| env::var("AWS_CONTAINER_CREDENTIALS_FULL_URI")) {
        Some(url) => {
            let headers = match env::var("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE") {
                Some(path) => vec![("authorization".into(), read(&path).await?)],
                None => env::var("AWS_CONTAINER_AUTHORIZATION_TOKEN")
                    .map(|token| ("authorization".into(), token))
                    .into_iter()
                    .collect(),
            };
            Call { method: "GET", url, headers, body: Vec::new() }.json().await?
        }
        None => of_instance().await.map_err(|why| {
            format!(
                "no credentials: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set and no role is at hand ({why})"
            )
        })?,
    };
    Ok(Credentials {
        id: text(&answer, "/AccessKeyId")?.into(),
        secret: text(&answer, "/SecretAccessKey")?.into(),
        session: text(&answer, "/Token").ok().map(str::to_owned),
    })
}

async fn of_instance() -> Result<Value, String> {
    let host = env::var("AWS_EC2_METADATA_SERVICE_ENDPOINT").unwrap_or_else(|| INSTANCE_HOST.into());
    let host = host.trim_end_matches('/');
    let life = vec![("x-aws-ec2-metadata-token-ttl-seconds".to_owned(), "300".to_owned())];
    let url = format!("{host}/latest/api/token");
    let token = Call { method: "PUT", url, headers: life, body: Vec::new() }.send().await?;
    let token = String::from_utf8_lossy(&token).into_owned();
    let get = |path: String| {
        let headers = vec![("x-aws-ec2-metadata-token".to_owned(), token.clone())];
        Call {
            method: "GET",
            url: format!("{host}/latest/meta-data/iam/security-credentials/{path}"),
            headers,
            body: Vec::new(),
        }
    };
    let role = get(String::new()).send().await?;
    let role = String::from_utf8_lossy(&role).lines().next().unwrap_or_default().to_owned();
    get(role).json().await
}

async fn read(path: &str) -> Result<String, String> {
    let text = tokio::fs::read_to_string(path).await.map_err(|error| format!("{path}: {error}"))?;
    Ok(text.trim().to_owned())
}

/// Headers of a signed call (Signature Version 4).
fn signed(credentials: &Credentials, region: &str, url: &str, body: &str) -> Result<Vec<(String, String)>, String> {
    let host = url::Url::parse(url).map_err(|why| format!("{url}: {why}"))?;
    let host = &host[url::Position::BeforeHost..url::Position::AfterPort].to_owned();
    let seconds = Clock::System.now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let now = jiff::Timestamp::from_second(seconds as i64).unwrap_or_default();
    let time = now.strftime("%Y%m%dT%H%M%SZ").to_string();
    let day = &time[..8];
    let mut headers = vec![
        ("content-type".to_owned(), "application/x-amz-json-1.1".to_owned()),
        ("host".to_owned(), host.clone()),
        ("x-amz-date".to_owned(), time.clone()),
    ];
    headers.extend(credentials.session.clone().map(|token| ("x-amz-security-token".to_owned(), token)));
    headers.push(("x-amz-target".to_owned(), "secretsmanager.GetSecretValue".to_owned()));
    let names: Vec<&str> = headers.iter().map(|(name, _)| name.as_str()).collect();
    let names = names.join(";");
    let lines: String = headers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
    let canonical = format!("POST\n/\n\n{lines}\n{names}\n{}", digest(body));
    let scope = format!("{day}/{region}/{SERVICE}/aws4_request");
    let to_sign = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{}", digest(&canonical));
    let key = signing_key(&credentials.secret, day, region, SERVICE);
    let signature = hex::encode(mac(&key, &to_sign));
    let authorization =
        format!("AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={signature}", credentials.id);
    headers.retain(|(name, _)| name != "host");
    headers.push(("authorization".into(), authorization));
    Ok(headers)
}

fn signing_key(secret: &str, day: &str, region: &str, service: &str) -> Vec<u8> {
    let first = format!("AWS4{secret}").into_bytes();
    [day, region, service, "aws4_request"].iter().fold(first, |key, part| mac(&key, part))
}

fn digest(text: &str) -> String {
    hex::encode(Sha256::digest(text))
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The published example of a signing key.
    #[test]
    fn the_signing_key_is_derived_as_published() {
        let key = signing_key("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "20150830", "us-east-1", "iam");
        assert_eq!(hex::encode(key), "c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9");
    }
}
