"""Limits that a process puts on itself and can never lift again.

- resource limits (memory, processor time, file size, descriptors): every rung;
- seccomp: a deny list of system calls (new processes, signals, sockets, mounts, ...),
  built on the trusted side (see `seccomp`) and loaded here as bytes;
- Landlock: files may be written in the scratch folder alone, and read only where Python
  lives.

Leaves out: namespaces, which bubblewrap makes before Python starts (see `jail`).
"""

from __future__ import annotations

import ctypes
import os
import resource
import sys
from collections.abc import Callable

SIGKILL = 9  # not from `signal`, which is a module more

_MOST_SECONDS = resource.getrlimit(resource.RLIMIT_CPU)[1]  # of processor time

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE = 1, 4
_PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 22, 38
_SECCOMP_MODE_FILTER = 2

_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 444, 445, 446  # on every machine
_LANDLOCK_VERSION, _LANDLOCK_PATH = 1, 1
_FS_BY_ABI = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}  # how many file rights each version has
_FS_READ = 1 | 1 << 2 | 1 << 3  # execute (map libraries), read a file, list a folder


class _Instructions(ctypes.Structure):
    _fields_ = [("count", ctypes.c_ushort), ("code", ctypes.c_char_p)]


class _Ruleset(ctypes.Structure):
    _fields_ = [
        ("fs", ctypes.c_uint64),
        ("net", ctypes.c_uint64),
        ("scoped", ctypes.c_uint64),
    ]


class _PathRule(ctypes.Structure):
    _pack_ = 1
    _fields_ = [("access", ctypes.c_uint64), ("parent", ctypes.c_int32)]


_libc = ctypes.CDLL(None, use_errno=True)


def _call(function: object, *arguments: object) -> int:
    result = function(*arguments)
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def _prctl(option: int, *arguments: int) -> None:
    _call(_libc.prctl, *_arguments(option, *arguments))


def _arguments(option: int, *arguments: int) -> list:
    padded = (*arguments, 0, 0, 0, 0)[:4]
    return [ctypes.c_int(option), *map(ctypes.c_ulong, padded)]


def seccomp_loader(program: bytes) -> Callable[[], None]:
    """A function that puts a filter of `seccomp.filters` on the process that calls it.

    All that can be made ready is made ready here: the call itself is on the path of every
    program.  Loading without privileges needs "no new privileges", which is set at once.
    """
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    instructions = _Instructions(len(program) // 8, program)
    arguments = _arguments(
        _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.addressof(instructions)
    )
    prctl = _libc.prctl

    def load(_kept_alive: object = instructions) -> None:
        if prctl(*arguments) < 0:
            raise OSError(ctypes.get_errno(), "seccomp refused the filter")

    return load


def die_with_parent() -> None:
    """Be killed when the parent dies, and be closed to debuggers (Linux only)."""
    if sys.platform == "linux":
        _prctl(_PR_SET_PDEATHSIG, SIGKILL)
        _prctl(_PR_SET_DUMPABLE, 0)


def landlock_version() -> int:
    """Landlock's version in this kernel.  Raises OSError where there is none."""
    return _call(
        _libc.syscall, _LANDLOCK_CREATE, None, ctypes.c_size_t(0), _LANDLOCK_VERSION
    )


def load_landlock(readable: list[str], writable: list[str]) -> None:
    """From now on read only below `readable`, and read and write only below `writable`.

    Also refuses TCP (version 4 on) and signals to processes outside (6 on).
    """
    version = landlock_version()
    everything = (1 << _FS_BY_ABI.get(version, 16)) - 1
    net = 3 if version >= 4 else 0
    scoped = 3 if version >= 6 else 0
    ruleset = _Ruleset(everything, net, scoped)
    size = 8 * (1 + (version >= 4) + (version >= 6))
    rules = _call(
        _libc.syscall, _LANDLOCK_CREATE, ctypes.byref(ruleset), ctypes.c_size_t(size), 0
    )
    try:
        for access, paths in ((_FS_READ, readable), (everything, writable)):
            for path in paths:
                _allow(rules, path, access)
        _prctl(_PR_SET_NO_NEW_PRIVS, 1)
        _call(_libc.syscall, _LANDLOCK_RESTRICT, rules, 0)
    finally:
        os.close(rules)


def _allow(rules: int, path: str, access: int) -> None:
    if not os.path.exists(path):
        return
    if not os.path.isdir(path):
        access &= 1 | 1 << 1 | 1 << 2 | 1 << 14  # what a file can have
    handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        rule = ctypes.byref(_PathRule(access, handle))
        _call(_libc.syscall, _LANDLOCK_ADD, rules, _LANDLOCK_PATH, rule, 0)
    finally:
        os.close(handle)


def limit_resources(memory: int, files: int = 64, file_bytes: int = 16 << 20) -> None:
    """Lower soft and hard limits for this process and its children.  Units: bytes."""
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
    """End this process after so many seconds of processor time (not wall clock): by
    SIGXCPU, which says why, and a second later by SIGKILL if it goes on."""
    at_last = seconds + 1
    if _MOST_SECONDS != resource.RLIM_INFINITY:
        at_last = min(at_last, _MOST_SECONDS)
    resource.setrlimit(resource.RLIMIT_CPU, (min(seconds, at_last), at_last))


def _lower(kind: int, value: int) -> None:
    hard = resource.getrlimit(kind)[1]
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    resource.setrlimit(kind, (value, value))
