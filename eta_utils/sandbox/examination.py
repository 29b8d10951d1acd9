"""One program under examination: the calls, the counts, and the first failure.

An `Examination` is what the rewritten `check` talks to: `call` asks the candidate, `unit`
is told how each assert went.  All statuses but `syntax` and `judge_error` are decided here.
"""

from __future__ import annotations

import builtins
import contextlib
import marshal
import pickle
from dataclasses import dataclass, field
from typing import NoReturn

from eta_utils.sandbox.candidate import LONGEST_TEXT, Loopback
from eta_utils.sandbox.candidates import ENDED_BY_EXIT, Candidates, status_of_end
from eta_utils.sandbox.channel import Channel, ProtocolError
from eta_utils.sandbox.values import Records, decode, encode
from eta_utils.tracing.alignment import Trace
from eta_utils.tracing.answers import marks
from eta_utils.tracing.instrument import Instrumented
from eta_utils.tracing.recorder import STATES_PER_CALL, texts_only

TRACED_CALLS = 64  # of the candidate by one test; further calls leave no states


class Unanswerable(BaseException):
    """A test passes on something that cannot cross: our limit, not the program's fault."""


@dataclass
class Examination:
    """The conversation with one candidate."""

    job: dict
    program: Instrumented
    candidates: Candidates
    channel: Channel | Loopback | None = None
    loaded: bool = False
    stopped: Stop | None = None
    failure: Failure | None = None
    passed_units: list[bool] = field(default_factory=list)
    trace: Trace = field(default_factory=dict)
    answers: Trace = field(default_factory=dict)
    words: dict[tuple[int, int], list] = field(default_factory=dict)
    truncated: bool = False
    steps: int = 0
    _hits: list[int] = field(default_factory=list)
    _calls: int = 0  # within the current unit
    _steps_before: int = 0  # the current unit
    _tampering: str = ""
    _records: Records = field(default_factory=Records)

    def load(self) -> None:
        """Send the program and have its module level run.  Raises Stop or its exception."""
        self.channel = Loopback() if self.job["trusted"] else self.candidates.next()
        job = self.job
        program = {
            "code": marshal.dumps(self.program.code),
            "counters": len(self.program.lines),
            "budget": job["budget"],
            "processor_seconds": job["processor_seconds"],
            "names_builtins": "builtins" in job["program"],
            "in_words": job["keep_trace"] and not job["trusted"],
        }
        self.channel.send(pickle.dumps(program))
        self._open(self._receive())
        self.loaded, self._calls = True, 0

    def call(self, name: str, args: tuple, kwargs: dict) -> object:
        """Call a function of the program.  Raises Stop, or the exception that it raised."""
        if self.stopped:
            raise self.stopped
        question = _question((name, args, kwargs, self._allowance()), self._records)
        try:
            self.channel.send(question)
        except OSError:
            self._lost()
        result, args_after, kwargs_after = self._open(self._receive())
        before = *args, *kwargs.values()
        for ours, theirs in zip(before, (*args_after, *kwargs_after.values()), strict=True):
            _take_over(ours, theirs)
            if result is theirs:  # it returned its own argument
                result = ours
        if self.job["traced"] and len(self.answers) < TRACED_CALLS:
            self.answers[len(self.passed_units), self._calls - 1] = marks(result)
        return result

    def _allowance(self) -> int:
        """The steps that a new assert may take; 0 within an assert."""
        if self._calls:
            return 0
        # At least 2, the recorder's smallest: 0 would mean to go on with the old budget.
        return max(2, min(self.job["budget"], self._most_steps() - self.steps))

    def _most_steps(self) -> int:
        """The steps that all asserts may take.  Once one has failed the verdict is known,
        and the others are only counted: they get less."""
        if self.failure is None:
            return self.job["total_budget"]
        return self.failure.steps + self.job["budget_after_failure"]

    def unit(self, number: int, error: BaseException | None) -> None:
        """One assert is over (called from the rewritten `check`)."""
        self.passed_units += [False] * (number - len(self.passed_units))
        self.passed_units.append(error is None)
        self._calls = 0
        if error is not None:
            self.fail(error)

    def fail(self, error: BaseException) -> None:
        """Book a failure; only the first counts.  Raises Stop and Unanswerable again."""
        if isinstance(error, Unanswerable):
            raise error
        if self.failure is None:
            self.failure = failure_of(error)
            self.failure.steps = self.steps
            self.failure.lines_reached = self.lines_reached()
        if isinstance(error, Stop):
            raise error

    def stop(self, status: str, exception: str = "") -> Stop:
        """Ask nothing more of this program.  Returns what is to be raised."""
        self.stopped = Stop(status, exception)
        return self.stopped

    def lines_reached(self) -> int:
        """Distinct lines of the program that have run so far."""
        return sum(hits > 0 for hits in self.hits_by_line().values())

    def hits_by_line(self) -> dict[int, int]:
        """How often each line ran (the most frequent of its counters)."""
        found: dict[int, int] = {}
        for line, hits in zip(self.program.lines, self._hits, strict=False):
            found[line] = max(found.get(line, 0), hits)
        return found

    def name_tampering(self) -> None:
        """Give a failed program that looked for its judge the status `tampered`."""
        failure = self.failure
        if not (failure and self._tampering):
            return
        ended = failure.status == "exit" and failure.exception == ENDED_BY_EXIT
        if ended or failure.status in ("assertion", "exception"):
            failure.status, failure.message = "tampered", self._tampering

    def _receive(self) -> tuple:
        try:
            while True:
                answer, comparing = decode(self.channel.receive(), self._records)
                if comparing:
                    self._tampering = (
                        f"a result of class {comparing}, which compares itself"
                    )
                if _is_report(answer):
                    return answer
                if not isinstance(answer, str):
                    raise ProtocolError("no answer")
                self._tampering = answer[:LONGEST_TEXT]  # a notice ahead of the answer
        except (EOFError, ConnectionError):
            self._lost()
        except ProtocolError:
            self._tampering = "the verdict channel"
            raise self.stop("tampered") from None

    def _open(self, answer: tuple) -> object:
        """Book an answer's trace, then return its value or raise its exception."""
        raised, value, hits, used_up, states, words, tampering = answer
        self._tampering = self._tampering or tampering
        if self.job["traced"]:
            if self.job["keep_trace"] and len(self.words) < TRACED_CALLS:
                self._keep(words)
            self._book(hits, used_up, states)
        if raised:
            raise as_exception(*raised)
        return value

    def _keep(self, words: list) -> None:
        """Keep a call's states in words, if the candidate sent nothing but such."""
        try:
            texts = texts_only(words[:STATES_PER_CALL])
        except (TypeError, ValueError):
            self._tampering = "the verdict channel"
            raise self.stop("tampered") from None
        if texts:
            self.words[len(self.passed_units), self._calls] = texts

    def _book(self, hits: list[int], used_up: bool, states: bytes) -> None:
        if self._calls == 0:  # each assert has a budget of its own
            self._steps_before = self.steps
        self._hits, self.steps = hits, sum(hits)
        if states and len(self.trace) < TRACED_CALLS:
            self.trace[len(self.passed_units), self._calls] = states
            self.truncated |= len(states) >= 8 * STATES_PER_CALL
        self._calls += 1
        here = self.steps - self._steps_before
        if used_up or here > self.job["budget"] or self.steps > self._most_steps():
            raise self.stop("budget")

    def _lost(self) -> NoReturn:
        """The channel closed: raise Stop with the status that the process's end tells."""
        ending = self.candidates.how_ended()
        raise self.stop(*status_of_end(ending, self.job["processor_seconds"])) from None


def _is_report(answer: object) -> bool:
    """Whether it is what a candidate reports of a call, down to what goes into outcomes."""
    if type(answer) is not tuple or len(answer) != 7:
        return False
    raised, _, hits, _, states, words, tampering = answer
    if raised is not None and [*map(type, raised)] != [str, str, int]:
        return False
    kinds = type(hits), type(states), type(words), type(tampering)
    return kinds == (list, bytes, list, str) and all(type(each) is int for each in hits)


def _question(asked: tuple, records: Records) -> bytes:
    try:
        return pickle.dumps(asked)  # the usual, plain arguments
    except Exception:
        opaque = True
        with contextlib.suppress(RecursionError, ValueError):  # too deep, or too large
            question, opaque = encode(asked, records)
    if opaque:
        raise Unanswerable(f"its test passes {asked[0]} a value that cannot be sent")
    return question


def _take_over(ours: object, theirs: object) -> None:
    """Make a mutable argument what the call left of it."""
    if type(ours) is not type(theirs):
        return
    if isinstance(ours, list) and ours != theirs:
        ours[:] = theirs
    elif isinstance(ours, (dict, set)) and ours != theirs:
        ours.clear()
        ours.update(theirs)


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
