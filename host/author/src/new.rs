//! Writes the folder of a new handler.

use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, ensure};
use serde_json::Value;

use crate::place::create_dir;
use crate::project::{Language, check_name};
use crate::sample::{UNTYPED, file_stem};
use crate::templates::{Template, Values};
use crate::{sdk, templates};
use landfall_verify::{Guide, Packs};

/// The provider of a handler that names none.
const GENERIC: &str = "generic";
/// Random bytes of a made-up secret.
const SECRET_BYTES: usize = 24;

/// What to write.
#[derive(Debug, Clone)]
pub struct NewHandler {
    /// The name of the hook and of the folder.
    pub name: String,
    /// The language of the handler.
    pub language: Language,
    /// The provider pack. `None`: `generic`.
    pub provider: Option<String>,
    /// What the handler does.
    pub template: Template,
}

/// What was written.
#[derive(Debug)]
pub struct Written {
    /// The folder.
    pub dir: PathBuf,
    /// The files in it, without those of `vendor/`.
    pub files: Vec<PathBuf>,
    /// Why no request of the provider can be signed here; `None` if it can.
    pub cannot_sign: Option<String>,
}

/// Writes the folder `parent/NAME`, which must not exist or be empty. It appears as a whole: if
/// anything fails, there is no folder.
pub fn write(new: &NewHandler, parent: &Path, packs: &Packs) -> anyhow::Result<Written> {
    check_name(&new.name)?;
    let provider = new.provider.as_deref().unwrap_or(GENERIC);
    let guide = Guide::new(provider, packs).map_err(|error| anyhow!("{error}"))?;
    let dir = parent.join(&new.name);
    ensure_empty(&dir)?;

    let secret = made_up_secret(&guide)?;
    let event = guide.sample_event();
    let stem = file_stem(event.as_deref().unwrap_or(UNTYPED));
    let sample = Sample::of(&guide, &stem);
    let values = values(new, &guide, &sample, secret.is_some());
    let mut files = templates::files(new.language, new.template, &values, &stem)?;
    files.push((PathBuf::from("samples").join(&sample.file), sample.body));
    let mut names: Vec<PathBuf> = files.iter().map(|(path, _)| path.clone()).collect();
    files.extend(sdk::files(new.language)?);

    let partial = Partial::create(&dir)?;
    for (path, bytes) in files {
        let path = partial.dir.join(path);
        create_dir(path.parent().expect("a file is in a folder"))?;
        write_new(&path, &bytes, 0o666)?;
    }
    if let Some(secret) = secret {
        let secrets = partial.dir.join("secrets");
        let made = std::fs::DirBuilder::new().mode(0o700).create(&secrets);
        made.with_context(|| format!("{} cannot be created", secrets.display()))?;
        write_new(&secrets.join(&new.name), secret.as_bytes(), 0o600)?;
        names.push(PathBuf::from("secrets").join(&new.name));
    }
    partial.place(&dir)?;

    names.sort();
    Ok(Written {
        dir,
        files: names,
        cannot_sign: guide.cannot_sign().map(str::to_owned),
    })
}

/// A folder that is being written beside its place. It is removed unless it gets there.
struct Partial {
    dir: PathBuf,
}

// === impl Partial ===

impl Partial {
    /// `.NAME.PROCESS.partial` beside `dir`.
    fn create(dir: &Path) -> anyhow::Result<Partial> {
        let name = dir.file_name().context("a handler has a name")?;
        let name = format!(".{}.{}.partial", name.display(), std::process::id());
        let partial = Partial {
            dir: dir.with_file_name(name),
        };
        let shown = partial.dir.display();
        std::fs::create_dir(&partial.dir).with_context(|| format!("{shown} cannot be created"))?;
        Ok(partial)
    }

    /// Renames it. An empty folder at its place is replaced, and keeps its permissions.
    fn place(self, dir: &Path) -> anyhow::Result<()> {
        if let Ok(empty) = std::fs::metadata(dir) {
            std::fs::set_permissions(&self.dir, empty.permissions())
                .with_context(|| format!("{} cannot be changed", self.dir.display()))?;
        }
        // Another process may have filled the folder meanwhile.
        match std::fs::rename(&self.dir, dir) {
            Ok(()) => Ok(()),
            Err(error) => {
                ensure_empty(dir)?;
                Err(error).with_context(|| format!("{} cannot be written", dir.display()))
            }
        }
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // After `place` there is nothing to remove.
        std::fs::remove_dir_all(&self.dir).ok();
    }
}

fn ensure_empty(dir: &Path) -> anyhow::Result<()> {
    let shown = dir.display();
    let is_link = dir.symlink_metadata().is_ok_and(|file| !file.is_dir());
    ensure!(
        !is_link,
        "{shown} exists and is not a folder: choose another name"
    );
    let has_entries = std::fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_some());
    ensure!(
        !has_entries,
        "{shown} exists and is not empty: choose another name, or empty it; nothing is overwritten"
    );
    Ok(())
}

fn made_up_secret(guide: &Guide) -> anyhow::Result<Option<String>> {
    if !guide.needs_secret() {
        return Ok(None);
    }

    let mut random = [0; SECRET_BYTES];
    getrandom::fill(&mut random).map_err(|error| anyhow!("no random bytes: {error}"))?;
    Ok(guide.made_up_secret(&random))
}

/// The sample of the provider as a file.
struct Sample {
    file: String,
    body: Vec<u8>,
}

// === impl Sample ===

impl Sample {
    /// JSON is laid out for people.
    fn of(guide: &Guide, stem: &str) -> Sample {
        let body = guide.sample_body();
        match serde_json::from_str::<Value>(body) {
            Ok(json) => Sample {
                file: format!("{stem}.json"),
                body: format!("{json:#}\n").into_bytes(),
            },
            Err(_) => Sample {
                // The ending says the content type of a case.
                file: format!(
                    "{stem}.{}",
                    if guide.sample_is_form() {
                        "form"
                    } else {
                        "txt"
                    }
                ),
                body: body.into(),
            },
        }
    }
}

fn values(new: &NewHandler, guide: &Guide, sample: &Sample, has_secret: bool) -> Values {
    let secret = format!("file:secrets/{}", new.name);
    Values {
        module: new.name.replace('-', "_"),
        name: new.name.clone(),
        template: new.template.word(),
        language: new.language.word(),
        source: new.language.source(),
        provider: guide.name.clone(),
        title: guide.title().into(),
        event: guide.sample_event().unwrap_or_default(),
        sample: sample.file.clone(),
        verify: guide.verify_table(&secret, &secret),
        path: guide.hook_path(&new.name).unwrap_or_default(),
        needs_key: guide.needs_secret() && !has_secret,
        has_secret,
    }
}

/// Never overwrites.
fn write_new(path: &Path, bytes: &[u8], mode: u32) -> anyhow::Result<()> {
    let opened = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path);
    opened
        .and_then(|mut file| file.write_all(bytes))
        .with_context(|| format!("{} cannot be written", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_provider_gets_a_hook_file() {
        let packs = Packs::default();
        let dir = tempfile::tempdir().unwrap();
        for (number, provider) in landfall_verify::pack_names().enumerate() {
            let new = NewHandler {
                name: format!("h{number}"),
                language: Language::Rust,
                provider: Some(provider.into()),
                template: Template::Trigger,
            };
            let written = write(&new, dir.path(), &packs).unwrap();
            let text =
                std::fs::read_to_string(written.dir.join(format!("h{number}.toml"))).unwrap();
            let name = new.name.parse().unwrap();
            let spec = landfall_config::parse_hook(landfall_config::HookSource {
                name: &name,
                text: &text,
                manifest: None,
                dir: &written.dir,
                capabilities: landfall_engine::CAPABILITIES,
            });
            let spec = spec.unwrap_or_else(|error| panic!("{provider}: {error}\n{text}"));
            assert!(spec.verify.provider.is_some(), "{text}");
        }
    }

    #[test]
    fn folders_are_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("mine")).unwrap();
        std::fs::write(dir.path().join("mine/README.md"), "kept").unwrap();
        let new = NewHandler {
            name: "mine".into(),
            language: Language::Rust,
            provider: None,
            template: Template::Empty,
        };
        let error = write(&new, dir.path(), &Packs::default())
            .unwrap_err()
            .to_string();
        assert!(error.contains("exists and is not empty"), "{error}");
        assert_eq!(
            std::fs::read_dir(dir.path().join("mine")).unwrap().count(),
            1
        );

        std::fs::remove_file(dir.path().join("mine/README.md")).unwrap();
        write(&new, dir.path(), &Packs::default()).unwrap();
        assert_eq!(
            std::fs::read_dir(dir.path()).unwrap().count(),
            1,
            "nothing is left beside the folder"
        );
    }

    #[test]
    fn unfinished_folders_are_removed() {
        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path().join("mine");
        let partial = Partial::create(&dir).unwrap();
        std::fs::write(partial.dir.join("README.md"), "half").unwrap();
        drop(partial);
        assert_eq!(std::fs::read_dir(parent.path()).unwrap().count(), 0);

        let partial = Partial::create(&dir).unwrap();
        std::fs::create_dir(&dir).unwrap();
        std::fs::write(dir.join("kept"), "").unwrap();
        let error = partial.place(&dir).unwrap_err().to_string();
        assert!(error.contains("exists and is not empty"), "{error}");
        assert!(dir.join("kept").is_file());
    }
}
