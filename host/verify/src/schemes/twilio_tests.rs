//! Tests of `twilio`.

use super::*;
use crate::keys::Keys;
use landfall_model::{KeyForm, Secret};

const BODY: &str = "From=%2B14158675309&CallSid=CA1";
const SHA256_SETTINGS: &str = "key=webhooks_sharedkey_1,algorithm=HMAC_SHA256";

/// Called URL, signed URL, SHA-1 and SHA-256 signatures, computed and accepted by twilio-node
/// 6.3.1 with the key `12345`.
const ACCEPTED: [(&str, &str, &str); 10] = [
    (
        "https://example.com/in?a=1",
        "FqWfAoG4OVwMqMH1gx8plNYfAjc=",
        "VcVDVCVusN4J2ge5eOGW+lTJNhSS7JDu6LON0F16w6k=",
    ),
    // Signed with :443.
    (
        "https://example.com/in?a=1",
        "42G3xra6gSD7wozPY3jRf+QTBNU=",
        "2CoqbLUuFl+UFHWYGdKyuDxGUbyFSo/R1qGtn8QJKSM=",
    ),
    (
        "https://example.com:8443/in?a=1",
        "dvNMU1RV4qP7oAA+NrYUVl463Q4=",
        "hDpgMdSM50wAPq/Nb0LJBKwabEbHNTYwkrpqHk5ESK8=",
    ),
    // Signed without its port.
    (
        "https://example.com:8443/in?a=1",
        "FqWfAoG4OVwMqMH1gx8plNYfAjc=",
        "VcVDVCVusN4J2ge5eOGW+lTJNhSS7JDu6LON0F16w6k=",
    ),
    // Signed as called, and as the URL standard writes it.
    (
        "https://Example.com/in?Body=It's+amazing&x=%7e",
        "ijB5dHrkZRsMdQhfoD1gEfLcLEg=",
        "tB6xFfZbih5peTp6kyJkyq6hdQismXpnB9Y/xIUT1l8=",
    ),
    (
        "https://Example.com/in?Body=It's+amazing&x=%7e",
        "3rsRP4JIGVEbMP4NDQ19VNgxLQA=",
        "3HO54esnkluokO6P41rmYqKU3vwdSJOwBYyusOB+1O8=",
    ),
    // Signed with `It's%20amazing&x=~`, and with that and :443.
    (
        "https://Example.com/in?Body=It's+amazing&x=%7e",
        "yUgJ4zyxjb2XsnOEPfngV/S+3Uw=",
        "GEogFs+UueQ1Oowf/jPu5MPK2pctcu9zZQoO5bPktvU=",
    ),
    (
        "https://Example.com/in?Body=It's+amazing&x=%7e",
        "OJ4spIrYFR6r5kZnuQf2ubt6MHs=",
        "DZgbpEHsGqO3pV0/R4SxvUqJIvYeDoug5Wfc1ejrE3Q=",
    ),
    // Signed with the values of `b` put together.
    (
        "https://example.com/in?b=2&a=1&b=3",
        "/XwbcD2akiT4coGpzPAinvESTTc=",
        "9z9XJomTeO77pL/Snk5byjmyHps4pIhr76IpnIDiUdA=",
    ),
    (
        "https://[::1]/in",
        "1U7uDI6tGipXQKx0zXWzEhVzV0w=",
        "lxWtc86uhVXTsV0p99q4ystgFb7EwBDvNa3j6GZNBGw=",
    ),
];

fn verdict(
    pinned: Option<Algorithm>,
    url: &str,
    body: &str,
    headers: &[(&'static str, &str)],
    secret: &str,
) -> Result<usize, Reason> {
    let host_end = url[8..].find('/').unwrap() + 8;
    let (path, query) = url[host_end..]
        .split_once('?')
        .map_or((&url[host_end..], None), |(p, q)| (p, Some(q)));

    let mut request = Unverified {
        method: http::Method::POST,
        path: path.into(),
        query: query.map(str::to_owned),
        params: Vec::new(),
        headers: http::HeaderMap::new(),
        body: body.to_owned().into(),
        decoded: None,
    };

    request.headers.insert(
        "content-type",
        "application/x-www-form-urlencoded".parse().unwrap(),
    );

    for (name, value) in headers {
        request.headers.append(*name, value.parse().unwrap());
    }

    let keys = Keys::new([(KeyForm::Utf8, Ok(Secret::new(secret)))]);
    let public_url = PublicUrl::Base(url[..host_end].to_owned());
    check(pinned, &View::new(&request, Some(&public_url)), &keys).map_err(|refusal| refusal.reason)
}

fn sha256_of(url: &str, signature: &str) -> Result<usize, Reason> {
    verdict(
        None,
        url,
        BODY,
        &[
            ("x-twilio-signature", signature),
            (SETTINGS_LOWER, SHA256_SETTINGS),
        ],
        "12345",
    )
}

const SETTINGS_LOWER: &str = "x-twilio-webhooks-signature-settings";

#[test]
fn spellings_of_twilio_node_are_accepted() {
    for (url, sha1, sha256) in ACCEPTED {
        let signed = [("x-twilio-signature", sha1)];
        assert_eq!(
            verdict(None, url, BODY, &signed, "12345"),
            Ok(0),
            "{url} {sha1}"
        );

        assert_eq!(sha256_of(url, sha256), Ok(0), "{url} {sha256}");
        assert_eq!(
            verdict(None, url, BODY, &signed, "12346"),
            Err(Reason::SignatureMismatch),
            "{url}"
        );
    }
}

#[test]
fn settings_header_names_the_algorithm() {
    let (url, sha1, sha256) = ACCEPTED[0];
    // The length of the signature does not fit the algorithm.
    assert_eq!(sha256_of(url, sha1), Err(Reason::MalformedSignature));
    let alone = [("x-twilio-signature", sha256)];

    assert_eq!(
        verdict(None, url, BODY, &alone, "12345"),
        Err(Reason::MalformedSignature)
    );

    for (settings, expected) in [
        ("key=k,algorithm=hmac_sha256", Ok(0)),
        ("key=k, algorithm = HMAC_SHA256 ", Ok(0)),
        ("key=k,algorithm=HMAC_MD5", Err(Reason::AlgorithmNotAllowed)),
        ("key=k,algorithm=none", Err(Reason::AlgorithmNotAllowed)),
        ("key=k", Err(Reason::MalformedSignature)),
    ] {
        let headers = [("x-twilio-signature", sha256), (SETTINGS_LOWER, settings)];
        assert_eq!(
            verdict(None, url, BODY, &headers, "12345"),
            expected,
            "{settings}"
        );
    }

    let twice = [
        ("x-twilio-signature", sha256),
        (SETTINGS_LOWER, SHA256_SETTINGS),
        (SETTINGS_LOWER, SHA256_SETTINGS),
    ];

    assert_eq!(
        verdict(None, url, BODY, &twice, "12345"),
        Err(Reason::DuplicateHeader)
    );
}

#[test]
fn pinned_algorithm_refuses_the_other() {
    let (url, sha1, sha256) = ACCEPTED[0];
    let with_sha1 = [("x-twilio-signature", sha1)];
    let with_sha256 = [
        ("x-twilio-signature", sha256),
        (SETTINGS_LOWER, SHA256_SETTINGS),
    ];

    let (one, other) = (Some(Algorithm::HmacSha1), Some(Algorithm::HmacSha256));
    assert_eq!(verdict(one, url, BODY, &with_sha1, "12345"), Ok(0));
    assert_eq!(verdict(other, url, BODY, &with_sha256, "12345"), Ok(0));

    assert_eq!(
        verdict(other, url, BODY, &with_sha1, "12345"),
        Err(Reason::AlgorithmNotAllowed)
    );

    assert_eq!(
        verdict(one, url, BODY, &with_sha256, "12345"),
        Err(Reason::AlgorithmNotAllowed)
    );
}

#[test]
fn changed_requests_are_refused() {
    let (url, _, sha256) = ACCEPTED[6];
    for other in [
        "https://example.com/in?Body=It's+amazing&x=%7f",
        "https://example.com/in?Body=Its+amazing&x=%7e",
        "https://example.com/in?Body=It's+amazing",
        "https://example.com/in?Body=It's+amazing&x=%7e&y",
        "https://example.org/in?Body=It's+amazing&x=%7e",
        // The URL standard would remove the segments.
        "https://example.com/a/%2e%2e/in?Body=It's+amazing&x=%7e",
    ] {
        assert_eq!(
            sha256_of(other, sha256),
            Err(Reason::SignatureMismatch),
            "{other}"
        );
    }

    let headers = [
        ("x-twilio-signature", sha256),
        (SETTINGS_LOWER, SHA256_SETTINGS),
    ];

    for at in 0..BODY.len() {
        let mut body = BODY.as_bytes().to_vec();
        body[at] ^= 1;
        let body = String::from_utf8(body).unwrap();

        assert!(
            verdict(None, url, &body, &headers, "12345").is_err(),
            "{body}"
        );
    }
}

#[test]
fn bare_slash_may_be_unsigned() {
    let key = b"12345";
    let signature = |url: &str| STANDARD.encode(mac(Algorithm::HmacSha1, key, url.as_bytes()));
    for (called, signed, expected) in [
        ("https://example.com/", "https://example.com", Ok(0)),
        (
            "https://example.com/?a=1",
            "https://example.com:443?a=1",
            Ok(0),
        ),
        (
            "https://example.com/in/",
            "https://example.com/in",
            Err(Reason::SignatureMismatch),
        ),
    ] {
        let signature = signature(signed);
        assert_eq!(
            verdict(
                None,
                called,
                "",
                &[("x-twilio-signature", &signature)],
                "12345"
            ),
            expected,
            "{called}"
        );
    }
}

#[test]
fn long_queries_are_never_cut() {
    let many = "&".repeat(QUERY_PAIRS_MAX + 1).replace('&', "a=1&");
    let url = format!("https://example.com/in?{many}");
    let with_more = format!("{url}evil=1");

    let legacy = with_legacy_query(&format!(
        "https://example.com/in?{}",
        "a=1&".repeat(QUERY_PAIRS_MAX)
    ))
    .unwrap();

    let signature = STANDARD.encode(mac(Algorithm::HmacSha1, b"12345", legacy.as_bytes()));
    for url in [url, with_more] {
        let got = verdict(
            None,
            &url,
            "",
            &[("x-twilio-signature", &signature)],
            "12345",
        );

        assert_eq!(got, Err(Reason::SignatureMismatch));
    }
}
