"""A Dask cluster, as the place where programs are judged and the jobs of a study run.

>>> with connected("tcp://host:8786") as client:
...     executor, workers = judges(client, "auto")
...     outcomes = list(judge(samples, tasks, executor=executor, workers=workers))

Dask schedules, retries what a lost worker was at, and moves the data.  What is added here
is that all machines run the same code and can isolate programs, or are named.

Leaves out: starting a cluster (`dask scheduler` and `dask worker`, dask-jobqueue; see
docs/scaling.md), and what the jobs of a study are (see `runner`).
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import logging
import platform
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Executor, Future
from pathlib import Path

from distributed import Client, KilledWorker

import eta_utils
from eta_utils.common.files import BadInput, Failed
from eta_utils.sandbox.isolation import choose_rung

PACKAGE = Path(__file__).parents[1]
CONNECT_SECONDS = 15
FIRST_WORKER_SECONDS = 600  # a batch system may let a worker wait
COUNT_SECONDS = 5  # between two looks at how many workers there are
_ADDRESS = re.compile(r"(tcp|tls|ucx|ws|wss)://\S+:\d+")


@contextlib.contextmanager
def connected(address: str) -> Iterator[Client]:
    """A client of the scheduler at `address`, all of whose workers run this very code.

    Raises BadInput where no scheduler answers, no worker comes, or a worker differs.
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


@functools.cache
def fingerprint() -> str:
    """What must be the same on all machines: this package, to the letter, and Python."""
    digest = hashlib.sha256()
    for path in sorted(PACKAGE.rglob("*.py")):
        digest.update(path.relative_to(PACKAGE).as_posix().encode() + path.read_bytes())
    code = f"eta_utils {eta_utils.__version__} (source {digest.hexdigest()[:12]})"
    return f"{code} on Python {platform.python_version()}"


def _check_code(client: Client) -> None:
    for worker, found in _on_each(client, fingerprint).items():
        if found != fingerprint():
            failed = isinstance(found, BaseException)
            has = f"no eta_utils to import ({_first_line(found)})" if failed else found
            raise BadInput(
                f"--dask: worker {worker} has {has}, here is {fingerprint()}; verdicts "
                "would depend on the machine: install the same there and start it again"
            )


def judges(client: Client, isolation: str) -> tuple[Executor, Callable[[], int]]:
    """An executor for `judge`, and how many programs it can run at a time, which grows and
    shrinks with the cluster.

    Raises BadInput where a worker cannot isolate programs as this machine does.
    """
    rung = choose_rung(isolation)
    for worker, found in _on_each(client, choose_rung, rung).items():
        if found != rung:
            raise BadInput(
                f"--dask: isolation {rung} does not hold on worker {worker} "
                f"({_first_line(found)}); install what `python -m eta_utils doctor` asks "
                "for there, or name a lower rung that holds everywhere (--isolation)"
            )
    return _Judges(client, rung), _Threads(client)


class _Judges(Executor):
    """Dask's executor, of workers that are like us, whenever they joined."""

    def __init__(self, client: Client, rung: str) -> None:
        self._executor, self._rung = client.get_executor(pure=False), rung

    def submit(self, function: Callable, /, *args: object, **kwargs: object) -> Future:
        """As `concurrent.futures` has it; what was submitted cannot be called off, since
        Dask would forget what it is at."""
        checked = functools.partial(_isolated, self._rung, function)
        theirs = self._executor.submit(alike, fingerprint(), checked, *args, **kwargs)
        ours: Future = Future()
        ours.set_running_or_notify_cancel()
        theirs.add_done_callback(functools.partial(_hand_over, ours))
        return ours


def _hand_over(ours: Future, theirs: Future) -> None:
    """Give our future what became of Dask's."""
    try:
        ours.set_result(theirs.result())
    except (CancelledError, KilledWorker) as error:
        ours.set_exception(lost(error))
    except Exception as error:  # the batch's own
        ours.set_exception(error)


def lost(error: BaseException) -> Failed:
    """What to say when the cluster gives up."""
    # Dask's keys stand before it, and tell a user nothing.
    reason = _first_line(error).rpartition("reason: ")[-1]
    return Failed(
        f"the Dask cluster lost what it was at ({reason}); with scheduler and workers up "
        "again the same command goes on from what is done"
    )


class _Threads:
    """The workers' threads, counted now and then."""

    def __init__(self, client: Client) -> None:
        self._client, self._until, self._count = client, 0.0, 1

    def __call__(self) -> int:
        if time.monotonic() > self._until:
            self._count = max(1, sum(self._client.nthreads().values()))
            self._until = time.monotonic() + COUNT_SECONDS
        return self._count


def _isolated(rung: str, function: Callable, *args: object) -> object:
    """Call a function on a worker, if the rung holds there."""
    choose_rung(rung)
    return function(*args)


def alike(expected: str, function: Callable, *args: object, **kwargs: object) -> object:
    """Call a function on a worker, if its code is that of the `fingerprint` expected."""
    if fingerprint() != expected:
        raise BadInput(
            f"--dask: worker {platform.node()} joined with {fingerprint()}, here is "
            f"{expected}; install the same version there"
        )
    return function(*args, **kwargs)


def check_folder(client: Client, folder: Path) -> None:
    """Raise BadInput where a worker does not see a folder that is here."""
    for worker, found in _on_each(client, Path.is_dir, folder.resolve()).items():
        if found is not True:
            raise BadInput(
                f"--dask: worker {worker} does not see {folder.resolve()}; notebooks and "
                "runs (-p outputs=FOLDER) must lie where all machines see them"
            )


def _on_each(client: Client, function: Callable, *args: object) -> dict[str, object]:
    """What a function returns, or raises, on each worker."""
    return client.run(function, *args, on_error="return")


def _first_line(error: object) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
