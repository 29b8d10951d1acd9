"""Outcomes on disk, so that no program is judged twice: one SQLite file, key to JSON.

The key covers everything that decides an outcome, so no entry ever becomes wrong.  Delete
the file to forget them all.

With `path=None` the file is temporary.  Duplicates within one run are still judged once,
and memory does not grow with the number of programs.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sqlite3
import tempfile
import warnings
from pathlib import Path

from eta_utils.common.errors import BadInput

_COMMIT_EVERY = 200  # outcomes


def default_path() -> Path:
    """`$ETA_CACHE`, or eta_utils/outcomes.sqlite in the user's cache folder."""
    if chosen := os.environ.get("ETA_CACHE"):
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "eta_utils" / "outcomes.sqlite"


def key_of(*parts: object) -> bytes:
    """The SHA-256 digest, 32 bytes, of parts that can be JSON."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).digest()


class OutcomeCache:
    """A dict on disk of raw outcomes.  Use as a context manager, from one thread.

    Raises BadInput where the file cannot be used as a cache.
    """

    def __init__(self, path: str | Path | None) -> None:
        self._folder = None
        if path is None:
            self._folder = tempfile.TemporaryDirectory(prefix="eta-outcomes-")
            path = Path(self._folder.name) / "outcomes.sqlite"
        self._path = path
        try:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            self._base = sqlite3.connect(path, timeout=60)
            # Several processes may read and write at once.  A power cut may lose the last
            # outcomes and cannot spoil the file.
            self._base.execute("PRAGMA journal_mode=WAL")
            self._base.execute("PRAGMA synchronous=NORMAL")
            self._base.execute(
                "CREATE TABLE IF NOT EXISTS outcomes (key BLOB PRIMARY KEY, outcome TEXT)"
            )
        except (OSError, sqlite3.Error) as error:
            raise BadInput(f"{path}: cannot be used as a cache ({error})") from None
        # Outcomes wait here to be written together: a transaction that stays open while
        # programs run would lock out every other process.
        self._unsaved: dict[bytes, str] = {}

    def get(self, key: bytes) -> dict | None:
        """The raw outcome kept under `key`, or None.

        Raises BadInput where the file is damaged.
        """
        if key in self._unsaved:
            return json.loads(self._unsaved[key])
        query = "SELECT outcome FROM outcomes WHERE key = ?"
        try:
            row = self._base.execute(query, (key,)).fetchone()
            return json.loads(row[0]) if row else None
        except (sqlite3.Error, ValueError) as error:
            raise BadInput(
                f"{self._path}: is damaged ({error}); delete it, it is only a cache"
            ) from None

    def put(self, key: bytes, outcome: dict) -> None:
        """Keep an outcome; a crash loses at most the last few hundred."""
        self._unsaved[key] = json.dumps(outcome)
        if len(self._unsaved) >= _COMMIT_EVERY:
            self.save()

    def save(self) -> None:
        """Write what was kept since the last time.

        Where that fails, as on a full disk, judging goes on: what is lost is only the time
        to judge these programs again.
        """
        try:
            with self._base:  # one transaction
                self._base.executemany(
                    "INSERT OR REPLACE INTO outcomes VALUES (?, ?)", self._unsaved.items()
                )
        except sqlite3.Error as error:
            warnings.warn(f"{self._path}: outcomes are not kept ({error})", stacklevel=2)
        self._unsaved.clear()

    def close(self) -> None:
        """Save, and remove the file if it is temporary."""
        self.save()
        self._base.close()
        if self._folder:
            with contextlib.suppress(OSError):
                self._folder.cleanup()

    def __enter__(self) -> OutcomeCache:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
