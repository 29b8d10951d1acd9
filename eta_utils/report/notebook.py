"""One notebook of a run, executed by papermill in a process of its own.

>>> execute(Step(study, NOTEBOOKS / "01_sft.ipynb", study.folder / "01_sft.ipynb"))
161.3  (seconds)

A notebook that does not reach its end leaves what it did, as notebook and as page.

Leaves out: which notebooks a run has, and in which order (see `runner`).
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

from eta_utils.report.page import LAST, render_notebook
from eta_utils.study.study import DEFAULT_OUTPUTS, ROOT, Study

FAILED = 1
INTERRUPTED = 130
NOTEBOOKS = ROOT / "notebooks"
_KERNEL_START_SECONDS = 120  # a busy machine, a cold disk

# What papermill would log, the one sentence of NotebookFailed says.
logging.getLogger("papermill").addHandler(logging.NullHandler())


class NotebookFailed(Exception):
    """A notebook did not reach its end; the message is one sentence for the user."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message, code)  # both, or another process could not send it
        self.code = code

    def __str__(self) -> str:
        return str(self.args[0])


class _Left(Exception):
    """A notebook ended itself early."""


class Step(NamedTuple):
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


def execute(
    step: Step, cell_timeout: int | None = None, output: IO[str] | None = None
) -> float:
    """Execute a notebook; return the seconds that it took.

    What it prints goes to `output`, by default ours; `cell_timeout` is the most seconds
    that one cell may take.  On failure what there is is rendered and NotebookFailed raised.
    """
    start = time.monotonic()
    page = step.target.with_suffix(".html")
    page.unlink(missing_ok=True)  # of an earlier failure
    try:
        _execute(step, cell_timeout, output or sys.stdout)
    except KeyboardInterrupt:
        what, code = "interrupted", INTERRUPTED
    except Exception as error:  # papermill lets through whatever its parts raise
        what, code = _last_line(error, cell_timeout), FAILED
    else:
        return round(time.monotonic() - start, 1)
    where = "it had not begun"
    if step.target.exists():
        render_notebook(step.target)
        where = f"as far as it got: {_near(step.target)} and {page.name}"
    raise NotebookFailed(
        f"{step.label} stopped: {what}; {where}; to go on: {_resume_command(step)}", code
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
        # Not log_output: that would add a line per cell and the text of every figure.
        stdout_file=output,
        progress_bar=False,
        start_timeout=_KERNEL_START_SECONDS,
        execution_timeout=cell_timeout,
    )
    if done.metadata.papermill.exception:
        # papermill takes sys.exit() for success, though cells were left out.
        raise _Left("a cell called sys.exit, so those after it did not run")


def _parameters(step: Step) -> dict[str, object]:
    """Those of the step's that the notebook declares; all others it reads from the run."""
    given = {"run": step.study.run, "seed": step.study.seed}
    if step.study.place.outputs != DEFAULT_OUTPUTS:
        given["outputs"] = os.path.abspath(step.study.place.outputs)
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


def _resume_command(step: Step) -> str:
    words = ["python", "-m", "eta_utils", "run", "--resume", step.study.run]
    if step.source.parent != NOTEBOOKS:
        words += ["--notebooks", str(step.source.parent)]
    if step.study.place.outputs != DEFAULT_OUTPUTS:
        words += ["-p", f"outputs={step.study.place.outputs}"]
    return shlex.join(words)


def _near(path: Path) -> str:
    """The path as seen from where the user is, when it lies below."""
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


ENVIRONMENT = {
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "TRANSFORMERS_VERBOSITY": "error",
    # Threads of torch that wait for one another give way soon: where another process wants
    # a core, waiting by spinning made training several times slower; on idle cores it is
    # worth little.
    "GOMP_SPINCOUNT": "10000",
    # glibc gives every large tensor's memory back at once and fetches it anew, page by
    # page; to keep it made DPO a fifth faster.
    "MALLOC_MMAP_THRESHOLD_": str(4 << 30),
    "MALLOC_TRIM_THRESHOLD_": str(4 << 30),
    "MALLOC_TOP_PAD_": str(256 << 20),
    "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    # A backend from the user's shell would leave the notebooks without figures.
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",
}


class ThisPython(AsyncKernelManager):
    """Starts kernels in the Python that runs us, whatever kernels are installed."""

    @property
    def kernel_spec(self) -> KernelSpec:
        """The same for every name."""
        spec = get_kernel_dict(["--log-level=CRITICAL"])  # no chatter as it starts and ends
        return KernelSpec(**spec, env=ENVIRONMENT)
