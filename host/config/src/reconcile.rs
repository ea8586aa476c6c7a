//! `[reconcile]`: the provider's API, what is asked in it, and how often.

use std::path::Path;
use std::time::Duration;

use serde::Deserialize;

use super::credential::below;
use super::mistake::{Mistake, in_range, mistake};
use super::values::{Parsed, Time};
use landfall_model::{
    FindMissed, GitHubWebhook, ReconcileSource, ReconcileSpec, SecretRef, ShopifyResource,
    UrlPrefix,
};

/// The table as typed.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReconcileTable {
    provider: Option<String>,
    credential: Option<Parsed<SecretRef>>,
    every: Option<Time>,
    since: Option<Time>,
    find: Option<FindTyped>,
    api: Option<Parsed<UrlPrefix>>,
    owner: Option<String>,
    repo: Option<String>,
    org: Option<String>,
    hook: Option<u64>,
    app_id: Option<u64>,
    account: Option<String>,
    types: Option<Vec<String>>,
    shop: Option<String>,
    resource: Option<String>,
    version: Option<String>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum FindTyped {
    Failed,
    Missing,
}

const EVERY_DEFAULT: Duration = Duration::from_secs(15 * 60);
const SINCE_DEFAULT: Duration = Duration::from_secs(3 * 86_400);
const SINCE_DAYS_MAX: u64 = 30;
/// The most types that one call of Stripe takes.
const TYPES_MAX: usize = 20;
const GITHUB_API: &str = "https://api.github.com/";
const STRIPE_API: &str = "https://api.stripe.com/";
const SHOPIFY_VERSION: &str = "2026-07";
const MYSHOPIFY: &str = ".myshopify.com";

const PROVIDERS: &str = "provider is \"github\", \"stripe\" or \"shopify\": the API of no other provider can be asked \
                         for missed deliveries";
const WEBHOOK: &str = "name the webhook: owner, repo and hook for one of a repository, org and hook for one of an \
                       organisation, or app_id for that of a GitHub App";

/// The settings of the table. `provider` is that of `[verify]`.
pub(crate) fn reconcile(
    table: ReconcileTable,
    provider: Option<&str>,
    dir: &Path,
) -> Result<ReconcileSpec, Mistake> {
    let named = table.provider.clone();
    let (source, api) = match named.as_deref().or(provider) {
        Some("github") => github(&table)?,
        Some("stripe") => stripe(&table)?,
        Some("shopify") => shopify(&table)?,
        _ => return mistake(&["reconcile"], PROVIDERS),
    };
    let Some(credential) = table.credential else {
        return mistake(
            &["reconcile"],
            "credential is missing: a secret that the API accepts, such as credential = \"env:GITHUB_TOKEN\"",
        );
    };

    let api = match table.api {
        Some(api) => api.0,
        None => match api.parse() {
            Ok(api) => api,
            Err(_) => return mistake(&["reconcile"], format!("{api} is not a URL")),
        },
    };
    if !is_trusted(&api) {
        return mistake(
            &["reconcile", "api"],
            format!(
                "{api} must begin with https://: what the API returns is trusted only because of TLS"
            ),
        );
    }

    Ok(ReconcileSpec {
        source,
        api,
        credential: below(dir, credential.0),
        every: in_range(
            &["reconcile", "every"],
            table.every,
            EVERY_DEFAULT,
            60,
            86_400,
        )?,
        since: in_range(
            &["reconcile", "since"],
            table.since,
            SINCE_DEFAULT,
            60,
            SINCE_DAYS_MAX * 86_400,
        )?,
        find: match table.find {
            None | Some(FindTyped::Failed) => FindMissed::Failed,
            Some(FindTyped::Missing) => FindMissed::Missing,
        },
    })
}

/// `https`, or `http` at a loopback address, which no other machine can answer from.
fn is_trusted(api: &UrlPrefix) -> bool {
    let is_loopback = api
        .literal_address()
        .is_some_and(|address| address.is_loopback());
    is_loopback || api.to_string().starts_with("https://")
}

fn github(table: &ReconcileTable) -> Result<(ReconcileSource, String), Mistake> {
    only(table, "github", &["owner", "repo", "org", "hook", "app_id"])?;
    let webhook = match (
        &table.owner,
        &table.repo,
        &table.org,
        table.hook,
        table.app_id,
    ) {
        (Some(owner), Some(repo), None, Some(hook), None) => GitHubWebhook::Repository {
            owner: part("owner", owner)?,
            repo: part("repo", repo)?,
            hook,
        },
        (None, None, Some(org), Some(hook), None) => GitHubWebhook::Organization {
            org: part("org", org)?,
            hook,
        },
        (None, None, None, None, Some(app_id)) => GitHubWebhook::App { app_id },
        _ => return mistake(&["reconcile"], WEBHOOK),
    };
    Ok((ReconcileSource::GitHub(webhook), GITHUB_API.to_owned()))
}

fn stripe(table: &ReconcileTable) -> Result<(ReconcileSource, String), Mistake> {
    only(table, "stripe", &["account", "types"])?;
    let types = table.types.clone().unwrap_or_default();
    if types.len() > TYPES_MAX {
        return mistake(
            &["reconcile", "types"],
            format!(
                "types has {} entries, and Stripe takes at most {TYPES_MAX}: leave it out for every type",
                types.len()
            ),
        );
    }

    let account = match &table.account {
        Some(account) => Some(part("account", account)?),
        None => None,
    };
    Ok((
        ReconcileSource::Stripe { account, types },
        STRIPE_API.to_owned(),
    ))
}

fn shopify(table: &ReconcileTable) -> Result<(ReconcileSource, String), Mistake> {
    only(table, "shopify", &["shop", "resource", "version"])?;
    let Some(shop) = table.shop.as_deref() else {
        return mistake(
            &["reconcile"],
            "shop is missing: write shop = \"NAME.myshopify.com\"",
        );
    };
    let name = shop.strip_suffix(MYSHOPIFY).unwrap_or(shop);
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if name.is_empty() || !name.bytes().all(is_name) {
        return mistake(
            &["reconcile", "shop"],
            format!(
                "`{}` is not a shop: write shop = \"NAME.myshopify.com\"",
                shop.escape_debug()
            ),
        );
    }

    let word = table.resource.as_deref().unwrap_or("orders");
    let known = ShopifyResource::ALL;
    let Some(resource) = known.into_iter().find(|known| known.word() == word) else {
        let words = known.map(ShopifyResource::word).join(", ");
        return mistake(
            &["reconcile", "resource"],
            format!("`{}` is not one of {words}", word.escape_debug()),
        );
    };
    let version = table.version.as_deref().unwrap_or(SHOPIFY_VERSION);
    let shop = format!("{name}{MYSHOPIFY}").to_ascii_lowercase();
    let api = format!("https://{shop}/");
    let source = ReconcileSource::Shopify {
        shop,
        resource,
        version: part("version", version)?,
    };
    Ok((source, api))
}

/// Refuses keys that belong to another provider.
fn only(table: &ReconcileTable, provider: &str, own: &[&str]) -> Result<(), Mistake> {
    let typed = [
        ("owner", table.owner.is_some()),
        ("repo", table.repo.is_some()),
        ("org", table.org.is_some()),
        ("hook", table.hook.is_some()),
        ("app_id", table.app_id.is_some()),
        ("account", table.account.is_some()),
        ("types", table.types.is_some()),
        ("shop", table.shop.is_some()),
        ("resource", table.resource.is_some()),
        ("version", table.version.is_some()),
    ];
    let foreign = typed
        .iter()
        .find(|(key, is_typed)| *is_typed && !own.contains(key));
    match foreign {
        Some((key, _)) => mistake(
            &["reconcile"],
            format!(
                "`{key}` is no key for {provider}: it has {}",
                own.join(", ")
            ),
        ),
        None => Ok(()),
    }
}

/// A text that becomes a segment of a path or a header.
fn part(key: &str, text: &str) -> Result<String, Mistake> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if text.is_empty() || text.starts_with('.') || !text.bytes().all(is_plain) {
        return mistake(
            &["reconcile"],
            format!(
                "{key} = `{}` must be letters, digits, `-`, `_` and `.`",
                text.escape_debug()
            ),
        );
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<ReconcileSpec, String> {
        let table: ReconcileTable = toml::from_str(text).map_err(|error| error.to_string())?;
        reconcile(table, Some("github"), Path::new("/hooks")).map_err(|mistake| mistake.message)
    }

    #[test]
    fn defaults_come_from_the_provider() {
        let spec =
            read("owner = \"octo\"\nrepo = \"site\"\nhook = 7\ncredential = \"env:T\"").unwrap();
        assert_eq!(spec.api.to_string(), "https://api.github.com/");
        assert_eq!((spec.every, spec.since), (EVERY_DEFAULT, SINCE_DEFAULT));
        assert_eq!(spec.find, FindMissed::Failed);

        let text = "provider = \"shopify\"\nshop = \"Lamps\"\ncredential = \"env:T\"";
        let spec = read(text).unwrap();
        assert_eq!(spec.api.to_string(), "https://lamps.myshopify.com/");
    }

    #[test]
    fn incomplete_tables_are_refused() {
        let hook = "owner = \"octo\"\nrepo = \"site\"\nhook = 7\n";
        for (text, expected) in [
            (hook.to_owned(), "credential is missing"),
            ("credential = \"env:T\"".to_owned(), "name the webhook"),
            (
                format!("{hook}credential = \"env:T\"\nshop = \"a\""),
                "`shop` is no key for github",
            ),
            (
                format!("{hook}credential = \"env:T\"\napi = \"http://git.example.com/\""),
                "must begin with https://",
            ),
            (
                "org = \"../x\"\nhook = 1\ncredential = \"env:T\"".to_owned(),
                "must be letters",
            ),
            (
                "provider = \"gitlab\"\ncredential = \"env:T\"".to_owned(),
                "provider is \"github\"",
            ),
        ] {
            let why = read(&text).unwrap_err();
            assert!(why.contains(expected), "{text}: {why}");
        }
    }

    #[test]
    fn loopback_needs_no_tls() {
        let hook = "org = \"octo\"\nhook = 7\ncredential = \"env:T\"\n";
        assert!(read(&format!("{hook}api = \"http://127.0.0.1:9/\"")).is_ok());
        assert!(read(&format!("{hook}api = \"http://10.0.0.1:9/\"")).is_err());
    }
}
