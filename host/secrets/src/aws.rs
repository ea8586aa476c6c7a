//! AWS Secrets Manager. The identity comes from the environment, the container's credentials
//! endpoint, or the instance metadata service, version 2. Sources:
//! docs.aws.amazon.com/secretsmanager/latest/apireference and
//! docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method};
use serde_json::{Value, json};

use landfall_config::env;
use landfall_egress::sigv4::{Keys, Signer};
use landfall_model::{Clock, Secret};

use crate::call::{ApiCall, ApiClient, text};
use crate::error::FetchError;
use crate::local::required_variable;

const SERVICE: &str = "secretsmanager";
const CONTAINER_HOST: &str = "http://169.254.170.2";
const INSTANCE_HOST: &str = "http://169.254.169.254";
const INSTANCE_TOKEN_LIFETIME_S: &str = "300";

/// Reads the current value of a secret, or of a field of its JSON.
pub(crate) async fn secret(
    api: &ApiClient,
    clock: Clock,
    id: &str,
    field: Option<&str>,
) -> Result<Secret, FetchError> {
    let region = match env::var("AWS_REGION") {
        Some(region) => region,
        None => required_variable("AWS_DEFAULT_REGION", "AWS_REGION says where the secret is")?,
    };

    let endpoint =
        env::var("AWS_ENDPOINT_URL_SECRETS_MANAGER").or_else(|| env::var("AWS_ENDPOINT_URL"));
    let base = endpoint.unwrap_or_else(|| format!("https://{SERVICE}.{region}.amazonaws.com"));
    let url = format!("{}/", base.trim_end_matches('/'));
    let body = json!({ "SecretId": id }).to_string();
    let keys = credentials(api).await?;

    let call = ApiCall {
        method: "POST",
        headers: signed_headers(keys, clock, &region, &url, &body)?,
        url,
        body: body.into_bytes(),
    };
    let answer = api.send_for_json(call).await?;
    let value = text(&answer, "/SecretString")
        .map_err(|_| FetchError::unusable(id, "has no text: binary secrets cannot be used"))?;
    match field {
        None => Ok(Secret::new(value.as_bytes())),
        Some(field) => field_of(id, value, field),
    }
}

fn field_of(id: &str, value: &str, field: &str) -> Result<Secret, FetchError> {
    let fields: Value = serde_json::from_str(value).map_err(|_| {
        FetchError::unusable(id, format!("is not JSON: write it without `#{field}`"))
    })?;
    match fields.get(field).and_then(Value::as_str) {
        Some(value) => Ok(Secret::new(value.as_bytes())),
        None => Err(FetchError::unusable(
            id,
            format!("has no text in `{field}`"),
        )),
    }
}

async fn credentials(api: &ApiClient) -> Result<Keys, FetchError> {
    if let (Some(id), Some(secret)) = (
        env::var("AWS_ACCESS_KEY_ID"),
        env::var("AWS_SECRET_ACCESS_KEY"),
    ) {
        return Ok(Keys {
            id,
            secret,
            session: env::var("AWS_SESSION_TOKEN"),
        });
    }

    let answer = match container_url() {
        Some(url) => {
            let headers = container_authorization().await?;
            api.send_for_json(ApiCall::get(url, headers)).await?
        }
        None => instance_credentials(api).await.map_err(|error| {
            FetchError::NoCredentials {
                problem: "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set and the machine has \
                          no role",
                error: Box::new(error),
            }
        })?,
    };

    Ok(Keys {
        id: text(&answer, "/AccessKeyId")?.into(),
        secret: text(&answer, "/SecretAccessKey")?.into(),
        session: text(&answer, "/Token").ok().map(str::to_owned),
    })
}

fn container_url() -> Option<String> {
    match env::var("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") {
        Some(path) => Some(format!("{CONTAINER_HOST}{path}")),
        None => env::var("AWS_CONTAINER_CREDENTIALS_FULL_URI"),
    }
}

async fn container_authorization() -> Result<Vec<(String, String)>, FetchError> {
    let token = match env::var("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE") {
        Some(path) => {
            let token = tokio::fs::read_to_string(&path)
                .await
                .map_err(|error| FetchError::file(&path, error))?;
            Some(token.trim().to_owned())
        }
        None => env::var("AWS_CONTAINER_AUTHORIZATION_TOKEN"),
    };

    Ok(token
        .map(|token| ("authorization".to_owned(), token))
        .into_iter()
        .collect())
}

async fn instance_credentials(api: &ApiClient) -> Result<Value, FetchError> {
    let host =
        env::var("AWS_EC2_METADATA_SERVICE_ENDPOINT").unwrap_or_else(|| INSTANCE_HOST.into());
    let host = host.trim_end_matches('/');
    let call = ApiCall {
        method: "PUT",
        url: format!("{host}/latest/api/token"),
        headers: vec![(
            "x-aws-ec2-metadata-token-ttl-seconds".to_owned(),
            INSTANCE_TOKEN_LIFETIME_S.to_owned(),
        )],
        body: Vec::new(),
    };
    let token = api.send(call).await?;
    let token = String::from_utf8_lossy(&token).into_owned();

    let headers = vec![("x-aws-ec2-metadata-token".to_owned(), token)];
    let roles = format!("{host}/latest/meta-data/iam/security-credentials/");
    let listed = api
        .send(ApiCall::get(roles.clone(), headers.clone()))
        .await?;
    let listed = String::from_utf8_lossy(&listed);
    let role = listed.lines().next().unwrap_or_default();
    api.send_for_json(ApiCall::get(format!("{roles}{role}"), headers))
        .await
}

fn signed_headers(
    keys: Keys,
    clock: Clock,
    region: &str,
    url: &str,
    body: &str,
) -> Result<Vec<(String, String)>, FetchError> {
    let mut parsed =
        url::Url::parse(url).map_err(|why| FetchError::unusable(url, why.to_string()))?;
    let mut headers = HeaderMap::new();
    headers.insert(
        "content-type",
        HeaderValue::from_static("application/x-amz-json-1.1"),
    );
    headers.insert(
        "x-amz-target",
        HeaderValue::from_static("secretsmanager.GetSecretValue"),
    );
    let mut body = Bytes::copy_from_slice(body.as_bytes());
    let call = landfall_egress::Call {
        method: &Method::POST,
        url: &mut parsed,
        headers: &mut headers,
        body: &mut body,
        untrusted: None,
    };
    let signer = Signer {
        keys,
        region,
        service: SERVICE,
        now: clock.now(),
    };
    let signature = signer.headers(&call);

    let mut signed: Vec<(String, String)> = headers
        .iter()
        .map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            (name.as_str().to_owned(), value)
        })
        .collect();
    for (name, value) in signature {
        signed.push((name.to_owned(), value));
    }

    Ok(signed)
}
