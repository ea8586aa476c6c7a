//! Signed samples that the admin API sends to the public listener of the same node.

use std::net::SocketAddr;
use std::sync::Arc;

use landfall_admin::{SampleOrder, SampleRefused, SendSamples, SendingSample, SentSample};
use landfall_dashboard::ReadPacks;
use landfall_hooks::{Hook, Hooks};
use landfall_ledger::{Filter, History};
use landfall_model::{Clock, EventId, Secret, SecretSource};
use landfall_secrets::Secrets;
use landfall_verify::SignedSample;
use serde_json::Value;

use crate::tools::send;

/// The hooks of a node, and what it takes to call them.
pub(crate) struct Samples {
    pub(crate) hooks: Hooks,
    pub(crate) secrets: Arc<Secrets>,
    pub(crate) packs: ReadPacks,
    /// The public listener, as this machine reaches it.
    pub(crate) public: SocketAddr,
    pub(crate) ledger: Arc<dyn History>,
}

// === impl Samples ===

impl SendSamples for Samples {
    fn send<'a>(&'a self, hook: &'a str, order: SampleOrder) -> SendingSample<'a> {
        Box::pin(async move {
            let found = self.hooks.named(hook).ok_or(SampleRefused::NoHook)?;
            let signed = self.signed(&found, order)?;
            let bytes = signed.body.len();
            let last = self.newest(hook).await.map_or(0, |(delivery, _)| delivery);

            let sent = send(signed).await;
            let (status, body) =
                sent.map_err(|error| SampleRefused::Unanswered(format!("{error:#}")))?;
            let event = match self.named_event(&body).await {
                Some(event) => Some(event),
                None => self.newer(hook, last).await,
            };
            Ok(SentSample {
                status,
                bytes,
                event,
            })
        })
    }
}

impl Samples {
    fn signed(&self, hook: &Hook, order: SampleOrder) -> Result<SignedSample, SampleRefused> {
        let public = format!("http://{}", self.public);
        let secret = self.first_secret(hook);
        let request = hook.sample_request(&public, order.event_type, order.body, secret);
        landfall_verify::sample(&request, &(self.packs)(), Clock::System.now())
            .map_err(|error| SampleRefused::NotPossible(error.to_string()))
    }

    fn first_secret(&self, hook: &Hook) -> Option<Secret> {
        let mut secrets = hook.spec.verify.secret.iter();
        secrets.find_map(|secret| self.secrets.value(secret).ok())
    }

    /// The newest delivery of a hook, and its event.
    async fn newest(&self, hook: &str) -> Option<(i64, String)> {
        let filter = Filter {
            hook: Some(hook.to_owned()),
            limit: 1,
            ..Filter::default()
        };
        let listed = self.ledger.list(filter).await.ok()?;
        let newest = listed.into_iter().next()?;
        Some((newest.delivery, newest.event))
    }

    /// The event of the newest delivery, if it is newer than `last`.
    async fn newer(&self, hook: &str, last: i64) -> Option<String> {
        let (delivery, event) = self.newest(hook).await?;
        (delivery > last).then_some(event)
    }

    /// The event that an answer of mode `async` names. A handler may answer the same key with any
    /// text, which is not passed on: only the id of a stored event is.
    async fn named_event(&self, body: &str) -> Option<String> {
        let id = id_in(body)?;
        let found = self.ledger.find_ids(id, id, 1).await.ok()?;
        found.contains(&id).then(|| id.to_string())
    }
}

fn id_in(body: &str) -> Option<EventId> {
    let answer: Value = serde_json::from_str(body).ok()?;
    answer["event"].as_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ids_are_read() {
        let id = "01994c1e-0000-7000-8000-000000000001";
        for (body, event) in [
            (format!("{{\"event\":\"{id}\"}}"), Some(id)),
            ("{\"event\":\"canary\"}".to_owned(), None),
            ("{\"event\":7}".to_owned(), None),
            ("".to_owned(), None),
        ] {
            let found = id_in(&body).map(|id| id.to_string());
            assert_eq!(found.as_deref(), event, "{body}");
        }
    }
}
