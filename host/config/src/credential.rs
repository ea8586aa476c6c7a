//! `[[credentials]]`: what the host adds to outbound calls.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::mistake::{Mistake, mistake};
use super::value_error::ValueError;
use super::values::Parsed;
use landfall_model::{
    Credential, CredentialKind, CredentialPart, CredentialText, HOST_HEADERS, OAuth1Spec,
    RemoteSecret, SecretRef, SigV4Spec, UrlPrefix,
};

/// An entry as typed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CredentialTable {
    r#for: Parsed<UrlPrefix>,
    header: Option<Parsed<http::HeaderName>>,
    query: Option<String>,
    path: Option<String>,
    placeholder: Option<String>,
    value: Option<Parsed<Text>>,
    google: Option<GoogleTable>,
    oauth2_client: Option<OAuth2Table>,
    oauth1: Option<OAuth1Table>,
    aws_sigv4: Option<SigV4Table>,
    standard_webhooks: Option<StandardWebhooksTable>,
}

/// `Bearer ${env:TOKEN}`, split into its parts.
#[derive(Debug)]
pub(crate) struct Text(pub(crate) CredentialText);

#[derive(Debug, Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "google is a table: { scope = \"…\" } or { audience = \"…\" }"
)]
struct GoogleTable {
    scope: Option<String>,
    audience: Option<String>,
    key: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "oauth2_client is a table: { token_url, client_id, client_secret, scope }"
)]
struct OAuth2Table {
    token_url: Parsed<UrlPrefix>,
    client_id: String,
    client_secret: Parsed<SecretRef>,
    scope: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "oauth1 is a table: { consumer_key, consumer_secret, token, token_secret }"
)]
struct OAuth1Table {
    consumer_key: Parsed<SecretRef>,
    consumer_secret: Parsed<SecretRef>,
    token: Parsed<SecretRef>,
    token_secret: Parsed<SecretRef>,
}

#[derive(Debug, Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "aws_sigv4 is a table: { region, service, access_key, secret_key }"
)]
struct SigV4Table {
    region: String,
    service: String,
    access_key: Parsed<SecretRef>,
    secret_key: Parsed<SecretRef>,
    session_token: Option<Parsed<SecretRef>>,
}

#[derive(Debug, Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "standard_webhooks is a table: { secret = \"env:NAME\" }"
)]
struct StandardWebhooksTable {
    secret: Parsed<SecretRef>,
}

const ONE_OF: &str = "a credential is one of header, query, path or placeholder (each with value), google, oauth2_client, oauth1, \
                      aws_sigv4, standard_webhooks";
const PLACEHOLDER_MIN: usize = 4;

/// The credential of an entry.
pub(crate) fn credential(table: CredentialTable, dir: &Path) -> Result<Credential, Mistake> {
    let target = table.r#for.0.clone();
    if target.to_string().contains("$%7B") {
        return mistake(
            &["credentials"],
            "for is a URL without references: put the secret part of a path into a credential with path",
        );
    }
    let mut kinds = signing(&table, dir);
    kinds.extend(bearer(&table, dir)?);
    if let Some(value) = &table.value {
        let text = |parts: &CredentialText| {
            parts
                .iter()
                .map(|part| placed(part, dir))
                .collect::<CredentialText>()
        };
        let value = text(&value.0.0);
        kinds.extend(
            table
                .header
                .as_ref()
                .map(|name| CredentialKind::Header(name.0.clone(), value.clone())),
        );
        kinds.extend(
            table
                .query
                .clone()
                .map(|name| CredentialKind::Query(name, value.clone())),
        );
        kinds.extend(
            table
                .path
                .clone()
                .map(|segment| CredentialKind::Path(segment, value.clone())),
        );
        kinds.extend(
            table
                .placeholder
                .clone()
                .map(|text| CredentialKind::Body(text, value)),
        );
    } else if table.header.is_some()
        || [&table.query, &table.path, &table.placeholder]
            .iter()
            .any(|typed| typed.is_some())
    {
        return mistake(
            &["credentials"],
            "header, query, path and placeholder need value = \"… ${env:NAME}\"",
        );
    }
    if let Some(header) = table
        .header
        .as_ref()
        .filter(|header| HOST_HEADERS.contains(&header.0.as_str()))
    {
        return mistake(
            &["credentials"],
            format!("header `{}` is written by the host", header.0),
        );
    }
    if table.query.as_deref() == Some("") {
        return mistake(
            &["credentials"],
            "query names the value that is added: it is empty",
        );
    }
    if let Some(segment) = table.path.as_ref().filter(|segment| !is_segment(segment)) {
        return mistake(
            &["credentials"],
            format!(
                "path is the segment that the value replaces, such as \"SECRET\" in https://hooks.example.com/SECRET: `{segment}` must be \
                 letters, digits, - or _"
            ),
        );
    }
    if table
        .aws_sigv4
        .as_ref()
        .is_some_and(|typed| typed.region.is_empty() || typed.service.is_empty())
    {
        return mistake(
            &["credentials"],
            "aws_sigv4 needs a region and a service, such as \"eu-west-1\" and \"sqs\"",
        );
    }
    if table
        .oauth2_client
        .as_ref()
        .is_some_and(|typed| typed.client_id.parse::<SecretRef>().is_ok())
    {
        return mistake(
            &["credentials"],
            "oauth2_client.client_id is not a secret: write it as it is",
        );
    }
    match kinds.pop() {
        Some(CredentialKind::Body(text, _)) if text.len() < PLACEHOLDER_MIN => mistake(
            &["credentials"],
            format!(
                "placeholder `{text}` is too short to be told from other text: at least {PLACEHOLDER_MIN} characters"
            ),
        ),
        Some(kind) if kinds.is_empty() => Ok(Credential { target, kind }),
        _ => mistake(&["credentials"], ONE_OF),
    }
}

fn is_segment(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    !text.is_empty() && text.bytes().all(is_plain)
}

fn signing(table: &CredentialTable, dir: &Path) -> Vec<CredentialKind> {
    let at = |reference: &Parsed<SecretRef>| below(dir, reference.0.clone());
    let oauth1 = table.oauth1.as_ref().map(|typed| {
        CredentialKind::OAuth1(OAuth1Spec {
            consumer_key: at(&typed.consumer_key),
            consumer_secret: at(&typed.consumer_secret),
            token: at(&typed.token),
            token_secret: at(&typed.token_secret),
        })
    });
    let sigv4 = table.aws_sigv4.as_ref().map(|typed| {
        CredentialKind::AwsSigV4(SigV4Spec {
            region: typed.region.clone(),
            service: typed.service.clone(),
            access_key: at(&typed.access_key),
            secret_key: at(&typed.secret_key),
            session_token: typed.session_token.as_ref().map(at),
        })
    });
    let webhooks = table
        .standard_webhooks
        .as_ref()
        .map(|typed| CredentialKind::StandardWebhooks(at(&typed.secret)));
    oauth1.into_iter().chain(sigv4).chain(webhooks).collect()
}

/// Tokens, which are fetched and refreshed like other secrets.
fn bearer(table: &CredentialTable, dir: &Path) -> Result<Vec<CredentialKind>, Mistake> {
    let mut secrets = Vec::new();
    if let Some(GoogleTable {
        scope,
        audience,
        key,
    }) = &table.google
    {
        let key = key.as_ref().map(|path| dir.join(path));
        secrets.push(match (scope.clone(), audience.clone()) {
            (Some(scope), None) => RemoteSecret::GcpToken { scope, key },
            (None, Some(audience)) => RemoteSecret::GcpIdToken { audience, key },
            _ => {
                return mistake(
                    &["credentials"],
                    "google is { scope = \"…\" } for an access token or { audience = \"…\" } for an ID token",
                );
            }
        });
    }
    if let Some(OAuth2Table {
        token_url,
        client_id,
        client_secret,
        scope,
    }) = &table.oauth2_client
    {
        secrets.push(RemoteSecret::OAuth2Client {
            token_url: token_url.0.to_string(),
            client_id: client_id.clone(),
            client_secret: Box::new(below(dir, client_secret.0.clone())),
            scope: scope.clone(),
        });
    }
    let header = |remote| {
        let value = vec![
            CredentialPart::Literal("Bearer ".into()),
            CredentialPart::Secret(SecretRef::Remote(remote)),
        ];
        CredentialKind::Header(http::header::AUTHORIZATION, value)
    };
    Ok(secrets.into_iter().map(header).collect())
}

fn placed(part: &CredentialPart, dir: &Path) -> CredentialPart {
    match part {
        CredentialPart::Secret(reference) => CredentialPart::Secret(below(dir, reference.clone())),
        literal => literal.clone(),
    }
}

/// The reference with its file below the directory of the hook file.
pub(crate) fn below(dir: &Path, reference: SecretRef) -> SecretRef {
    match reference {
        SecretRef::File(path) => SecretRef::File(dir.join(path)),
        SecretRef::Remote(RemoteSecret::GcpKms { key, path }) => {
            SecretRef::Remote(RemoteSecret::GcpKms {
                key,
                path: dir.join(path),
            })
        }
        other => other,
    }
}

// === impl Text ===

impl std::str::FromStr for Text {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Text, ValueError> {
        let parts = parts(text)?;
        let is_secret = |part: &CredentialPart| matches!(part, CredentialPart::Secret(_));
        if !parts.iter().any(is_secret) {
            return Err(ValueError::NoReference);
        }

        Ok(Text(parts))
    }
}

/// Splits text at its `${…}` references.
pub(crate) fn parts(text: &str) -> Result<CredentialText, ValueError> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some((literal, after)) = rest.split_once("${") {
        let (reference, after) = after.split_once('}').ok_or(ValueError::OpenReference)?;
        if !literal.is_empty() {
            parts.push(CredentialPart::Literal(literal.into()));
        }
        parts.push(CredentialPart::Secret(reference.parse()?));
        rest = after;
    }
    if !rest.is_empty() {
        parts.push(CredentialPart::Literal(rest.into()));
    }

    Ok(parts)
}
