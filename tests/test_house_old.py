"""The house rules that can be checked: imports go down, rooms are small and signed."""

from __future__ import annotations

import ast
import sys
from importlib.metadata import packages_distributions

import pytest

from tests.conftest import ROOT

PACKAGE = ROOT / "eta_utils"
FILES = sorted(PACKAGE.rglob("*.py"))

# From the top floor to the ground; a module imports from its own floor or from below.
FLOORS = (
    ("cli", "__main__"),
    ("commands",),
    ("runner",),
    ("spread",),
    ("notebook",),
    ("report", "figures"),
    ("tables",),
    ("crossover",),
    ("contrasts",),
    ("provenance", "results", "arms", "kernels"),
    ("rewards",),
    ("rollouts",),
    ("policies",),
    ("families",),
    ("dpo", "rloo", "reward_model"),
    ("training", "ppo", "audit", "ranking", "significance"),
    ("sampling", "doctor"),
    ("models",),
    ("decoding", "adapters", "engines"),
    ("preferences", "evaluation", "study", "ranges"),
    ("parameters",),
    ("recipes",),
    ("orderings", "execution", "cluster"),
    ("dispatch",),
    ("cache",),
    ("sandbox",),
    ("samples", "outcomes"),
    ("tracing",),
    ("tasks",),
    ("profiles", "stages"),
    ("processes", "locks"),
    ("files",),
)
LEVEL = {room: level for level, rooms in enumerate(FLOORS) for room in rooms}
LONGEST_MODULE, LONGEST_FUNCTION = 270, 70
LONGER = {"ppo.py": 350}  # an algorithm to be read from top to bottom


def name_of(path):
    return str(path.relative_to(PACKAGE))


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_imports_go_down_only(path):
    room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    if room == "__init__":
        return
    for node in ast.walk(ast.parse(path.read_text())):
        module = getattr(node, "module", None) or ""
        if isinstance(node, ast.ImportFrom) and module.startswith("eta_utils."):
            imported = module.split(".")[1]
            assert LEVEL[imported] >= LEVEL[room], (
                f"{room} imports {imported}, a floor above"
            )


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_every_module_says_what_it_is_and_stays_small(path):
    text = path.read_text()
    tree = ast.parse(text)
    assert ast.get_docstring(tree)
    assert text.count("\n") <= LONGER.get(path.name, LONGEST_MODULE)
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            assert node.end_lineno - node.lineno < LONGEST_FUNCTION, node.name


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_public_functions_are_typed_and_documented(path):
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            assert ast.get_docstring(node), node.name
            assert node.returns is not None, node.name
            assert all(each.annotation for each in node.args.args), node.name


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
