//! What `landfall dev` serves: the plugins and data directories of its node, in `.landfall/` of the
//! handler's folder.

use std::collections::BTreeSet;
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, bail, ensure};

use crate::folder_lock::FolderLock;
use crate::place::place;
use crate::project::Project;
use landfall_config::{HookSource, parse_hook};
use landfall_engine::CAPABILITIES;
use landfall_model::{HookName, RemoteSecret, SecretGrant, SecretRef};

/// Folders of the handler that the node reads, whatever the hook file refers to.
const LINKED: [&str; 2] = ["secrets", "providers"];
/// The folders of the node, which no secret beside the handler's folder can have the name of.
const OWN: [&str; 2] = ["plugins", "data"];
/// The ends of what the node reads in its plugins directory.
const ENDINGS: [&str; 3] = [".toml", ".wasm", ".wasm.minisig"];

/// Added to the served hook file, so that the same sample runs each time it is sent.
const EVERY_REQUEST_RUNS: &str =
    "\n# Added by `landfall dev`: a request runs also if it came before.\n[dedup]\nid = \"none\"\n";

/// The `.landfall` of a handler's folder. One process has it at a time.
#[derive(Debug)]
pub struct ServedFolder {
    dir: PathBuf,
    _lock: FolderLock,
}

// === impl ServedFolder ===

impl ServedFolder {
    /// Creates the folder, unless another process has it. Its plugins directory has links to the
    /// handler's secrets and provider packs. What an earlier run served under another name is
    /// removed.
    pub fn create(project: &Project) -> anyhow::Result<ServedFolder> {
        let dir = project.dir.join(".landfall");
        create_private(&dir)?;
        let served = ServedFolder {
            _lock: FolderLock::acquire(&project.dir, &dir)?,
            dir,
        };
        served.create_folders()?;
        served.remove_others(project)?;
        Ok(served)
    }

    /// Creates what is missing of the folders and of their links.
    fn create_folders(&self) -> anyhow::Result<()> {
        create_private(&self.plugins())?;
        create_private(&self.data())?;
        for name in LINKED {
            link(&self.plugins().join(name), &Path::new("../..").join(name))?;
        }
        Ok(())
    }

    /// Removes the files of hooks that have another name.
    fn remove_others(&self, project: &Project) -> anyhow::Result<()> {
        let own = [
            format!("{}.toml", project.hook),
            format!("{}.wasm", project.name),
        ];
        let plugins = self.plugins();
        let entries = std::fs::read_dir(&plugins)
            .with_context(|| format!("{} cannot be read", plugins.display()))?;
        for entry in entries.flatten() {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if is_read_as_hook(&name) && !own.iter().any(|own| name == **own) {
                let path = entry.path();
                std::fs::remove_file(&path)
                    .with_context(|| format!("{} cannot be removed", path.display()))?;
            }
        }
        Ok(())
    }

    /// The plugins directory of the node.
    pub fn plugins(&self) -> PathBuf {
        self.dir.join("plugins")
    }

    /// The data directory of the node.
    pub fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// Serves the hook file of the handler, and the files of its secrets. A secret that cannot be
    /// found is an error after the hook file is served. If the plugins directory was removed, it is
    /// created again.
    pub fn update_hook_file(&self, project: &Project) -> anyhow::Result<()> {
        self.create_folders()?;
        let path = project.hook_file();
        let text = std::fs::read_to_string(&path).with_context(|| {
            let path = path.display();
            format!("the last hook file stays, because {path} cannot be read")
        })?;
        let linked = secret_files(&project.hook, &text)
            .iter()
            .try_for_each(|file| {
                let linked = self.link_secret(file);
                linked.with_context(|| format!("{}.toml: file:{}", project.hook, file.display()))
            });
        let target = self.plugins().join(format!("{}.toml", project.hook));
        place(served_text(text).as_bytes(), &target)?;
        linked
    }

    /// A node looks for a relative path in its plugins directory; the author writes it from the
    /// handler's folder. `../` leads beside that folder, and for the node beside its plugins
    /// directory.
    fn link_secret(&self, file: &Path) -> anyhow::Result<()> {
        let mut parts = file.components().filter(|part| *part != Component::CurDir);
        match (parts.next(), parts.next()) {
            (Some(Component::Normal(file)), None) if is_read_as_hook(&file.to_string_lossy()) => {
                bail!(
                    "a node reads files whose names end with .toml or .wasm as hooks: give the secret another name"
                )
            }
            (Some(Component::Normal(first)), _) => {
                link(&self.plugins().join(first), &Path::new("../..").join(first))
            }
            (Some(Component::ParentDir), Some(Component::Normal(first)))
                if OWN.iter().all(|own| first != *own) =>
            {
                link(&self.dir.join(first), &Path::new("../..").join(first))
            }
            _ => {
                ensure!(
                    file.is_absolute(),
                    "`landfall dev` finds secrets in the folder of the handler and directly beside it: write an absolute path"
                );
                Ok(())
            }
        }
    }

    /// Serves a component that was built. If the plugins directory was removed, the hook file is
    /// served again too.
    pub fn update_component(&self, project: &Project, component: &Path) -> anyhow::Result<()> {
        let bytes = std::fs::read(component)
            .with_context(|| format!("{} cannot be read", component.display()))?;
        if !self.plugins().is_dir() {
            self.update_hook_file(project)?;
        }
        let target = self.plugins().join(format!("{}.wasm", project.name));
        place(&bytes, &target)
    }
}

/// Whether a node reads a file with this name in its plugins directory.
fn is_read_as_hook(name: &str) -> bool {
    ENDINGS.iter().any(|ending| name.ends_with(ending))
}

/// Creates a directory with its parents, for this user only.
fn create_private(dir: &Path) -> anyhow::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    let created = builder.recursive(true).mode(0o700).create(dir);
    created.with_context(|| format!("{} cannot be created", dir.display()))
}

/// The files of all secrets that a hook file names, as it names them. A hook file with a mistake
/// has none: the node says what is wrong.
fn secret_files(name: &str, text: &str) -> BTreeSet<PathBuf> {
    let Ok(name) = name.parse::<HookName>() else {
        return BTreeSet::new();
    };

    let spec = parse_hook(HookSource {
        name: &name,
        text,
        manifest: None,
        dir: Path::new(""),
        capabilities: CAPABILITIES,
    });
    let spec = spec.ok();
    let secrets = spec.iter().flat_map(|spec| spec.secrets());
    secrets.flat_map(files_of).collect()
}

fn files_of(secret: &SecretRef) -> Vec<PathBuf> {
    match secret {
        SecretRef::Remote(RemoteSecret::GcpKms { path, .. }) => vec![path.clone()],
        other => SecretGrant::files(other),
    }
}

/// Makes the link, unless there is something already.
fn link(link: &Path, target: &Path) -> anyhow::Result<()> {
    if link.symlink_metadata().is_ok() {
        return Ok(());
    }
    symlink(target, link).with_context(|| format!("{} cannot be created", link.display()))
}

/// The lines of the author stay where they are, so that an error names the right one.
fn served_text(text: String) -> String {
    let has_dedup = text
        .parse::<toml::Table>()
        .map_or(true, |table| table.contains_key("dedup"));
    if has_dedup {
        text
    } else {
        text.trim_end().to_owned() + "\n" + EVERY_REQUEST_RUNS
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::Language;

    fn project(dir: &Path, name: &str) -> Project {
        Project {
            dir: dir.into(),
            language: Language::Rust,
            name: name.into(),
            hook: name.into(),
        }
    }

    #[test]
    fn secrets_are_found_where_authors_write() {
        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path().join("mine");
        for folder in ["mine/keys", "beside"] {
            std::fs::create_dir_all(parent.path().join(folder)).unwrap();
        }
        let files = ["token.txt", "keys/a", "../beside/b"];
        for file in files {
            std::fs::write(dir.join(file), file).unwrap();
        }
        let put = |text: &str| std::fs::write(dir.join("mine.toml"), text).unwrap();
        put(
            "[verify]\nprovider = \"github\"\nsecret = [\"file:token.txt\", \"file:./keys/a\"]\n\
             [environment]\nKEY = \"file:../beside/b\"\n",
        );

        let project = project(&dir, "mine");
        let served = ServedFolder::create(&project).unwrap();
        served.update_hook_file(&project).unwrap();
        served.update_hook_file(&project).unwrap();
        for file in files {
            let read = std::fs::read_to_string(served.plugins().join(file));
            assert_eq!(read.unwrap(), file);
        }

        for unreachable in ["../../x", "../data/x"] {
            put(&format!(
                "[verify]\nprovider = \"github\"\nsecret = \"file:{unreachable}\"\n"
            ));
            let error = served.update_hook_file(&project).unwrap_err();
            let error = format!("{error:#}");
            assert!(
                error.contains(unreachable) && error.contains("absolute path"),
                "{error}"
            );
        }
    }

    #[test]
    fn secrets_are_no_hook_files() {
        let dir = tempfile::tempdir().unwrap();
        let text = "[verify]\nprovider = \"github\"\nsecret = \"file:secret.toml\"\n";
        for file in ["mine.toml", "secret.toml"] {
            std::fs::write(dir.path().join(file), text).unwrap();
        }
        let project = project(dir.path(), "mine");
        let served = ServedFolder::create(&project).unwrap();
        let error = format!("{:#}", served.update_hook_file(&project).unwrap_err());
        assert!(
            error.contains("file:secret.toml: a node reads files"),
            "{error}"
        );
        assert!(!served.plugins().join("secret.toml").exists());
    }

    #[test]
    fn removed_folders_come_back() {
        let dir = tempfile::tempdir().unwrap();
        let text = "[verify]\nprovider = \"github\"\nsecret = \"file:token.txt\"\n";
        for (file, text) in [("mine.toml", text), ("token.txt", "t"), ("built", "")] {
            std::fs::write(dir.path().join(file), text).unwrap();
        }
        let project = project(dir.path(), "mine");
        let served = ServedFolder::create(&project).unwrap();
        std::fs::remove_dir_all(served.plugins()).unwrap();
        let built = dir.path().join("built");
        served.update_component(&project, &built).unwrap();
        for file in ["mine.toml", "mine.wasm", "token.txt"] {
            assert!(served.plugins().join(file).is_file(), "{file}");
        }
        assert!(served.plugins().join("secrets").is_symlink());
    }

    #[test]
    fn hooks_with_other_names_are_removed() {
        let dir = tempfile::tempdir().unwrap();
        let before = ServedFolder::create(&project(dir.path(), "old")).unwrap();
        for file in ["old.toml", "old.wasm", "new.wasm"] {
            std::fs::write(before.plugins().join(file), "").unwrap();
        }
        drop(before);
        let after = ServedFolder::create(&project(dir.path(), "new")).unwrap();
        let has = |file: &str| after.plugins().join(file).symlink_metadata().is_ok();
        assert!(has("new.wasm") && has("secrets"));
        assert!(!has("old.toml") && !has("old.wasm"));
    }

    #[test]
    fn only_own_dedup_rules_stay() {
        let served = served_text("path = \"/a\"\n\n[verify]\nprovider = \"github\"\n".into());
        let table: toml::Table = served.parse().unwrap();
        assert_eq!(table["dedup"]["id"].as_str(), Some("none"));
        for kept in ["[dedup]\nwindow = \"1d\"\n", "not = = toml"] {
            assert_eq!(served_text(kept.into()), kept);
        }
    }
}
