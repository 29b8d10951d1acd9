"""The rungs of isolation: how a process is started on each, and what it is given.

- `jail`     bubblewrap: own file system, process, network and IPC namespaces, no
             capabilities, and all of the next rung but Landlock;
- `process`  no namespaces: seccomp and Landlock, which an ordinary process may put on
             itself, as in a Docker container with default settings;
- `weak`     limits of memory and time alone, as on macOS: no isolation.

`isolation.probe` finds which rung holds by trying to break out, not by asking for versions.
"""

from __future__ import annotations

import functools
import secrets
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from eta_utils.sandbox import confine, libraries
from eta_utils.sandbox.visible import (
    PACKAGE,
    PARTS,
    interpreter,
    module_path,
    standard_library,
    unhidden,
    visible,
)

RUNGS = ("jail", "process", "weak")  # from the strongest to the weakest
TEMPORARY_SPACE = 64 << 20  # bytes of a jail's /tmp
# Address space of a program in MiB.  One that squares a number in an endless loop must run
# out of memory long before it runs out of time: memory does not depend on the machine.
MEMORY = 512
# The examiner's, in MiB: it holds the tests, and answers of up to 32 MiB in pickled form.
EXAMINER_MEMORY = 1024

EXAMINER, ZYGOTE, PRELOADED = "examiner", "zygote", "preloaded"  # roles of processes
# The folders that they write to, where a jail does not give each a /tmp of its own.  A test
# that writes a file for its program shares the folder of the zygote.
_SCRATCH = {EXAMINER: "scratch", ZYGOTE: "scratch", PRELOADED: "scratch-preloaded"}
_INSIDE = "/judge"  # where a jail finds this package
_NOBODY = "65534"  # user and group inside a jail
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


@dataclass(frozen=True)
class Setup:
    """What the processes of a worker are started with.

    `memory` is the address space of a program in MiB.  `libraries` has the name and version
    of each library that programs may import beside numpy (see `libraries.versions`).
    """

    rung: str
    memory: int = MEMORY
    libraries: tuple[tuple[str, str], ...] = ()

    def installed(self) -> dict[str, Path]:
        """What programs may import, as `libraries.installed` has it.

        Raises LibraryError where this machine has other versions.
        """
        names = tuple(name for name, _ in self.libraries)
        if (here := libraries.versions(names)) != self.libraries:
            raise libraries.LibraryError(f"{here} here is not {self.libraries}")
        return libraries.installed(names)


class Site:
    """The folders of one worker on the trusted side, removed by `close`.

    `marker` holds a secret that `cleanup` asks for before it deletes anything; `scratch` is
    where programs write; `libraries` has links to what they may import; `nothing` is an
    empty folder, mounted over what a jail hides.
    """

    def __init__(self, setup: Setup) -> None:
        self.setup, self.rung = setup, setup.rung
        self.importable = setup.installed()
        self.secret = secrets.token_hex(16)
        self.folder = Path(tempfile.mkdtemp(prefix="eta-sandbox-")).resolve()
        try:
            self._furnish()
        except BaseException:  # a signal may come here, too
            self.close()
            raise

    def _furnish(self) -> None:
        (self.folder / "marker").write_text(self.secret, encoding="ascii")
        for name in (*_SCRATCH.values(), "nothing", "libraries"):
            (self.folder / name).mkdir(exist_ok=True)
        for place, path in self.importable.items():
            link = self.folder / "libraries" / place
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(path)

    def close(self) -> None:
        """Remove the folders of this worker (made by this object, under its own name)."""
        # Not by `shutil.rmtree`, which fails at a thousand folders within one another.
        subprocess.run(["rm", "-rf", "--", self.folder], stderr=subprocess.DEVNULL)

    def command(
        self, module: str, role: str, descriptors: list[int]
    ) -> tuple[list[str], dict]:
        """(Arguments, environment) that start a module of this package on this rung.

        `role` is as in `orders`.
        """
        # -S and -s keep site-packages off sys.path, -P keeps the working folder off it, and
        # -B writes no .pyc files.
        python = [interpreter(), "-S", "-s", "-P", "-B"]
        start = [*python, "-m", module, *map(str, descriptors)]
        if self.rung == "jail":
            environment = _ENVIRONMENT | {"PYTHONPATH": _INSIDE, "TMPDIR": "/tmp"}
            return [*self._bubblewrap(), *start], environment
        own = {"PYTHONPATH": str(PACKAGE.parent), "TMPDIR": self._scratch(role)}
        return start, _ENVIRONMENT | own

    def _bubblewrap(self) -> list[str]:
        """The command that builds a jail and runs in it whatever follows."""
        # The process is number 1 of its own process namespace, so that the whole jail dies
        # with it; and it dies with us.
        arguments = ["bwrap", "--unshare-all", "--as-pid-1", "--die-with-parent"]
        arguments += ["--new-session", "--cap-drop", "ALL"]
        arguments += ["--uid", _NOBODY, "--gid", _NOBODY]
        # Read-only, and in this order: a folder may lie in what another one hides.
        readable, nothing = visible(), str(self.folder / "nothing")
        for path, target in readable.links.items():
            arguments += ["--symlink", target, path]
        for path in readable.folders:
            arguments += ["--ro-bind", path, path]
            for inside in readable.hidden.get(path, ()):
                arguments += ["--ro-bind", nothing, inside]
        for part in PARTS:
            inside = f"{_INSIDE}/{PACKAGE.name}/{part}"
            arguments += ["--ro-bind", str(PACKAGE / part), inside]
        arguments += ["--ro-bind", str(self.folder / "marker"), f"{_INSIDE}/marker"]
        for place, path in self.importable.items():
            arguments += ["--ro-bind", str(path), f"{_INSIDE}/libraries/{place}"]
        arguments += ["--dev", "/dev", "--remount-ro", "/dev"]
        # The only place to write: in memory, of limited size, private to the jail.
        arguments += ["--size", str(TEMPORARY_SPACE), "--tmpfs", "/tmp"]
        # Last, since mount points were made in / until here.
        return [*arguments, "--remount-ro", "/", "--chdir", "/tmp", "--"]

    def _scratch(self, role: str) -> str:
        """Where a process may write."""
        return "/tmp" if self.rung == "jail" else str(self.folder / _SCRATCH[role])

    def orders(self, role: str) -> dict:
        """What a sandboxed process is told to put on itself.

        Its `role` is one of `EXAMINER`, `ZYGOTE`, and `PRELOADED`, the zygote that has
        loaded what programs may import.  `zygote.main` and `examiner.main` carry the orders
        out.
        """
        jailed = self.rung == "jail"
        every, programs = (b"", b"") if self.rung == "weak" else _filters(private=jailed)
        inside = Path(_INSIDE) if jailed else self.folder
        libraries = [place.partition("/")[0] for place in self.importable]
        memory = EXAMINER_MEMORY if role == EXAMINER else self.setup.memory
        return {
            "jailed": jailed,
            "scratch": self._scratch(role),
            "marker": str(inside / "marker"),
            "secret": self.secret,
            "memory": memory << 20,
            "libraries": [name.removesuffix(".py") for name in libraries],
            "preloads": role == PRELOADED,
            "path": [*module_path(), str(inside / "libraries")],
            "filter": every,
            "program_filter": programs,
            "landlock": self._landlock(role) if self.rung == "process" else None,
        }

    def _landlock(self, role: str) -> dict:
        # Nothing of this package: a process loads its part before it confines itself.
        folders, hidden = visible().folders, visible().hidden
        readable = [
            path for folder in folders for path in unhidden(folder, hidden.get(folder, []))
        ]
        readable += [*_DEVICES, str(self.folder / "marker"), str(self.folder / "libraries")]
        readable += map(str, self.importable.values())
        return {
            "readable": readable,
            # To find a module is to list the folder that it may be in.
            "listable": standard_library(),
            # Of the program, and of a test that writes a file for it.
            "writable": ["/dev/null", self._scratch(role)],
        }


@functools.cache
def _filters(private: bool) -> tuple[bytes, bytes]:
    # Imported here: where libseccomp is missing, the rungs that need it are missing, and
    # everything else still works.
    from eta_utils.sandbox import seccomp

    return seccomp.filters(private)


def whats_missing(rung: str) -> str:
    """Why this rung cannot even be tried here, and what to install; empty if it can."""
    if rung != "weak" and sys.platform != "linux":
        return "needs Linux (run it in a Linux virtual machine or container)"
    if rung == "jail" and not shutil.which("bwrap"):
        return "bubblewrap is not installed: apt-get install bubblewrap"
    if rung != "weak":
        try:
            _filters(private=rung == "jail")
        except (ImportError, OSError, RuntimeError) as error:
            return f"seccomp: {error}: apt-get install libseccomp2, pip install pyseccomp"
    if rung == "process":
        try:
            confine.landlock_version()
        except OSError as error:
            return f"this kernel, or the container's policy, offers no Landlock ({error})"
    return ""
