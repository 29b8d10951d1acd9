"""What README.md and two of the docs quote is made from the tables, number by number."""

from __future__ import annotations

import pandas as pd
import pytest

from eta_utils.analysis.recompute import tables_of
from eta_utils.analysis.tables import write_results
from tests.analysis import made, quoted

MODELS = {
    ("sft", 0): lambda seed, task, t: 2 * (task % 2),
    ("grpo", 1200): lambda seed, task, t: 4,
    ("credit", 1200): lambda seed, task, t: 4 + 2 * (task % 2) * seed,
    ("dpo-eta", 1200): lambda seed, task, t: 2,
    ("dpo-binary+filled", 1200): lambda seed, task, t: 4,
}


@pytest.fixture
def published(tmp_path):
    scores = made.scores(MODELS, seeds=(0, 1))
    gates = pd.concat([made.gate(3 + seed, 5, 1, 64, seed) for seed in (0, 1)])
    made.write(tmp_path, scores, gates)
    write_results(tmp_path, **tables_of(tmp_path))
    return tmp_path


def cells(table):
    [lines] = quoted.tables_in(table)
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
    return [dict(zip(lines[0], line, strict=True)) for line in lines[2:]]


def test_a_hypothesis_is_quoted_with_its_verdict(published):
    rows = cells(quoted.quoted(published)["hypotheses"])
    assert [row["hypothesis"] for row in rows] == ["H1", "H2", "H4"]
    first, credit, ordering = rows
    # GRPO 1/2; SFT 1/4 on half of the tasks and 0 on the others.
    assert first["difference at T*"].startswith("+37.5 points [")
    assert first["verdict"] == "holds" and first["adjusted p"] != "1.000"
    # Ahead by 1/4 on half of the tasks in one of two seeds.
    assert credit["difference at T*"].startswith("+6.2 points [")
    assert (credit["verdict"], credit["seeds"]) == ("not shown", "2")
    assert ordering["difference at T*"] == "-25.0 points [-25.0, -25.0]"
    assert (ordering["verdict"], ordering["adjusted p"]) == ("the opposite", "< 0.001")


def test_arms_and_gate_are_quoted_with_their_numbers(published):
    tables = quoted.quoted(published)
    grpo = cells(tables["arms"])[1]
    assert (grpo["arm"], grpo["programs"], grpo["T*"]) == ("GRPO", "1,200", "1")
    assert grpo["pass@1 at T*"] == "0.500 [0.500, 0.500]"
    assert (grpo["KL"], grpo["seconds"]) == ("2.0", "10")  # 10 and 11 seconds
    prompts = cells(tables["gate"])[1]
    assert prompts["limit"] == "at least 0.5"
    assert (prompts["lowest"], prompts["mean"], prompts["highest"]) == (
        "0.60",
        "0.70",
        "0.80",
    )


def test_every_difference_of_the_tables_may_be_quoted(published):
    tables = quoted.quoted(published)
    known = set(quoted.differences(published)["text"])
    found = quoted.DIFFERENCE.findall(tables["hypotheses"] + tables["arms"])
    assert len(found) == 3 + 4  # SFT has no gain over itself
    assert set(found) <= known


def test_tables_of_a_text_are_found_without_their_bold_type():
    rows = pd.DataFrame({"arm": ["SFT", "GRPO"], "rate": ["0.1", "0.5"]})
    text = f"Before.\n\n{quoted.markdown(rows).replace('GRPO', '**GRPO**')}\n\nAfter."
    assert quoted.tables_in(text) == [
        ["| arm | rate |", "| --- | --- |", "| SFT | 0.1 |", "| GRPO | 0.5 |"]
    ]
