"""The system calls that sandboxed processes may make, as BPF programs.

What is not listed is refused, so that a call nobody thought of is no door.  libseccomp
builds the programs (through `pyseccomp`) on the trusted side, for this machine's processor.
`confine.seccomp_loader` loads them inside.  Importing this module raises ImportError or
OSError where libseccomp is not installed.
"""

from __future__ import annotations

import errno
import tempfile

import pyseccomp

_CLONE_THREAD = 0x10000  # the flag of `clone` that makes a thread, not a process
# Commands of `fcntl` by which a file sends signals, even SIGKILL to its own process:
# F_SETOWN, F_SETSIG, F_SETOWN_EX.  And by which it watches others: F_SETLEASE, F_NOTIFY.
_SIGNALLING = (8, 10, 15, 1024, 1026)
_SET_PDEATHSIG = 1  # of `prctl`
# Requests of `ioctl` about a descriptor or a terminal: FIONREAD, FIONBIO, FIOCLEX,
# FIONCLEX, TCGETS, TIOCGWINSZ.  Others change files, as chattr does.
_REQUESTS = (0x541B, 0x5421, 0x5451, 0x5450, 0x5401, 0x5413)
_STREAM, _KIND_OF_SOCKET = 1, 0xF  # SOCK_STREAM; the bits of a type that are no flags

# Allowed to every process of the sandbox, the zygote included.
_ALLOWED = (
    # files that are open
    "read write readv writev pread64 pwrite64 preadv pwritev preadv2 pwritev2 lseek "
    "_llseek close close_range dup dup2 dup3 fcntl fcntl64 flock fsync fdatasync "
    "sync_file_range truncate truncate64 ftruncate ftruncate64 fallocate fadvise64 "
    "readahead sendfile sendfile64 copy_file_range splice tee "
    # files and folders by name
    "open openat openat2 creat access faccessat faccessat2 stat stat64 fstat fstat64 lstat "
    "lstat64 newfstatat fstatat64 statx statfs statfs64 fstatfs fstatfs64 getdents "
    "getdents64 getcwd chdir fchdir rename renameat renameat2 mkdir mkdirat rmdir link "
    "linkat symlink symlinkat readlink readlinkat unlink unlinkat umask chmod fchmod "
    "fchmodat fchmodat2 utime utimes futimesat utimensat "
    # pipes, waiting, and the sockets that were handed over
    "pipe pipe2 poll ppoll select pselect6 _newselect epoll_create epoll_create1 epoll_ctl "
    "epoll_ctl_old epoll_wait epoll_wait_old epoll_pwait epoll_pwait2 eventfd eventfd2 "
    "timerfd_create timerfd_settime timerfd_gettime signalfd signalfd4 recvfrom recv "
    "recvmsg sendmsg send shutdown getsockopt setsockopt getsockname getpeername "
    # memory
    "mmap mmap2 mprotect munmap mremap msync madvise mincore brk mlock mlock2 munlock "
    "membarrier pkey_alloc pkey_free pkey_mprotect get_mempolicy map_shadow_stack "
    # threads
    "futex futex_time64 futex_waitv futex_wake futex_wait futex_requeue set_tid_address "
    "set_robust_list get_robust_list rseq sched_yield sched_getaffinity sched_getparam "
    "sched_getscheduler sched_getattr sched_get_priority_max sched_get_priority_min "
    "sched_rr_get_interval getcpu set_thread_area get_thread_area "
    # this process, and what it may know of the machine
    "getpid gettid getppid getpgrp getpgid getsid getuid geteuid getgid getegid getresuid "
    "getresgid getgroups getpriority getrlimit ugetrlimit getrusage times capget uname "
    "sysinfo getrandom arch_prctl prctl exit exit_group restart_syscall "
    # clocks
    "time gettimeofday clock_gettime clock_gettime64 clock_getres clock_getres_time64 "
    "nanosleep clock_nanosleep clock_nanosleep_time64 getitimer setitimer alarm "
    # its own signals
    "rt_sigaction sigaction rt_sigprocmask sigprocmask rt_sigreturn sigreturn "
    "rt_sigpending rt_sigtimedwait rt_sigsuspend sigaltstack pause "
    # the zygote's work: see `_NOT_BY_PROGRAMS`
    "fork clone kill wait4 waitpid waitid setrlimit prlimit64 seccomp sched_setaffinity"
).split()
# Of these, refused to candidates and to the examiner.  The zygote forks, kills, and has
# each candidate lower its limits.  On a Unix socket `sendmsg` could name a stranger.
_NOT_BY_PROGRAMS = "fork kill setrlimit sched_setaffinity sendmsg".split()
# The same where a process sees this machine's files: their owner may change these, whatever
# Landlock says of their content.
_NOT_ON_OUR_FILES = (
    "chmod fchmod fchmodat fchmodat2 utime utimes futimesat utimensat".split()
)
# Refused with EPERM, which programs expect of a sandbox.  Of all that is not listed they
# are told, with ENOSYS, that this kernel does not have it: then libraries fall back.
_FORBIDDEN = (
    "execve execveat vfork ptrace process_vm_readv process_vm_writev kcmp perf_event_open "
    "process_madvise pidfd_open pidfd_getfd pidfd_send_signal tkill tgkill rt_sigqueueinfo "
    "rt_tgsigqueueinfo setsid setpgid setpriority sched_setscheduler sched_setparam "
    "sched_setattr sethostname setdomainname socket bind connect listen accept accept4 "
    "sendmmsg mount umount2 pivot_root chroot unshare setns mknod mknodat chown fchown "
    "lchown fchownat setuid setgid setreuid setregid setresuid setresgid setgroups capset "
    "memfd_create shmget msgget semget mq_open bpf io_uring_setup userfaultfd keyctl "
    "add_key timer_create ioprio_set inotify_init inotify_init1 fanotify_init"
).split()
_NO_ATTRIBUTES = (  # ENOTSUP: a file system without them, so that `shutil.copy2` works
    "setxattr lsetxattr fsetxattr getxattr lgetxattr fgetxattr listxattr llistxattr "
    "flistxattr removexattr lremovexattr fremovexattr"
).split()


def filters(private: bool) -> tuple[bytes, bytes]:
    """Two filters as BPF programs for this machine's processor.

    Every process of the sandbox loads the first, which says what is allowed at all.
    Candidates and the examiner add the second, which is short because it is loaded once per
    program.  `private` says that they have a file system of their own.

    Raises OSError where libseccomp cannot build them.
    """
    return _as_bytes(_of_all()), _as_bytes(_of_programs(private))


def _of_all() -> pyseccomp.SyscallFilter:
    rules = pyseccomp.SyscallFilter(pyseccomp.ERRNO(errno.ENOSYS))
    _add(rules, pyseccomp.ALLOW, _ALLOWED)
    _add(rules, pyseccomp.ERRNO(errno.EPERM), _FORBIDDEN)
    _add(rules, pyseccomp.ERRNO(errno.ENOTSUP), _NO_ATTRIBUTES)
    for request in _REQUESTS:
        rules.add_rule(pyseccomp.ALLOW, "ioctl", pyseccomp.Arg(1, pyseccomp.EQ, request))
    # A pair of streams, as asyncio makes for itself.  A datagram socket could be pointed at
    # a stranger's; an address is refused to `sendto` as well.
    stream = pyseccomp.Arg(1, pyseccomp.MASKED_EQ, _KIND_OF_SOCKET, _STREAM)
    rules.add_rule(pyseccomp.ALLOW, "socketpair", stream)
    rules.add_rule(pyseccomp.ALLOW, "sendto", pyseccomp.Arg(4, pyseccomp.EQ, 0))
    return rules


def _of_programs(private: bool) -> pyseccomp.SyscallFilter:
    refuse = pyseccomp.ERRNO(errno.EPERM)
    rules = pyseccomp.SyscallFilter(pyseccomp.ALLOW)
    _add(rules, refuse, _NOT_BY_PROGRAMS)
    # In a jail nothing else than the devices is this machine's.  There these calls do
    # nothing and report success, so that `shutil.copy` works.
    _add(rules, pyseccomp.ERRNO(0) if private else refuse, _NOT_ON_OUR_FILES)
    # A candidate dies with its zygote; it could take that back.
    rules.add_rule(refuse, "prctl", pyseccomp.Arg(0, pyseccomp.EQ, _SET_PDEATHSIG))
    # Threads may be started, processes may not: refuse `clone` where flags & CLONE_THREAD
    # is 0.  (clone3 passes its flags in memory, where a filter cannot read them; told that
    # it does not exist, glibc falls back to clone.)
    thread = pyseccomp.Arg(0, pyseccomp.MASKED_EQ, _CLONE_THREAD, 0)
    rules.add_rule(refuse, "clone", thread)
    # prlimit64 reads a limit where its third argument, the new limit, is NULL.  That is
    # fine; setting one is not.
    rules.add_rule(refuse, "prlimit64", pyseccomp.Arg(2, pyseccomp.NE, 0))
    for command in _SIGNALLING:
        rules.add_rule(refuse, "fcntl", pyseccomp.Arg(1, pyseccomp.EQ, command))
    return rules


def _add(rules: pyseccomp.SyscallFilter, action: int, names: list[str]) -> None:
    """Add a rule for each call that this libseccomp and this processor know."""
    for name in names:
        try:
            rules.add_rule(action, name)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.EFAULT, errno.EDOM):
                raise


def _as_bytes(rules: pyseccomp.SyscallFilter) -> bytes:
    # libseccomp writes to a file descriptor only.
    with tempfile.TemporaryFile() as file:
        rules.export_bpf(file)
        file.seek(0)
        return file.read()
