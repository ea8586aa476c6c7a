//! What is asked of a provider's API, and how its answers are read. No IO: `api` makes the calls.

use std::time::Duration;

use super::listing::{Answer, Delivery, Get, Page, Unreadable, Window};
use super::{github, shopify, stripe};
use landfall_model::{ReconcileSource, ReconcileSpec};

/// The call for a page.
pub(crate) fn list(spec: &ReconcileSpec, window: Window, cursor: Option<&str>) -> Get {
    match &spec.source {
        ReconcileSource::GitHub(webhook) => github::list(webhook, cursor),
        ReconcileSource::Stripe { account, types } => {
            stripe::list(account.as_deref(), types, spec.find, window, cursor)
        }
        ReconcileSource::Shopify {
            resource, version, ..
        } => shopify::list(*resource, version, window, cursor),
    }
}

/// Reads a page.
pub(crate) fn page(
    spec: &ReconcileSpec,
    window: Window,
    answer: &Answer,
) -> Result<Page, Unreadable> {
    match &spec.source {
        ReconcileSource::GitHub(webhook) => github::page(webhook, spec.find, window, answer),
        ReconcileSource::Stripe { .. } => stripe::page(window, answer),
        ReconcileSource::Shopify {
            shop,
            resource,
            version,
        } => shopify::page(shop, *resource, version, window, answer),
    }
}

/// Reads the answer to `Content::At`. Only GitHub has such calls. `None`: the content is gone.
pub(crate) fn delivery(answer: &Answer) -> Result<Option<Delivery>, Unreadable> {
    github::delivery(answer)
}

/// Deliveries younger than this are left to the provider, which may still deliver them.
pub(crate) fn settle(spec: &ReconcileSpec) -> Duration {
    match &spec.source {
        // A delivery is in the list when it has ended.
        ReconcileSource::GitHub(_) => Duration::ZERO,
        ReconcileSource::Stripe { .. } | ReconcileSource::Shopify { .. } => {
            Duration::from_secs(5 * 60)
        }
    }
}

/// The time between two calls.
pub(crate) fn pace(spec: &ReconcileSpec) -> Duration {
    match &spec.source {
        ReconcileSource::GitHub(_) | ReconcileSource::Stripe { .. } => Duration::from_millis(50),
        // Two calls a second.
        ReconcileSource::Shopify { .. } => Duration::from_millis(500),
    }
}

/// What to do about a refusal of the API.
pub(crate) fn hint(spec: &ReconcileSpec, status: u16) -> &'static str {
    match (&spec.source, status) {
        (_, 401) => "`credential` of [reconcile] must be a current secret for this API",
        (ReconcileSource::GitHub(_), 403 | 404) => {
            "check owner, repo or org, and the number of the webhook; the token needs to read webhooks (fine-grained: \
             Webhooks, read; classic: read:repo_hook or admin:org_hook)"
        }
        (ReconcileSource::Stripe { .. }, 403) => {
            "the restricted key needs to read events, and `account` must be connected"
        }
        (ReconcileSource::Shopify { .. }, 403 | 404) => {
            "check `shop` and `version`; the token needs the scope that reads the resource, such as read_orders"
        }
        (_, 300..=399) => {
            "`api` of [reconcile] must be the URL that answers: redirects are not followed"
        }
        _ => "check the keys of [reconcile]",
    }
}
