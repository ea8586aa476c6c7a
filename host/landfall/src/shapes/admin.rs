//! The learned shapes, as the admin API reads and changes them.

use std::sync::Arc;

use async_trait::async_trait;
use landfall_admin::{LearnedHook, ShapeChange};
use landfall_ledger::{LedgerError, Scrubbed};
use landfall_shape::{Shape, Summary};

use super::Shapes;
use super::store::Order;

/// The shapes of a running node, which may be learned by another one.
pub(crate) struct ShapesOfNode(pub(crate) Arc<Shapes>);

#[async_trait]
impl landfall_admin::Shapes for ShapesOfNode {
    fn is_learned(&self, hook: &str) -> bool {
        self.0.is_learned(hook)
    }

    async fn learned(&self, hook: &str) -> Result<Option<LearnedHook>, LedgerError> {
        let state = self.0.store.state(hook).await?;
        Ok(state.map(|state| LearnedHook {
            types: state.types.into_keys().collect(),
            untyped: state.untyped,
        }))
    }

    async fn summary(&self, hook: &str, event_type: &str) -> Result<Option<Summary>, LedgerError> {
        self.0.store.summary(hook, event_type).await
    }

    async fn shape(&self, hook: &str, event_type: &str) -> Result<Option<Shape>, LedgerError> {
        self.0.store.shape(hook, event_type).await
    }

    async fn change(
        &self,
        hook: &str,
        event_type: Option<&str>,
        change: ShapeChange,
    ) -> Result<bool, LedgerError> {
        let event_type = event_type.map(str::to_owned);
        let order = match change {
            ShapeChange::Accept => Order::Accept { event_type },
            ShapeChange::Forget => Order::Forget { event_type },
        };
        let is_done = self.0.give(hook, order).await?;
        if is_done && change == ShapeChange::Forget && self.0.store.scrub().await? == Scrubbed::Busy
        {
            tracing::warn!(
                hook,
                "the log of the ledger still has the names of the fields: a reader needs an old state; forget the shape again"
            );
        }
        Ok(is_done)
    }
}
