//! The turns in which tokens are checked, so that guessing is slow. Each client has turns of its
//! own, and a wrong token keeps its turn for a while: who guesses does not delay other clients.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use landfall_model::lock;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The answer to a wrong token is held back for this long, and its turn with it.
const WRONG_TOKEN_PAUSE: Duration = Duration::from_millis(500);
/// Turns of a client, so that at most 16 of its wrong tokens are checked in a second.
const TURNS_MAX: usize = 8;
/// Requests of all clients that wait for a turn, or whose answer is held back. Fewer than the
/// connections of the listener, so that the probes and other clients have some left.
const HELD_MAX: usize = 48;
/// Clients whose turns are remembered. A client is forgotten when it uses none.
const CLIENTS_MAX: usize = 1024;

/// The turns of all clients.
pub(crate) struct Turns {
    clients: Mutex<HashMap<Option<IpAddr>, Arc<Semaphore>>>,
    held: Arc<Semaphore>,
}

/// A turn of a client. Dropped after the check of a right token.
pub(crate) struct Turn {
    turn: OwnedSemaphorePermit,
    /// The place of a request that has waited.
    held: Option<OwnedSemaphorePermit>,
}

// === impl Turns ===

impl Turns {
    pub(crate) fn new() -> Turns {
        Turns {
            clients: Mutex::default(),
            held: Arc::new(Semaphore::new(HELD_MAX)),
        }
    }

    /// Waits for a turn of this client. `None`: it has none left, and too many requests wait.
    pub(crate) async fn take(&self, client: Option<IpAddr>) -> Option<Turn> {
        let turns = self.of(client);
        if let Ok(turn) = turns.clone().try_acquire_owned() {
            return Some(Turn { turn, held: None });
        }

        let held = self.held.clone().try_acquire_owned().ok()?;
        let turn = turns.acquire_owned().await.ok()?;
        Some(Turn {
            turn,
            held: Some(held),
        })
    }

    /// Keeps the turn of a wrong token for a while, and returns after it. Returns at once if too
    /// many answers are held back: the turn is kept all the same.
    pub(crate) async fn keep(&self, turn: Turn) {
        let Turn { turn, held } = turn;
        let held = held.or_else(|| self.held.clone().try_acquire_owned().ok());
        // A task of its own: a client that closes its connection does not end the turn.
        let pause = tokio::spawn(async move {
            tokio::time::sleep(WRONG_TOKEN_PAUSE).await;
            drop(turn);
        });
        if held.is_some() {
            pause.await.ok();
        }
    }

    fn of(&self, client: Option<IpAddr>) -> Arc<Semaphore> {
        let client = client.map(network);
        let mut clients = lock(&self.clients);
        if let Some(turns) = clients.get(&client) {
            return turns.clone();
        }

        let turns = Arc::new(Semaphore::new(TURNS_MAX));
        if clients.len() >= CLIENTS_MAX {
            // Of a client that uses no turn, only the table has the turns.
            clients.retain(|_, turns| Arc::strong_count(turns) > 1);
        }
        // While so many clients guess, the token of a further one is compared all the same.
        if clients.len() < CLIENTS_MAX {
            clients.insert(client, turns.clone());
        }
        turns
    }
}

/// The addresses that one client can choose from: of IPv6, a network of 64 bits.
fn network(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V6(address) => {
            let prefix = u128::from(address) >> 64 << 64;
            IpAddr::V6(Ipv6Addr::from(prefix))
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn address(number: u32) -> Option<IpAddr> {
        Some(IpAddr::V4(number.into()))
    }

    /// The turn that a client gets without waiting. `Some(None)`: it is refused.
    fn at_once(turns: &Turns, client: Option<IpAddr>) -> Option<Option<Turn>> {
        turns.take(client).now_or_never()
    }

    #[test]
    fn clients_have_turns_of_their_own() {
        let turns = Turns::new();
        let mut taken: Vec<Turn> = (0..TURNS_MAX)
            .map(|_| at_once(&turns, address(1)).flatten().expect("a turn"))
            .collect();
        assert!(at_once(&turns, address(1)).is_none(), "it waits");
        let other = at_once(&turns, address(2)).flatten();
        assert!(other.is_some_and(|turn| turn.held.is_none()));

        // No request can wait any more: only the client without a turn is refused.
        let held = turns.held.clone().try_acquire_many_owned(HELD_MAX as u32);
        assert!(held.is_ok());
        assert!(at_once(&turns, address(1)).is_some_and(|turn| turn.is_none()));
        assert!(at_once(&turns, address(2)).flatten().is_some());
        taken.pop();
        assert!(at_once(&turns, address(1)).flatten().is_some());
    }

    #[test]
    fn the_table_of_clients_is_bounded() {
        let turns = Turns::new();
        let clients = || (0..2 * CLIENTS_MAX as u32).map(address);
        let known = || lock(&turns.clients).len();
        let taken: Vec<Turn> = clients()
            .map(|client| at_once(&turns, client).flatten().expect("a turn"))
            .collect();
        assert_eq!(known(), CLIENTS_MAX);

        drop(taken);
        assert!(at_once(&turns, None).flatten().is_some());
        assert_eq!(known(), 1, "clients that use no turn are forgotten");
    }

    #[test]
    fn networks_share_their_turns() {
        for (one, other, is_same) in [
            ("2001:db8::1", "2001:db8::ffff:0:0:2", true),
            ("2001:db8::1", "2001:db8:0:1::1", false),
            ("::ffff:192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1", "192.0.2.2", false),
        ] {
            let [one, other] = [one, other].map(|text| network(text.parse().unwrap()));
            assert_eq!(one == other, is_same, "{one} {other}");
        }
    }
}
