"""One command makes every table again, from what a run kept."""

from __future__ import annotations

import pandas as pd
import pytest

from eta_utils.analysis.audit import COUNTS
from eta_utils.analysis.recompute import tables_of
from eta_utils.analysis.tables import best, results_table, write_results
from eta_utils.cli import main
from eta_utils.common.errors import BadInput
from tests.analysis import made

MODELS = {
    ("sft", 0): lambda seed, task, t: 2 * (task % 2),
    ("grpo", 300): lambda seed, task, t: 4 + seed,
    ("credit", 300): lambda seed, task, t: 6,
}
SCORES = made.scores(MODELS, seeds=(0, 1))
GATES = pd.concat([made.gate(3, 5, 1, 64, seed) for seed in (0, 1)])


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "run"
    made.write(folder, SCORES, GATES)
    return folder


def test_the_tables_are_those_of_the_scores(run):
    tables = tables_of(run)
    assert list(tables) == ["results", "contrasts", "temperature", "difficulty", "gate"]
    at_best = best(SCORES, made.models_of(SCORES))
    pd.testing.assert_frame_equal(tables["results"], results_table(at_best))
    assert tables["gate"]["seed"].tolist() == [0, 1]


def test_runs_beside_give_the_gain_by_rarity(run):
    made.write(run / "beside" / "sparse", SCORES, made.gate(5, 5, 1, 64))
    table = tables_of(run)["rarity"]
    assert list(table["run"]) == ["this run", "sparse"]
    assert list(table["all fail"]) == pytest.approx([0.6, 1.0])


def test_labels_and_ranked_samples_beside_the_scores_add_their_tables(run):
    labels = pd.DataFrame([dict.fromkeys(COUNTS, 2) | {"seed": 0, "task_id": "a"}])
    ranked = pd.DataFrame(
        {
            **{"seed": 0, "task_id": ["a", "a"], "passed": [1, 0]},
            **{"fraction": [1.0, 0.5], "ETA-RM": [2.0, 1.0]},
        }
    )
    write_results(run, labels=labels.assign(ordering="eta"))
    write_results(run / "scores", ranked0=ranked, ranked1=ranked.assign(seed=1))
    tables = tables_of(run)
    assert tables["audit"]["right, fail/fail"].tolist() == [1.0]
    accuracy = tables["accuracy"].set_index("ranked by")["pass/fail"]
    assert accuracy["ETA-RM"] == 1 and accuracy["random"] == 0.5
    assert {"best_of_n", "reliability"} <= set(tables)


def test_the_command_writes_the_same_bytes_each_time(run, tmp_path, capsys):
    written = []
    for name in ("once", "again"):
        assert main(["recompute", str(run), "--out", str(tmp_path / name)]) == 0
        files = sorted((tmp_path / name).iterdir())
        written.append([(path.name, path.read_bytes()) for path in files])
    assert written[0] == written[1]
    assert [name for name, _ in written[0]] == [
        *("contrasts.csv", "difficulty.csv", "gate.csv", "results.csv", "temperature.csv")
    ]
    printed = capsys.readouterr().out
    assert "0.750 [0.750, 0.750]" in printed  # credit passes 6 of 8


def test_a_folder_that_is_no_runs_is_named(tmp_path, capsys):
    with pytest.raises(BadInput, match="no scores/"):
        tables_of(tmp_path)
    assert main(["recompute", str(tmp_path)]) == 2
    assert "is it a run's folder?" in capsys.readouterr().err
