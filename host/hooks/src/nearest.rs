//! Finds the path or the name of a hook that is most like another one, for a hint to the operator.

/// Longer paths and names are not compared.
const PATH_BYTES_MAX: usize = 256;

/// The path that is most like the requested one. `None` if no path is like it.
pub(crate) fn nearest<'a>(
    requested: &str,
    paths: impl Iterator<Item = &'a str>,
) -> Option<&'a str> {
    if requested.len() > PATH_BYTES_MAX {
        return None;
    }
    let (_, path) = paths
        .filter_map(|path| Some((distance(requested, path)?, path)))
        .min()?;
    Some(path)
}

/// The name that is most like another one. `None` if no name is like it.
pub(crate) fn nearest_name<'a>(
    typed: &str,
    names: impl Iterator<Item = &'a str>,
) -> Option<&'a str> {
    if typed.len() > PATH_BYTES_MAX {
        return None;
    }
    let typed = typed.to_ascii_lowercase();
    let (distance, name) = names
        .map(|name| {
            let distance = strsim::damerau_levenshtein(&typed, &name.to_ascii_lowercase());
            (distance, name)
        })
        .min()?;
    // With as many edits as letters, they have nothing in common.
    (distance <= 1 + name.len() / 4 && distance < name.chars().count()).then_some(name)
}

/// How different a requested path is from a hook's path. `None` if they have nothing in common.
/// Case, a trailing slash and a prefix that a proxy adds or removes do not count.
fn distance(path: &str, known: &str) -> Option<usize> {
    let (path, known) = (normalized(path), normalized(known));
    let given: Vec<&str> = path.split('/').collect();
    let wanted: Vec<&str> = known.split('/').collect();
    if given.len() != wanted.len() {
        return prefix_length(&path, &known);
    }

    let (mut edits, mut length) = (0, 0);
    for (given, wanted) in given.iter().zip(&wanted) {
        if !wanted.starts_with('{') {
            edits += strsim::damerau_levenshtein(given, wanted);
            length += wanted.len();
        }
    }
    (edits <= 1 + length / 4).then_some(edits)
}

/// The length of the prefix that one path has before the other.
fn prefix_length(one: &str, other: &str) -> Option<usize> {
    let (longer, shorter) = if one.len() > other.len() {
        (one, other)
    } else {
        (other, one)
    };
    let is_suffix = shorter.len() > 1 && longer.ends_with(shorter);
    is_suffix.then(|| longer.len() - shorter.len())
}

fn normalized(path: &str) -> String {
    path.trim_end_matches('/').to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistyped_names_are_near() {
        let names = ["github", "q", "shop", "shop-eu"];
        for (typed, near) in [
            ("githup", Some("github")),
            ("Shop", Some("shop")),
            ("shop_eu", Some("shop-eu")),
            ("stripe", None),
            ("-", None),
            ("", None),
        ] {
            assert_eq!(nearest_name(typed, names.into_iter()), near, "{typed}");
        }
    }

    #[test]
    fn common_mistakes_are_near() {
        for (path, known) in [
            ("/git-hub", "/github"),
            ("/github/", "/github"),
            ("/GitHub", "/github"),
            ("/hooks/github", "/github"),
            ("/shop/17/order", "/shop/{id}/orders"),
        ] {
            assert!(distance(path, known).is_some(), "{path} {known}");
        }
        for (path, known) in [
            ("/", "/github"),
            ("/wp-login.php", "/github"),
            ("/a/b/c", "/github"),
            ("/x", "/{id}/y"),
        ] {
            assert_eq!(distance(path, known), None, "{path} {known}");
        }
    }
}
