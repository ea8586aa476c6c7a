//! Rules of `scheme = "detached-jws"`.

use std::time::Duration;

use super::error::{BuildError, wrong};
use super::locations::one_place;
use super::signature::check_age;
use crate::schemes::DetachedJws;
use crate::view::describe;
use crate::window::Window;
use landfall_model::{JwtSpec, ValueLocation, VerifySpec};

const PUBLIC: [&str; 2] = ["RS256", "ES256"];

pub(super) fn build(spec: &VerifySpec) -> Result<DetachedJws, BuildError> {
    let rules = spec.jwt.as_ref().ok_or_else(|| {
        wrong(
            "scheme",
            "jwt = { algorithms = [\"RS256\"], jwks = \"https://…\" } is missing",
        )
    })?;

    let algorithms = rules.algorithms.clone().unwrap_or_default();
    if algorithms.is_empty()
        || !algorithms
            .iter()
            .all(|name| PUBLIC.contains(&name.as_str()))
    {
        return Err(wrong(
            "jwt",
            format!("algorithms must be some of {}", PUBLIC.join(", ")),
        ));
    }

    let jwks = rules
        .jwks
        .as_ref()
        .filter(|url| url.starts_with("https://") && !url.contains('#'));
    let jwks = jwks.ok_or_else(|| {
        wrong(
            "jwt",
            "jwks must be the URL of the key set: https://…, without `#`",
        )
    })?;

    let known = JwtSpec {
        algorithms: rules.algorithms.clone(),
        jwks: rules.jwks.clone(),
        header_time: rules.header_time.clone(),
        max_age: rules.max_age,
        ..JwtSpec::default()
    };
    if *rules != known {
        return Err(wrong(
            "jwt",
            "a detached signature has no claims: only algorithms, jwks, header_time and max_age \
             are read",
        ));
    }

    if rules.max_age.is_some() != rules.header_time.is_some() {
        return Err(wrong(
            "jwt",
            "max_age and header_time, the header parameter that it judges, go together",
        ));
    }

    check_age("jwt", "max_age", rules.max_age)?;
    let from = one_place(spec)?;
    if matches!(
        from,
        ValueLocation::Json(_) | ValueLocation::Form(_) | ValueLocation::Body(_)
    ) {
        return Err(wrong(
            "from",
            format!(
                "the signature ({}) is part of the body that it signs: no sender can make such a \
                 signature",
                describe(&from)
            ),
        ));
    }

    let ahead = Duration::from_secs(60);
    Ok(DetachedJws {
        from,
        algorithms,
        jwks: jwks.clone(),
        header_time: rules.header_time.clone(),
        window: Window {
            past: rules.max_age,
            future: rules.max_age.map(|_| ahead),
        },
    })
}
