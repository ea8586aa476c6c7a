//! Events as people may see them: without the values by which their senders have proven themselves.
//! What the component sees is not changed.

use std::borrow::Cow;

use bytes::Bytes;

use crate::presumed_proof::{is_proof_unknown, without_presumed_proof};
use crate::proof_names::ProofNames;
use crate::proof_places::ProofPlaces;
use crate::request::Unverified;
use crate::verifier::Verifier;
use landfall_model::Event;

/// The attribute that names the form field with the JSON document.
const JSON_FORM_FIELD: &str = "json-form-field";

/// An event as people may see it.
#[derive(Debug)]
pub struct MaskedEvent<'a> {
    /// Borrowed if there was nothing to mask.
    pub event: Cow<'a, Event>,
    /// Where the proof was is not known: everything that looks like one is masked.
    pub is_presumed: bool,
}

// === impl Verifier ===

impl Verifier {
    /// The event without the token, the JWT's signature or the signature that the scheme reads from
    /// it, or has read when the event was accepted, wherever the request repeats it. If the event
    /// does not say where it was read, also without what looks like one: other rules may have
    /// accepted it, and another location of the same scheme is enough for that.
    pub fn mask<'a>(&self, event: &'a Event, names: &ProofNames) -> MaskedEvent<'a> {
        let event = self.without_proof(event);
        let is_presumed = is_proof_unknown(&event);
        MaskedEvent {
            event: if is_presumed {
                Cow::Owned(without_presumed_proof(&event, names))
            } else {
                event
            },
            is_presumed,
        }
    }

    fn without_proof<'a>(&self, event: &'a Event) -> Cow<'a, Event> {
        let mut shown = without_recorded_proof(event);
        let places = ProofPlaces::of(&self.auth_scheme);
        places.mask(&mut shown, self.json_form_field.as_deref());
        shown
    }

    /// The body of a refused request without the proof that the scheme reads from it. `None`: it may
    /// have one and is too large to be searched, or has too many.
    pub fn body_without_proof(&self, request: &Unverified) -> Option<Bytes> {
        let places = ProofPlaces::of(&self.auth_scheme);
        places.masked_body(request, self.json_form_field.as_deref())
    }
}

/// The event of a hook that is not known, without the proof that it had when it was accepted. If it
/// does not say where that was, without what looks like a proof.
pub fn mask_of_unknown_hook<'a>(event: &'a Event, names: &ProofNames) -> MaskedEvent<'a> {
    let is_presumed = is_proof_unknown(event);
    MaskedEvent {
        event: if is_presumed {
            Cow::Owned(without_presumed_proof(event, names))
        } else {
            without_recorded_proof(event)
        },
        is_presumed,
    }
}

/// Borrowed if there is nothing to mask.
fn without_recorded_proof(event: &Event) -> Cow<'_, Event> {
    let mut shown = Cow::Borrowed(event);
    let recorded = ProofPlaces::recorded(event).filter(|places| !places.is_empty());
    if let Some(places) = recorded {
        places.mask(&mut shown, event.attribute(JSON_FORM_FIELD));
    }

    shown
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use http::{HeaderMap, HeaderValue, Method};
    use landfall_model::{EventId, MASKED, PROOF_ATTRIBUTE, VerifySpec};

    use super::*;
    use crate::Packs;

    const SECRET: &str = "canary-9f3b7c";

    fn event(content_type: &'static str, query: Option<&str>, body: &str) -> Event {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", HeaderValue::from_static(content_type));
        headers.insert("x-event-proof", HeaderValue::from_static(SECRET));
        Event {
            id: EventId::new(UNIX_EPOCH),
            hook: "in".into(),
            received_at: UNIX_EPOCH,
            method: Method::POST,
            path: format!("/in/{SECRET}/a%20b"),
            query: query.map(str::to_owned),
            headers,
            body: body.to_owned().into(),
            attributes: vec![
                ("param:key".into(), SECRET.into()),
                ("event-type".into(), "push".into()),
            ],
        }
    }

    fn shown(verify: &str, event: &Event) -> Event {
        verifier(verify).without_proof(event).into_owned()
    }

    fn verifier(verify: &str) -> Verifier {
        let secret = if verify.contains("\"signature\"") || verify.contains("\"token\"") {
            "secret = \"env:SECRET\"\n"
        } else {
            ""
        };
        let typed: VerifySpec = toml::from_str(&format!("{verify}\n{secret}")).unwrap();
        Verifier::build(&typed, &Packs::default()).unwrap()
    }

    #[test]
    fn tokens_in_bodies_are_masked() {
        const JSON: &str = "application/json";
        const FORM: &str = "application/x-www-form-urlencoded";
        for (from, content_type, body, expected) in [
            (
                "{ json = \"/auth\" }",
                JSON,
                r#"{"n":1.10, "auth":"canary-9f3b7c","url":"https://x/?t=canary-9f3b7c"}"#,
                r#"{"n":1.10, "auth":"(masked)","url":"https://x/?t=(masked)"}"#,
            ),
            (
                "{ json = \"/auth\" }",
                JSON,
                r#"{"auth":"canary\u002d9f3b7c","a":"\"b"}"#,
                r#"{"auth":"(masked)","a":"\"b"}"#,
            ),
            (
                "{ json = \"/auth\" }",
                JSON,
                r#"{"auth":"abc","text":"abcdef","n":1}"#,
                r#"{"auth":"(masked)","text":"abcdef","n":1}"#,
            ),
            (
                "{ each = \"/value/*/state\" }",
                JSON,
                r#"{"value":[{"state":"canary-9f3b7c"},{"state":"canary-9f3b7c"}]}"#,
                r#"{"value":[{"state":"(masked)"},{"state":"(masked)"}]}"#,
            ),
            (
                "{ form = \"token\" }",
                FORM,
                "a=b+c&token=canary%2D9f3b7c",
                "a=b+c&token=(masked)",
            ),
            (
                "{ json = \"/auth\" }",
                FORM,
                r#"{"auth":"s&c+r=/t\u002d\"1","b":"https://x/?t=s%26c%2Br%3D%2Ft-%221"}"#,
                r#"{"auth":"(masked)","b":"https://x/?t=(masked)"}"#,
            ),
            (
                "{ form = \"token\" }",
                "text/plain",
                "token=canary%2D9f3b7c&canary-9f3b7c=1",
                "token=(masked)&(masked)=1",
            ),
            ("{ body = \"whole\" }", "text/plain", SECRET, "(masked)"),
        ] {
            let verify = format!("scheme = \"token\"\nfrom = {from}");
            let event = event(content_type, None, body);
            let shown = shown(&verify, &event);
            assert_eq!(
                std::str::from_utf8(&shown.body).unwrap(),
                expected,
                "{from}"
            );
        }
    }

    #[test]
    fn tokens_in_heads_are_masked() {
        let event = event("text/plain", Some("a=1&sig%6e=x&b"), "{}");
        let param = shown("scheme = \"token\"\nfrom = { param = \"key\" }", &event);
        assert_eq!(param.path, "/in/(masked)/a%20b");
        assert_eq!(param.attributes[0].1, MASKED);
        assert_eq!(param.attributes[1].1, "push");

        let header = "scheme = \"token\"\nfrom = { header = \"X-Event-Proof\" }";
        assert_eq!(shown(header, &event).headers["x-event-proof"], MASKED);
        assert_eq!(
            shown(header, &event).path,
            "/in/(masked)/a%20b",
            "its repetition"
        );
        let json = "scheme = \"token\"\nfrom = { json = \"/auth\" }";
        let event = Event {
            body: format!("{{\"auth\":\"{SECRET}\"}}").into(),
            ..event
        };
        assert_eq!(shown(json, &event).headers["x-event-proof"], MASKED);
        let query = "scheme = \"signature\"\nfrom = { query = \"sign\" }\nalgorithm = \"hmac-sha256\"\n\
                     encoding = \"hex\"\npayload = [\"{body}\"]";
        assert_eq!(
            shown(query, &event).query.as_deref(),
            Some("a=1&sign=(masked)&b")
        );
    }

    #[test]
    fn tokens_keep_their_claims() {
        let verify = "scheme = \"jwt\"\nfrom = { body = \"whole\" }\n[jwt]\nalgorithms = [\"RS256\"]\njwks = \"https://keys.example/\"\nclaims = { iss = \"https://x.example\", aud = \"in\" }";
        let event = event("text/plain", None, "head.claims.mac");
        assert_eq!(&shown(verify, &event).body[..], b"head.claims.(masked)");
    }

    #[test]
    fn signatures_of_providers_are_masked() {
        const JSON: &str = "application/json";
        const FORM: &str = "application/x-www-form-urlencoded";
        const PART: &str = "--b\r\nContent-Disposition: form-data; name=\"json\"\r\n\r\n";
        let multipart = format!("{PART}{{\"event\":{{\"event_hash\":\"{SECRET}\"}}}}\r\n--b--\r\n");
        let secret = "secret = \"env:SECRET\"";
        for (verify, content_type, body) in [
            (
                "provider = \"aws-sns\"\nconfig = { topic_arns = \"*\" }",
                JSON,
                format!("{{\"Message\":\"kept\",\"Signature\":\"{SECRET}\"}}"),
            ),
            (
                &*format!("provider = \"adyen\"\n{secret}"),
                JSON,
                format!(
                    "{{\"notificationItems\":[{{\"kept\":1,\"additionalData\":{{\"hmacSignature\":\"{SECRET}\"}}}},\
                     {{\"NotificationRequestItem\":{{\"additionalData\":{{\"hmacSignature\":\"b-{SECRET}\"}}}}}}]}}"
                ),
            ),
            (
                &*format!(
                    "provider = \"braintree\"\nconfig = {{ public_key = \"kept\" }}\n{secret}"
                ),
                FORM,
                format!("bt_signature=kept%7C{SECRET}&bt_payload=kept"),
            ),
            (
                &*format!("provider = \"dropbox-sign\"\n{secret}"),
                "multipart/form-data; boundary=b",
                multipart,
            ),
            (
                &*format!("provider = \"mailgun\"\n{secret}"),
                JSON,
                format!("{{\"signature\":{{\"signature\":\"{SECRET}\"}},\"kept\":1}}"),
            ),
            (
                "provider = \"apple-app-store\"\nconfig = { bundle_id = \"a\", environment = \"Sandbox\" }",
                JSON,
                format!("{{\"signedPayload\":\"kept.kept.{SECRET}\"}}"),
            ),
        ] {
            let verifier = verifier(verify);
            let sent = Event {
                attributes: Vec::new(),
                ..event(content_type, None, &body)
            };
            let shown = verifier.without_proof(&sent);
            let text = std::str::from_utf8(&shown.body).unwrap();
            assert!(!text.contains(SECRET) && text.contains(MASKED), "{text}");
            assert_eq!(text.contains("kept"), body.contains("kept"), "{text}");

            // Its hook is gone, or the node is stopped.
            let attributes = vec![(PROOF_ATTRIBUTE.to_owned(), verifier.proof.clone())];
            let mut stored = Event {
                attributes,
                ..sent.clone()
            };
            if verify.contains("dropbox-sign") {
                let field = (JSON_FORM_FIELD.to_owned(), "json".to_owned());
                stored.attributes.push(field);
            }
            let recorded = without_recorded_proof(&stored);
            assert_eq!(recorded.body, shown.body, "{verify}");
        }
    }

    #[test]
    fn other_rules_leave_recorded_proofs_masked() {
        let accepted = verifier("scheme = \"token\"\nfrom = { json = \"/auth\" }");
        let mut event = event("application/json", None, "{\"auth\":\"canary-9f3b7c\"}");
        let proof = (PROOF_ATTRIBUTE.into(), accepted.proof.clone());
        event.attributes.push(proof);
        for verify in [
            "scheme = \"none\"",
            "provider = \"github\"\nsecret = \"env:S\"",
        ] {
            let shown = shown(verify, &event);
            assert_eq!(&shown.body[..], b"{\"auth\":\"(masked)\"}", "{verify}");
            assert!(!format!("{:?}", shown.headers).contains(SECRET), "{verify}");
        }
    }

    #[test]
    fn unknown_rules_mask_presumed_proofs() {
        let body = "{\"auth\":\"canary-9f3b7c\",\"ref\":\"main\"}";
        let mut event = event("application/json", None, body);
        let names = ProofNames::default();
        let token = verifier("scheme = \"token\"\nfrom = { json = \"/other\" }");
        let closed = Verifier::build(&VerifySpec::default(), &Packs::default()).unwrap();
        for masked in [
            mask_of_unknown_hook(&event, &names),
            token.mask(&event, &names),
            closed.mask(&event, &names),
        ] {
            assert!(masked.is_presumed);
            let expected = "{\"auth\":\"(masked)\",\"ref\":\"main\"}";
            assert_eq!(&masked.event.body[..], expected.as_bytes());
        }

        // The same scheme can have read another location.
        let scheme = ("verified-by-scheme".to_owned(), "token".to_owned());
        event.attributes.push(scheme);
        for rules in [&token, &closed] {
            let masked = rules.mask(&event, &names);
            assert!(masked.is_presumed);
            assert!(!String::from_utf8_lossy(&masked.event.body).contains(SECRET));
        }

        // What the present rules read is masked too, whatever its name.
        let ordinary = verifier("scheme = \"token\"\nfrom = { json = \"/ref\" }");
        let masked = ordinary.mask(&event, &names);
        let expected = "{\"auth\":\"(masked)\",\"ref\":\"(masked)\"}";
        assert_eq!(&masked.event.body[..], expected.as_bytes());

        let nowhere = (PROOF_ATTRIBUTE.to_owned(), "{\"at\":[]}".to_owned());
        event.attributes.push(nowhere);
        let masked = mask_of_unknown_hook(&event, &names);
        assert!(!masked.is_presumed);
        assert_eq!(&masked.event.body[..], body.as_bytes());
    }

    #[test]
    fn refused_bodies_are_masked() {
        let verifier = verifier("provider = \"mailgun\"\nsecret = \"env:S\"");
        let request = |body: String| Unverified {
            method: Method::POST,
            path: "/in".into(),
            query: None,
            params: Vec::new(),
            headers: HeaderMap::new(),
            body: body.into(),
            decoded: None,
        };
        let body = |more: &str| {
            format!("{{\"signature\":{{\"signature\":\"{SECRET}\",\"n\":1.10}}{more}}}")
        };
        let masked = verifier.body_without_proof(&request(body("")));
        assert_eq!(
            masked.as_deref(),
            Some(&b"{\"signature\":{\"signature\":\"(masked)\",\"n\":1.10}}"[..])
        );
        let large = body(&format!(",\"a\":\"{}\"", "a".repeat(16 << 10)));
        assert_eq!(verifier.body_without_proof(&request(large)), None);
        let items: Vec<String> = (0..200)
            .map(|n| format!("{{\"additionalData\":{{\"hmacSignature\":\"{n}\"}}}}"))
            .collect();
        let many = format!("{{\"notificationItems\":[{}]}}", items.join(","));
        let adyen = self::verifier("provider = \"adyen\"\nsecret = \"env:S\"");
        assert_eq!(adyen.body_without_proof(&request(many.clone())), None);
        let event = event("application/json", None, &many);
        assert_eq!(&adyen.without_proof(&event).body[..], MASKED.as_bytes());
        let plain = verifier.body_without_proof(&request("{".to_owned()));
        assert_eq!(plain.as_deref(), Some(&b"{"[..]));
    }

    #[test]
    fn only_kept_proofs_are_recorded() {
        for (verify, is_recorded) in [
            ("scheme = \"none\"", false),
            ("scheme = \"token\"\nfrom = { header = \"X-Event\" }", false),
            ("scheme = \"token\"\nfrom = { param = \"key\" }", false),
            ("scheme = \"token\"\nfrom = { form = \"key\" }", true),
            ("provider = \"github\"\nsecret = \"env:S\"", false),
            (
                "provider = \"twilio\"\nsecret = \"env:S\"\npublic_url = \"https://a.example\"",
                false,
            ),
            ("provider = \"pandadoc\"\nsecret = \"env:S\"", true),
        ] {
            let proof = verifier(verify).proof;
            assert_eq!(proof != "{\"at\":[]}", is_recorded, "{verify}: {proof}");
        }
    }

    #[test]
    fn payloads_are_shown() {
        let body = "{\"token\":\"canary-9f3b7c\"}";
        let event = event("application/json", Some("token=x"), body);
        for verify in [
            "scheme = \"none\"",
            "scheme = \"token\"\nfrom = { header = \"X-Token\" }",
            "scheme = \"token\"\nfrom = { json = \"/other\" }",
            "provider = \"github\"\nsecret = \"env:SECRET\"",
        ] {
            let shown = shown(verify, &event);
            assert_eq!(&shown.body[..], body.as_bytes(), "{verify}");
            assert_eq!(shown.query, event.query, "{verify}");
            assert_eq!(shown.path, event.path, "{verify}");
        }
    }
}
