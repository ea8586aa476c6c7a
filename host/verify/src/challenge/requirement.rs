//! What an ownership check must have before the host answers it.

use super::template::{Refused, Source};
use crate::algorithm::same_text;
use crate::keys::Keys;
use crate::refusal::{Reason, Refusal};
use crate::view::View;
use landfall_model::{Requirement, ValueLocation};

/// Checks the query parameters of an ownership check.
pub(super) fn check(require: &Requirement, view: &View<'_>, keys: &Keys) -> Result<(), Refused> {
    for (name, expected) in &require.query {
        let given = parameter(name, view).ok();
        if !expected
            .split('|')
            .any(|allowed| given.as_deref() == Some(allowed))
        {
            let expected = expected.replace('|', "` or `");
            return Err(refused(format!(
                "query parameter `{name}` of the ownership check is not `{expected}`"
            )));
        }
    }

    if let Some(name) = &require.query_hex {
        let given = parameter(name, view)?;
        if !(20..=32).contains(&given.len()) || !given.bytes().all(|byte| byte.is_ascii_hexdigit())
        {
            return Err(Refused::Value(format!(
                "query parameter `{name}` is not 20 to 32 hexadecimal digits"
            )));
        }
    }

    if let Some(name) = &require.query_secret {
        let given = parameter(name, view)?;
        if !keys.find_challenge(|key| same_text(given.as_bytes(), key)) {
            return Err(Refused::Requirement(wrong_verify_token(name)));
        }
    }

    Ok(())
}

/// The value of a query parameter that must be present.
fn parameter(name: &str, view: &View<'_>) -> Result<String, Refused> {
    Source(ValueLocation::Query(name.into()))
        .text(view)
        .map_err(|_| {
            refused(format!(
                "the ownership check has no query parameter `{name}`"
            ))
        })
}

pub(super) fn refused(what: String) -> Refused {
    Refused::Requirement(Refusal::new(Reason::ChallengeRefused, what))
}

fn wrong_verify_token(name: &str) -> Refusal {
    Refusal::new(
        Reason::VerifyTokenMismatch,
        format!(
            "query parameter `{name}` of the ownership check is not the verify token: it must \
             equal the value of `challenge_secret`, or of `secret` where there is none"
        ),
    )
}
