"""How a program failed: what its exceptions become on the examiner's side.

Leaves out: when (see `examination`), and how its process ended (see `candidates`).
"""

from __future__ import annotations

import builtins
from dataclasses import dataclass

from eta_utils.sandbox.candidate import LONGEST_TEXT


class Stop(BaseException):
    """The program cannot be asked anything more; `status` says why."""

    def __init__(self, status: str, exception: str = "") -> None:
        self.status, self.exception = status, exception


@dataclass
class Failure:
    """The first failure of a program, and how far the program had got by then."""

    status: str
    exception: str = ""
    message: str = ""
    line: int = 0
    steps: int = 0
    lines_reached: int = 0


def as_exception(name: str, message: str, line: int) -> BaseException:
    """The exception that the program raised, of the same built-in class if it has one."""
    kind = getattr(builtins, name, None)
    if not (isinstance(kind, type) and issubclass(kind, BaseException)):
        kind = Exception
    try:
        error = kind(message)
    except TypeError:  # UnicodeDecodeError and the like want more than a message
        error = Exception(message)
    error.raised_by_program = name, message, line
    return error


def failure_of(error: BaseException) -> Failure:
    """What an exception says of the program that raised it, or of its answer."""
    if isinstance(error, Stop):
        return Failure(error.status, error.exception)
    if not hasattr(error, "raised_by_program"):
        name, message = type(error).__name__, str(error)[:LONGEST_TEXT]
        if isinstance(error, AssertionError):
            return Failure("assertion", "", message)
        return Failure("exception", name, message)
    name, message, line = error.raised_by_program
    status = {"SystemExit": "exit", "MemoryError": "memory"}.get(name, "exception")
    return Failure(status, name, message, line)
