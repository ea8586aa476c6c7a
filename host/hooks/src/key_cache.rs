//! The decoded keys of a hook. They are kept until a secret of the node changes: to decode them
//! and to absorb them into a MAC costs as much as to check a short request.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use landfall_verify::Keys;

/// The keys of one version of a hook.
#[derive(Default)]
pub struct KeyCache {
    cached: ArcSwapOption<CachedKeys>,
}

struct CachedKeys {
    generation: u64,
    keys: Arc<Keys>,
}

// === impl KeyCache ===

impl KeyCache {
    /// The keys that were decoded in this generation of the node's secrets.
    pub fn get(&self, generation: u64) -> Option<Arc<Keys>> {
        let cached = self.cached.load();
        let cached = cached.as_ref()?;
        (cached.generation == generation).then(|| cached.keys.clone())
    }

    /// Keeps keys. `generation` must be from before their secrets were read.
    pub fn set(&self, generation: u64, keys: Arc<Keys>) {
        self.cached
            .store(Some(Arc::new(CachedKeys { generation, keys })));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_end_with_their_generation() {
        let (cache, keys) = (KeyCache::default(), Arc::new(Keys::default()));
        assert!(cache.get(0).is_none());

        cache.set(1, keys.clone());
        assert!(Arc::ptr_eq(&cache.get(1).unwrap(), &keys));
        assert!(cache.get(2).is_none());
        assert!(cache.get(0).is_none());
    }
}
