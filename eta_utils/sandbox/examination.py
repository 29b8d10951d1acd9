"""One program under examination: its calls, its counts, and its first failure.

An `Examination` is what a rewritten `check` talks to: `call` asks the candidate, and `unit`
is told how each assert went.  In the order of reading:

- `Failure` and `failure_of`: what an exception says of the program;
- `Examination`: the conversation, the step budget, the traces;
- what is sent and what is accepted: `_encoded`, `_is_report`, `_take_over`.

All statuses are decided here but three, which the examiner decides: `syntax`,
`judge_error`, and `timeout` by the wall clock.

The step budget has three bounds (`pool.Batch` names them; steps are those of `tracing`):

- each call may take `budget` steps, and so may what a test does with its answer; until
  `EARLY_ASSERTS` have passed, `early_budget`;
- all calls together may take `total_budget` steps;
- once an assert has failed the verdict is known.  The asserts after it are run for the
  fraction of asserts only, and may take `budget_after_failure` steps together.

While the program runs, its counters enforce a bound, but coarsely: each counter has half of
the steps to itself (see `tracing.recorder.Recorder`).  After each call the exact sum is
compared with the bounds here.
"""

from __future__ import annotations

import builtins
import marshal
import pickle
from dataclasses import dataclass, field
from typing import NoReturn

from eta_utils.sandbox.candidate import LONGEST_TEXT, MOST_CLASSES, READY
from eta_utils.sandbox.candidates import ENDED_BY_EXIT, Candidates, Lost, status_of_end
from eta_utils.sandbox.channel import HEADER, LARGEST_FRAME, Channel, ProtocolError
from eta_utils.sandbox.proxies import (
    INSIDE,
    READS,
    Cannot,
    Extension,
    Kept,
    Records,
    decode,
    encoder,
    handle_of,
)
from eta_utils.sandbox.raised import as_exception
from eta_utils.sandbox.values import AS_BASE, IMMUTABLE, encode, mutable_parts
from eta_utils.sandbox.world import Around
from eta_utils.tracing.alignment import Trace
from eta_utils.tracing.answers import marks
from eta_utils.tracing.instrumentation import Instrumented
from eta_utils.tracing.recorder import MOST, STATES_PER_CALL, texts_only

CALL = ("call",)  # of an object that the program keeps
_NO_PARTS = IMMUTABLE | {tuple}  # a tuple's parts count by themselves
EARLY_ASSERTS = 3
_USES = frozenset({"call", "setattr", "setitem", "delitem", "enter", "exit"})
TRACED_CALLS = 64  # of the candidate by one test; further calls leave no states


# These two are no `Exception`s, so that no `except Exception` of a test swallows them.
class Stop(BaseException):
    """The program cannot be asked anything more; `status` says why."""

    def __init__(self, status: str, exception: str = "") -> None:
        self.status, self.exception = status, exception


class Unanswerable(BaseException):
    """A test passes on something that cannot cross: our limit, not the program's fault."""


@dataclass
class Failure:
    """The first failure of a program, and how far the program had got by then."""

    status: str
    exception: str = ""
    message: str = ""
    line: int = 0
    steps: int = 0
    lines_reached: int = 0


def failure_of(error: BaseException) -> Failure:
    """What an exception says of the program that raised it, or of its answer."""
    if isinstance(error, Stop):
        return Failure(error.status, error.exception)
    if not hasattr(error, "raised_by_program"):  # by the test, over an answer
        if isinstance(error, AssertionError):
            return Failure("assertion")
        return Failure("exception", type(error).__name__)
    name, message, line = error.raised_by_program
    status = {"SystemExit": "exit", "MemoryError": "memory"}.get(name, "exception")
    return Failure(status, name, message, line)


@dataclass
class Examination:
    """The conversation with one candidate.

    `trace`, `writes`, `ends`, `answers` and `words` are by call: (number of the assert,
    number of the call within it), both from 0.  `writes` has the lines that wrote the
    states of `trace`, as `Recorder.writes`.  `ends` has how a call ended and at which line,
    as `tracing.departure.Call`.

    `allowed` is what the test does with the answers of the reference, as the reference's
    own examination noted it in `used`; None where there is no reference.
    """

    job: dict
    program: Instrumented
    candidates: Candidates
    allowed: frozenset[str] | None = None
    units: int = 1  # of the test
    tests_class: bool = False  # the test is about a class, whose methods it calls
    records: Records = field(default_factory=lambda: Records({}))
    around: Around | None = None
    channel: Channel | None = None
    ready: bool = False  # the candidate is confined, and the program may have begun
    loaded: bool = False
    over: bool = False  # nothing can be asked any more
    asked: int = 0  # questions so far
    stopped: Stop | Lost | None = None
    unanswerable: Unanswerable | None = None
    failure: Failure | None = None
    passed_units: list[bool] = field(default_factory=list)
    trace: Trace = field(default_factory=dict)
    writes: dict[tuple[int, int], list[int]] = field(default_factory=dict)
    ends: dict[tuple[int, int], tuple[str, int]] = field(default_factory=dict)
    answers: Trace = field(default_factory=dict)
    words: dict[tuple[int, int], list] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)  # what the test does beyond `READS`
    truncated: bool = False
    steps: int = 0  # of all calls so far, the module level included
    _hits: list[int] = field(default_factory=list)  # of each counter, the same
    _taken: int = 0  # items of iterators: each counts as a step
    _calls: int = 0  # within the current unit
    _steps_before: int = 0  # the last call
    _begun: bool = False  # the current unit has asked something
    _receiving: bool = False  # an answer is read, and must not ask
    _tampering: str = ""  # what was noticed last

    def load(self) -> None:
        """Send the program and have its module level run.  Raises Stop or its exception."""
        self.channel, job = self.candidates.next(), self.job
        program = {
            "code": marshal.dumps(self.program.code),
            "counters": len(self.program.lines),
            "budget": self._most_of_a_call(),
            "processor_seconds": job["processor_seconds"],
            "names_builtins": "builtins" in job["program"],
            "names_numpy": "numpy" in job["program"],
            "in_words": job["keep_trace"] and not job["trusted"],
            "classes": frozenset(self.records.shared),
        }
        payload = pickle.dumps(program)
        if len(payload) > LARGEST_FRAME - HEADER:  # a short text can compile to a lot
            raise self.stop("memory")
        try:
            self.channel.send(payload)
            self.ready = self.channel.receive() == READY
        except (EOFError, OSError):
            self._lost()
        self._open(self._receive())
        self.loaded, self._calls, self._begun = True, 0, False

    def call(self, called: str | tuple, args: tuple, kwargs: dict) -> object:
        """Call a function of the program, or by `CALL` an object that it keeps.

        `called` is an expression of the program.  Raises Stop, or the exception that the
        function raised.
        """
        own = args[1:] if called == CALL else args  # without the object that is called
        ours = mutable_parts((own, kwargs))
        # A list of numbers has no parts of its own: the usual case, and less to send.
        whole = (type(value) for value in (*own, *kwargs.values()))
        nested = len(ours) > 1 + sum(kind not in _NO_PARTS for kind in whole)
        result, args_after, kwargs_after, theirs = self._ask(called, args, kwargs, nested)
        # A function may change the lists and dicts that it is given, and a test may look.
        if nested and len(theirs) == len(ours):
            result = _take_over_parts(ours, theirs, result)
        else:
            before, after = (*own, *kwargs.values()), (*args_after, *kwargs_after.values())
            for mine, changed in zip(before, after, strict=False):
                _take_over(mine, changed)
                if result is changed:  # it returned its own argument
                    result = mine
        if self.job["traced"] and len(self.answers) < TRACED_CALLS:
            self.answers[len(self.passed_units), self._calls - 1] = marks(_as_plain(result))
        return result

    def operate(
        self, operation: str, label: str, /, *args: object, **kwargs: object
    ) -> object:
        """Have the program do something with an object that it keeps (`proxies.Session`).

        Raises AttributeError or TypeError where the test may not do so (see `proxies`).
        """
        if self._receiving:  # an answer that would ask something while it is read
            raise ProtocolError("an answer that asks")
        if self.over:
            raise AttributeError("the program is over")
        if operation not in READS and not self._may(operation, label, args):
            raise TypeError(f"this object does not support {operation} {label}")
        if operation == "call":
            return self.call(CALL, args, kwargs)
        result, *_ = self._ask((operation,), args, kwargs, nested=False)
        if operation == "take":
            self._spend(len(result[0]))
        return result

    def _may(self, operation: str, label: str, args: tuple) -> bool:
        """Whether the test may do this with an object of the program's.

        Without a reference it may call what it gets, and use an object of a class that it
        tests, but not compare it or compute with it.
        """
        if self.allowed is None and not self.job["trusted"]:
            own = self.tests_class and label != INSIDE and operation in _USES
            return (operation == "call" and label == "") or own
        # Of arguments it counts which are the program's own: others may be expected values.
        kinds = "".join(
            "p" if isinstance(arg, Kept) or handle_of(arg) else "v" for arg in args
        )
        return self.may(f"{operation} {label} {kinds}")

    def _ask(
        self, called: str | tuple, args: tuple, kwargs: dict, nested: bool
    ) -> tuple[object, tuple, dict, list]:
        """Send a question and book its answer: result, arguments after it, their parts."""
        if self.stopped:
            raise self.stopped
        around = self.around.before() if self.around else None
        is_call = type(called) is str or called == CALL
        if is_call or not self._begun:
            self._steps_before = self.steps
        question = called, args, kwargs, self._allowance(is_call), nested, around
        try:
            payload = _encoded(question, self.records)
        except Unanswerable as error:
            if self.allowed is None:
                self.unanswerable = error
                raise
            # The reference's answers could be passed on: then this is the program's doing.
            raise self.stop("exception", "ValueTooLarge") from None
        self.asked += 1
        try:
            self.channel.send(payload)
        except OSError:
            self._lost()
        return self._open(self._receive(), is_call)

    def _allowance(self, is_call: bool) -> int:
        """The steps that a call may take; 0, for what is left, for what follows it."""
        if self._begun and not is_call:
            return 0
        # At least 2, the recorder's smallest: 0 would mean to go on with the old budget.
        return max(2, min(self._most_of_a_call(), self._most_steps() - self.steps))

    def _most_of_a_call(self) -> int:
        """The steps that one call may take."""
        early = self.units > EARLY_ASSERTS > len(self.passed_units)
        return self.job["early_budget" if early else "budget"]

    def _most_steps(self) -> int:
        """The steps that all asserts together may take."""
        if self.failure is None:
            return self.job["total_budget"]
        return self.failure.steps + self.job["budget_after_failure"]

    def unit(self, number: int, error: BaseException | None) -> None:
        """One assert is over (called from the rewritten `check`)."""
        if error is None:  # unless the test has swallowed what ended it
            error = self.unanswerable or self.stopped
        # A unit that never reported did not pass.
        self.passed_units += [False] * (number - len(self.passed_units))
        self.passed_units.append(error is None)
        self._calls, self._begun = 0, False
        if error is not None:
            self.fail(error)

    def fail(self, error: BaseException) -> None:
        """Book a failure; only the first counts.  Raises again what is none (Unanswerable,
        Lost), and Stop."""
        if isinstance(error, (Unanswerable, Lost)):
            raise error
        imports = isinstance(error, ImportError) and self.allowed is None
        if imports and not hasattr(error, "raised_by_program"):
            self.unanswerable = Unanswerable(f"its test cannot import ({error})")
            raise self.unanswerable
        if self.failure is None:
            self.failure = failure_of(error)
            self.failure.steps = self.steps
            self.failure.lines_reached = self.lines_reached()
            if not isinstance(error, Stop) and not self.failure.message:
                self.failure.message = self._text_of(error)
        if isinstance(error, Stop):
            raise error

    def _text_of(self, error: BaseException) -> str:
        """What a test says of a failure.  It may hold an answer, which may be anything."""
        self._receiving = True  # nothing is asked for it
        try:
            return str(error)[:LONGEST_TEXT]
        except Exception:
            return ""
        finally:
            self._receiving = False

    def may(self, what: str) -> bool:
        """Whether the test does so with the reference's answers, in the same assert.

        While the reference runs, notes that it does.
        """
        what = f"{len(self.passed_units)} {what}"
        if self.job["trusted"]:
            self.used.add(what)
            return True
        return self.allowed is None or what in self.allowed

    def stop(self, status: str, exception: str = "") -> Stop:
        """Ask nothing more of this program.  Returns the exception to raise."""
        self.stopped = Stop(status, exception)
        return self.stopped

    def lines_reached(self) -> int:
        """Number of distinct lines of the program that have run so far."""
        return sum(hits > 0 for hits in self.hits_by_line().values())

    def hits_by_line(self) -> dict[int, int]:
        """How often each line ran (the most frequent of its counters)."""
        most_hits: dict[int, int] = {}
        # Before the first report there are no hits.
        for line, hits in zip(self.program.lines, self._hits, strict=False):
            most_hits[line] = max(most_hits.get(line, 0), hits)
        return most_hits

    def name_tampering(self) -> None:
        """Give a failed program that looked for its judge the status `tampered`.

        Only where the failure may be its doing: a program that has to be stopped, or that
        crashes, keeps that status.
        """
        failure = self.failure
        if not (failure and self._tampering):
            return
        ended = failure.status == "exit" and failure.exception == ENDED_BY_EXIT
        if ended or failure.status in ("assertion", "exception"):
            failure.status, failure.message = "tampered", self._tampering

    def _receive(self) -> tuple:
        """The candidate's next report.  Raises Stop where none comes, or a forged one."""
        try:
            while True:
                payload = self.channel.receive()
                self._receiving = True
                try:
                    answer, comparing = decode(payload, self.records, self)
                    is_report = _is_report(answer, self.program.lines)
                finally:
                    self._receiving = False
                if comparing:
                    self._tampering = (
                        f"a result of class {comparing}, which compares itself"
                    )
                if is_report:
                    return answer
                if type(answer) is tuple and self.around is not None:
                    self._answer_input(answer)
                    continue
                if not isinstance(answer, str):
                    raise ProtocolError("no answer")
                self._tampering = answer[:LONGEST_TEXT]  # a notice ahead of the answer
        except (EOFError, ConnectionError):
            self._lost()
        except ProtocolError:
            raise self._tampered() from None

    def _answer_input(self, question: tuple) -> None:
        """Ask the test's own `input`, in the place of the program."""
        if [*map(type, question)] != [str, str] or question[0] != "input":
            raise ProtocolError("no answer")
        try:
            answer = str(builtins.input(question[1])), None
        except Exception as error:  # the test's own
            answer = None, str(error)
        self.channel.send(pickle.dumps(answer))

    def _tampered(self) -> Stop:
        self._tampering = "the verdict channel"
        return self.stop("tampered")

    def _open(self, answer: tuple, is_call: bool = True) -> tuple:
        """Book a report's trace, then return its value or raise its exception."""
        raised, value, left, hits, used_up, states, writes, words, tampering = answer
        self._tampering = self._tampering or tampering
        if self.job["traced"]:
            if self.job["keep_trace"] and is_call and len(self.words) < TRACED_CALLS:
                self._keep(words)
            at = raised[2] if raised else None
            self._book(hits, used_up, states, writes, at, is_call)
        self._begun = True
        if left is not None and self.around is not None:
            try:
                self.around.after(left)
            except (KeyError, OSError, TypeError, ValueError):
                raise self._tampered() from None
        if raised:
            raise as_exception(*raised, self.records.shared)
        if value is not None and (handle := handle_of(value[0])):
            handle.label = ""
        return value

    def _keep(self, words: list) -> None:
        """Keep a call's states in words, if the candidate sent nothing but such."""
        try:
            texts = texts_only(words[:STATES_PER_CALL])
        except (TypeError, ValueError):
            raise self._tampered() from None
        if texts:
            self.words[len(self.passed_units), self._calls] = texts

    def _book(
        self,
        hits: list[int],
        used_up: bool,
        states: bytes,
        writes: list[int],
        raised: int | None,
        is_call: bool,
    ) -> None:
        """Add up the steps and keep the states of a call.  Raises Stop over the budget.

        `raised` is the line where the call raised, 0 outside of the program's text, and
        None where it returned.  What is no call has no states.
        """
        # The candidate's counts run on from call to call: these are totals.
        hits_before, self._hits = self._hits, hits
        self.steps = sum(hits) + self._taken
        # A program that swallowed the exception of a spent counter shows in `used_up`.
        stopped = used_up or self._is_over_budget()
        if not is_call:
            if stopped:
                raise self.stop("budget")
            return
        call = len(self.passed_units), self._calls
        if states and len(self.trace) < TRACED_CALLS:
            self.trace[call] = states
            self.writes[call] = writes
            self.truncated |= len(states) >= 8 * STATES_PER_CALL  # eight bytes each
        # Also of calls without states.  The module level is no call, unless it was the end.
        at_end = stopped or raised is not None
        if len(self.ends) < TRACED_CALLS and (self.loaded or at_end):
            ran = self._ran_since(hits_before) if stopped or not states else {}
            self.ends[call] = self._end(stopped, raised, ran)
        self._calls += 1
        if stopped:
            raise self.stop("budget")

    def _is_over_budget(self) -> bool:
        steps_of_call = self.steps - self._steps_before
        over_call = steps_of_call > self._most_of_a_call()
        return over_call or self.steps > self._most_steps()

    def _spend(self, items: int) -> None:
        """Count items that an iterator gave: one in C takes no steps and may never end."""
        self._taken += items
        self.steps += items
        if self.job["traced"] and self._is_over_budget():
            raise self.stop("budget")

    def _ran_since(self, hits_before: list[int]) -> dict[int, int]:
        """How often each line ran since then (the most frequent of its counters)."""
        hits_before = hits_before or [0] * len(self._hits)
        ran: dict[int, int] = {}
        counts = zip(self.program.lines, hits_before, self._hits, strict=True)
        for line, before, after in counts:
            if after > before:
                ran[line] = max(ran.get(line, 0), after - before)
        return ran

    def _end(
        self, stopped: bool, raised: int | None, ran: dict[int, int]
    ) -> tuple[str, int]:
        """How a call ended, and the line that tells of it (see `tracing.departure.Call`).

        `ran` is how often each line ran in the call, for one that was stopped or has no
        states.
        """
        if stopped and self.failure:  # for want of what the failure left of the budget
            return "cut", 0
        if stopped:
            return "stopped", max(ran, key=ran.get, default=0)
        if raised is not None:
            return "raised", raised
        return "returned", min(ran, default=0)

    def _lost(self) -> NoReturn:
        """The channel closed: raise Stop with the status that the process's end tells, or
        Lost where that end is not the program's doing."""
        seconds, sealed = self.job["processor_seconds"], self.candidates.sealed
        try:
            ending = self.candidates.how_ended()
            status = status_of_end(ending, seconds, sealed)
            if not self.ready:
                raise Lost(f"a candidate ended before its program began ({status})")
        except Lost as lost:
            self.stopped = lost  # a test that catches everything must not go on
            raise
        raise self.stop(*status) from None


def _encoded(question: tuple, records: Records) -> bytes:
    """The bytes of a question.  Raises Unanswerable where a part cannot be sent."""
    try:
        payload = pickle.dumps(question)  # the usual, plain arguments
    except Exception:
        try:
            payload = encode(question, encoder(records))
        except (Cannot, RecursionError, ValueError):  # too deep, or too large
            payload = None
    if payload is None or len(payload) > LARGEST_FRAME - HEADER:
        called = question[0] if type(question[0]) is str else "the program"
        raise Unanswerable(f"its test passes {called} a value that cannot be sent")
    return payload


def _is_report(answer: object, counters: list[int]) -> bool:
    """Whether it is what `candidate.Host` reports of a call.

    `counters` has the line of each counter of the program.  Checked down to the parts that
    go into outcomes: a program can send what it likes.
    """
    if type(answer) is not tuple or len(answer) != 9:
        return False
    raised, value, _left, hits, used_up, states, writes, words, tampering = answer
    if not (_is_exception(raised) and _is_value(value) and type(used_up) is bool):
        return False
    kinds = type(hits), type(states), type(writes), type(words), type(tampering)
    return (
        kinds == (list, bytes, list, list, str)
        and len(hits) == len(counters)
        and all(type(count) is int and 0 <= count <= MOST for count in hits)
        and len(tampering) <= LONGEST_TEXT
        and len(writes) <= 2 * STATES_PER_CALL
        and all(type(line) is int for line in writes)
        # Negative ones wrote no state.  Eight bytes are a state.
        and len(states) == 8 * sum(line > 0 for line in writes) <= 8 * STATES_PER_CALL
        # Each statement that gives a variable a value has a counter on its line.
        and set(counters).issuperset(map(abs, writes))
    )


def _is_exception(raised: object) -> bool:
    """Whether it is None, or what `candidate._describe` says of an exception."""
    if raised is None:
        return True
    if type(raised) is not tuple or len(raised) != 5:
        return False
    classes, message, line, args, attributes = raised
    return (
        [*map(type, raised[:3])] == [tuple, str, int]
        and len(message) <= LONGEST_TEXT
        and 0 <= line <= MOST
        and 0 < len(classes) <= MOST_CLASSES
        and all(map(_is_class_name, classes))
        and (args is None or type(args) is tuple)
        and type(attributes) is dict
    )


def _is_class_name(names: object) -> bool:
    return (
        type(names) is tuple
        and [*map(type, names)] == [str, str]
        and max(map(len, names)) <= LONGEST_TEXT
    )


def _is_value(value: object) -> bool:
    """Whether it is None, or a result with the arguments after the call and their parts."""
    return value is None or (
        type(value) is tuple
        and [*map(type, value)][1:3] == [tuple, dict]
        and len(value) == 4
        and type(value[3]) in (list, tuple)
    )


def _as_plain(value: object) -> object:
    """A value as one of exactly a built-in type, if it extends one."""
    if not isinstance(value, Extension):
        return value
    return next(make(value) for base, make in AS_BASE.items() if isinstance(value, base))


def _take_over_parts(ours: list, theirs: list, result: object) -> object:
    """Make each mutable part of the arguments what the call left of it.

    `ours` and `theirs` are `mutable_parts` before the call, on either side, so equal
    places mean the same object.  Returns the result, or our part if it is one of theirs.
    """
    own = {id(there): here for here, there in zip(ours, theirs, strict=True)}
    for here, there in zip(ours, theirs, strict=True):
        _take_over(here, there, own)
    return own.get(id(result), result)


def _take_over(ours: object, theirs: object, own: dict[int, object] | None = None) -> None:
    """Make a mutable argument what the call left of it.

    `own` has, by the id of a part of theirs, the part of ours that it is.
    """
    if type(ours) is not type(theirs) or ours is theirs:
        return
    name = type(ours).__name__

    def mine(item: object) -> object:
        return own.get(id(item), item) if own else item

    if isinstance(ours, (list, bytearray)):
        ours[:] = theirs if isinstance(ours, bytearray) else [*map(mine, theirs)]
    elif isinstance(ours, dict):
        items = [(key, mine(value)) for key, value in theirs.items()]
        ours.clear()
        ours.update(items)
    elif isinstance(ours, set):
        ours.clear()
        ours.update(theirs)
    elif name == "deque":
        items = [*map(mine, theirs)]
        ours.clear()
        ours.extend(items)
    elif name == "ndarray" and ours.shape == theirs.shape and ours.dtype == theirs.dtype:
        ours[...] = theirs
