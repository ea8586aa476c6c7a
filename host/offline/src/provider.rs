//! The built-in cases of a hook's provider: which requests the hook accepts. They use a made-up
//! secret, never the one of the hook file, and do not run the handler.

use std::fmt::Display;
use std::time::{Duration, Instant, SystemTime};

use landfall_model::{DedupId, KeyForm, Secret};
use landfall_verify::{
    Keys, NoKeyDocuments, Refusal, Unverified, Verdict, Verified, Verifier, VerifyContext, check,
    sample_challenges, sign_with,
};

use crate::case::default_now;
use crate::difference::Difference;
use crate::event::example_path;
use crate::hook::OfflineHook;
use crate::report::{CaseReport, Report};

/// How much older than allowed the stale request is.
const TOO_OLD: Duration = Duration::from_secs(3600);
/// The time until a provider delivers again.
const REDELIVERY: Duration = Duration::from_secs(60);

/// Two secrets in each form in which a secret is shared.
const SECRETS: [(KeyForm, [&str; 2]); 6] = [
    (KeyForm::Utf8, ["made-up secret", "another secret"]),
    (KeyForm::Hex, ["00ff7788aabb", "00ff7788aacc"]),
    (KeyForm::Base64, ["c2VjcmV0IGtleQ==", "YW5vdGhlciBrZXk="]),
    (
        KeyForm::Whsec,
        ["whsec_c2VjcmV0IGtleQ==", "whsec_YW5vdGhlciBrZXk="],
    ),
    (
        KeyForm::WhsecOrText,
        ["whsec_c2VjcmV0IGtleQ==", "whsec_YW5vdGhlciBrZXk="],
    ),
    (KeyForm::Sha1, ["made-up secret", "another secret"]),
];

/// A hook whose provider can be imitated.
struct Imitation<'a> {
    hook: &'a OfflineHook,
    draft: Unverified,
    secret: Secret,
    other_secret: Secret,
    /// Why its requests cannot be signed. Ownership checks that come without a signature can still
    /// be tried.
    cannot_sign: Option<Wrong>,
    now: SystemTime,
}

/// Why a built-in case failed, for people.
#[derive(Debug)]
struct Wrong(String);

type Outcome = Result<(), Wrong>;

/// A built-in case. `None`: the provider has nothing to try.
type BuiltIn<'a> = fn(&Imitation<'a>) -> Option<Outcome>;

/// Adds the built-in cases of the hook's provider to a report, or a note that says why there are
/// none.
pub(crate) fn run(hook: &OfflineHook, report: &mut Report) {
    let Some(provider) = &hook.spec.verify.provider else {
        return;
    };
    let imitation = match Imitation::new(hook, provider) {
        Ok(imitation) => imitation,
        Err(Wrong(why)) => {
            let note = format!("the built-in cases of provider {provider} are left out: {why}");
            report.notes.push(note);
            return;
        }
    };

    let reports = imitation.reports(provider);
    if let Some(Wrong(why)) = &imitation.cannot_sign {
        let which = if reports.is_empty() {
            "the"
        } else {
            "the other"
        };
        let note = format!("{which} built-in cases of provider {provider} are left out: {why}");
        report.notes.push(note);
    }
    report.cases.extend(reports);
}

// === impl Wrong ===

impl<T: Display> From<T> for Wrong {
    fn from(why: T) -> Wrong {
        Wrong(why.to_string())
    }
}

// === impl Imitation ===

impl<'a> Imitation<'a> {
    fn new(hook: &'a OfflineHook, provider: &str) -> Result<Imitation<'a>, Wrong> {
        let (secrets, cannot_sign) = match secrets(&hook.verifier) {
            Some(secrets) => (secrets, None),
            None => {
                let why = "its requests cannot be signed with a shared secret";
                (SECRETS[0].1, Some(why.into()))
            }
        };

        let origin = hook.spec.verify.public_url.as_deref();
        let origin = origin.unwrap_or("https://hooks.example.com");
        let path = example_path(&hook.spec.path);
        let url = format!("{}{path}", origin.trim_end_matches('/'));
        let pack = hook.packs.find(provider)?;
        let mut draft = pack.draft_with_id(None, &url, "delivery-1")?;
        draft.path = path;

        let mut imitation = Imitation {
            hook,
            draft,
            secret: Secret::new(secrets[0]),
            other_secret: Secret::new(secrets[1]),
            cannot_sign,
            now: default_now(),
        };
        if imitation.cannot_sign.is_none() {
            let signed = imitation.signed(&imitation.secret, imitation.now);
            imitation.cannot_sign = signed.err();
        }
        Ok(imitation)
    }

    /// Each case that the provider has.
    fn reports(&self, provider: &str) -> Vec<CaseReport> {
        const OWNERSHIP_CHECK: &str = "ownership check";
        let cases: [(&str, BuiltIn<'a>); 6] = [
            ("good signature", Imitation::good_signature),
            ("bad signature", Imitation::bad_signature),
            ("stale timestamp", Imitation::stale_timestamp),
            ("oversized body", Imitation::oversized_body),
            (OWNERSHIP_CHECK, Imitation::ownership_check),
            ("duplicate", Imitation::duplicate),
        ];
        let can_sign = self.cannot_sign.is_none();
        let mut reports = Vec::new();
        for (what, case) in cases {
            if !can_sign && what != OWNERSHIP_CHECK {
                continue;
            }
            let started = Instant::now();
            let Some(outcome) = case(self) else {
                continue;
            };
            let difference = outcome
                .err()
                .map(|Wrong(why)| Difference::message("request", why));
            reports.push(CaseReport {
                name: format!("{provider}: {what}"),
                file: None,
                differences: difference.into_iter().collect(),
                is_updated: false,
                run: None,
                duration: started.elapsed(),
            });
        }
        reports
    }

    fn signed(&self, secret: &Secret, at: SystemTime) -> Result<Unverified, Wrong> {
        let draft = self.draft.clone();
        Ok(sign_with(&self.hook.verifier, draft, Some(secret), at)?)
    }

    /// What a node with the made-up secret does with a request.
    fn check(&self, request: Unverified) -> Result<Verdict, Refusal> {
        let verifier = &self.hook.verifier;
        let keys = Keys::new([(verifier.key_form(), Ok(self.secret.clone()))])
            .with_challenge([Ok(self.secret.clone())]);
        let context = VerifyContext {
            keys: &keys,
            documents: &NoKeyDocuments,
            now: Some(self.now),
        };
        check(verifier, request, &context, None)
    }

    fn accepted(&self, request: Unverified) -> Result<Verified, Wrong> {
        match self.check(request) {
            Ok(Verdict::Verified(verified)) => Ok(verified),
            Ok(Verdict::Challenge(_)) => Err("it was taken for an ownership check".into()),
            Err(refusal) => Err(format!("a good request was refused: {refusal}").into()),
        }
    }

    fn refused(&self, request: Unverified, what: &str) -> Outcome {
        match self.check(request) {
            Err(_) => Ok(()),
            Ok(_) => Err(format!("a request {what} was accepted: see [verify]").into()),
        }
    }

    // === The cases ===

    fn good_signature(&self) -> Option<Outcome> {
        Some(
            self.signed(&self.secret, self.now)
                .and_then(|request| self.accepted(request).map(drop)),
        )
    }

    fn bad_signature(&self) -> Option<Outcome> {
        Some(
            self.signed(&self.other_secret, self.now)
                .and_then(|request| self.refused(request, "with another secret")),
        )
    }

    fn stale_timestamp(&self) -> Option<Outcome> {
        let max_age = self.hook.verifier.max_age()?;
        let at = self.now.checked_sub(max_age + TOO_OLD)?;
        Some(
            self.signed(&self.secret, at)
                .and_then(|request| self.refused(request, "with an old timestamp")),
        )
    }

    /// The largest documented body is accepted, and one byte more than `max_body` is not.
    fn oversized_body(&self) -> Option<Outcome> {
        let sizes = &self.hook.sizes;
        if sizes.takes_body(sizes.max_body + 1) {
            return Some(Err("a body above max_body was accepted".into()));
        }
        let documented = self.hook.verifier.max_body().unwrap_or(0);
        let documented = usize::try_from(documented).unwrap_or(usize::MAX);
        Some(if sizes.takes_body(documented) {
            Ok(())
        } else {
            Err(format!(
                "the provider sends up to {documented} bytes and max_body is {}: raise max_body, or such events are refused with 413",
                sizes.max_body
            ).into())
        })
    }

    fn ownership_check(&self) -> Option<Outcome> {
        let verifier = &self.hook.verifier;
        let requests = sample_challenges(verifier, &self.draft, &self.secret, self.now);
        let requests = match requests {
            Ok(requests) if requests.is_empty() => return None,
            Ok(requests) => requests,
            Err(_) if self.cannot_sign.is_some() => return None,
            Err(error) => return Some(Err(error.into())),
        };
        Some(
            requests
                .into_iter()
                .try_for_each(|request| match self.check(request) {
                    Ok(Verdict::Challenge(answer)) => match answer.refused {
                        None => Ok(()),
                        Some(refusal) => {
                            Err(format!("an ownership check was refused: {refusal}").into())
                        }
                    },
                    Ok(Verdict::Verified(_)) => {
                        Err("an ownership check was taken for an event".into())
                    }
                    Err(refusal) => {
                        Err(format!("an ownership check was refused: {refusal}").into())
                    }
                }),
        )
    }

    /// A redelivery has the identity of the first delivery. `None`: the hook recognises none.
    fn duplicate(&self) -> Option<Outcome> {
        if matches!(
            self.hook.spec.dedup.id,
            DedupId::Nothing | DedupId::BodyDigest
        ) {
            return None;
        }
        let identity = |at| -> Result<Option<Vec<u8>>, Wrong> {
            let verified = self.accepted(self.signed(&self.secret, at)?)?;
            Ok(verified.delivery_key().map(<[u8]>::to_vec))
        };
        let again = self.now.checked_sub(REDELIVERY)?;
        match (identity(self.now), identity(again)) {
            (Ok(None), Ok(None)) => None,
            (Ok(first), Ok(second)) if first == second => Some(Ok(())),
            (Ok(_), Ok(_)) => Some(Err(
                "a redelivery has another identity, so it would run again: see [dedup]".into(),
            )),
            (Err(why), _) | (_, Err(why)) => Some(Err(why)),
        }
    }
}

/// Two made-up secrets of a hook; `None` if its requests are not signed with a shared secret.
fn secrets(verifier: &Verifier) -> Option<[&'static str; 2]> {
    if verifier.secrets().is_empty() {
        return None;
    }
    let form = verifier.key_form();
    let (_, secrets) = SECRETS.iter().find(|(known, _)| *known == form)?;
    Some(match verifier.auth_scheme().word() {
        "basic" => ["user:made-up", "user:another"],
        _ => *secrets,
    })
}
