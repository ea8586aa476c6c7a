//! Google Cloud Pub/Sub: one topic for all hooks with one subscription, which the node pulls from (`pull`) or which pushes to the node
//! (`push`), and a topic for dead letters. Pub/Sub has no delay of its own: a later attempt is published anew with its time, and kept
//! waiting by its acknowledgement deadline.
//!
//! Source: cloud.google.com/pubsub/docs/reference/rest.

mod ack;
mod check;
mod pull;
mod push;
mod topic;

use std::sync::Arc;

use landfall_model::{Clock, PubSubSpec};

use crate::broker::Broker;
use crate::error::BrokerError;
use crate::rest::Rest;
use crate::seal::Seal;

/// Pub/Sub as the settings want it: pushing where they say how, else pulled.
pub(crate) async fn start(
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
