//! The orders of operators: any node takes one, and the node that learns carries it out.

use std::time::Duration;

use landfall_ledger::LedgerError;
use landfall_model::EventId;

use super::Shapes;
use super::look_error::{LookError, led};
use super::memory::Memory;
use super::store::Order;

/// How often an order is looked for until it was carried out, and how long in all.
const ORDER_POLL: Duration = Duration::from_millis(50);
const ORDER_POLLS: usize = 100;

// === impl Shapes ===

impl Shapes {
    /// Stores an order for the node that learns, and waits some seconds until it was carried out.
    /// Returns whether it was.
    pub(crate) async fn give(&self, hook: &str, order: Order) -> Result<bool, LedgerError> {
        let number = EventId::new(self.clock.now());
        let key = self.store.add_order(hook, number, &order).await?;
        self.wake.notify_one();
        for _ in 0..ORDER_POLLS {
            if !self.store.has_order(&key).await? {
                return Ok(true);
            }
            tokio::time::sleep(ORDER_POLL).await;
        }
        Ok(false)
    }

    pub(super) async fn carry_out_orders(&self, memory: &mut Memory) -> Result<(), LookError> {
        for stored in self.store.orders().await? {
            let hook = &stored.hook;
            if let Some(order) = &stored.order {
                tracing::info!(hook, ?order, "an operator changes the shapes of a hook");
                self.carry_out(memory, hook, order).await?;
            }
            led(self.store.end_order(stored.key).await?)?;
        }
        Ok(())
    }

    async fn carry_out(
        &self,
        memory: &mut Memory,
        hook: &str,
        order: &Order,
    ) -> Result<(), LookError> {
        let Some(state) = memory.hooks.get(hook) else {
            return Ok(());
        };
        let types = state.types.keys().filter(|one| order.is_about(one));
        let types: Vec<String> = types.cloned().collect();
        for event_type in types {
            match order {
                Order::Accept { .. } => {
                    self.load(memory, hook, &event_type).await?;
                    if let Some(kept) = memory.kept_mut(hook, &event_type) {
                        kept.shape.accept();
                        memory.note_change(hook, &event_type);
                    }
                }
                Order::Forget { .. } => {
                    memory.drop_type(hook, &event_type);
                    led(self.store.put_shape(hook, &event_type, None).await?)?;
                }
            }
        }
        self.save(memory, hook).await
    }
}
