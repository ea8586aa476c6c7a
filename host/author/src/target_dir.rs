//! Where cargo builds. With `CARGO_TARGET_DIR`, handlers share a directory, so that their
//! dependencies are compiled once.

use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::place::create_dir;
use crate::rust_target::RustTarget;
use landfall_config::env;

/// The directory for a cargo workspace.
pub(crate) fn of_workspace(dir: &Path) -> anyhow::Result<PathBuf> {
    let own = canonical(dir)?.join("target");
    // A folder of its own: the outer cargo may hold the lock of the other.
    Ok(shared()?.map_or(own, |shared| shared.join("wasm")))
}

/// The directory for a handler's folder, whose crate has this name.
pub(crate) fn of_handler(dir: &Path, name: &str) -> anyhow::Result<PathBuf> {
    let dir = canonical(dir)?;
    match shared()? {
        Some(shared) => in_shared(&shared.join("handlers"), &dir, name),
        None => Ok(dir.join("target")),
    }
}

fn canonical(dir: &Path) -> anyhow::Result<PathBuf> {
    dir.canonicalize()
        .with_context(|| format!("{} cannot be found", dir.display()))
}

fn shared() -> anyhow::Result<Option<PathBuf>> {
    let Some(shared) = env::var("CARGO_TARGET_DIR") else {
        return Ok(None);
    };
    let here = std::env::current_dir().context("the working directory cannot be read")?;
    Ok(Some(here.join(shared)))
}

/// `shared` itself, unless another folder builds a crate of this name there: cargo names the file
/// of a component after the crate, so that each of the two would copy what the other one has built.
fn in_shared(shared: &Path, dir: &Path, name: &str) -> anyhow::Result<PathBuf> {
    let name = name.replace('-', "_");
    create_dir(shared)?;
    let path = shared.join(format!("{name}.folder"));
    if is_owner(&path, shared, dir, &name)
        .with_context(|| format!("{} cannot be read or written", path.display()))?
    {
        return Ok(shared.to_owned());
    }

    let mut hasher = DefaultHasher::new();
    dir.hash(&mut hasher);
    Ok(shared.join(format!("{name}-{:016x}", hasher.finish())))
}

/// Whether `dir` is the folder that builds the crate of this name in `shared`: the one that the
/// file `owner` contains, or the first one after that was removed.
fn is_owner(owner: &Path, shared: &Path, dir: &Path, name: &str) -> std::io::Result<bool> {
    let mut file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(owner)?;
    // Until the file is closed.
    file.lock()?;

    let mut before = String::new();
    file.read_to_string(&mut before)?;
    if Path::new(&before) == dir {
        return Ok(true);
    }
    if !before.is_empty() && Path::new(&before).join("Cargo.toml").is_file() {
        return Ok(false);
    }

    // Cargo must not take the component of the folder before for that of this one.
    for target in RustTarget::ALL {
        let built = shared.join(target.triple()).join("release/deps");
        std::fs::remove_file(built.join(format!("{name}.wasm"))).ok();
    }
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(dir.to_string_lossy().as_bytes())?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_crate_names_build_apart() {
        let all = tempfile::tempdir().unwrap();
        let shared = all.path().join("shared");
        let [first, second] = ["a", "b"].map(|name| all.path().join(name));
        for folder in [&first, &second] {
            std::fs::create_dir(folder).unwrap();
            std::fs::write(folder.join("Cargo.toml"), "").unwrap();
        }

        let of = |folder: &Path, name: &str| in_shared(&shared, folder, name).unwrap();
        assert_eq!(of(&first, "my-push"), shared);
        let apart = of(&second, "my_push");
        assert!(apart.starts_with(&shared) && apart != shared, "{apart:?}");
        assert_eq!(of(&second, "my-push"), apart);
        assert_eq!(of(&first, "my-push"), shared);
        assert_eq!(of(&second, "other"), shared, "another name");

        let built = shared.join("wasm32-wasip2/release/deps/my_push.wasm");
        std::fs::create_dir_all(built.parent().unwrap()).unwrap();
        std::fs::write(&built, "").unwrap();
        std::fs::remove_dir_all(&first).unwrap();
        assert_eq!(of(&second, "my-push"), shared, "the first one is gone");
        assert!(!built.exists());
    }
}
