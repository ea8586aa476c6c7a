//! The header `Link` of a list (RFC 8288). Only the cursor of the next page is taken from it, never
//! its URL: the host stays the one that the operator has configured.

use http::HeaderMap;
use http::header::LINK;
use url::Url;

/// The longest cursor that is kept.
const CURSOR_MAX: usize = 2048;

/// The value of this query parameter in the URL of the next page. `None`: this is the last page.
pub(crate) fn next_parameter(headers: &HeaderMap, name: &str) -> Option<String> {
    let texts = headers
        .get_all(LINK)
        .iter()
        .filter_map(|value| value.to_str().ok());
    texts
        .flat_map(|text| text.split('<').skip(1))
        .find_map(|link| parameter_of_next(link, name))
}

/// `link`: `URL>; rel="next", `
fn parameter_of_next(link: &str, name: &str) -> Option<String> {
    let (url, rest) = link.split_once('>')?;
    let is_next = rest
        .split([';', ','])
        .any(|part| matches!(part.trim(), "rel=\"next\"" | "rel=next"));
    if !is_next {
        return None;
    }

    let url = Url::parse(url).ok()?;
    let (_, value) = url.query_pairs().find(|(key, _)| key == name)?;
    (value.len() <= CURSOR_MAX).then(|| value.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(text: &str) -> Option<String> {
        let mut headers = HeaderMap::new();
        headers.insert(LINK, text.parse().unwrap());
        next_parameter(&headers, "cursor")
    }

    #[test]
    fn only_the_next_page_counts() {
        // The form of docs.github.com/en/rest/using-the-rest-api/using-pagination-in-the-rest-api
        let first =
            "<https://api.github.com/hooks/1/deliveries?per_page=100&cursor=v1_17>; rel=\"next\"";
        assert_eq!(next(first).as_deref(), Some("v1_17"));
        let middle = format!(
            "<https://api.github.com/hooks/1/deliveries?cursor=v1_9>; rel=\"prev\", {first}"
        );
        assert_eq!(next(&middle).as_deref(), Some("v1_17"));
        let last = "<https://api.github.com/hooks/1/deliveries?cursor=v1_9>; rel=\"prev\"";
        assert_eq!(next(last), None);
        assert_eq!(next("garbage"), None);
    }
}
