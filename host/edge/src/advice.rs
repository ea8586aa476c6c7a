//! What the operator can do about a refused request.

use http::Method;

use super::edge::Edge;
use super::target::AuthTarget;
use landfall_hooks::Hook;
use landfall_model::{Secret, SecretRef, SecretSource};
use landfall_verify::{Reason, Refusal, Unverified, hint};

/// What the operator can do about a request that is not authenticated.
pub(crate) fn hint_for(
    edge: &Edge,
    auth: AuthTarget<'_>,
    request: &Unverified,
    refusal: &Refusal,
) -> Option<String> {
    let computed = if edge.hints.take(auth.name, request.body.len()) {
        let secrets = auth.verifier.secrets().iter();
        let values: Vec<Secret> = secrets
            .filter_map(|reference| edge.secrets.value(reference).ok())
            .collect();
        hint(auth.verifier, request, &values, refusal)
    } else {
        None
    };

    computed.or_else(|| usual_hint(auth, refusal.reason))
}

fn usual_hint(auth: AuthTarget<'_>, reason: Reason) -> Option<String> {
    let name = auth.name;
    let secrets = listed(auth.verifier.secrets());
    Some(match reason {
        Reason::Closed => format!(
            "write `[verify]` in {name}.toml: provider = \"NAME\" (`landfall providers` lists them) and \
             secret = \"env:{}_SECRET\", or scheme = \"none\" to accept every caller",
            name.to_ascii_uppercase().replace('-', "_")
        ),
        Reason::NoSecret if secrets.is_empty() => {
            format!("write `secret` in `[verify]` of {name}.toml")
        }
        Reason::NoSecret => {
            format!("give {secrets} a value, or name another `secret` in {name}.toml")
        }
        Reason::SignatureMismatch => format!(
            "compare the secret at the provider with {secrets}; if they are equal, a proxy may \
             have changed the body or the URL"
        ),
        Reason::MalformedSignature => format!(
            "the signature is not written as [verify] of {name}.toml says: compare `encoding`, `prefix` and `list` with what the \
             provider documents"
        ),
        Reason::MalformedTimestamp => format!(
            "the time is not written as [verify] of {name}.toml says: compare timestamp = {{ unit = … }} with what the provider \
             documents"
        ),
        Reason::TokenMismatch => {
            format!("compare the token or password at the provider with {secrets}")
        }
        Reason::MissingSignature | Reason::MissingToken => format!(
            "set the secret of this webhook at the provider; a request from elsewhere, such as a browser or a scanner, has none \
             (hook {name})"
        ),
        Reason::TimestampTooOld | Reason::TimestampInFuture => {
            "compare the clock of this machine with the real time; a retry with its first \
             timestamp is refused too"
                .into()
        }
        Reason::AudienceMismatch => {
            format!(
                "`aud` is the audience that is configured at the provider: compare it with \
                 `[verify]` of {name}.toml"
            )
        }
        Reason::TopicNotAllowed => {
            format!("list it in `config` in `[verify]` of {name}.toml, if you want its events")
        }
        _ => return None,
    })
}

/// What the operator can do about a failed ownership check.
pub(crate) fn challenge_hint(hook: &Hook, method: &Method, reason: Reason) -> Option<String> {
    let (name, own) = (&hook.spec.name, hook.verifier.challenge_secrets());
    let secrets = listed(if own.is_empty() {
        hook.verifier.secrets()
    } else {
        own
    });
    match reason {
        Reason::TopicNotAllowed => Some(format!(
            "list it in `config` in `[verify]` of {name}.toml, if you want its events"
        )),
        Reason::NoSecret => Some(format!("give {secrets} a value")),
        Reason::VerifyTokenMismatch => Some(format!(
            "the verify token that you typed at the provider must equal the value of {secrets}"
        )),
        _ => Some(format!(
            "an ownership check of {name} is a {method} with {}; a request that lacks it may come from elsewhere, such as a \
             browser",
            hook.verifier.challenge_needs(method).join(", or with ")
        )),
    }
}

fn listed(secrets: &[SecretRef]) -> String {
    secrets
        .iter()
        .map(|reference| format!("`{reference}`"))
        .collect::<Vec<_>>()
        .join(" or ")
}
