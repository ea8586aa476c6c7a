//! Shapes in the ledger: one value for each event type, one for each hook, and the orders of
//! operators, which the node that learns carries out.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use landfall_ledger::{Ledger, LedgerError, Scrubbed};
use landfall_model::{EventId, SHAPE};
use landfall_shape::{Shape, Summary};
use serde::{Deserialize, Serialize};

/// What only one node does.
pub(crate) const LEAD: &str = "shape";
/// By hook, slash and event type: shapes.
const SHAPES: &str = SHAPE;
/// By hook: what is known of its event types.
const HOOKS: &str = "_shape-hooks";
/// By hook, slash and a number that grows: orders of operators.
const ORDERS: &str = "_shape-orders";
/// An order ends after this time: no node has learned for so long.
const ORDERS_KEPT: Duration = Duration::from_secs(30 * 86_400);
/// Keys that are read from the ledger at a time.
const PAGE: usize = 100;
/// Orders that one look carries out.
const ORDERS_MAX: usize = 100;

/// What is known of a hook without its shapes. Its size is bounded.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct HookState {
    /// The number of the newest delivery that was looked at.
    pub(crate) position: i64,
    /// By event type; empty for events without one.
    pub(crate) types: BTreeMap<String, TypeState>,
    /// Events whose type was not learned: there were too many types, or its name is too long.
    pub(crate) untyped: u64,
    /// Since when the hook is missing, in ms since 1970.
    pub(crate) gone_ms: Option<i64>,
}

/// What is known of an event type without its shape.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct TypeState {
    /// When its last event was received, in ms since 1970.
    pub(crate) last_ms: i64,
    pub(crate) is_known: bool,
    /// The open differences.
    pub(crate) open: Option<OpenDifferences>,
}

/// The open differences of an event type.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct OpenDifferences {
    pub(crate) count: u64,
    /// When the first event of the first one was received, in ms since 1970.
    pub(crate) first_ms: i64,
    /// The first one.
    pub(crate) sentence: String,
}

/// What an operator wants of a hook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "order", rename_all = "lowercase")]
pub(crate) enum Order {
    /// What was seen is a part of the shape.
    Accept {
        /// `None`: of every type.
        event_type: Option<String>,
    },
    /// The shapes are learned anew.
    Forget {
        /// `None`: of every type.
        event_type: Option<String>,
    },
}

/// An order in the ledger.
#[derive(Debug)]
pub(crate) struct StoredOrder {
    pub(crate) key: String,
    pub(crate) hook: String,
    /// `None`: this version cannot read it.
    pub(crate) order: Option<Order>,
}

/// The shapes in a ledger.
pub(crate) struct ShapeStore(Arc<dyn Ledger>);

// === impl Order ===

impl Order {
    /// Whether the order is about this event type.
    pub(crate) fn is_about(&self, event_type: &str) -> bool {
        let (Order::Accept { event_type: wanted } | Order::Forget { event_type: wanted }) = self;
        wanted.as_ref().is_none_or(|wanted| wanted == event_type)
    }
}

// === impl ShapeStore ===

impl ShapeStore {
    pub(crate) fn new(ledger: Arc<dyn Ledger>) -> ShapeStore {
        ShapeStore(ledger)
    }

    /// The state of every hook.
    pub(crate) async fn states(&self) -> Result<BTreeMap<String, HookState>, LedgerError> {
        let (mut states, mut after) = (BTreeMap::new(), String::new());
        loop {
            let keys = self
                .0
                .keys(HOOKS.into(), String::new(), after, PAGE)
                .await?;
            for hook in &keys {
                if let Some(state) = self.state(hook).await? {
                    states.insert(hook.clone(), state);
                }
            }
            match keys.last() {
                Some(last) if keys.len() == PAGE => after = last.clone(),
                _ => return Ok(states),
            }
        }
    }

    /// The state of a hook. `None`: there is none, or it is damaged.
    pub(crate) async fn state(&self, hook: &str) -> Result<Option<HookState>, LedgerError> {
        let text = self.text(HOOKS, hook.to_owned()).await?;
        Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
    }

    /// The shape of an event type. `None`: there is none, or it is damaged.
    pub(crate) async fn shape(
        &self,
        hook: &str,
        event_type: &str,
    ) -> Result<Option<Shape>, LedgerError> {
        let text = self.text(SHAPES, key(hook, event_type)).await?;
        Ok(text.and_then(|text| Shape::parse(&text)))
    }

    /// As `shape`, without the places.
    pub(crate) async fn summary(
        &self,
        hook: &str,
        event_type: &str,
    ) -> Result<Option<Summary>, LedgerError> {
        let text = self.text(SHAPES, key(hook, event_type)).await?;
        Ok(text.and_then(|text| Summary::parse(&text)))
    }

    /// False, and nothing is stored: another node learns by now.
    pub(crate) async fn put_state(
        &self,
        hook: &str,
        state: &HookState,
    ) -> Result<bool, LedgerError> {
        let text = serde_json::to_string(state).unwrap_or_default();
        self.put(HOOKS, hook.to_owned(), Some(text)).await
    }

    /// As `put_state`. `None` removes the shape.
    pub(crate) async fn put_shape(
        &self,
        hook: &str,
        event_type: &str,
        shape: Option<&Shape>,
    ) -> Result<bool, LedgerError> {
        let text = shape.map(Shape::to_json);
        self.put(SHAPES, key(hook, event_type), text).await
    }

    /// As `put_state`: removes everything of a hook.
    pub(crate) async fn remove(&self, hook: &str) -> Result<bool, LedgerError> {
        let prefix = key(hook, "");
        loop {
            let keys = self
                .0
                .keys(SHAPES.into(), prefix.clone(), String::new(), PAGE)
                .await?;
            if keys.is_empty() {
                return self.put(HOOKS, hook.to_owned(), None).await;
            }
            for key in keys {
                if !self.put(SHAPES, key, None).await? {
                    return Ok(false);
                }
            }
        }
    }

    /// Stores an order, and returns its key. Any node may do so.
    pub(crate) async fn add_order(
        &self,
        hook: &str,
        number: EventId,
        order: &Order,
    ) -> Result<String, LedgerError> {
        let key = format!("{hook}/{number}");
        let text = serde_json::to_string(order).unwrap_or_default();
        self.0.note(ORDERS, key.clone(), text, ORDERS_KEPT).await?;
        Ok(key)
    }

    /// Whether an order waits.
    pub(crate) async fn has_order(&self, key: &str) -> Result<bool, LedgerError> {
        Ok(self.text(ORDERS, key.to_owned()).await?.is_some())
    }

    /// The orders that wait, by hook, and of each hook in their order.
    pub(crate) async fn orders(&self) -> Result<Vec<StoredOrder>, LedgerError> {
        let empty = String::new();
        let keys = self
            .0
            .keys(ORDERS.into(), empty.clone(), empty, ORDERS_MAX)
            .await?;
        let mut orders = Vec::with_capacity(keys.len());
        for key in keys {
            let text = self.text(ORDERS, key.clone()).await?;
            let order = text.and_then(|text| serde_json::from_str(&text).ok());
            let (hook, _) = key.split_once('/').unwrap_or((&key, ""));
            orders.push(StoredOrder {
                hook: hook.to_owned(),
                key,
                order,
            });
        }
        Ok(orders)
    }

    /// As `put_state`: an order was carried out.
    pub(crate) async fn end_order(&self, key: String) -> Result<bool, LedgerError> {
        self.put(ORDERS, key, None).await
    }

    /// Overwrites what removed shapes have left in the files.
    pub(crate) async fn scrub(&self) -> Result<Scrubbed, LedgerError> {
        self.0.scrub().await
    }

    async fn text(&self, owner: &str, key: String) -> Result<Option<String>, LedgerError> {
        match self.0.get(owner.into(), key.clone()).await {
            Ok(value) => Ok(value.map(|value| String::from_utf8_lossy(&value.bytes).into_owned())),
            // Its checksum does not match.
            Err(LedgerError::Other(error)) => {
                tracing::warn!(key, error, "a learned shape is damaged: it is learned anew");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    async fn put(
        &self,
        owner: &'static str,
        key: String,
        text: Option<String>,
    ) -> Result<bool, LedgerError> {
        self.0
            .put_own(LEAD, owner, key, text.map(Bytes::from))
            .await
    }
}

fn key(hook: &str, event_type: &str) -> String {
    format!("{hook}/{event_type}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_about_types() {
        let of_all = Order::Forget { event_type: None };
        let of_one = Order::Accept {
            event_type: Some("push".to_owned()),
        };
        assert!(of_all.is_about("push") && of_all.is_about(""));
        assert!(of_one.is_about("push") && !of_one.is_about(""));
        let text = serde_json::to_string(&of_one).unwrap();
        assert_eq!(text, "{\"order\":\"accept\",\"event_type\":\"push\"}");
    }
}
