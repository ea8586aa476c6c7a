//! Tokens that others hand out for a while, kept until shortly before they end.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

/// A token is renewed this long before it ends, and never later than at half of its life.
const MARGIN: Duration = Duration::from_secs(120);

/// Who refuses a token of this age refuses us.
const FRESH: Duration = Duration::from_secs(10);

/// The present tokens, by what they were asked for with.
#[derive(Default)]
pub struct Tokens {
    kept: Mutex<HashMap<String, Kept>>,
}

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
    pub async fn get(&self, name: &str, ask: impl Future<Output = Result<Fresh, String>>) -> Result<String, String> {
        // One question at a time: who comes meanwhile gets its answer.
        let mut kept = self.kept.lock().await;
        if let Some(kept) = kept.get(name).filter(|kept| kept.until > Instant::now()) {
            return Ok(kept.token.clone());
        }
        let Fresh { token, lasts } = ask.await?;
        let since = Instant::now();
        let until = since + lasts - MARGIN.min(lasts / 2);
        kept.insert(name.to_owned(), Kept { token: token.clone(), since, until });
        Ok(token)
    }

    /// Forgets a token that was refused, so that the next question gets another. One that was just handed out stays: another
    /// would be no better.
    pub async fn forget(&self, token: &[u8]) {
        self.forget_older(token, FRESH).await;
    }

    async fn forget_older(&self, token: &[u8], fresh: Duration) {
        let mut kept = self.kept.lock().await;
        kept.retain(|_, kept| kept.token.as_bytes() != token || kept.since.elapsed() < fresh);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handed_out(token: &str) -> impl Future<Output = Result<Fresh, String>> {
        let fresh = Fresh { token: token.to_owned(), lasts: Duration::from_secs(3600) };
        async move { Ok(fresh) }
    }

    #[tokio::test]
    async fn a_refused_token_is_forgotten_unless_it_is_fresh() {
        let tokens = Tokens::default();
        assert_eq!(tokens.get("a", handed_out("one")).await, Ok("one".into()));
        tokens.forget(b"one").await;
        assert_eq!(tokens.get("a", handed_out("two")).await, Ok("one".into()), "as fresh as another would be");
        tokens.forget_older(b"other", Duration::ZERO).await;
        assert_eq!(tokens.get("a", handed_out("two")).await, Ok("one".into()));
        tokens.forget_older(b"one", Duration::ZERO).await;
        assert_eq!(tokens.get("a", handed_out("two")).await, Ok("two".into()));
    }
}
