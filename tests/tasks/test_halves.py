"""A task's own asserts serve as visible and hidden tests."""

from __future__ import annotations

from eta_utils.tasks import Task, load_tasks
from eta_utils.tasks.asserts import in_halves

TEST = """
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


def task(test=TEST):
    return Task("one", "def f(x):\n", "f", test, "    return x\n")


def test_the_first_half_of_the_asserts_is_visible_and_the_rest_hidden():
    halved = in_halves(task())
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


def test_helpers_stay_and_empty_asserts_go():
    halved = in_halves(task())
    for text in (halved.test, halved.hidden_test):
        assert "LIMIT = 3" in text and "offset = 1" in text
        assert "assert True" not in text


def test_a_task_with_few_asserts_has_no_halves():
    few = "def check(candidate):\n" + "    assert candidate(1) == 1\n" * 3
    assert in_halves(task(few)) is None
    assert in_halves(task(few + "    assert candidate(2) == 2\n")) is not None


def test_most_of_humaneval_can_be_halved():
    halved = [in_halves(each) for each in load_tasks("humaneval").values()]
    assert sum(each is not None for each in halved) > 130
