//! Present values of secrets, read ahead so that no request waits for a file. A source that fails closes what needs it.

mod documents;
mod file;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwap;

pub use documents::KeyDocuments;

use crate::config::env;
use crate::model::{Secret, SecretError, SecretRef, SecretSource};

/// How soon a changed file counts.
const REFRESH: Duration = Duration::from_secs(1);

type Values = HashMap<SecretRef, Result<Secret, SecretError>>;

/// The values of every secret that a loaded hook names.
#[derive(Default)]
pub struct Secrets {
    values: ArcSwap<Values>,
    changing: Mutex<()>,
}

// === impl Secrets ===

impl Secrets {
    /// Reads every source again. Blocks for as long as the files take.
    pub fn refresh(&self) {
        let stale = |(reference, old): (&SecretRef, &Result<Secret, SecretError>)| {
            let new = read(reference);
            (new != *old).then(|| (reference.clone(), new))
        };
        let changed: Vec<_> = self.values.load().iter().filter_map(stale).collect();
        if changed.is_empty() {
            return;
        }
        for (reference, value) in &changed {
            match value {
                Ok(_) => tracing::info!(secret = %reference, "secret changed"),
                Err(error) => {
                    tracing::error!(secret = %reference, %error, "secret lost: hooks that need it are closed")
                }
            }
        }
        self.change(|values| values.extend(changed));
    }

    /// Keeps the values fresh until the process ends.
    pub async fn refresh_for_ever(self: Arc<Secrets>) {
        loop {
            tokio::time::sleep(REFRESH).await;
            let secrets = self.clone();
            if tokio::task::spawn_blocking(move || secrets.refresh()).await.is_err() {
                tracing::error!("reading secrets panicked: values stay as they are");
            }
        }
    }

    /// Keeps a secret that a provider handed over, where the reference says: a file that is not there yet. Blocks shortly.
    pub fn pair(&self, reference: &SecretRef, secret: &str) -> Result<(), String> {
        let SecretRef::File(path) = reference else {
            return Err(format!("`{reference}` is not a file: pairing needs secret = \"file:PATH\""));
        };
        file::create(path, secret).map_err(|error| format!("{} cannot be written: {error}", path.display()))?;
        self.track(std::slice::from_ref(reference));
        Ok(())
    }

    fn change(&self, edit: impl FnOnce(&mut Values)) {
        let _one_at_a_time = self.changing.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let mut values = Values::clone(&self.values.load());
        edit(&mut values);
        self.values.store(Arc::new(values));
    }
}

impl SecretSource for Secrets {
    fn value(&self, reference: &SecretRef) -> Result<Secret, SecretError> {
        match self.values.load().get(reference) {
            Some(value) => value.clone(),
            None => read(reference),
        }
    }

    fn track(&self, references: &[SecretRef]) {
        self.change(|values| values.extend(references.iter().map(|reference| (reference.clone(), read(reference)))));
    }

    fn keep(&self, references: &[SecretRef]) {
        self.change(|values| values.retain(|reference, _| references.contains(reference)));
    }
}

fn read(reference: &SecretRef) -> Result<Secret, SecretError> {
    let secret = match reference {
        SecretRef::Env(name) => Secret::new(env::bytes(name).ok_or_else(|| SecretError::NotSet(name.clone()))?),
        SecretRef::File(path) => file::read(path)?,
    };
    match secret.expose().is_empty() {
        true => Err(SecretError::Empty(reference.to_string())),
        false => Ok(secret),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        secrets.refresh();
        assert_eq!(secrets.value(&reference).unwrap().expose(), b"two");
        std::fs::write(&path, "\n").unwrap();
        secrets.refresh();
        assert!(matches!(secrets.value(&reference), Err(SecretError::Empty(_))));
        std::fs::remove_file(&path).unwrap();
        secrets.refresh();
        assert!(matches!(secrets.value(&reference), Err(SecretError::Unreadable { .. })));
    }

    #[test]
    fn an_unset_variable_has_no_value() {
        let reference = "env:LANDFALL_TEST_NOT_SET".parse().unwrap();
        assert_eq!(Secrets::default().value(&reference), Err(SecretError::NotSet("LANDFALL_TEST_NOT_SET".into())));
    }
}
