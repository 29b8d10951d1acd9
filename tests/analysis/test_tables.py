"""Every model is taken at its own best temperature; the gate says what it measures."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from eta_utils.analysis.tables import (
    GATE,
    MODELS,
    arms_table,
    best,
    best_temperatures,
    by_difficulty,
    final,
    gate_problem,
    gate_table,
    joined,
    label,
    matrix,
    read_folder,
    read_parts,
    results_table,
    same_seeds,
    temperature_table,
    write_results,
)
from eta_utils.common.errors import BadInput
from tests.analysis import made


def sharp(level):
    """A model that passes more the colder it is sampled: `level` of 8 below T = 1."""
    return lambda seed, task, t: level if t < 1 else level // 2


def flat(level):
    return lambda seed, task, t: level


STUDY = made.scores(
    {
        ("sft", 0): flat(2),
        ("grpo", 100): sharp(4),
        ("grpo", 300): sharp(6),
        ("ceiling", 0): flat(8),
    },
    seeds=(0, 1),
    near=3,
)


def at(table, arm):
    [row] = table[table["arm"] == arm].to_dict("records")
    return row


# --- The best temperature


def test_the_best_temperature_is_that_with_the_highest_rate_on_tuning_tasks():
    # Tuning tasks say 0.3, test tasks 1.0: the test tasks have no say.
    rows = made.scores({("sft", 0): lambda seed, task, t: 4 if t == 0.3 else 2})
    tested = rows["split"] == "test"
    rows.loc[tested, "passed"] = (rows.loc[tested, "temperature"] == 1) * 8
    at_best = best(rows)
    assert set(at_best["temperature"]) == {0.3}
    assert at_best["passed"].sum() == 0
    assert (at_best["sampled_passed"] == 8).all()


def test_of_equal_temperatures_the_highest_is_taken():
    assert set(best(STUDY[STUDY["arm"] == "sft"])["temperature"]) == {1.0}
    # Thirds add up to another last bit in another order; they are equal all the same.
    rows = made.scores({("sft", 0): flat(0)}, tasks=3)
    rows["samples"] = 3
    for temperature, passes in ((1.0, [1, 0, 2]), (0.7, [2, 0, 1])):
        chosen = rows["temperature"] == temperature
        rows.loc[chosen & (rows["split"] == "tune"), "passed"] = passes
    assert set(best(rows)["temperature"]) == {1.0}


def test_each_seed_and_each_model_has_a_best_temperature_of_its_own():
    rows = made.scores(
        {("sft", 0): lambda seed, task, t: 8 if t == (0.3, 0.7)[seed] else 0},
        seeds=(0, 1),
    )
    chosen = best_temperatures(rows).set_index("seed")["temperature"]
    assert chosen.to_dict() == {0: 0.3, 1: 0.7}


def test_a_row_has_the_counts_at_the_best_temperature_at_one_and_greedy():
    row = best(STUDY).query("arm == 'grpo' and programs == 300").iloc[0]
    # 6 of 8 at T = 0.7, the highest of the equal ones, is 3 of 4; half of that at T = 1.
    assert (row["temperature"], row["samples"], row["passed"]) == (0.7, 4, 3)
    assert (row["sampled_samples"], row["sampled_passed"]) == (8, 3)
    assert row["greedy"] == 0


def test_one_row_for_each_model_and_test_task_in_the_order_of_the_arms():
    at_best = best(STUDY)
    assert len(at_best) == 2 * 4 * 12
    assert list(dict.fromkeys(at_best["arm"])) == ["sft", "grpo", "ceiling"]
    assert all(task.startswith("test/") for task in at_best["task_id"])


def test_what_is_known_of_a_model_is_beside_its_rows():
    at_best = best(STUDY, made.models_of(STUDY))
    assert set(at_best["kl"]) == {2.0}
    assert set(at_best.loc[at_best["seed"] == 1, "seconds"]) == {11.0}
    assert "kl" not in best(STUDY, pd.DataFrame(columns=MODELS))


def test_a_model_that_was_not_tuned_or_not_tested_is_left_out():
    for split in ("tune", "test"):
        partial = STUDY[~((STUDY["arm"] == "grpo") & (STUDY["split"] == split))]
        assert set(best(partial)["arm"]) == {"sft", "ceiling"}


def test_a_seed_that_is_still_in_training_has_no_final_rows():
    there = ~((STUDY["seed"] == 1) & (STUDY["programs"] == 300))
    ends = final(best(STUDY[there]))
    assert set(ends.loc[ends["arm"] == "grpo", "seed"]) == {0}
    assert set(ends.loc[ends["arm"] == "sft", "seed"]) == {0, 1}


# --- Matrices


def test_a_task_whose_samples_the_judge_failed_on_does_not_count():
    rows = best(made.scores({("sft", 0): flat(4)}, tasks=2))
    rows.loc[0, ["samples", "passed"]] = 0
    scores = matrix(rows, "sft")
    assert math.isnan(scores[0, 0]) and scores[0, 1] == 0.5


def test_arms_pair_on_the_seeds_and_tasks_that_both_have():
    rows = final(best(STUDY))
    rows = rows[~((rows["arm"] == "grpo") & (rows["seed"] == 1))]
    rows = rows[~((rows["arm"] == "sft") & (rows["task_id"] == "test/00"))]
    ours, theirs = same_seeds(rows, "grpo", "sft")
    assert ours.shape == theirs.shape == (1, 11)


# --- Tables


def test_results_are_those_of_the_last_programs_at_the_best_temperature():
    table = results_table(best(STUDY, made.models_of(STUDY)))
    grpo = at(table, "GRPO")
    assert (grpo["seeds"], grpo["programs"], grpo["best T"]) == (2, 300, "0.7")
    assert grpo["pass@1"] == 0.75
    assert grpo["gain"] == grpo["gain low"] == 0.5
    assert grpo["without near"] == 0.75
    assert grpo["pass@8"] == 1.0  # 3 of the 8 samples at T = 1 pass
    assert (grpo["kl"], grpo["seconds"]) == (2.0, 10.5)
    assert math.isnan(at(table, "SFT")["gain"])
    assert list(table["references"]) == ["no", "no", "yes"]


def test_the_best_temperatures_of_seeds_that_differ_are_a_range():
    rows = made.scores(
        {("sft", 0): lambda seed, task, t: 8 if t == (0.3, 0.7)[seed] else 0},
        seeds=(0, 1),
    )
    assert at(results_table(best(rows)), "SFT")["best T"] == "0.3 to 0.7"


def test_near_duplicates_are_left_out_of_their_column_alone():
    # All near-duplicates pass, and nothing else does.
    rows = made.scores({("sft", 0): lambda seed, task, t: 8 * (task < 3)}, near=3)
    sft = at(results_table(best(rows)), "SFT")
    assert sft["pass@1"] == 3 / 12
    assert sft["without near"] == 0


def test_a_rate_has_no_interval_beyond_0_and_1():
    rows = made.scores({("sft", 0): lambda seed, task, t: 8 * (task == 0)}, tasks=4)
    sft = at(results_table(best(rows)), "SFT")
    assert sft["pass@1 low"] == 0.0 and sft["pass@1 high"] == 1.0


def test_temperatures_are_those_of_an_arms_end_with_how_many_seeds_chose_each():
    table = temperature_table(STUDY)
    assert list(dict.fromkeys(table["arm"])) == ["sft", "grpo", "ceiling"]
    grpo = table[table["arm"] == "grpo"].set_index("temperature")
    assert list(grpo.index) == [0.0, 0.3, 0.5, 0.7, 1.0]
    assert grpo["pass@1"].to_dict() == {0.0: 0, 0.3: 0.75, 0.5: 0.75, 0.7: 0.75, 1.0: 0.375}
    assert grpo["chosen"].to_dict() == {0.0: 0, 0.3: 0, 0.5: 0, 0.7: 1, 1.0: 0}


def test_difficulty_is_the_number_of_steps():
    rows = made.scores({("sft", 0): lambda seed, task, t: 8 * (task % 3 == 0)})
    rates = by_difficulty(best(rows)).set_index("difficulty")["pass@1"]
    assert rates.to_dict() == {3: 1.0, 4: 0.0, 5: 0.0}


# --- The gate

HOLDS = {"seed": 7, "sft": 0.13, "all fail": 0.66, "times": 5.0, "ceiling": 0.76}


def test_the_gate_measures_what_it_says():
    # SFT passes 2 of 8 at every T, the ceiling all.  3 of 5 prompts fail.  Of 64 samples 1
    # passes: pass@1 is 1/64 and pass@64 is 1.
    table = gate_table(STUDY, made.gate(all_fail=3, prompts=5, passed=1, tries=64))
    [row] = table.to_dict("records")
    assert (row["seed"], row["sft"], row["best T"]) == (0, 0.25, 1.0)
    assert (row["all fail"], row["ceiling"]) == (0.6, 1.0)
    assert row["pass@1"] == pytest.approx(1 / 64)
    assert (row["pass@64"], row["times"]) == (1.0, pytest.approx(64))
    assert row["holds"] == "yes" and gate_problem(row) is None


def test_the_gate_is_measured_before_any_test_task_is():
    tuned = STUDY[STUDY["split"] == "tune"]
    measured = made.gate(all_fail=3, prompts=5, passed=1, tries=64)
    pd.testing.assert_frame_equal(gate_table(tuned, measured), gate_table(STUDY, measured))


def test_with_fewer_samples_the_gate_takes_as_many_as_there_are():
    # 2 of 8 pass: pass@1 is 1/4, pass@8 is 1.
    table = gate_table(STUDY, made.gate(all_fail=3, prompts=5, passed=2, tries=8))
    assert table["times"].tolist() == [4.0]


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("sft", 0.26, "too little is left to learn"),
        ("all fail", 0.49, "not rare"),
        ("times", 2.9, "not in its reach"),
        ("times", float("nan"), "no value for 'times'"),
        ("ceiling", 0.69, "cannot learn"),
        ("ceiling", float("nan"), "no value for 'ceiling'"),
    ],
)
def test_the_sentence_names_what_does_not_hold_and_nothing_else(name, value, said):
    assert gate_problem(HOLDS) is None
    problem = gate_problem(HOLDS | {name: value})
    assert said in problem and "seed 7" in problem
    assert problem.count(";") == 0


def test_all_that_does_not_hold_is_named():
    assert gate_problem(HOLDS | {"sft": 0.6, "ceiling": 0.3}).count(";") == 1


# --- Kept and read


def test_a_run_is_read_back_over_its_seeds(tmp_path):
    gates = pd.concat([made.gate(3, 5, 1, 64, seed) for seed in (0, 1)])
    made.write(tmp_path, STUDY, gates)
    scores, models, gate = read_folder(tmp_path)
    assert len(scores) == len(STUDY)
    pd.testing.assert_frame_equal(results_table(best(scores)), results_table(best(STUDY)))
    assert (len(models), len(gate)) == (8, 18)


def test_seeds_come_by_number(tmp_path):
    (tmp_path / "scores").mkdir()
    for seed in (10, 9):
        write_results(tmp_path / "scores", **{f"gate{seed}": made.gate(1, 2, 1, 4, seed)})
    rows = read_parts(tmp_path, "gate", GATE)
    assert list(dict.fromkeys(rows["seed"])) == [9, 10]


def test_a_folder_without_scores_and_a_table_of_something_else_are_named(tmp_path):
    with pytest.raises(BadInput, match=r"no scores/scores0\.csv there"):
        read_folder(tmp_path)
    (tmp_path / "scores").mkdir()
    write_results(tmp_path / "scores", scores0=pd.DataFrame({"seed": [0]}))
    with pytest.raises(BadInput, match=r"scores0\.csv: no column arm"):
        read_folder(tmp_path)


def test_a_value_and_its_ends_become_one_text():
    rows = pd.DataFrame([{"value": 0.5, "low": 0.25, "high": 0.75}])
    assert joined(rows)["value"].tolist() == ["0.500 [0.250, 0.750]"]


def test_arms_have_their_order_also_where_the_first_seed_lacks_one():
    levels = {("sft", 0): 2, ("rft", 128): 4, ("grpo", 128): 4, ("ceiling", 0): 8}
    parts = []
    for seed, missing in ((0, "rft"), (1, "none")):
        arms = {
            key: (lambda _seed, _task, _t, passed=passed: passed)
            for key, passed in levels.items()
            if key[0] != missing
        }
        parts.append(made.scores(arms, seeds=(seed,)))
    table = results_table(best(pd.concat(parts)))
    assert list(table["arm"]) == [label(arm) for arm in ("sft", "rft", "grpo", "ceiling")]


def test_arms_are_tabled_in_words_with_what_they_pass():
    rows = arms_table(best(STUDY))
    grpo = at(rows, "GRPO")
    assert grpo["what it does"].startswith("reinforcement learning on pass or fail")
    assert (grpo["needs solutions"], grpo["seeds"], grpo["passes"]) == ("no", 2, 0.75)
    assert at(rows, "ceiling")["needs solutions"] == "yes"
