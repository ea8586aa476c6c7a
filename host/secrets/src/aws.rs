//! AWS Secrets Manager. Who we are comes from the environment, the container's credentials endpoint, or the instance
//! metadata service, version 2. Sources: docs.aws.amazon.com/secretsmanager/latest/apireference and
//! docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method};
use serde_json::{Value, json};

use super::remote::{Call, needed, text};
use landfall_config::env;
use landfall_egress::sigv4::{Keys, Signer};
use landfall_model::{Clock, Secret};

const SERVICE: &str = "secretsmanager";
const CONTAINER_HOST: &str = "http://169.254.170.2";
const INSTANCE_HOST: &str = "http://169.254.169.254";

/// The present value of a secret, or of a field of its JSON.
pub async fn secret(id: &str, field: Option<&str>) -> Result<Secret, String> {
    let region = match env::var("AWS_REGION") {
        Some(region) => region,
        None => needed("AWS_DEFAULT_REGION", "AWS_REGION says where the secret is")?,
    };
    let endpoint =
        env::var("AWS_ENDPOINT_URL_SECRETS_MANAGER").or_else(|| env::var("AWS_ENDPOINT_URL"));
    let url = endpoint.unwrap_or_else(|| format!("https://{SERVICE}.{region}.amazonaws.com"));
    let url = format!("{}/", url.trim_end_matches('/'));
    let body = json!({ "SecretId": id }).to_string();
    let headers = signed(credentials().await?, &region, &url, &body)?;
    let answer = Call {
        method: "POST",
        url,
        headers,
        body: body.into_bytes(),
    }
    .json()
    .await?;
    let value = text(&answer, "/SecretString")
        .map_err(|_| format!("{id} has no text: binary secrets cannot be used"))?;
    let Some(field) = field else {
        return Ok(Secret::new(value.as_bytes()));
    };
    let fields: Value = serde_json::from_str(value)
        .map_err(|_| format!("{id} is not JSON: write it without `#{field}`"))?;
    match fields.get(field).and_then(Value::as_str) {
        Some(value) => Ok(Secret::new(value.as_bytes())),
        None => Err(format!("{id} has no text in `{field}`")),
    }
}

async fn credentials() -> Result<Keys, String> {
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
    let relative = env::var("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")
        .map(|path| format!("{CONTAINER_HOST}{path}"));
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
    Ok(Keys {
        id: text(&answer, "/AccessKeyId")?.into(),
        secret: text(&answer, "/SecretAccessKey")?.into(),
        session: text(&answer, "/Token").ok().map(str::to_owned),
    })
}

async fn of_instance() -> Result<Value, String> {
    let host =
        env::var("AWS_EC2_METADATA_SERVICE_ENDPOINT").unwrap_or_else(|| INSTANCE_HOST.into());
    let host = host.trim_end_matches('/');
    let life = vec![(
        "x-aws-ec2-metadata-token-ttl-seconds".to_owned(),
        "300".to_owned(),
    )];
    let url = format!("{host}/latest/api/token");
    let token = Call {
        method: "PUT",
        url,
        headers: life,
        body: Vec::new(),
    }
    .send()
    .await?;
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
    let role = String::from_utf8_lossy(&role)
        .lines()
        .next()
        .unwrap_or_default()
        .to_owned();
    get(role).json().await
}

async fn read(path: &str) -> Result<String, String> {
    let text = tokio::fs::read_to_string(path)
        .await
        .map_err(|error| format!("{path}: {error}"))?;
    Ok(text.trim().to_owned())
}

fn signed(
    keys: Keys,
    region: &str,
    url: &str,
    body: &str,
) -> Result<Vec<(String, String)>, String> {
    let mut at = url::Url::parse(url).map_err(|why| format!("{url}: {why}"))?;
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
        url: &mut at,
        headers: &mut headers,
        body: &mut body,
        untrusted: None,
    };
    let signer = Signer {
        keys,
        region,
        service: SERVICE,
        now: Clock::System.now(),
    };
    let ours = signer
        .headers(&call)
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect::<Vec<_>>();
    let given = headers.iter().map(|(name, value)| {
        (
            name.as_str().to_owned(),
            String::from_utf8_lossy(value.as_bytes()).into_owned(),
        )
    });
    Ok(given.chain(ours).collect())
}
