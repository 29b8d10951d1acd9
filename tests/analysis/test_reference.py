"""The published run and those that repeat it: all tables follow from what is committed."""

from __future__ import annotations

import pytest
from bs4 import BeautifulSoup

from eta_utils.analysis import figures
from eta_utils.analysis.contrasts import answer
from eta_utils.analysis.recompute import tables_of
from eta_utils.analysis.tables import load_table
from eta_utils.cli import main
from tests.conftest import ROOT

FOLDER = ROOT / "outputs" / "reference"
AGAIN = ROOT / "outputs" / "replication"
MADE = (
    *("results", "contrasts", "difficulty", "crossover"),
    *("audit", "accuracy", "best_of_n", "reliability"),
)
LARGEST = 3_000_000  # bytes of all files together


@pytest.fixture(scope="module")
def tables():
    return tables_of(FOLDER / "scores.csv.gz")


@pytest.fixture(scope="module")
def report():
    return BeautifulSoup((FOLDER / "report.html").read_text(), "html.parser")


def rows_of(page):
    return {
        tuple(cell.text.strip() for cell in row.find_all("td"))
        for row in page.select("tbody tr")
    }


def test_one_command_computes_all_its_tables_anew(tmp_path, capsys):
    command = ["table", str(FOLDER / "scores.csv.gz"), "--out", str(tmp_path)]
    assert main(command) == 0
    capsys.readouterr()
    assert {path.stem for path in tmp_path.iterdir()} == set(MADE)
    for path in tmp_path.iterdir():
        assert path.read_text() == (FOLDER / path.name).read_text(), path.name


@pytest.mark.parametrize("run", ["full", "noise45"])
def test_the_tables_of_its_replication_follow_from_the_scores_too(run, tmp_path, capsys):
    assert main(["table", str(AGAIN / run / "scores.csv.gz"), "--out", str(tmp_path)]) == 0
    capsys.readouterr()
    for name in ("results.csv", "contrasts.csv", "difficulty.csv"):
        assert (tmp_path / name).read_text() == (AGAIN / run / name).read_text(), name


@pytest.mark.parametrize("name", ["results", "contrasts", "crossover", "audit", "accuracy"])
def test_its_report_shows_these_tables(name, tables, report):
    table = tables[name].drop(columns=["by seed", "in words"], errors="ignore")
    if name == "crossover":
        table = table[table["steps"] == "all"].drop(columns="steps")
    html = BeautifulSoup(figures.table(table).to_html(), "html.parser")
    assert len(rows_of(html)) == len(table)
    assert rows_of(html) <= rows_of(report)


def test_its_report_says_what_the_contrasts_say(tables, report):
    text = " ".join(report.text.split())
    contrasts = tables["contrasts"]
    assert answer(contrasts, load_table(FOLDER / "scores.csv.gz")) in text
    for sentence in contrasts.loc[contrasts["family"] == "primary", "in words"]:
        assert sentence in text


def test_it_has_five_seeds_and_every_arm_executed_the_same_number_of_programs(tables):
    results = tables["results"].set_index("arm")
    assert (results["seeds"] == 5).all()
    aligned = results.drop(index=["base", "SFT"])
    assert len(aligned) == 11
    assert aligned["programs"].nunique() == 1


def test_it_is_small():
    files = [path for path in FOLDER.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < LARGEST
