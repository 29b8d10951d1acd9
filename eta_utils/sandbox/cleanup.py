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
import os

from eta_utils.sandbox.confine import SIGKILL

WORK = "work"  # the folder of one program, a fresh one for each


class Refused(RuntimeError):
    """A destructive step could not prove that it is inside the jail."""


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

        Raises Refused where the proof fails.
        """
        self.prove()
        work = os.path.join(self.folder, WORK)
        with os.scandir(self.folder) as entries:
            for entry in entries:
                _remove(entry)
        os.mkdir(work)
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


def _remove(entry: os.DirEntry) -> None:
    """Remove a file, a link (not what it points to), or a folder with all that is in it."""
    if not entry.is_dir(follow_symlinks=False):
        os.unlink(entry.path)
        return
    with contextlib.suppress(OSError):  # it is not empty
        os.rmdir(entry.path)
        return
    import shutil  # only when needed: the zygote pays for each module at every fork

    try:
        shutil.rmtree(entry.path)
    except PermissionError:  # programs may leave folders that nobody may list
        _unlock(entry.path)
        shutil.rmtree(entry.path)


def _unlock(folder: str) -> None:
    """Make all folders below this one ours to list and to change; links are left alone."""
    os.chmod(folder, 0o700)
    for parent, names, _files in os.walk(folder):
        for name in names:
            path = os.path.join(parent, name)
            if not os.path.islink(path):
                os.chmod(path, 0o700)
