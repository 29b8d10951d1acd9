"""Progress: in a terminal line after line, in an open notebook one line that changes.

>>> with about("dpo-eta/round2"):
...     say("step 12/63, loss 0.412, 1:10 left")
dpo-eta, round 2: step 12/63, loss 0.412, 1:10 left

In JupyterLab the line stands at the foot of the cell that runs, and at the head of the
notebook (`head`), with the reason where a cell has stopped.
"""

from __future__ import annotations

import contextlib
import contextvars
import html
import os
import re
from collections.abc import Iterator
from datetime import timedelta

LINES = "ETA_PROGRESS_LINES"  # set where nobody looks: `run` reads what a kernel prints
_about: contextvars.ContextVar[str] = contextvars.ContextVar("about", default="")
_STYLE = "font-family:monospace;white-space:pre-wrap"


@contextlib.contextmanager
def about(stage: str) -> Iterator[None]:
    """Lines of progress in this block begin with the name of a stage."""
    token = _about.set(re.sub(r"/(\D+)(\d+)$", r", \1 \2", stage).replace("/", ", "))
    try:
        yield
    finally:
        _about.reset(token)


def say(text: str, what: str = "") -> None:
    """Show a line of progress of a stage, or of `what` outside of any."""
    name = _about.get() or what
    line = f"{name}: {text}" if name else text
    if (notebook := _Notebook.open()) is None:
        print(line, flush=True)
    else:
        notebook.now(line)


def head() -> None:
    """Show, in an open notebook, what it does now, here and below every cell that runs."""
    if (notebook := _Notebook.open()) is not None:
        notebook.begin()


def left(seconds: float) -> str:
    """A time that is left, as in "1:10 left"."""
    text = str(timedelta(seconds=round(max(0.0, seconds))))
    return f"{text.removeprefix('0:').removeprefix('0')} left"


def live() -> bool:
    """Whether this process is the kernel of a notebook that somebody looks at."""
    return _Notebook.open() is not None


class _Notebook:
    """The notebook whose kernel this is, and the displays that it updates."""

    _only: _Notebook | None = None

    def __init__(self, shell: object) -> None:
        self.shell, self.top, self.foot, self.cell = shell, None, None, -1
        shell.events.register("post_run_cell", self._after_cell)

    @classmethod
    def open(cls) -> _Notebook | None:
        """None outside of a notebook, and where lines are asked for."""
        if os.environ.get(LINES):
            return None
        with contextlib.suppress(ImportError):
            from IPython import get_ipython

            shell = get_ipython()
            if getattr(shell, "kernel", None) is not None:
                cls._only = cls._only or cls(shell)
                return cls._only
        return None

    def begin(self) -> None:
        self.top = self._shown("running")

    def now(self, line: str) -> None:
        if self.cell != self.shell.execution_count:
            self.foot, self.cell = self._shown(line), self.shell.execution_count
        self.foot.update(_page(line))
        if self.top is not None:
            self.top.update(_page(f"running [{self.cell}]: {line}"))

    def _after_cell(self, result: object) -> None:
        if self.top is None:
            return
        error = result.error_before_exec or result.error_in_exec
        count = result.execution_count
        text = f"cell [{count}] is done"
        if error is not None:
            text = f"stopped at cell [{count}]: {type(error).__name__}: {error}"
        self.top.update(_page(text))

    @staticmethod
    def _shown(line: str) -> object:
        from IPython.display import display

        return display(_page(line), display_id=True)


def _page(line: str) -> object:
    from IPython.display import HTML

    return HTML(f'<div style="{_STYLE}">{html.escape(line)}</div>')
