//! The manifest of a component: the custom section `landfall:manifest`, in TOML.

use proc_macro2::TokenStream as Tokens;
use quote::quote;
use std::path::PathBuf;
use syn::{Error, LitByteStr, LitStr};

/// The number of the format.
const FORMAT: u32 = 1;
/// The schema of the settings, beside `Cargo.toml`.
const SCHEMA: &str = "settings.schema.json";
/// The keys that an author's file may have.
const AUTHOR_KEYS: [&str; 4] = ["event-types", "settings-schema", "suggests", "needs"];

/// The section: the facts about the crate, the schema of the settings, and the author's file. TOML
/// wants keys before tables.
pub fn section(file: Option<&LitStr>, has_schema: bool) -> Result<Tokens, Error> {
    let facts = ["NAME", "VERSION", "DESCRIPTION"]
        .map(|name| std::env::var(format!("CARGO_PKG_{name}")).unwrap_or_default());
    let facts = bytes(&head(&facts));
    let included = |path: Tokens| {
        quote!(include_bytes!(
            concat!(env!("CARGO_MANIFEST_DIR"), "/", #path)
        ))
    };
    if has_schema && !folder().join(SCHEMA).exists() {
        let text =
            format!("{SCHEMA} is missing beside Cargo.toml: run `cargo test`, which writes it");
        return Ok(quote! {
            #[cfg(target_arch = "wasm32")]
            ::core::compile_error!(#text);
        });
    }
    let schema = has_schema.then(|| {
        let schema = included(quote!(#SCHEMA));
        quote!(b"settings-schema = \'\'\'\n", #schema, b"\'\'\'\n",)
    });
    if let Some(file) = file {
        check(file, has_schema)?;
    }
    let author = file.map(|path| included(quote!(#path)));
    Ok(quote! {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            const PARTS: &[&[u8]] = &[#facts, #schema #author];
            const LENGTH: usize = ::landfall_sdk::section::length(PARTS);
            #[used]
            #[unsafe(link_section = "landfall:manifest")]
            static MANIFEST: [u8; LENGTH] = ::landfall_sdk::section::joined(PARTS);
        };
    })
}

/// The folder of `Cargo.toml`.
fn folder() -> PathBuf {
    std::env::var_os("CARGO_MANIFEST_DIR")
        .unwrap_or_default()
        .into()
}

fn bytes(text: &str) -> LitByteStr {
    LitByteStr::new(text.as_bytes(), proc_macro2::Span::call_site())
}

/// The keys that come from `Cargo.toml`. An empty one is left out.
fn head([name, version, description]: &[String; 3]) -> String {
    let mut text = format!("manifest = {FORMAT}\n");
    for (key, value) in [
        ("name", name),
        ("version", version),
        ("description", description),
    ] {
        if !value.is_empty() {
            text.push_str(&format!("{key} = {}\n", quoted(value)));
        }
    }
    text
}

/// A basic string of TOML.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            control if control.is_control() => {
                quoted.push_str(&format!("\\u{:04X}", u32::from(control)));
            }
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

/// Refuses keys of the author's file that no host reads, and keys that would be there twice. A file
/// that is not there is reported by `include_bytes!`.
fn check(file: &LitStr, has_schema: bool) -> Result<(), Error> {
    let Ok(text) = std::fs::read_to_string(folder().join(file.value())) else {
        return Ok(());
    };
    match wrong_key(&text, has_schema) {
        Some(key) => Err(Error::new(
            file.span(),
            format!(
                "{} has the key `{key}`: it can have `event-types`, `[suggests]` and `[needs]`, and `settings-schema` without the \
                 option `settings`",
                file.value()
            ),
        )),
        None => Ok(()),
    }
}

/// The first key of a top level that does not belong there. Only lines are read: a text of several
/// lines may hide a key.
fn wrong_key(text: &str, has_schema: bool) -> Option<String> {
    let is_known =
        |key: &str| AUTHOR_KEYS.contains(&key) && !(has_schema && key == "settings-schema");
    let mut in_table = false;
    let first = |key: &str| {
        let key = key.split('.').next().unwrap_or_default().trim();
        key.trim_matches(['"', '\'']).to_owned()
    };
    for line in text.lines() {
        let key = match line.strip_prefix('[') {
            Some(table) => {
                in_table = true;
                first(table.trim_start_matches('[').split(']').next()?)
            }
            // A key begins at the start of its line; what is indented continues a list.
            None if in_table
                || !line.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '"') =>
            {
                continue;
            }
            None => first(line.split_once('=')?.0),
        };
        if !is_known(&key) {
            return Some(key);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_toml_strings() {
        let facts = ["a-b", "0.1.0", "Says \"hi\"\\\u{7f}\n to Zoë"].map(str::to_owned);
        let expected = "manifest = 1\nname = \"a-b\"\nversion = \"0.1.0\"\n\
                        description = \"Says \\\"hi\\\"\\\\\\u007F\\u000A to Zoë\"\n";
        assert_eq!(head(&facts), expected);
        assert_eq!(head(&Default::default()), "manifest = 1\n");
    }

    #[test]
    fn unknown_keys_are_found() {
        let good = "# Notes.\nevent-types = [\n  \"push\",\n]\nsuggests.mode = \"sync\"\n\n[suggests.settings]\ntable = \"t\"\n\n[needs]\nkv = true\n";
        assert_eq!(wrong_key(good, true), None);
        for (text, has_schema, key) in [
            ("methods = [\"POST\"]\n", false, "methods"),
            ("name = \"x\"\n", false, "name"),
            ("[allow]\nkv = true\n", false, "allow"),
            ("[needs]\nkv = true\n[sugests]\n", false, "sugests"),
            ("settings-schema = '{}'\n", true, "settings-schema"),
        ] {
            assert_eq!(wrong_key(text, has_schema).as_deref(), Some(key), "{text}");
        }
        assert_eq!(wrong_key("settings-schema = '{}'\n", false), None);
    }
}
