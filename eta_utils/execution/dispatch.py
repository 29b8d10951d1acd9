"""Jobs through the cache and an executor: in order, a bounded number at a time.

`execution.judge` makes a job of each program (see `sandbox.pool`); what comes back is its
raw outcome.  A job whose key is in the cache does not run.  One that is already under way
does not run a second time.

Memory depends on the number of workers, not on the number of jobs.  Two bounds see to it:

- at most `AHEAD` batches per worker are under way;
- at most `BEHIND` times as many jobs have been taken without being handed on.

Programs and tests may be large, so a batch ends before it holds more than `LARGEST_FRAME`
bytes of them.  A single one that is larger does not run: its outcome is a `judge_error`.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import platform
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from concurrent.futures import Executor, Future, wait
from threading import Condition

from tqdm import tqdm

from eta_utils.common.files import digest_of
from eta_utils.execution.cache import OutcomeCache, key_of
from eta_utils.sandbox.channel import LARGEST_FRAME
from eta_utils.sandbox.jail import EXAMINER_MEMORY, Setup
from eta_utils.sandbox.pool import Batch, run_batch
from eta_utils.sandbox.visible import PACKAGE, PARTS

BATCH = 16  # jobs
# The same for a distant executor.  A batch brings its tasks and their traces along, and
# crosses Dask's scheduler: with 16 jobs judging took a fifth longer on two workers, with 64
# no longer at all.
FAR_BATCH = 64
AHEAD = 4  # batches under way for each worker
# Outcomes come in any order and are handed on in order, so some wait for an earlier, slow
# program.  A program that the clock stops keeps its worker for seconds, and the other
# workers must not run out of jobs meanwhile.
BEHIND = 8
BEAT = 5.0  # seconds after which a progress bar is drawn again, though nothing has come


@functools.cache
def judge_digest() -> str:
    """A digest of what decides outcomes beside jobs and setups: Python, numpy, the memory
    of the examiner, and the code that runs, traces and compares programs."""
    versions = [platform.python_version()]
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        versions.append(importlib.metadata.version("numpy"))
    code = [
        f"{path.name} {digest_of(path)}"
        for part in PARTS
        for path in sorted((PACKAGE / part).glob("*.py"))
    ]
    return key_of(versions, EXAMINER_MEMORY, code).hex()


# What a worker is told of a task, pickled, and a digest of that.
Description = tuple[bytes, str]
# Where an outcome is: at an index of a batch's future, or here, known already.
Place = tuple[Future, int] | dict


class Dispatcher:
    """Runs jobs through the cache and an executor, a bounded number at a time.

    `workers` is a function because a cluster may grow and shrink.  Everything but
    `_finished` runs in the thread of the caller; so only `_unfinished` needs a lock.
    """

    def __init__(
        self,
        executor: Executor,
        workers: Callable[[], int],
        setup: Setup,
        batch: int,
    ) -> None:
        self.executor, self.workers, self.setup = executor, workers, setup
        self.batch = batch
        self._progress = Condition()  # notified when a batch is finished
        self._unfinished = 0  # batches
        self._under_way: dict[bytes, tuple[Future, int]] = {}  # by the job's key
        # Of each batch the keys of its jobs, and where their outcomes are kept.
        self._batches: dict[Future, tuple[list[bytes], OutcomeCache]] = {}

    def __enter__(self) -> Dispatcher:
        return self

    def __exit__(self, *_: object) -> None:
        """Keep what the batches under way still find, also when interrupted."""
        for future in self._batches:
            future.cancel()
        wait(self._batches)
        for future in list(self._batches):
            self._keep(future)

    def run(
        self,
        jobs: Iterable[dict],
        described: Mapping[str, Description],
        cache: OutcomeCache,
        most: int | None = None,
        bar: tqdm | None = None,
    ) -> Iterator[dict]:
        """Yield the raw outcome of each job in order; each distinct job runs once.

        What is in `cache` does not run, and what runs is kept there.  A job may also bring
        its raw outcome, as `known`.
        `described` gives for each task what a worker is told about it (see `pool.Batch`)
        and a digest of that.  A batch has `most` jobs, or as many as the dispatcher's.
        `bar` counts outcomes when they come, in whatever order.

        Raises what a batch raised, once all before it are yielded.
        """
        waiting: deque[Place] = deque()
        batches = self._batched(jobs, described, most or self.batch)
        batch = next(batches, None)
        while batch or waiting:
            # Submitting comes before handing on, so that no worker runs out of jobs.
            if batch and self._has_room(waiting):
                begun = list(self._begin(batch, described, cache))
                if bar is not None:
                    _count(begun, bar)
                waiting += begun
                batch = next(batches, None)
            elif waiting and _is_there(waiting[0]):
                yield self._take(waiting.popleft())
            else:
                self._await_progress(waiting, batch is not None, bar)

    def _batched(
        self, jobs: Iterable[dict], described: Mapping[str, Description], most: int
    ) -> Iterator[list[dict]]:
        """Jobs in lists of `most`, or fewer where their texts are large."""
        batch: list[dict] = []
        size, tasks = 0, set()
        for job in jobs:
            name = job["task_id"]
            more = _size(job["program"])
            more += 0 if name in tasks else len(described[name][0])
            if batch and (len(batch) == most or size + more > LARGEST_FRAME):
                yield batch
                batch, size, tasks = [], 0, set()
                more = _size(job["program"]) + len(described[name][0])
            batch.append(job)
            size += more
            tasks.add(name)
        if batch:
            yield batch

    def _has_room(self, waiting: Sized) -> bool:
        """Whether one more batch keeps both bounds."""
        most = AHEAD * self.workers()
        return self._unfinished < most and len(waiting) < BEHIND * most * self.batch

    def _await_progress(
        self, waiting: Sequence[Place], more: bool, bar: tqdm | None
    ) -> None:
        """Wait for the first outcome or, where there are `more` jobs, for room."""
        with self._progress:
            while not (waiting and _is_there(waiting[0])):
                if more and self._has_room(waiting):
                    return
                if not self._progress.wait(BEAT) and bar is not None:
                    bar.refresh()

    def _begin(
        self,
        batch: list[dict],
        described: Mapping[str, Description],
        cache: OutcomeCache,
    ) -> Iterator[Place]:
        """Submit what is neither known nor under way; return where each outcome will be."""
        fresh: dict[bytes, dict] = {}  # the jobs to submit, by key: two may be the same
        places: list[Place | bytes] = []
        for job in batch:
            task, digest = described[job["task_id"]]
            if known := job.get("known") or _refused(job, task):
                places.append(known)
                continue
            # All that decides an outcome: the job has the program, budgets and clocks.
            key = key_of(judge_digest(), vars(self.setup), digest, job)
            place = self._under_way.get(key) or cache.get(key)
            if place is None:
                fresh.setdefault(key, job)
            places.append(place or key)
        self._submit(fresh, described, cache)
        # The jobs that were just submitted have a place now, too.
        return (
            self._under_way[place] if isinstance(place, bytes) else place
            for place in places
        )

    def _submit(
        self,
        fresh: dict[bytes, dict],
        described: Mapping[str, Description],
        cache: OutcomeCache,
    ) -> None:
        """Send jobs to the executor as one batch, with the tasks that they refer to."""
        if not fresh:
            return
        jobs = list(fresh.values())
        wanted = {job["task_id"]: described[job["task_id"]][0] for job in jobs}
        batch = Batch(self.setup, wanted, jobs)
        future = self.executor.submit(run_batch, batch)
        self._batches[future] = list(fresh), cache
        for index, key in enumerate(fresh):
            self._under_way[key] = future, index
        with self._progress:
            self._unfinished += 1
        # Last, because an executor may be done already, and call back at once.
        future.add_done_callback(self._finished)

    def _finished(self, _future: Future) -> None:
        """Called in a thread of the executor."""
        with self._progress:
            self._unfinished -= 1
            self._progress.notify_all()

    def _take(self, place: Place) -> dict:
        """The raw outcome at a place.  Raises what its batch raised."""
        if isinstance(place, dict):
            return place
        future, index = place
        raw = future.result()[index]
        if future in self._batches:
            self._keep(future)
        return raw

    def _keep(self, future: Future) -> None:
        """Put the outcomes of a finished batch into the cache.

        But not our own failures, and nothing that a clock decided: on another day, beside
        other work, the same program may be in time.
        """
        keys, cache = self._batches.pop(future)
        failed = future.cancelled() or future.exception() is not None
        for index, key in enumerate(keys):
            del self._under_way[key]
            raw = {} if failed else future.result()[index]
            if raw.get("status", "judge_error") not in ("judge_error", "timeout"):
                cache.put(key, raw)


def _is_there(place: Place) -> bool:
    return isinstance(place, dict) or place[0].done()


def _count(places: Iterable[Place], bar: tqdm) -> None:
    """Have `bar` count each outcome once it is there.  A bar that is full is closed."""

    def count(_: Future | None = None) -> None:
        with bar.get_lock():  # threads of the executor call this
            bar.update()
            if bar.n == bar.total:
                bar.close()

    for place in places:
        if isinstance(place, dict):
            count()
        else:
            place[0].add_done_callback(count)


def _size(text: str) -> int:
    """The size of a text in bytes; a sample may have surrogates, which JSON allows."""
    return len(text.encode("utf-8", "surrogatepass"))


def _refused(job: dict, task: bytes) -> dict | None:
    """The raw outcome of a job that is too large to be sent; None for any other."""
    if _size(job["program"]) > LARGEST_FRAME:
        what = "the program"
    elif len(task) > LARGEST_FRAME:
        what = "its test, with the trace of the reference,"
    else:
        return None
    message = f"{what} is larger than {LARGEST_FRAME >> 20} MiB"
    return {"status": "judge_error", "message": message}
