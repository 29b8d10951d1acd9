"""Rewards: a bit, or a gated share where nothing passes."""

from __future__ import annotations

import pytest

from eta_utils.execution.records import Outcome
from eta_utils.tasks import pipelines
from eta_utils.training.rewards import EtaReward, PassReward, failing_progress

TASKS = pipelines.generate("align", 2, steps=(2, 3))
NAMES = list(TASKS)
RIGHT = [task.canonical_solution for task in TASKS.values()]
NOTHING, BROKEN = "    return None\n", "    return (\n"


def rewards(kind, names, completions):
    return kind(TASKS)([""] * len(names), completions, task_id=names)


def test_the_binary_reward_is_1_for_a_pass_and_0_for_anything_else():
    found = rewards(PassReward, [NAMES[0]] * 3, [RIGHT[0], NOTHING, BROKEN])
    assert found == [1.0, 0.0, 0.0]


def test_where_something_passes_the_eta_reward_is_binary():
    found = rewards(EtaReward, [NAMES[0]] * 3, [RIGHT[0], NOTHING, BROKEN])
    assert found == [1.0, 0.0, 0.0]


def test_where_nothing_passes_the_eta_reward_is_a_share_below_a_pass():
    source = TASKS[NAMES[0]].prompt.split("(")[1].split(")")[0]
    same = f"    return {source}\n"  # an answer to each call, seldom the right one
    names = [NAMES[0], NAMES[0], NAMES[1]]
    found = rewards(EtaReward, names, [same, BROKEN, RIGHT[1]])
    assert found[2] == 1.0  # the gate is one prompt's, not the batch's
    assert 0 <= found[1] < found[0] <= EtaReward.most < 1


def outcome(status, **fields):
    sample = {"task_id": NAMES[0], "completion": ""}
    return Outcome(sample, status, status == "passed", "", asserts_total=5, **fields)


def test_a_judges_error_is_no_reward_at_all():
    missing = Outcome({"task_id": NAMES[0], "completion": ""}, "judge_error", None, "")
    for kind in (PassReward, EtaReward):
        assert kind(TASKS).score([missing, outcome("assertion")])[0] is None


def test_endless_and_tampering_programs_get_nothing_for_their_progress():
    near = {"asserts_passed": 4, "closeness": 0.95, "first_failed_assert": 4}
    assert (
        failing_progress(outcome("budget", **near))
        == failing_progress(outcome("tampered", **near))
        == 0
    )
    assert 0.8 < failing_progress(outcome("assertion", **near)) < 1
    worst = outcome("syntax", closeness=0.0, constant=True)
    assert failing_progress(worst) == pytest.approx(0)
