"""The system calls that sandboxed processes are refused, as BPF programs.

libseccomp builds them (through `pyseccomp`) on the trusted side, for this machine's
processor.  `confine.seccomp_loader` loads them inside.  Importing this module raises
ImportError or OSError where libseccomp is not installed.
"""

from __future__ import annotations

import errno
import tempfile

import pyseccomp

_CLONE_THREAD = 0x10000  # the flag of `clone` that makes a thread, not a process
# Commands of `fcntl` by which a file sends signals, even SIGKILL to its own process:
# F_SETOWN, F_SETSIG, F_SETOWN_EX.
_SIGNALLING = (8, 10, 15)

# Refused to every process of the sandbox, the zygote included.
_NEVER = (
    # other programs, other processes
    "execve execveat ptrace process_vm_readv process_vm_writev kcmp perf_event_open "
    "process_madvise process_mrelease pidfd_getfd "
    # the network
    "socket bind connect listen accept accept4 "
    # namespaces and file systems
    "mount umount2 pivot_root chroot unshare setns open_tree move_mount fsopen fsconfig "
    "fsmount fspick mount_setattr mknod mknodat quotactl name_to_handle_at "
    "open_by_handle_at fanotify_init inotify_init inotify_init1 "
    # memory that outlives a process, and doors into the kernel
    "timer_create "  # whose timer may send any signal
    "memfd_create memfd_secret shmget msgget semget mq_open bpf io_uring_setup "
    "io_uring_enter io_uring_register keyctl add_key request_key userfaultfd personality "
    "init_module finit_module delete_module kexec_load reboot swapon swapoff acct"
).split()
# Refused to candidates and to the examiner.  The zygote forks, kills, and has each
# candidate lower its limits, so it needs some of these.
_NOT_BY_PROGRAMS = (
    "fork vfork kill tkill tgkill rt_sigqueueinfo rt_tgsigqueueinfo pidfd_open "
    "pidfd_send_signal setsid setpgid setrlimit sched_setaffinity"
).split()


def filters() -> tuple[bytes, bytes]:
    """Two deny lists as BPF programs for this machine's processor.

    Every process of the sandbox loads the first.  Candidates and the examiner add the
    second, which is short because it is loaded once per program.

    Raises OSError where libseccomp cannot build them.
    """
    refuse = pyseccomp.ERRNO(errno.EPERM)
    programs = _deny(_NOT_BY_PROGRAMS)
    # Threads may be started, processes may not: refuse `clone` where flags & CLONE_THREAD
    # is 0.
    thread = pyseccomp.Arg(0, pyseccomp.MASKED_EQ, _CLONE_THREAD, 0)
    programs.add_rule(refuse, "clone", thread)
    # clone3 passes its flags in memory, where a filter cannot read them.  Told that it does
    # not exist, glibc falls back to clone.
    programs.add_rule(pyseccomp.ERRNO(errno.ENOSYS), "clone3")
    # prlimit64 reads a limit where its third argument, the new limit, is NULL.  That is
    # fine; setting one is not.
    programs.add_rule(refuse, "prlimit64", pyseccomp.Arg(2, pyseccomp.NE, 0))
    for command in _SIGNALLING:
        by_file = pyseccomp.Arg(1, pyseccomp.EQ, command)
        programs.add_rule(refuse, "fcntl", by_file)
    return _as_bytes(_deny(_NEVER)), _as_bytes(programs)


def _deny(names: list[str]) -> pyseccomp.SyscallFilter:
    """A filter that refuses these system calls with EPERM and allows all others."""
    rules = pyseccomp.SyscallFilter(pyseccomp.ALLOW)
    for name in names:
        try:
            rules.add_rule(pyseccomp.ERRNO(errno.EPERM), name)
        except OSError as error:  # this libseccomp or processor does not know the call
            if error.errno not in (errno.EINVAL, errno.EFAULT):
                raise
    return rules


def _as_bytes(rules: pyseccomp.SyscallFilter) -> bytes:
    # libseccomp writes to a file descriptor only.
    with tempfile.TemporaryFile() as file:
        rules.export_bpf(file)
        file.seek(0)
        return file.read()
