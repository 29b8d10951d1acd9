"""Contrasts: named before the results, adjusted within a family, said with care."""

from __future__ import annotations

import pandas as pd
import pytest

from eta_utils.analysis.contrasts import (
    FIRST,
    LAST,
    SILENT_TASKS,
    answer,
    contrasts,
    grouped,
    in_words,
)
from eta_utils.analysis.statistics import Interval, holm

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


def values(found):
    keys = zip(found["contrast"], found["programs"], found["tasks"], strict=True)
    return dict(zip(keys, found["value"], strict=True))


def test_the_primary_contrasts_are_at_both_budgets_and_where_sft_was_silent():
    found = contrasts(STUDY)
    assert list(found["family"]) == ["primary"] * 8 + ["gain"] * 3
    found = values(found)
    name = "ETA-DPO - binary DPO"
    assert found[name, FIRST, "all"] == pytest.approx(0.125)
    assert found[name, FIRST, SILENT_TASKS] == pytest.approx(0.25)
    assert found[name, LAST, "all"] == 0
    assert found["ETA-DPO - PPO", LAST, "all"] == pytest.approx(-0.25)
    assert found["ETA-DPO - SFT", LAST, "all"] == pytest.approx(0.25)


def test_each_seed_has_its_own_silent_tasks():
    # With seed 1 the SFT model fails the last ten tasks: ETA helps on seed 0's.
    other = STUDY.assign(seed=1)
    of_sft = other["arm"] == "sft"
    other.loc[of_sft, "passed"] = [2] * 10 + [0] * 10
    found = contrasts(pd.concat([STUDY, other]))
    name = "ETA-DPO - binary DPO"
    row = found[(found["contrast"] == name) & (found["programs"] == FIRST)]
    silent = row[row["tasks"] == SILENT_TASKS].iloc[0]
    assert silent["by seed"] == [0.25, 0.0]
    assert silent["value"] == pytest.approx(0.125)
    assert silent["low"] <= 0.125 <= silent["high"]


def test_p_values_are_adjusted_within_their_family():
    found = contrasts(STUDY)
    for _, rows in found.groupby("family"):
        assert rows["holm"].tolist() == holm(rows["p"].tolist())


def test_arms_at_other_numbers_of_programs_are_not_compared():
    other = STUDY[~((STUDY["arm"] == "ppo") & (STUDY["programs"] == 100))]
    found = contrasts(other)
    eta_ppo = found[found["contrast"] == "ETA-DPO - PPO"]
    assert set(eta_ppo["programs"]) == {LAST}


def test_an_arm_with_options_is_compared_with_the_one_without():
    line = scores(("dpo-eta+line", 300, lambda n: 3), ("dpo-eta+line", 100, lambda n: 0))
    found = contrasts(pd.concat([STUDY, line]))
    found = values(found[found["family"] == "secondary"])
    assert found["ETA-DPO, line - ETA-DPO", LAST, "all"] == pytest.approx(0.25)
    assert found["ETA-DPO, line - ETA-DPO", FIRST, "all"] == pytest.approx(-0.375)


def test_arms_are_drawn_in_groups_with_sft():
    more = [(f"dpo-{arm}", 300, lambda n: 3) for arm in ("tier+matched", "eta+matched")]
    found = grouped(pd.concat([STUDY, scores(*more)]))
    names = {title: sorted(set(part["arm"])) for title, part in found.items()}
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
    said = answer(contrasts(STUDY), STUDY)
    # Of every task's 4 samples 2 pass with ETA and binary, 3 with PPO.
    assert "not told apart from binary DPO, +0.0 points" in said
    assert "below PPO, -25.0 points (95 % interval -25.0 to -25.0)" in said
    alone = scores(("sft", 0, lambda n: 1))
    assert "has not got the arms" in answer(contrasts(alone), alone)


def test_where_nothing_passes_the_answer_is_that_nothing_can_be_said():
    nothing = STUDY.assign(passed=0, greedy=0)
    said = answer(contrasts(nothing), nothing)
    assert said.startswith("No model passed one of its ")
    assert "not told apart" not in said


def test_without_the_arms_there_is_nothing_to_say():
    assert contrasts(STUDY[STUDY["arm"] == "sft"]).empty
    assert contrasts(STUDY[STUDY["arm"] == "none"]).empty


def test_the_sentence_says_which_part_of_the_results_it_is_about():
    sentences = contrasts(STUDY)["in words"].tolist()
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
