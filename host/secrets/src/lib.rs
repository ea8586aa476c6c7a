//! Present values of secrets, read ahead so that no request waits for a file or a server. A source that fails closes what
//! needs it: files and variables at once, remote ones when their last value has become too old.
#![deny(unsafe_code)]

mod admin_token;
mod aws;
mod documents;
mod file;
mod gcp;
mod permit;
mod remote;
mod tokens;
mod vault;

use std::collections::{HashMap, HashSet};
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;

pub use admin_token::{admin_token_path, own_admin_token};
pub use documents::{Ask, KeyDocuments, TokenRequest};

use landfall_config::env;
use landfall_model::{
    RemoteSecret, Secret, SecretAges, SecretError, SecretGrant, SecretRef, SecretSource,
};

/// How soon a changed file counts.
const REFRESH: Duration = Duration::from_secs(1);

#[derive(Clone)]
struct Value {
    now: Result<Secret, SecretError>,
    /// When it was fetched, or tried.
    at: Instant,
    /// When it was fetched with success.
    good_at: Instant,
}

type Values = HashMap<SecretRef, Value>;

/// The values of every secret that a loaded hook, or the node itself, names.
#[derive(Default)]
pub struct Secrets {
    values: ArcSwap<Values>,
    /// Those of the node.
    own: Mutex<Vec<SecretRef>>,
    changing: Mutex<()>,
    remote: remote::Remote,
    /// Tokens that somebody refused since the last refresh.
    refused: Mutex<HashSet<SecretRef>>,
    ages: SecretAges,
    grant: SecretGrant,
}

// === impl Secrets ===

impl Secrets {
    /// `grant` says which secrets others than the node may name.
    pub fn new(ages: SecretAges, grant: SecretGrant) -> Secrets {
        Secrets {
            ages,
            grant,
            ..Secrets::default()
        }
    }

    /// Reads what the node itself needs, and keeps it fresh whatever hooks come and go. Blocks for as long as that takes.
    pub fn track_own(&self, references: &[SecretRef]) {
        self.own().extend_from_slice(references);
        self.track(references);
    }

    fn is_own(&self, reference: &SecretRef) -> bool {
        self.own().contains(reference)
    }

    fn own(&self) -> MutexGuard<'_, Vec<SecretRef>> {
        self.own
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Reads every source again that is due: those of this machine, or the others. Blocks for as long as they take.
    pub fn refresh(&self, remote: bool) {
        let known = self.values.load();
        let is_meant = |reference: &SecretRef| matches!(reference, SecretRef::Remote(_)) == remote;
        let meant: Vec<_> = known
            .iter()
            .filter(|(reference, _)| is_meant(reference))
            .collect();
        let changed: Vec<(SecretRef, Value)> = side_by_side(&meant, |(reference, old)| {
            Some(((*reference).clone(), self.renewed(reference, old)?))
        })
        .into_iter()
        .flatten()
        .collect();
        for (reference, new) in &changed {
            let old = &known[reference].now;
            match &new.now {
                new if new == old => {}
                Ok(_) => tracing::info!(secret = %reference, "secret changed"),
                Err(error) => {
                    tracing::error!(secret = %reference, %error, "secret lost: hooks that need it are closed");
                }
            }
        }
        if !changed.is_empty() {
            self.change(|values| values.extend(changed));
        }
    }

    /// Keeps the values fresh until the process ends. A server that hangs holds up no file.
    pub async fn refresh_for_ever(self: Arc<Secrets>) {
        tokio::spawn(self.clone().refresh_each_second(true));
        self.refresh_each_second(false).await;
    }

    async fn refresh_each_second(self: Arc<Secrets>, remote: bool) {
        loop {
            tokio::time::sleep(REFRESH).await;
            let secrets = self.clone();
            if tokio::task::spawn_blocking(move || secrets.refresh(remote))
                .await
                .is_err()
            {
                tracing::error!("reading secrets panicked: values stay as they are");
            }
        }
    }

    /// Keeps a secret that a provider handed over, where the reference says: a file that is not there yet. Blocks shortly.
    pub fn pair(&self, reference: &SecretRef, secret: &str) -> Result<(), String> {
        let SecretRef::File(path) = reference else {
            return Err(format!(
                "`{reference}` is not a file: pairing needs secret = \"file:PATH\""
            ));
        };
        permit::check_path(&self.grant, path)?;
        file::create(path, secret)
            .map_err(|error| format!("{} cannot be written: {error}", path.display()))?;
        self.track(std::slice::from_ref(reference));
        Ok(())
    }

    /// The value now, where it may have changed.
    fn renewed(&self, reference: &SecretRef, old: &Value) -> Option<Value> {
        let now = Instant::now();
        let SecretRef::Remote(remote) = reference else {
            let new = self.read(reference);
            return (new != old.now).then_some(Value {
                now: new,
                at: now,
                good_at: now,
            });
        };
        if let Ok(token) = &old.now
            && self.refused().remove(reference)
        {
            self.remote.forget(token);
        }
        // One that is not there is asked for again soon, one that is there in its time.
        let refresh = if remote.is_token() {
            self.ages.refresh.min(TOKEN_REFRESH)
        } else {
            self.ages.refresh
        };
        let pause = if old.now.is_ok() {
            refresh
        } else {
            refresh.min(RETRY)
        };
        if old.at.elapsed() < pause {
            return None;
        }
        match self.read(reference) {
            Ok(secret) => Some(Value {
                now: Ok(secret),
                at: now,
                good_at: now,
            }),
            Err(error) if old.now.is_ok() && old.good_at.elapsed() < self.keep_for(remote) => {
                tracing::warn!(secret = %reference, %error, "secret not refreshed: the last value serves on");
                Some(Value {
                    at: now,
                    ..old.clone()
                })
            }
            Err(error) => Some(Value {
                now: Err(error),
                at: now,
                ..old.clone()
            }),
        }
    }

    fn refused(&self) -> MutexGuard<'_, HashSet<SecretRef>> {
        self.refused
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn keep_for(&self, remote: &RemoteSecret) -> Duration {
        if remote.is_token() {
            self.ages.keep.min(TOKEN_KEEP)
        } else {
            self.ages.keep
        }
    }

    /// A panic is an error of this secret, tried again in its time.
    fn read(&self, reference: &SecretRef) -> Result<Secret, SecretError> {
        let panicked = |_| SecretError::Remote {
            reference: reference.to_string(),
            why: "reading it panicked".into(),
        };
        std::panic::catch_unwind(AssertUnwindSafe(|| self.read_now(reference)))
            .unwrap_or_else(|panic| Err(panicked(panic)))
    }

    fn read_now(&self, reference: &SecretRef) -> Result<Secret, SecretError> {
        let secret = match reference {
            SecretRef::Env(name) => {
                let bytes = env::bytes(name).ok_or_else(|| SecretError::NotSet(name.clone()))?;
                Secret::without_line_end(bytes)
            }
            SecretRef::File(path) => file::read(path, |file| match self.is_own(reference) {
                true => Ok(()),
                false => permit::check_open(&self.grant, path, file),
            })?,
            SecretRef::Remote(remote) => {
                if !self.is_own(reference) {
                    let files = SecretGrant::files(reference);
                    let checked = files
                        .iter()
                        .try_for_each(|path| permit::check_path(&self.grant, path));
                    checked.map_err(SecretError::Refused)?;
                }
                let unreadable = |why: String| SecretError::Remote {
                    reference: reference.to_string(),
                    why,
                };
                // Only ever called on threads that may block.
                let runtime = tokio::runtime::Handle::try_current()
                    .map_err(|_| unreadable("no executor".into()))?;
                let within = if remote.is_token() {
                    TOKEN_FIRST
                } else {
                    Duration::MAX
                };
                let fetched = runtime.block_on(async {
                    tokio::time::timeout(within, self.remote.fetch(remote)).await
                });
                fetched
                    .unwrap_or(Err("no answer in time".into()))
                    .map_err(unreadable)?
            }
        };
        // A key that anyone can guess: an empty file or a placeholder leaves white space, or a byte-order mark alone.
        let text = secret
            .expose()
            .strip_prefix("\u{feff}".as_bytes())
            .unwrap_or(secret.expose());
        match text.iter().all(u8::is_ascii_whitespace) {
            true => Err(SecretError::Empty(reference.to_string())),
            false => Ok(secret),
        }
    }

    fn change(&self, edit: impl FnOnce(&mut Values)) {
        let _one_at_a_time = self
            .changing
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        let mut values = Values::clone(&self.values.load());
        edit(&mut values);
        self.values.store(Arc::new(values));
    }
}

/// One server that hangs holds up no other. The threads see the executor of this one.
fn side_by_side<T: Sync, R: Send>(all: &[T], act: impl Fn(&T) -> R + Sync) -> Vec<R> {
    if all.len() < 2 {
        return all.iter().map(act).collect();
    }
    let runtime = tokio::runtime::Handle::try_current().ok();
    let mut done = Vec::with_capacity(all.len());
    for some in all.chunks(THREADS_MAX) {
        std::thread::scope(|scope| {
            let threads: Vec<_> = some
                .iter()
                .map(|one| {
                    let (runtime, act) = (runtime.clone(), &act);
                    scope.spawn(move || {
                        let _entered = runtime.as_ref().map(tokio::runtime::Handle::enter);
                        act(one)
                    })
                })
                .collect();
            done.extend(threads.into_iter().filter_map(|thread| thread.join().ok()));
        });
    }
    done
}

const THREADS_MAX: usize = 16;
/// Tokens are asked for so often; who has one that lasts gives it again.
const TOKEN_REFRESH: Duration = Duration::from_secs(5);
/// A hook that loads waits so long for a token, and no longer.
const TOKEN_FIRST: Duration = Duration::from_secs(3);
/// A token that cannot be renewed has ended by then, mostly.
const TOKEN_KEEP: Duration = Duration::from_secs(300);
/// A remote secret without a value is asked for again after this.
const RETRY: Duration = Duration::from_secs(10);

impl SecretSource for Secrets {
    fn value(&self, reference: &SecretRef) -> Result<Secret, SecretError> {
        match (self.values.load().get(reference), reference) {
            (Some(value), _) => value.now.clone(),
            (None, SecretRef::Remote(_)) => Err(SecretError::Remote {
                reference: reference.to_string(),
                why: "it has not been fetched yet".into(),
            }),
            (None, _) => self.read(reference),
        }
    }

    fn check(&self, reference: &SecretRef) -> Result<(), String> {
        self.grant.check(&permit::absolute(reference))
    }

    fn track(&self, references: &[SecretRef]) {
        let is_remote = |reference: &SecretRef| matches!(reference, SecretRef::Remote(_));
        // A hook that loads again does not ask a server again.
        let known = self.values.load();
        let new = references
            .iter()
            .filter(|reference| !is_remote(reference) || !known.contains_key(*reference));
        let new: Vec<&SecretRef> = new.collect();
        let now = Instant::now();
        let read = side_by_side(&new, |reference| {
            (
                (*reference).clone(),
                Value {
                    now: self.read(reference),
                    at: now,
                    good_at: now,
                },
            )
        });
        self.change(|values| values.extend(read));
    }

    fn refused(&self, reference: &SecretRef) {
        if matches!(reference, SecretRef::Remote(remote) if remote.is_token()) {
            self.refused().insert(reference.clone());
        }
    }

    fn keep(&self, references: &[SecretRef]) {
        let own = self.own().clone();
        let is_kept =
            |reference: &SecretRef| references.contains(reference) || own.contains(reference);
        self.refused().retain(is_kept);
        self.change(|values| values.retain(|reference, _| is_kept(reference)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_node_needs_is_kept_whatever_hooks_name() {
        let dir = tempfile::tempdir().unwrap();
        let (own, other) = (
            SecretRef::File(dir.path().join("own")),
            SecretRef::File(dir.path().join("other")),
        );
        for reference in [&own, &other] {
            let SecretRef::File(path) = reference else {
                panic!()
            };
            std::fs::write(path, "value").unwrap();
        }
        let secrets = Secrets::default();
        secrets.track_own(std::slice::from_ref(&own));
        secrets.track(std::slice::from_ref(&other));
        secrets.keep(&[]);
        let values = secrets.values.load();
        assert_eq!(
            (values.contains_key(&own), values.contains_key(&other)),
            (true, false)
        );
    }

    #[test]
    fn a_changed_file_counts_and_a_lost_one_closes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let reference = SecretRef::File(path.clone());
        let secrets = Secrets::default();
        std::fs::write(&path, "one\n").unwrap();
        secrets.track(std::slice::from_ref(&reference));
        assert_eq!(secrets.value(&reference).unwrap().expose(), b"one");
        std::fs::write(&path, "two").unwrap();
        secrets.refresh(false);
        assert_eq!(secrets.value(&reference).unwrap().expose(), b"two");
        for empty in ["\n", "\u{feff}", "\u{feff}\r\n", "\u{feff}\u{feff}"] {
            std::fs::write(&path, empty).unwrap();
            secrets.refresh(false);
            assert!(
                matches!(secrets.value(&reference), Err(SecretError::Empty(_))),
                "{empty:?}"
            );
        }
        std::fs::remove_file(&path).unwrap();
        secrets.refresh(false);
        assert!(matches!(
            secrets.value(&reference),
            Err(SecretError::Unreadable { .. })
        ));
    }

    #[test]
    fn an_unset_variable_has_no_value() {
        let reference = "env:LANDFALL_TEST_NOT_SET".parse().unwrap();
        assert_eq!(
            Secrets::default().value(&reference),
            Err(SecretError::NotSet("LANDFALL_TEST_NOT_SET".into()))
        );
    }
}
