//! A whole request as a provider sends it, from what an operator types: for `landfall sign` and `send`.

use std::collections::BTreeMap;
use std::time::SystemTime;

use super::check::Keys;
use super::pack::Packs;
use super::schemes;
use super::sign::sign;
use super::verifier::Verifier;
use crate::model::{ConfigValue, KeyForm, Secret, VerifySpec};

/// What to make.
#[derive(Debug, Clone)]
pub struct Order {
    /// A pack.
    pub provider: String,
    /// The kind of event; none = the pack's sample.
    pub event: Option<String>,
    /// Where the request will go.
    pub url: String,
    /// The shared secret, as the provider shows it.
    pub secret: Secret,
    /// Instead of the sample.
    pub body: Option<Vec<u8>>,
    /// Values of the operator that the scheme names.
    pub config: BTreeMap<String, String>,
}

/// A signed request.
#[derive(Debug, Clone)]
pub struct Forged {
    /// Upper case.
    pub method: String,
    /// With the query that signing may have added.
    pub url: String,
    /// In no order.
    pub headers: Vec<(String, String)>,
    /// Exactly the bytes that were signed.
    pub body: Vec<u8>,
}

/// Makes it, as if sent at `now`. The error is a sentence with the way out.
pub fn forge(order: &Order, packs: &Packs, now: SystemTime) -> Result<Forged, String> {
    let pack = packs.find(&order.provider)?;
    let target = url::Url::parse(&order.url).map_err(|why| format!("`{}` is not a URL: {why}", order.url))?;
    let origin = target.origin().ascii_serialization();
    let config = order.config.iter().map(|(name, value)| (name.clone(), ConfigValue::One(value.clone())));
    let spec = VerifySpec {
        provider: Some(order.provider.clone()),
        secret: vec!["env:SECRET".parse()?],
        challenge_secret: vec!["env:SECRET".parse()?],
        public_url: Some(origin.clone()),
        config: config.collect(),
        ..VerifySpec::default()
    };
    let verifier =
        Verifier::build(&spec, packs).map_err(|error| format!("{}; here it is --config NAME=VALUE", error.message))?;
    let mut draft = pack.draft(order.event.as_deref(), &order.url)?;
    if let Some(body) = &order.body {
        draft.body = body.clone().into();
    }
    let private_key = schemes::private_key(&verifier.proof, &order.secret)?;
    if private_key.is_none()
        && matches!(verifier.key_form(), KeyForm::Pem | KeyForm::SpkiBase64 | KeyForm::Ed25519Hex | KeyForm::Whpk)
    {
        return Err(format!("{} signs with a private key that only it has: no request of it can be made", pack.name));
    }
    let keys = Keys::new([(verifier.key_form(), Ok(order.secret.clone()))]);
    let key = keys.iter().next().flatten().filter(|key| !key.is_empty());
    let key = private_key.as_ref().map(|key| &key[..]).or(key);
    let key = key.ok_or("the secret is not a key of the form that this provider uses")?;
    let signed = sign(&verifier, draft, key, now)?;
    let path_and_query = match &signed.query {
        Some(query) => format!("{}?{query}", signed.path),
        None => signed.path.clone(),
    };
    let headers = signed.headers.iter().map(|(name, value)| {
        let value = value.to_str().map_err(|_| format!("header {name} is not text"))?;
        Ok((name.to_string(), value.to_owned()))
    });
    Ok(Forged {
        method: signed.method.to_string(),
        url: format!("{origin}{path_and_query}"),
        headers: headers.collect::<Result<_, String>>()?,
        body: signed.body.to_vec(),
    })
}
