//! The path and the component of a hook.

use super::mistake::{Mistake, mistake};
use landfall_model::HookName;
use landfall_model::hook::rest_of;

/// The path of a hook. The default is `/NAME`.
pub(crate) fn path(typed: Option<String>, name: &HookName) -> Result<String, Mistake> {
    let path = typed.unwrap_or_else(|| format!("/{name}"));
    if !path.starts_with('/') {
        return mistake(&["path"], format!("path `{path}` must begin with `/`"));
    }
    // A default path has no further slash, so it never begins so.
    if path.starts_with("/_landfall/") {
        return mistake(
            &["path"],
            format!("path `{path}`: what begins with /_landfall/ is the node's own"),
        );
    }
    // Clients encode other characters, so no request would match the path.
    if let Some(bad) = path.replace("%", "").chars().find(|c| !is_sent_plain(*c)) {
        return mistake(
            &["path"],
            format!(
                "path `{}`: no `{}` in a path",
                path.escape_debug(),
                bad.escape_debug()
            ),
        );
    }
    if !path.split('%').skip(1).all(begins_with_hex) {
        return mistake(
            &["path"],
            format!("path `{path}`: after `%` come two hexadecimal digits"),
        );
    }
    if path.contains("//") {
        return mistake(&["path"], format!("path `{path}`: no empty segments"));
    }
    let segments = path.matches("...}").count();
    if segments > usize::from(rest_of(&path).is_some()) {
        return mistake(
            &["path"],
            format!("path `{path}`: `{{rest...}}` is a whole segment, and the last one"),
        );
    }
    if let Some(name) = repeated_parameter(&path) {
        return mistake(
            &["path"],
            format!("path `{path}` names `{{{name}}}` twice: give each segment a name of its own"),
        );
    }
    Ok(path)
}

fn repeated_parameter(path: &str) -> Option<String> {
    let mut names = std::collections::BTreeSet::new();
    path.split('{').skip(1).find_map(|after| {
        let name = after.split('}').next()?.trim_end_matches("...");
        (!names.insert(name)).then(|| name.to_owned())
    })
}

/// The path parameter that a component with `strip_prefix` receives as its path.
pub(crate) fn strips(typed: bool, path: &str) -> Result<Option<String>, Mistake> {
    match rest_of(path) {
        _ if !typed => Ok(None),
        Some(name) => Ok(Some(name.to_owned())),
        None => mistake(
            &["strip_prefix"],
            format!(
                "strip_prefix needs a path that ends in {{rest...}}: path = \"{}/{{rest...}}\"",
                path.trim_end_matches('/')
            ),
        ),
    }
}

/// The file name of the component. The default is `NAME.wasm`.
pub(crate) fn component(typed: Option<String>, name: &HookName) -> Result<String, Mistake> {
    let typed = typed.unwrap_or_else(|| format!("{name}.wasm"));
    component_file(&typed).ok_or_else(|| Mistake {
        key: &["component"],
        message: format!(
            "component `{typed}` must be the name of a file in the plugins directory, such as \"echo.wasm\""
        ),
    })
}

/// The file name for `component = "…"`. `None`: the text cannot name a file in the plugins
/// directory.
pub fn component_file(typed: &str) -> Option<String> {
    let stem = typed.strip_suffix(".wasm").unwrap_or(typed);
    let is_name = !stem.is_empty() && !stem.starts_with('.') && !stem.contains(['/', '\\', '\0']);
    is_name.then(|| format!("{stem}.wasm"))
}

/// Whether clients send this character in a path without encoding it.
fn is_sent_plain(c: char) -> bool {
    c.is_ascii_graphic() && !"?#*\"<>\\^`|%".contains(c)
}

fn begins_with_hex(text: &str) -> bool {
    text.len() >= 2 && text.bytes().take(2).all(|byte| byte.is_ascii_hexdigit())
}
