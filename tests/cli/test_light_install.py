"""`pip install .` is enough to judge: the commands about samples need nothing else."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, packages_distributions, requires

import pytest

from tests.conftest import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
STUDY = PROJECT["optional-dependencies"]["study"]
SAMPLES = "notebooks/your_samples.jsonl"
# What the tests alone import or run, and no installation of the package brings.
FOR_TESTS = {"pytest", "pytest-xdist", "playwright", "ruff"}

# Runs `python -m eta_utils` as if the modules named first were not installed: Python's own
# finder for files does not find them, so that `import torch` raises ModuleNotFoundError and
# `importlib.util.find_spec("torch")` is None.
WITHOUT = """
import runpy, sys
from importlib.machinery import PathFinder

hidden = set(sys.argv.pop(1).split(","))
find_spec = PathFinder.find_spec

def find_unless_hidden(name, path=None, target=None):
    if name.partition(".")[0] not in hidden:
        return find_spec(name, path, target)

PathFinder.find_spec = find_unless_hidden
runpy.run_module("eta_utils", run_name="__main__", alter_sys=True)
"""


def name_of(requirement: str) -> str:
    """The normal form of the name at the beginning of a requirement."""
    return re.match(r"[\w.-]+", requirement)[0].lower().replace("_", "-")


def with_what_they_need(names: set[str]) -> set[str]:
    """Distributions and all that they require, extras left out."""
    seen: set[str] = set()
    while names - seen:
        name = (names - seen).pop()
        seen.add(name)
        try:
            needed = requires(name) or []
        except PackageNotFoundError:  # for another system or another Python
            continue
        names = names | {name_of(line) for line in needed if "extra ==" not in line}
    return seen


@pytest.fixture(scope="session")
def not_installed() -> str:
    """The modules here that `pip install .` would not bring, with commas between."""
    brought = with_what_they_need({name_of(line) for line in PROJECT["dependencies"]})
    brought.add("eta-utils")
    return ",".join(
        module
        for module, owners in packages_distributions().items()
        if not brought & {name_of(owner) for owner in owners}
    )


@pytest.fixture
def run(not_installed, tmp_path):
    """A function that runs a command without the study's libraries, and checks its code."""

    def command(*arguments: str, code: int = 0) -> subprocess.CompletedProcess:
        done = subprocess.run(
            [sys.executable, "-c", WITHOUT, not_installed, *arguments],
            cwd=ROOT,
            env=os.environ | {"ETA_CACHE": str(tmp_path / "outcomes.sqlite")},
            capture_output=True,
            text=True,
        )
        assert done.returncode == code, done.stderr
        return done

    return command


def test_these_tests_hide_the_libraries_of_the_study(not_installed):
    heavy = {"torch", "transformers", "trl", "papermill", "nbconvert", "matplotlib"}
    assert heavy | {"seaborn", "distributed"} <= set(not_installed.split(","))


def test_samples_become_outcomes_pairs_and_an_audit_without_torch(run, tmp_path):
    outcomes, pairs = str(tmp_path / "outcomes.jsonl"), str(tmp_path / "pairs.jsonl")
    of_humaneval = ["--tasks", "humaneval"]
    judged = run("judge", SAMPLES, *of_humaneval, "--out", outcomes)
    assert "pass@1     0.1250  over 4 tasks" in judged.stdout  # 3 of the 24 pass
    run("pairs", outcomes, *of_humaneval, "--out", pairs)
    with open(pairs) as file:
        assert {"prompt", "chosen", "rejected"} <= json.loads(next(file)).keys()
    audited = run("audit", outcomes, *of_humaneval)
    assert "4 of 4 have visible and hidden tests" in audited.stdout


def test_doctor_finds_the_tasks_and_an_isolation_without_torch(run):
    printed = run("doctor").stdout
    assert "164 problems found" in printed
    assert "in use" in printed


@pytest.mark.parametrize("command", [(), ("judge",), ("audit",), ("run",), ("train",)])
def test_help_needs_no_library_of_the_study(run, command):
    assert "usage: " in run(*command, "--help").stdout


def test_requirements_pin_exactly_what_the_package_names():
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    wanted = [line for line in lines if line and not line.startswith("#")]
    assert wanted.pop() == "-e .[study]"
    assert all(re.match(r"[\w.-]+==[\w.]+(; .+)?$", line) for line in wanted)
    named = {name_of(line) for line in (*PROJECT["dependencies"], *STUDY)}
    assert {name_of(line) for line in wanted} == named | FOR_TESTS


def test_the_package_leaves_versions_to_those_who_install_it():
    for line in (*PROJECT["dependencies"], *STUDY):
        assert re.match(r"[\w.-]+(; sys_platform == 'linux')?$", line), line


@pytest.mark.parametrize(
    "command",
    [
        ("run", "--profile", "smoke"),
        ("train", "--profile", "smoke"),
        ("judge", SAMPLES, "--tasks", "humaneval", "--dask", "tcp://a:1"),
    ],
)
def test_what_needs_the_study_says_how_to_install_it(run, tmp_path, command):
    out, outputs = tmp_path / "out.jsonl", tmp_path / "outputs"
    where = ["--out", str(out)] if command[0] == "judge" else ["-p", f"outputs={outputs}"]
    error = run(*command, *where, code=2).stderr
    assert re.search(r"is not installed; `pip install (-e )?\.\[study\]`", error)
    assert error.count("\n") == 1
    assert not out.exists() and not outputs.exists()
