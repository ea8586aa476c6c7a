//! Tokens that others hand out for a while, kept until shortly before they end.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

/// A token is renewed this long before it ends, and never later than at half of its life.
const MARGIN: Duration = Duration::from_secs(120);

/// The present tokens, by what they were asked for with.
#[derive(Default)]
pub struct Tokens {
    kept: Mutex<HashMap<String, (String, Instant)>>,
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
        if let Some((token, until)) = kept.get(name)
            && *until > Instant::now()
        {
            return Ok(token.clone());
        }
        let Fresh { token, lasts } = ask.await?;
        let until = Instant::now() + lasts - MARGIN.min(lasts / 2);
        kept.insert(name.to_owned(), (token.clone(), until));
        Ok(token)
    }
}
