//! What the compiler's process may do: write files into the directory of the cache, and nothing
//! else with files, the network or other processes. A component that exploits a fault of the
//! compiler stays inside. Landlock confines files (Linux 5.13 and newer) and signals (6.12); a
//! system call filter denies the network and other programs.

use std::path::Path;

use anyhow::Context;
use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, LandlockStatus, PathBeneath, PathFd,
    Ruleset, RulesetAttr, RulesetCreatedAttr, Scope,
};

use super::syscalls;

/// The newest Landlock ABI that is used. An older kernel enforces the part that it supports.
const RULES: ABI = ABI::V6;
/// The first that confines everything that opens, changes or truncates a file.
const FILES: ABI = ABI::V3;

/// What the kernel enforces on the compiler's process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Confinement {
    /// Of Landlock; none where the kernel has none.
    landlock: Option<ABI>,
    has_syscall_filter: bool,
}

// === impl Confinement ===

impl Confinement {
    /// Asks the kernel, by confining a thread that ends at once.
    pub fn probe() -> anyhow::Result<Confinement> {
        std::thread::spawn(|| confine(Path::new("/")))
            .join()
            .map_err(|_| anyhow::anyhow!("the thread panicked"))?
    }

    /// A sentence for each part that this kernel, or the sandbox around the node, does not enforce.
    pub fn gaps(&self) -> Vec<&'static str> {
        let files = match self.landlock {
            None => Some(
                "Landlock is missing (Linux 5.13 or newer, and a container profile that allows it): the compiler's process can read and write the files of this user",
            ),
            Some(abi) if abi < FILES => Some(
                "Landlock is older than Linux 6.2: the compiler's process can truncate files of this user",
            ),
            Some(_) => None,
        };
        let calls = (!self.has_syscall_filter).then_some(
            "seccomp filters are missing: the compiler's process can open connections and start programs",
        );
        files.into_iter().chain(calls).collect()
    }

    /// What is enforced, in one line.
    pub fn summary(&self) -> String {
        let files = match self.landlock {
            Some(abi) => format!("files by Landlock (ABI {})", abi as i32),
            None => "files not confined".into(),
        };
        let calls = if self.has_syscall_filter {
            "system calls by seccomp"
        } else {
            "system calls not filtered"
        };
        format!("{files}, {calls}")
    }
}

/// Confines this thread and the threads that it starts to writing files into `dir`. What the kernel
/// does not have is left out; any other failure is an error.
pub(crate) fn confine(dir: &Path) -> anyhow::Result<Confinement> {
    rustix::thread::set_no_new_privs(true).context("no_new_privs cannot be set")?;
    let rules = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(RULES))?
        .handle_access(AccessNet::from_all(RULES))?
        .scope(Scope::from_all(RULES))?
        .create()?;
    let writing = AccessFs::MakeReg | AccessFs::WriteFile | AccessFs::Truncate;
    let beneath = PathBeneath::new(PathFd::new(dir)?, writing);
    let status = rules.add_rule(beneath)?.restrict_self()?;
    let landlock = match status.landlock {
        LandlockStatus::Available { effective_abi, .. } => Some(effective_abi.min(RULES)),
        LandlockStatus::NotEnabled | LandlockStatus::NotImplemented => None,
    };

    Ok(Confinement {
        landlock,
        has_syscall_filter: syscalls::filter()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn confined_process_has_its_directory() {
        let (dir, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (code, secret) = (dir.path().join("code"), outside.path().join("secret"));
        std::fs::write(&secret, "s").unwrap();
        // A thread of its own: the other tests go on as they were.
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let confinement = confine(dir.path()).unwrap();
                std::fs::write(&code, "c").unwrap();
                assert!(rustix::thread::no_new_privs().unwrap());
                if confinement.landlock >= Some(FILES) {
                    assert!(std::fs::read(&secret).is_err());
                    assert!(std::fs::write(&secret, "t").is_err());
                    assert!(std::fs::write(outside.path().join("new"), "n").is_err());
                    assert!(std::fs::rename(&code, &secret).is_err());
                    assert!(std::fs::read(&code).is_err());
                    assert!(std::fs::read_dir(dir.path()).is_err());
                }
            });
        });
        assert_eq!(std::fs::read(&secret).unwrap(), b"s");
    }

    #[test]
    fn probe_confines_no_other_thread() {
        let found = Confinement::probe().unwrap();
        assert_eq!(Confinement::probe().unwrap(), found);
        assert!(!rustix::thread::no_new_privs().unwrap());
        assert!(std::net::TcpListener::bind("127.0.0.1:0").is_ok());
    }

    #[test]
    fn missing_parts_are_named() {
        let with = |landlock, has_syscall_filter| Confinement {
            landlock,
            has_syscall_filter,
        };
        assert!(with(Some(ABI::V3), true).gaps().is_empty());
        let none = with(None, false);
        assert!(none.gaps()[0].starts_with("Landlock is missing"));
        assert!(none.gaps()[1].starts_with("seccomp filters are missing"));
        assert_eq!(
            none.summary(),
            "files not confined, system calls not filtered"
        );
        assert!(with(Some(ABI::V2), true).gaps()[0].contains("older than Linux 6.2"));
    }
}
