"""Jobs through the cache and an executor: in order, a bounded number at a time.

What `execution.judge` decides for each program arrives here as a job (see `sandbox.pool`);
what comes back is the raw outcome.  A job whose key is in the cache does not run; one that
is under way already is waited for.  Memory depends on the workers, not on the jobs: at
most `BEHIND` times what they have under way waits to be handed on.
"""

from __future__ import annotations

import itertools
import platform
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from concurrent.futures import Executor, Future, wait
from threading import Condition

from eta_utils.execution.cache import OutcomeCache, key_of
from eta_utils.sandbox.pool import Batch, run_batch

_PYTHON = platform.python_version()
_FORMAT = 4
BATCH = 16  # jobs
# A batch brings its tasks and their traces along: fewer of them where each crosses Dask's
# scheduler (with 16 jobs judging took a fifth longer on two workers, with 64 nothing).
FAR_BATCH = 64
AHEAD = 4  # batches under way for each worker
# Outcomes that wait for an earlier, slow program before they can be handed on: so many
# times what is under way.  One program that the clock stops keeps a worker for seconds, in
# which the others must not run dry.
BEHIND = 8

Description = tuple[dict, str]
Place = tuple[Future, int] | dict  # where an outcome will be: in a batch, or known already


class Dispatcher:
    """Runs jobs through the cache and an executor, a bounded number at a time."""

    def __init__(
        self,
        executor: Executor,
        workers: Callable[[], int],
        rung: str,
        known: OutcomeCache,
        batch: int,
    ) -> None:
        self.executor, self.workers, self.rung = executor, workers, rung
        self.known, self.batch = known, batch
        self._progress = Condition()  # a batch is finished
        self._unfinished = 0  # batches
        self._under_way: dict[bytes, tuple[Future, int]] = {}
        self._batches: dict[Future, list[bytes]] = {}

    def __enter__(self) -> Dispatcher:
        return self

    def __exit__(self, *_: object) -> None:
        """Also when interrupted: keep what the batches under way still find."""
        for future in self._batches:
            future.cancel()
        wait(self._batches)
        for future in list(self._batches):
            self._keep(future)

    def run(
        self, jobs: Iterable[dict], described: Mapping[str, Description]
    ) -> Iterator[dict]:
        """Yield the raw outcome of each job in order; each distinct job runs once.

        `described` gives for each task what a worker is told about it (see `pool.Batch`)
        and a digest of that.
        """
        waiting: deque[Place] = deque()
        batches = _batched(jobs, self.batch)
        batch = next(batches, None)
        while batch or waiting:
            if batch and self._has_room(waiting):
                waiting += self._begin(batch, described)
                batch = next(batches, None)
            elif waiting and _is_there(waiting[0]):
                yield self._take(waiting.popleft())
            else:
                self._await_progress(waiting, more=batch is not None)

    def _has_room(self, waiting: Sized) -> bool:
        most = AHEAD * self.workers()
        return self._unfinished < most and len(waiting) < BEHIND * most * self.batch

    def _await_progress(self, waiting: Sequence[Place], more: bool) -> None:
        """Until the first that waits is there, or, if there are more, room for them."""
        with self._progress:
            while not (waiting and _is_there(waiting[0])):
                if more and self._has_room(waiting):
                    return
                self._progress.wait()

    def _begin(
        self, batch: list[dict], described: Mapping[str, Description]
    ) -> Iterator[Place]:
        """Submit what is neither known nor under way; where each job's outcome will be."""
        fresh: dict[bytes, dict] = {}
        places = []
        for job in batch:
            digest = described[job["task_id"]][1]
            key = key_of(_FORMAT, _PYTHON, self.rung, digest, job)
            found = self._under_way.get(key) or self.known.get(key)
            if found is None:
                fresh.setdefault(key, job)
            places.append(found or key)
        self._submit(fresh, described)
        return (self._under_way[at] if isinstance(at, bytes) else at for at in places)

    def _submit(
        self, fresh: dict[bytes, dict], described: Mapping[str, Description]
    ) -> None:
        if not fresh:
            return
        jobs = list(fresh.values())
        wanted = {job["task_id"]: described[job["task_id"]][0] for job in jobs}
        batch = Batch(self.rung, wanted, jobs)
        future = self.executor.submit(run_batch, batch)
        self._batches[future] = list(fresh)
        for index, key in enumerate(fresh):
            self._under_way[key] = future, index
        with self._progress:
            self._unfinished += 1
        future.add_done_callback(self._finished)

    def _finished(self, _future: Future) -> None:
        with self._progress:
            self._unfinished -= 1
            self._progress.notify_all()

    def _take(self, found: Place) -> dict:
        if isinstance(found, dict):
            return found
        future, index = found
        raw = future.result()[index]
        if future in self._batches:
            self._keep(future)
        return raw

    def _keep(self, future: Future) -> None:
        """Put what a finished batch found into the cache (but not our own failures)."""
        keys = self._batches.pop(future)
        failed = future.cancelled() or future.exception() is not None
        for index, key in enumerate(keys):
            del self._under_way[key]
            raw = {} if failed else future.result()[index]
            if raw.get("status", "judge_error") != "judge_error":
                self.known.put(key, raw)


def _is_there(place: Place) -> bool:
    return isinstance(place, dict) or place[0].done()


def _batched(items: Iterable, size: int) -> Iterator[list]:
    items = iter(items)
    while batch := list(itertools.islice(items, size)):
        yield batch
