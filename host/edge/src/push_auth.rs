//! How a broker that pushes messages identifies itself: a Google ID token.

use std::collections::BTreeMap;

use anyhow::Context;
use landfall_model::{ClaimValue, JwtSpec, PushSpec, VerifySpec};
use landfall_verify::{Packs, Verifier};

/// Verifies the token of a Pub/Sub push subscription or of a Cloud Tasks task.
///
/// Source: cloud.google.com/pubsub/docs/authenticate-push-subscriptions,
/// cloud.google.com/tasks/docs/creating-http-target-tasks.
pub(crate) fn verifier(spec: &PushSpec) -> anyhow::Result<Verifier> {
    let issuers = ["https://accounts.google.com", "accounts.google.com"]
        .map(str::to_owned)
        .to_vec();
    let claims = BTreeMap::from([
        ("iss".to_owned(), ClaimValue::Any(issuers)),
        ("aud".to_owned(), one(&spec.to)),
        ("email".to_owned(), one(&spec.account)),
        ("email_verified".to_owned(), ClaimValue::Truth(true)),
    ]);
    let (algorithms, jwks) = (Some(vec!["RS256".to_owned()]), Some(spec.keys.clone()));
    let jwt = Some(JwtSpec {
        algorithms,
        jwks,
        claims,
        ..JwtSpec::default()
    });
    let typed = VerifySpec {
        provider: Some("google-pubsub".into()),
        jwt,
        ..VerifySpec::default()
    };
    Verifier::build(&typed, &Packs::default())
        .map_err(|error| anyhow::anyhow!("{}", error.message))
        .context("queue.push_keys")
}

fn one(text: &str) -> ClaimValue {
    ClaimValue::One(text.to_owned())
}
