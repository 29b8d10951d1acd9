"""How often arms draw, what their pairs are, and which of their models are evaluated."""

from __future__ import annotations

from dataclasses import replace

import pytest

from eta_utils.analysis.arms import ARMS, parse_arm
from eta_utils.execution.records import Outcome
from eta_utils.preferences import PairSettings
from eta_utils.study import alignment, reward_model, rollouts, supervised
from eta_utils.study.alignment import METHODS, arm_pairs, snapshot_updates, updates_of
from eta_utils.study.settings import RoundSettings
from eta_utils.study.stages import Stage
from eta_utils.study.study import PROFILES, Study
from eta_utils.tasks import Task

FULL = Study.of(PROFILES["full"])


@pytest.fixture
def planned(tmp_path, monkeypatch):
    """All stages that are asked for, by name, with their details; none is made."""
    asked = {}

    def plan(root, name, seed, make, settings=(), inputs=(), **details):
        asked[name] = details
        return Stage(root, name, seed, settings, inputs, details)

    for module in (alignment, reward_model, rollouts, supervised):
        monkeypatch.setattr(module, "made", plan)
    return asked


def stages_of(arm, study=FULL):
    return alignment.align(
        study, supervised.finetune(study, supervised.pretrain(study)), arm
    )


def test_every_arm_has_a_function_that_makes_it():
    trained = {arm.method for arm in ARMS.values() if arm.name not in ("base", "sft")}
    assert trained == set(METHODS)


# --- Rounds, draws, updates


@pytest.mark.parametrize("profile", sorted(set(PROFILES) - {"gpt2", "gpu"}))
def test_updates_execute_as_many_programs_as_rounds(profile):
    study = Study.of(PROFILES[profile])
    rounds = study.rounds
    programs = rounds.rounds * rounds.prompts_per_round * rounds.samples_per_prompt
    assert rounds.programs == programs
    for method in (study.ppo, study.grpo):
        updates = updates_of(rounds, method)
        assert updates * method.prompts * rounds.samples_per_prompt == programs


def test_models_within_a_training_are_kept_after_each_round_but_the_last():
    # 3 rounds of 256 prompts at 32 an update: 24 updates, 8 a round.
    assert snapshot_updates(FULL.rounds, FULL.grpo) == [8, 16]
    # 3 rounds of 64 at 96 an update: 2 updates, none of which ends with a round.
    wide = replace(FULL.grpo, prompts=96)
    assert snapshot_updates(RoundSettings(3, 64), wide) == []


def test_every_arm_that_executes_programs_has_a_model_after_each_round(planned):
    for arm in FULL.arms.all:
        count = 1 if arm.method == "sft" else 3
        assert len(stages_of(arm.name)) == count, arm


def test_a_fresh_arm_draws_as_often_as_grpo(planned):
    stages = stages_of("dpo-binary+fresh")
    draws = [name for name in planned if "/samples" in name]
    assert len(draws) == updates_of(FULL.rounds, FULL.grpo) == 24
    assert {planned[name]["prompts"] for name in draws} == {FULL.grpo.prompts}
    assert [planned[name]["number"] for name in draws] == list(range(1, 25))
    assert [stage.name for stage in stages] == [
        f"dpo-binary+fresh/round{number}" for number in (8, 16, 24)
    ]


def test_where_its_rounds_end_elsewhere_only_the_end_of_a_fresh_arm_is_evaluated(planned):
    # 768 prompts at 96 each are 8 rounds; none ends after 256 or 512 prompts.
    study = replace(FULL, grpo=replace(FULL.grpo, prompts=96))
    [stage] = stages_of("dpo-binary+fresh", study)
    assert stage.name == "dpo-binary+fresh/round8"


def test_other_arms_of_dpo_draw_once_a_round(planned):
    stages_of("dpo-binary+filled")
    draws = [name for name in planned if "samples" in name]
    assert draws == [
        *("sft/samples1", "dpo-binary+filled/round1/samples2"),
        "dpo-binary+filled/round2/samples3",
    ]


def test_an_arm_whose_pairs_share_a_prefix_draws_restarted_programs_alone(planned):
    for arm, count in (("dpo-binary+prefix", 3), ("dpo-binary+fresh+prefix", 24)):
        planned.clear()
        stages_of(arm)
        assert len([name for name in planned if "/restarted" in name]) == count
        assert not [name for name in planned if "/samples" in name]


# --- Pairs

TASKS = {
    name: Task(name, f"def {name}():\n", name, "def check(c): pass\n") for name in "abc"
}


def outcome(task, number, asserts):
    """One of 4 programs of a task with 4 asserts; the ones that pass all of them pass."""
    sample = {"task_id": task, "completion": f"    return {number}\n"}
    passed = asserts == 4
    return Outcome(
        *(sample, "passed" if passed else "assertion", passed, ""),
        asserts_passed=asserts,
        asserts_total=4,
    )


# In a, some samples pass: every ordering pairs 2 with 2.  In b and c all fail.
ROUND = [
    outcome(task, number, asserts)
    for task, counts in {"a": (4, 4, 0, 1), "b": (0, 1, 2, 3), "c": (0, 0, 3, 3)}.items()
    for number, asserts in enumerate(counts)
]


def pairs(name, outcomes=ROUND, number=1, limits=PairSettings()):
    return arm_pairs(outcomes, TASKS, parse_arm(name), limits, 0, number)


def test_filled_arms_have_exactly_as_many_pairs_as_eta():
    assert len(pairs("dpo-eta")) == 6 and len(pairs("dpo-binary")) == 2
    for name in ("binary", "steps", "fraction", "tier", "states"):
        for per_prompt in (1, 2, 3, 9):
            limits = PairSettings(pairs_per_prompt=per_prompt)
            wanted = len(pairs("dpo-eta", limits=limits))
            assert len(pairs(f"dpo-{name}+filled", limits=limits)) == wanted


def test_a_filled_arms_pairs_are_of_its_own_ordering():
    filled = pairs("dpo-binary+filled")
    assert {pair["ordering"] for pair in filled} == {"binary"}
    assert all(pair["winner_passes"] for pair in filled)
    # Two of two programs each can be paired in four ways; the rest are taken again.
    assert len({(pair["chosen"], pair["rejected"]) for pair in filled}) == 4


def test_an_arm_is_filled_otherwise_in_another_round():
    drawn = [pairs("dpo-binary+filled", number=number) for number in range(1, 9)]
    assert any(other != drawn[0] for other in drawn)
    assert pairs("dpo-binary+filled") == drawn[0]


def test_where_no_program_passes_a_filled_binary_arm_has_no_pairs():
    failed = [each for each in ROUND if each.task_id != "a"]
    assert len(pairs("dpo-eta", failed)) == 4
    assert pairs("dpo-binary+filled", failed) == []


def test_pairs_of_an_arm_with_prefixes_are_of_programs_that_share_one():
    restarted = [
        replace(each, sample=each.sample | {"prefix": 11 if number else 0})
        for number, each in enumerate(ROUND)
        if each.task_id == "a"
    ]
    # The second to the last were given `    return `, as all texts begin, so all stay;
    # given all of theirs, only the same program begins so.
    assert len(pairs("dpo-binary+prefix", restarted)) == 2
    alone = [
        replace(each, sample=each.sample | {"prefix": 13 if number == 1 else 0})
        for number, each in enumerate(restarted)
    ]
    assert pairs("dpo-binary+prefix", alone) == []
    assert len(pairs("dpo-binary", alone)) == 2
