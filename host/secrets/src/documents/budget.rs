//! Rate limits for fetches of key documents that requests name. Each client has a budget, so that
//! made-up names of one client do not block the keys of others. Each origin and the node have
//! larger budgets.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use landfall_model::lock;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::error::BudgetError;

/// Fetches for one client, and from one origin, in a minute.
pub(super) const PER_CLIENT_PER_MINUTE: usize = 30;
const PER_ORIGIN_PER_MINUTE: usize = 300;
/// Concurrent fetches: for one client, from one origin, and in total.
const PER_CLIENT_AT_ONCE: usize = 4;
const PER_ORIGIN_AT_ONCE: usize = 16;
const AT_ONCE: usize = 64;
const MINUTE: Duration = Duration::from_secs(60);
/// The most clients, and the most origins, whose fetches are counted.
const CLIENTS_MAX: usize = 10_000;
const ORIGINS_MAX: usize = 64;

/// The budgets of all clients and origins.
pub(super) struct Budget {
    clients: Mutex<HashMap<Option<IpAddr>, Arc<Usage>>>,
    origins: Mutex<HashMap<String, Arc<Usage>>>,
    permits: Arc<Semaphore>,
}

/// Permits one fetch until it is dropped.
pub(super) struct FetchPermit(
    #[expect(dead_code, reason = "released when dropped")] [OwnedSemaphorePermit; 3],
);

/// The fetches of one client, or from one origin.
struct Usage {
    permits: Arc<Semaphore>,
    /// When the fetches of the last minute started.
    started: Mutex<Vec<Instant>>,
}

impl Default for Budget {
    fn default() -> Budget {
        Budget {
            clients: Mutex::default(),
            origins: Mutex::default(),
            permits: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }
}

// === impl Budget ===

impl Budget {
    /// Does not wait: the request is answered 503, so that the sender retries.
    pub(super) fn acquire(
        &self,
        origin: &str,
        client: Option<IpAddr>,
    ) -> Result<FetchPermit, BudgetError> {
        let client = usage_of(
            &self.clients,
            network(client),
            CLIENTS_MAX,
            PER_CLIENT_AT_ONCE,
        )?;
        let origin = usage_of(
            &self.origins,
            origin.to_owned(),
            ORIGINS_MAX,
            PER_ORIGIN_AT_ONCE,
        )?;
        let permits = [
            permit(&client.permits)?,
            permit(&origin.permits)?,
            permit(&self.permits)?,
        ];

        // A fetch that the client's budget refuses does not count for the origin.
        if !client.start(PER_CLIENT_PER_MINUTE) {
            return Err(BudgetError::ClientPerMinute(PER_CLIENT_PER_MINUTE));
        }

        if !origin.start(PER_ORIGIN_PER_MINUTE) {
            return Err(BudgetError::OriginPerMinute(PER_ORIGIN_PER_MINUTE));
        }

        Ok(FetchPermit(permits))
    }
}

fn permit(permits: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, BudgetError> {
    permits
        .clone()
        .try_acquire_owned()
        .map_err(|_| BudgetError::TooManyAtOnce)
}

/// An IPv6 client controls its whole /64, so that counts as one client.
fn network(client: Option<IpAddr>) -> Option<IpAddr> {
    client.map(|address| match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from(u128::from(address) >> 64 << 64)),
        address => address,
    })
}

fn usage_of<K: Hash + Eq>(
    all: &Mutex<HashMap<K, Arc<Usage>>>,
    key: K,
    max: usize,
    at_once: usize,
) -> Result<Arc<Usage>, BudgetError> {
    let mut all = lock(all);
    if all.len() >= max && !all.contains_key(&key) {
        all.retain(|_, usage| usage.is_recent());
        if all.len() >= max {
            return Err(BudgetError::TooManyPeers);
        }
    }

    let usage = all
        .entry(key)
        .or_insert_with(|| Arc::new(Usage::new(at_once)));
    Ok(usage.clone())
}

// === impl Usage ===

impl Usage {
    fn new(at_once: usize) -> Usage {
        Usage {
            permits: Arc::new(Semaphore::new(at_once)),
            started: Mutex::default(),
        }
    }

    /// Counts a fetch, unless this minute already has `max`.
    fn start(&self, max: usize) -> bool {
        let mut started = lock(&self.started);
        started.retain(|at| at.elapsed() < MINUTE);
        if started.len() >= max {
            return false;
        }

        started.push(Instant::now());
        true
    }

    fn is_recent(&self) -> bool {
        lock(&self.started)
            .last()
            .is_some_and(|at| at.elapsed() < MINUTE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budgets_are_separate() {
        let budget = Budget::default();
        let address = |text: &str| Some(text.parse().unwrap());
        let count = |client: Option<IpAddr>, origin: &str| {
            (0..1000)
                .filter(|_| budget.acquire(origin, client).is_ok())
                .count()
        };
        assert_eq!(count(address("192.0.2.1"), "a"), PER_CLIENT_PER_MINUTE);
        assert_eq!(
            count(address("192.0.2.1"), "b"),
            0,
            "a client has one budget for all origins"
        );
        assert_eq!(count(address("2001:db8::1"), "a"), PER_CLIENT_PER_MINUTE);
        assert_eq!(
            count(address("2001:db8::2"), "a"),
            0,
            "a network is one client"
        );
        let left = PER_ORIGIN_PER_MINUTE - 2 * PER_CLIENT_PER_MINUTE;
        let others = (2..100)
            .map(|last| count(address(&format!("192.0.2.{last}")), "a"))
            .sum::<usize>();
        assert_eq!(others, left, "an origin has a budget too");
        assert_eq!(count(address("198.51.100.1"), "c"), PER_CLIENT_PER_MINUTE);
    }

    #[test]
    fn slow_fetches_delay_only_their_client() {
        let budget = Budget::default();
        let (slow, other) = (
            Some(IpAddr::from([192, 0, 2, 1])),
            Some(IpAddr::from([192, 0, 2, 2])),
        );
        let held: Vec<_> = (0..10)
            .filter_map(|_| budget.acquire("a", slow).ok())
            .collect();
        assert_eq!(held.len(), PER_CLIENT_AT_ONCE);
        assert!(budget.acquire("a", other).is_ok());
    }
}
