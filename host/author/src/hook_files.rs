//! The hook files in the folder of a handler. One component may serve several hooks.

use std::path::Path;

use anyhow::{Context, bail, ensure};

use landfall_config::is_tool_file;
use landfall_model::HookName;

/// The hooks that have a file in the folder, by name: that of the handler itself, and those whose
/// file has a `[verify]` table or names a component.
pub(crate) fn hooks(dir: &Path, handler: &str) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(dir) else {
        return Vec::new();
    };
    let files = entries.flatten().filter(|entry| entry.path().is_file());
    let mut names: Vec<String> = files
        .filter_map(|entry| {
            let file = entry.file_name().into_string().ok()?;
            let name = file.strip_suffix(".toml")?;
            let is_name = name.parse::<HookName>().is_ok() && !is_tool_file(&file);
            let is_hook = is_name && (name == handler || is_hook_file(&entry.path()));
            is_hook.then(|| name.to_owned())
        })
        .collect();
    names.sort();
    names
}

fn is_hook_file(path: &Path) -> bool {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.parse::<toml::Table>().is_ok_and(|table| {
        let is_text = table.get("component").is_some_and(toml::Value::is_str);
        is_text || table.get("verify").is_some_and(toml::Value::is_table)
    })
}

/// The hook that is served: the only one of `hooks`, unless `chosen` is its name or its file. `dir`
/// is absolute and without links.
pub(crate) fn choose(
    dir: &Path,
    hooks: &[String],
    chosen: Option<&Path>,
) -> anyhow::Result<String> {
    let shown = dir.display();
    let listed: Vec<String> = hooks.iter().map(|hook| format!("{hook}.toml")).collect();
    let listed = listed.join(", ");
    let Some(chosen) = chosen else {
        return match hooks {
            [one] => Ok(one.clone()),
            [first, ..] => bail!(
                "{shown} has several hook files ({listed}): name one with --hook, such as `landfall dev --hook {first}`"
            ),
            [] => bail!("{shown} has no hook file: write NAME.toml there"),
        };
    };

    let above = chosen
        .parent()
        .filter(|above| !above.as_os_str().is_empty());
    let is_beside = above.is_none_or(|above| above.canonicalize().is_ok_and(|above| above == dir));
    ensure!(
        is_beside,
        "--hook {} is not in {shown}: a hook file is in the folder of its handler",
        chosen.display()
    );
    let name = chosen.file_name().unwrap_or_default().to_string_lossy();
    let name = name.strip_suffix(".toml").unwrap_or(&name);
    let parsed: HookName = name
        .parse()
        .with_context(|| format!("--hook {}", chosen.display()))?;
    let file = format!("{parsed}.toml");
    ensure!(
        dir.join(&file).is_file() && !is_tool_file(&file),
        "{shown} has no hook file {file}; its hook files: {listed}"
    );
    Ok(parsed.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_several_is_chosen() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().canonicalize().unwrap();
        let put = |name: &str, text: &str| std::fs::write(dir.join(name), text).unwrap();
        put("mine.toml", "");
        put("cliff.toml", "[changelog]\nbody = \"x\"\n");
        put("deny.toml", "component = \"x\"\n");
        assert_eq!(hooks(&dir, "mine"), ["mine"]);
        assert_eq!(choose(&dir, &hooks(&dir, "mine"), None).unwrap(), "mine");

        put("staging.toml", "component = \"mine.wasm\"\n");
        put("other.toml", "[verify]\nscheme = \"none\"\n");
        let all = hooks(&dir, "mine");
        assert_eq!(all, ["mine", "other", "staging"]);
        let choose = |chosen: &str| choose(&dir, &all, Some(Path::new(chosen)));
        let absolute = dir.join("staging.toml").display().to_string();
        for chosen in ["staging", "staging.toml", &absolute] {
            assert_eq!(choose(chosen).unwrap(), "staging");
        }
        for (chosen, words) in [
            (
                "stagin",
                "no hook file stagin.toml; its hook files: mine.toml, other.toml, staging.toml",
            ),
            ("deny.toml", "no hook file deny.toml"),
            ("/nowhere/staging.toml", "is not in"),
            ("No Name", "--hook No Name"),
        ] {
            let error = choose(chosen).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
        let error = super::choose(&dir, &all, None).unwrap_err().to_string();
        assert!(
            error.contains("(mine.toml, other.toml, staging.toml): name one with --hook"),
            "{error}"
        );
    }
}
