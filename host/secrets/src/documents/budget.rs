//! Rate limits for fetches of key documents that requests name. Each client has a budget, so that made-up names of one client do not block
//! the keys of others. Each origin and the node have larger budgets.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Fetches for one client, and from one origin, in a minute.
pub const OF_A_CLIENT_A_MINUTE: usize = 30;
const OF_AN_ORIGIN_A_MINUTE: usize = 300;
/// Concurrent fetches: for one client, from one origin, and in total.
const OF_A_CLIENT: usize = 4;
const OF_AN_ORIGIN: usize = 16;
const OF_ALL: usize = 64;
const MINUTE: Duration = Duration::from_secs(60);
/// The most clients, and the most origins, whose fetches are counted.
const CLIENTS_MAX: usize = 10_000;
const ORIGINS_MAX: usize = 64;

/// The budgets.
pub struct Budget {
    clients: Mutex<HashMap<Option<IpAddr>, Arc<Spent>>>,
    origins: Mutex<HashMap<String, Arc<Spent>>>,
    all: Arc<Semaphore>,
}

/// A permit for one fetch.
pub struct Turn(#[expect(dead_code, reason = "given back when dropped")] [OwnedSemaphorePermit; 3]);

/// By one client, or of one origin.
struct Spent {
    at_once: Arc<Semaphore>,
    /// When the last fetches began.
    begun: Mutex<Vec<Instant>>,
}

impl Default for Budget {
    fn default() -> Budget {
        Budget {
            clients: Mutex::default(),
            origins: Mutex::default(),
            all: Arc::new(Semaphore::new(OF_ALL)),
        }
    }
}

// === impl Budget ===

impl Budget {
    /// Does not wait. The error is a sentence; the request is answered 503, so that the sender retries.
    pub fn take(&self, origin: &str, client: Option<IpAddr>) -> Result<Turn, String> {
        let many = || {
            "key documents are being fetched for too many clients, or from too many places"
                .to_owned()
        };
        let by_client =
            entry(&self.clients, network(client), CLIENTS_MAX, OF_A_CLIENT).ok_or_else(many)?;
        let of_origin =
            entry(&self.origins, origin.to_owned(), ORIGINS_MAX, OF_AN_ORIGIN).ok_or_else(many)?;
        let busy = |_| "too many key documents are being fetched at once".to_owned();
        let turn = Turn([
            by_client
                .at_once
                .clone()
                .try_acquire_owned()
                .map_err(busy)?,
            of_origin
                .at_once
                .clone()
                .try_acquire_owned()
                .map_err(busy)?,
            self.all.clone().try_acquire_owned().map_err(busy)?,
        ]);
        // A fetch that the client's budget refuses does not use up the origin's.
        by_client.begin(OF_A_CLIENT_A_MINUTE, "for this client")?;
        of_origin.begin(OF_AN_ORIGIN_A_MINUTE, "from there")?;
        Ok(turn)
    }
}

/// An IPv6 client controls its whole /64, so that counts as one client.
fn network(client: Option<IpAddr>) -> Option<IpAddr> {
    client.map(|address| match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from(u128::from(address) >> 64 << 64)),
        address => address,
    })
}

fn entry<K: std::hash::Hash + Eq>(
    all: &Mutex<HashMap<K, Arc<Spent>>>,
    key: K,
    most: usize,
    at_once: usize,
) -> Option<Arc<Spent>> {
    let mut all = all.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    if all.len() >= most && !all.contains_key(&key) {
        all.retain(|_, spent| spent.is_busy());
        if all.len() >= most {
            return None;
        }
    }
    let make = || {
        Arc::new(Spent {
            at_once: Arc::new(Semaphore::new(at_once)),
            begun: Mutex::default(),
        })
    };
    Some(all.entry(key).or_insert_with(make).clone())
}

// === impl Spent ===

impl Spent {
    fn begin(&self, most: usize, of: &str) -> Result<(), String> {
        let mut begun = self
            .begun
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        begun.retain(|at| at.elapsed() < MINUTE);
        if begun.len() >= most {
            return Err(format!(
                "{most} key documents have been fetched {of} in a minute"
            ));
        }
        begun.push(Instant::now());
        Ok(())
    }

    fn is_busy(&self) -> bool {
        let begun = self
            .begun
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        begun.last().is_some_and(|at| at.elapsed() < MINUTE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budgets_are_apart() {
        let budget = Budget::default();
        let address = |text: &str| Some(text.parse().unwrap());
        let count = |client: Option<IpAddr>, origin: &str| {
            (0..1000)
                .filter(|_| budget.take(origin, client).is_ok())
                .count()
        };
        assert_eq!(count(address("192.0.2.1"), "a"), OF_A_CLIENT_A_MINUTE);
        assert_eq!(
            count(address("192.0.2.1"), "b"),
            0,
            "a client has one budget for all origins"
        );
        assert_eq!(count(address("2001:db8::1"), "a"), OF_A_CLIENT_A_MINUTE);
        assert_eq!(
            count(address("2001:db8::2"), "a"),
            0,
            "a network is one client"
        );
        let left = OF_AN_ORIGIN_A_MINUTE - 2 * OF_A_CLIENT_A_MINUTE;
        let others = (2..100)
            .map(|last| count(address(&format!("192.0.2.{last}")), "a"))
            .sum::<usize>();
        assert_eq!(others, left, "an origin has a budget too");
        assert_eq!(count(address("198.51.100.1"), "c"), OF_A_CLIENT_A_MINUTE);
    }

    #[test]
    fn slow_fetches_hold_up_their_client() {
        let budget = Budget::default();
        let (slow, other) = (
            Some(IpAddr::from([192, 0, 2, 1])),
            Some(IpAddr::from([192, 0, 2, 2])),
        );
        let held: Vec<_> = (0..10)
            .filter_map(|_| budget.take("a", slow).ok())
            .collect();
        assert_eq!(held.len(), OF_A_CLIENT);
        assert!(budget.take("a", other).is_ok());
    }
}
