//! A signed sample for a hook, as its provider would send it.

use landfall_hooks::Hook;
use landfall_model::Secret;
use landfall_verify::{SampleError, SignedSample, sample};

use super::tamper::change_secret;
use crate::curl::{SampleCommand, curl, quote};
use crate::state::Dashboard;
use crate::text;

/// What stands in a command in the place of a secret that a request carries.
const PLACEHOLDER: &str = "SECRET";

/// What an operator may change of a sample.
#[derive(Debug, Default)]
pub(crate) struct Edits {
    /// The event type; `None`: that of the pack's sample.
    pub(crate) event: Option<String>,
    /// The body before it is signed; `None`: that of the pack's sample.
    pub(crate) body: Option<Vec<u8>>,
}

/// Builds a sample for a hook with its first secret.
pub(crate) fn for_hook(
    dashboard: &Dashboard,
    hook: &Hook,
    edits: Edits,
) -> Result<SignedSample, SampleError> {
    signed_with(dashboard, hook, edits, first_secret(dashboard, hook))
}

/// The same with another secret, so that the hook must refuse it.
pub(crate) fn with_wrong_secret(
    dashboard: &Dashboard,
    hook: &Hook,
    edits: Edits,
) -> Result<SignedSample, SampleError> {
    let secret = first_secret(dashboard, hook);
    let wrong = secret.map(|secret| Secret::new(change_secret(secret.expose())));
    signed_with(dashboard, hook, edits, wrong)
}

fn first_secret(dashboard: &Dashboard, hook: &Hook) -> Option<Secret> {
    let mut secrets = hook.spec.verify.secret.iter();
    secrets.find_map(|secret| dashboard.setup.secrets.value(secret).ok())
}

/// The command that sends a first event to a hook.
pub(crate) fn first_request(dashboard: &Dashboard, hook: &Hook) -> SampleCommand {
    match for_hook(dashboard, hook, Edits::default()) {
        Ok(signed) => command(dashboard, hook, &signed),
        Err(error) => SampleCommand {
            curl: String::new(),
            note: format!("There is no sample to send: {error}"),
        },
    }
}

/// The command that sends this sample. It never contains the secret itself.
pub(crate) fn command(dashboard: &Dashboard, hook: &Hook, signed: &SignedSample) -> SampleCommand {
    if !signed.carries_secret {
        return SampleCommand {
            curl: curl(&signed.method, &signed.url, &signed.headers, &signed.body),
            note: if hook.spec.verify.secret.is_empty() {
                String::new()
            } else {
                "A signature with a time is valid for a few minutes.".to_owned()
            },
        };
    }

    let Some(mut signed) = with_placeholder(dashboard, hook, signed) else {
        return SampleCommand {
            curl: String::new(),
            note: "The request carries the secret itself: it is not shown.".to_owned(),
        };
    };

    let is_basic = |name: &str, value: &str| {
        name.eq_ignore_ascii_case("authorization") && value.starts_with("Basic ")
    };
    let headers = signed.headers.len();
    signed
        .headers
        .retain(|(name, value)| !is_basic(name, value));
    let user = if signed.headers.len() < headers {
        format!(" \\\n  -u {}", quote(PLACEHOLDER))
    } else {
        String::new()
    };
    let secrets = hook.spec.verify.secret.iter();
    let names: Vec<String> = secrets.map(|secret| secret.to_string()).collect();
    let command = curl(&signed.method, &signed.url, &signed.headers, &signed.body);
    SampleCommand {
        curl: format!("{command}{user}"),
        note: text::line(
            &format!(
                "Put the value of {} in the place of {PLACEHOLDER}.",
                names.join(" or ")
            ),
            300,
        ),
    }
}

/// The same request with a placeholder instead of the secret that it carries.
pub(crate) fn with_placeholder(
    dashboard: &Dashboard,
    hook: &Hook,
    signed: &SignedSample,
) -> Option<SignedSample> {
    let edits = Edits {
        event: None,
        body: Some(signed.body.clone()),
    };
    let placeholder = Secret::new(PLACEHOLDER);
    signed_with(dashboard, hook, edits, Some(placeholder)).ok()
}

fn signed_with(
    dashboard: &Dashboard,
    hook: &Hook,
    edits: Edits,
    secret: Option<Secret>,
) -> Result<SignedSample, SampleError> {
    let public = dashboard.public_url("");
    let request = hook.sample_request(&public, edits.event, edits.body, secret);
    let now = dashboard.setup.admin.clock.now();
    sample(&request, &(dashboard.setup.packs)(), now)
}
