"""A study on a Dask cluster: seeds and arms as jobs, then the notebooks that reuse them.

>>> for step, seconds in spread(client, chains, cell_timeout=None): ...

For each seed a job makes the SFT model; then one for each arm, all at the same time where
there are workers; then notebooks 01 to 03, which find everything done; at last 04.  A job
is `python -m eta_utils train` in a process of its own (a worker keeps neither memory nor
random state of it), and what it prints is in the run's folder, `seed0/ppo.log`.

Leaves out: when and where a job runs, and doing it again when its worker is lost (Dask);
what was finished before is reused (`stages`).
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, NamedTuple

from eta_utils.report.cluster import alike, fingerprint, lost
from eta_utils.report.notebook import ENVIRONMENT, FAILED, NotebookFailed, Step, execute
from eta_utils.study.study import Study

if TYPE_CHECKING:
    from distributed import Client, Future


class Job(NamedTuple):
    """The work of one arm for one seed."""

    study: Study
    name: str

    @property
    def key(self) -> str:
        return f"seed{self.study.seed}/{self.name}"

    @property
    def label(self) -> str:
        return f"{self.name}, seed {self.study.seed}"

    @property
    def command(self) -> list[str]:
        """What a user would type to do it by hand."""
        study = self.study
        words = ["-m", "eta_utils", "train", "--run", study.run, "--arms", self.name]
        outputs = os.path.abspath(study.place.outputs)
        return [*words, "--seeds", str(study.seed), "-p", f"outputs={outputs}"]


Executed = Iterator[tuple[Step | Job, float]]  # with the seconds it took


def spread(
    client: Client, chains: Sequence[Sequence[Step]], cell_timeout: int | None
) -> Executed:
    """Do the jobs of each seed and execute its notebooks, and the last chain after all.

    Raises NotebookFailed for the first notebook or job that does not reach its end; what
    has not begun is called off, what is under way goes on to its end.
    """
    from distributed import KilledWorker, as_completed  # a second to load

    *seeds, [analysis] = chains
    planned: dict[Future, Step | Job] = {}
    ends = [_submit_seed(client, chain, cell_timeout, planned) for chain in seeds]
    planned[_submit(client, _execute, analysis, cell_timeout, ends)] = analysis
    try:
        for future in as_completed(planned, loop=client.loop):
            yield planned[future], future.result()
    except (CancelledError, KilledWorker) as error:
        raise lost(error) from None
    finally:
        client.cancel(list(planned))


def _submit_seed(
    client: Client,
    chain: Sequence[Step],
    cell_timeout: int | None,
    planned: dict[Future, Step | Job],
) -> Future:
    """Add the jobs and notebooks of one seed to those that are planned; the last one."""
    # Workers load this module too, and have no use for torch: their jobs are processes.
    from eta_utils.study.jobs import names_of, needs

    study = chain[0].study
    done: dict[str, Future] = {}
    for name in names_of(study):
        job, before = Job(study, name), [done[each] for each in needs(study, name)]
        done[name] = _submit(client, _do, job, before)
        planned[done[name]] = job
    last = list(done.values())
    for step in chain:
        last = [_submit(client, _execute, step, cell_timeout, last)]
        planned[last[0]] = step
    return last[0]


def _submit(client: Client, function: Callable, *args: object) -> Future:
    """Have a worker with our code call a function, where `ETA_DATA` is what it is here."""
    data = os.environ.get("ETA_DATA")
    return client.submit(
        alike, fingerprint(), _with_data, data, function, *args, pure=False
    )


def _with_data(data: str | None, function: Callable, *args: object) -> float:
    if data:
        os.environ["ETA_DATA"] = data
    return function(*args)


def _do(job: Job, _before: list[float]) -> float:
    """Do a job in a process of its own; the seconds it took."""
    start, folder = time.monotonic(), job.study.folder
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / f"{job.name}.log"
    with log.open("a") as said:  # one that was lost may still be writing
        done = subprocess.run(
            [sys.executable, *job.command],
            stdout=said,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env=os.environ | ENVIRONMENT,
        )
    if done.returncode:
        last = (log.read_text().strip().splitlines() or ["it said nothing"])[-1]
        command = shlex.join(["python", *job.command])
        raise NotebookFailed(
            f"{job.label} stopped: {last}; all it said is in {log}; to do it by hand: "
            f"{command}",
            FAILED,
        )
    return round(time.monotonic() - start, 1)


def _execute(step: Step, cell_timeout: int | None, _before: list[float]) -> float:
    return execute(step, cell_timeout)
