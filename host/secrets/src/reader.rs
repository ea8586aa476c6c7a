//! Reads the current value of one secret from its source.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use landfall_model::{Clock, RemoteSecret, Secret, SecretError, SecretGrant, SecretRef, lock};
use tokio::sync::Semaphore;

use crate::error::FetchError;
use crate::remote::Remote;
use crate::{local, permit};

/// Concurrent reads of files, and concurrent fetches. They are counted apart, so that a slow server
/// delays no file.
const READS_MAX: usize = 16;
/// A hook that loads waits this long for a token.
const TOKEN_TIMEOUT: Duration = Duration::from_secs(3);
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// Reads secrets within the operator's grant.
pub(crate) struct Reader {
    remote: Remote,
    grant: SecretGrant,
    /// The secrets of the node itself, which need no grant.
    own: Mutex<Vec<SecretRef>>,
    file_permits: Semaphore,
    fetch_permits: Semaphore,
}

// === impl Reader ===

impl Reader {
    pub(crate) fn new(grant: SecretGrant, clock: Clock) -> Reader {
        Reader {
            remote: Remote::new(clock),
            grant,
            own: Mutex::default(),
            file_permits: Semaphore::new(READS_MAX),
            fetch_permits: Semaphore::new(READS_MAX),
        }
    }

    pub(crate) fn grant(&self) -> &SecretGrant {
        &self.grant
    }

    pub(crate) fn add_own(&self, references: &[SecretRef]) {
        lock(&self.own).extend_from_slice(references);
    }

    pub(crate) fn own(&self) -> Vec<SecretRef> {
        lock(&self.own).clone()
    }

    fn is_own(&self, reference: &SecretRef) -> bool {
        lock(&self.own).contains(reference)
    }

    /// Drops a token that a server rejected.
    pub(crate) fn forget(&self, token: &Secret) {
        self.remote.forget(token);
    }

    /// Reads a secret of any source.
    pub(crate) async fn read(
        self: Arc<Reader>,
        reference: SecretRef,
    ) -> Result<Secret, SecretError> {
        if let SecretRef::Remote(remote) = &reference {
            let _permit = self.fetch_permits.acquire().await;
            return self.fetch(&reference, remote).await;
        }

        let _permit = self.file_permits.acquire().await;
        let (reader, local) = (self.clone(), reference.clone());
        tokio::task::spawn_blocking(move || reader.read_local(&local))
            .await
            .unwrap_or_else(|_| Err(panicked(&reference)))
    }

    async fn fetch(
        self: &Arc<Reader>,
        reference: &SecretRef,
        remote: &RemoteSecret,
    ) -> Result<Secret, SecretError> {
        let is_own = self.is_own(reference);
        if !is_own {
            for path in SecretGrant::files(reference) {
                permit::check_path(&self.grant, &path)?;
            }
        }

        let client_secret = self.client_secret(remote, is_own).await?;
        let fetching = self.remote.fetch(remote, client_secret);
        let fetched = match tokio::time::timeout(timeout(remote), fetching).await {
            Ok(fetched) => fetched,
            Err(_) => Err(FetchError::Timeout),
        };

        let secret = fetched.map_err(|error| SecretError::Remote {
            reference: reference.to_string(),
            why: error.to_string(),
        })?;
        refuse_empty(reference, secret)
    }

    /// The client secret of an OAuth 2.0 token, if it is in a variable or a file.
    async fn client_secret(
        self: &Arc<Reader>,
        remote: &RemoteSecret,
        is_own: bool,
    ) -> Result<Option<Secret>, SecretError> {
        let RemoteSecret::OAuth2Client { client_secret, .. } = remote else {
            return Ok(None);
        };

        if matches!(**client_secret, SecretRef::Remote(_)) {
            return Ok(None);
        }

        let (reader, local) = (self.clone(), (**client_secret).clone());
        let reading = tokio::task::spawn_blocking(move || {
            reader.read_with(&local, is_own || reader.is_own(&local))
        });
        match reading.await {
            Ok(secret) => secret.map(Some),
            Err(_) => Err(panicked(client_secret)),
        }
    }

    /// Reads a variable or a file. A remote secret has no value here.
    pub(crate) fn read_local(&self, reference: &SecretRef) -> Result<Secret, SecretError> {
        self.read_with(reference, self.is_own(reference))
    }

    fn read_with(&self, reference: &SecretRef, is_own: bool) -> Result<Secret, SecretError> {
        let secret = match reference {
            SecretRef::Env(name) => local::read_variable(name)?,
            SecretRef::File(path) => local::read_file(path, |file| {
                if is_own {
                    Ok(())
                } else {
                    permit::check_open(&self.grant, path, file)
                }
            })?,
            SecretRef::Remote(_) => {
                return Err(SecretError::Remote {
                    reference: reference.to_string(),
                    why: "it has not been fetched yet".into(),
                });
            }
        };

        refuse_empty(reference, secret)
    }
}

pub(crate) fn panicked(reference: &SecretRef) -> SecretError {
    SecretError::Remote {
        reference: reference.to_string(),
        why: "reading it panicked".into(),
    }
}

/// A call has its own timeout, but obtaining a secret may take several calls.
fn timeout(remote: &RemoteSecret) -> Duration {
    if remote.is_token() {
        TOKEN_TIMEOUT
    } else {
        Duration::MAX
    }
}

/// An empty file or a placeholder leaves white space or a byte-order mark: a key that anyone can
/// guess.
fn refuse_empty(reference: &SecretRef, secret: Secret) -> Result<Secret, SecretError> {
    let bytes = secret.expose();
    let text = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
    if text.iter().all(u8::is_ascii_whitespace) {
        return Err(SecretError::Empty(reference.to_string()));
    }

    Ok(secret)
}
