//! Tokens that others hand out for a while, kept until shortly before they end.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// A token is renewed this long before it ends, and never later than at half of its life.
const MARGIN: Duration = Duration::from_secs(120);

/// Whatever a server says.
const LASTS_MAX: Duration = Duration::from_secs(86_400);

/// Who refuses a token of this age refuses us.
const FRESH: Duration = Duration::from_secs(10);

/// The present tokens, by what they were asked for with. Each has a lock of its own: a server that hangs holds up no other.
#[derive(Default)]
pub struct Tokens {
    kept: Mutex<HashMap<String, Arc<Place>>>,
}

type Place = tokio::sync::Mutex<Option<Kept>>;

struct Kept {
    token: String,
    since: Instant,
    until: Instant,
}

/// One that has just been handed out.
pub struct Fresh {
    pub token: String,
    pub lasts: Duration,
}

// === impl Tokens ===

impl Tokens {
    /// The kept one, or a fresh one.
    pub async fn get(
        &self,
        name: &str,
        ask: impl Future<Output = Result<Fresh, String>>,
    ) -> Result<String, String> {
        let place = self.places().entry(name.to_owned()).or_default().clone();
        // One question at a time: who comes meanwhile gets its answer.
        let mut kept = place.lock().await;
        if let Some(kept) = kept.as_ref().filter(|kept| kept.until > Instant::now()) {
            return Ok(kept.token.clone());
        }
        let Fresh { token, lasts } = ask.await?;
        let (since, lasts) = (Instant::now(), lasts.min(LASTS_MAX));
        *kept = Some(Kept {
            token: token.clone(),
            since,
            until: since + lasts - MARGIN.min(lasts / 2),
        });
        Ok(token)
    }

    /// Forgets a token that was refused, so that the next question gets another. One that was just handed out stays: another
    /// would be no better.
    pub fn forget(&self, token: &[u8]) {
        self.forget_older(token, FRESH);
    }

    fn forget_older(&self, token: &[u8], fresh: Duration) {
        let is_refused =
            |kept: &Kept| kept.token.as_bytes() == token && kept.since.elapsed() >= fresh;
        for place in self.places().values() {
            // One that is being asked for is another one soon.
            if let Ok(mut kept) = place.try_lock()
                && kept.as_ref().is_some_and(is_refused)
            {
                *kept = None;
            }
        }
    }

    fn places(&self) -> MutexGuard<'_, HashMap<String, Arc<Place>>> {
        self.kept
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handed_out(token: &str) -> impl Future<Output = Result<Fresh, String>> {
        let fresh = Fresh {
            token: token.to_owned(),
            lasts: Duration::from_secs(3600),
        };
        async move { Ok(fresh) }
    }

    #[tokio::test]
    async fn a_refused_token_is_forgotten_unless_it_is_fresh() {
        let tokens = Tokens::default();
        assert_eq!(tokens.get("a", handed_out("one")).await, Ok("one".into()));
        tokens.forget(b"one");
        assert_eq!(
            tokens.get("a", handed_out("two")).await,
            Ok("one".into()),
            "as fresh as another would be"
        );
        tokens.forget_older(b"other", Duration::ZERO);
        assert_eq!(tokens.get("a", handed_out("two")).await, Ok("one".into()));
        tokens.forget_older(b"one", Duration::ZERO);
        assert_eq!(tokens.get("a", handed_out("two")).await, Ok("two".into()));
    }

    #[tokio::test]
    async fn a_server_that_hangs_holds_up_no_other() {
        let tokens = Arc::new(Tokens::default());
        let hanging = tokens.clone();
        let hangs = tokio::spawn(async move { hanging.get("hangs", std::future::pending()).await });
        tokio::task::yield_now().await;
        let other = tokio::time::timeout(
            Duration::from_secs(30),
            tokens.get("fine", handed_out("one")),
        )
        .await;
        assert_eq!(other, Ok(Ok("one".into())));
        hangs.abort();
    }
}
