//! Finds the one value at a place in a request: none, one, or too many.

use super::refusal::Refusal;
use super::request::Unverified;
use crate::model::Place;

/// The value as bytes, optional white space around a header value dropped and nothing else. An empty value is missing.
pub fn find(place: &Place, request: &Unverified, what: &str) -> Result<Vec<u8>, Refusal> {
    let value = find_any(place, request, what)?;
    match value.is_empty() {
        true => Err(Refusal::Missing(format!("{what} ({})", describe(place)))),
        false => Ok(value),
    }
}

fn find_any(place: &Place, request: &Unverified, what: &str) -> Result<Vec<u8>, Refusal> {
    let named = || format!("{what} ({})", describe(place));
    match place {
        Place::Header(name) => {
            let mut values = request.headers.get_all(name.as_str()).iter();
            let first = values.next().ok_or_else(|| Refusal::Missing(named()))?;
            match values.next() {
                None => Ok(first.as_bytes().trim_ascii().to_vec()),
                Some(_) => Err(Refusal::Duplicate(named())),
            }
        }
        Place::Query(name) => {
            let query = request.query.as_deref().unwrap_or_default();
            let mut values = url::form_urlencoded::parse(query.as_bytes()).filter(|(key, _)| key == name);
            let (_, first) = values.next().ok_or_else(|| Refusal::Missing(named()))?;
            match values.next() {
                None => Ok(first.into_owned().into_bytes()),
                Some(_) => Err(Refusal::Duplicate(named())),
            }
        }
        Place::Json(pointer) => {
            let json: serde_json::Value = serde_json::from_slice(&request.body)
                .map_err(|_| Refusal::Malformed { what: "body".into(), why: "not JSON".into() })?;
            match json.pointer(pointer).and_then(|value| value.as_str()) {
                Some(text) => Ok(text.as_bytes().to_vec()),
                None => Err(Refusal::Missing(named())),
            }
        }
    }
}

/// `header X-Signature`, for the operator.
pub fn describe(place: &Place) -> String {
    match place {
        Place::Header(name) => format!("header {name}"),
        Place::Query(name) => format!("query parameter {name}"),
        Place::Json(pointer) => format!("JSON {pointer}"),
    }
}

/// The query without every parameter of that name; the rest byte for byte.
pub fn without_query(query: Option<&str>, name: &str) -> Option<String> {
    let is_other = |pair: &&str| url::form_urlencoded::parse(pair.as_bytes()).all(|(key, _)| key != name);
    let kept: Vec<&str> = query?.split('&').filter(is_other).collect();
    (!kept.is_empty()).then(|| kept.join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_loses_only_the_named_parameter() {
        assert_eq!(without_query(Some("a=1&token=x&b=%20"), "token").as_deref(), Some("a=1&b=%20"));
        assert_eq!(without_query(Some("a=1&t%6fken=x"), "token").as_deref(), Some("a=1"));
        assert_eq!(without_query(Some("token=x"), "token"), None);
        assert_eq!(without_query(None, "token"), None);
    }
}
