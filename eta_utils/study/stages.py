"""A stage: one folder of a run that is made once and reused while it is current.

>>> sft = made(study.folder, "sft", study.seed, _finetune, [study.sft, study.model], [base])

`made` calls `_finetune(stage, sft, model, base)`: exactly the settings and the inputs that
the stage was given, so nothing else can decide what it makes.  A stage is current while
these are what they were, and so are those of everything it was made from.

`done.json` is written last: a stage without it is not finished.  It has a checksum of each
file of the stage; where one does not hold, the stage is made again.  Settings that name a
file or folder decide by what is in it, too.  While one process makes a
stage, another that asks for it waits and then reuses it.  Of several processes of one
training (see `common.processes`) the first decides and writes.

A stage that executes programs also counts the code that runs, traces and compares them.
Other changed code is not noticed: delete the folder, or take a new run name.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from filelock import FileLock, Timeout

from eta_utils.common import progress
from eta_utils.common.errors import BadInput
from eta_utils.common.files import as_usual, read_json, write_json
from eta_utils.common.files import digest_of as content_digest
from eta_utils.common.processes import from_first
from eta_utils.common.settings import Settings, parameters_of
from eta_utils.execution import JudgeSettings
from eta_utils.execution.dispatch import judge_digest
from eta_utils.tasks import SETS
from eta_utils.training.gguf import PACKAGED, packaged_file

_locks: dict[Path, FileLock] = {}


def made(
    root: Path,
    name: str,
    seed: int,
    make: Callable[..., Mapping[str, object]],
    settings: Sequence[Settings | None] = (),
    inputs: Sequence[Stage] = (),
    **details: object,
) -> Stage:
    """The stage `name` under `root`, made now unless it is current.

    `make(stage, *settings, *inputs, **details)` writes into `stage.folder` and returns the
    stage's metrics.  Settings that are None decide nothing.  `details` are plain values, or
    records whose text names them, such as an arm.
    """
    stage = Stage(root, name, seed, settings, inputs, details)
    if stage.must_run():
        with progress.about(name):
            stage.finish(make(stage, *settings, *inputs, **details))
    return stage


def contents_of(settings: Settings) -> dict[str, str]:
    """A digest of each file or folder that settings name, by `<parameter> content`."""
    found = {}
    for name, parameter in parameters_of(type(settings)).items():
        value = settings.flat()[name]
        if parameter.metadata["names_path"] and value:
            path = _path_of(value)
            # A study has whole paths: a folder called tiny, beside us, is not its model.
            if path.is_absolute() and path.exists():
                found[f"{name} content"] = content_digest(path)
    return found


def _path_of(name: str) -> Path:
    """The file or folder that a name stands for."""
    if name in SETS:
        return SETS[name].path()
    return packaged_file(name) if name in PACKAGED else Path(name)


def digest_of(record: Mapping[str, object]) -> str:
    """The digest of the stage whose identity, or `done.json`, this is."""
    identity = {part: record[part] for part in ("parameters", "inputs")}
    text = json.dumps(identity, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class Stage:
    """A folder of a run, and what decides what is in it."""

    def __init__(
        self,
        root: Path,
        name: str,
        seed: int,
        settings: Sequence[Settings | None] = (),
        inputs: Sequence[Stage] = (),
        details: Mapping[str, object] | None = None,
    ) -> None:
        self.name, self.folder, self.seed = name, root / name, seed
        parameters: dict[str, object] = {"seed": seed}
        for part in settings:
            if part is not None:
                parameters |= part.flat(deciding=True) | contents_of(part)
            if isinstance(part, JudgeSettings):  # the stage executes programs
                parameters["judge"] = judge_digest()
        for detail, value in (details or {}).items():
            plain = isinstance(value, (int, float, str, list, type(None)))
            parameters[detail] = value if plain else str(value)
        self.identity = {
            "parameters": parameters,
            "inputs": {stage.name: stage.digest for stage in inputs},
        }
        self.seconds: dict[str, float] = {}

    @property
    def digest(self) -> str:
        """A checksum of the parameters, its own and those of all that it was made from."""
        return digest_of(self.identity)

    @property
    def metrics(self) -> dict:
        """What `finish` was given."""
        return read_json(self.folder / "done.json")["metrics"]

    def must_run(self) -> bool:
        """Say in one line whether the stage is reused; prepare its folder if it is not.

        What an interrupted run of the same stage left is kept: the next one goes on there.
        """
        return from_first(self._must_run)

    def _must_run(self) -> bool:
        if self._is_current():
            return False
        self._lock()
        if self._is_current():  # made while we waited
            self._unlock()
            return False
        done, started = self._read("done.json"), self._read("started.json")
        if started and self._same(started) and not done:
            print(f"go on with {self.name}: it was interrupted", flush=True)
            return True
        if done or started:
            print(f"recompute {self.name}: {self._difference(done or started)}", flush=True)
        self._clear()
        self.folder.mkdir(parents=True, exist_ok=True)
        write_json(self.folder / "started.json", self.identity)
        return True

    def _lock(self) -> None:
        """Wait until no other process makes this stage.

        The kernel releases a lock when its owner dies.  A lock that this process holds
        already, because a notebook's cell was interrupted, stays as it is.  Where the file
        system has no locks nobody waits.
        """
        path = self._lock_path
        if path in _locks:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path, thread_local=False, fallback_to_soft=False)
        try:
            self._acquire(lock)
        except (OSError, NotImplementedError):  # this file system has no locks
            return
        _locks[path] = lock

    def _acquire(self, lock: FileLock) -> None:
        try:
            lock.acquire(timeout=0)
        except Timeout:
            print(
                f"wait for {self.name}: another process makes it, perhaps an open notebook",
                flush=True,
            )
            lock.acquire()

    def _unlock(self) -> None:
        if lock := _locks.pop(self._lock_path, None):
            lock.release()

    @property
    def _lock_path(self) -> Path:
        return (self.folder.parent / f".{self.folder.name}.lock").resolve()

    def _is_current(self) -> bool:
        done = self._read("done.json")
        if done is None or not self._same(done) or self._damaged(done):
            return False
        print(f"reuse {self.name}: same parameters, made {done['made']}", flush=True)
        return True

    def _clear(self) -> None:
        """Remove the folder, and first what would make a part of it look whole."""
        (self.folder / "done.json").unlink(missing_ok=True)
        if self.folder.exists():
            shutil.rmtree(self.folder)

    @contextlib.contextmanager
    def clock(self, kind: str) -> Iterator[None]:
        """Count the time of the block as `kind`: sampling, judging, training, ..."""
        start = time.monotonic()
        try:
            yield
        finally:
            spent = time.monotonic() - start
            self.seconds[kind] = self.seconds.get(kind, 0.0) + spent

    def finish(self, metrics: Mapping[str, object]) -> None:
        """Write `done.json`; from here on the stage can be reused."""
        done = self.identity | {
            "made": datetime.datetime.now().isoformat(" ", "seconds"),
            "seconds": {kind: round(spent, 2) for kind, spent in self.seconds.items()},
            "metrics": dict(metrics),
        }
        from_first(lambda: self._close(done))  # no process goes on before it is there

    def _close(self, done: dict) -> None:
        # By the process that writes: others would meet its files half-written.
        files = {name: content_digest(self.folder / name) for name in self._files()}
        for name in files:
            as_usual(self.folder / name)  # safetensors closes its files to other users
        write_json(self.folder / "done.json", done | {"files": files})
        (self.folder / "started.json").unlink()
        self._unlock()

    def _read(self, name: str) -> dict | None:
        """A record of this stage; one that cannot be read is that of no stage."""
        path = self.folder / name
        if not path.exists():
            return None
        with contextlib.suppress(BadInput):
            record = read_json(path)
            if record.keys() >= self.identity.keys():
                return record
        return {"parameters": {}, "inputs": {}, "damaged": name}

    def _same(self, record: dict) -> bool:
        return all(record[part] == value for part, value in self.identity.items())

    def _files(self) -> Iterator[str]:
        """The files of this stage, without those of stages that lie in its folder."""
        records = "done.json", "started.json"
        for folder, names, files in os.walk(self.folder):
            if Path(folder) != self.folder and any(name in files for name in records):
                names.clear()
                continue
            names.sort()
            for name in sorted(files):
                if name not in records and not name.endswith(".lock"):
                    yield (Path(folder) / name).relative_to(self.folder).as_posix()

    def _damaged(self, done: dict) -> str:
        """The first file that is not as `done.json` has it, or ""."""
        for name, digest in done.get("files", {}).items():
            path = self.folder / name
            if not path.is_file() or content_digest(path) != digest:
                return name
        return ""

    def _difference(self, record: dict) -> str:
        """Which file is damaged, else the first few parameters that changed, else the
        inputs that did."""
        if damaged := record.get("damaged") or self._damaged(record):
            return f"{damaged} is damaged"
        old, new = record["parameters"], self.identity["parameters"]
        changed = [
            f"{name} {old.get(name)} -> {new.get(name)}"
            for name in sorted(old.keys() | new.keys())
            if old.get(name) != new.get(name)
        ]
        old, new = record["inputs"], self.identity["inputs"]
        remade = [
            f"{name} was made again"
            for name in sorted(old.keys() | new.keys())
            if old.get(name) != new.get(name)
        ]
        return ", ".join((changed or remade)[:3]) or "it was not finished"
