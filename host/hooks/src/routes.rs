//! Paths and their values. A path that ends in `{rest...}` matches only if no other path does.

use matchit::{InsertError, Params, Router};

use landfall_model::hook::rest_of;

/// Paths, each with a value.
pub(crate) struct Routes<T> {
    exact: Router<T>,
    /// Paths that end in `{rest...}`, and the paths for which that rest is empty.
    rest: Router<Rest<T>>,
}

/// A path with a rest, or one of its paths with an empty rest.
struct Rest<T> {
    value: T,
    /// The name of the parameter, if the rest is empty.
    empty: Option<String>,
}

/// Why a path cannot be added.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum RouteError {
    /// Another path matches the same requests.
    Taken(String),
    /// The router cannot serve the path.
    Unusable(String),
}

/// A value, and the parameters of its path, percent-encoded as in the request.
pub(crate) type Match<'a, T> = (&'a T, Vec<(String, String)>);

// === impl Routes ===

impl<T: Clone> Routes<T> {
    pub(crate) fn insert(&mut self, path: &str, value: T) -> Result<(), RouteError> {
        let Some(name) = rest_of(path) else {
            return self
                .exact
                .insert(path, value)
                .map_err(|error| route_error(error, path));
        };
        let (before, spelled) = router_syntax(path, name);
        self.rest
            .insert(
                spelled,
                Rest {
                    value: value.clone(),
                    empty: None,
                },
            )
            .map_err(|error| route_error(error, path))?;
        for empty in empty_rests(before) {
            // This cannot conflict: only another path with the same rest could be there, and that
            // was refused above.
            let rest = Rest {
                value: value.clone(),
                empty: Some(name.to_owned()),
            };
            self.rest
                .insert(empty, rest)
                .map_err(|error| route_error(error, path))?;
        }
        Ok(())
    }

    pub(crate) fn remove(&mut self, path: &str) {
        let Some(name) = rest_of(path) else {
            self.exact.remove(path);
            return;
        };
        let (before, spelled) = router_syntax(path, name);
        self.rest.remove(spelled);
        for empty in empty_rests(before) {
            self.rest.remove(empty);
        }
    }

    /// The value for the path of a request.
    pub(crate) fn find(&self, path: &str) -> Option<Match<'_, T>> {
        if let Ok(found) = self.exact.at(path) {
            return Some((found.value, owned(&found.params)));
        }

        let found = self.rest.at(path).ok()?;
        let mut params = owned(&found.params);
        params.extend(
            found
                .value
                .empty
                .iter()
                .map(|name| (name.clone(), String::new())),
        );
        Some((&found.value.value, params))
    }
}

impl<T> Default for Routes<T> {
    fn default() -> Routes<T> {
        Routes {
            exact: Router::new(),
            rest: Router::new(),
        }
    }
}

/// A path without the names of its parameters: `/a/{x}` and `/a/{y}` are one route.
pub(crate) fn unnamed(path: &str) -> String {
    path.split('/')
        .map(unnamed_segment)
        .collect::<Vec<_>>()
        .join("/")
}

fn unnamed_segment(segment: &str) -> &str {
    if segment.ends_with("...}") {
        "{...}"
    } else if segment.starts_with('{') {
        "{}"
    } else {
        segment
    }
}

fn owned(params: &Params<'_, '_>) -> Vec<(String, String)> {
    params
        .iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// The part before the rest, with its slash, and the whole path in the syntax of the router.
fn router_syntax<'a>(path: &'a str, name: &str) -> (&'a str, String) {
    let before = &path[..path.len() - name.len() - "{...}".len()];
    (before, format!("{before}{{*{name}}}"))
}

/// The paths with an empty rest: `/api/` and `/api`.
fn empty_rests(before: &str) -> impl Iterator<Item = &str> {
    let bare = before.strip_suffix('/').filter(|bare| !bare.is_empty());
    [before].into_iter().chain(bare)
}

/// A path of the router in the syntax of hook files.
fn as_typed(path: &str) -> String {
    let rest = path
        .rsplit_once("/{*")
        .and_then(|(before, name)| Some((before, name.strip_suffix('}')?)));
    rest.map_or_else(
        || path.to_owned(),
        |(before, name)| format!("{before}/{{{name}...}}"),
    )
}

fn route_error(error: InsertError, path: &str) -> RouteError {
    match error {
        InsertError::Conflict { with } => RouteError::Taken(as_typed(&with)),
        error => RouteError::Unusable(format!(
            "path `{path}` cannot be served: {error}; a parameter is a whole segment such as \
             `/shop/{{id}}`"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routes(paths: &[&'static str]) -> Routes<&'static str> {
        let mut routes = Routes::default();
        for path in paths {
            routes.insert(path, *path).unwrap();
        }
        routes
    }

    fn found(routes: &Routes<&'static str>, path: &str) -> Option<(&'static str, String)> {
        let (value, params) = routes.find(path)?;
        let params: Vec<String> = params
            .into_iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        Some((value, params.join(" ")))
    }

    #[test]
    fn a_rest_yields_to_other_paths() {
        let all = [
            "/api/{rest...}",
            "/api/{id}",
            "/api/health",
            "/{all...}",
            "/a/{x}/{tail...}",
            "/api/health/{deep...}",
        ];
        let routes = routes(&all);
        for (path, value, params) in [
            ("/api/health", "/api/health", ""),
            ("/api/7", "/api/{id}", "id=7"),
            ("/api/7/8", "/api/{rest...}", "rest=7/8"),
            ("/api/7/", "/api/{rest...}", "rest=7/"),
            ("/api", "/api/{rest...}", "rest="),
            ("/api/", "/api/{rest...}", "rest="),
            ("/api//", "/api/{rest...}", "rest=/"),
            ("/api/../x", "/api/{rest...}", "rest=../x"),
            ("/api/%2e%2e%2fx/y", "/api/{rest...}", "rest=%2e%2e%2fx/y"),
            ("/api/health/x/y", "/api/health/{deep...}", "deep=x/y"),
            ("/apix", "/{all...}", "all=apix"),
            ("/", "/{all...}", "all="),
            ("/a/1/2/3", "/a/{x}/{tail...}", "x=1 tail=2/3"),
            ("/a/1", "/a/{x}/{tail...}", "x=1 tail="),
        ] {
            assert_eq!(
                found(&routes, path),
                Some((value, params.to_owned())),
                "{path}"
            );
        }
        let long = format!("/api/x/{}", "y/".repeat(30_000));
        assert_eq!(found(&routes, &long).unwrap().0, "/api/{rest...}");
    }

    #[test]
    fn one_rest_for_each_prefix() {
        let mut routes = routes(&["/api/{rest...}", "/api"]);
        assert_eq!(
            routes.insert("/api/{other...}", "x"),
            Err(RouteError::Taken("/api/{rest...}".into()))
        );
        assert_eq!(found(&routes, "/api").unwrap().0, "/api");
        routes.remove("/api/{rest...}");
        assert_eq!(
            (found(&routes, "/api/"), found(&routes, "/api/x")),
            (None, None)
        );
        routes.insert("/api/{other...}", "x").unwrap();
        assert_eq!(found(&routes, "/api/1").unwrap(), ("x", "other=1".into()));
    }

    #[test]
    fn parameter_names_do_not_count() {
        assert_eq!(unnamed("/a/{x}/{y...}"), "/a/{}/{...}");
    }
}
