"""The asserts of a test: as text, in two halves, and one for each round of a loop."""

from __future__ import annotations

import pytest

from eta_utils.execution import judge
from eta_utils.tasks import Task, load_tasks
from eta_utils.tasks.asserts import assert_texts, counted, in_halves
from tests.conftest import ADD


def judged(task, completion):
    """The outcome of one completion."""
    sample = {"task_id": task.task_id, "completion": completion}
    [outcome] = judge([sample], {task.task_id: task}, cache=False)
    return outcome


# --- As text

SUM = """
def check(candidate):
    assert True
    xs = [1, 2]
    assert candidate(xs) == 3, "sum"
    for n in xs:
        assert candidate([n]) == n
"""


def test_asserts_that_pass_for_every_program_are_not_among_them():
    first, second = assert_texts(SUM)
    assert first == "assert candidate(xs) == 3, 'sum'"
    assert second.startswith("for n in xs:")


def test_there_are_as_many_as_the_judge_counts():
    task = Task("sum", "def total(xs):\n", "total", SUM)
    outcome = judged(task, "    return sum(xs)\n")
    assert outcome.asserts_total == len(assert_texts(SUM)) == outcome.asserts_passed


# --- In halves

SAME = """
LIMIT = 3

def check(candidate):
    assert True
    offset = 1
    assert candidate(1) == 1
    for number in range(LIMIT):
        assert candidate(number) == number
    assert candidate(5) == 4 + offset
    assert candidate(6) == 6, "six"
    assert candidate(7) == 7
"""


def halves_of(test):
    """The task of returning its argument, in halves."""
    return in_halves(Task("same", "def f(x):\n", "f", test, "    return x\n"))


def test_the_first_half_of_the_asserts_is_visible_and_the_rest_hidden():
    halved = halves_of(SAME)
    visible, hidden = (
        [line.strip() for line in text.splitlines() if "assert candidate(" in line]
        for text in (halved.test, halved.hidden_test)
    )
    assert visible == [
        "assert candidate(1) == 1",
        "assert candidate(number) == number",
    ]
    assert [line[:22] for line in hidden] == [
        "assert candidate(5) ==",
        "assert candidate(6) ==",
        "assert candidate(7) ==",
    ]


def test_helpers_stay_and_asserts_that_pass_for_every_program_go():
    halved = halves_of(SAME)
    for text in (halved.test, halved.hidden_test):
        assert "LIMIT = 3" in text and "offset = 1" in text
        assert "assert True" not in text


def test_a_task_with_few_asserts_has_no_halves():
    few = "def check(candidate):\n" + "    assert candidate(1) == 1\n" * 3
    assert halves_of(few) is None
    assert halves_of(few + "    assert candidate(2) == 2\n") is not None


def test_most_of_humaneval_can_be_halved():
    halved = [in_halves(task) for task in load_tasks("humaneval").values()]
    assert sum(task is not None for task in halved) > 130


# --- Out of a loop

LOOP = """
def assertion(out, exp, atol):
    assert out == exp

def check(candidate):
    inputs = [[1], [2], [3], [4], [5], [6]]
    results = [2, 4, 6, 8, 10, 12]
    for i, (inp, exp) in enumerate(zip(inputs, results)):
        assertion(candidate(*inp), exp, 0)
"""
DOUBLE = Task("double", "def double(n):\n", "double", LOOP)


def test_each_input_is_an_assert():
    task = counted(DOUBLE)
    right_below_5 = judged(task, "    return 2 * n if n < 5 else 0\n")
    assert (right_below_5.asserts_passed, right_below_5.asserts_total) == (4, 6)
    assert judged(task, "    return n + n\n").passed


def test_of_many_inputs_some_are_taken_at_equal_distances():
    assert assert_texts(counted(DOUBLE, most=3).test) == [
        "assert _step(_all[0])",
        "assert _step(_all[2])",
        "assert _step(_all[4])",
    ]


def test_a_test_without_such_a_loop_stays_as_it_is():
    assert counted(ADD) == ADD


@pytest.mark.parametrize("leaving", ["break", "continue"])
def test_a_loop_that_can_be_left_early_stays_as_it_is(leaving):
    line = "        assertion("
    left = LOOP.replace(line, f"        if i > 3: {leaving}\n{line}")
    task = Task("double", "def double(n):\n", "double", left)
    assert counted(task) == task


def test_evalplus_checks_can_be_counted(data, monkeypatch):
    monkeypatch.setenv("ETA_DATA", str(data("humaneval_plus.jsonl.gz").parent))
    tasks = [counted(task) for task in load_tasks("humaneval+", apart=True).values()]
    assert sum("_step" in task.test for task in tasks) == 164
    outcome = judged(tasks[3], tasks[3].canonical_solution)
    assert outcome.asserts_total == 40
