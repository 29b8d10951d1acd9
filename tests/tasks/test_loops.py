"""Loops of a test become asserts that can be counted, and say the same together."""

from __future__ import annotations

from eta_utils.execution import judge
from eta_utils.tasks import Task, load_tasks
from eta_utils.tasks.asserts import assert_texts, counted
from tests.conftest import ADD

TEST = """
def assertion(out, exp, atol):
    assert out == exp

def check(candidate):
    inputs = [[1], [2], [3], [4], [5], [6]]
    results = [2, 4, 6, 8, 10, 12]
    for i, (inp, exp) in enumerate(zip(inputs, results)):
        assertion(candidate(*inp), exp, 0)
"""
DOUBLE = Task("double", "def double(n):\n", "double", TEST)


def outcome(task, body):
    sample = {"task_id": task.task_id, "completion": body}
    [found] = judge([sample], {task.task_id: task}, cache=False)
    return found


def test_each_input_is_an_assert():
    task = counted(DOUBLE)
    small = outcome(task, "    return 2 * n if n < 5 else 0\n")
    assert (small.asserts_passed, small.asserts_total) == (4, 6)
    assert outcome(task, "    return n + n\n").passed


def test_of_many_some_are_taken_spread_evenly():
    texts = assert_texts(counted(DOUBLE, most=3).test)
    assert texts == [
        "assert _step(_all[0])",
        "assert _step(_all[2])",
        "assert _step(_all[4])",
    ]


def test_a_test_without_such_a_loop_stays_as_it_is():
    assert counted(ADD) == ADD


def test_a_loop_that_is_left_early_stays_as_it_is():
    left = TEST.replace("        assertion(", "        if i > 3: break\n        assertion(")
    task = Task("double", "def double(n):\n", "double", left)
    assert counted(task) == task


def test_evalplus_checks_can_be_counted(data, monkeypatch):
    monkeypatch.setenv("ETA_DATA", str(data("humaneval_plus.jsonl.gz").parent))
    tasks = [counted(task) for task in load_tasks("humaneval+").values()]
    assert sum("_step" in task.test for task in tasks) == 164
    some = tasks[3]
    assert outcome(some, some.canonical_solution).asserts_total == 40
