//! The tools. `all` lists them; each of the other files has the input, the description and the
//! answer of one or two.
//!
//! A new tool is a file with a type that implements `Tool`, and a line in `all`.

mod arguments;
mod check_hook_file;
mod explain;
mod hooks;
mod inspect;
mod inspect_file;
mod order;
mod pause;
mod replay;
mod retry;
mod search;
mod send_sample;
mod show;
mod tool;
mod try_component;

use std::sync::LazyLock;

use tool::entry;
pub(crate) use tool::{Entry, Needs};

static ALL: LazyLock<Vec<Entry>> = LazyLock::new(|| {
    vec![
        entry::<explain::Explain>(),
        entry::<hooks::Hooks>(),
        entry::<search::Search>(),
        entry::<show::Show>(),
        entry::<inspect::Inspect>(),
        entry::<inspect_file::InspectFile>(),
        entry::<try_component::TryComponent>(),
        entry::<check_hook_file::CheckHookFile>(),
        entry::<replay::Replay>(),
        entry::<retry::Retry>(),
        entry::<pause::Pause>(),
        entry::<pause::Resume>(),
        entry::<send_sample::SendSample>(),
    ]
});

/// Every tool.
pub(crate) fn all() -> &'static [Entry] {
    &ALL
}

/// The tool of this name.
pub(crate) fn find(name: &str) -> Option<&'static Entry> {
    all().iter().find(|entry| entry.name == name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    #[test]
    fn every_argument_is_described() {
        for tool in all() {
            let schema = Value::Object(tool.described.input_schema.as_ref().clone());
            assert_eq!(schema["type"], "object", "{}", tool.name);
            assert_eq!(schema["additionalProperties"], false, "{}", tool.name);
            let arguments = schema["properties"].as_object();
            for (name, argument) in arguments.into_iter().flatten() {
                let about = argument["description"].as_str().unwrap_or_default();
                assert!(!about.is_empty(), "{}: {name}", tool.name);
            }
        }
    }

    #[test]
    fn hints_follow_from_the_role() {
        for tool in all() {
            let hints = tool.described.annotations.as_ref().unwrap();
            let is_read_only = tool.needs != Needs::Operate;
            assert_eq!(hints.read_only_hint, Some(is_read_only), "{}", tool.name);
            assert_eq!(hints.destructive_hint.is_none(), is_read_only);
        }
        let destructive = |name: &str| {
            let hints = find(name).unwrap().described.annotations.clone();
            hints.unwrap().destructive_hint
        };
        assert_eq!(destructive("replay"), Some(true));
        assert_eq!(destructive("retry"), Some(false));
    }

    #[test]
    fn names_are_distinct() {
        let names: BTreeSet<&str> = all().iter().map(|tool| tool.name).collect();
        assert_eq!(names.len(), all().len());
    }
}
