"""Files of outcomes: read back task by task, in the memory of one task."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys

import pytest

from eta_utils.common import write_jsonl
from eta_utils.common.errors import BadInput
from eta_utils.execution import OutcomeFile
from eta_utils.execution.records import Outcome
from eta_utils.preferences import make_pairs
from eta_utils.tasks import Task, load_tasks

TASKS = {name: Task(name, f"def {name}():\n", name, "") for name in ("one", "two", "three")}


def outcome(task, number):
    status = "passed" if number % 3 == 0 else "assertion"
    sample = {"task_id": task, "completion": f"    return {number}\n", "kept": [number]}
    return Outcome(sample, status, status == "passed", "", asserts_passed=number % 5)


# Tasks in turn, as of a sampler that draws one program of each again and again.
MIXED = [outcome(name, number) for number in range(6) for name in ("two", "one", "three")]


@pytest.fixture(params=["out.jsonl", "out.jsonl.gz"])
def path(request, tmp_path):
    with write_jsonl(tmp_path / request.param) as write:
        for each in MIXED:
            write(each.record())
    return tmp_path / request.param


def test_outcomes_come_back_by_task_in_the_order_of_the_file(path):
    outcomes = OutcomeFile(path, TASKS)
    assert len(outcomes) == len(MIXED)
    for _ in range(2):  # as often as one likes
        found = dict(outcomes)
        assert list(found) == ["two", "one", "three"]
        for task, group in found.items():
            assert group == [each for each in MIXED if each.task_id == task]


def test_pairs_made_task_by_task_are_those_made_of_all_at_once(path):
    at_once = make_pairs(MIXED, TASKS)
    one_by_one = [
        pair for _, group in OutcomeFile(path, TASKS) for pair in make_pairs(group, TASKS)
    ]
    assert one_by_one == at_once


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('{"task_id": "one"}', "line 19: no field"),
        (json.dumps(MIXED[0].record() | {"task_id": ["one"]}), "line 19: unknown task_id"),
        (json.dumps(MIXED[0].record() | {"task_id": "four"}), "line 19: unknown task_id"),
        ('{"task_id": ', "line 19: is not JSON"),
    ],
)
def test_a_line_that_is_no_outcome_is_named(path, line, words):
    with (gzip.open if path.suffix == ".gz" else open)(path, "at") as file:
        file.write(line + "\n")
    with pytest.raises(BadInput, match=words):
        OutcomeFile(path, TASKS)


def test_the_command_pairs_takes_the_memory_of_one_task(tmp_path):
    """These 30,000 outcomes take 81 MiB where all are held."""
    tasks = [*load_tasks("humaneval")]
    with write_jsonl(tmp_path / "out.jsonl") as write:
        for number in range(30_000):
            sample = {
                "task_id": tasks[number % len(tasks)],
                "completion": f"    x = '{'y' * 200}'\n    return {number}\n",
            }
            passed = number % 3 == 0
            status = "passed" if passed else "assertion"
            write(Outcome(sample, status, passed, "", asserts_passed=1).record())
    words = ["pairs", "out.jsonl", "--tasks", "humaneval", "--out", "pairs.jsonl"]
    code = (
        "import sys; from eta_utils.cli import main; main(sys.argv[1:]);"
        "print(open('/proc/self/status').read().split('VmHWM:')[1].split()[0])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, *words], cwd=tmp_path, capture_output=True, text=True
    )
    assert int(ran.stdout.split()[-1]) < 60_000, ran.stderr  # KiB
