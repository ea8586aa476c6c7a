//! The standard metrics of a process, from `/proc`. A value that cannot be read is left out.

use std::time::{SystemTime, UNIX_EPOCH};

use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};

use super::gauges::Gauges;

/// Adds the metrics of this process. `started`: the time of its start.
pub fn add_process(gauges: &Gauges, started: SystemTime) {
    let since_epoch = started.duration_since(UNIX_EPOCH).unwrap_or_default();
    gauges.set(
        "process_start_time_seconds",
        "Start time of the process since unix epoch in seconds.",
        since_epoch.as_secs_f64(),
    );
    let used = clock_gettime(ClockId::ProcessCPUTime);
    gauges.count_seconds(
        "process_cpu_seconds_total",
        "Total user and system CPU time spent in seconds.",
        used.tv_sec as f64 + used.tv_nsec as f64 / 1e9,
    );

    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    for (name, help, key, unit) in [
        (
            "process_resident_memory_bytes",
            "Resident memory size in bytes.",
            "VmRSS:",
            1024.0,
        ),
        (
            "process_virtual_memory_bytes",
            "Virtual memory size in bytes.",
            "VmSize:",
            1024.0,
        ),
        (
            "process_threads",
            "Number of OS threads in the process.",
            "Threads:",
            1.0,
        ),
    ] {
        if let Some(value) = value_of(&status, key) {
            gauges.set(name, help, value * unit);
        }
    }

    if let Ok(open) = std::fs::read_dir("/proc/self/fd") {
        // The directory itself is open while it is read.
        let count = open.count().saturating_sub(1);
        gauges.set(
            "process_open_fds",
            "Number of open file descriptors.",
            count as f64,
        );
    }
    if let Some(max) = getrlimit(Resource::Nofile).current {
        gauges.set(
            "process_max_fds",
            "Maximum number of open file descriptors.",
            max as f64,
        );
    }
}

/// The number after a key of `/proc/self/status`.
fn value_of(status: &str, key: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix(key))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_the_process_are_found() {
        let status = "Name:\tlandfall\nVmSize:\t  2048 kB\nVmRSS:\t    12 kB\nThreads:\t9\n";
        assert_eq!(value_of(status, "VmRSS:"), Some(12.0));
        assert_eq!(value_of(status, "Threads:"), Some(9.0));
        assert_eq!(value_of(status, "VmSwap:"), None);
    }
}
