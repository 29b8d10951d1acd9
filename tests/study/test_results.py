"""Results read back from a run's files: who is counted, what is compared, what is said."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from eta_utils.analysis import tables
from eta_utils.common.errors import BadInput
from eta_utils.execution.records import Outcome
from eta_utils.study import results
from eta_utils.study.rollouts import write_outcomes
from eta_utils.study.stages import Stage
from eta_utils.study.study import Study

TASKS = 6


@pytest.fixture
def study(tmp_path, capsys):
    return Study.begin(outputs=str(tmp_path), profile="smoke")


def evaluated(study, name, passes, programs=0, samples=4, **parameters):
    """An evaluation of a model: of each task the first `passes` samples pass."""
    model = Stage(study.folder, name, study.seed, [study.sft_tasks], details=parameters)
    model.must_run()
    model.finish({"programs": programs})
    test = Stage(study.folder, f"{name}/test", study.seed, [study.held_out], [model])
    test.must_run()
    outcomes = [
        outcome(f"task{task}", number < passes, mode)
        for task in range(TASKS)
        for mode, count in (("greedy", 1), ("sampled", samples))
        for number in range(count)
    ]
    write_outcomes(test, outcomes)
    statuses = {"passed": passes * TASKS, "assertion": (samples - passes) * TASKS}
    test.finish({"statuses": statuses})


def outcome(task_id, passed, mode):
    sample = {"task_id": task_id, "completion": "", "mode": mode, "difficulty": 3}
    return Outcome(sample, "passed" if passed else "assertion", passed, "")


def test_scores_count_sampled_and_greedy_programs_apart(study):
    evaluated(study, "sft", passes=1)
    scores = results.read_scores(study)
    assert len(scores) == TASKS
    assert set(scores["samples"]) == {4} and set(scores["passed"]) == {1}
    assert set(scores["greedy"]) == {1}


def test_judge_errors_are_not_counted_as_failures(study):
    evaluated(study, "sft", passes=1)
    [test] = results.evaluations(study)
    stage = Stage(study.folder, "sft/test", study.seed)
    broken = Outcome(
        {"task_id": "task0", "completion": "", "mode": "sampled", "difficulty": 3},
        "judge_error",
        None,
        "",
    )
    write_outcomes(stage, [outcome("task0", True, "sampled"), broken])
    scores = results.read_scores(study)
    assert list(scores["samples"]) == [1] and list(scores["passed"]) == [1]
    assert test["arm"] == "sft"


def test_the_end_of_an_arm_is_where_it_executed_most_programs(study):
    evaluated(study, "dpo-eta/round1", passes=1, programs=128)
    evaluated(study, "dpo-eta/round2", passes=3, programs=256)
    scores = results.read_scores(study)
    assert sorted(set(scores["programs"])) == [128, 256]
    assert tables.matrix(tables.final(scores), "dpo-eta").mean() == 0.75


def test_the_table_has_one_row_per_arm_and_gains_paired_with_sft(study):
    evaluated(study, "sft", passes=1)
    evaluated(study, "ppo", passes=2, programs=256)
    table = tables.results_table(results.read_scores(study))
    assert list(table["arm"]) == ["SFT", "PPO"]
    assert list(table["pass@1"]) == [0.25, 0.5]
    # every task gains the same, so there is nothing to be unsure about
    assert table["gain"][1] == 0.25
    assert [table["gain low"][1], table["gain high"][1]] == pytest.approx([0.25, 0.25])
    assert np.isnan(table["gain"][0])


def test_an_evaluation_with_other_parameters_than_the_run_has_is_left_out(study):
    evaluated(study, "sft", passes=1)
    assert len(results.evaluations(study)) == 1
    later = Study.begin(
        study.run, outputs=study.place.outputs, sft_tasks=study.sft_tasks.tasks + 1
    )
    assert results.evaluations(later) == []


def test_arms_that_no_seed_finished_are_named(study):
    evaluated(study, "sft", passes=1)
    missing = results.missing_arms(study, results.read_scores(study))
    assert missing == ["base", "ppo", "dpo-eta", "dpo-binary", "dpo-steps"]


def test_seeds_are_rows_and_only_common_ones_are_compared(study):
    evaluated(study, "sft", passes=1)
    evaluated(study, "ppo", passes=2, programs=256)
    evaluated(study.with_seed(1), "sft", passes=3)
    scores = results.read_scores(study)
    assert tables.matrix(scores, "sft").shape == (2, TASKS)
    ours, theirs = tables.same_seeds(tables.final(scores), "ppo", "sft")
    assert ours.shape == theirs.shape == (1, TASKS)
    assert (ours - theirs).mean() == 0.25


def test_results_are_written_with_the_scores_they_are_computed_from(study):
    evaluated(study, "sft", passes=1)
    scores = results.read_scores(study)
    table = tables.results_table(scores)
    tables.write_results(study.run_folder, scores=scores, results=table)
    lines = (study.run_folder / "scores.csv").read_text().splitlines()
    assert lines[0] == "seed,arm,programs,task_id,difficulty,samples,passed,greedy"
    assert len(lines) == TASKS + 1
    assert "SFT" in (study.run_folder / "results.csv").read_text()
    again = tables.load_table(study.run_folder / "scores.csv")
    pd.testing.assert_frame_equal(again, scores)


def test_a_table_that_is_not_of_scores_is_named(tmp_path):
    path = tmp_path / "scores.csv"
    with pytest.raises(BadInput, match=r"scores.csv: cannot be read"):
        tables.load_table(path)
    path.write_text("seed,arm\n0,sft\n")
    with pytest.raises(BadInput, match="no column difficulty"):
        tables.load_table(path)
