"""The rungs of isolation: how a process is started on each, and what it is given.

- `jail`     bubblewrap: own file system, process, network and IPC namespaces, no
             capabilities, and all of the next rung but Landlock;
- `process`  no namespaces: seccomp and Landlock, which an ordinary process may put on
             itself, as in a Docker container with default settings;
- `weak`     limits of memory and time alone, as on macOS: no isolation.

`isolation.probe` finds which rung holds by trying to break out, not by asking for versions.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import os
import secrets
import shutil
import sys
import sysconfig
import tempfile
from pathlib import Path

from eta_utils.sandbox import confine

RUNGS = ("jail", "process", "weak")  # from the strongest to the weakest
PACKAGE = Path(__file__).resolve().parents[1]
LIBRARIES = ("numpy", "numpy.libs")  # what programs may import besides the stdlib
TEMPORARY_SPACE = 64 << 20  # bytes of a jail's /tmp
# Address space in bytes.  A program that squares a number in an endless loop must run out
# of memory long before it runs out of time: memory does not depend on the machine.
MEMORY = 512 << 20
EXAMINER_MEMORY = 4 << 30

_INSIDE = "/judge"  # where a jail finds this package
_NOBODY = "65534"  # user and group inside a jail
_SYSTEM = ("/usr", "/lib", "/lib64", "/bin")
_DEVICES = ("/dev/null", "/dev/zero", "/dev/random", "/dev/urandom")
# The whole environment: nothing of the user's reaches a program.
_ENVIRONMENT = {
    "PYTHONHASHSEED": "0",  # -I and -E would ignore it
    "PYTHONUTF8": "1",
    "PYTHONIOENCODING": "utf-8:backslashreplace",
    "LANG": "C.UTF-8",
    "TZ": "UTC",
    "PATH": "/usr/bin:/bin",
    "HOME": "/nonexistent",
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
}


class Site:
    """The folders of one worker on the trusted side, removed by `close`.

    `marker` holds a secret that `cleanup` asks for before it deletes anything; `scratch` is
    where programs write; `libraries` has links to what they may import.
    """

    def __init__(self, rung: str) -> None:
        self.rung = rung
        self.secret = secrets.token_hex(16)
        self.folder = Path(tempfile.mkdtemp(prefix="eta-sandbox-")).resolve()
        (self.folder / "marker").write_text(self.secret, encoding="ascii")
        (self.folder / "scratch").mkdir()
        (self.folder / "libraries").mkdir()
        for path in _libraries():
            (self.folder / "libraries" / path.name).symlink_to(path)

    def close(self) -> None:
        """Remove the folders of this worker (made by this object, under its own name)."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def command(self, module: str, descriptors: list[int]) -> tuple[list[str], dict]:
        """(Arguments, environment) that start a module of this package on this rung."""
        # The interpreter itself: a virtual environment only has a link to it, in a folder
        # that a jail does not have.  -S and -s keep site-packages off sys.path, -P keeps
        # the working folder off it, and -B writes no .pyc files.
        python = [os.path.realpath(sys._base_executable), "-S", "-s", "-P", "-B"]
        start = [*python, "-m", module, *map(str, descriptors)]
        if self.rung == "jail":
            environment = _ENVIRONMENT | {"PYTHONPATH": _INSIDE, "TMPDIR": "/tmp"}
            return [*self._bubblewrap(), *start], environment
        scratch = str(self.folder / "scratch")
        return start, _ENVIRONMENT | {"PYTHONPATH": str(PACKAGE.parent), "TMPDIR": scratch}

    def _bubblewrap(self) -> list[str]:
        """The command that builds a jail and runs in it whatever follows."""
        # The process is number 1 of its own process namespace, so that the whole jail dies
        # with it; and it dies with us.
        arguments = ["bwrap", "--unshare-all", "--as-pid-1", "--die-with-parent"]
        arguments += ["--new-session", "--cap-drop", "ALL"]
        arguments += ["--uid", _NOBODY, "--gid", _NOBODY]
        # What Python needs to run, read-only.  On many systems /bin and /lib are links.
        for path in dict.fromkeys((*_SYSTEM, sys.base_prefix)):
            if os.path.islink(path):
                arguments += ["--symlink", os.readlink(path), path]
            elif os.path.isdir(path):
                arguments += ["--ro-bind", path, path]
        arguments += ["--ro-bind", str(PACKAGE), f"{_INSIDE}/{PACKAGE.name}"]
        arguments += ["--ro-bind", str(self.folder / "marker"), f"{_INSIDE}/marker"]
        for path in _libraries():
            arguments += ["--ro-bind", str(path), f"{_INSIDE}/libraries/{path.name}"]
        arguments += ["--dev", "/dev", "--remount-ro", "/dev"]
        # The only place to write: in memory, of limited size, private to the jail.
        arguments += ["--size", str(TEMPORARY_SPACE), "--tmpfs", "/tmp"]
        # Last, since mount points were made in / until here.
        return [*arguments, "--remount-ro", "/", "--chdir", "/tmp", "--"]

    def orders(self, runs_programs: bool) -> dict:
        """What a sandboxed process is told to put on itself.

        `runs_programs` is True for the zygote, whose candidates run them, and False for the
        examiner.  `zygote.main` and `examiner.main` carry the orders out.
        """
        jailed = self.rung == "jail"
        never, programs = (b"", b"") if self.rung == "weak" else _filters()
        inside = Path(_INSIDE) if jailed else self.folder
        scratch = "/tmp" if jailed else str(self.folder / "scratch")
        return {
            "jailed": jailed,
            "scratch": scratch,
            "marker": str(inside / "marker"),
            "secret": self.secret,
            "memory": MEMORY if runs_programs else EXAMINER_MEMORY,
            "path": [*_standard_library(), str(inside / "libraries")],
            "jail_filter": never,
            "program_filter": programs,
            "landlock": self._landlock(runs_programs) if self.rung == "process" else None,
        }

    def _landlock(self, may_write: bool) -> dict:
        readable = [*_SYSTEM, *_DEVICES, sys.base_prefix, str(PACKAGE)]
        readable += [str(self.folder / "marker"), str(self.folder / "libraries")]
        readable += map(str, _libraries())
        writable = ["/dev/null"]
        if may_write:
            writable.append(str(self.folder / "scratch"))
        return {"readable": readable, "writable": writable}


@functools.cache
def _filters() -> tuple[bytes, bytes]:
    # Imported here: where libseccomp is missing, the rungs that need it are missing, and
    # everything else still works.
    from eta_utils.sandbox import seccomp

    return seccomp.filters()


@functools.cache
def _libraries() -> list[Path]:
    """Folders of the libraries that programs may import, where they are installed."""
    spec = importlib.util.find_spec(LIBRARIES[0])
    if spec is None or spec.origin is None:
        return []
    folder = Path(spec.origin).resolve().parents[1]
    return [folder / name for name in LIBRARIES if (folder / name).is_dir()]


def _standard_library() -> list[str]:
    """The folders of the standard library: modules in Python, and modules in C."""
    return [sysconfig.get_path("stdlib"), sysconfig.get_config_var("DESTSHARED")]


def whats_missing(rung: str) -> str:
    """Why this rung cannot even be tried here, and what to install; empty if it can."""
    if rung != "weak" and sys.platform != "linux":
        return "needs Linux (run it in a Linux virtual machine or container)"
    if rung == "jail" and not shutil.which("bwrap"):
        return "bubblewrap is not installed: apt-get install bubblewrap"
    if rung != "weak":
        try:
            _filters()
        except (ImportError, OSError, RuntimeError) as error:
            return f"seccomp: {error}: apt-get install libseccomp2, pip install pyseccomp"
    if rung == "process":
        with contextlib.suppress(OSError):
            confine.landlock_version()
            return ""
        return "this kernel, or the container's policy, offers no Landlock"
    return ""
