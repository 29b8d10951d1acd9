"""Executes the study's notebooks, one process each, and renders the report.

>>> study = Study.begin(run="mine", profile="small")
>>> run_study(study, seeds=[0, 1], command=command_for(study, [0, 1]))
PosixPath('outputs/mine/report.html')

From the command line: `python -m eta_utils run --help`.  The executed notebooks lie in the
run's folder; `run.json` there holds what was executed and the seconds it took.

Leaves out: what the notebooks do, and skipping work done before (each stage sees to that).
"""

from __future__ import annotations

import logging
import os
import shlex
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import papermill
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from papermill.exceptions import PapermillExecutionError

from eta_utils.files import BadInput, read_json, write_json
from eta_utils.kernels import ThisPython
from eta_utils.profiles import PROFILES
from eta_utils.provenance import environment
from eta_utils.report import EACH_SEED, LAST, render, render_notebook
from eta_utils.study import ROOT, Study

FAILED = 1
INTERRUPTED = 130
NOTEBOOKS = ROOT / "notebooks"
_KERNEL_START_SECONDS = 120  # a busy machine, a cold disk

# What papermill would log, the one sentence of NotebookFailed says.
logging.getLogger("papermill").addHandler(logging.NullHandler())


class NotebookFailed(Exception):
    """A notebook did not reach its end; the message is one sentence for the user."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


class _Left(Exception):
    """A notebook ended itself early."""


class _Step(NamedTuple):
    """One notebook to execute."""

    study: Study
    source: Path
    target: Path

    @property
    def key(self) -> str:
        """Its name in `run.json`."""
        inside = self.target.relative_to(self.study.run_folder)
        return inside.with_suffix("").as_posix()

    @property
    def label(self) -> str:
        seed = "" if self.target.stem == LAST else f", seed {self.study.seed}"
        return self.target.stem + seed


def run_study(
    study: Study,
    seeds: Sequence[int],
    command: str,
    notebooks: Path = NOTEBOOKS,
    cell_timeout: int | None = None,
) -> Path:
    """Execute the notebooks of each seed, then the analysis; return the report's path.

    `command` is recorded; `cell_timeout` is the most seconds that one cell may take.
    Raises BadInput, before anything runs, for seeds that make no sense or a missing
    notebook, and NotebookFailed when a notebook does not reach its end.
    """
    check_seeds(seeds)
    check_notebooks(notebooks)
    folder = study.run_folder
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "environment.json", environment())
    steps = list(_plan(study, seeds, notebooks))
    # Until a notebook has been executed anew, what an earlier command left does not count.
    planned = {step.key for step in steps}
    seconds = {key: spent for key, spent in _seconds(folder).items() if key not in planned}
    record = {"command": command, "seeds": list(seeds), "seconds": seconds}
    write_json(folder / "run.json", record)
    for step in steps:
        start = time.monotonic()
        _execute_or_explain(step, cell_timeout)
        seconds[step.key] = round(time.monotonic() - start, 1)
        write_json(folder / "run.json", record)
        print(f"{step.label}: {_duration(seconds[step.key])}", flush=True)
    return render(folder)


def check_seeds(seeds: Sequence[int]) -> None:
    """Raise BadInput for seeds that are none, negative or named twice."""
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


def command_for(study: Study, seeds: Sequence[int]) -> str:
    """The command line that makes this run again, from nothing."""
    usual = asdict(Study()) | PROFILES[study.profile]
    changed = {
        name: value
        for name, value in asdict(study).items()
        if name not in ("run", "profile", "seed") and value != usual[name]
    }
    words = ["python", "-m", "eta_utils", "run", "--profile", study.profile]
    words += ["--run", study.run, "--seeds", *map(str, seeds)]
    for name, value in changed.items():
        words += ["-p", f"{name}={value}"]
    return shlex.join(words)


def _seconds(folder: Path) -> dict[str, float]:
    """What earlier executions of the run took."""
    path = folder / "run.json"
    return read_json(path)["seconds"] if path.exists() else {}


def _plan(study: Study, seeds: Sequence[int], notebooks: Path) -> Iterator[_Step]:
    for seed in seeds:
        each = study.with_seed(seed)
        for name in EACH_SEED:
            file = f"{name}.ipynb"
            yield _Step(each, notebooks / file, each.folder / file)
    file = f"{LAST}.ipynb"
    yield _Step(study, notebooks / file, study.run_folder / file)


def _execute_or_explain(step: _Step, cell_timeout: int | None) -> None:
    """Execute a notebook; on failure render what there is and raise NotebookFailed."""
    page = step.target.with_suffix(".html")
    page.unlink(missing_ok=True)  # of an earlier failure
    try:
        _execute(step, cell_timeout)
    except KeyboardInterrupt:
        what, code = "interrupted", INTERRUPTED
    except Exception as error:  # papermill lets through whatever its parts raise
        what, code = _last_line(error, cell_timeout), FAILED
    else:
        return
    where = "it had not begun"
    if step.target.exists():
        render_notebook(step.target)
        where = f"as far as it got: {_near(step.target)} and {page.name}"
    raise NotebookFailed(
        f"{step.label} stopped: {what}; {where}; to go on: {_resume_command(step)}", code
    )


def _execute(step: _Step, cell_timeout: int | None) -> None:
    step.target.parent.mkdir(parents=True, exist_ok=True)
    done = papermill.execute_notebook(
        step.source,
        step.target,
        parameters=_parameters(step),
        kernel_name="python3",
        kernel_manager_class=ThisPython,
        cwd=step.source.parent,
        # Not log_output: that would add a line per cell and the text of every figure.
        stdout_file=sys.stdout,
        progress_bar=False,
        start_timeout=_KERNEL_START_SECONDS,
        execution_timeout=cell_timeout,
    )
    if done.metadata.papermill.exception:
        # papermill takes sys.exit() for success, though cells were left out.
        raise _Left("a cell called sys.exit, so those after it did not run")


def _parameters(step: _Step) -> dict[str, object]:
    """Those of the step's that the notebook declares; all others it reads from the run."""
    given = {"run": step.study.run, "seed": step.study.seed}
    if step.study.outputs != Study.outputs:
        given["outputs"] = os.path.abspath(step.study.outputs)
    declared = papermill.inspect_notebook(step.source)
    return {name: value for name, value in given.items() if name in declared}


def _last_line(error: Exception, cell_timeout: int | None) -> str:
    """What went wrong, in one line."""
    if isinstance(error, DeadKernelError):
        return "its kernel died, most likely for want of memory"
    if isinstance(error, CellTimeoutError):
        return f"a cell took longer than {cell_timeout} s"
    if isinstance(error, _Left):
        return str(error)
    if isinstance(error, PapermillExecutionError):
        name, text = error.ename, error.evalue
    else:
        name, text = type(error).__name__, str(error)
    return ": ".join([name, *text.strip().splitlines()[-1:]])


def _resume_command(step: _Step) -> str:
    words = ["python", "-m", "eta_utils", "run", "--resume", step.study.run]
    if step.source.parent != NOTEBOOKS:
        words += ["--notebooks", str(step.source.parent)]
    if step.study.outputs != Study.outputs:
        words += ["-p", f"outputs={step.study.outputs}"]
    return shlex.join(words)


def _near(path: Path) -> str:
    """The path as seen from where the user is, when it lies below."""
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def _duration(seconds: float) -> str:
    if round(seconds, 1) < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
