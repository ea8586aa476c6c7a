//! Paths and what is behind them. A path that ends in `{rest...}` yields to every other path.

use matchit::{InsertError, Router};

use landfall_model::hook::rest_of;

/// Paths, each with a value.
pub struct Routes<T> {
    exact: Router<T>,
    /// Those that end in `{rest...}`, and the paths on which that rest is empty.
    rest: Router<Rest<T>>,
}

/// A path with a rest, or one of its paths with an empty rest.
struct Rest<T> {
    value: T,
    /// The name of the parameter, where the rest is empty.
    empty: Option<String>,
}

/// Why a path cannot be added.
#[derive(Debug, PartialEq, Eq)]
pub enum RouteError {
    /// Its path is taken by this one.
    Taken(String),
    /// It is not a path that can be served.
    Unusable(String),
}

/// A value, and the parameters of its path, percent-encoded as in the request.
pub type Match<'a, T> = (&'a T, Vec<(String, String)>);

// === impl Routes ===

impl<T: Clone> Routes<T> {
    /// Adds a path.
    pub fn insert(&mut self, path: &str, value: T) -> Result<(), RouteError> {
        let Some(name) = rest_of(path) else {
            return self
                .exact
                .insert(path, value)
                .map_err(|error| failed(error, path));
        };
        let (before, spelled) = spelled(path, name);
        self.rest
            .insert(
                spelled,
                Rest {
                    value: value.clone(),
                    empty: None,
                },
            )
            .map_err(|error| failed(error, path))?;
        for empty in empty_rests(before) {
            // Only another path with the same rest could be there, and that was refused above.
            let rest = Rest {
                value: value.clone(),
                empty: Some(name.to_owned()),
            };
            self.rest
                .insert(empty, rest)
                .map_err(|error| failed(error, path))?;
        }
        Ok(())
    }

    /// Takes a path away.
    pub fn remove(&mut self, path: &str) {
        let Some(name) = rest_of(path) else {
            self.exact.remove(path);
            return;
        };
        let (before, spelled) = spelled(path, name);
        self.rest.remove(spelled);
        for empty in empty_rests(before) {
            self.rest.remove(empty);
        }
    }

    /// What is behind the path of a request.
    pub fn find(&self, path: &str) -> Option<Match<'_, T>> {
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        if let Ok(found) = self.exact.at(path) {
            return Some((found.value, found.params.iter().map(owned).collect()));
        }
        let found = self.rest.at(path).ok()?;
        let mut params: Vec<(String, String)> = found.params.iter().map(owned).collect();
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
pub fn unnamed(path: &str) -> String {
    let segment = |part: &str| match part {
        part if part.ends_with("...}") => "{...}".to_owned(),
        part if part.starts_with('{') => "{}".to_owned(),
        part => part.to_owned(),
    };
    path.split('/').map(segment).collect::<Vec<_>>().join("/")
}

/// What is before the rest, with its slash, and the whole path as the router spells it.
fn spelled<'a>(path: &'a str, name: &str) -> (&'a str, String) {
    let before = &path[..path.len() - name.len() - "{...}".len()];
    (before, format!("{before}{{*{name}}}"))
}

/// `/api/` and `/api`.
fn empty_rests(before: &str) -> impl Iterator<Item = &str> {
    let bare = before.strip_suffix('/').filter(|bare| !bare.is_empty());
    [before].into_iter().chain(bare)
}

/// A path of the router as hook files spell it.
fn as_typed(path: &str) -> String {
    let rest = path
        .rsplit_once("/{*")
        .and_then(|(before, name)| Some((before, name.strip_suffix('}')?)));
    rest.map_or_else(
        || path.to_owned(),
        |(before, name)| format!("{before}/{{{name}...}}"),
    )
}

fn failed(error: InsertError, path: &str) -> RouteError {
    match error {
        InsertError::Conflict { with } => RouteError::Taken(as_typed(&with)),
        error => RouteError::Unusable(format!(
            "path `{path}` cannot be served: {error}; a parameter is a whole segment such as `/shop/{{id}}`"
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
    fn a_rest_takes_its_path_alone() {
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
    fn names_of_parameters_do_not_count() {
        assert_eq!(unnamed("/a/{x}/{y...}"), "/a/{}/{...}");
    }
}
