//! Access tokens with a limited lifetime, cached until shortly before they expire.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use landfall_model::lock;
use serde_json::Value;

use crate::error::FetchError;

/// A token is renewed this long before it expires, or at half of its lifetime if that is later.
const MARGIN: Duration = Duration::from_secs(120);
/// Longer lifetimes are shortened to this.
const LIFETIME_MAX: Duration = Duration::from_secs(86_400);
/// The lifetime of a token whose server does not state it.
const LIFETIME_DEFAULT_S: u64 = 3600;
/// A rejected token of this age or younger is kept: a new one would be rejected too.
const YOUNG: Duration = Duration::from_secs(10);

/// The current tokens, by the parameters of the request. Each has its own lock, so that a slow
/// server does not block the others.
#[derive(Default)]
pub(crate) struct Tokens {
    slots: Mutex<HashMap<String, Arc<Slot>>>,
}

type Slot = tokio::sync::Mutex<Option<CachedToken>>;

struct CachedToken {
    token: String,
    issued: Instant,
    renew_at: Instant,
}

/// A token as a server issues it.
pub(crate) struct NewToken {
    pub(crate) token: String,
    pub(crate) lifetime: Duration,
}

// === impl Tokens ===

impl Tokens {
    /// Returns the cached token, or requests a new one. Concurrent callers share one request.
    pub(crate) async fn get(
        &self,
        name: &str,
        request: impl Future<Output = Result<NewToken, FetchError>>,
    ) -> Result<String, FetchError> {
        let slot = lock(&self.slots)
            .entry(name.to_owned())
            .or_default()
            .clone();
        let mut cached = slot.lock().await;
        if let Some(cached) = cached.as_ref()
            && cached.renew_at > Instant::now()
        {
            return Ok(cached.token.clone());
        }

        let NewToken { token, lifetime } = request.await?;
        let (issued, lifetime) = (Instant::now(), lifetime.min(LIFETIME_MAX));
        *cached = Some(CachedToken {
            token: token.clone(),
            issued,
            renew_at: issued + lifetime - MARGIN.min(lifetime / 2),
        });
        Ok(token)
    }

    /// Drops a rejected token, unless it is young.
    pub(crate) fn forget(&self, token: &[u8]) {
        self.forget_older(token, YOUNG);
    }

    fn forget_older(&self, token: &[u8], min_age: Duration) {
        for slot in lock(&self.slots).values() {
            // A locked slot is being renewed.
            if let Ok(mut cached) = slot.try_lock()
                && cached.as_ref().is_some_and(|cached| {
                    cached.token.as_bytes() == token && cached.issued.elapsed() >= min_age
                })
            {
                *cached = None;
            }
        }
    }
}

/// The lifetime in the response of a token server.
pub(crate) fn lifetime(answer: &Value) -> Duration {
    let seconds = answer.pointer("/expires_in").and_then(Value::as_u64);
    Duration::from_secs(seconds.unwrap_or(LIFETIME_DEFAULT_S))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn issue(token: &str) -> Result<NewToken, FetchError> {
        Ok(NewToken {
            token: token.to_owned(),
            lifetime: Duration::from_secs(3600),
        })
    }

    #[tokio::test]
    async fn rejected_tokens_are_replaced_unless_young() {
        let tokens = Tokens::default();
        assert_eq!(tokens.get("a", issue("one")).await.unwrap(), "one");
        tokens.forget(b"one");
        assert_eq!(tokens.get("a", issue("two")).await.unwrap(), "one");

        tokens.forget_older(b"other", Duration::ZERO);
        assert_eq!(tokens.get("a", issue("two")).await.unwrap(), "one");

        tokens.forget_older(b"one", Duration::ZERO);
        assert_eq!(tokens.get("a", issue("two")).await.unwrap(), "two");
    }

    #[tokio::test]
    async fn slow_servers_block_no_others() {
        let tokens = Arc::new(Tokens::default());
        let slow = tokens.clone();
        let waiting = tokio::spawn(async move { slow.get("slow", std::future::pending()).await });
        tokio::task::yield_now().await;

        let other = tokens.get("fine", issue("one"));
        let other = tokio::time::timeout(Duration::from_secs(30), other).await;
        assert_eq!(other.unwrap().unwrap(), "one");
        waiting.abort();
    }
}
