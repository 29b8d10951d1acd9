"""The published tables of SmolLM2 as it comes follow from the counts and samples beside."""

from __future__ import annotations

import pandas as pd
import pytest

from eta_utils.analysis.rates import COUNTS, count
from eta_utils.analysis.tables import load_table
from eta_utils.cli import main
from eta_utils.common.files import read_jsonl
from eta_utils.execution import JudgeSettings, judge
from eta_utils.study import ROOT
from eta_utils.tasks import load_tasks

FOLDER = ROOT / "outputs" / "smollm2" / "untrained"
KEPT = sorted(FOLDER.glob("*.csv"))


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.stem)
def test_the_page_has_the_rates_that_follow_from_the_counts(path, monkeypatch, capsys):
    monkeypatch.chdir(FOLDER)
    assert main(["rates", path.name]) == 0
    printed = capsys.readouterr().out.strip()
    assert "pass@1" in printed
    assert printed in (FOLDER / "README.md").read_text()


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.stem)
def test_the_counts_are_of_the_samples_beside_them(path):
    rows = pd.DataFrame(row for _, row in read_jsonl(path.with_suffix(".samples.jsonl.gz")))
    counts = load_table(path, COUNTS).set_index(["temperature", "task_id"])
    sizes = rows.groupby(["temperature", "task_id"]).size()
    assert sizes.sort_index().equals(counts["samples"].rename(None).sort_index())


def test_a_part_of_the_samples_is_judged_alike_again():
    """HumanEval comes with the requirements; its tests are the base ones of HumanEval+."""
    tasks = dict(list(load_tasks("humaneval").items())[:12])
    rows = [row for _, row in read_jsonl(FOLDER / "humaneval.samples.jsonl.gz")]
    rows = [row for row in rows if row["task_id"] in tasks]
    again = count(judge(rows, tasks, JudgeSettings(isolation="process")))
    kept = load_table(FOLDER / "humaneval.csv", COUNTS)
    kept = kept[kept["task_id"].isin(tasks)].reset_index(drop=True)
    assert again["passed"].tolist() == kept["passed base"].astype(int).tolist()
