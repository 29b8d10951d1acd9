"""The destructive steps of the sandbox, and the proof that each of them demands.

A clean-up that runs in the wrong place deletes somebody's files.  So nothing here takes a
path to delete or a process to kill from its caller.

A `Scratch` is bound, when the sandbox is built, to one folder (by device and inode) and to
one secret.  The secret stands in a read-only marker and in the zygote's orders.  Each
destructive call proves again that all of this still holds, or raises `Refused` and does
nothing.
"""

from __future__ import annotations

import contextlib
import errno
import os
import time

from eta_utils.sandbox.confine import SIGKILL

WORK = "work"  # the folder of one program, a fresh one for each
LONGEST = 2.0  # seconds that it may take to empty the folder
_TAKEN = (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR)


class Refused(RuntimeError):
    """A destructive step could not prove that it is inside the jail."""


class TooMuch(RuntimeError):
    """A program left more than can be removed in time."""


class Scratch:
    """The one folder that programs may write to.

    `folder` is wiped between programs.  `marker` is a file outside of it, which programs
    cannot write and which holds `secret`.  `jailed` says that the folder is the private
    /tmp of a jail whose first process we are, and not a folder of this machine.
    """

    def __init__(self, folder: str, marker: str, secret: str, jailed: bool) -> None:
        self.folder, self.marker, self.jailed = folder, marker, jailed
        self._secret = secret.encode()
        self._is_link = os.path.realpath(folder) != folder
        self._identity = _identity(folder)

    @classmethod
    def of(cls, orders: dict) -> Scratch:
        """The one that a sandboxed process is ordered to use (`jail.Site.orders`)."""
        names = "scratch", "marker", "secret", "jailed"
        return cls(*(orders[name] for name in names))

    def prove(self) -> None:
        """Raise Refused unless this is the scratch folder that was made for programs."""
        try:
            marked = _read(self.marker)
            same = _identity(self.folder) == self._identity
        except OSError as error:
            raise Refused(f"no proof of a scratch folder: {error}") from None
        # An empty secret would be proved by any empty file.
        if not self._secret or marked != self._secret:
            raise Refused(f"{self.marker} does not hold the secret of this sandbox")
        if not same or self._is_link:
            raise Refused(f"{self.folder} is not the folder this sandbox was built with")
        if self.jailed:
            self._prove_jail()

    def _prove_jail(self) -> None:
        """Two signs that this is a jail: each by itself also occurs outside of one."""
        if os.getpid() != 1:
            raise Refused("not the first process of a jail")
        if os.stat(self.folder).st_dev == os.stat("/").st_dev:
            raise Refused(f"{self.folder} is not a file system of its own")

    def renew(self) -> str:
        """Empty the folder and make a fresh working folder in it; return its path.

        Raises Refused where the proof fails, and TooMuch after `LONGEST` seconds: then a
        sandbox made anew is faster, and no later program waits.
        """
        self.prove()
        work = os.path.join(self.folder, WORK)
        # The folder itself stays, and it belongs to the programs: what one of them did to
        # it must not reach the next, nor hinder us here.
        os.chmod(self.folder, 0o755)
        _empty(self.folder, time.monotonic() + LONGEST)
        os.mkdir(work)
        os.utime(self.folder, (0, 0))
        return work

    def kill_the_rest(self) -> bool:
        """In a jail, kill every other process; return whether there were any.

        Outside of a jail there are none, since candidates cannot start processes.  Raises
        Refused where the proof fails.
        """
        if not self.jailed:
            return False
        self.prove()
        try:
            os.kill(-1, SIGKILL)  # every process that we may signal, but our own
        except ProcessLookupError:
            return False
        return True


def _read(path: str) -> bytes:
    descriptor = os.open(path, os.O_RDONLY)  # `open` costs four times as much
    try:
        return os.read(descriptor, 1024)
    finally:
        os.close(descriptor)


def _identity(folder: str) -> tuple[int, int]:
    """(Device, inode): a folder that was moved away and replaced has another."""
    status = os.lstat(folder)
    return status.st_dev, status.st_ino


def _empty(folder: str, until: float) -> None:
    """Remove all that lies in a folder; of a link the link, not what it points to.

    Raises TooMuch at the time `until` of the monotonic clock.

    Programs leave folders that nobody may list, and thousands within one another, whose
    path is too long to open.  So each folder is unlocked and moved up before its turn: no
    path gets long, and no more than one folder is open.  (`shutil.rmtree` holds one open
    for each level, and would be one more module in every candidate.)
    """
    waiting, moved = [folder], 0
    while waiting:
        here = waiting.pop()
        with os.scandir(here) as found:
            entries = list(found)
        for entry in entries:
            if time.monotonic() > until:
                raise TooMuch(f"{folder} still holds files")
            if not entry.is_dir(follow_symlinks=False):
                os.unlink(entry.path)
                continue
            with contextlib.suppress(OSError):  # it is not empty
                os.rmdir(entry.path)
                continue
            os.chmod(entry.path, 0o700)
            place = entry.path
            while os.path.dirname(place) != folder:
                moved += 1
                free = os.path.join(folder, str(moved))
                try:
                    os.rename(entry.path, free)
                    place = free
                except OSError as error:  # try the next name, if this one is taken
                    if error.errno not in _TAKEN:
                        raise
            waiting.append(place)
        if here != folder:
            os.rmdir(here)
