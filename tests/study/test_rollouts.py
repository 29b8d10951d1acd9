"""What is said of samples: rates over what was judged, and counts of all."""

from __future__ import annotations

import pytest

from eta_utils.execution.records import Outcome
from eta_utils.study.rollouts import summary

FAILED_JUDGE = ("judge_error", None)


def outcomes(**by_task):
    return [
        Outcome({"task_id": name, "completion": ""}, status, passed, "why")
        for name, given in by_task.items()
        for status, passed in given
    ]


def test_rates_are_means_over_tasks():
    right, wrong = ("passed", True), ("assertion", False)
    found = summary(outcomes(a=[right, wrong], b=[wrong, wrong]))
    assert found["pass@1"] == pytest.approx((1 / 2 + 0) / 2)
    assert found["pass@2"] == pytest.approx((1 + 0) / 2)
    assert found["all fail"] == 0.5
    assert found["statuses"] == {"assertion": 3, "passed": 1}


def test_what_the_judge_failed_at_counts_as_neither_passed_nor_failed():
    found = summary(outcomes(a=[("passed", True)], b=[FAILED_JUDGE]))
    assert (found["pass@1"], found["all fail"]) == (1.0, 0.0)
    assert found["statuses"] == {"passed": 1, "judge_error": 1}


def test_a_judge_that_failed_at_everything_is_named():
    with pytest.raises(RuntimeError, match="the judge failed at every program: why"):
        summary(outcomes(a=[FAILED_JUDGE]))
