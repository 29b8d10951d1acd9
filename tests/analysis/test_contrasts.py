"""Contrasts: named before the results, adjusted within a family, said with care.

The crossover: gains against the strength of the model that the arms began with.
"""

from __future__ import annotations

import pandas as pd
import pytest

from eta_utils.analysis.contrasts import (
    ALL_FAIL_TASKS,
    FIRST,
    LAST,
    answer,
    contrast_table,
    crossover,
    grouped,
    in_words,
)
from eta_utils.analysis.statistics import Interval, holm
from eta_utils.analysis.tables import COLUMNS, write_results
from eta_utils.study import Study, all_scores

TASKS = [f"task{number}" for number in range(20)]


def scores(*arms):
    """From (arm, programs, passes of 4 samples by the number of the task); one seed."""
    rows = []
    for arm, programs, passes in arms:
        for task in TASKS:
            passed = passes(int(task[4:]))
            rows.append(
                {
                    "seed": 0,
                    "arm": arm,
                    "programs": programs,
                    "task_id": task,
                    "difficulty": 3,
                    "samples": 4,
                    "passed": passed,
                    "greedy": int(passed > 1),
                }
            )
    return pd.DataFrame(rows)


# The SFT model fails the first ten tasks; ETA helps there early, and all help late.
STUDY = scores(
    ("sft", 0, lambda n: 0 if n < 10 else 2),
    ("ppo", 100, lambda n: 0 if n < 10 else 2),
    ("ppo", 300, lambda n: 3),
    ("dpo-binary", 100, lambda n: 0 if n < 10 else 2),
    ("dpo-binary", 300, lambda n: 2),
    ("dpo-eta", 100, lambda n: 1 if n < 10 else 2),
    ("dpo-eta", 300, lambda n: 2),
)


def values(table):
    keys = zip(table["contrast"], table["programs"], table["tasks"], strict=True)
    return dict(zip(keys, table["value"], strict=True))


def test_the_primary_contrasts_are_at_both_budgets_and_where_all_of_sft_fails():
    table = contrast_table(STUDY)
    assert list(table["family"]) == ["primary"] * 8 + ["gain"] * 3
    difference = values(table)
    name = "ETA-DPO - binary DPO"
    assert difference[name, FIRST, "all"] == pytest.approx(0.125)
    assert difference[name, FIRST, ALL_FAIL_TASKS] == pytest.approx(0.25)
    assert difference[name, LAST, "all"] == 0
    assert difference["ETA-DPO - PPO", LAST, "all"] == pytest.approx(-0.25)
    assert difference["ETA-DPO - SFT", LAST, "all"] == pytest.approx(0.25)


def test_each_seed_has_all_fail_tasks_of_its_own():
    # With seed 1 the SFT model fails the last ten tasks: ETA helps on seed 0's.
    other = STUDY.assign(seed=1)
    of_sft = other["arm"] == "sft"
    other.loc[of_sft, "passed"] = [2] * 10 + [0] * 10
    table = contrast_table(pd.concat([STUDY, other]))
    rows = table[(table["programs"] == FIRST) & (table["tasks"] == ALL_FAIL_TASKS)]
    [hard] = rows[rows["contrast"] == "ETA-DPO - binary DPO"].to_dict("records")
    assert hard["by seed"] == [0.25, 0.0]
    assert hard["value"] == pytest.approx(0.125)
    assert hard["low"] <= 0.125 <= hard["high"]


def test_p_values_are_adjusted_within_their_family():
    for _, rows in contrast_table(STUDY).groupby("family"):
        assert rows["holm"].tolist() == holm(rows["p"].tolist())


def test_arms_at_other_numbers_of_programs_are_not_compared():
    other = STUDY[~((STUDY["arm"] == "ppo") & (STUDY["programs"] == 100))]
    table = contrast_table(other)
    eta_ppo = table[table["contrast"] == "ETA-DPO - PPO"]
    assert set(eta_ppo["programs"]) == {LAST}


def test_an_arm_with_options_is_compared_with_the_one_without():
    arm = "dpo-eta+ungated"
    ungated = scores((arm, 300, lambda n: 3), (arm, 100, lambda n: 0))
    table = contrast_table(pd.concat([STUDY, ungated]))
    difference = values(table[table["family"] == "secondary"])
    assert difference["ETA-DPO, ungated - ETA-DPO", LAST, "all"] == pytest.approx(0.25)
    assert difference["ETA-DPO, ungated - ETA-DPO", FIRST, "all"] == pytest.approx(-0.375)


def test_arms_are_drawn_in_groups_with_sft():
    more = [(f"dpo-{arm}", 300, lambda n: 3) for arm in ("tier+matched", "eta+matched")]
    groups = grouped(pd.concat([STUDY, scores(*more)]))
    names = {title: sorted(set(part["arm"])) for title, part in groups.items()}
    assert names == {
        "primary contrasts": ["dpo-binary", "dpo-eta", "ppo", "sft"],
        "as many pairs as binary": [
            "dpo-binary",
            "dpo-eta+matched",
            "dpo-tier+matched",
            "sft",
        ],
        "eta with options": ["dpo-eta", "dpo-eta+matched", "sft"],
    }


def test_the_answer_is_what_the_primary_contrasts_on_all_tasks_say_at_the_end():
    said = answer(contrast_table(STUDY), STUDY)
    # Of every task's 4 samples 2 pass with ETA and binary, 3 with PPO.
    assert "not told apart from binary DPO, +0.0 points" in said
    assert "below PPO, -25.0 points (95 % interval -25.0 to -25.0)" in said
    alone = scores(("sft", 0, lambda n: 1))
    assert "lacks the arms of the primary contrasts" in answer(contrast_table(alone), alone)


def test_where_nothing_passes_the_answer_is_that_nothing_can_be_said():
    nothing = STUDY.assign(passed=0, greedy=0)
    said = answer(contrast_table(nothing), nothing)
    assert said.startswith("No model passed one of its ")
    assert "not told apart" not in said


def test_without_the_arms_there_is_nothing_to_say():
    assert contrast_table(STUDY[STUDY["arm"] == "sft"]).empty
    assert contrast_table(STUDY[STUDY["arm"] == "none"]).empty


def test_the_sentence_says_which_part_of_the_results_it_is_about():
    sentences = contrast_table(STUDY)["in words"].tolist()
    where = "After the first round, where all of SFT's samples fail:"
    assert sentences[1].startswith(where)
    assert sentences[2].startswith("ETA-DPO against binary DPO")


@pytest.mark.parametrize(
    ("interval", "said"),
    [
        (Interval(0.1, 0.05, 0.15), "above"),
        (Interval(-0.1, -0.15, -0.05), "below"),
        (Interval(0.1, -0.01, 0.2), "not told apart"),
        (Interval(0.0, 0.0, 0.0), "not told apart"),
    ],
)
def test_a_sentence_claims_no_more_than_the_interval_supports(interval, said):
    assert said in in_words("A", "B", interval)


# --- The crossover


def rated(rates, samples=10):
    """Scores of one seed, from pass rates by arm and programs.

    They are the same on tasks of 3 steps and of 4.
    """
    rows = [
        (0, arm, programs, f"task{number}", 3 + number % 2, samples, rate * samples, 0)
        for (arm, programs), rate in rates.items()
        for number in range(6)
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


WEAK = rated(
    {
        ("sft", 0): 0.0,
        ("dpo-eta", 100): 0.3,
        ("dpo-eta", 200): 0.5,
        ("dpo-binary", 100): 0.1,
        ("dpo-binary", 200): 0.4,
    }
)
STRONG = rated({("sft", 0): 0.5, ("dpo-eta", 100): 0.6, ("dpo-binary", 100): 0.7})


def test_runs_come_from_the_weakest_with_gains_at_both_budgets():
    table = crossover(pd.concat([STRONG.assign(run="a"), WEAK.assign(run="b")]))
    whole = table[table["steps"] == "all"]
    assert list(whole["run"]) == ["b", "b", "a", "a"]
    assert list(whole["programs"]) == [FIRST, LAST] * 2
    assert list(whole["value"]) == pytest.approx([0.2, 0.1, -0.1, -0.1])
    assert list(whole["sft"]) == pytest.approx([0, 0, 0.5, 0.5])
    assert list(whole["silent"]) == [1, 1, 0, 0]
    assert set(table["steps"]) == {"all", "3", "4"}


def test_runs_beside_are_read_where_they_are_there(tmp_path):
    (tmp_path / "weak").mkdir()
    write_results(tmp_path / "weak", scores=WEAK)
    study = Study.begin(outputs=str(tmp_path), run="own", beside="weak absent")
    own = pd.concat([STRONG, STRONG[STRONG["arm"] == "sft"].assign(arm="base")])
    runs = all_scores(study, own)
    assert set(runs["run"]) == {"own", "weak"}
    assert "base" not in set(runs["arm"])
    assert len(crossover(runs))


def test_without_its_arms_the_crossover_is_empty():
    assert crossover(STRONG[STRONG["arm"] == "sft"].assign(run="a")).empty
