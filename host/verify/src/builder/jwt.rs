//! Rules of `scheme = "jwt"`.

use serde_json::Value;

use super::error::{BuildError, wrong};
use super::locations::one_place;
use super::signature::check_age;
use super::urls::{NEEDS_URL, address, names_url};
use crate::jwt::Jwt;
use crate::lookup::{Lookup, Member};
use crate::payload::configured_text;
use crate::view::describe;
use landfall_model::{
    ClaimValue, ConfigValue, Encoding, JwtSpec, KeyForm, LookupSpec, ValueLocation, VerifySpec,
};

const TIMES: [(&str, &str); 3] = [("exp", "leeway"), ("iat", "max_age"), ("nbf", "leeway")];

const JWT_ALGORITHMS: [&str; 5] = ["HS256", "HS384", "HS512", "RS256", "ES256"];

pub(super) fn build(spec: &VerifySpec) -> Result<Jwt, BuildError> {
    let rules = spec
        .jwt
        .as_ref()
        .ok_or_else(|| wrong("scheme", "jwt = { algorithms = [\"RS256\"], … } is missing"))?;

    let algorithms = rules.algorithms.clone().unwrap_or_default();
    if algorithms.is_empty() {
        return Err(wrong(
            "jwt",
            "algorithms is empty: name the accepted algorithms",
        ));
    }

    if let Some(bad) = algorithms
        .iter()
        .find(|name| !JWT_ALGORITHMS.contains(&name.as_str()))
    {
        return Err(wrong(
            "jwt",
            format!(
                "algorithm `{bad}` cannot be used: one of {}",
                JWT_ALGORITHMS.join(", ")
            ),
        ));
    }

    check_age("jwt", "max_age", rules.max_age)?;
    let in_secret = matches!(spec.key, Some(KeyForm::Pem | KeyForm::SpkiBase64));

    let public = [rules.jwks.is_some(), rules.lookup.is_some(), in_secret]
        .iter()
        .filter(|is_there| **is_there)
        .count();
    if public + usize::from(algorithms.iter().any(|name| name.starts_with("HS"))) != 1 {
        return Err(wrong(
            "jwt",
            "HS… algorithms go with a secret, RS256 and ES256 with jwks = \"https://…\", lookup = { … } or a public key \
             (key = \"pem\"), never mixed",
        ));
    }

    if rules.header_time.is_some() {
        return Err(wrong(
            "jwt",
            "header_time is read only of scheme = \"detached-jws\": a token has claims",
        ));
    }

    let claims = rules.claims.iter().map(|(name, value)| {
        let allowed = match value {
            ClaimValue::Truth(truth) => vec![Value::Bool(*truth)],
            ClaimValue::One(one) => vec![filled(one, spec)?.into()],
            ClaimValue::Any(any) => any
                .iter()
                .map(|one| filled(one, spec).map(Value::from))
                .collect::<Result<_, _>>()?,
        };

        Ok((name.clone(), allowed))
    });

    if rules.url_hash.is_some() && !names_url(spec) {
        return Err(wrong("scheme", NEEDS_URL));
    }

    let bends_hash = rules.body_hash_if_body.is_some() || rules.body_hash_encoding.is_some();
    if rules.body_hash.is_none() && bends_hash {
        return Err(wrong(
            "jwt",
            "body_hash is missing: name the claim that holds the SHA-256 of the body",
        ));
    }

    let from = one_place(spec)?;
    check_apart(rules, &from)?;
    check_claim_names(rules)?;

    if rules.jwks.is_some() && rules.claims.is_empty() && spec.provider.is_none() {
        return Err(wrong(
            "jwt",
            "claims is missing: a key set signs for others too; name the issuer and the audience, such as \
             claims = { iss = \"https://issuer.example\", aud = \"my-hook\" }",
        ));
    }

    if let Some((name, _)) = rules
        .claims
        .iter()
        .find(|(_, value)| matches!(value, ClaimValue::Any(any) if any.is_empty()))
    {
        return Err(wrong(
            "jwt",
            format!("the claim {name} allows nothing: name at least one value"),
        ));
    }

    Ok(Jwt {
        from,
        prefix: spec.prefix.clone().unwrap_or_default(),
        algorithms,
        jwks: rules
            .jwks
            .as_ref()
            .map(|url| address("jwt", "jwks", url, spec))
            .transpose()?,
        lookup: rules
            .lookup
            .as_ref()
            .map(|typed| lookup(typed, spec))
            .transpose()?,
        claims: claims.collect::<Result<_, _>>()?,
        leeway: rules.leeway.unwrap_or_default(),
        max_age: rules.max_age,
        needs_expiry: !rules.no_expiry.unwrap_or_default() && rules.max_age.is_none(),
        is_prefix_optional: rules.prefix_optional.unwrap_or_default(),
        body_hash: rules
            .body_hash
            .clone()
            .map(|claim| (claim, rules.body_hash_if_body.unwrap_or_default())),
        body_hash_encoding: rules.body_hash_encoding.unwrap_or(Encoding::Hex),
        body_claim: rules.body_claim.clone(),
        url_hash: rules.url_hash.clone(),
        query_string_hash: rules.query_string_hash.clone(),
        base_path: base_path(spec)?,
    })
}

fn lookup(typed: &LookupSpec, spec: &VerifySpec) -> Result<Lookup, BuildError> {
    let mut body = Vec::new();
    for (name, value) in &typed.body {
        let member = match value.as_str() {
            "{secret}" => Member::Secret,
            "{kid}" => Member::KeyId,
            _ => Member::Text(filled(value, spec)?),
        };
        body.push((name.clone(), member));
    }

    let url = typed.url.as_ref().ok_or_else(|| {
        wrong(
            "jwt",
            "lookup.url is missing: write the URL from which a key is requested",
        )
    })?;
    let key = typed.key.clone().ok_or_else(|| {
        wrong(
            "jwt",
            "lookup.key is missing: write the JSON pointer to the key in the response",
        )
    })?;

    Ok(Lookup {
        url: address("jwt", "lookup.url", url, spec)?,
        body,
        key,
    })
}

/// A text with the configured values in it.
fn filled(text: &str, spec: &VerifySpec) -> Result<String, BuildError> {
    configured_text(text, &spec.config).map_err(|why| wrong("config", why))
}

/// Rejects a digest that covers the token itself: no sender can make such a token.
fn check_apart(rules: &JwtSpec, from: &ValueLocation) -> Result<(), BuildError> {
    let covers_body = rules.body_hash.is_some() || rules.body_claim.is_some();
    let covers_query = rules.query_string_hash.is_some();

    // The query string hash does not cover the parameter `jwt`.
    let (what, is_inside) = match from {
        ValueLocation::Json(_) | ValueLocation::Form(_) | ValueLocation::Body(_) => {
            ("the body", covers_body)
        }
        ValueLocation::Query(name) => (
            "the URL",
            rules.url_hash.is_some() || (covers_query && name != "jwt"),
        ),
        ValueLocation::Path(_) | ValueLocation::Param(_) => {
            ("the URL", rules.url_hash.is_some() || covers_query)
        }
        ValueLocation::Header(_) | ValueLocation::Each(_) | ValueLocation::Claim(_) => {
            return Ok(());
        }
    };

    if is_inside {
        return Err(wrong(
            "jwt",
            format!(
                "the token ({}) is part of {what}, and would hold a digest of itself: read the token from a header, or leave the \
                 digest of {what} out of jwt",
                describe(from)
            ),
        ));
    }

    Ok(())
}

/// Rejects a claim name that is used twice, such as a time claim that must equal a constant.
fn check_claim_names(rules: &JwtSpec) -> Result<(), BuildError> {
    if let Some((name, field)) = TIMES
        .into_iter()
        .find(|(name, _)| rules.claims.contains_key(*name))
    {
        let why = format!(
            "the claim {name} is a time, which differs from token to token: remove it from \
             claims; {field} judges it"
        );
        return Err(wrong("jwt", why));
    }

    let digests = [
        ("body_hash", &rules.body_hash),
        ("body_claim", &rules.body_claim),
        ("url_hash", &rules.url_hash),
        ("query_string_hash", &rules.query_string_hash),
    ];

    let mut used: Vec<&str> = rules
        .claims
        .keys()
        .map(String::as_str)
        .chain(TIMES.map(|(name, _)| name))
        .collect();

    for (field, claim) in digests {
        let Some(claim) = claim else { continue };
        if used.contains(&claim.as_str()) {
            let claim = claim.escape_debug();
            return Err(wrong(
                "jwt",
                format!(
                    "{field} reads the claim {claim}, which has another meaning: name the right \
                     claim"
                ),
            ));
        }

        used.push(claim);
    }

    Ok(())
}

/// The path of the app's base URL for the query string hash; empty if it is not configured.
fn base_path(spec: &VerifySpec) -> Result<String, BuildError> {
    match spec.config.get("base_path").map(ConfigValue::texts) {
        None => Ok(String::new()),
        Some([path]) if path.starts_with('/') => Ok(path.trim_end_matches('/').to_owned()),
        Some(_) => Err(wrong("config", "config.base_path must begin with `/`")),
    }
}
