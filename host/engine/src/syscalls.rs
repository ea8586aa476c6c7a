//! The system call filter of the compiler's process (seccomp). A compiler computes: it needs
//! memory, threads and one file. Calls that reach the network, other programs or other processes
//! fail.

use std::collections::BTreeMap;
use std::io;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule,
};

/// System calls that always fail.
const DENIED: &[i64] = &[
    // The network, and sockets of other programs on this machine.
    libc::SYS_socket,
    libc::SYS_socketpair,
    libc::SYS_connect,
    libc::SYS_bind,
    libc::SYS_listen,
    libc::SYS_accept,
    libc::SYS_accept4,
    libc::SYS_sendto,
    libc::SYS_sendmsg,
    libc::SYS_sendmmsg,
    // io_uring makes calls that no filter sees.
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    // Other programs.
    libc::SYS_execve,
    libc::SYS_execveat,
    // Other processes.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_pidfd_open,
    libc::SYS_pidfd_getfd,
    libc::SYS_pidfd_send_signal,
    libc::SYS_rt_sigqueueinfo,
    libc::SYS_rt_tgsigqueueinfo,
    // Privileges and large parts of the kernel that a compiler has no use for.
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_open_by_handle_at,
];
/// System calls whose first argument is a process: they fail unless that is this process.
const OWN_PROCESS: &[i64] = &[libc::SYS_kill, libc::SYS_tkill, libc::SYS_tgkill];
/// The x32 calls of an x86-64 kernel have this bit. They are the same calls under other numbers.
#[cfg(target_arch = "x86_64")]
const X32: i64 = 0x4000_0000;
/// Those of `DENIED` that have numbers of their own in x32: execve, ptrace, sendmsg, sendmmsg,
/// rt_sigqueueinfo, rt_tgsigqueueinfo, process_vm_readv, process_vm_writev, execveat.
#[cfg(target_arch = "x86_64")]
const X32_ONLY: [i64; 9] = [520, 521, 518, 538, 524, 536, 539, 540, 545];

/// Filters the system calls of this thread and of the threads that it starts. `false` where the
/// kernel, or the sandbox around this process, has no filters.
pub(crate) fn filter() -> anyhow::Result<bool> {
    use seccompiler::Error;
    for program in [denied()?, unknown()?] {
        match seccompiler::apply_filter(&program) {
            Ok(()) => {}
            Err(Error::Prctl(error) | Error::Seccomp(error)) if is_missing(&error) => {
                return Ok(false);
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(true)
}

fn is_missing(error: &io::Error) -> bool {
    let missing = [libc::ENOSYS, libc::EINVAL, libc::EPERM, libc::EACCES];
    error
        .raw_os_error()
        .is_some_and(|code| missing.contains(&code))
}

/// The calls that fail with EPERM.
fn denied() -> anyhow::Result<BpfProgram> {
    let own = u64::from(std::process::id());
    let mut rules = BTreeMap::new();
    for call in DENIED {
        deny(&mut rules, *call, Vec::new());
    }
    for call in OWN_PROCESS {
        deny(&mut rules, *call, vec![unless_first_is(own)?]);
    }
    // Zero is the process itself, too.
    let of_others = vec![unless_first_is(0)?];
    deny(&mut rules, libc::SYS_prlimit64, of_others);
    // A process that is not a thread would outlive the compiler.
    let no_thread = SeccompCmpOp::MaskedEq(libc::CLONE_THREAD as u64);
    let processes = vec![when_first(no_thread, 0)?];
    deny(&mut rules, libc::SYS_clone, processes);
    #[cfg(target_arch = "x86_64")]
    for call in [libc::SYS_fork, libc::SYS_vfork] {
        deny(&mut rules, call, Vec::new());
    }
    #[cfg(target_arch = "x86_64")]
    for call in X32_ONLY {
        rules.insert(call | X32, Vec::new());
    }

    failing_with(libc::EPERM, rules)
}

/// No filter sees the arguments of clone3. Where it is unknown, the C library uses clone.
fn unknown() -> anyhow::Result<BpfProgram> {
    let mut rules = BTreeMap::new();
    deny(&mut rules, libc::SYS_clone3, Vec::new());
    failing_with(libc::ENOSYS, rules)
}

fn failing_with(code: i32, rules: BTreeMap<i64, Vec<SeccompRule>>) -> anyhow::Result<BpfProgram> {
    let failure = SeccompAction::Errno(code as u32);
    let arch = std::env::consts::ARCH.try_into()?;
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, failure, arch)?;
    Ok(filter.try_into()?)
}

fn deny(rules: &mut BTreeMap<i64, Vec<SeccompRule>>, call: i64, when: Vec<SeccompRule>) {
    #[cfg(target_arch = "x86_64")]
    rules.insert(call | X32, when.clone());
    rules.insert(call, when);
}

fn unless_first_is(value: u64) -> anyhow::Result<SeccompRule> {
    when_first(SeccompCmpOp::Ne, value)
}

fn when_first(compared: SeccompCmpOp, value: u64) -> anyhow::Result<SeccompRule> {
    let condition = SeccompCondition::new(0, SeccompCmpArgLen::Dword, compared, value)?;
    Ok(SeccompRule::new(vec![condition])?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_denied<T>(result: io::Result<T>) -> bool {
        result.is_err_and(|error| error.raw_os_error() == Some(libc::EPERM))
    }

    /// The filter is not undone: it ends with the thread.
    fn filtered(body: impl FnOnce() + Send) {
        std::thread::scope(|scope| {
            scope.spawn(|| {
                assert!(filter().unwrap(), "this kernel has seccomp filters");
                body();
            });
        });
    }

    #[test]
    fn sockets_and_programs_are_denied() {
        filtered(|| {
            assert!(is_denied(std::net::TcpListener::bind("127.0.0.1:0")));
            assert!(is_denied(std::net::UdpSocket::bind("127.0.0.1:0")));
            assert!(is_denied(std::os::unix::net::UnixStream::pair()));
            assert!(is_denied(std::process::Command::new("true").status()));
        });
        assert!(std::net::TcpListener::bind("127.0.0.1:0").is_ok());
    }

    #[test]
    fn signals_reach_only_this_process() {
        use rustix::process::{Pid, getpid, getppid, test_kill_process};

        filtered(|| {
            let other = getppid().unwrap_or(Pid::INIT);
            assert_eq!(test_kill_process(other), Err(rustix::io::Errno::PERM));
            assert_eq!(test_kill_process(getpid()), Ok(()));
        });
    }

    #[test]
    fn threads_inherit_the_filter() {
        filtered(|| {
            let bound = std::thread::scope(|scope| {
                let thread = scope.spawn(|| std::net::TcpListener::bind("127.0.0.1:0"));
                thread.join().unwrap()
            });
            assert!(is_denied(bound));
        });
    }
}
