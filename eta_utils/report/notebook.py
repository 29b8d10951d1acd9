"""One notebook of a run, executed by papermill in a process of its own.

>>> execute(Step(study, NOTEBOOKS / "01_sft.ipynb", study.folder / "01_sft.ipynb"))
161.3  (seconds)

The kernel is the Python that runs this process, with the variables of ENVIRONMENT.  A
notebook that stops early is kept with its outputs, as a notebook and as a page.
"""

from __future__ import annotations

import logging
import os
import shlex
import sys
import time
from pathlib import Path
from typing import IO, NamedTuple

import papermill
from ipykernel.kernelspec import get_kernel_dict
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from papermill.exceptions import PapermillExecutionError

from eta_utils.common import progress
from eta_utils.common.errors import FAILED, INTERRUPTED
from eta_utils.report.page import LAST, render_notebook
from eta_utils.study.study import DEFAULT_OUTPUTS, ROOT, Study

NOTEBOOKS = ROOT / "notebooks"
_KERNEL_START_SECONDS = 120  # a busy machine, a cold disk

# What a kernel must have before it starts; `common.libraries` does the rest.
ENVIRONMENT = {
    progress.LINES: "1",  # `run` prints what its notebooks say, one line after the other
    "PYDEVD_DISABLE_FILE_VALIDATION": "1",  # its warning would bury the output
    # With a backend from the user's shell the notebooks would have no figures.
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",
}

# NotebookFailed says in one sentence what papermill would log.
logging.getLogger("papermill").addHandler(logging.NullHandler())


class NotebookFailed(Exception):
    """A notebook did not reach its end; the message is one sentence for the user."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message, code)  # pickle rebuilds it from both
        self.code = code

    def __str__(self) -> str:
        return str(self.args[0])


class _CalledExit(Exception):
    """A cell ended the notebook by sys.exit."""


class Step(NamedTuple):
    """One notebook to execute: from `source`, into `target`."""

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
        """Its name for the user; the analysis belongs to no seed."""
        seed = "" if self.target.stem == LAST else f", seed {self.study.seed}"
        return self.target.stem + seed


def execute(
    step: Step, cell_timeout: int | None = None, output: IO[str] | None = None
) -> float:
    """Execute a notebook; return its wall-clock seconds.

    Its standard output goes to `output`, by default ours.  `cell_timeout` limits the
    seconds of each cell.  If the notebook stops early, its outputs so far are rendered and
    NotebookFailed is raised.
    """
    start = time.monotonic()
    page = step.target.with_suffix(".html")
    page.unlink(missing_ok=True)  # of an earlier failure
    try:
        _execute(step, cell_timeout, output or sys.stdout)
    except KeyboardInterrupt:
        reason, code = "interrupted", INTERRUPTED
    except Exception as error:  # papermill lets through whatever its parts raise
        reason, code = _reason(error, cell_timeout), FAILED
    else:
        return round(time.monotonic() - start, 1)
    kept = "no cell was executed"
    if step.target.exists():
        render_notebook(step.target)
        kept = f"its outputs so far are in {_relative(step.target)} and {page.name}"
    raise NotebookFailed(
        f"{step.label} stopped: {reason}; {kept}; to continue: {_resume_command(step)}",
        code,
    )


def _execute(step: Step, cell_timeout: int | None, output: IO[str]) -> None:
    step.target.parent.mkdir(parents=True, exist_ok=True)
    done = papermill.execute_notebook(
        step.source,
        step.target,
        parameters=_parameters(step),
        kernel_name="python3",
        kernel_manager_class=ThisPython,
        cwd=step.source.parent,
        # Not log_output, which adds a line per cell and the text of every figure.
        stdout_file=output,
        progress_bar=False,
        start_timeout=_KERNEL_START_SECONDS,
        execution_timeout=cell_timeout,
    )
    if done.metadata.papermill.exception:
        # papermill takes sys.exit() for success, although cells were not executed.
        raise _CalledExit("a cell called sys.exit, so those after it did not run")


class ThisPython(AsyncKernelManager):
    """Starts kernels in the Python that runs us, whatever kernels are installed."""

    @property
    def kernel_spec(self) -> KernelSpec:
        """The same for every name."""
        spec = get_kernel_dict(["--log-level=CRITICAL"])  # no messages at start and end
        # A kernel starts in the folder of notebooks, where it could find another copy of
        # this package, one that was installed without `-e`.
        paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        return KernelSpec(**spec, env=ENVIRONMENT | {"PYTHONPATH": os.pathsep.join(paths)})


def _parameters(step: Step) -> dict[str, object]:
    """The step's values of the parameters that the notebook declares.

    The notebook reads all others from the run's folder.
    """
    given = {"run": step.study.run, "seed": step.study.seed}
    if step.study.place.outputs != DEFAULT_OUTPUTS:
        given["outputs"] = os.path.abspath(step.study.place.outputs)
    declared = papermill.inspect_notebook(step.source)
    return {name: value for name, value in given.items() if name in declared}


def _reason(error: Exception, cell_timeout: int | None) -> str:
    """Why a notebook stopped, in one line."""
    if isinstance(error, DeadKernelError):
        return "its kernel died, most likely for want of memory"
    if isinstance(error, CellTimeoutError):
        return f"a cell took longer than {cell_timeout} s"
    if isinstance(error, _CalledExit):
        return str(error)
    if isinstance(error, PapermillExecutionError):
        name, text = error.ename, error.evalue
    else:
        name, text = type(error).__name__, str(error)
    return ": ".join([name, *text.strip().splitlines()[-1:]])


def _resume_command(step: Step) -> str:
    words = ["python", "-m", "eta_utils", "run", "--resume", step.study.run]
    if step.source.parent != NOTEBOOKS:
        words += ["--notebooks", str(step.source.parent)]
    if step.study.place.outputs != DEFAULT_OUTPUTS:
        words += ["-p", f"outputs={step.study.place.outputs}"]
    return shlex.join(words)


def _relative(path: Path) -> str:
    """The path from the current folder if it lies there, otherwise unchanged."""
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)
