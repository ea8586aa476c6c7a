//! Opens a file below a directory. No link on the way may lead out of the directory. The kernel
//! checks that (`openat2`); where it cannot, this file walks the path one name at a time by the
//! same rules.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

/// The most links in one walk. The kernel has the same limit.
const LINKS_MAX: usize = 40;

const READ: OFlags = OFlags::RDONLY
    .union(OFlags::NONBLOCK)
    .union(OFlags::CLOEXEC)
    .union(OFlags::NOCTTY);

/// Opens a file for reading. A name that leads out of the directory is `EXDEV`.
pub(crate) fn open(dir: &File, name: &str) -> Result<OwnedFd, Errno> {
    open_by(dir, name, |dir, name| {
        rustix::fs::openat2(dir, name, READ, Mode::empty(), ResolveFlags::BENEATH)
    })
}

fn open_by(
    dir: &File,
    name: &str,
    openat2: impl Fn(BorrowedFd<'_>, &str) -> Result<OwnedFd, Errno>,
) -> Result<OwnedFd, Errno> {
    match openat2(dir.as_fd(), name) {
        // An old kernel or gVisor, a seccomp profile, or names that were moved during the kernel's
        // walk.
        Err(Errno::NOSYS | Errno::PERM | Errno::AGAIN) => walk(dir, name),
        opened => opened,
    }
}

/// Does what `openat2` does with `RESOLVE_BENEATH`. The kernel gets only names of one part, and
/// follows no link. `..` returns to a directory that the walk came through.
fn walk(dir: &File, name: &str) -> Result<OwnedFd, Errno> {
    let mut links = 0;
    let mut left = parts(OsStr::new(name))?;
    // The directories that the walk came through, below `dir`.
    let mut below: Vec<OwnedFd> = Vec::new();

    while let Some(part) = left.pop_front() {
        if part == "." {
            continue;
        }
        if part == ".." {
            below.pop().ok_or(Errno::XDEV)?;
            continue;
        }
        let here = below.last().map_or(dir.as_fd(), OwnedFd::as_fd);
        let is_last = left.is_empty();
        match file_type(here, &part)? {
            FileType::Symlink => {
                links += 1;
                if links > LINKS_MAX {
                    return Err(Errno::LOOP);
                }
                let target = rustix::fs::readlinkat(here, &part, Vec::new())?;
                for part in parts(OsStr::from_bytes(target.as_bytes()))?
                    .into_iter()
                    .rev()
                {
                    left.push_front(part);
                }
            }
            // If a link has replaced the file meanwhile, this is an error.
            _ if is_last => {
                return rustix::fs::openat(here, &part, READ | OFlags::NOFOLLOW, Mode::empty());
            }
            _ => {
                let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                below.push(rustix::fs::openat(here, &part, flags, Mode::empty())?);
            }
        }
    }
    // The path leads to a directory.
    let here = below.last().map_or(dir.as_fd(), OwnedFd::as_fd);
    rustix::fs::openat(here, ".", READ, Mode::empty())
}

fn file_type(dir: BorrowedFd<'_>, name: &OsStr) -> Result<FileType, Errno> {
    let stat = rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(FileType::from_raw_mode(stat.st_mode))
}

/// The names in a path, which must be relative.
fn parts(path: &OsStr) -> Result<VecDeque<OsString>, Errno> {
    let bytes = path.as_bytes();
    if bytes.starts_with(b"/") {
        return Err(Errno::XDEV);
    }
    if bytes.is_empty() {
        return Err(Errno::NOENT);
    }
    let names = bytes
        .split(|byte| *byte == b'/')
        .filter(|name| !name.is_empty());
    Ok(names
        .map(|name| OsStr::from_bytes(name).to_owned())
        .collect())
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    use super::*;

    fn read(opened: Result<OwnedFd, Errno>) -> Result<String, Errno> {
        let mut text = String::new();
        File::from(opened?)
            .read_to_string(&mut text)
            .map_err(|error| Errno::from_io_error(&error).unwrap())?;
        Ok(text)
    }

    fn tree(root: &Path) -> File {
        let dir = root.join("plugins");
        std::fs::create_dir_all(dir.join("..2024/sub")).unwrap();
        std::fs::write(root.join("secret"), "secret").unwrap();
        std::fs::write(dir.join("plain.toml"), "plain").unwrap();
        std::fs::write(dir.join("..2024/in.toml"), "in").unwrap();
        for (target, name) in [
            ("..2024", "..data"),
            ("..data/in.toml", "in.toml"),
            ("./..2024/sub/../../plain.toml", "around.toml"),
            ("..2024//sub/..//in.toml", "slashes.toml"),
            ("../secret", "out.toml"),
            ("..data/../../secret", "out-later.toml"),
            ("..2024/sub/../../../plugins/plain.toml", "out-and-in.toml"),
            ("/etc/hostname", "absolute.toml"),
            ("/proc/self/root/etc/hostname", "magic.toml"),
            ("loop-b.toml", "loop-a.toml"),
            ("loop-a.toml", "loop-b.toml"),
            ("plain.toml/x", "through-file.toml"),
            ("missing", "dangling.toml"),
            ("..2024/up", "two-links.toml"),
        ] {
            symlink(target, dir.join(name)).unwrap();
        }
        symlink("../../secret", dir.join("..2024/up")).unwrap();
        symlink(dir.join("plain.toml"), dir.join("absolute-in.toml")).unwrap();
        File::open(dir).unwrap()
    }

    const NAMES: [&str; 18] = [
        "plain.toml",
        "in.toml",
        "around.toml",
        "slashes.toml",
        "out.toml",
        "out-later.toml",
        "out-and-in.toml",
        "absolute.toml",
        "absolute-in.toml",
        "magic.toml",
        "loop-a.toml",
        "through-file.toml",
        "dangling.toml",
        "two-links.toml",
        "missing.toml",
        "..data",
        "../secret",
        "..",
    ];

    #[test]
    fn walk_is_as_strict_as_openat2() {
        let root = tempfile::tempdir().unwrap();
        let dir = tree(root.path());
        let by_kernel =
            |name| rustix::fs::openat2(&dir, name, READ, Mode::empty(), ResolveFlags::BENEATH);
        if by_kernel("plain.toml").is_err_and(|error| error == Errno::NOSYS || error == Errno::PERM)
        {
            return;
        }
        for name in NAMES {
            assert_eq!(read(walk(&dir, name)), read(by_kernel(name)), "{name}");
        }
    }

    #[test]
    fn walk_replaces_a_missing_openat2() {
        let root = tempfile::tempdir().unwrap();
        let dir = tree(root.path());
        for error in [Errno::NOSYS, Errno::PERM, Errno::AGAIN] {
            let opened = |name| read(open_by(&dir, name, |_, _| Err(error)));
            assert_eq!(opened("in.toml").as_deref(), Ok("in"));
            assert_eq!(opened("around.toml").as_deref(), Ok("plain"));
            for out in [
                "out.toml",
                "out-later.toml",
                "out-and-in.toml",
                "absolute.toml",
                "magic.toml",
                "two-links.toml",
            ] {
                assert_eq!(opened(out), Err(Errno::XDEV), "{out}");
            }
        }
        assert_eq!(
            read(open_by(&dir, "in.toml", |_, _| Err(Errno::ACCESS))),
            Err(Errno::ACCESS)
        );
    }
}
