//! The learned shapes, as the admin API reads and changes them.

use std::sync::Arc;

use async_trait::async_trait;
use landfall_admin::{LearnedHook, ShapeChange};
use landfall_ledger::LedgerError;

use crate::shape_store::Order;
use crate::shapes::Shapes;

/// The shapes of a running node, which may be learned by another one.
pub(crate) struct ShapesOfNode(pub(crate) Arc<Shapes>);

#[async_trait]
impl landfall_admin::Shapes for ShapesOfNode {
    async fn read(
        &self,
        hook: &str,
        event_type: Option<&str>,
    ) -> Result<Option<LearnedHook>, LedgerError> {
        let store = &self.0.store;
        let Some(state) = store.state(hook).await? else {
            return Ok(None);
        };

        let wanted = |known: &&String| event_type.is_none_or(|wanted| wanted == *known);
        let mut types = Vec::new();
        for known in state.types.keys().filter(wanted) {
            if let Some(shape) = store.shape(hook, known).await? {
                types.push((known.clone(), shape));
            }
        }
        if event_type.is_some() && types.is_empty() {
            return Ok(None);
        }
        Ok(Some(LearnedHook {
            is_learned: self.0.is_learned(hook),
            types,
            untyped: state.untyped,
        }))
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
        self.0.give(hook, order).await
    }
}
