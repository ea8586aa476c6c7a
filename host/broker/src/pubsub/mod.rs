//! Google Cloud Pub/Sub: one topic for all hooks with one subscription, which the node pulls from
//! (`pull`) or which pushes to the node (`push`), and a topic for dead letters. Pub/Sub has no
//! delay of its own: a later attempt is published anew with its time, and kept waiting by its
//! acknowledgement deadline.
//!
//! Source: cloud.google.com/pubsub/docs/reference/rest.

mod ack;
mod check;
mod pull;
mod push;
mod settings;
mod topic;

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use landfall_model::{Clock, PushSpec, SecretRef};

use self::settings::{PubSubSpec, URL_FORM};
use crate::broker::Broker;
use crate::client::{google, google_token};
use crate::error::BrokerError;
use crate::kind::{BrokerPlan, ConnectOptions, Kind};
use crate::rest::Rest;
use crate::seal::Seal;

const SERVICE: &str = "https://pubsub.googleapis.com";
const SCOPE: &str = "https://www.googleapis.com/auth/pubsub";

pub(crate) const KIND: Kind = Kind {
    schemes: &["pubsub"],
    url_form: URL_FORM,
    keys: &[
        "subscription",
        "dead_letter",
        "push_to",
        "push_account",
        "push_keys",
    ],
    plan: |settings| Ok(Arc::new(PubSubSpec::new(settings)?)),
};

// === impl PubSubSpec ===

impl BrokerPlan for PubSubSpec {
    fn connect(
        &self,
        options: ConnectOptions,
    ) -> BoxFuture<'static, Result<Arc<dyn Broker>, BrokerError>> {
        let (spec, token) = (self.clone(), self.token());
        async move {
            let emulator = spec.endpoint.as_deref();
            let rest = google(SERVICE, emulator, token, options.secrets, options.clock)?;
            start(spec, rest, options.seal, options.clock).await
        }
        .boxed()
    }

    fn token(&self) -> Option<SecretRef> {
        self.endpoint.is_none().then(|| google_token(SCOPE))
    }

    fn push(&self) -> Option<&PushSpec> {
        self.push.as_ref()
    }
}

/// Pub/Sub as the settings want it: pushing where they say how, else pulled.
async fn start(
    spec: PubSubSpec,
    rest: Rest,
    seal: Arc<Seal>,
    clock: Clock,
) -> Result<Arc<dyn Broker>, BrokerError> {
    let pushes = spec.push.is_some();
    let topic = Arc::new(topic::Topic::start(spec, rest, seal, clock).await?);

    if pushes {
        Ok(Arc::new(push::PubSubPush::new(topic)))
    } else {
        Ok(Arc::new(pull::PubSubPull::new(topic)))
    }
}
