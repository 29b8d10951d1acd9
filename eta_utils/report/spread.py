"""A study on a Dask cluster: arms as jobs, then the notebooks that reuse their stages.

>>> for step, seconds in spread(client, chains, cell_timeout=None): ...

For each seed, one job makes the SFT model.  Every other arm is a job, too: it starts when
the jobs that it needs are done, and arms run in parallel.  Then notebooks 01 to 03 run, one
after the other, and find every stage made.  Notebook 04 comes last, after all seeds.

A job is `python -m eta_utils train` in a process of its own, so that a worker keeps none of
its memory or random state.  Its output is in the run's folder, such as `seed0/grpo.log`.
Dask repeats the job of a lost worker; the repeated job reuses the stages that are finished.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from typing import NamedTuple

from distributed import Client, Future, KilledWorker, as_completed

from eta_utils.common.errors import FAILED
from eta_utils.report.cluster import call_same_code, fingerprint, lost_work
from eta_utils.report.notebook import NotebookFailed, Step, execute
from eta_utils.study.study import Study


class Job(NamedTuple):
    """The work of one arm for one seed."""

    study: Study
    name: str

    @property
    def label(self) -> str:
        """Its name for the user."""
        return f"{self.name}, seed {self.study.seed}"

    @property
    def command(self) -> list[str]:
        """What a user would type to do it by hand, after `python`."""
        study = self.study
        words = ["-m", "eta_utils", "train", "--run", study.run, "--arms", self.name]
        outputs = os.path.abspath(study.place.outputs)
        return [*words, "--seeds", str(study.seed), "-p", f"outputs={outputs}"]


Executed = Iterator[tuple[Step | Job, float]]  # what was executed, and its seconds


def spread(
    client: Client, chains: Sequence[Sequence[Step]], cell_timeout: int | None
) -> Executed:
    """Run the jobs of each seed, then its notebooks; the last chain, the analysis, comes
    after all seeds.

    Raises NotebookFailed for the first notebook or job that does not reach its end.  What
    has not begun is then cancelled; what is running goes on to its end.
    """
    *seeds, [analysis] = chains
    planned: dict[Future, Step | Job] = {}
    last = [_submit_seed(client, chain, cell_timeout, planned) for chain in seeds]
    planned[_submit(client, _execute, analysis, cell_timeout, last)] = analysis
    try:
        for future in as_completed(planned, loop=client.loop):
            yield planned[future], future.result()
    except (CancelledError, KilledWorker) as error:
        raise lost_work(error) from None
    finally:
        client.cancel(list(planned))


def _submit_seed(
    client: Client,
    chain: Sequence[Step],
    cell_timeout: int | None,
    planned: dict[Future, Step | Job],
) -> Future:
    """Add the jobs and notebooks of one seed to `planned`; return its last notebook."""
    # Not at the top: workers import this module too, and would load torch for nothing.
    from eta_utils.study.jobs import names_of, needs

    study = chain[0].study
    jobs: dict[str, Future] = {}
    for name in names_of(study):
        job, needed = Job(study, name), [jobs[before] for before in needs(study, name)]
        jobs[name] = _submit(client, _do, job, needed)
        planned[jobs[name]] = job
    previous = list(jobs.values())
    for step in chain:
        previous = [_submit(client, _execute, step, cell_timeout, previous)]
        planned[previous[0]] = step
    return previous[0]


def _submit(client: Client, function: Callable, *args: object) -> Future:
    """Have a worker with our code call a function, with `ETA_DATA` set as it is here.

    Dask begins the call when all futures among the arguments, also in lists, are finished.
    """
    data = os.environ.get("ETA_DATA")
    return client.submit(
        call_same_code, fingerprint(), _call_with_data, data, function, *args, pure=False
    )


def _call_with_data(data: str | None, function: Callable, *args: object) -> float:
    if data:
        os.environ["ETA_DATA"] = data
    return function(*args)


def _do(job: Job, _needed: list[float]) -> float:
    """On a worker: do a job in a process of its own; return its seconds."""
    start, folder = time.monotonic(), job.study.folder
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / f"{job.name}.log"
    # Append: the process of a lost worker may still be writing.
    with log.open("a") as output:
        done = subprocess.run(
            [sys.executable, *job.command],
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
        )
    if done.returncode:
        last_line = (log.read_text().strip().splitlines() or ["it printed nothing"])[-1]
        command = shlex.join(["python", *job.command])
        raise NotebookFailed(
            f"{job.label} stopped: {last_line}; its output is in {log}; to do it by hand: "
            f"{command}",
            FAILED,
        )
    return round(time.monotonic() - start, 1)


def _execute(step: Step, cell_timeout: int | None, _previous: list[float]) -> float:
    """On a worker: execute a notebook; return its seconds."""
    return execute(step, cell_timeout)
