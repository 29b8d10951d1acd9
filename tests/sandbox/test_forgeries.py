"""Programs written against objects, exceptions and worlds, and tests that leave something.

    python -m tests.sandbox.test_forgeries [NAME ...]

judges those of `forgeries` at both rungs, each before honest programs, and prints what
became of all that did what they must not.
"""

from __future__ import annotations

import importlib
import sys
import time

import pytest

from eta_utils.execution import JudgeSettings, judge
from eta_utils.execution.records import STATUSES
from eta_utils.sandbox import pool
from eta_utils.sandbox.pool import SandboxError
from eta_utils.tasks import Task
from tests.conftest import ADD
from tests.sandbox.forgeries import EVALUATES, FORGERIES, LOST, SEQUENCES

LIMITS = {"step_budget": 700_000, "timeout": 6.0}
HANGS = 40  # seconds
USUAL = {"prompt": "def f(x):\n", "entry_point": "f"}
# They end by a clock, or take seconds.
LONG = {
    "answer_whose_text_takes_forever",
    "coroutine_that_never_ends",
    "endless_file_where_a_file_is_read",
    "files_by_the_hundred_thousand",
    "large_answers_that_a_test_keeps",
    "list_in_a_circle",
    "pipe_where_a_file_is_read",
    "power_that_a_test_computes",
    "questions_for_input_without_end",
    "text_of_lists_shared_sixty_deep",
    "text_that_takes_until_the_clock",
}


def judged(pairs, rung, monkeypatch=None):
    """The outcomes of (fields of a task, program), one by one on one worker."""
    module = importlib.import_module("eta_utils.execution.judge")
    (monkeypatch.setattr if monkeypatch else setattr)(module, "BATCH", 1)
    tasks, samples = {}, []
    for fields, program in pairs:
        name = str(len(tasks)) if fields is not ADD else "add"
        tasks[name] = ADD if fields is ADD else Task(task_id=name, **(USUAL | fields))
        # No two are the same text: equal ones are judged once.
        samples.append({"task_id": name, "completion": f"{program}\n# {len(samples)}\n"})
    settings = JudgeSettings(workers=1, isolation=rung, **LIMITS)
    return judge(samples, tasks, settings, cache=False)


def forged(names, rung, monkeypatch=None):
    """What went wrong: (name, whose program, status, result, seconds)."""
    pairs, whose = [], []
    for name in names:
        fields, program, _ = FORGERIES[name]
        pairs += [(fields, program), (ADD, "    return a + b")]
        whose += [(name, "its own"), (name, "the next")]
        if reference := fields.get("canonical_solution"):
            pairs.append((fields, reference))
            whose.append((name, "the right"))
    wrong, start = [], time.monotonic()
    outcomes = judged(pairs, rung, monkeypatch)
    for (name, which), outcome in zip(whose, outcomes, strict=True):
        seconds, start = time.monotonic() - start, time.monotonic()
        right = outcome.passed
        if which == "its own":
            known = type(outcome.status) is str and outcome.status in STATUSES
            right = outcome.passed is False and known
        if not right or seconds > HANGS:
            wrong.append((name, which, outcome.status, outcome.result, round(seconds)))
    return wrong


@pytest.mark.slow
def test_no_forgery_passes_or_leaves_the_statistics_or_harms_the_next(rung, monkeypatch):
    quick = [name for name in FORGERIES if name not in LONG]
    assert forged(quick, rung, monkeypatch) == []


@pytest.mark.parametrize("name", SEQUENCES)
def test_no_test_changes_what_another_one_finds(name, rung, monkeypatch):
    pool.close_workers()
    *before, last = judged(SEQUENCES[name], rung, monkeypatch)
    pool.close_workers()
    assert last.status == "passed", (last.result, [each.status for each in before])


def test_a_test_that_evaluates_answers_is_not_run(rung, monkeypatch):
    evaluated, wrong = judged(EVALUATES, rung, monkeypatch)
    assert (evaluated.passed, wrong.passed) == (None, False)
    assert "run what a program answers as code" in evaluated.result


def test_programs_that_end_workers_do_not_end_judging(rung, monkeypatch):
    fields, program, _ = FORGERIES[LOST]
    try:
        outcomes = list(judged([(fields, program)] * 10, rung, monkeypatch))
    except SandboxError as error:
        pytest.fail(str(error))
    assert {outcome.passed for outcome in outcomes} == {False}


def main() -> None:
    """Judge all at both rungs and print what went wrong."""
    for rung in ("jail", "process"):
        for name in sys.argv[1:] or FORGERIES:
            for each in forged([name], rung):
                print(f"{rung}: {each}", flush=True)
    print(f"{len(FORGERIES)} programs, {len(SEQUENCES)} sequences")


if __name__ == "__main__":
    main()
