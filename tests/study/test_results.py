"""Results read back from a run's files: who is counted, what is compared, what is kept."""

from __future__ import annotations

import shutil

import pandas as pd
import pytest

from eta_utils.analysis import tables
from eta_utils.common.errors import BadInput
from eta_utils.study import results
from eta_utils.study.near import COLUMNS as NEAR
from eta_utils.study.stages import Stage
from eta_utils.study.study import Study

TASKS = 6
HEATS = (1.0, 0.3, 0.0)


@pytest.fixture
def study(tmp_path, capsys):
    return Study.begin(outputs=str(tmp_path), profile="smoke")


def finished(study, name, metrics, inputs=(), seconds=None, settings=(), **details):
    """A stage that another process made."""
    stage = Stage(study.folder, name, study.seed, settings, inputs, details)
    stage.must_run()
    stage.seconds = seconds or {}
    stage.finish(metrics)
    return stage


def evaluated(study, name, passes, programs=0, inputs=(), cool=None, samples=4, **more):
    """An evaluated model: of each task `passes` samples pass at T = 1.

    `cool` pass at T = 0.3, by default as many, and none at 0, so that T* is 1.
    """
    settings = [study.sft_tasks]
    model = finished(study, name, {"programs": programs}, inputs, more, settings)
    counts = {1.0: passes, 0.3: passes if cool is None else cool, 0.0: 0}
    rows = [
        {"temperature": heat, "task_id": f"task{task}", "difficulty": 3}
        | {"samples": 1 if heat == 0 else samples, "passed": counts[heat]}
        for heat in HEATS
        for task in range(TASKS)
    ]
    statuses = {"passed": passes * TASKS, "assertion": (samples - passes) * TASKS}
    for split in ("test", "tune"):
        test = Stage(study.folder, f"{name}/{split}", 0, [study.held_out], [model])
        test.must_run()
        tables.write_results(test.folder, scores=pd.DataFrame(rows))
        test.seconds = {"evaluation": 99.0}
        test.finish({"statuses": statuses, "kl": 1.5 * programs})
    return model


def at_best(study):
    scores, models, _ = results.read_results(study)
    return tables.best(scores, models)


def arms_kept(study, seed=0):
    return set(pd.read_csv(study.run_folder / "scores" / f"scores{seed}.csv.gz")["arm"])


# --- Who is counted


def test_scores_are_of_both_splits_at_each_temperature(study):
    evaluated(study, "sft", passes=1, cool=3)
    scores, models, gate = results.read_results(study)
    assert len(scores) == 2 * len(HEATS) * TASKS
    assert list(scores) == tables.COLUMNS
    warm, cool, greedy = (scores[scores["temperature"] == heat] for heat in HEATS)
    assert set(warm["samples"]) == {4} and set(warm["passed"]) == {1}
    assert set(cool["samples"]) == {4} and set(cool["passed"]) == {3}
    assert set(greedy["samples"]) == {1} and set(greedy["passed"]) == {0}
    assert set(models["kl"]) == {0} and gate.empty


def test_the_end_of_an_arm_is_where_it_executed_most_programs(study):
    sft = evaluated(study, "sft", passes=1)
    first = evaluated(study, "dpo-eta/round1", passes=1, programs=128, inputs=[sft])
    evaluated(study, "dpo-eta/round2", passes=3, programs=256, inputs=[first])
    best = at_best(study)
    ends = tables.final(best)
    assert sorted(set(best["programs"])) == [0, 128, 256]
    assert tables.matrix(ends, "dpo-eta").mean() == 0.75


def test_the_table_has_one_row_per_arm_and_gains_paired_with_sft(study):
    sft = evaluated(study, "sft", passes=1)
    evaluated(study, "grpo", passes=2, programs=256, inputs=[sft])
    table = tables.results_table(at_best(study))
    assert list(table["arm"]) == ["SFT", "GRPO"]
    assert list(table["pass@1"]) == [0.25, 0.5]
    # every task gains the same, so there is nothing to be unsure about
    assert table["gain"][1] == 0.25
    assert [table["gain low"][1], table["gain high"][1]] == pytest.approx([0.25, 0.25])
    assert list(table["programs"]) == [0, 256]
    assert table["kl"][1] == 384


def test_an_evaluation_with_other_parameters_than_the_run_has_is_left_out(study):
    evaluated(study, "sft", passes=1)
    assert len(results.evaluations(study)) == 1
    later = Study.begin(
        study.run, outputs=study.place.outputs, sft_tasks=study.sft_tasks.tasks + 1
    )
    assert results.evaluations(later) == []


def test_an_arm_made_from_another_model_than_is_there_now_is_left_out(study):
    sft = evaluated(study, "sft", passes=1)
    first = evaluated(study, "dpo-eta/round1", passes=1, programs=128, inputs=[sft])
    evaluated(study, "dpo-eta/round2", passes=1, programs=256, inputs=[first])
    assert [row["arm"] for row in results.evaluations(study)] == ["sft", *2 * ["dpo-eta"]]
    shutil.rmtree(study.folder / "sft")
    finished(study, "sft", {"programs": 0}, settings=[study.sft_tasks, study.sft])
    assert results.evaluations(study) == []  # neither did dpo-eta begin with this one


def test_what_a_counted_model_was_made_from_may_be_gone(study):
    drawn = finished(study, "sft/samples1", {"programs": 128})
    evaluated(study, "dpo-eta/round1", passes=1, programs=128, inputs=[drawn])
    shutil.rmtree(drawn.folder)
    assert [row["arm"] for row in results.evaluations(study)] == ["dpo-eta"]


def test_folders_of_other_code_are_no_arms(study):
    evaluated(study, "sft", passes=1)
    evaluated(study, "rloo", passes=1, programs=256)
    assert [row["arm"] for row in results.evaluations(study)] == ["sft"]


def test_arms_that_no_seed_finished_are_named(study):
    evaluated(study, "sft", passes=1)
    evaluated(study, "grpo", passes=1, programs=256)
    scores, _, _ = results.read_results(study)
    wanted = ["base", *(arm.name for arm in study.arms.all)]
    wanted.remove("grpo")
    assert results.missing_arms(study, scores) == wanted


def test_seeds_are_rows_and_only_common_ones_are_compared(study):
    evaluated(study, "sft", passes=1)
    evaluated(study, "ppo", passes=2, programs=256)
    evaluated(study.with_seed(1), "sft", passes=3)
    best = at_best(study)
    assert tables.matrix(best, "sft").shape == (2, TASKS)
    ours, theirs = tables.same_seeds(tables.final(best), "ppo", "sft")
    assert ours.shape == theirs.shape == (1, TASKS)
    assert (ours - theirs).mean() == 0.25


def test_statuses_are_those_of_each_arms_end_over_all_seeds(study):
    evaluated(study, "sft", passes=1)
    evaluated(study, "grpo/round1", passes=2, programs=128)
    evaluated(study, "grpo", passes=3, programs=256)
    evaluated(study.with_seed(1), "grpo", passes=4, programs=256)
    counts = results.read_statuses(study).set_index(["arm", "status"])["programs"]
    assert counts["sft", "passed"] == TASKS
    assert counts["grpo", "passed"] == (3 + 4) * TASKS


# --- Near-duplicates


def test_near_duplicates_are_marked_for_the_seed_and_the_split_that_have_them(study):
    for seed in (0, 1):
        evaluated(study.with_seed(seed), "sft", passes=1)
    near = finished(study, "near", {"test": 1, "tune": 1})
    rows = [("test", "task2", "sft7", "same"), ("tune", "task3", "sft8", "same")]
    tables.write_results(near.folder, near=pd.DataFrame(rows, columns=NEAR))
    scores, _, _ = results.read_results(study)
    marked = scores[scores["near"] == 1]
    found = set(marked[["seed", "split", "task_id"]].itertuples(index=False, name=None))
    assert found == {(0, "test", "task2"), (0, "tune", "task3")}
    assert len(marked) == 2 * len(HEATS)


# --- Seconds


def test_seconds_count_training_samples_and_judging_from_the_sft_model_on(study):
    sft = evaluated(study, "sft", passes=1, training=1000.0)
    drawn = finished(study, "sft/samples1", {}, [sft], {"sampling": 1.0, "judging": 2.0})
    first = evaluated(
        study, "dpo-eta/round1", 1, 128, [sft, drawn], training=4.0
    )  # fmt: skip
    again = finished(study, "dpo-eta/round1/samples2", {}, [first], {"sampling": 8.0})
    evaluated(study, "dpo-eta/round2", 1, 256, [first, again], training=16.0)
    _, models, _ = results.read_results(study)
    seconds = models.set_index(["arm", "programs"])["seconds"]
    assert seconds["sft", 0] == 1000
    assert seconds["dpo-eta", 128] == 1 + 2 + 4
    assert seconds["dpo-eta", 256] == 1 + 2 + 4 + 8 + 16


def test_seconds_of_a_model_saved_within_a_training_are_not_known(study):
    sft = evaluated(study, "sft", passes=1, training=1000.0)
    end = evaluated(study, "grpo", 1, 256, [sft], training=5.0)
    evaluated(study, "grpo/round1", 1, 128, [end])
    _, models, _ = results.read_results(study)
    seconds = models.set_index(["arm", "programs"])["seconds"]
    assert seconds["grpo", 256] == 5
    assert pd.isna(seconds["grpo", 128])


def test_seconds_of_ppo_on_a_reward_model_count_that_models_training(study):
    sft = evaluated(study, "sft", passes=1, training=1000.0)
    reward_model = finished(study, "rm", {}, [sft], {"training": 3.0})
    evaluated(study, "ppo-rm", 1, 256, [sft, reward_model], training=5.0)
    _, models, _ = results.read_results(study)
    assert models.set_index("arm")["seconds"]["ppo-rm"] == 8


# --- What is kept in scores/


def test_arms_that_are_kept_stay_when_their_stages_are_gone_and_sft_agrees(study):
    evaluated(study, "sft", passes=1)
    evaluated(study, "grpo", passes=2, programs=256)
    before = [frame.to_csv() for frame in results.read_results(study)]
    shutil.rmtree(study.folder / "grpo")
    assert [row["arm"] for row in results.evaluations(study)] == ["sft"]
    assert [frame.to_csv() for frame in results.read_results(study)] == before
    assert arms_kept(study) == {"sft", "grpo"}


def test_arms_that_are_kept_are_dropped_when_the_sft_models_scores_differ(study):
    evaluated(study, "sft", passes=1)
    evaluated(study, "grpo", passes=2, programs=256)
    results.refresh(study)
    shutil.rmtree(study.folder)
    evaluated(study, "sft", passes=2)
    results.refresh(study)
    assert arms_kept(study) == {"sft"}


def test_an_arm_that_is_made_anew_takes_the_place_of_what_was_kept(study):
    evaluated(study, "sft", passes=1)
    for programs, passes in ((128, 1), (256, 2)):
        evaluated(study, f"dpo-eta/round{programs // 128}", passes, programs)
    results.refresh(study)
    shutil.rmtree(study.folder / "dpo-eta")
    evaluated(study, "dpo-eta/round1", 4, 512)
    scores, models, _ = results.read_results(study)
    assert list(models[models["arm"] == "dpo-eta"]["programs"]) == [512]
    assert set(scores[scores["arm"] == "dpo-eta"]["programs"]) == {512}


def test_what_is_kept_of_a_seed_without_stages_stays(study):
    for seed in (0, 1):
        evaluated(study.with_seed(seed), "sft", passes=1)
    results.refresh(study)
    shutil.rmtree(study.with_seed(1).folder)
    scores, _, _ = results.read_results(study)
    assert set(scores["seed"]) == {0, 1}


def test_a_seed_without_an_evaluated_sft_model_keeps_nothing(study):
    evaluated(study, "grpo", passes=1, programs=256)
    with pytest.raises(BadInput, match="scores0"):
        results.read_results(study)


def test_the_same_results_are_kept_in_the_same_bytes(study):
    evaluated(study, "sft", passes=1)
    evaluated(study, "credit", passes=3, programs=256)
    kept = study.run_folder / "scores"

    def contents():
        results.refresh(study)
        return {path.name: path.read_bytes() for path in kept.iterdir()}

    first = contents()
    assert set(first) == {"scores0.csv.gz", "models0.csv.gz", "gate0.csv.gz"}
    assert contents() == first  # from the stages, and what was kept of them
    shutil.rmtree(study.folder / "credit")
    assert contents() == first  # and from what was kept alone


def test_the_gate_and_what_other_stages_leave_are_kept_with_their_seed(study):
    evaluated(study, "sft", passes=1)
    gate = finished(study, "sft/gate", {})
    rows = pd.DataFrame({"part": ["tune"], "task_id": ["a"], "samples": [8], "passed": [1]})
    tables.write_results(gate.folder, gate=rows)
    tables.write_results(study.folder, labels=rows)
    judged = finished(study, "rm/judged", {})
    tables.write_results(judged.folder, ranked=rows)
    _, _, found = results.read_results(study)
    assert found.to_dict("records") == [{"seed": 0} | rows.to_dict("records")[0]]
    kept = study.run_folder / "scores"
    for name in ("labels", "ranked"):
        assert list(pd.read_csv(kept / f"{name}0.csv.gz")["seed"]) == [0]
    shutil.rmtree(gate.folder)
    assert len(results.read_results(study)[2]) == 1


# --- Runs beside


def test_runs_beside_are_copied_so_that_the_folder_has_all_that_its_tables_need(study):
    evaluated(study, "sft", passes=1)
    results.refresh(study)
    ours = Study.begin(
        "main", "smoke", outputs=study.place.outputs, beside=f"{study.run} absent"
    )
    results.copy_runs_beside(ours)
    copy = ours.run_folder / "beside" / study.run / "scores"
    there = study.run_folder / "scores"
    assert {path.name: path.read_bytes() for path in copy.iterdir()} == {
        path.name: path.read_bytes() for path in there.iterdir()
    }
    assert [path.name for path in (ours.run_folder / "beside").iterdir()] == [study.run]


def test_a_table_that_is_no_table_of_a_run_is_named(tmp_path):
    (tmp_path / "scores.csv").write_text("a,b\n1,2\n")
    with pytest.raises(BadInput, match=r"scores\.csv: no column seed"):
        tables.load_table(tmp_path / "scores.csv", tables.COLUMNS)
