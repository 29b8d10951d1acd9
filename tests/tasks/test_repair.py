"""A task to repair shows the buggy program and what it did, and is judged as before."""

from __future__ import annotations

import random
from dataclasses import replace

from eta_utils.execution import judge
from eta_utils.tasks import pipelines
from eta_utils.tasks.repair import MOST_STATES, as_repair, notes_on, with_bugs
from tests.conftest import ADD

BUGGY = "    total = a - b\n    return total\n"


def broken():
    return replace(ADD, buggy_solution=BUGGY)


def test_the_prompt_shows_the_program_the_notes_and_what_is_to_be_written():
    task = as_repair(broken(), ["wrong: assert add(1, 2) == 3", "line 2: total = -1"])
    assert task.prompt == (
        f"def add(a, b):\n{BUGGY}\n"
        "# wrong: assert add(1, 2) == 3\n# line 2: total = -1\n"
        "def add(a, b):\n"
    )


def test_without_notes_it_still_says_that_the_program_is_wrong():
    assert "\n# wrong\ndef add" in as_repair(broken()).prompt


def test_the_program_that_is_judged_is_the_second_one():
    task = as_repair(broken())
    samples = [
        {"task_id": "add", "completion": text} for text in (ADD.canonical_solution, BUGGY)
    ]
    fixed, same = judge(samples, {"add": task}, cache=False)
    assert fixed.passed
    assert not same.passed


def test_notes_are_the_first_assert_that_fails_the_exception_and_the_first_states():
    states = [(line, "x", str(line)) for line in range(9)]
    first, second, *rest = notes_on(ADD, 1, "NameError", states)
    assert first == "wrong: assert add(0, 0) == 0"
    assert second == "NameError"
    assert rest == [f"line {line}: x = {line}" for line in range(MOST_STATES)]


def test_a_note_is_one_line_whatever_the_value():
    [note] = notes_on(ADD, None, None, [(1, "x", "'a\nb'")])
    assert "\n" not in note


def test_bugs_change_the_reference_and_nothing_else():
    tasks = list(pipelines.generate("tune", 150, steps=(2, 5)).values())
    made = [with_bugs(task, 3, random.Random(task.task_id)) for task in tasks]
    assert sum(map(bool, made)) > 140
    for task, copies in zip(tasks, made, strict=True):
        for copy in copies:
            assert copy.buggy_solution != task.canonical_solution
            assert copy.canonical_solution == task.canonical_solution
            assert copy.buggy_solution.splitlines()[-1].startswith("    return ")
            compile(copy.prompt + copy.buggy_solution, "", "exec")
