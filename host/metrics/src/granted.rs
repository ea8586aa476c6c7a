//! How many versions of a hook grant each host, so that the series of a host can end with the last.

use std::collections::HashMap;
use std::sync::Mutex;

use landfall_model::lock;

/// The hosts that are granted now.
#[derive(Default)]
pub(crate) struct GrantedHosts {
    versions: Mutex<HashMap<String, usize>>,
}

// === impl GrantedHosts ===

impl GrantedHosts {
    /// The hosts of a new version, each once.
    pub(crate) fn add<'a>(&self, hosts: impl Iterator<Item = &'a str>) {
        let mut versions = lock(&self.versions);
        for host in hosts {
            *versions.entry(host.to_owned()).or_default() += 1;
        }
    }

    /// The hosts of a version that has ended. `end` is called for each host that no version grants
    /// any more, before a new version can grant it.
    pub(crate) fn remove<'a>(&self, hosts: impl Iterator<Item = &'a str>, end: impl Fn(&str)) {
        let mut versions = lock(&self.versions);
        for host in hosts {
            let Some(count) = versions.get_mut(host) else {
                continue;
            };
            *count -= 1;
            if *count == 0 {
                versions.remove(host);
                end(host);
            }
        }
    }
}
