"""The asserts of a test in words, as the judge counts them."""

from __future__ import annotations

from eta_utils.execution import judge
from eta_utils.tasks import Task
from eta_utils.tasks.asserts import assert_texts

TEST = """
def check(candidate):
    assert True
    xs = [1, 2]
    assert candidate(xs) == 3, "sum"
    for n in xs:
        assert candidate([n]) == n
"""


def test_asserts_that_hold_for_every_program_are_not_among_them():
    first, second = assert_texts(TEST)
    assert first == "assert candidate(xs) == 3, 'sum'"
    assert second.startswith("for n in xs:")


def test_there_are_as_many_as_the_judge_counts():
    task = Task("sum", "def total(xs):\n", "total", TEST)
    sample = {"task_id": "sum", "completion": "    return sum(xs)\n"}
    [outcome] = judge([sample], {"sum": task}, cache=False)
    assert outcome.asserts_total == len(assert_texts(TEST)) == outcome.asserts_passed
