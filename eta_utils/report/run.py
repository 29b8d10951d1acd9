"""Executes the study's notebooks, one process each, and renders the report.

>>> study = Study.begin(run="mine", profile="small")
>>> run_study(study, seeds=[0, 1], command=command_for(study, [0, 1]))
PosixPath('outputs/mine/report.html')

From the command line: `python -m eta_utils run --help`.  The executed notebooks lie in the
run's folder, and its `run.json` records the command, the seeds, and the seconds and digest
of each notebook.  A notebook that would say the same again is not executed (`current`); in
the others, stages reuse what was made before.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from itertools import dropwhile
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

from eta_utils.common.errors import BadInput
from eta_utils.common.files import read_json, write_json
from eta_utils.common.machine import cores
from eta_utils.report.current import digest_of
from eta_utils.report.notebook import NOTEBOOKS, Step, execute
from eta_utils.report.page import EACH_SEED, LAST, render
from eta_utils.report.provenance import record_environment
from eta_utils.study.study import MINUTES, Study

if TYPE_CHECKING:
    from distributed import Client

    from eta_utils.report.spread import Executed


def run_study(
    study: Study,
    seeds: Sequence[int],
    command: str,
    notebooks: Path = NOTEBOOKS,
    cell_timeout: int | None = None,
    jobs: int = 1,
    client: Client | None = None,
) -> Path:
    """Execute the notebooks of each seed, then the analysis; return the report's path.

    `command` is recorded.  `cell_timeout` limits the seconds of each cell.  `jobs` seeds
    run in parallel, each with its share of the cores.  With a `client`, the workers of its
    Dask cluster do all the work, and the arms of a seed run in parallel too.
    Raises BadInput for bad seeds or a missing notebook, before anything runs, and
    NotebookFailed when a notebook does not reach its end.
    """
    check_seeds(seeds)
    check_notebooks(notebooks)
    folder = study.run_folder
    folder.mkdir(parents=True, exist_ok=True)
    chains = list(_plan(study, seeds, notebooks))
    if not (outdated := _outdated(chains, folder)):
        print("nothing to make: every notebook would say the same again", flush=True)
        return render(folder)
    print(_announcement(study, [step for chain in outdated for step in chain]), flush=True)
    record_environment(folder)
    # Drop the seconds of planned notebooks until they are executed again: to the report,
    # seconds mean that the last execution reached the end.
    planned = {step.key for chain in outdated for step in chain}
    seconds = {
        key: spent for key, spent in _recorded(folder, "seconds") if key not in planned
    }
    record = {"command": command, "seeds": list(seeds), "seconds": seconds}
    write_json(folder / "run.json", record)
    if client is None:
        executed = _executed(outdated, jobs, cell_timeout)
    else:
        from eta_utils.report.spread import spread  # Dask takes a second to load

        executed = spread(client, outdated, cell_timeout)
    for step, spent in executed:
        if isinstance(step, Step):  # not a job of `spread`: stages record its seconds
            seconds[step.key] = spent
        write_json(folder / "run.json", record)
        print(f"{step.label}: {_duration(spent)}", flush=True)
    digests = {step.key: digest_of(step) for chain in chains for step in chain}
    write_json(folder / "run.json", record | {"digests": digests})
    return render(folder)


def _outdated(chains: list[list[Step]], folder: Path) -> list[list[Step]]:
    """The steps to execute: in each chain from the first that would say something else on,
    and, where a seed has one, the analysis."""
    before = dict(_recorded(folder, "digests"))

    def is_current(step: Step) -> bool:
        return step.target.exists() and before.get(step.key) == digest_of(step)

    *seeds, analysis = [list(dropwhile(is_current, chain)) for chain in chains]
    seeds = [chain for chain in seeds if chain]
    return [*seeds, chains[-1]] if seeds or analysis else []


def _announcement(study: Study, steps: Sequence[Step]) -> str:
    """How many notebooks will be executed, and about how long that takes."""
    many = f"{len(steps)} notebook{'s' if len(steps) > 1 else ''}"
    minutes = MINUTES.get(study.profile)
    if minutes is None or study.changed().keys() - {"outputs"}:
        return f"{many}; how long they take with these parameters was not measured"
    total = sum(minutes[step.target.stem] for step in steps)
    return f"{many}, about {max(1, round(total))} min on two idle cores"


def check_seeds(seeds: Sequence[int]) -> None:
    """Raise BadInput where no seed is given, or one is negative or given twice."""
    if not seeds:
        raise BadInput("seeds: name at least one")
    for seed in seeds:
        if seed < 0:
            raise BadInput(f"seeds: {seed} is negative")
    if len(set(seeds)) < len(seeds):
        raise BadInput(f"seeds: {' '.join(map(str, seeds))} names one twice")


def check_notebooks(folder: Path) -> None:
    """Raise BadInput when a notebook of the study is not in `folder`."""
    for name in (*EACH_SEED, LAST):
        if not (folder / f"{name}.ipynb").exists():
            raise BadInput(f"{folder / name}.ipynb: no such notebook")


def command_for(study: Study, seeds: Sequence[int], jobs: int = 1) -> str:
    """The command line that makes this run again, from nothing."""
    words = ["python", "-m", "eta_utils", "run", "--profile", study.profile]
    words += ["--run", study.run, "--seeds", *map(str, seeds)]
    if jobs > 1:
        words += ["--jobs", str(jobs)]
    for name, value in study.changed().items():
        words += ["-p", f"{name}={value}"]
    return shlex.join(words)


def _recorded(folder: Path, what: str) -> list[tuple[str, object]]:
    """The seconds, or digests, of notebooks that earlier commands executed, by step."""
    path = folder / "run.json"
    return list(read_json(path).get(what, {}).items()) if path.exists() else []


def _plan(study: Study, seeds: Sequence[int], notebooks: Path) -> Iterator[list[Step]]:
    """The notebooks of each seed, to be executed in that order, then the analysis."""
    for seed in seeds:
        own = study.with_seed(seed)
        files = [f"{name}.ipynb" for name in EACH_SEED]
        yield [Step(own, notebooks / file, own.folder / file) for file in files]
    file = f"{LAST}.ipynb"
    yield [Step(study, notebooks / file, study.run_folder / file)]


def _executed(chains: list[list[Step]], jobs: int, cell_timeout: int | None) -> Executed:
    *seeds, analysis = chains
    if jobs > 1 and len(seeds) > 1:
        yield from _in_parallel(seeds, jobs, cell_timeout)
        seeds = []
    steps = [step for chain in (*seeds, analysis) for step in chain]
    for number, step in enumerate(steps, 1):
        label = f"[{number}/{len(steps)} {step.target.stem}]"
        yield step, execute(step, cell_timeout, _Labelled(label))


def _in_parallel(chains: list[list[Step]], jobs: int, cell_timeout: int | None) -> Executed:
    """Execute `jobs` chains of notebooks at a time.

    If a notebook fails, those that are being executed still run to their end.
    """
    waiting = deque(deque(chain) for chain in chains)
    running: dict[Future, tuple[Step, deque[Step]]] = {}
    jobs = min(jobs, len(chains))
    # spawn, not fork: this process has threads.
    with ProcessPoolExecutor(jobs, get_context("spawn"), _share_cores, (jobs,)) as pool:
        while waiting or running:
            while waiting and len(running) < jobs:
                chain = waiting.popleft()
                step = chain.popleft()
                running[pool.submit(_execute_labelled, step, cell_timeout)] = step, chain
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                step, chain = running.pop(future)
                if chain:  # in front: finish a seed before another one starts
                    waiting.appendleft(chain)
                yield step, future.result()


def _share_cores(jobs: int) -> None:
    """Give torch, in the kernels of this process, its share of the cores."""
    os.environ["OMP_NUM_THREADS"] = str(max(1, cores() // jobs))


class _Labelled:
    """Standard output, with a label in front of each line."""

    def __init__(self, label: str) -> None:
        self.label = label

    def write(self, text: str) -> None:
        for line in text.splitlines():
            if line.strip():
                sys.stdout.write(f"{self.label} {line}\n")

    def flush(self) -> None:
        sys.stdout.flush()


def _execute_labelled(step: Step, cell_timeout: int | None) -> float:
    return execute(
        step, cell_timeout, _Labelled(f"[seed {step.study.seed} {step.target.stem}]")
    )


def _duration(seconds: float) -> str:
    if round(seconds, 1) < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
