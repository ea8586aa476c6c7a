//! Divides the file descriptors between the public listener and everything else.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The minimum for files, child processes, the ledger, the admin listener and outbound calls.
const RESERVED_MIN: usize = 192;
/// The minimum for the public listener.
const CONNECTIONS_MIN: usize = 16;
/// A higher limit is useless, because `limits.connections` has an upper bound too.
const WANTED: u64 = 1 << 20;

/// Raises the descriptor limit of this process as far as possible. Returns the number of
/// connections that the public listener may hold: the requested number, or fewer if the limit is
/// too low.
pub(crate) fn reserve(connections: usize) -> usize {
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

/// A quarter of the descriptors is reserved for other uses.
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
