//! Compiled functions by what they are compiled from, in the compiler's process. A version of a
//! component that differs from the last one in few functions compiles only these.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::io::{self, Write};
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use landfall_model::lock;
use wasmtime::CacheStore;

/// The most bytes that are kept. Those of a component in Python are 60 MiB.
pub(crate) const FUNCTIONS_BYTES_MAX: usize = 256 << 20;
/// Cranelift's hash of a function, of its own version and of its settings.
const KEY_BYTES: usize = 32;
const LENGTH_BYTES: usize = 4;

type Key = [u8; KEY_BYTES];

/// The functions of earlier versions, and those that are new.
#[derive(Default)]
pub(crate) struct Functions {
    bytes: Vec<u8>,
    /// In the order of `bytes`.
    known: Vec<Known>,
    places: HashMap<Key, usize>,
    compiled: Mutex<BTreeMap<Key, Vec<u8>>>,
    reused: AtomicUsize,
}

/// A function of an earlier version.
struct Known {
    key: Key,
    function: Range<usize>,
    is_used: AtomicBool,
}

// === impl Functions ===

impl Functions {
    /// Reads what `write` has written: for each function its key, its length (little-endian), and
    /// what Cranelift makes of it. From the first one on that is not whole, nothing is read.
    pub(crate) fn read(bytes: Vec<u8>) -> Functions {
        let (mut known, mut places, mut at) = (Vec::new(), HashMap::new(), 0);
        while let Some((key, function)) = function_at(&bytes, at) {
            at = function.end;
            places.insert(key, known.len());
            known.push(Known {
                key,
                function,
                is_used: AtomicBool::new(false),
            });
        }

        Functions {
            bytes,
            known,
            places,
            ..Functions::default()
        }
    }

    /// Writes at most `max` bytes: new functions, then those that this compilation has used, then
    /// the others. All keep their order, so that those go first that were not used for the longest
    /// time.
    pub(crate) fn write(&self, max: usize, to: &mut impl Write) -> io::Result<()> {
        let compiled = lock(&self.compiled);
        let new = compiled
            .iter()
            .map(|(key, function)| (key, function.as_slice()));
        // One that could not be read was compiled again.
        let known = self
            .known
            .iter()
            .filter(|known| !compiled.contains_key(&known.key));
        let (used, unused): (Vec<_>, Vec<_>) =
            known.partition(|known| known.is_used.load(Ordering::Relaxed));
        let known = used.into_iter().chain(unused);
        let known = known.map(|known| (&known.key, &self.bytes[known.function.clone()]));

        let mut left = max;
        for (key, function) in new.chain(known) {
            let Ok(length) = u32::try_from(function.len()) else {
                continue;
            };
            let Some(rest) = left.checked_sub(KEY_BYTES + LENGTH_BYTES + function.len()) else {
                break;
            };
            left = rest;
            to.write_all(key)?;
            to.write_all(&length.to_le_bytes())?;
            to.write_all(function)?;
        }
        Ok(())
    }

    /// How many functions an earlier version had.
    pub(crate) fn reused(&self) -> usize {
        self.reused.load(Ordering::Relaxed)
    }

    /// How many different functions were compiled.
    pub(crate) fn compiled(&self) -> usize {
        lock(&self.compiled).len()
    }

    /// The new functions, each with half of what Cranelift made of it.
    #[cfg(test)]
    pub(crate) fn halved(&self) -> Functions {
        let halved = Functions::default();
        for (key, function) in &*lock(&self.compiled) {
            halved.insert(key, function[..function.len() / 2].to_vec());
        }
        halved
    }
}

impl CacheStore for Functions {
    fn get(&self, key: &[u8]) -> Option<Cow<'_, [u8]>> {
        if let Some(place) = self.places.get(key) {
            let known = &self.known[*place];
            known.is_used.store(true, Ordering::Relaxed);
            self.reused.fetch_add(1, Ordering::Relaxed);
            return Some(Cow::Borrowed(&self.bytes[known.function.clone()]));
        }
        // A component can have the same function twice.
        let compiled = lock(&self.compiled);
        compiled.get(key).cloned().map(Cow::Owned)
    }

    fn insert(&self, key: &[u8], value: Vec<u8>) -> bool {
        let Ok(key) = Key::try_from(key) else {
            return false;
        };
        lock(&self.compiled).insert(key, value);
        true
    }
}

impl fmt::Debug for Functions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Functions")
            .field("known", &self.known.len())
            .field("reused", &self.reused())
            .field("compiled", &self.compiled())
            .finish()
    }
}

/// The function whose key begins here.
fn function_at(bytes: &[u8], start: usize) -> Option<(Key, Range<usize>)> {
    let (key, rest) = bytes.get(start..)?.split_first_chunk::<KEY_BYTES>()?;
    let (length, rest) = rest.split_first_chunk::<LENGTH_BYTES>()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    rest.get(..length)?;
    let first = start + KEY_BYTES + LENGTH_BYTES;
    Some((*key, first..first + length))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENTRY_BYTES: usize = KEY_BYTES + LENGTH_BYTES + 1;

    fn key(number: u8) -> Key {
        [number; KEY_BYTES]
    }

    fn written(functions: &Functions, max: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        functions.write(max, &mut bytes).unwrap();
        bytes
    }

    /// One byte each, which is the key's.
    fn of(numbers: &[u8]) -> Functions {
        let functions = Functions::default();
        for number in numbers {
            assert!(functions.insert(&key(*number), vec![*number]));
        }
        Functions::read(written(&functions, usize::MAX))
    }

    fn numbers(functions: &Functions) -> Vec<u8> {
        functions.known.iter().map(|known| known.key[0]).collect()
    }

    #[test]
    fn unused_functions_go_first() {
        let functions = of(&[1, 2, 3]);
        assert_eq!(functions.get(&key(3)).as_deref(), Some(&[3][..]));
        assert_eq!(functions.get(&key(4)), None);
        functions.insert(&key(4), vec![4]);
        assert_eq!((functions.reused(), functions.compiled()), (1, 1));

        let all = Functions::read(written(&functions, usize::MAX));
        assert_eq!(numbers(&all), [4, 3, 1, 2]);
        let most = written(&functions, 3 * ENTRY_BYTES);
        assert_eq!(most.len(), 3 * ENTRY_BYTES);
        assert_eq!(numbers(&Functions::read(most)), [4, 3, 1]);
        assert!(written(&functions, ENTRY_BYTES - 1).is_empty());
    }

    #[test]
    fn functions_not_whole_are_ignored() {
        let mut bytes = written(&of(&[1, 2]), usize::MAX);
        bytes.pop();
        let functions = Functions::read(bytes);
        assert_eq!(numbers(&functions), [1]);
        assert_eq!(functions.get(&key(2)), None);
        assert_eq!(functions.get(&[1]), None, "a key of another length");
        assert!(!functions.insert(&[1], Vec::new()));
    }

    #[test]
    fn functions_compiled_again_are_replaced() {
        let functions = of(&[1, 2]);
        functions.insert(&key(2), vec![9]);
        assert_eq!(functions.get(&key(5)), None);
        functions.insert(&key(5), vec![5]);
        assert_eq!(functions.get(&key(5)).as_deref(), Some(&[5][..]));
        assert_eq!(functions.reused(), 0, "of this version itself");

        let next = Functions::read(written(&functions, usize::MAX));
        assert_eq!(numbers(&next), [2, 5, 1]);
        assert_eq!(next.get(&key(2)).as_deref(), Some(&[9][..]));
    }
}
