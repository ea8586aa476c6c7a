//! Requests a single key from the provider by its id. The request is a POST with a JSON body that
//! carries the hook's secret; the response contains a JSON web key. Plaid:
//! plaid.com/docs/api/webhooks/webhook-verification.

use serde_json::{Map, Value};

use crate::certificate::{WebKey, web_key_of};
use crate::refusal::{Reason, Refusal};
use landfall_model::{Documents, Secret};

const KEY_ID_BYTES_MAX: usize = 128;

/// How to request one key.
#[derive(Debug, Clone, PartialEq)]
pub struct Lookup {
    /// The URL, requested by POST.
    pub(crate) url: String,
    /// The members of the JSON object in the request.
    pub(crate) body: Vec<(String, Member)>,
    /// JSON pointer to the key in the response.
    pub(crate) key: String,
}

/// The value of one member.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Member {
    /// A constant text from the hook file.
    Text(String),
    /// The first secret of the hook that has a value.
    Secret,
    /// The key id that the token names.
    KeyId,
}

/// How to get an access token for key requests: the client credentials grant of OAuth 2.0 (RFC 6749
/// section 4.4) with the hook's secret, `CLIENT_ID:CLIENT_SECRET`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyGrant {
    /// The URL of the token endpoint.
    pub token_url: String,
    /// The OAuth scope.
    pub scope: &'static str,
}

// === impl Lookup ===

impl Lookup {
    /// The key with this id. If it has not been fetched yet, the refusal names the missing
    /// document.
    pub(crate) fn find(
        &self,
        documents: &dyn Documents,
        key_id: Option<&str>,
    ) -> Result<WebKey, Refusal> {
        let key_id = key_id.filter(|id| is_plain(id)).ok_or_else(|| {
            Refusal::new(
                Reason::KeyUnavailable,
                "the token names no key, or its key id is not valid",
            )
        })?;

        let name = format!("{}#{key_id}", self.url);
        let document = documents.get(&name).ok_or_else(|| Refusal::needs(&name))?;
        let answer: Value =
            serde_json::from_slice(&document).map_err(|_| unusable(key_id, "is not JSON"))?;
        let key = answer
            .pointer(&self.key)
            .ok_or_else(|| unusable(key_id, "holds no key"))?;
        if key.get("kid").is_some_and(|id| id != key_id) {
            return Err(unusable(key_id, "holds another key"));
        }

        if key.get("expired_at").is_some_and(|at| !at.is_null()) {
            return Err(unusable(key_id, "says that it has expired"));
        }

        web_key_of(key).ok_or_else(|| unusable(key_id, "has no key of a supported type"))
    }

    /// The request body for a document; `None` if the document does not belong to this lookup.
    pub fn ask(&self, document: &str, secret: &Secret) -> Option<Vec<u8>> {
        let key_id = document.strip_prefix(&self.url)?.strip_prefix('#')?;
        let mut members = Map::new();
        for (name, member) in &self.body {
            let value = match member {
                Member::Text(text) => text.clone(),
                Member::Secret => String::from_utf8_lossy(secret.expose()).into_owned(),
                Member::KeyId => key_id.to_owned(),
            };
            members.insert(name.clone(), value.into());
        }

        Some(Value::Object(members).to_string().into_bytes())
    }
}

fn unusable(key_id: &str, why: &str) -> Refusal {
    Refusal::new(
        Reason::KeyUnavailable,
        format!("the answer for key `{key_id}` {why}"),
    )
}

/// Whether a key id is safe to use in a document name. Senders choose it.
pub(crate) fn is_plain(id: &str) -> bool {
    !id.is_empty() && id.len() <= KEY_ID_BYTES_MAX && id.bytes().all(is_safe)
}

fn is_safe(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    struct One(&'static str, String);

    impl Documents for One {
        fn get(&self, name: &str) -> Option<Bytes> {
            (name == self.0).then(|| self.1.clone().into())
        }
    }

    fn lookup() -> Lookup {
        Lookup {
            url: "https://api.example/key".into(),
            body: vec![
                ("client_id".into(), Member::Text("c\"1".into())),
                ("key_id".into(), Member::KeyId),
                ("secret".into(), Member::Secret),
            ],
            key: "/key".into(),
        }
    }

    const KEY: &str = r#""kty":"EC","crv":"P-256","x":"y9NoZjNwVoL16aVAcNxex-sqAW9SaG_spqQJHHz4wVE","y":"GvBdixFw8JX4icT_azXG71tyUrLkvB0L3fofPrJHEv8""#;

    fn found(more: &str) -> Result<WebKey, Refusal> {
        let document = One(
            "https://api.example/key#k-1",
            format!(r#"{{"key":{{{KEY}{more}}}}}"#),
        );

        lookup().find(&document, Some("k-1"))
    }

    #[test]
    fn expired_and_other_keys_are_refused() {
        assert!(found("").is_ok() && found(r#","kid":"k-1","expired_at":null"#).is_ok());
        assert_eq!(
            found(r#","kid":"k-2""#).err().unwrap().detail,
            "the answer for key `k-1` holds another key"
        );

        assert_eq!(
            found(r#","expired_at":1560466150"#).err().unwrap().detail,
            "the answer for key `k-1` says that it has expired"
        );
    }

    #[test]
    fn senders_cannot_change_key_requests() {
        let asked = lookup()
            .ask("https://api.example/key#k-1", &Secret::new("s3"))
            .unwrap();

        assert_eq!(
            String::from_utf8(asked).unwrap(),
            r#"{"client_id":"c\"1","key_id":"k-1","secret":"s3"}"#
        );

        assert_eq!(
            lookup().ask("https://other.example/key#k-1", &Secret::new("s3")),
            None
        );

        let nothing = One("", String::new());
        for id in [
            None,
            Some(""),
            Some("a#b"),
            Some("../x"),
            Some("a b"),
            Some(&"a".repeat(129)),
        ] {
            let refusal = lookup().find(&nothing, id).err().unwrap();
            assert_eq!(
                (refusal.reason, refusal.fetch),
                (Reason::KeyUnavailable, None),
                "{id:?}"
            );
        }

        assert_eq!(
            lookup()
                .find(&nothing, Some("k"))
                .err()
                .unwrap()
                .fetch
                .unwrap(),
            "https://api.example/key#k"
        );
    }
}
