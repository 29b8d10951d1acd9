"""What cleaning does to the verdicts of real samples."""

from __future__ import annotations

from collections import Counter

from eta_utils.common.files import read_jsonl
from eta_utils.execution import judge
from eta_utils.tasks import load_tasks
from eta_utils.tasks.cleaning import clean
from eta_utils.tasks.task import CLEANED


def test_cleaning_fails_no_sample_that_passes_and_passes_some_that_fail(data):
    tasks = load_tasks("humaneval")
    given, cleaned = [], []
    for _, row in read_jsonl(data("codegen16b_humaneval.jsonl.gz")):
        task, program = tasks[row["task_id"]], clean(tasks[row["task_id"]], row)
        if program != task.program(row):
            given.append(row)
            cleaned.append(row | {CLEANED: program})
    assert len(given) == 758
    before, after = (
        [outcome.passed for outcome in judge(rows, tasks, cache=False)]
        for rows in (given, cleaned)
    )
    changes = Counter(zip(before, after, strict=True))
    assert changes == {(False, False): 620, (False, True): 111, (True, True): 27}
