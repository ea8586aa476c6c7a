//! The text of a hook file for a component that is added, and the changes of one that exists.

use std::fmt::Write as _;

use toml_edit::{Array, DocumentMut, Item, Table, TableLike, Value, value};

use super::error::DistributionError;
use landfall_config::{Manifest, Need, component_file};
use landfall_engine::CAPABILITIES;
use landfall_model::{ComponentDigest, HookName, SecretRef, is_hidden};

/// The most characters of a description in a comment.
const COMMENT_CHARACTERS_MAX: usize = 200;

/// The line above the grants that the operator has refused.
const ALSO_NEEDS: &str = "# The component also needs:";
const HTTP: &str = "http";

/// What a new hook file is made from.
#[derive(Debug)]
pub struct NewHookFile<'a> {
    /// The name of the hook.
    pub name: &'a HookName,
    /// The version that may run.
    pub digest: ComponentDigest,
    /// Where it came from, for a comment.
    pub from: &'a str,
    /// What the component says about itself.
    pub manifest: &'a Manifest,
    /// Who may call. `None`: the hook is closed.
    pub callers: Option<Callers<'a>>,
    /// What the operator grants.
    pub granted: &'a [Need],
    /// What the component needs and the operator does not grant.
    pub refused: &'a [Need],
}

/// The `[verify]` table of a new hook file.
#[derive(Debug)]
pub struct Callers<'a> {
    /// A provider pack.
    pub provider: &'a str,
    /// References to the secrets, any of which may match.
    pub secrets: &'a [SecretRef],
}

// === impl NewHookFile ===

impl NewHookFile<'_> {
    /// The text of the file.
    pub fn text(&self) -> String {
        let mut text = format!("# {}\n", comment(self.from));
        writeln!(text, "component = \"{}.wasm\"", self.name).expect("a text has room");
        writeln!(text, "digest    = \"{}\"", self.digest).expect("a text has room");
        text.push_str(&self.verify());
        text.push_str(&self.settings());
        text.push_str(&self.allow());
        text
    }

    fn verify(&self) -> String {
        let Some(callers) = &self.callers else {
            return "\n# The hook is closed (503) until this table says who may call:\n# [verify]\n# provider = \"github\"\n\
                    # secret   = \"env:GITHUB_SECRET\"\n"
                .into();
        };

        let mut text = "\n[verify]\n".to_owned();
        writeln!(text, "provider = {}", quoted(callers.provider)).expect("a text has room");
        let secrets: Vec<String> = callers
            .secrets
            .iter()
            .map(|one| quoted(&one.to_string()))
            .collect();
        match secrets.as_slice() {
            [] => {}
            [one] => writeln!(text, "secret   = {one}").expect("a text has room"),
            several => {
                writeln!(text, "secret   = [{}]", several.join(", ")).expect("a text has room")
            }
        }
        text
    }

    /// Required settings as comments, with what the component says about them and the value that it
    /// suggests.
    fn settings(&self) -> String {
        let schema = self.manifest.settings_schema.as_ref();
        let listed = schema.map(|schema| schema.listed()).unwrap_or_default();
        let mut text = String::new();
        for (name, takes, is_required, about) in listed {
            if !is_required {
                continue;
            }
            let about = if about.is_empty() {
                takes
            } else {
                format!("{about} ({takes})")
            };
            let suggested = match self.manifest.suggested_setting(&name) {
                Some(value) => one_line(&value.to_string()),
                None => "…".into(),
            };
            writeln!(text, "# Required: {}", comment(&about)).expect("a text has room");
            let key = visible(&key(&name));
            writeln!(text, "# {key} = {suggested}").expect("a text has room");
        }

        if text.is_empty() {
            text
        } else {
            format!("\n[settings]\n{text}")
        }
    }

    fn allow(&self) -> String {
        if self.granted.is_empty() && self.refused.is_empty() {
            return String::new();
        }

        let mut table = Table::new();
        self.granted.iter().for_each(|need| grant(&mut table, need));
        let mut text = format!("\n[allow]\n{table}");
        if !self.refused.is_empty() {
            let mut refused = Table::new();
            self.refused
                .iter()
                .for_each(|need| grant(&mut refused, need));
            writeln!(text, "{ALSO_NEEDS}").expect("a text has room");
            for line in refused.to_string().lines() {
                writeln!(text, "# {}", visible(line)).expect("a text has room");
            }
        }
        text
    }
}

/// A hook file with another digest, with `NAME.wasm` as its component, and with these grants in
/// addition, after which the component has all that it needs: the comment that lists what was
/// refused before is removed. Everything else stays as the operator wrote it.
pub fn updated(
    text: &str,
    name: &HookName,
    digest: ComponentDigest,
    granted: &[Need],
) -> Result<String, DistributionError> {
    let unchangeable = |why: String| DistributionError::HookFile {
        file: format!("{name}.toml"),
        why,
    };
    let mut document: DocumentMut = without_refused(text)
        .parse()
        .map_err(|error: toml_edit::TomlError| unchangeable(error.message().to_owned()))?;

    let component = format!("{name}.wasm");
    let present = document.get("component").and_then(Item::as_str);
    if present.is_some_and(|present| component_file(present).as_deref() != Some(&component)) {
        set(document.as_table_mut(), "component", component.into());
    }
    set(document.as_table_mut(), "digest", digest.to_string().into());

    if !granted.is_empty() {
        let allow = document.entry("allow").or_insert(Item::Table(Table::new()));
        let Some(allow) = allow.as_table_like_mut() else {
            return Err(unchangeable("allow is not a table".into()));
        };
        granted.iter().for_each(|need| grant(allow, need));
    }
    Ok(document.to_string())
}

/// The text without the comment that lists what was refused.
fn without_refused(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut is_listed = false;
    for line in text.split_inclusive('\n') {
        is_listed = line.trim_end() == ALSO_NEEDS || (is_listed && is_refused(line));
        if !is_listed {
            kept.push_str(line);
        }
    }
    kept
}

/// Whether the line is a grant in a comment: `# kv = true`.
fn is_refused(line: &str) -> bool {
    let line = line.strip_prefix("# ").unwrap_or_default();
    let table: DocumentMut = line.parse().unwrap_or_default();
    let mut keys = table.iter().map(|(key, _)| key);
    keys.next().is_some_and(is_grant) && keys.next().is_none()
}

fn is_grant(key: &str) -> bool {
    key == HTTP || CAPABILITIES.iter().any(|known| known.name == key)
}

/// Sets a key. Comments and spaces around a present value stay.
fn set(table: &mut Table, key: &str, mut new: Value) {
    match table.get_mut(key).and_then(Item::as_value_mut) {
        Some(present) => {
            *new.decor_mut() = present.decor().clone();
            *present = new;
        }
        None => drop(table.insert(key, Item::Value(new))),
    }
}

fn grant(table: &mut dyn TableLike, need: &Need) {
    let Some(name) = &need.value else {
        table.insert(&need.key, value(true));
        return;
    };
    match table.get_mut(&need.key).and_then(Item::as_array_mut) {
        Some(names) => names.push(name.as_str()),
        None => drop(table.insert(&need.key, value(Array::from_iter([name.as_str()])))),
    }
}

/// A text of another author in one line of a comment.
fn comment(text: &str) -> String {
    visible(text).chars().take(COMMENT_CHARACTERS_MAX).collect()
}

/// A text of another author, without characters that an editor obeys instead of showing them.
fn visible(text: &str) -> String {
    let shown = text.chars().map(|c| if is_hidden(c) { ' ' } else { c });
    shown.collect()
}

/// A value of another author in one line.
fn one_line(text: &str) -> String {
    if text.contains(['\n', '\r']) {
        return "…".into();
    }
    comment(text)
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

fn key(name: &str) -> String {
    toml_edit::Key::new(name).display_repr().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn need(text: &str) -> Need {
        let (key, value) = match text.split_once('=') {
            None => (text, None),
            Some((key, value)) => (key, Some(value.to_owned())),
        };
        Need {
            key: key.into(),
            value,
        }
    }

    fn update(text: &str, granted: &[&str]) -> String {
        let granted: Vec<Need> = granted.iter().map(|text| need(text)).collect();
        updated(
            text,
            &"a".parse().unwrap(),
            DIGEST.parse().unwrap(),
            &granted,
        )
        .unwrap()
    }

    #[test]
    fn updates_keep_what_was_written() {
        let before = "# mine\npath = \"/in\"  # the path\ndigest = 'old' # pinned\n\n[verify]\nscheme = \"none\"\n";
        let after = before.replace("'old'", &format!("\"{DIGEST}\""));
        assert_eq!(update(before, &[]), after);

        let before = "component = \"other\"\n\n[verify] # who\nscheme = \"none\"\n";
        let after = format!(
            "component = \"a.wasm\"\ndigest = \"{DIGEST}\"\n\n[verify] # who\nscheme = \"none\"\n"
        );
        assert_eq!(update(before, &[]), after);
        assert_eq!(update("", &[]), format!("digest = \"{DIGEST}\"\n"));
        let unchanged = format!("component = \"a\"\ndigest = \"{DIGEST}\"\n");
        assert_eq!(update(&unchanged, &[]), unchanged);
    }

    #[test]
    fn updates_add_grants_only() {
        let before =
            format!("digest = \"{DIGEST}\"\n[allow]\nhttp = [\"https://a.example/\"] # mine\n");
        let after = update(&before, &["http=https://b.example/", "kv"]);
        assert_eq!(
            after,
            before.replace("a.example/\"]", "a.example/\", \"https://b.example/\"]")
                + "kv = true\n"
        );
        for before in [
            "",
            "[verify]\nscheme = \"none\"\n",
            "allow = { kv = true }\n",
            "allow.kv = true\n",
        ] {
            let after: toml_edit::DocumentMut =
                update(before, &["table=rows", "kv"]).parse().unwrap();
            assert_eq!(after["allow"]["table"][0].as_str(), Some("rows"), "{after}");
            assert_eq!(after["allow"]["kv"].as_bool(), Some(true), "{after}");
        }
    }

    #[test]
    fn granted_needs_leave_the_comment() {
        let verify = "\n[verify]\nscheme = \"none\"\n";
        for (after_comment, kept) in [("", ""), ("# mine\n", "# mine\n"), (verify, verify)] {
            let before = format!(
                "digest = \"{DIGEST}\"\n[allow]\nkv = true\n# The component also needs:\n\
                 # http = [\"https://a.example/\"]\n# table = [\"rows\"]\n{after_comment}"
            );
            let after = update(&before, &["http=https://a.example/", "table=rows"]);
            let granted = "kv = true\nhttp = [\"https://a.example/\"]\ntable = [\"rows\"]\n";
            assert!(!after.contains("also needs"), "{after}");
            assert!(after.contains(granted) && after.ends_with(kept), "{after}");
            // Also if the operator has granted it by hand.
            let by_hand = before.replace("kv = true\n", granted);
            assert!(!update(&by_hand, &[]).contains('#') || kept.contains('#'));
        }
    }

    #[test]
    fn broken_hook_files_are_not_changed() {
        let name = "a".parse().unwrap();
        let error = updated("path = [", &name, DIGEST.parse().unwrap(), &[]).unwrap_err();
        assert!(
            error.to_string().starts_with("a.toml cannot be changed: "),
            "{error}"
        );
    }
}
