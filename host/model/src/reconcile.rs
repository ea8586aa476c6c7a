//! `[reconcile]` of a hook file: how the provider's API is asked for deliveries that were missed.

use std::time::Duration;

use super::credential::{Credential, CredentialKind, CredentialPart};
use super::secret_ref::SecretRef;
use super::url_prefix::UrlPrefix;

/// How missed deliveries of a hook are found.
#[derive(Debug, Clone, PartialEq)]
pub struct ReconcileSpec {
    /// The API that is asked, and what in it.
    pub source: ReconcileSource,
    /// Where the API is: `https`, or `http` at a loopback address.
    pub api: UrlPrefix,
    /// The secret that the API wants.
    pub credential: SecretRef,
    /// The time between two runs.
    pub every: Duration,
    /// How far the first run looks back, and the most that a later run does.
    pub since: Duration,
    /// Which deliveries count as missed.
    pub find: FindMissed,
}

/// Which deliveries a run brings, of those whose identity the ledger does not know.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum FindMissed {
    /// Those that the provider could not deliver.
    #[default]
    Failed,
    /// Also those that the provider counts as delivered.
    Missing,
}

/// An API with its parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReconcileSource {
    /// The deliveries of one webhook of GitHub.
    GitHub(GitHubWebhook),
    /// The events of a Stripe account.
    Stripe {
        /// The connected account, if the events are those of one.
        account: Option<String>,
        /// Only events of these types. Empty: every type.
        types: Vec<String>,
    },
    /// The resources of a Shopify shop that have changed.
    Shopify {
        /// `NAME.myshopify.com`
        shop: String,
        /// What is listed.
        resource: ShopifyResource,
        /// The version of the API, such as `2026-07`.
        version: String,
    },
}

/// A webhook of GitHub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GitHubWebhook {
    /// Of a repository.
    Repository {
        /// The account that owns it.
        owner: String,
        /// Its name.
        repo: String,
        /// The number of the webhook.
        hook: u64,
    },
    /// Of an organisation.
    Organization {
        /// Its name.
        org: String,
        /// The number of the webhook.
        hook: u64,
    },
    /// Of a GitHub App. The credential is its private key.
    App {
        /// The id of the app.
        app_id: u64,
    },
}

/// A kind of resource that Shopify lists by the time of its last change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShopifyResource {
    /// `orders`
    Orders,
    /// `products`
    Products,
    /// `customers`
    Customers,
    /// `draft_orders`
    DraftOrders,
}

// === impl ReconcileSpec ===

impl ReconcileSpec {
    /// The credential that is added to every call. `None`: the secret is a key that signs a token,
    /// and is never sent.
    pub fn header(&self) -> Option<Credential> {
        let secret = CredentialPart::Secret(self.credential.clone());
        let (name, value) = match &self.source {
            ReconcileSource::GitHub(GitHubWebhook::App { .. }) => return None,
            ReconcileSource::GitHub(_) | ReconcileSource::Stripe { .. } => {
                let word = CredentialPart::Literal("Bearer ".into());
                (http::header::AUTHORIZATION, vec![word, secret])
            }
            ReconcileSource::Shopify { .. } => {
                let name = http::HeaderName::from_static("x-shopify-access-token");
                (name, vec![secret])
            }
        };
        Some(Credential {
            target: self.api.clone(),
            kind: CredentialKind::Header(name, value),
        })
    }
}

// === impl ReconcileSource ===

impl ReconcileSource {
    /// The provider as hook files name it.
    pub fn provider(&self) -> &'static str {
        match self {
            ReconcileSource::GitHub(_) => "github",
            ReconcileSource::Stripe { .. } => "stripe",
            ReconcileSource::Shopify { .. } => "shopify",
        }
    }
}

// === impl ShopifyResource ===

impl ShopifyResource {
    /// Every kind.
    pub const ALL: [ShopifyResource; 4] = [
        ShopifyResource::Orders,
        ShopifyResource::Products,
        ShopifyResource::Customers,
        ShopifyResource::DraftOrders,
    ];

    /// The name in paths and in JSON.
    pub fn word(self) -> &'static str {
        match self {
            ShopifyResource::Orders => "orders",
            ShopifyResource::Products => "products",
            ShopifyResource::Customers => "customers",
            ShopifyResource::DraftOrders => "draft_orders",
        }
    }

    /// The topic of the webhook that tells of a change.
    pub fn topic(self) -> &'static str {
        match self {
            ShopifyResource::Orders => "orders/updated",
            ShopifyResource::Products => "products/update",
            ShopifyResource::Customers => "customers/update",
            ShopifyResource::DraftOrders => "draft_orders/update",
        }
    }
}
