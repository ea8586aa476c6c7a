//! Ownership checks that two providers make in several forms.

use std::time::UNIX_EPOCH;

use super::{NOW, build, request};
use crate::check::{Verdict, check};
use crate::keys::{Keys, NoKeyDocuments, VerifyContext};
use crate::request::Unverified;
use landfall_model::Secret;

#[test]
fn slack_and_sharepoint_checks_are_answered() {
    let status = |provider: &str, method: http::Method, query: Option<&str>, body: &'static str| {
        let verifier = build(&format!("provider = \"{provider}\"\nsecret = \"env:S\"")).unwrap();
        let asked = Unverified {
            method,
            ..request(&[], query, body)
        };

        let keys = Keys::new([(verifier.key_form(), Ok(Secret::new("k")))]);
        let context = VerifyContext {
            keys: &keys,
            documents: &NoKeyDocuments,
            now: Some(UNIX_EPOCH + NOW),
        };

        match check(&verifier, asked, &context, None) {
            Ok(Verdict::Challenge(answer)) => (answer.status, answer.body.map(|(_, text)| text)),
            other => panic!("{other:?}"),
        }
    };

    assert_eq!(
        status("slack", http::Method::POST, None, "token=t&ssl_check=1"),
        (200, None)
    );

    assert_eq!(
        status("slack", http::Method::GET, Some("ssl_check=1&token=t"), ""),
        (200, None)
    );

    let echoed = (200, Some("a b".to_owned()));
    assert_eq!(
        status(
            "microsoft-graph",
            http::Method::POST,
            Some("validationtoken=a+b"),
            ""
        ),
        echoed
    );

    assert_eq!(
        status(
            "microsoft-graph",
            http::Method::POST,
            Some("validationToken=a+b"),
            ""
        ),
        echoed
    );
}
