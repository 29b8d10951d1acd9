"""A Dask cluster: connect to it, check its workers, judge programs on them.

>>> with connected("tcp://host:8786") as client:
...     executor, workers = judges(client, "auto")
...     outcomes = list(judge(samples, tasks, executor=executor, at_once=workers))

Dask schedules the work, moves the data and repeats what a lost worker had begun.  This
module adds a check: every worker runs the same code and can isolate programs, or an error
names the one that differs.  docs/scaling.md says how to start a cluster; `spread` runs a
study on one.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import platform
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Executor, Future
from pathlib import Path

from distributed import Client, KilledWorker

from eta_utils.common.errors import BadInput, Failed
from eta_utils.report.provenance import fingerprint
from eta_utils.sandbox.isolation import choose_rung

CONNECT_SECONDS = 15
FIRST_WORKER_SECONDS = 600  # a batch system may let a worker wait
COUNT_SECONDS = 5  # between two counts of the workers
_ADDRESS = re.compile(r"(tcp|tls|ucx|ws|wss)://\S+:\d+")


@contextlib.contextmanager
def connected(address: str) -> Iterator[Client]:
    """A client of the scheduler at `address`, whose workers all run the same code as we.

    Raises BadInput if no scheduler answers, no worker joins, or a worker's code differs.
    """
    if not _ADDRESS.fullmatch(address):
        raise BadInput(f"--dask {address!r}: is not an address such as tcp://host:8786")
    for name in ("distributed", "distributed.client"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # one sentence is enough
    try:
        client = Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        raise BadInput(
            f"--dask {address}: no scheduler answers there ({_first_line(error)}); "
            "`dask scheduler` starts one and prints its address, such as tcp://host:8786"
        ) from None
    with client:
        _await_workers(client, address)
        _check_code(client)
        yield client


def _await_workers(client: Client, address: str) -> None:
    if client.nthreads():
        return
    print(f"waiting for a first worker at {address}", flush=True)
    try:
        client.wait_for_workers(1, timeout=FIRST_WORKER_SECONDS)
    except TimeoutError:
        raise BadInput(
            f"--dask {address}: the scheduler has no workers, and none joined within "
            f"{FIRST_WORKER_SECONDS // 60} minutes; `dask worker {address}` starts some"
        ) from None


def _check_code(client: Client) -> None:
    for worker, answer in _on_each(client, fingerprint).items():
        if answer != fingerprint():
            failed = isinstance(answer, BaseException)
            has = f"no eta_utils to import ({_first_line(answer)})" if failed else answer
            raise BadInput(
                f"--dask: worker {worker} has {has}, here is {fingerprint()}; install the "
                "same there and restart it, because verdicts must not depend on the machine"
            )


def judges(client: Client, isolation: str) -> tuple[Executor, Callable[[], int]]:
    """An executor for `judge`, and a function that says how many programs it can run at a
    time: as many as the cluster, which may grow and shrink, has threads.

    Raises BadInput if a worker cannot isolate programs as this machine does.
    """
    rung = choose_rung(isolation)
    for worker, answer in _on_each(client, choose_rung, rung).items():
        if answer != rung:
            raise BadInput(
                f"--dask: isolation {rung} does not hold on worker {worker} "
                f"({_first_line(answer)}); install what `python -m eta_utils doctor` asks "
                "for there, or name a lower rung that holds everywhere (--isolation)"
            )
    return _CheckedExecutor(client, rung), _ThreadCount(client)


class _CheckedExecutor(Executor):
    """Dask's executor; a worker, whenever it joined, is checked before each call."""

    def __init__(self, client: Client, rung: str) -> None:
        self._executor, self._rung = client.get_executor(pure=False), rung

    def submit(self, function: Callable, /, *args: object, **kwargs: object) -> Future:
        """As in `concurrent.futures`, but the future cannot be cancelled: Dask would forget
        the call while a worker still runs it."""
        isolated = functools.partial(_call_isolated, self._rung, function)
        theirs = self._executor.submit(
            call_same_code, fingerprint(), isolated, *args, **kwargs
        )
        ours: Future = Future()
        ours.set_running_or_notify_cancel()  # from here on `cancel` does nothing
        theirs.add_done_callback(functools.partial(_copy_result, ours))
        return ours


def _copy_result(ours: Future, theirs: Future) -> None:
    """Give our future the result, or the error, of Dask's."""
    try:
        ours.set_result(theirs.result())
    except (CancelledError, KilledWorker) as error:
        ours.set_exception(lost_work(error))
    except Exception as error:  # the function's own
        ours.set_exception(error)


def lost_work(error: BaseException) -> Failed:
    """The error for the user when Dask gives up."""
    # Dask's own message begins with keys, which mean nothing to a user.
    reason = _first_line(error).rpartition("reason: ")[-1]
    return Failed(
        f"the Dask cluster lost running work ({reason}); with scheduler and workers up "
        "again the same command goes on from what is done"
    )


class _ThreadCount:
    """The number of the workers' threads, at most COUNT_SECONDS old."""

    def __init__(self, client: Client) -> None:
        self._client, self._valid_until, self._count = client, 0.0, 1

    def __call__(self) -> int:
        if time.monotonic() > self._valid_until:
            self._count = max(1, sum(self._client.nthreads().values()))
            self._valid_until = time.monotonic() + COUNT_SECONDS
        return self._count


def _call_isolated(rung: str, function: Callable, *args: object) -> object:
    """On a worker: call a function if the rung holds there, or raise IsolationError."""
    choose_rung(rung)
    return function(*args)


def call_same_code(
    expected: str, function: Callable, *args: object, **kwargs: object
) -> object:
    """On a worker: call a function if its `fingerprint` is the expected one.

    Raises BadInput if it is not: the worker joined after `connected` checked them all.
    """
    if fingerprint() != expected:
        raise BadInput(
            f"--dask: worker {platform.node()} joined with {fingerprint()}, here is "
            f"{expected}; install the same version there"
        )
    return function(*args, **kwargs)


def check_folder(client: Client, folder: Path) -> None:
    """Raise BadInput if a worker does not see a folder of this machine."""
    for worker, answer in _on_each(client, Path.is_dir, folder.resolve()).items():
        if answer is not True:
            raise BadInput(
                f"--dask: worker {worker} does not see {folder.resolve()}; notebooks and "
                "runs (-p outputs=FOLDER) must lie where all machines see them"
            )


def _on_each(client: Client, function: Callable, *args: object) -> dict[str, object]:
    """What a function returns, or raises, on each worker, by the worker's address."""
    return client.run(function, *args, on_error="return")


def _first_line(error: object) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
