"""What a model is asked for, and what is said of it: by split, temperature and task."""

from __future__ import annotations

from collections import Counter

import pandas as pd
import pytest

from eta_utils.common.files import read_jsonl
from eta_utils.execution.records import Outcome
from eta_utils.study import rollouts
from eta_utils.study.rollouts import read_outcomes, summary
from eta_utils.study.stages import Stage, made
from eta_utils.study.study import Study
from eta_utils.study.tasks import round_tasks, tasks_of

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


def test_judged_samples_are_counted_by_temperature_and_task():
    some = [
        Outcome(
            {"task_id": task, "completion": "", "temperature": heat, "difficulty": 4},
            *(status, passed, ""),
        )
        for task, heat, status, passed in (
            ("a", 1.0, "passed", True),
            ("a", 1.0, "assertion", False),
            ("a", 1.0, *FAILED_JUDGE),  # neither passed nor failed
            ("a", 0.0, "passed", True),
            ("b", 1.0, "passed", True),
        )
    ]
    counted = rollouts._counted(some)
    assert list(counted) == ["temperature", "task_id", "difficulty", "samples", "passed"]
    assert counted.to_numpy().tolist() == [
        [1.0, "a", 4, 2, 1],
        [0.0, "a", 4, 1, 1],
        [1.0, "b", 4, 1, 1],
    ]


# --- A model, sampled and judged for real

SIZES = {"test_tasks": 3, "tune_tasks": 2, "prompts_per_round": 4, "rounds": 2}
SIZES |= {"samples_per_prompt": 4, "grpo_prompts": 2, "ppo_prompts": 2, "branch_roots": 2}
SIZES |= {"grpo_minibatch": 8, "max_new_tokens": 16}
SIZES |= {"test_samples": 5, "cool_samples": 3, "gate_samples": 6}


@pytest.fixture
def study(tmp_path, one_thread):
    return Study.begin("it", outputs=str(tmp_path), **SIZES)


@pytest.fixture
def model(study, tiny_folder):
    """The stage of a model: the built-in one, untrained."""
    return made(study.folder, "sft", 0, lambda stage: {"model": str(tiny_folder)})


def counts(stage):
    """Samples of each task by temperature, and how many tasks there are."""
    scores = pd.read_csv(stage.folder / "scores.csv")
    assert set(scores.groupby("temperature")["task_id"].nunique()) == {
        scores["task_id"].nunique()
    }
    by_heat = scores.groupby("temperature")["samples"].unique()
    return {heat: list(some) for heat, some in by_heat.items()}, scores["task_id"].nunique()


def test_a_model_is_evaluated_at_five_temperatures_on_either_split(study, model):
    cool = {0.7: [3], 0.5: [3], 0.3: [3], 0.0: [1]}
    test = rollouts.evaluate(study, model)
    assert counts(test) == ({1.0: [5]} | cool, 3)
    assert counts(rollouts.evaluate(study, model, split="tune")) == ({1.0: [3]} | cool, 2)
    assert sum(test.metrics["statuses"].values()) == 3 * 5
    assert {f"pass@1 at {heat:g}" for heat in (1.0, *cool)} <= set(test.metrics)
    names = {outcome.task_id for outcome in read_outcomes(test)}
    assert names == set(tasks_of(study, "test"))


def test_the_distance_to_a_model_is_that_of_the_programs_sampled_at_1(study, model):
    assert rollouts.evaluate(study, model, against=model).metrics["kl"] == 0
    assert "kl" not in rollouts.evaluate(study, model, split="tune").metrics


def test_models_on_the_way_have_fewer_samples_than_the_end(study, model):
    other = made(study.folder, "grpo", 0, lambda stage: dict(model.metrics))
    rollouts.evaluate_rounds(study, [model, other], model)
    curve, end = (Stage(study.folder, name, 0) for name in ("sft/test", "grpo/test"))
    assert counts(curve)[0][1.0] == [study.evaluation.curve_samples] == [4]
    assert counts(end)[0][1.0] == [5]


def test_the_gate_counts_alignment_and_tuning_programs_by_task(study, model):
    gate = pd.read_csv(rollouts.measure_gate(study, model).folder / "gate.csv")
    align, tune = (gate[gate["part"] == part] for part in ("align", "tune"))
    parts = study.family, study.rounds, study.judging, study.seed
    assert set(align["task_id"]) == set(round_tasks(*parts, number=1))
    assert set(tune["task_id"]) == set(tasks_of(study, "tune"))
    assert set(align["samples"]) == {4} and set(tune["samples"]) == {6}
    assert not gate["passed"].any()  # an untrained model


def test_draws_of_two_rounds_are_of_other_prompts_and_of_as_many_programs(study, model):
    first, second = (rollouts.draw(study, model, number) for number in (1, 2))
    names = [{each.task_id for each in read_outcomes(drawn)} for drawn in (first, second)]
    assert len(names[0] | names[1]) == 8
    assert first.metrics["programs"] == second.metrics["programs"] == 16
    small = rollouts.draw(study, model, 1, prompts=2)
    assert small.metrics["programs"] == 8 and small.name != first.name


def test_a_restarted_round_executes_as_many_programs_as_a_fresh_one(study, model):
    drawn = rollouts.draw_restarted(study, model, 1)
    assert drawn.metrics["programs"] == 16
    rows = [row for _, row in read_jsonl(drawn.folder / rollouts.OUTCOMES)]
    assert set(Counter(row["task_id"] for row in rows).values()) == {4}
    assert all(row["prefix"] <= len(row["completion"]) for row in rows)
    again = sum(bool(row["prefix"]) for row in rows)
    assert drawn.metrics["restarted"] == again
    small = rollouts.draw_restarted(study, model, 2, prompts=2)
    assert small.metrics["programs"] == 8
