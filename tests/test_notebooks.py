"""The notebooks: in step with their twins, without outputs, and short enough to read."""

from __future__ import annotations

import ast
import statistics
from collections import Counter

import jupytext
import nbformat
import papermill
import pytest

from eta_utils.common.files import read_jsonl
from eta_utils.study.study import Study
from tests.conftest import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
LONGEST_LINE, LONGEST_CELL, MEDIAN_CELL = 88, 35, 10


def code_cells(path):
    cells = nbformat.read(path, as_version=4).cells
    return [cell for cell in cells if cell.cell_type == "code"]


def name_of(path):
    return path.name


def test_the_notebooks_of_the_study_are_there_and_the_one_for_own_samples():
    names = [path.stem for path in NOTEBOOKS]
    assert names == ["01_sft", "02_ppo", "03_eta_dpo", "04_analysis", "05_your_samples"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=name_of)
def test_a_notebook_says_what_its_twin_says(path):
    twin = jupytext.read(path.with_suffix(".py"))
    ours = nbformat.read(path, as_version=4)
    assert [
        (cell.cell_type, cell.source, cell.metadata.get("tags", [])) for cell in ours.cells
    ] == [
        (cell.cell_type, cell.source, cell.metadata.get("tags", [])) for cell in twin.cells
    ], "run make notebooks"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=name_of)
def test_a_notebook_holds_no_outputs_and_names_the_kernel(path):
    assert all(not cell.outputs for cell in code_cells(path))
    assert all(cell.execution_count is None for cell in code_cells(path))
    assert nbformat.read(path, as_version=4).metadata.kernelspec.name == "python3"


@pytest.mark.parametrize("path", NOTEBOOKS[:4], ids=name_of)
def test_every_parameter_of_a_notebook_is_one_of_the_study_with_its_type(path):
    types = {row["parameter"]: type(row["value"]).__name__ for row in Study().table()}
    declared = papermill.inspect_notebook(path)
    assert {"run", "profile", "outputs"} <= declared.keys()
    for name, found in declared.items():
        assert found["inferred_type_name"] == types[name], name
        assert found["help"], f"{name} is not explained"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=name_of)
def test_cells_are_short_and_define_next_to_nothing(path):
    sources = [cell.source for cell in code_cells(path)]
    lengths = [source.count("\n") + 1 for source in sources]
    assert max(lengths) <= LONGEST_CELL
    assert statistics.median(lengths) <= MEDIAN_CELL
    assert max(len(line) for text in sources for line in text.splitlines()) <= LONGEST_LINE
    trees = [node for text in sources for node in ast.walk(ast.parse(text))]
    assert sum(isinstance(node, ast.FunctionDef) for node in trees) <= 2


@pytest.mark.slow
def test_the_example_of_own_samples_ends_in_its_known_verdicts_and_pairs(tmp_path):
    papermill.execute_notebook(
        ROOT / "notebooks" / "05_your_samples.ipynb",
        tmp_path / "05.ipynb",
        parameters={"out": str(tmp_path)},
        kernel_name="python3",
        progress_bar=False,
    )
    outcomes = [row for _, row in read_jsonl(tmp_path / "outcomes.jsonl")]
    statuses = Counter(each["status"] for each in outcomes)
    # Read off the programs: 3 are right; three raise (a misspelt name, a function that is
    # not there, an index past the end), one never ends, one lacks a colon; the others
    # answer wrongly.
    right = {"passed": 3, "exception": 3, "budget": 1, "syntax": 1, "assertion": 16}
    assert statuses == right
    pairs = [row for _, row in read_jsonl(tmp_path / "pairs.jsonl")]
    assert {pair["task_id"] for pair in pairs} == {each["task_id"] for each in outcomes}
    silent = {pair["task_id"] for pair in pairs if not pair["winner_passes"]}
    assert silent == {"HumanEval/13", "HumanEval/72"}  # where no program passes
