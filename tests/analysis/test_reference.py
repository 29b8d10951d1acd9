"""The published run: its tables, its report and what is written of it follow from it."""

from __future__ import annotations

import pytest
from bs4 import BeautifulSoup

from eta_utils.analysis import figures
from eta_utils.analysis.arms import parse_arm
from eta_utils.analysis.contrasts import HYPOTHESES, answer
from eta_utils.analysis.recompute import tables_of
from eta_utils.analysis.tables import best, final, label, read_folder
from eta_utils.cli import main
from tests.analysis import quoted
from tests.conftest import ROOT

FOLDER = ROOT / "outputs" / "reference"
SHOWN = "name contrast programs tasks seeds value low high p holm smallest".split()
DOCUMENTS = tuple(
    ROOT / name for name in ("README.md", "docs/findings.md", "docs/results.md")
)
LARGEST = 20_000_000  # bytes of all files together

pytestmark = pytest.mark.skipif(
    not (FOLDER / "scores").exists(),
    reason="outputs/reference/scores does not exist yet: the run is not published",
)


@pytest.fixture(scope="module")
def tables():
    return tables_of(FOLDER)


@pytest.fixture(scope="module")
def at_best():
    scores, models, _ = read_folder(FOLDER)
    return best(scores, models)


@pytest.fixture(scope="module")
def report():
    return BeautifulSoup((FOLDER / "report.html").read_text(), "html.parser")


def rows_of(page):
    return {
        tuple(cell.text.strip() for cell in row.find_all("td"))
        for row in page.select("tbody tr")
    }


# --- The tables


def test_one_command_computes_all_its_tables_anew(tmp_path, capsys):
    assert main(["recompute", str(FOLDER), "--out", str(tmp_path)]) == 0
    capsys.readouterr()
    made = sorted(path.name for path in tmp_path.iterdir())
    assert {"results.csv", "contrasts.csv", "temperature.csv", "gate.csv"} <= set(made)
    for name in made:
        assert (tmp_path / name).read_bytes() == (FOLDER / name).read_bytes(), name


def test_every_hypothesis_was_tested(tables):
    asked = tables["contrasts"].query("family == 'hypotheses'")
    assert list(asked["name"]) == [hypothesis.name for hypothesis in HYPOTHESES]


def test_every_arm_that_executes_programs_executed_the_same_number(at_best):
    ends = final(at_best)
    aligned = ends[[parse_arm(arm).aligned for arm in ends["arm"]]]
    assert aligned["programs"].nunique() == 1


def test_the_gate_held_for_every_seed(tables, at_best):
    gate = tables["gate"]
    assert (gate["holds"] == "yes").all()
    assert set(gate["seed"]) == set(at_best["seed"])


def test_sft_at_its_best_temperature_is_below_every_arm_that_claims_a_gain(tables):
    rates = tables["results"].set_index("arm")
    gains = tables["contrasts"].query("family == 'gain' and holm < 0.05 and value > 0")
    claimed = [text.removesuffix(f" - {label('sft')}") for text in gains["contrast"]]
    assert label("grpo") in claimed
    assert (rates.loc[claimed, "pass@1"] > rates.loc[label("sft"), "pass@1 high"]).all()


def test_the_ceiling_is_above_all(tables):
    rates = tables["results"].set_index("arm")["pass@1"]
    assert rates.idxmax() == label("ceiling")


def test_it_is_small():
    files = [path for path in FOLDER.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < LARGEST


# --- The report


@pytest.mark.parametrize("name", ["results", "contrasts", "gate"])
def test_its_report_shows_these_tables(name, tables, report):
    table = tables[name]
    if name == "contrasts":  # the file has more columns
        table = table[[column for column in SHOWN if column in table]]
    html = BeautifulSoup(figures.table(table).to_html(), "html.parser")
    assert rows_of(html) <= rows_of(report)


def test_its_report_says_what_the_contrasts_say(tables, at_best, report):
    text = " ".join(report.text.split())
    contrasts = tables["contrasts"]
    assert answer(contrasts, at_best).replace("*", "") in text
    for sentence in contrasts.loc[contrasts["family"] == "hypotheses", "in words"]:
        assert sentence in text


# --- README.md, docs/findings.md and docs/results.md


@pytest.fixture(scope="module")
def written():
    return [document.read_text(encoding="utf-8") for document in DOCUMENTS]


def test_tables_that_are_quoted_are_the_published_ones(written):
    published = [quoted.tables_in(table)[0] for table in quoted.quoted(FOLDER).values()]
    by_heading = {table[0]: table for table in published}
    found = [table for text in written for table in quoted.tables_in(text)]
    for table in found:
        if table[0] in by_heading:
            assert set(table) <= set(by_heading[table[0]])
    assert {table[0] for table in found} >= set(by_heading)


def test_the_results_have_every_hypothesis(written):
    [hypotheses] = quoted.tables_in(quoted.quoted(FOLDER)["hypotheses"])
    assert hypotheses in quoted.tables_in(written[2])


def test_the_readme_is_read_in_minutes(written):
    assert written[0].count("\n") <= 150


def test_differences_that_are_quoted_are_those_of_contrasts(written, tables):
    known = set(quoted.differences(FOLDER)["text"])
    # A half is rounded from all digits in the sentences, and from six in the files.
    for sentence in tables["contrasts"]["in words"]:
        known.update(quoted.DIFFERENCE.findall(sentence))
    for text in written:
        for difference in quoted.DIFFERENCE.findall(" ".join(text.split())):
            assert difference in known


def test_the_findings_are_short(written):
    assert len(written[1].split()) <= 1_200
