"""The house rules that can be checked: who imports whom, and what every function says."""

from __future__ import annotations

import ast
import sys
from importlib.metadata import packages_distributions

import pytest

from tests.conftest import ROOT
from tests.house import ALLOWED, PACKAGE, arrows, imports_in, room_of, sources

FILES = sorted(PACKAGE.rglob("*.py"))
# Below the study nobody knows it: they take the settings that they need.
BELOW_STUDY = ("common", "tracing", "sandbox", "tasks", "execution", "preferences")
BELOW_STUDY += ("analysis", "training")


def name_of(path):
    return str(path.relative_to(PACKAGE))


# --- Rooms


def test_every_folder_of_the_package_is_a_room_and_has_a_map():
    folders = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert folders == set(ALLOWED)
    for room in folders:
        assert ast.get_docstring(ast.parse((PACKAGE / room / "__init__.py").read_text()))


def test_rooms_import_only_what_is_allowed_which_never_points_upward():
    found = arrows()
    wrong = {
        pair: files for pair, files in found.items() if pair[1] not in ALLOWED[pair[0]]
    }
    assert wrong == {}
    order = list(ALLOWED)
    for room, below in ALLOWED.items():
        assert all(order.index(target) < order.index(room) for target in below)
    assert len(ALLOWED) <= 12 and len(found) <= 40


def test_only_the_arrows_that_are_drawn_are_allowed():
    """A direction that nobody uses any more is taken out of the table."""
    assert {(room, to) for room, below in ALLOWED.items() for to in below} == set(arrows())


@pytest.mark.parametrize(
    ("text", "module"),
    [
        ("import eta_utils.study.stages", "eta_utils.study.stages"),
        ("import eta_utils.study as s", "eta_utils.study"),
        ("from eta_utils import study", "eta_utils.study"),
        ("from eta_utils.study import Study", "eta_utils.study.Study"),
        ("from eta_utils.study.stages import Stage", "eta_utils.study.stages.Stage"),
        ("from ..study import Study", "eta_utils.study.Study"),
        ("from .. import study", "eta_utils.study"),
        ("from .pool import Worker", "eta_utils.sandbox.pool.Worker"),
        ("def f():\n    from eta_utils.study import Study", "eta_utils.study.Study"),
        ("import_module('eta_utils.study.stages')", "eta_utils.study.stages"),
        ("command = ['-m', 'eta_utils.study.stages']", "eta_utils.study.stages"),
    ],
)
def test_every_spelling_of_an_import_is_read(text, module):
    assert module in list(imports_in(text, "eta_utils.sandbox"))
    assert room_of(module) in ("study", "sandbox")


def test_modules_within_a_room_import_one_another_in_no_circle():
    """`study` and `ranges` once did, and each worked only if the other came first."""
    edges = {}
    for _, path in sources():
        own = ".".join(("eta_utils", *path.relative_to(PACKAGE).with_suffix("").parts))
        package = own if path.name == "__init__.py" else own.rpartition(".")[0]
        top = "\n".join(
            ast.unparse(node)
            for node in ast.parse(path.read_text()).body
            if isinstance(node, (ast.Import, ast.ImportFrom))
        )
        edges[own] = set(imports_in(top, package))
    edges = {
        own: {other for other in edges for name in names if name.startswith(f"{other}.")}
        for own, names in edges.items()
        if not own.endswith("__init__")
    }
    while leaves := [own for own, names in edges.items() if not names & edges.keys()]:
        for own in leaves:
            del edges[own]
    assert edges == {}


# --- What functions take and say


@pytest.mark.parametrize("room", BELOW_STUDY)
def test_no_function_below_the_study_takes_a_study(room):
    for path in (PACKAGE / room).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.arg):
                assert node.arg != "study", path
                assert not node.annotation or "Study" not in ast.unparse(node.annotation)


def test_no_function_that_makes_a_stage_takes_a_study():
    """It gets the settings that the stage depends on, and nothing else."""
    makers = 0
    for path in (PACKAGE / "study").glob("*.py"):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef) and node.args.args:
                first, *others = node.args.args
                if first.annotation and ast.unparse(first.annotation) == "Stage":
                    names = [ast.unparse(arg.annotation) for arg in others]
                    assert "Study" not in names, node.name
                    makers += node.name.startswith("_")
    assert makers >= 10


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_every_module_says_what_it_is(path):
    assert ast.get_docstring(ast.parse(path.read_text()))


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_public_functions_are_typed_and_documented(path):
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            assert ast.get_docstring(node), node.name
            assert node.returns is not None, node.name
            assert all(arg.annotation for arg in node.args.args), node.name


# --- Packages


# What is used where it is there: it would bring another version of torch.
OPTIONAL = {"vllm"}


def imported_packages():
    """The top-level names that code and notebooks import, from here or elsewhere."""
    folders = (ROOT / name for name in ("eta_utils", "tests", "notebooks"))
    for path in (path for folder in folders for path in folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                yield from (alias.name.split(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and not node.level:
                yield str(node.module).split(".")[0]


def test_every_package_that_is_imported_has_an_exact_version():
    providers = packages_distributions()
    ours = {"eta_utils", "tests", *OPTIONAL, *sys.stdlib_module_names}
    foreign = set(imported_packages()) - ours
    needed = {providers[name][0].lower().replace("_", "-") for name in foreign}
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    assert needed <= {line.split("==")[0] for line in lines if "==" in line}
