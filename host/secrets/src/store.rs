//! The values of all tracked secrets. A secret whose source fails has no value: variables and files
//! at once, remote sources when their last value is too old.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwap;
use landfall_model::{
    Clock, RemoteSecret, Secret, SecretAges, SecretError, SecretGrant, SecretRef, SecretSource,
    TrackSecrets, lock,
};
use tokio::task::JoinSet;

use crate::error::PairError;
use crate::reader::{Reader, panicked};
use crate::{local, permit};

/// How often local sources are read again, and remote ones checked for their age.
const REFRESH_INTERVAL: Duration = Duration::from_secs(1);
/// Tokens are requested this often. A cached token is returned until it expires.
const TOKEN_REFRESH: Duration = Duration::from_secs(5);
/// A token that cannot be renewed has usually expired by then.
const TOKEN_KEEP: Duration = Duration::from_secs(300);
/// A remote secret without a value is fetched again after this.
const RETRY: Duration = Duration::from_secs(10);

/// The values of the secrets that hooks and the node itself need.
pub struct Secrets {
    values: ArcSwap<Values>,
    /// Counts how often `values` was replaced.
    generation: AtomicU64,
    /// Held while `values` is replaced.
    change: Mutex<()>,
    reader: Arc<Reader>,
    /// Tokens that a server rejected since the last refresh.
    rejected: Mutex<HashSet<SecretRef>>,
    ages: SecretAges,
}

type Values = HashMap<SecretRef, Value>;

#[derive(Clone)]
struct Value {
    current: Result<Secret, SecretError>,
    read_at: Instant,
    /// The last read that returned a secret.
    succeeded_at: Instant,
    /// The first read that returned the current value.
    changed_at: Instant,
}

// === impl Secrets ===

impl Secrets {
    /// `grant` says which secrets hook files may name.
    pub fn new(ages: SecretAges, grant: SecretGrant, clock: Clock) -> Secrets {
        Secrets {
            values: ArcSwap::default(),
            generation: AtomicU64::new(0),
            change: Mutex::default(),
            reader: Arc::new(Reader::new(grant, clock)),
            rejected: Mutex::default(),
            ages,
        }
    }

    /// Tracks secrets of the node itself, which need no grant and are tracked until the process
    /// ends.
    pub async fn track_own(&self, references: &[SecretRef]) {
        self.reader.add_own(references);
        self.track(references).await;
    }

    /// Reads all local secrets again, or all remote secrets that are due.
    pub async fn refresh(&self, sources: Sources) {
        let known = self.values.load_full();
        let due: Vec<SecretRef> = known
            .iter()
            .filter(|(reference, _)| sources.contain(reference))
            .filter(|(reference, old)| self.is_due(reference, old))
            .map(|(reference, _)| reference.clone())
            .collect();

        let mut changed = Vec::new();
        for (reference, read) in self.read_all(due).await {
            let old = &known[&reference];
            if let Some(new) = self.renewed(&reference, old, read) {
                log_change(&reference, &old.current, &new.current);
                changed.push((reference, new));
            }
        }

        if !changed.is_empty() {
            self.update(|values| values.extend(changed));
        }
    }

    /// The age of a secret that has a value. A file is as old as its last modification. Other
    /// secrets are as old as this node has known their value.
    pub fn age(&self, reference: &SecretRef, now: SystemTime) -> Option<Duration> {
        let values = self.values.load();
        let value = values
            .get(reference)
            .filter(|value| value.current.is_ok())?;
        if let SecretRef::File(path) = reference {
            let modified = std::fs::metadata(path).and_then(|file| file.modified());
            if let Ok(modified) = modified {
                return Some(now.duration_since(modified).unwrap_or_default());
            }
        }
        Some(value.changed_at.elapsed())
    }

    /// The files that are read for the secrets in use.
    pub fn files(&self) -> Vec<PathBuf> {
        let values = self.values.load();
        values.keys().flat_map(SecretGrant::files).collect()
    }

    /// Changes whenever a tracked value may have changed. What was made of values is valid as long as
    /// the number is the one from before they were read, if all of them were tracked.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Whether all of these are tracked. The source of another secret is read each time.
    pub fn tracks(&self, references: &[SecretRef]) -> bool {
        let values = self.values.load();
        references
            .iter()
            .all(|reference| values.contains_key(reference))
    }

    /// Keeps the values fresh until the process ends. A slow server delays no file.
    pub async fn run_refresh(self: Arc<Secrets>) {
        tokio::spawn(self.clone().refresh_each_second(Sources::Remote));
        self.refresh_each_second(Sources::Local).await;
    }

    async fn refresh_each_second(self: Arc<Secrets>, sources: Sources) {
        loop {
            tokio::time::sleep(REFRESH_INTERVAL).await;
            self.refresh(sources).await;
        }
    }

    /// Stores a secret that a provider sent, in the file that the reference names. The file must
    /// not exist.
    pub async fn pair(&self, reference: &SecretRef, secret: &str) -> Result<(), PairError> {
        let SecretRef::File(path) = reference else {
            return Err(PairError::NotAFile(reference.clone()));
        };
        permit::check_path(self.reader.grant(), path)?;

        create(path.clone(), secret.to_owned()).await?;
        self.track(std::slice::from_ref(reference)).await;
        Ok(())
    }

    /// Reads secrets concurrently. A panic is an error of its secret.
    async fn read_all(
        &self,
        references: Vec<SecretRef>,
    ) -> Vec<(SecretRef, Result<Secret, SecretError>)> {
        let mut reads = JoinSet::new();
        let mut by_task = HashMap::new();
        for reference in references {
            let task = reads.spawn(self.reader.clone().read(reference.clone()));
            by_task.insert(task.id(), reference);
        }

        let mut done = Vec::new();
        while let Some(joined) = reads.join_next_with_id().await {
            let (task, read) = match joined {
                Ok((task, read)) => (task, Some(read)),
                Err(error) => (error.id(), None),
            };

            let Some(reference) = by_task.remove(&task) else {
                continue;
            };

            let read = read.unwrap_or_else(|| Err(panicked(&reference)));
            done.push((reference, read));
        }

        done
    }

    fn is_due(&self, reference: &SecretRef, old: &Value) -> bool {
        let SecretRef::Remote(remote) = reference else {
            return true;
        };

        if let Ok(token) = &old.current
            && lock(&self.rejected).remove(reference)
        {
            self.reader.forget(token);
        }

        let refresh = if remote.is_token() {
            self.ages.refresh.min(TOKEN_REFRESH)
        } else {
            self.ages.refresh
        };

        let pause = if old.current.is_ok() {
            refresh
        } else {
            refresh.min(RETRY)
        };

        old.read_at.elapsed() >= pause
    }

    /// The value after a read; `None` if nothing changed.
    fn renewed(
        &self,
        reference: &SecretRef,
        old: &Value,
        read: Result<Secret, SecretError>,
    ) -> Option<Value> {
        let SecretRef::Remote(remote) = reference else {
            return (read != old.current).then(|| Value::new(read));
        };

        let error = match read {
            Ok(secret) => return Some(old.with_secret(secret)),
            Err(error) => error,
        };

        let mut new = Value {
            read_at: Instant::now(),
            ..old.clone()
        };
        if old.current.is_ok() && old.succeeded_at.elapsed() < self.keep_for(remote) {
            tracing::warn!(secret = %reference, %error, "secret not refreshed: its last value is still used");
        } else {
            new.current = Err(error);
        }

        Some(new)
    }

    fn keep_for(&self, remote: &RemoteSecret) -> Duration {
        if remote.is_token() {
            self.ages.keep.min(TOKEN_KEEP)
        } else {
            self.ages.keep
        }
    }

    fn update(&self, edit: impl FnOnce(&mut Values)) {
        let _one_at_a_time = lock(&self.change);
        let mut values = Values::clone(&self.values.load());
        edit(&mut values);
        self.values.store(Arc::new(values));
        self.generation.fetch_add(1, Ordering::Release);
    }
}

impl SecretSource for Secrets {
    fn value(&self, reference: &SecretRef) -> Result<Secret, SecretError> {
        match self.values.load().get(reference) {
            Some(value) => value.current.clone(),
            None => self.reader.read_local(reference),
        }
    }

    fn check(&self, reference: &SecretRef) -> Result<(), SecretError> {
        let reference = permit::absolute(reference);
        Ok(self.reader.grant().check(&reference)?)
    }

    fn track<'a>(&'a self, references: &'a [SecretRef]) -> TrackSecrets<'a> {
        Box::pin(async move {
            // A hook that loads again does not fetch a known remote secret again.
            let known = self.values.load_full();
            let mut new = references.to_vec();
            new.retain(|reference| {
                Sources::Local.contain(reference) || !known.contains_key(reference)
            });

            let read = self.read_all(new).await;
            let values = read
                .into_iter()
                .map(|(reference, read)| (reference, Value::new(read)));
            self.update(|all| all.extend(values));
        })
    }

    fn report_rejected(&self, reference: &SecretRef) {
        if matches!(reference, SecretRef::Remote(remote) if remote.is_token()) {
            lock(&self.rejected).insert(reference.clone());
        }
    }

    fn retain(&self, references: &[SecretRef]) {
        let mut used: HashSet<SecretRef> = references.iter().cloned().collect();
        used.extend(self.reader.own());
        lock(&self.rejected).retain(|reference| used.contains(reference));
        self.update(|values| values.retain(|reference, _| used.contains(reference)));
    }
}

// === impl Value ===

impl Value {
    fn new(current: Result<Secret, SecretError>) -> Value {
        let now = Instant::now();
        Value {
            current,
            read_at: now,
            succeeded_at: now,
            changed_at: now,
        }
    }

    /// The value after a read that returned this secret.
    fn with_secret(&self, secret: Secret) -> Value {
        let is_same = self.current.as_ref() == Ok(&secret);
        let new = Value::new(Ok(secret));
        let changed_at = if is_same {
            self.changed_at
        } else {
            new.changed_at
        };
        Value { changed_at, ..new }
    }
}

/// Which secrets a refresh reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sources {
    /// Variables and files.
    Local,
    /// Servers.
    Remote,
}

// === impl Sources ===

impl Sources {
    fn contain(self, reference: &SecretRef) -> bool {
        matches!(reference, SecretRef::Remote(_)) == (self == Sources::Remote)
    }
}

async fn create(path: PathBuf, secret: String) -> Result<(), PairError> {
    let target = path.clone();
    let created = tokio::task::spawn_blocking(move || local::create_file(&target, &secret)).await;
    created
        .map_err(std::io::Error::other)
        .flatten()
        .map_err(|error| PairError::Write { path, error })
}

fn log_change(
    reference: &SecretRef,
    old: &Result<Secret, SecretError>,
    new: &Result<Secret, SecretError>,
) {
    match new {
        _ if new == old => {}
        Ok(_) => tracing::info!(secret = %reference, "secret changed"),
        Err(error) => {
            // What follows depends on its use: the status of each hook says it.
            tracing::error!(secret = %reference, %error, "secret lost: it has no value until it can be read again");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets() -> Secrets {
        Secrets::new(SecretAges::default(), SecretGrant::default(), Clock::System)
    }

    #[tokio::test]
    async fn own_secrets_outlive_hooks() {
        let dir = tempfile::tempdir().unwrap();
        let own = SecretRef::File(dir.path().join("own"));
        let other = SecretRef::File(dir.path().join("other"));
        for reference in [&own, &other] {
            let SecretRef::File(path) = reference else {
                panic!()
            };

            std::fs::write(path, "value").unwrap();
        }

        let secrets = secrets();
        secrets.track_own(std::slice::from_ref(&own)).await;
        secrets.track(std::slice::from_ref(&other)).await;

        secrets.retain(&[]);

        let values = secrets.values.load();
        assert!(values.contains_key(&own));
        assert!(!values.contains_key(&other));
    }

    #[tokio::test]
    async fn changed_and_lost_files_take_effect() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let reference = SecretRef::File(path.clone());
        let secrets = secrets();
        std::fs::write(&path, "one\n").unwrap();
        assert!(!secrets.tracks(std::slice::from_ref(&reference)));
        secrets.track(std::slice::from_ref(&reference)).await;
        assert!(secrets.tracks(std::slice::from_ref(&reference)));
        assert_eq!(secrets.value(&reference).unwrap().expose(), b"one");

        let of_one = secrets.generation();
        secrets.refresh(Sources::Local).await;
        assert_eq!(secrets.generation(), of_one);

        std::fs::write(&path, "two").unwrap();
        secrets.refresh(Sources::Local).await;
        assert_eq!(secrets.value(&reference).unwrap().expose(), b"two");
        assert_ne!(secrets.generation(), of_one);

        for empty in ["\n", "\u{feff}", "\u{feff}\r\n", "\u{feff}\u{feff}"] {
            std::fs::write(&path, empty).unwrap();
            secrets.refresh(Sources::Local).await;
            assert!(
                matches!(secrets.value(&reference), Err(SecretError::Empty(_))),
                "{empty:?}"
            );
        }

        std::fs::remove_file(&path).unwrap();
        secrets.refresh(Sources::Local).await;
        assert!(matches!(
            secrets.value(&reference),
            Err(SecretError::Unreadable { .. })
        ));
    }

    /// The token server is never called: nothing listens there.
    #[tokio::test]
    async fn client_secrets_follow_the_rules() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let token = SecretRef::Remote(RemoteSecret::OAuth2Client {
            token_url: "http://127.0.0.1:9/token".into(),
            client_id: "id".into(),
            client_secret: Box::new(SecretRef::File(path.clone())),
            scope: None,
        });
        let secrets = secrets();

        std::fs::write(&path, "\u{feff}\n").unwrap();
        secrets.track(std::slice::from_ref(&token)).await;
        assert!(matches!(
            secrets.value(&token),
            Err(SecretError::Empty(which)) if which.contains("/s")
        ));

        std::fs::remove_file(&path).unwrap();
        secrets.refresh(Sources::Remote).await;
        let missing = secrets.value(&token).unwrap_err().to_string();
        assert!(missing.contains("/s"), "{missing}");
    }

    #[test]
    fn unset_variables_have_no_value() {
        let reference = "env:LANDFALL_TEST_NOT_SET".parse().unwrap();
        assert_eq!(
            secrets().value(&reference),
            Err(SecretError::NotSet("LANDFALL_TEST_NOT_SET".into()))
        );
    }
}
