"""The crossover: gains against the strength of the model that the arms began with."""

from __future__ import annotations

import pandas as pd
import pytest

from eta_utils.analysis.contrasts import FIRST, LAST, all_scores, crossover
from eta_utils.analysis.tables import COLUMNS, write_results
from eta_utils.study.study import Study


def scores(rates, samples=10):
    """Of one seed: the share of samples that pass, by arm and programs, on tasks of 3 and
    of 4 steps alike."""
    rows = [
        (0, arm, programs, f"task{number}", 3 + number % 2, samples, rate * samples, 0)
        for (arm, programs), rate in rates.items()
        for number in range(6)
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


WEAK = scores(
    {
        ("sft", 0): 0.0,
        ("dpo-eta", 100): 0.3,
        ("dpo-eta", 200): 0.5,
        ("dpo-binary", 100): 0.1,
        ("dpo-binary", 200): 0.4,
    }
)
STRONG = scores({("sft", 0): 0.5, ("dpo-eta", 100): 0.6, ("dpo-binary", 100): 0.7})


def test_runs_come_from_the_weakest_with_gains_at_both_budgets():
    found = crossover(pd.concat([STRONG.assign(run="a"), WEAK.assign(run="b")]))
    whole = found[found["steps"] == "all"]
    assert list(whole["run"]) == ["b", "b", "a", "a"]
    assert list(whole["programs"]) == [FIRST, LAST] * 2
    assert list(whole["value"]) == pytest.approx([0.2, 0.1, -0.1, -0.1])
    assert list(whole["sft"]) == pytest.approx([0, 0, 0.5, 0.5])
    assert list(whole["silent"]) == [1, 1, 0, 0]
    assert set(found["steps"]) == {"all", "3", "4"}


def test_runs_beside_are_read_where_they_are_there(tmp_path):
    (tmp_path / "weak").mkdir()
    write_results(tmp_path / "weak", scores=WEAK)
    study = Study.begin(outputs=str(tmp_path), run="own", beside="weak absent")
    own = pd.concat([STRONG, STRONG[STRONG["arm"] == "sft"].assign(arm="base")])
    found = all_scores(study, own)
    assert set(found["run"]) == {"own", "weak"}
    assert "base" not in set(found["arm"])
    assert len(crossover(found))


def test_without_the_arms_there_is_nothing_to_compare():
    assert crossover(STRONG[STRONG["arm"] == "sft"].assign(run="a")).empty
