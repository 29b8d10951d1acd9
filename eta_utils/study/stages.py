"""A stage: one folder of a run that is made once and reused while it is current.

>>> stage = Stage(study.folder, "sft", study.only("sft_tasks"), inputs=[base])
>>> if stage.must_run():                  # prints "reuse sft: ..." or "recompute sft: ..."
...     with stage.clock("training"):
...         ...                           # write into stage.folder
...     stage.finish({"loss": 0.3})

`done.json` is written last: a stage without it is not finished.  While one process makes a
stage, another that asks for it waits, and then reuses it.  A stage is current when
its own parameters and those of everything it was made from are what they were.

Of several processes of one training (see `processes`) the first decides and writes.

Leaves out: noticing that the code changed; delete the folder, or take a new run name.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import json
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from eta_utils.common import locks
from eta_utils.common.files import read_json, write_json
from eta_utils.common.processes import from_first


class Stage:
    """`parameters` are plain values; `inputs` are the stages it is made from."""

    def __init__(
        self,
        root: Path,
        name: str,
        parameters: Mapping[str, object],
        inputs: Sequence[Stage] = (),
    ) -> None:
        self.name, self.folder = name, root / name
        self.identity = {
            "parameters": dict(parameters),
            "inputs": {each.name: each.digest for each in inputs},
        }
        self.seconds: dict[str, float] = {}

    @property
    def digest(self) -> str:
        """Of the parameters, its own and those of all that it was made from."""
        text = json.dumps(self.identity, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def metrics(self) -> dict:
        """What `finish` was given."""
        return read_json(self.folder / "done.json")["metrics"]

    def must_run(self) -> bool:
        """Say in one line whether the stage is reused; prepare its folder if it is not.

        What an interrupted run of the same stage left is kept, for it to go on from.
        """
        return from_first(self._must_run)

    def _must_run(self) -> bool:
        if self._is_current():
            return False
        wait = f"wait for {self.name}: another process is at it, perhaps an open notebook"
        locks.hold(self._lock, on_wait=lambda: print(wait, flush=True))
        if self._is_current():  # made while we waited
            locks.release(self._lock)
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

    @property
    def _lock(self) -> Path:
        return self.folder.parent / f".{self.folder.name}.lock"

    def _is_current(self) -> bool:
        done = self._read("done.json")
        if done is None or not self._same(done):
            return False
        print(f"reuse {self.name}: same parameters, made {done['made']}", flush=True)
        return True

    def _clear(self) -> None:
        """Remove the folder, and first what would make its rest look whole."""
        (self.folder / "done.json").unlink(missing_ok=True)
        if self.folder.exists():
            shutil.rmtree(self.folder)

    @contextlib.contextmanager
    def clock(self, kind: str) -> Iterator[None]:
        """Count the time of the block as `kind` (sampling, judging, training, ...)."""
        start = time.monotonic()
        try:
            yield
        finally:
            spent = time.monotonic() - start
            self.seconds[kind] = self.seconds.get(kind, 0.0) + spent

    def finish(self, metrics: Mapping[str, object]) -> None:
        """Write `done.json`; from here on the stage can be reused."""
        made = datetime.datetime.now().isoformat(" ", "seconds")
        seconds = {kind: round(spent, 2) for kind, spent in self.seconds.items()}
        done = self.identity | {"made": made, "seconds": seconds, "metrics": dict(metrics)}
        from_first(lambda: self._close(done))  # no process goes on before it is there

    def _close(self, done: dict) -> None:
        write_json(self.folder / "done.json", done)
        (self.folder / "started.json").unlink()
        locks.release(self._lock)

    def _read(self, name: str) -> dict | None:
        path = self.folder / name
        return read_json(path) if path.exists() else None

    def _same(self, record: dict) -> bool:
        return all(record[part] == value for part, value in self.identity.items())

    def _difference(self, record: dict) -> str:
        """The first few parameters that changed, or the inputs that did."""
        for part in ("parameters", "inputs"):
            old, new = record[part], self.identity[part]
            changed = [
                f"{name} {old.get(name)} -> {new.get(name)}"
                if part == "parameters"
                else f"{name} was made anew"
                for name in sorted(old.keys() | new.keys())
                if old.get(name) != new.get(name)
            ]
            if changed:
                return ", ".join(changed[:3])
        return "it was not finished"
