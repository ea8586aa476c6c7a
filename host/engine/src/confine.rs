//! What the compiler's process may do: write machine code into the directory of the cache, and nothing else with files or the network.
//! A component that exploits a bug in the compiler cannot reach other files or the network. Landlock: files from Linux 5.13 on, connections from 6.7 on.

use std::path::Path;

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset,
    RulesetAttr, RulesetCreatedAttr, RulesetError,
};

/// The newest Landlock ABI that is used. An older kernel enforces the part that it supports.
const RULES: ABI = ABI::V4;

/// Confines this thread and the threads that it starts to the files below `dir`.
pub fn confine(dir: &Path) -> anyhow::Result<()> {
    rustix::thread::set_no_new_privs(true)?;
    let rules = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(RULES))?
        .handle_access(AccessNet::from_all(RULES))?
        .create()?;
    let beneath = PathBeneath::new(PathFd::new(dir)?, AccessFs::from_all(RULES));
    rules.add_rule(beneath)?.restrict_self()?;
    Ok(())
}

/// Whether this kernel supports Landlock.
pub fn is_supported() -> bool {
    let rules = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(ABI::V1));
    let created: Result<_, RulesetError> = rules.and_then(Ruleset::create);
    created.is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn confined_process_has_its_directory() {
        let (dir, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let secret = outside.path().join("secret");
        std::fs::write(&secret, "s").unwrap();
        // A thread of its own: the other tests go on as they were.
        std::thread::scope(|scope| {
            scope.spawn(|| {
                confine(dir.path()).unwrap();
                std::fs::write(dir.path().join("code"), "c").unwrap();
                assert!(rustix::thread::no_new_privs().unwrap());
                if is_supported() {
                    assert!(std::fs::read(&secret).is_err());
                    assert!(std::fs::write(outside.path().join("new"), "n").is_err());
                }
            });
        });
        assert!(std::fs::read(&secret).is_ok());
    }
}
