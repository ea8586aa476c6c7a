//! `[redact]` of a hook file: the values that are removed before an event is stored or run.

use http::HeaderName;
use serde::Deserialize;

use super::mistake::{Mistake, mistake};
use landfall_model::{
    Condition, ConditionPlace, ConditionTest, DedupId, DedupSpec, FlowSpec, RedactSpec, Unreadable,
    ValueLocation,
};

/// The most rules of one kind.
const RULES_MAX: usize = 64;
const RULE_BYTES_MAX: usize = 1024;

/// `[redact]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RedactTable {
    #[serde(default)]
    json: Vec<String>,
    #[serde(default)]
    form: Vec<String>,
    #[serde(default)]
    query: Vec<String>,
    #[serde(default)]
    headers: Vec<String>,
    unreadable: Option<UnreadableTyped>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum UnreadableTyped {
    Refuse,
    Remove,
}

/// The rules of the table. What `dedup`, `order_by` and the keys of the flow read is stored as text,
/// so no rule may remove it.
pub(crate) fn redact(
    table: RedactTable,
    dedup: &DedupSpec,
    order_by: Option<&ValueLocation>,
    flow: &FlowSpec,
) -> Result<RedactSpec, Mistake> {
    few(&["redact", "json"], &table.json)?;
    few(&["redact", "form"], &table.form)?;
    few(&["redact", "query"], &table.query)?;
    few(&["redact", "headers"], &table.headers)?;

    let unreadable = match table.unreadable {
        None | Some(UnreadableTyped::Refuse) => Unreadable::Refuse,
        Some(UnreadableTyped::Remove) => Unreadable::Remove,
    };
    let rules = match RedactSpec::new(table.json.iter().map(String::as_str), unreadable) {
        Ok(rules) => rules.with_fields(table.form, table.query),
        Err(error) => return mistake(&["redact", "json"], error.to_string()),
    };
    let mut headers = Vec::with_capacity(table.headers.len());
    for name in &table.headers {
        match name.parse::<HeaderName>() {
            Ok(name) => headers.push(name),
            Err(_) => {
                let message = format!("`{}` is not the name of a header", name.escape_debug());
                return mistake(&["redact", "headers"], message);
            }
        }
    }
    let rules = rules.with_headers(headers);

    let by_id: Vec<&ValueLocation> = match &dedup.id {
        DedupId::At(fields) => fields.all_fields().collect(),
        DedupId::OfPack | DedupId::BodyDigest | DedupId::Nothing => Vec::new(),
    };
    if by_id.iter().any(|place| rules.covers(place)) {
        let message = "[dedup] id reads a value that [redact] removes. The id of a delivery is stored as text: \
                       name another field there, or none here";
        return mistake(&["redact"], message);
    }
    if order_by.is_some_and(|place| rules.covers(place)) {
        let message = "order_by reads a value that [redact] removes. The key of the order is stored as text: \
                       name another field there, or none here";
        return mistake(&["redact"], message);
    }
    of_flow(&rules, flow)?;
    Ok(rules)
}

/// Filter, debounce and batch see the event after the rules.
fn of_flow(rules: &RedactSpec, flow: &FlowSpec) -> Result<(), Mistake> {
    let debounce = flow.debounce.as_ref().and_then(|spec| spec.key.as_ref());
    if debounce.is_some_and(|place| rules.covers(place)) {
        let message = "[debounce] key reads a value that [redact] removes, so that all events would have the same key: \
                       name another field there, or none here";
        return mistake(&["redact"], message);
    }
    let batch = flow.batch.as_ref().and_then(|spec| spec.key.as_ref());
    if batch.is_some_and(|place| rules.covers(place)) {
        let message = "[batch] key reads a value that [redact] removes, so that all events would have the same key: \
                       name another field there, or none here";
        return mistake(&["redact"], message);
    }

    let compares_removed = |condition: &Condition| {
        let compares = !matches!(condition.test, ConditionTest::Exists(_));
        compares && place_of(condition).is_some_and(|place| rules.covers(&place))
    };
    if flow.filter.iter().any(compares_removed) {
        let message = "[filter] compares a value that [redact] removes: name another field there, or none here";
        return mistake(&["redact"], message);
    }
    Ok(())
}

/// Where a condition looks, if a rule can remove that.
fn place_of(condition: &Condition) -> Option<ValueLocation> {
    match &condition.place {
        ConditionPlace::Header(name) => Some(ValueLocation::Header(name.clone())),
        ConditionPlace::Json(pointer) => Some(ValueLocation::Json(pointer.clone())),
        ConditionPlace::Form(name) => Some(ValueLocation::Form(name.clone())),
        ConditionPlace::Field(_) | ConditionPlace::Attribute(_) => None,
    }
}

fn few(key: &'static [&'static str], rules: &[String]) -> Result<(), Mistake> {
    if rules.len() > RULES_MAX {
        let message = format!("{} rules are too many: at most {RULES_MAX}", rules.len());
        return mistake(key, message);
    }
    if rules.iter().any(|rule| rule.len() > RULE_BYTES_MAX) {
        return mistake(key, format!("a rule has at most {RULE_BYTES_MAX} bytes"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn read(text: &str, order_by: Option<ValueLocation>) -> Result<RedactSpec, String> {
        let table: RedactTable = toml::from_str(text).map_err(|error| error.to_string())?;
        let dedup = DedupSpec {
            id: DedupId::OfPack,
            id_match: None,
            window: Duration::from_secs(60),
        };
        let flow = FlowSpec::default();
        redact(table, &dedup, order_by.as_ref(), &flow).map_err(|mistake| mistake.message)
    }

    #[test]
    fn rules_are_read() {
        let rules = read(
            "json = [\"/user/email\"]\nheaders = [\"X-User\"]\nunreadable = \"remove\"",
            None,
        )
        .unwrap();
        assert_eq!(rules.unreadable(), Unreadable::Remove);
        assert!(rules.covers(&ValueLocation::Header("x-user".into())));
        assert!(read("", None).unwrap().is_empty());
    }

    #[test]
    fn wrong_rules_are_refused() {
        let many = format!("query = [{}]", "\"a\",".repeat(65));
        for (text, why) in [
            ("json = [\"user\"]", "begins with a slash"),
            ("headers = [\"a b\"]", "not the name of a header"),
            (&*many, "too many"),
            ("jsn = []", "unknown field"),
        ] {
            let found = read(text, None).unwrap_err();
            assert!(found.contains(why), "{text}: {found}");
        }
    }

    #[test]
    fn stored_keys_cannot_be_removed() {
        let order_by = Some(ValueLocation::Json("/user/id".into()));
        let found = read("json = [\"/user\"]", order_by.clone()).unwrap_err();
        assert!(found.contains("order_by"), "{found}");
        assert!(read("json = [\"/user/email\"]", order_by).is_ok());
    }
}
