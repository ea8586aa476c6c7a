//! File descriptors: each connection is one, and so is each file, child process and outbound call.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// For files, child processes, the ledger, the admin listener and outbound calls, at least.
const RESERVED_MIN: usize = 192;
/// The public listener gets the rest, but never less than this.
const CONNECTIONS_MIN: usize = 16;
/// More are of no use: `limits.connections` has an upper bound too.
const WANTED: u64 = 1 << 20;

/// Raises the limit of this process as far as it may, and gives the number of connections that the public listener may hold: as many
/// as were asked for, or fewer where the limit is too low for them.
pub fn reserve(connections: usize) -> usize {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let wanted = maximum.unwrap_or(WANTED).min(WANTED);
    let raised = current.is_some_and(|current| current < wanted)
        && setrlimit(
            Resource::Nofile,
            Rlimit {
                current: Some(wanted),
                maximum,
            },
        )
        .is_ok();
    let limit = if raised { Some(wanted) } else { current };
    let Some(limit) = limit.and_then(|limit| usize::try_from(limit).ok()) else {
        return connections;
    };

    let most = most(limit);
    if connections > most {
        tracing::warn!(
            limit,
            connections,
            most,
            "limits.connections is lowered: the process may have too few open files (ulimit -n) for so many; raise that limit, or lower \
             limits.connections"
        );
    }
    connections.min(most)
}

/// A quarter of the descriptors is not for connections.
fn most(limit: usize) -> usize {
    limit
        .saturating_sub((limit / 4).max(RESERVED_MIN))
        .max(CONNECTIONS_MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quarter_is_reserved() {
        assert_eq!([64, 256, 1024, 65_536].map(most), [16, 64, 768, 49_152]);
    }
}
