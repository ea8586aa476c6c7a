//! From a `[verify]` table as typed to a proof: whatever can be wrong with it is found here, in words that say what to write.

use std::time::Duration;

use serde_json::Value;

use super::algorithm::{Running, is_plain_digest};
use super::jwt::Jwt;
use super::lookup::{Lookup, Member};
use super::payload::{self, Part, configured, configured_text};
use super::schemes::{AppleAppStore, Code, DetachedJws, Ebay, MessageSignatures, is_message_algorithm};
use super::signature::{KeySet, List, ListTime, Signature, Time};
use super::verifier::Proof;
use super::view::PublicUrl;
use super::window::Window;
use crate::model::{
    Algorithm, ClaimValue, ConfigValue, Encoding, JwtSpec, KeyForm, KeySetSpec, ListSpec, LookupSpec, PayloadPiece,
    Place, Scheme, TimeSpec, TimeUnit, VerifySpec,
};

/// What is wrong with a `[verify]` table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildError {
    /// The key in `[verify]`.
    pub key: &'static str,
    /// A sentence with the way out.
    pub message: String,
}

/// What a sender has to show.
pub fn proof(spec: &VerifySpec) -> Result<Proof, BuildError> {
    let scheme =
        spec.scheme.ok_or_else(|| wrong("provider", "the pack names no scheme: write scheme = … into its [verify]"))?;
    check_unused(spec, scheme)?;
    let config = |name: &str| configured(name, &spec.config).map(str::to_owned).map_err(|why| wrong("config", why));
    Ok(match scheme {
        Scheme::None => Proof::Open,
        Scheme::Basic => Proof::Basic,
        Scheme::Token => Proof::Token { from: one_place(spec)?, prefix: spec.prefix.clone().unwrap_or_default() },
        Scheme::Signature => Proof::Signature(Box::new(signature(spec)?)),
        Scheme::Jwt => Proof::Jwt(Box::new(jwt(spec)?)),
        Scheme::Twilio => Proof::Code(twilio(spec)?),
        Scheme::AwsSns => Proof::Code(Code::AwsSns {
            topics: topics(spec).ok_or_else(|| {
                let way_out =
                    "write config = { topic_arns = [\"arn:aws:sns:…\"] }, or [\"*\"] to let every topic of anybody in";
                wrong("config", format!("anybody who has an account can send from a topic: {way_out}"))
            })?,
        }),
        Scheme::Paypal => Proof::Code(Code::Paypal { webhook_id: config("webhook_id")? }),
        Scheme::Adyen => Proof::Code(Code::Adyen),
        Scheme::Braintree => Proof::Code(Code::Braintree { public_key: config("public_key")? }),
        Scheme::Contentful => Proof::Code(Code::Contentful),
        Scheme::DropboxSign => Proof::Code(Code::DropboxSign),
        Scheme::AdobeIo => Proof::Code(Code::AdobeIo { client_id: config("recipient_client_id")? }),
        Scheme::AppleAppStore => Proof::Code(Code::AppleAppStore(Box::new(apple_app_store(spec)?))),
        Scheme::Ebay => Proof::Code(Code::Ebay(ebay(spec)?)),
        Scheme::Keygen => Proof::Code(Code::Keygen),
        Scheme::Plivo if names_url(spec) => Proof::Code(Code::Plivo),
        Scheme::Plivo => return Err(wrong("public_url", NEEDS_URL)),
        Scheme::DetachedJws => Proof::Code(Code::DetachedJws(Box::new(detached_jws(spec)?))),
        Scheme::HttpMessageSignatures => Proof::Code(Code::HttpMessageSignatures(Box::new(message_signatures(spec)?))),
    })
}

/// Twilio signs the URL that it calls, with SHA-1 or, with a shared key, with SHA-256.
fn twilio(spec: &VerifySpec) -> Result<Code, BuildError> {
    if !names_url(spec) {
        return Err(wrong("public_url", NEEDS_URL));
    }
    if spec.algorithm.is_some_and(|algorithm| !matches!(algorithm, Algorithm::HmacSha1 | Algorithm::HmacSha256)) {
        return Err(wrong("algorithm", "Twilio signs with hmac-sha1, or with hmac-sha256 and a shared key"));
    }
    Ok(Code::Twilio { algorithm: spec.algorithm })
}

/// Which app, where it is sold, and roots besides Apple's.
fn apple_app_store(spec: &VerifySpec) -> Result<AppleAppStore, BuildError> {
    let texts = |name: &str| spec.config.get(name).map(ConfigValue::texts).unwrap_or_default();
    let app = texts("app_apple_id").first().cloned();
    AppleAppStore::new(texts("bundle_id"), texts("environment"), app, texts("root_certificates"))
        .map_err(|why| wrong("config", why))
}

/// Which of eBay's systems; its ownership check needs the verification token and the address that is registered.
fn ebay(spec: &VerifySpec) -> Result<Ebay, BuildError> {
    if spec.challenge_secret.is_empty() {
        let way_out = "write challenge_secret = \"env:NAME\"";
        return Err(wrong(
            "challenge_secret",
            format!("challenge_secret, eBay's verification token, is missing: {way_out}"),
        ));
    }
    if !names_url(spec) && !spec.config.contains_key("endpoint") {
        return Err(wrong(
            "public_url",
            "public_url is missing: eBay's check of the endpoint hashes its address; write public_url = \"https://hooks.example.com\"",
        ));
    }
    match spec.config.get("environment").map(|value| value.texts()) {
        None => Ok(Ebay::Production),
        Some([one]) if one.eq_ignore_ascii_case("production") => Ok(Ebay::Production),
        Some([one]) if one.eq_ignore_ascii_case("sandbox") => Ok(Ebay::Sandbox),
        Some(_) => Err(wrong("config", "config.environment is neither \"production\" nor \"sandbox\"")),
    }
}

fn detached_jws(spec: &VerifySpec) -> Result<DetachedJws, BuildError> {
    const PUBLIC: [&str; 2] = ["RS256", "ES256"];
    let rules = spec
        .jwt
        .as_ref()
        .ok_or_else(|| wrong("scheme", "jwt = { algorithms = [\"RS256\"], jwks = \"https://…\" } is missing"))?;
    let algorithms = rules.algorithms.clone().unwrap_or_default();
    if algorithms.is_empty() || !algorithms.iter().all(|name| PUBLIC.contains(&name.as_str())) {
        return Err(wrong("jwt", format!("algorithms must be some of {}", PUBLIC.join(", "))));
    }
    let is_address = |url: &&String| url.starts_with("https://") && !url.contains('#');
    let jwks = rules.jwks.as_ref().filter(is_address);
    let jwks = jwks.ok_or_else(|| wrong("jwt", "jwks must be the address of the keys: https://…, without `#`"))?;
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
            "a detached signature has no claims: only algorithms, jwks, header_time and max_age are read",
        ));
    }
    if rules.max_age.is_some() != rules.header_time.is_some() {
        return Err(wrong("jwt", "max_age and header_time, the header parameter that it judges, go together"));
    }
    let ahead = Duration::from_secs(60);
    Ok(DetachedJws {
        from: one_place(spec)?,
        algorithms,
        jwks: jwks.clone(),
        header_time: rules.header_time.clone(),
        window: Window { past: rules.max_age, future: rules.max_age.map(|_| ahead) },
    })
}

fn message_signatures(spec: &VerifySpec) -> Result<MessageSignatures, BuildError> {
    const ALGORITHMS: &str = "hmac-sha256, ed25519, ecdsa-p256-sha256, rsa-v1_5-sha256, rsa-pss-sha512";
    let algorithm = spec.algorithm.filter(|algorithm| is_message_algorithm(*algorithm));
    let algorithm = algorithm.ok_or_else(|| wrong("algorithm", format!("algorithm must be one of {ALGORITHMS}")))?;
    let rules = spec.message_signature.clone().unwrap_or_default();
    let needs_url = |name: &String| ["@target-uri", "@scheme"].contains(&name.as_str());
    if rules.components.iter().flatten().any(needs_url) && !names_url(spec) {
        return Err(wrong("public_url", NEEDS_URL));
    }
    let is_name = |name: &String| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"');
    if let Some(bad) = rules.components.iter().flatten().find(|name| !is_name(name) || name.to_lowercase() != **name) {
        return Err(wrong("message_signature", format!("component `{}` is not a lower-case name", bad.escape_debug())));
    }
    if rules.components.as_ref().is_some_and(Vec::is_empty) {
        return Err(wrong("message_signature", "components is empty: nothing of the request would be signed"));
    }
    if !rules.key_ids.is_empty() && !spec.secret.is_empty() && rules.key_ids.len() != spec.secret.len() {
        return Err(wrong("message_signature", "key_ids must have one id for each secret, in the same order"));
    }
    Ok(MessageSignatures {
        algorithm,
        components: rules.components,
        label: rules.label,
        tag: rules.tag,
        key_ids: rules.key_ids,
    })
}

/// At least one, each a whole ARN or `*`.
fn topics(spec: &VerifySpec) -> Option<Vec<String>> {
    let topics = spec.config.get("topic_arns")?.texts().to_vec();
    let is_arn = |topic: &str| {
        let parts: Vec<&str> = topic.split(':').collect();
        matches!(parts[..], ["arn", _, "sns", region, _, _] if !region.is_empty()) && !topic.contains('*')
    };
    let is_one = |topic: &String| topic == "*" || is_arn(topic);
    (!topics.is_empty() && topics.iter().all(is_one)).then_some(topics)
}

/// Fields that mean nothing to a scheme are mistakes: whoever wrote them thought that they do.
fn check_unused(spec: &VerifySpec, scheme: Scheme) -> Result<(), BuildError> {
    let is_signature = scheme == Scheme::Signature;
    let has_place = matches!(scheme, Scheme::Token | Scheme::Signature | Scheme::Jwt | Scheme::DetachedJws);
    let has_algorithm = matches!(scheme, Scheme::Signature | Scheme::Twilio | Scheme::HttpMessageSignatures);
    let has_time =
        matches!(scheme, Scheme::Signature | Scheme::Contentful | Scheme::Keygen | Scheme::HttpMessageSignatures);
    let has_jwt = matches!(scheme, Scheme::Jwt | Scheme::DetachedJws);
    let unused = [
        (spec.algorithm.is_some() && !has_algorithm, "algorithm"),
        (spec.encoding.is_some() && !is_signature, "encoding"),
        (spec.methods.is_some() && !is_signature, "methods"),
        (spec.key_set.is_some() && !is_signature, "key_set"),
        (spec.payload.is_some() && !is_signature, "payload"),
        (spec.payload_alternatives.is_some() && !is_signature, "payload_alternatives"),
        (spec.list.is_some() && !is_signature, "list"),
        (spec.id.is_some() && !is_signature, "id"),
        (spec.require.is_some() && !is_signature, "require"),
        (spec.timestamp.is_some() && !has_time, "timestamp"),
        (spec.from.is_some() && !has_place, "from"),
        (spec.prefix.is_some() && !has_place, "prefix"),
        (spec.jwt.is_some() && !has_jwt, "jwt"),
        (spec.message_signature.is_some() && scheme != Scheme::HttpMessageSignatures, "message_signature"),
        (!spec.secret.is_empty() && scheme == Scheme::None, "secret"),
    ];
    match unused.into_iter().find(|(is_there, _)| *is_there) {
        Some((_, key)) => {
            Err(wrong(key, format!("`{key}` means nothing for scheme = \"{}\": remove it", word(scheme))))
        }
        None => Ok(()),
    }
}

fn signature(spec: &VerifySpec) -> Result<Signature, BuildError> {
    let methods = methods(spec)?;
    let algorithm = match (spec.algorithm, methods.first()) {
        (Some(_), Some(_)) => return Err(wrong("methods", "algorithm and methods exclude each other: leave one")),
        (None, Some((_, first))) => *first,
        (Some(algorithm), None) => algorithm,
        (None, None) => {
            return Err(wrong(
                "scheme",
                "algorithm is missing: one of hmac-sha1, hmac-sha256, hmac-sha384, hmac-sha512, hmac-md5, sha1, sha256, \
                 keccak256, ed25519, ecdsa-p256-sha256, rsa-pkcs1v15-sha256, rsa-pss-sha512",
            ));
        }
    };
    let encoding = spec.encoding.ok_or_else(|| wrong("scheme", "encoding is missing: hex, base64 or base64url"))?;
    let typed = spec.payload.clone().unwrap_or_else(|| vec!["{body}".into()]);
    let payload = payload(&typed, spec, algorithm)?;
    let others = spec.payload_alternatives.iter().flatten().map(|typed| self::payload(typed, spec, algorithm));
    let alternatives: Vec<Vec<Part>> = others.collect::<Result<_, _>>()?;
    let parts = || std::iter::once(&payload).chain(&alternatives).flatten();

    let mut list = spec.list.as_ref().map(list).transpose()?;
    let labels: Vec<String> = parts()
        .filter_map(|part| match part {
            Part::Label(label) => Some(label.clone()),
            _ => None,
        })
        .collect();
    if let (Some(label), None) = (labels.first(), list.as_ref().and_then(|list| list.assign.as_ref())) {
        let message =
            format!("{{list:{label}}} is signed: say in list = {{ separator = …, assign = … }} how it is written");
        return Err(wrong("payload", message));
    }
    if let Some(list) = &mut list {
        list.signed_labels = labels;
    }
    let listed_time = list.as_ref().is_some_and(|list| list.time != ListTime::Absent);
    let has_time = spec.timestamp.as_ref().is_some_and(|time| time.from.is_some() || listed_time);
    if parts().any(|part| *part == Part::Timestamp) && !has_time {
        return Err(wrong("payload", "{timestamp} is signed: say where it is in timestamp = { from = …, unit = … }"));
    }
    if spec.timestamp.is_some() && !has_time {
        return Err(wrong("timestamp", "from is missing, and list names no label for the time"));
    }
    if parts().any(|part| *part == Part::Id) && spec.id.is_none() {
        return Err(wrong("payload", "{id} is signed: say where it is in id = { header = \"NAME\" }"));
    }
    if parts().any(|part| matches!(part, Part::Url | Part::UrlUnescaped)) && !names_url(spec) && !spec.secret.is_empty()
    {
        return Err(wrong("scheme", NEEDS_URL));
    }
    let require = spec.require.iter().flatten().map(|(name, value)| {
        header_name("require", name)?;
        match payload::part(value, &spec.config).map_err(|why| wrong("require", why))? {
            Part::Literal(value) => Ok((name.clone(), value)),
            _ => Err(wrong("require", format!("the value of {name} must be text or {{config.NAME}}"))),
        }
    });
    let time = spec.timestamp.as_ref().map(time).transpose()?;
    let key_set = spec.key_set.as_ref().map(|typed| key_set(typed, spec, algorithm)).transpose()?;
    let in_time = time.iter().filter_map(|time| time.from.as_ref());
    let in_key_set = key_set.iter().filter_map(|set| set.id.as_ref());
    for place in in_time.chain(&spec.id).chain(in_key_set).chain(parts().flat_map(places_in)) {
        check_place(place)?;
    }
    let from = places(spec)?;
    if from.len() > 1 && (!methods.is_empty() || list.as_ref().is_some_and(|list| !list.signed_labels.is_empty())) {
        return Err(wrong("from", "only one place can be right here"));
    }
    Ok(Signature {
        from,
        prefix: spec.prefix.clone().unwrap_or_default(),
        list,
        algorithm,
        methods,
        key_set,
        encoding,
        payload,
        alternatives,
        time,
        id: spec.id.clone(),
        require: require.collect::<Result<_, _>>()?,
    })
}

/// The text that is signed, checked: something of the request and, where there is no other key, the secret are always in it.
fn payload(typed: &[PayloadPiece], spec: &VerifySpec, algorithm: Algorithm) -> Result<Vec<Part>, BuildError> {
    let parts = payload::parse(typed, &spec.config).map_err(|why| wrong("payload", why))?;
    if !parts.iter().any(Part::is_of_the_request) {
        return Err(wrong("payload", "nothing of the request is signed: name {body} or another part of it"));
    }
    if is_plain_digest(algorithm) && !parts.contains(&Part::Secret) {
        return Err(wrong("payload", "this algorithm has no key: {secret} must be part of what is signed"));
    }
    let is_public = Running::new(algorithm, b"").is_none();
    let in_optional = |part: &Part| matches!(part, Part::Optional(parts) if parts.contains(&Part::Secret));
    if (is_public && parts.contains(&Part::Secret)) || parts.iter().any(in_optional) {
        return Err(wrong("payload", "{secret} cannot be a part here"));
    }
    let unclear = parts.windows(2).any(|pair| match pair {
        [Part::Timestamp, Part::Literal(text)] => !text.starts_with(|next: char| next != '.' && !next.is_ascii_digit()),
        [Part::Timestamp, _] => true,
        _ => false,
    });
    let is_open = spec.timestamp.as_ref().is_some_and(|time| time.unit == Some(TimeUnit::Iso8601));
    if unclear && is_open {
        // Behind a time without an offset a fraction could be moved into what follows.
        return Err(wrong(
            "payload",
            "a time of unit iso8601 must be followed by a text such as \":\", or end what is signed",
        ));
    }
    Ok(parts)
}

fn places_in(part: &Part) -> Vec<&Place> {
    match part {
        Part::At(place) => vec![place],
        Part::Optional(parts) => parts.iter().flat_map(places_in).collect(),
        _ => Vec::new(),
    }
}

/// Method names of WebSub (w3.org/TR/websub section 8.1) and what they stand for.
const METHODS: [(&str, Algorithm); 4] = [
    ("sha1", Algorithm::HmacSha1),
    ("sha256", Algorithm::HmacSha256),
    ("sha384", Algorithm::HmacSha384),
    ("sha512", Algorithm::HmacSha512),
];

fn methods(spec: &VerifySpec) -> Result<Vec<(String, Algorithm)>, BuildError> {
    let Some(names) = &spec.methods else { return Ok(Vec::new()) };
    if names.is_empty() {
        return Err(wrong("methods", "methods is empty: name those that are taken"));
    }
    if spec.prefix.as_ref().is_some_and(|prefix| !prefix.is_empty()) || spec.list.is_some() {
        return Err(wrong(
            "methods",
            "methods is written before the signature: prefix and list mean nothing beside it",
        ));
    }
    let known = |name: &String| {
        let found = METHODS.iter().find(|(known, _)| known == name);
        found.map(|(name, algorithm)| ((*name).to_owned(), *algorithm)).ok_or_else(|| {
            wrong("methods", format!("`{}` is no method: one of sha1, sha256, sha384, sha512", name.escape_debug()))
        })
    };
    names.iter().map(known).collect()
}

fn key_set(typed: &KeySetSpec, spec: &VerifySpec, algorithm: Algorithm) -> Result<KeySet, BuildError> {
    if Running::new(algorithm, b"").is_some() {
        return Err(wrong(
            "key_set",
            "a key set holds public keys: algorithm must be ed25519, ecdsa-p256-sha256 or rsa-…",
        ));
    }
    let url = typed.url.as_ref().ok_or_else(|| wrong("key_set", "url is missing: where the key set is"))?;
    Ok(KeySet { url: address("key_set", "key_set.url", url, spec)?, id: typed.id.clone() })
}

/// The address of a key document, with the operator's values in it.
fn address(key: &'static str, what: &str, typed: &str, spec: &VerifySpec) -> Result<String, BuildError> {
    let url = configured_text(typed, &spec.config).map_err(|why| wrong("config", why))?;
    let is_fit = url::Url::parse(&url).is_ok_and(|parsed| {
        let is_loopback = parsed.host_str() == Some("127.0.0.1");
        let is_bare = parsed.username().is_empty() && parsed.password().is_none() && parsed.fragment().is_none();
        is_bare && (parsed.scheme() == "https" || (parsed.scheme() == "http" && is_loopback))
    });
    match is_fit {
        true => Ok(url),
        false => {
            let named = typed.strip_prefix('{').and_then(|rest| rest.split_once('}')).map(|(name, _)| name);
            Err(wrong(key, format!("{} must begin with `https://`, and have no `#`", named.unwrap_or(what))))
        }
    }
}

fn list(typed: &ListSpec) -> Result<List, BuildError> {
    let separator = typed.separator.clone().filter(|text| !text.is_empty());
    let assign = typed.assign.clone().filter(|text| !text.is_empty());
    let labels = typed.labels.clone().unwrap_or_default();
    let has_labels = typed.timestamp.is_some() || typed.labels.is_some();
    let time = match (&typed.timestamp, typed.timestamp_first.unwrap_or_default()) {
        (Some(_), true) => return Err(wrong("list", "timestamp and timestamp_first exclude each other: leave one")),
        (Some(label), false) => ListTime::Labelled(label.clone()),
        (None, true) => ListTime::First,
        (None, false) => ListTime::Absent,
    };
    if typed.labels.as_ref().is_some_and(Vec::is_empty) {
        return Err(wrong("list", "labels is empty: name those that count, or leave labels out if there are none"));
    }
    if has_labels && assign.is_none() {
        return Err(wrong("list", "assign is missing: the text between a label and its value, such as \"=\""));
    }
    let separator =
        separator.ok_or_else(|| wrong("list", "separator is missing: the text between two entries, such as \",\""))?;
    Ok(List { separator, assign, labels, time, signed_labels: Vec::new() })
}

fn time(typed: &TimeSpec) -> Result<Time, BuildError> {
    let unit = typed.unit.ok_or_else(|| wrong("timestamp", "unit is missing: s, ms, rfc3339, iso8601 or http-date"))?;
    Ok(Time { from: typed.from.clone(), unit, window: window(typed) })
}

fn names_url(spec: &VerifySpec) -> bool {
    spec.public_url.is_some() || spec.url.is_some()
}

const NEEDS_URL: &str = "public_url is missing: this provider signs the URL that it calls; write public_url = \"https://hooks.example.com\", or the whole URL as url = …";
const JWT_ALGORITHMS: [&str; 5] = ["HS256", "HS384", "HS512", "RS256", "ES256"];

fn jwt(spec: &VerifySpec) -> Result<Jwt, BuildError> {
    let rules = spec.jwt.as_ref().ok_or_else(|| wrong("scheme", "jwt = { algorithms = [\"RS256\"], … } is missing"))?;
    let algorithms = rules.algorithms.clone().unwrap_or_default();
    if algorithms.is_empty() {
        return Err(wrong("jwt", "algorithms is empty: name those that are taken"));
    }
    if let Some(bad) = algorithms.iter().find(|name| !JWT_ALGORITHMS.contains(&name.as_str())) {
        return Err(wrong("jwt", format!("algorithm `{bad}` cannot be used: one of {}", JWT_ALGORITHMS.join(", "))));
    }
    let is_shared = |name: &String| name.starts_with("HS");
    let in_secret = matches!(spec.key, Some(KeyForm::Pem | KeyForm::SpkiBase64));
    let public = [rules.jwks.is_some(), rules.lookup.is_some(), in_secret].iter().filter(|is_there| **is_there).count();
    if public + usize::from(algorithms.iter().any(is_shared)) != 1 {
        return Err(wrong(
            "jwt",
            "HS… algorithms go with a secret, RS256 and ES256 with jwks = \"https://…\", lookup = { … } or a public key \
             (key = \"pem\"), never mixed",
        ));
    }
    let text = |text: &String| configured_text(text, &spec.config).map(Value::from).map_err(|why| wrong("config", why));
    if rules.header_time.is_some() {
        return Err(wrong("jwt", "header_time is read only of scheme = \"detached-jws\": a token has claims"));
    }
    let claims = rules.claims.iter().map(|(name, value)| {
        let allowed = match value {
            ClaimValue::Truth(truth) => vec![Value::Bool(*truth)],
            ClaimValue::One(one) => vec![text(one)?],
            ClaimValue::Any(any) => any.iter().map(text).collect::<Result<_, _>>()?,
        };
        Ok((name.clone(), allowed))
    });
    let lookup = |typed: &LookupSpec| {
        let member = |(name, value): (&String, &String)| {
            let member = match value.as_str() {
                "{secret}" => Member::Secret,
                "{kid}" => Member::KeyId,
                _ => Member::Text(text(value)?.as_str().unwrap_or_default().to_owned()),
            };
            Ok((name.clone(), member))
        };
        let body = typed.body.iter().map(member).collect::<Result<_, _>>()?;
        let url = typed.url.as_ref().ok_or_else(|| wrong("jwt", "lookup.url is missing: where a key is asked for"))?;
        let key = typed.key.clone().ok_or_else(|| wrong("jwt", "lookup.key is missing: the pointer to the key"))?;
        Ok(Lookup { url: address("jwt", "lookup.url", url, spec)?, body, key })
    };
    if rules.url_hash.is_some() && !names_url(spec) && !spec.secret.is_empty() {
        return Err(wrong("scheme", NEEDS_URL));
    }
    let bends_hash = rules.body_hash_if_body.is_some() || rules.body_hash_encoding.is_some();
    if rules.body_hash.is_none() && bends_hash {
        return Err(wrong("jwt", "body_hash is missing: name the claim that holds the SHA-256 of the body"));
    }
    if rules.jwks.is_some() && rules.claims.is_empty() && spec.provider.is_none() {
        return Err(wrong(
            "jwt",
            "claims is missing: a key set signs for others too; name the issuer and the audience, such as \
             claims = { iss = \"https://issuer.example\", aud = \"my-hook\" }",
        ));
    }
    if let Some((name, _)) =
        rules.claims.iter().find(|(_, value)| matches!(value, ClaimValue::Any(any) if any.is_empty()))
    {
        return Err(wrong("jwt", format!("the claim {name} allows nothing: name at least one value")));
    }
    Ok(Jwt {
        from: one_place(spec)?,
        prefix: spec.prefix.clone().unwrap_or_default(),
        algorithms,
        jwks: rules.jwks.as_ref().map(|url| address("jwt", "jwks", url, spec)).transpose()?,
        lookup: rules.lookup.as_ref().map(lookup).transpose()?,
        claims: claims.collect::<Result<_, _>>()?,
        leeway: rules.leeway.unwrap_or_default(),
        max_age: rules.max_age,
        needs_expiry: !rules.no_expiry.unwrap_or_default() && rules.max_age.is_none(),
        is_prefix_optional: rules.prefix_optional.unwrap_or_default(),
        body_hash: rules.body_hash.clone().map(|claim| (claim, rules.body_hash_if_body.unwrap_or_default())),
        body_hash_encoding: rules.body_hash_encoding.unwrap_or(Encoding::Hex),
        body_claim: rules.body_claim.clone(),
        url_hash: rules.url_hash.clone(),
        query_string_hash: rules.query_string_hash.clone(),
        base_path: base_path(spec)?,
    })
}

/// The path of the app's base URL, for the query string hash; empty where there is none.
fn base_path(spec: &VerifySpec) -> Result<String, BuildError> {
    match spec.config.get("base_path").map(ConfigValue::texts) {
        None => Ok(String::new()),
        Some([path]) if path.starts_with('/') => Ok(path.trim_end_matches('/').to_owned()),
        Some(_) => Err(wrong("config", "config.base_path must begin with `/`")),
    }
}

/// Where nothing is said of the future, it reaches as far as the past.
pub fn window(typed: &TimeSpec) -> Window {
    Window { past: typed.past, future: typed.future.or(typed.past) }
}

fn one_place(spec: &VerifySpec) -> Result<Place, BuildError> {
    match &places(spec)?[..] {
        [one] => Ok(one.clone()),
        _ => Err(wrong("from", "only one place can be right here")),
    }
}

fn places(spec: &VerifySpec) -> Result<Vec<Place>, BuildError> {
    let places = spec.from.clone().filter(|places| !places.is_empty()).ok_or_else(|| {
        wrong(
            "scheme",
            "from is missing: write from = { header = \"NAME\" }, { query = \"NAME\" } or { json = \"/POINTER\" }",
        )
    })?;
    places.iter().try_for_each(check_place)?;
    if places.iter().any(|place| matches!(place, Place::Claim(_))) {
        return Err(wrong("from", "a claim is known only after the token is verified"));
    }
    Ok(places)
}

/// Whether a place can hold a value.
pub fn check_place(place: &Place) -> Result<(), BuildError> {
    match place {
        Place::Header(name) => header_name("from", name),
        Place::Json(pointer) | Place::Claim(pointer) if !pointer.starts_with('/') => {
            Err(wrong("from", format!("`{pointer}` is not a JSON pointer: it begins with `/`")))
        }
        Place::Each(pointer) if !pointer.starts_with('/') || !is_each(pointer) => {
            Err(wrong("from", format!("`{pointer}` must be a JSON pointer with one `*` for the elements of an array")))
        }
        Place::Query(name) | Place::Form(name) | Place::Param(name) if name.is_empty() => {
            Err(wrong("from", "a parameter needs a name"))
        }
        Place::Body(which) if which != "whole" => {
            Err(wrong("from", "body = \"whole\" is the only part that can be named"))
        }
        Place::Path(which) if which != "last" => {
            Err(wrong("from", "path = \"last\" is the only segment that can be named"))
        }
        _ => Ok(()),
    }
}

/// One segment is `*`, and no other holds one.
fn is_each(pointer: &str) -> bool {
    pointer.split('/').filter(|segment| segment.contains('*')).eq(["*"])
}

fn header_name(key: &'static str, name: &str) -> Result<(), BuildError> {
    match name.parse::<http::HeaderName>() {
        Ok(_) => Ok(()),
        Err(_) => Err(wrong(key, format!("`{}` is not a header name", name.escape_debug()))),
    }
}

/// What the table says of the URL that senders call: the whole of it, or scheme, host and prefix without the slash at the end.
pub fn public_url(spec: &VerifySpec) -> Result<Option<PublicUrl>, BuildError> {
    let is_url = |text: &str, with_query: bool| {
        url::Url::parse(text).is_ok_and(|url| {
            ["http", "https"].contains(&url.scheme())
                && url.has_host()
                && (with_query || url.query().is_none())
                && url.fragment().is_none()
        })
    };
    match (&spec.public_url, &spec.url) {
        (Some(_), Some(_)) => {
            Err(wrong("url", "public_url and url exclude each other: url is the whole URL, leave one"))
        }
        (Some(base), None) if is_url(base, false) => Ok(Some(PublicUrl::Base(base.trim_end_matches('/').to_owned()))),
        (Some(_), None) => {
            Err(wrong("public_url", "public_url must be what senders call, such as \"https://hooks.example.com\""))
        }
        (None, Some(whole)) if is_url(whole, true) => Ok(Some(PublicUrl::Whole(whole.clone()))),
        (None, Some(_)) => {
            Err(wrong("url", "url must be the whole URL that senders call, such as \"https://hooks.example.com/in\""))
        }
        (None, None) => Ok(None),
    }
}

/// A mistake at a key.
pub fn wrong(key: &'static str, message: impl Into<String>) -> BuildError {
    BuildError { key, message: message.into() }
}

fn word(scheme: Scheme) -> &'static str {
    match scheme {
        Scheme::Token => "token",
        Scheme::Basic => "basic",
        Scheme::Signature => "signature",
        Scheme::Jwt => "jwt",
        Scheme::None => "none",
        Scheme::Twilio => "twilio",
        Scheme::AwsSns => "aws-sns",
        Scheme::Paypal => "paypal",
        Scheme::Adyen => "adyen",
        Scheme::Braintree => "braintree",
        Scheme::Contentful => "contentful",
        Scheme::DropboxSign => "dropbox-sign",
        Scheme::AdobeIo => "adobe-io",
        Scheme::AppleAppStore => "apple-app-store",
        Scheme::Ebay => "ebay",
        Scheme::Keygen => "keygen",
        Scheme::Plivo => "plivo",
        Scheme::DetachedJws => "detached-jws",
        Scheme::HttpMessageSignatures => "http-message-signatures",
    }
}
