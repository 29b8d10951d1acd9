"""The notebooks: in step with their twins, without outputs, and short enough to read.

Their cell of parameters repeats what the settings say, so that JupyterLab and papermill
show it; these tests hold the two together.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import os
import statistics
import subprocess
import sys
from collections import Counter

import jupytext
import nbformat
import papermill
import pytest
from ipykernel.ipkernel import IPythonKernel

from eta_utils.common.files import read_jsonl
from eta_utils.study.study import Study, all_parameters
from tests.conftest import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
OF_THE_STUDY = NOTEBOOKS[:4]
LONGEST_LINE, LONGEST_CELL, MEDIAN_CELL = 80, 35, 10
MOST_ROOMS = 6


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


@pytest.mark.parametrize("path", OF_THE_STUDY, ids=name_of)
def test_each_parameter_of_a_notebook_has_the_type_and_the_help_of_its_setting(path):
    declared = papermill.inspect_notebook(path)
    known = all_parameters()
    assert {"run", "profile", "outputs"} <= declared.keys() <= known.keys()
    shown = {
        name: (found["inferred_type_name"], found["help"])
        for name, found in declared.items()
    }
    assert shown == {name: (known[name].kind.__name__, known[name].about) for name in shown}


@pytest.mark.parametrize("path", OF_THE_STUDY, ids=name_of)
def test_an_untouched_parameter_leaves_the_value_of_the_run(path):
    declared = papermill.inspect_notebook(path)
    defaults = {name: found["default"] for name, found in declared.items()}
    # A run has several seeds, so none of them is its value: a notebook shows the first.
    expected = {name: "0" if name == "seed" else "None" for name in defaults}
    assert defaults == expected


@pytest.mark.parametrize("path", OF_THE_STUDY, ids=name_of)
def test_every_parameter_of_a_notebook_reaches_the_study(path):
    cells = code_cells(path)
    [place] = [
        index
        for index, cell in enumerate(cells)
        if "parameters" in cell.metadata.get("tags", [])
    ]
    [call] = [
        node
        for node in ast.walk(ast.parse(cells[place + 1].source))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "Study.begin"
    ]
    named = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
    bound = inspect.signature(Study.begin).bind(*map(ast.unparse, call.args), **named)
    overrides = bound.arguments.pop("overrides", {})
    given = bound.arguments | overrides
    assert given == {name: name for name in papermill.inspect_notebook(path)}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=name_of)
def test_a_notebook_imports_from_the_faces_of_few_rooms(path):
    nodes = [node for cell in code_cells(path) for node in ast.walk(ast.parse(cell.source))]
    whole = [
        name.name for node in nodes if isinstance(node, ast.Import) for name in node.names
    ]
    assert not [name for name in whole if name.split(".")[0] == "eta_utils"]
    froms = [node for node in nodes if isinstance(node, ast.ImportFrom)]
    ours = [node for node in froms if node.module.split(".")[0] == "eta_utils"]
    assert ours and len({node.module for node in ours}) <= MOST_ROOMS
    for node in ours:
        assert node.module.count(".") == 1, f"{node.module} is no room"
        face = importlib.import_module(node.module).__all__
        assert {name.name for name in node.names} <= set(face), node.module


@pytest.mark.parametrize("path", NOTEBOOKS, ids=name_of)
def test_cells_are_short_and_define_next_to_nothing(path):
    sources = [cell.source for cell in code_cells(path)]
    lengths = [source.count("\n") + 1 for source in sources]
    assert max(lengths) <= LONGEST_CELL
    assert statistics.median(lengths) <= MEDIAN_CELL
    assert max(len(line) for text in sources for line in text.splitlines()) <= LONGEST_LINE
    trees = [node for text in sources for node in ast.walk(ast.parse(text))]
    assert sum(isinstance(node, ast.FunctionDef) for node in trees) <= 2


MADE = ("table", "listed", "browse")  # they return what a cell shows as its last value


@pytest.mark.parametrize("path", NOTEBOOKS, ids=name_of)
def test_every_table_is_shown(path):
    """One inside an `if` is no cell's last value: 01's on HumanEval was never seen."""
    for cell in code_cells(path):
        body = ast.parse(cell.source).body
        lost = [
            ast.unparse(node)
            for line in body
            for node in ast.walk(line)
            if isinstance(node, ast.Expr)
            and isinstance(node.value, ast.Call)
            and ast.unparse(node.value.func).removeprefix("figures.") in MADE
            and node is not body[-1]
        ]
        assert lost == []


def test_the_notebooks_hold_what_jupyterlab_would_write_into_them():
    """Its name of the kernel, and what the kernel says of its language but a version."""
    for path in NOTEBOOKS:
        metadata = nbformat.read(path, as_version=4).metadata
        assert metadata.kernelspec.display_name == "Python 3 (ipykernel)"
        says = dict(IPythonKernel.language_info)
        says.pop("version")
        assert metadata.language_info == says


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
    statuses = Counter(outcome["status"] for outcome in outcomes)
    # Counted by reading the programs.  Three are right.  Three raise: a misspelt name, a
    # missing function, an index past the end.  One never ends.  One lacks a colon.  The
    # others answer wrongly.
    right = {"passed": 3, "exception": 3, "budget": 1, "syntax": 1, "assertion": 16}
    assert statuses == right
    pairs = [row for _, row in read_jsonl(tmp_path / "pairs.jsonl")]
    tasks = {outcome["task_id"] for outcome in outcomes}
    assert {pair["task_id"] for pair in pairs} == tasks
    all_fail = {pair["task_id"] for pair in pairs if not pair["winner_passes"]}
    assert all_fail == {"HumanEval/13", "HumanEval/72"}  # where no program passes


def papermill_in(folder, notebook, *parameters):
    """What papermill's command printed, called in `folder` with these parameters."""
    given = [word for name, value in parameters for word in ("-p", name, value)]
    command = [sys.executable, "-m", "papermill", str(notebook), "executed.ipynb", *given]
    return subprocess.run(
        [*command, "--no-progress-bar", "-k", "python3"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
    )


def increment(body):
    return {"task_id": "HumanEval/42", "completion": body}


def addition(program):
    return {"task_id": "HumanEval/53", "solution": program}


SOLUTIONS = [
    addition("def add(x, y):\n    return x - y\n"),
    addition("def add(x, y):\n    return x\n"),
    addition("def add(x, y:\n"),
]
MIXED = [
    increment("    return l\n"),
    increment("    return [x + 2 for x in l]\n"),
    {"task_id": "HumanEval/42", "solution": "def incr_list(l):\n    return l[:1]\n"},
    *SOLUTIONS,
]
PASSING = [addition("def add(x, y):\n    return x + y\n")]


@pytest.mark.slow
@pytest.mark.parametrize("samples", [SOLUTIONS, MIXED, PASSING], ids=len)
def test_own_samples_may_be_whole_programs_or_a_mixture_or_make_no_pair(samples, tmp_path):
    lines = "".join(json.dumps(sample) + "\n" for sample in samples)
    (tmp_path / "7").write_text(lines)  # named by a number, as are the results
    notebook = ROOT / "notebooks" / "05_your_samples.ipynb"
    done = papermill_in(tmp_path, notebook, ("samples", "7"), ("out", "1"))
    assert done.returncode == 0, done.stderr
    outcomes = [row for _, row in read_jsonl(tmp_path / "1" / "outcomes.jsonl")]
    assert [row.get("solution") for row in outcomes] == [
        sample.get("solution") for sample in samples
    ]
    pairs = (tmp_path / "1" / "pairs.jsonl").read_text().splitlines()
    paired = {json.loads(line)["task_id"] for line in pairs}
    assert paired == {sample["task_id"] for sample in samples if samples is not PASSING}


# A run of no more than the notebooks need to get to their ends.
SIZES = {"corpus_tasks": 256, "sft_tasks": 16, "ceiling_tasks": 16, "max_new_tokens": 16}
SIZES |= {"test_tasks": 3, "tune_tasks": 2, "test_samples": 2, "cool_samples": 2}
SIZES |= {"prompts_per_round": 4, "rounds": 2, "samples_per_prompt": 4, "eta_rm": 0}
SIZES |= {"grpo_prompts": 2, "grpo_minibatch": 8, "ppo_prompts": 2, "branch_roots": 2}
SIZES |= {"arms": "grpo dpo-binary+filled"}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["02_ppo", "03_eta_dpo"])
def test_a_notebook_runs_alone_in_a_run_that_is_named_by_a_number(
    name, tmp_path, monkeypatch
):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    Study.begin(7, "smoke", outputs=str(tmp_path / "out"), **SIZES)
    given = ("run", "7"), ("profile", "smoke"), ("outputs", "./out")
    done = papermill_in(tmp_path, ROOT / "notebooks" / f"{name}.ipynb", *given)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "7" / "scores" / "scores0.csv.gz").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("notebook", "given", "message"),
    [
        ("02_ppo", ("run", "True"), "parameter run: True is not text"),
        # Of another notebook, and mistyped: both once changed nothing, and nobody knew.
        (
            "02_ppo",
            ("corpus_noise", "0.9"),
            "parameter corpus_noise: this notebook does not",
        ),
        ("02_ppo", ("grpo_learning_rat", "1"), "did you mean grpo_learning_rate?"),
        ("05_your_samples", ("sample", "x"), "did you mean samples?"),
    ],
)
def test_a_wrong_parameter_of_a_notebook_ends_in_one_sentence(
    notebook, given, message, tmp_path
):
    place = ("profile", "smoke"), ("outputs", "./out")
    place = place if notebook == "02_ppo" else ()
    done = papermill_in(tmp_path, ROOT / "notebooks" / f"{notebook}.ipynb", given, *place)
    assert done.returncode != 0
    executed = nbformat.read(tmp_path / "executed.ipynb", as_version=4)
    [error] = [
        output
        for cell in executed.cells
        for output in cell.get("outputs", [])
        if output.output_type == "error"
    ]
    [line] = error.traceback
    assert line.startswith("BadInput: parameter ") and message in line
