//! Secrets of other services. The reference names the secret; the node's identity comes from its
//! environment.

use landfall_model::{Clock, RemoteSecret, Secret, SecretRef};

use crate::call::ApiClient;
use crate::error::FetchError;
use crate::gcp::{Claim, Gcp};
use crate::oauth2::OAuth2Client;
use crate::tokens::Tokens;
use crate::{aws, vault};

/// What the calls to all services share.
pub(crate) struct Remote {
    api: ApiClient,
    tokens: Tokens,
    vault: vault::Login,
    clock: Clock,
}

// === impl Remote ===

impl Remote {
    pub(crate) fn new(clock: Clock) -> Remote {
        Remote {
            api: ApiClient::default(),
            tokens: Tokens::default(),
            vault: vault::Login::default(),
            clock,
        }
    }

    /// Fetches the current value. `client_secret` is that of an OAuth 2.0 token, if it is in a
    /// variable or a file.
    pub(crate) async fn fetch(
        &self,
        reference: &RemoteSecret,
        client_secret: Option<Secret>,
    ) -> Result<Secret, FetchError> {
        let gcp = Gcp {
            api: &self.api,
            tokens: &self.tokens,
            clock: self.clock,
        };
        match reference {
            RemoteSecret::GcpSecret { name } => gcp.secret(name).await,
            RemoteSecret::GcpKms { key, path } => gcp.decrypt(key, path).await,
            RemoteSecret::GcpToken { scope, key } => {
                gcp.token(Claim::Scope(scope), key.as_deref()).await
            }
            RemoteSecret::GcpIdToken { audience, key } => {
                gcp.token(Claim::Audience(audience), key.as_deref()).await
            }
            RemoteSecret::Vault { mount, path, field } => {
                vault::secret(&self.api, &self.vault, mount, path, field).await
            }
            RemoteSecret::AwsSecret { id, field } => {
                aws::secret(&self.api, self.clock, id, field.as_deref()).await
            }
            RemoteSecret::OAuth2Client {
                token_url,
                client_id,
                client_secret: reference,
                scope,
            } => {
                let secret = match client_secret {
                    Some(secret) => secret,
                    None => self.remote_client_secret(reference).await?,
                };

                let client = OAuth2Client {
                    token_url,
                    id: client_id,
                    secret: &secret,
                    scope: scope.as_deref(),
                };
                client.access_token(&self.api, &self.tokens).await
            }
        }
    }

    /// Drops a token that a server rejected, so that the next fetch obtains another.
    pub(crate) fn forget(&self, token: &Secret) {
        self.tokens.forget(token.expose());
    }

    async fn remote_client_secret(&self, reference: &SecretRef) -> Result<Secret, FetchError> {
        match reference {
            SecretRef::Remote(remote) => Box::pin(self.fetch(remote, None)).await,
            SecretRef::Env(_) | SecretRef::File(_) => Err(FetchError::unusable(
                reference,
                "a token for it cannot be the client secret of another token",
            )),
        }
    }
}
