"""Limits that a process puts on itself and can never lift again.

- resource limits (memory, processor time, file size, descriptors): on every rung;
- seccomp: a list of the system calls that are allowed, which `seccomp` builds on the
  trusted side and which arrives here as bytes;
- Landlock: a process may write files in the scratch folder only, and read only those that
  `visible` names.

Namespaces are not here: bubblewrap makes them before Python starts (see `jail`).
"""

from __future__ import annotations

import ctypes
import os
import resource
import sys
from collections.abc import Callable

SIGKILL = 9  # spelt out: importing `signal` would load one module more

_MOST_SECONDS = resource.getrlimit(resource.RLIMIT_CPU)[1]  # of processor time

# Numbers of the kernel's interface, from linux/prctl.h, linux/seccomp.h, linux/landlock.h.
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE = 1, 4
_PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 22, 38
_SECCOMP_MODE_FILTER = 2

_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 444, 445, 446  # on every processor
_LANDLOCK_VERSION, _LANDLOCK_PATH = 1, 1
# Landlock's file rights are bits.  Each version of it knows the first so many of them.
_RIGHTS_BY_VERSION = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
_EXECUTE, _WRITE_FILE, _READ_FILE, _LIST_FOLDER = 1, 1 << 1, 1 << 2, 1 << 3
_TRUNCATE = 1 << 14
_READ = _EXECUTE | _READ_FILE | _LIST_FOLDER
_OF_A_FILE = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE  # the rest is for folders
_BIND_TCP, _CONNECT_TCP = 1, 1 << 1
_ABSTRACT_SOCKETS, _SIGNALS = 1, 1 << 1


class _Instructions(ctypes.Structure):
    """struct sock_fprog: a BPF program, as seccomp takes it."""

    _fields_ = [("count", ctypes.c_ushort), ("code", ctypes.c_char_p)]


class _Ruleset(ctypes.Structure):
    """struct landlock_ruleset_attr: what is refused unless a rule allows it."""

    _fields_ = [
        ("fs", ctypes.c_uint64),
        ("net", ctypes.c_uint64),
        ("scoped", ctypes.c_uint64),
    ]


class _PathRule(ctypes.Structure):
    """struct landlock_path_beneath_attr: rights below one folder.  The kernel packs it."""

    _pack_ = 1
    _fields_ = [("access", ctypes.c_uint64), ("parent", ctypes.c_int32)]


_libc = ctypes.CDLL(None, use_errno=True)


def _call(function: object, *arguments: object) -> int:
    """Call a function of libc.  Raises OSError where it returns less than 0."""
    result = function(*arguments)
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def _prctl(option: int, *arguments: int) -> None:
    _call(_libc.prctl, *_arguments(option, *arguments))


def _arguments(option: int, *arguments: int) -> list:
    """The arguments of `prctl` in C's types.  Some options insist on 0s in the unused."""
    padded = (*arguments, 0, 0, 0, 0)[:4]
    return [ctypes.c_int(option), *map(ctypes.c_ulong, padded)]


def seccomp_loader(program: bytes) -> Callable[[], None]:
    """A function that puts a filter of `seccomp.filters` on the process that calls it.

    The call is made for every program, so all that can be prepared is prepared here.
    Raises OSError, now or in the call, where the kernel refuses.
    """
    # Without privileges the kernel takes a filter only from a process that has given up
    # gaining any (by executing a setuid program, say).
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    instructions = _Instructions(len(program) // 8, program)  # eight bytes each
    arguments = _arguments(
        _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.addressof(instructions)
    )
    prctl = _libc.prctl

    # `arguments` holds an address alone; the default keeps what lies there alive.
    def load(_kept_alive: object = instructions) -> None:
        if prctl(*arguments) < 0:
            raise OSError(ctypes.get_errno(), "seccomp refused the filter")

    return load


def die_with_parent() -> None:
    """Be killed when the parent dies, and be closed to debuggers (Linux only)."""
    if sys.platform == "linux":
        _prctl(_PR_SET_PDEATHSIG, SIGKILL)
        # Not dumpable: other processes of this user cannot read this one's memory.
        _prctl(_PR_SET_DUMPABLE, 0)


def landlock_version() -> int:
    """Landlock's version in this kernel.  Raises OSError where there is none."""
    return _call(
        _libc.syscall, _LANDLOCK_CREATE, None, ctypes.c_size_t(0), _LANDLOCK_VERSION
    )


def load_landlock(readable: list[str], listable: list[str], writable: list[str]) -> None:
    """From now on read only below `readable`, and read and write only below `writable`.

    Below `listable`, the names in folders can be read, too, but no file.

    Also refuses TCP (from version 4 on), and abstract sockets and signals to processes
    outside (from version 6 on).  Raises OSError where the kernel has no Landlock.
    """
    version = landlock_version()
    everything = (1 << _RIGHTS_BY_VERSION.get(version, 16)) - 1
    net = _BIND_TCP | _CONNECT_TCP if version >= 4 else 0
    scoped = _ABSTRACT_SOCKETS | _SIGNALS if version >= 6 else 0
    ruleset = _Ruleset(everything, net, scoped)
    # The struct has grown with the versions: say how much of it this one knows, in bytes.
    size = 8 * (1 + (version >= 4) + (version >= 6))
    rules = _call(
        _libc.syscall, _LANDLOCK_CREATE, ctypes.byref(ruleset), ctypes.c_size_t(size), 0
    )
    try:
        rights = (_READ, readable), (_LIST_FOLDER, listable), (everything, writable)
        for access, paths in rights:
            for path in paths:
                _allow(rules, path, access)
        _prctl(_PR_SET_NO_NEW_PRIVS, 1)  # asked for by the kernel, as for seccomp
        _call(_libc.syscall, _LANDLOCK_RESTRICT, rules, 0)
    finally:
        os.close(rules)


def _allow(rules: int, path: str, access: int) -> None:
    """Add a rule: `access` for everything below `path`, if there is such a path."""
    if not os.path.exists(path):
        return
    if not os.path.isdir(path):
        access &= _OF_A_FILE
    handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        rule = ctypes.byref(_PathRule(access, handle))
        _call(_libc.syscall, _LANDLOCK_ADD, rules, _LANDLOCK_PATH, rule, 0)
    finally:
        os.close(handle)


def limit_resources(memory: int, files: int = 64, file_bytes: int = 16 << 20) -> None:
    """Lower soft and hard limits of this process and its children.

    `memory` is address space in bytes, `files` the most open descriptors, `file_bytes` the
    largest file that can be written.
    """
    limits = [
        (resource.RLIMIT_FSIZE, file_bytes),
        (resource.RLIMIT_NOFILE, files),
        (resource.RLIMIT_CORE, 0),
    ]
    if sys.platform == "linux":  # macOS accepts the call and ignores it, or refuses it
        limits.append((resource.RLIMIT_AS, memory))
    for kind, value in limits:
        _lower(kind, value)


def limit_processor(seconds: int) -> None:
    """End this process after so many seconds of processor time (not wall-clock time).

    SIGXCPU ends it first, which says why.  A program that catches it gets SIGKILL a second
    later.
    """
    at_last = seconds + 1
    if _MOST_SECONDS != resource.RLIM_INFINITY:
        at_last = min(at_last, _MOST_SECONDS)  # a hard limit can only be lowered
    resource.setrlimit(resource.RLIMIT_CPU, (min(seconds, at_last), at_last))


def _lower(kind: int, value: int) -> None:
    hard = resource.getrlimit(kind)[1]
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    resource.setrlimit(kind, (value, value))
