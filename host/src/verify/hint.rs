//! For the operator, after a mismatch: would the signature be right if one usual mistake had not been made? Costs a few
//! checks, so whoever asks does so at a bounded rate.

use super::check::{Given, Keys, NoDocuments, check};
use super::refusal::{Reason, Refusal};
use super::request::Unverified;
use super::verifier::{Proof, Verifier};
use super::window::Window;
use crate::model::{KeyForm, Secret};

/// Larger bodies are not tried again.
const BODY_BYTES_MAX: usize = 256 << 10;

const FORMS: [(KeyForm, &str); 4] =
    [(KeyForm::Utf8, "utf8"), (KeyForm::Hex, "hex"), (KeyForm::Base64, "base64"), (KeyForm::Whsec, "whsec")];

/// What probably went wrong, as a sentence. None where nothing usual did.
pub fn hint(verifier: &Verifier, request: &Unverified, secrets: &[Secret], refusal: &Refusal) -> Option<String> {
    let is_worth_it = refusal.reason == Reason::SignatureMismatch && request.body.len() <= BODY_BYTES_MAX;
    if !is_worth_it || !matches!(verifier.proof, Proof::Signature(_) | Proof::Code(_)) {
        return None;
    }
    let timeless = verifier.clone().with_window(Window { past: None, future: None });
    let holds = |verifier: &Verifier, form: KeyForm, request: Unverified| {
        let keys = Keys::new(secrets.iter().map(|secret| (form, Ok(secret.clone()))));
        check(verifier, request, &Given { keys: &keys, documents: &NoDocuments, now: None }, None).is_ok()
    };
    let form = verifier.key_form();
    for (other, word) in FORMS.into_iter().filter(|(other, _)| *other != form) {
        if holds(&timeless, other, request.clone()) {
            return Some(format!("the signature matches if the secret is read as {word}: write key = \"{word}\""));
        }
    }
    for (body, what) in bodies(&request.body) {
        if holds(&timeless, form, Unverified { body: body.into(), ..request.clone() }) {
            return Some(format!("the signature matches the body {what}: something on the way has written it anew"));
        }
    }
    let swapped = match verifier.public_url.as_deref()?.split_once("://")? {
        ("https", rest) => format!("http://{rest}"),
        (_, rest) => format!("https://{rest}"),
    };
    let other = timeless.called_at(swapped.clone());
    holds(&other, form, request.clone())
        .then(|| format!("the signature matches if the sender calls {swapped}: set public_url"))
}

/// Usual spellings of the same JSON.
fn bodies(body: &[u8]) -> Vec<(Vec<u8>, &'static str)> {
    let mut bodies = vec![([body, b"\n"].concat(), "with a line end after it")];
    if let Some(shorter) = body.strip_suffix(b"\n") {
        bodies.push((shorter.strip_suffix(b"\r").unwrap_or(shorter).to_vec(), "without the line end after it"));
    }
    if serde_json::from_slice::<serde::de::IgnoredAny>(body).is_ok() {
        bodies.push((minified(body), "without white space"));
    }
    bodies
}

/// JSON without white space between its tokens, everything else as it was.
fn minified(json: &[u8]) -> Vec<u8> {
    let (mut in_text, mut is_escaped) = (false, false);
    let keeps = |byte: &u8| {
        let kept = in_text || !byte.is_ascii_whitespace();
        match (in_text, *byte) {
            (true, _) if is_escaped => is_escaped = false,
            (true, b'\\') => is_escaped = true,
            (_, b'"') => in_text = !in_text,
            _ => {}
        }
        kept
    };
    json.iter().copied().filter(keeps).collect()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::super::pack::Packs;
    use super::super::sign::sign;
    use super::*;
    use crate::model::VerifySpec;

    fn verifier(provider: &str) -> Verifier {
        let spec = format!("provider = \"{provider}\"\nsecret = \"env:S\"\npublic_url = \"https://a.example\"");
        Verifier::build(&toml::from_str::<VerifySpec>(&spec).unwrap(), &Packs::default()).unwrap()
    }

    /// Signed with `key` over `body`, sent with another body.
    fn hint_for(provider: &str, key: &[u8], body: &str, sent: &str, secret: &str) -> Option<String> {
        let verifier = verifier(provider);
        let mut draft = Packs::default().find(provider).unwrap().draft(None, "https://a.example/x").unwrap();
        draft.body = body.to_owned().into();
        let mut request = sign(&verifier, draft, key, UNIX_EPOCH + Duration::from_secs(1)).unwrap();
        request.body = sent.to_owned().into();
        hint(&verifier, &request, &[Secret::new(secret)], &Refusal::new(Reason::SignatureMismatch, ""))
    }

    #[test]
    fn usual_mistakes_are_named() {
        let told =
            |hint: Option<String>, words: &str| assert!(hint.as_deref().unwrap_or("none").contains(words), "{hint:?}");
        told(hint_for("github", b"key", "{}", "{}", "a2V5"), "key = \"base64\"");
        told(hint_for("github", b"key", "{}", "{}", "6b6579"), "key = \"hex\"");
        told(hint_for("svix", b"a2V5", "{}", "{}", "a2V5"), "key = \"utf8\"");
        told(hint_for("github", b"k", r#"{"a":"b c"}"#, "{\n  \"a\": \"b c\"\n}", "k"), "without white space");
        told(hint_for("github", b"k", "{}\n", "{}", "k"), "with a line end after it");
        told(hint_for("github", b"k", "{}", "{}\r\n", "k"), "without the line end");
        assert_eq!(hint_for("github", b"k", "{}", "{}", "another"), None);
        assert_eq!(minified(br#"{ "a \" b" : [ 1 , "c\\" ] }"#), br#"{"a \" b":[1,"c\\"]}"#);
    }
}
