use std::collections::BTreeSet;

use super::registry::EMBEDDED;
use super::*;

/// Packs without a provider.
const NO_PROVIDER: [&str; 5] = [
    "basic-auth",
    "generic",
    "generic-sha512",
    "http-message-signatures",
    "http-message-signatures-ed25519",
];

fn packs() -> impl Iterator<Item = (&'static str, Pack)> {
    pack_names().map(|name| {
        (
            name,
            Packs::default()
                .find(name)
                .unwrap_or_else(|why| panic!("{why}")),
        )
    })
}

/// Asserts that no pack breaks a rule. The message lists all that do.
fn assert_none(rule: &str, wrong: impl Iterator<Item = String>) {
    let wrong: Vec<String> = wrong.collect();
    assert!(wrong.is_empty(), "{rule}:\n  {}", wrong.join("\n  "));
}

#[test]
fn embedded_packs_contain_no_secrets() {
    for (name, pack) in packs() {
        assert!(
            pack.verify.secret.is_empty(),
            "{name}: a pack holds no secrets"
        );

        assert!(
            pack.docs
                .as_deref()
                .is_none_or(|docs| docs.starts_with("https://")),
            "{name}"
        );
    }
}

#[test]
fn answer_deadlines_leave_a_margin() {
    assert_eq!(
        Packs::default().find("github").unwrap().answer_within(),
        Some(Duration::from_secs(8))
    );

    assert_eq!(Packs::generic().answer_within(), None);
}

#[test]
fn identities_name_their_source() {
    let wrong = packs().filter_map(|(name, pack)| {
        match (
            pack.delivery_id.is_some(),
            pack.delivery_id_source.is_some(),
            pack.delivery_id_match.is_some(),
        ) {
            (true, false, _) => Some(format!("{name}: delivery_id without delivery_id_source")),
            (false, true, _) => Some(format!("{name}: delivery_id_source without delivery_id")),
            (false, _, true) => Some(format!("{name}: delivery_id_match without delivery_id")),
            _ => None,
        }
    });

    assert_none(
        "only a documented identity makes a request a duplicate",
        wrong,
    );
}

#[test]
fn provider_packs_name_their_evidence() {
    let wrong = packs()
        .filter(|(name, _)| !NO_PROVIDER.contains(name))
        .flat_map(|(name, pack)| {
            let fields = [
                ("docs", pack.docs.is_some()),
                ("evidence", pack.evidence.is_some()),
                ("evidence_source", pack.evidence_source.is_some()),
                ("secret_location", pack.secret_location.is_some()),
            ];

            fields
                .into_iter()
                .filter(|(_, is_there)| !is_there)
                .map(move |(field, _)| format!("{name}: no {field}"))
        });

    assert_none(
        "a pack says who says so, and where the secret is found",
        wrong,
    );

    for name in NO_PROVIDER {
        let pack = Packs::default().find(name).unwrap();
        assert!(
            pack.docs.is_none() && pack.evidence.is_none(),
            "{name} is of no provider"
        );
    }
}

#[test]
fn windows_cover_documented_retries() {
    // The retry span of providers that retry, and document neither for how long nor that they sign
    // each retry again.
    const UNKNOWN_SPAN: Duration = Duration::from_secs(24 * 3600);

    let wrong = packs()
        .filter(|(_, pack)| pack.retry_resigned != Some(true))
        .filter_map(|(name, pack)| {
            let of_signature = pack
                .verify
                .timestamp
                .as_ref()
                .and_then(|timestamp| timestamp.past);

            let of_token = pack.verify.jwt.as_ref().and_then(|jwt| jwt.max_age);
            let window = of_signature.or(of_token)?;
            let span = pack
                .retry_span
                .or((pack.retries == Some(true)).then_some(UNKNOWN_SPAN))?;

            (window < span).then(|| format!("{name}: requests of {window:?}, retries for {span:?}"))
        });

    assert_none("a retry may carry the time of the first attempt", wrong);
}

#[test]
fn future_windows_stay_short() {
    let most = Duration::from_secs(3600);
    let wrong = packs().filter_map(|(name, pack)| {
        let timestamp = pack.verify.timestamp.as_ref()?;
        let future = timestamp.future.or(timestamp.past)?;
        (future > most).then(|| format!("{name}: up to {future:?} ahead"))
    });

    assert_none("only clock skew puts a request into the future", wrong);
}

#[test]
fn accepted_status_is_a_success() {
    let wrong = packs().filter_map(|(name, pack)| {
        let first = || {
            pack.success
                .as_ref()?
                .iter()
                .copied()
                .find(|status| (200..=299).contains(status))
        };

        let takes = |status| {
            pack.success
                .as_ref()
                .is_none_or(|success| success.contains(&status))
        };

        let status = pack
            .accepted
            .status
            .or_else(|| if takes(202) { Some(202) } else { first() });

        let Some(status) = status else {
            return Some(format!("{name}: no 2xx in success"));
        };

        let is_avoided = pack
            .avoid_status
            .iter()
            .any(|avoided| avoided.matches(status));

        let is_good = (200..=299).contains(&status) && takes(status) && !is_avoided;
        (!is_good).then(|| format!("{name}: {status} to an accepted event"))
    });
    assert_none(
        "the answer to an accepted event is a success to the provider",
        wrong,
    );
}

#[test]
fn refusals_avoid_harmful_statuses() {
    let wrong = packs().flat_map(|(name, pack)| {
        let own = pack.verify.refused_status.unwrap_or(401);
        let challenges = pack.verify.challenge.iter().flatten();
        let statuses: Vec<u16> = [own]
            .into_iter()
            .chain(challenges.map(|rule| rule.refused_status.unwrap_or(403)))
            .collect();

        let is_avoided = move |status: &u16| {
            pack.avoid_status
                .iter()
                .any(|avoided| avoided.matches(*status))
        };

        statuses
            .into_iter()
            .filter(is_avoided)
            .map(move |status| format!("{name}: refuses with {status}"))
    });

    assert_none("a refusal does not disable the webhook", wrong);
}

#[test]
fn accepted_answers_can_be_sent() {
    for (name, pack) in packs() {
        let PackAnswer {
            status,
            headers,
            body,
        } = &pack.accepted;

        let has_body = body.as_ref().is_some_and(|body| !body.is_empty());
        assert!(
            !(has_body && *status == Some(204)),
            "{name}: 204 has no body"
        );

        assert!(
            pack.reply_body != ReplyBody::Accepted || has_body,
            "{name}: reply_body needs the accepted body"
        );

        for (header, value) in headers {
            assert!(
                header.parse::<http::HeaderName>().is_ok(),
                "{name}: {header}"
            );

            assert!(
                http::HeaderValue::from_str(value).is_ok(),
                "{name}: {header}"
            );
        }
    }
}

#[test]
fn config_keys_are_described() {
    let wrong = EMBEDDED.iter().flat_map(|(name, text)| {
        let pack = Packs::default().find(name).unwrap();
        let described: BTreeSet<String> = pack.config.into_keys().collect();
        let read = keys_read(&text.parse::<toml::Table>().unwrap());
        let unknown = read
            .difference(&described)
            .map(|key| format!("{name}: no [config.{key}]"));
        let unread = described
            .difference(&read)
            .map(|key| format!("{name}: nothing reads [config.{key}]"));

        unknown.chain(unread).collect::<Vec<String>>()
    });

    assert_none("every value that the operator gives is described", wrong);
}

/// The keys of `config` that the `[verify]` table of a pack reads.
fn keys_read(pack: &toml::Table) -> BTreeSet<String> {
    let of_scheme: &[&str] = match pack["verify"].get("scheme").and_then(toml::Value::as_str) {
        Some("adobe-io") => &["recipient_client_id"],
        Some("apple-app-store") => &[
            "app_apple_id",
            "bundle_id",
            "environment",
            "root_certificates",
        ],
        Some("aws-sns") => &["topic_arns"],
        Some("braintree") => &["public_key"],
        Some("ebay") => &["environment"],
        Some("paypal") => &["webhook_id"],
        _ => &[],
    };

    let mut keys: BTreeSet<String> = of_scheme.iter().map(|key| (*key).to_owned()).collect();
    collect_keys(&pack["verify"], &mut keys);
    keys
}

fn collect_keys(value: &toml::Value, keys: &mut BTreeSet<String>) {
    match value {
        toml::Value::String(text) => {
            let named = text
                .split("{config.")
                .skip(1)
                .filter_map(|rest| Some(rest.split_once('}')?.0.to_owned()));

            keys.extend(named);
            if text.contains("{rate}") {
                keys.insert("max_rate".into());
            }

            if text.contains(" challenge_secret endpoint}") {
                keys.insert("endpoint".into());
            }
        }
        toml::Value::Array(values) => values.iter().for_each(|value| collect_keys(value, keys)),
        toml::Value::Table(table) => {
            if let Some(listed) = table
                .get("listed")
                .and_then(|listed| listed.get(1))
                .and_then(toml::Value::as_str)
            {
                keys.insert(listed.to_owned());
            }

            if table.contains_key("query_string_hash") {
                keys.insert("base_path".into());
            }

            if table.contains_key("pair") {
                keys.insert("handshake_open".into());
            }

            table.values().for_each(|value| collect_keys(value, keys));
        }
        _ => {}
    }
}

#[test]
fn names_and_aliases_are_unique() {
    let mut taken: BTreeSet<String> = pack_names().map(str::to_owned).collect();
    for (name, pack) in packs() {
        for alias in pack.aliases {
            assert!(taken.insert(alias.clone()), "{name}: `{alias}` is taken");
            assert_eq!(Packs::default().find(&alias).unwrap().name, pack.name);
        }
    }
}

#[test]
fn variants_name_a_main_pack() {
    for (name, pack) in packs() {
        let Some(main) = pack.variant_of else {
            continue;
        };

        assert!(
            pack_names().any(|known| known == main),
            "{name}: variant_of `{main}`"
        );

        assert!(
            Packs::default().find(&main).unwrap().variant_of.is_none(),
            "{name}: `{main}` is a variant too"
        );
    }
}
