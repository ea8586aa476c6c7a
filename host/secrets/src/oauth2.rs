//! Access tokens by client credentials (RFC 6749 section 4.4).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use landfall_model::Secret;
use sha2::{Digest, Sha256};

use crate::call::{ApiCall, ApiClient, text};
use crate::error::FetchError;
use crate::tokens::{NewToken, Tokens, lifetime};

/// The token server and its client.
pub(crate) struct OAuth2Client<'a> {
    pub(crate) token_url: &'a str,
    pub(crate) id: &'a str,
    pub(crate) secret: &'a Secret,
    pub(crate) scope: Option<&'a str>,
}

// === impl OAuth2Client ===

impl OAuth2Client<'_> {
    pub(crate) async fn access_token(
        &self,
        api: &ApiClient,
        tokens: &Tokens,
    ) -> Result<Secret, FetchError> {
        let OAuth2Client {
            token_url,
            id,
            secret,
            scope,
        } = self;
        // A client with another secret has another token.
        let digest = hex::encode(Sha256::digest(secret.expose()));
        let scope = scope.unwrap_or_default();
        let name = format!("oauth2 {token_url} {id} {digest} {scope}");

        let token = tokens.get(&name, self.request(api)).await?;
        Ok(Secret::new(token))
    }

    /// The client identifies itself with basic authentication (section 2.3.1).
    async fn request(&self, api: &ApiClient) -> Result<NewToken, FetchError> {
        let id = form_encoded(self.id.as_bytes());
        let secret = form_encoded(self.secret.expose());
        let basic = STANDARD.encode(format!("{id}:{secret}"));

        let mut pairs = vec![("grant_type", "client_credentials".to_owned())];
        if let Some(scope) = self.scope {
            pairs.push(("scope", scope.to_owned()));
        }

        let mut call = ApiCall::form(self.token_url.to_owned(), pairs);
        call.headers
            .push(("authorization".into(), format!("Basic {basic}")));

        let answer = api.send_for_json(call).await?;
        Ok(NewToken {
            token: text(&answer, "/access_token")?.to_owned(),
            lifetime: lifetime(&answer),
        })
    }
}

fn form_encoded(bytes: &[u8]) -> String {
    url::form_urlencoded::byte_serialize(bytes).collect()
}
