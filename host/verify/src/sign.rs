//! Signs requests as a provider does, for `landfall sign` and `landfall send`. Only schemes with a
//! shared secret can be signed.

use std::borrow::Cow;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Map, Value};

use crate::algorithm::{Running, mac, sha256, sha256_hex};
use crate::auth_scheme::AuthScheme;
use crate::edit::{put, put_time, written};
use crate::jwt::{Jwt, query_string_hash};
use crate::payload::{Part, Signed};
use crate::request::Unverified;
use crate::schemes;
use crate::sign_error::SignError;
use crate::signature::{ListTime, Signature};
use crate::verifier::Verifier;
use crate::view::View;
use landfall_model::{Algorithm, Encoding, TimeUnit, ValueLocation};

/// The lifetime of signed tokens.
const TOKEN_LIFE: Duration = Duration::from_secs(300);

/// Signs `draft` with the bytes of a key, as if sent at `now`. The error says why the request
/// cannot be signed.
pub fn sign(
    verifier: &Verifier,
    mut draft: Unverified,
    key: &[u8],
    now: SystemTime,
) -> Result<Unverified, SignError> {
    match &verifier.auth_scheme {
        AuthScheme::Closed => return Err(SignError::Closed),
        AuthScheme::Open => {}
        AuthScheme::Token { from, prefix } => {
            let secret = std::str::from_utf8(key)
                .map_err(|_| SignError::Secret("the secret is not text".into()))?;
            put(&mut draft, from, &format!("{prefix}{secret}"))?;
        }
        AuthScheme::Basic => {
            let credentials = format!("Basic {}", STANDARD.encode(key));
            put(
                &mut draft,
                &ValueLocation::Header("Authorization".into()),
                &credentials,
            )?;
        }
        AuthScheme::Signature(signature) => signature.sign(verifier, &mut draft, key, now)?,
        AuthScheme::Jwt(jwt) => {
            let token = jwt.make(verifier, &draft, key, now)?;
            put(&mut draft, &jwt.from, &format!("{}{token}", jwt.prefix))?;
        }
        AuthScheme::Provider(scheme) => {
            schemes::sign(scheme, verifier.public_url.as_ref(), &mut draft, key, now)?
        }
    }

    Ok(draft)
}

impl Signature {
    fn sign(
        &self,
        verifier: &Verifier,
        draft: &mut Unverified,
        key: &[u8],
        now: SystemTime,
    ) -> Result<(), SignError> {
        for (name, value) in &self.require {
            put(draft, &ValueLocation::Header(name.clone()), value)?;
        }

        let time = self
            .time
            .as_ref()
            .map(|time| written(time.unit, now))
            .unwrap_or_default();

        // A draft that already has an id keeps it.
        let named = self.id.as_ref().and_then(|place| {
            View::new(draft, None)
                .find(place, true)
                .ok()
                .map(Cow::into_owned)
        });

        let id =
            named.unwrap_or_else(|| format!("msg_{}", written(TimeUnit::Ms, now)).into_bytes());
        if let Some(place) = &self.id {
            put(draft, place, &String::from_utf8_lossy(&id))?;
        }

        // Some providers use one value as id and time. Then the value is the time.
        if let Some(place) = self.time.as_ref().and_then(|time| time.from.as_ref()) {
            put_time(draft, place, &time)?;
        }

        let labels = self.list.iter().flat_map(|list| &list.signed_labels);
        let labels: Vec<(String, String)> = labels
            .map(|label| (label.clone(), "sample".to_owned()))
            .collect();

        let signed = Signed {
            timestamp: time.as_bytes(),
            id: &id,
            labels: &labels,
        };

        let view = View::new(draft, verifier.public_url.as_ref());
        let mut running = Running::new(self.algorithm, key).ok_or(SignError::ProviderKey)?;

        for part in &self.payload {
            running.update(
                &part
                    .bytes(&view, signed, key)
                    .map_err(|refusal| refusal.to_string())?,
            );
        }

        let digest = running.finish();
        let encoded = match self.encoding {
            Encoding::Hex => hex::encode(digest),
            Encoding::Base64 => STANDARD.encode(digest),
            Encoding::Base64url => URL_SAFE_NO_PAD.encode(digest),
        };

        let text = match &self.list {
            None => match self.methods.first() {
                Some((method, _)) => format!("{method}={encoded}"),
                None => format!("{}{encoded}", self.prefix),
            },
            Some(list) => {
                let assign = list.assign.as_deref().unwrap_or_default();
                let time = match &list.time {
                    ListTime::Absent => String::new(),
                    ListTime::Labelled(label) => format!("{label}{assign}{time}{}", list.separator),
                    ListTime::First => format!("{time}{}", list.separator),
                };

                let others: String = labels
                    .iter()
                    .map(|(label, value)| format!("{label}{assign}{value}{}", list.separator))
                    .collect();

                match list.labels.first() {
                    Some(label) => format!("{time}{others}{label}{assign}{encoded}"),
                    None => format!("{time}{others}{encoded}"),
                }
            }
        };

        let place = self.from.first().expect("checked at load");
        if matches!(place, ValueLocation::Json(_)) && self.payload.contains(&Part::Body) {
            return Err("a signature inside what it signs cannot be made".into());
        }

        put(draft, place, &text)
    }
}

impl Jwt {
    fn make(
        &self,
        verifier: &Verifier,
        draft: &Unverified,
        key: &[u8],
        now: SystemTime,
    ) -> Result<String, SignError> {
        let name = self.algorithms.iter().find(|name| name.starts_with("HS"));
        let (name, algorithm) = match name.map(String::as_str) {
            Some(name @ "HS256") => (name, Algorithm::HmacSha256),
            Some(name @ "HS384") => (name, Algorithm::HmacSha384),
            Some(name @ "HS512") => (name, Algorithm::HmacSha512),
            _ => {
                return Err(SignError::ProviderKey);
            }
        };

        let seconds = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let mut claims: Map<String, Value> = self
            .claims
            .iter()
            .filter_map(|(claim, allowed)| Some((claim.clone(), allowed.first()?.clone())))
            .collect();

        claims.insert("iat".into(), seconds.into());
        claims.insert("nbf".into(), seconds.into());
        claims.insert("exp".into(), (seconds + TOKEN_LIFE.as_secs()).into());

        if let Some((claim, only_with_body)) = &self.body_hash
            && !(*only_with_body && draft.body.is_empty())
        {
            claims.insert(
                claim.clone(),
                super::jwt::written(self.body_hash_encoding, &sha256(&draft.body)).into(),
            );
        }

        if let Some(claim) = &self.body_claim {
            claims.insert(
                claim.clone(),
                String::from_utf8_lossy(&draft.body).into_owned().into(),
            );
        }

        if let Some(claim) = &self.query_string_hash {
            let hash = query_string_hash(
                &View::new(draft, verifier.public_url.as_ref()),
                &self.base_path,
            );

            claims.insert(claim.clone(), hash.into());
        }

        if let Some(claim) = &self.url_hash {
            let url = View::new(draft, verifier.public_url.as_ref())
                .url()
                .map_err(|refusal| refusal.to_string())?;
            claims.insert(claim.clone(), sha256_hex(url.as_bytes()).into());
        }

        let signed = format!(
            "{}.{}",
            token_part(serde_json::json!({ "alg": name, "typ": "JWT" })),
            token_part(Value::Object(claims))
        );

        let signature = URL_SAFE_NO_PAD.encode(mac(algorithm, key, signed.as_bytes()));
        Ok(format!("{signed}.{signature}"))
    }
}

fn token_part(value: Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{Verdict, check};
    use crate::keys::{Keys, NoKeyDocuments, VerifyContext};
    use crate::pack::{Packs, pack_names};
    use crate::settings;
    use landfall_model::{ConfigValue, KeyForm, Secret, VerifySpec};

    const KEYS: [(KeyForm, &str); 6] = [
        (KeyForm::Utf8, "a secret"),
        (KeyForm::Hex, "00ff7788aabb"),
        (KeyForm::Base64, "c2VjcmV0IGtleQ=="),
        (KeyForm::Whsec, "whsec_c2VjcmV0IGtleQ=="),
        (KeyForm::WhsecOrText, "whsec_c2VjcmV0IGtleQ=="),
        (KeyForm::Sha1, "private"),
    ];

    #[test]
    fn signed_samples_pass_the_check() {
        let now = UNIX_EPOCH + Duration::from_secs(1_760_000_000);
        let mut signed_packs = 0;
        for name in pack_names() {
            let pack = Packs::default().find(name).unwrap();
            let spec = VerifySpec {
                provider: Some(name.into()),
                secret: vec!["env:S".parse().unwrap()],
                public_url: Some("https://hooks.example.com".into()),
                config: [("topic_arns".to_owned(), ConfigValue::One("*".into()))].into(),
                ..VerifySpec::default()
            };

            let spec = settings::fill_in(&pack, spec);
            let verifier = Verifier::build(&spec, &Packs::default())
                .unwrap_or_else(|error| panic!("{name}: {error:?}"));

            let Some((_, secret)) = KEYS.iter().find(|(form, _)| *form == verifier.key_form())
            else {
                continue;
            };

            let secret = if verifier.auth_scheme.word() == "basic" {
                "user:password"
            } else {
                secret
            };

            let draft = pack
                .draft(None, "https://hooks.example.com/in", now)
                .unwrap();
            let keys = Keys::new([(verifier.key_form(), Ok(Secret::new(secret)))]);
            let key = keys.iter().next().unwrap().unwrap().to_vec();
            let Ok(request) = sign(&verifier, draft, &key, now) else {
                continue;
            };

            let context = VerifyContext {
                keys: &keys,
                documents: &NoKeyDocuments,
                now: Some(now),
            };

            match check(&verifier, request.clone(), &context, None) {
                Ok(Verdict::Verified(_)) => {}
                other => panic!("{name}: {other:?}\n{request:?}"),
            }

            let other = Keys::new([(KeyForm::Utf8, Ok(Secret::new("another:one")))]);
            assert!(
                check(
                    &verifier,
                    request,
                    &VerifyContext {
                        keys: &other,
                        ..context
                    },
                    None
                )
                .is_err(),
                "{name}"
            );

            signed_packs += 1;
        }

        assert!(signed_packs >= 240, "only {signed_packs} packs");
    }
}
