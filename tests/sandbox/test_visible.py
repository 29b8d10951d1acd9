"""A program can read what Python needs, and nothing from which a test could be known."""

from __future__ import annotations

import importlib.metadata
import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from eta_utils.execution import JudgeSettings, judge
from eta_utils.sandbox import libraries
from eta_utils.sandbox.libraries import ALWAYS
from eta_utils.sandbox.visible import PARTS, interpreter, visible
from eta_utils.tasks import Task
from tests.conftest import ROOT

# Text that stands in HumanEval, in the generator of built-in tasks, and in files of tasks.
KNOWING = ("has_close_elements", "MISCONCEPTIONS", "canonical_solution")
WALK = '''
import os

# Of what should not be there, the first three tell enough.

def readable(roots):
    """Every file that this program can open, but for devices, with its content."""
    seen = set()
    for root in roots:
        for folder, names, files in os.walk(root):
            names[:] = [name for name in names if (folder, name) != ("/", "dev")]
            for path in (os.path.join(folder, name) for name in files):
                if path not in seen:
                    seen.add(path)
                    try:
                        with open(path, "rb") as file:
                            yield path, file.read()
                    except OSError:
                        pass

def telling(roots, words):
    """(How many files can be opened, those with one of the words in text or name)."""
    words, found, count = [word.encode() for word in words], [], 0
    for path, text in readable(roots):
        count += 1
        if any(word in text or word in os.fsencode(path) for word in words):
            found.append(path)
    return count, found[:3]

def installed(roots, allowed):
    """Files of packages that are not allowed."""
    allowed = tuple(f"-packages/{name}/" for name in allowed)
    return [
        path
        for path, _ in readable(roots)
        if "-packages/" in path and not any(name in path for name in allowed)
    ][:3]

def imported(names):
    """Which of these modules can be imported."""
    got = []
    for name in names:
        try:
            __import__(name)
            got.append(name)
        except BaseException:
            pass
    return got[:3]

def f(name, *arguments):
    return globals()[name](*arguments)
'''
SETTINGS = {"step_budget": 10**9, "timeout": 100.0}


def ask(rung: str, named: str, *call: object) -> object:
    """What a function of WALK returns inside the sandbox, told by an assert's message."""
    # The message has 200 characters, so the answer is fetched in pieces.
    answer = ""
    while True:
        piece = f"json.dumps(candidate(*{call!r}))[{len(answer)}:][:150]"
        test = f"import json\ndef check(candidate):\n    assert False, {piece}\n"
        [outcome] = judge(
            [{"task_id": "walk", "completion": WALK}],
            {"walk": Task("walk", "", "f", test)},
            JudgeSettings(isolation=rung, libraries=named, **SETTINGS),
            cache=False,
        )
        assert outcome.status == "assertion", outcome
        part = outcome.result.removeprefix("failed: ")
        answer += part
        if len(part) < 150:
            return json.loads(answer)


def own_modules(allowed: Iterable[str]) -> list[str]:
    """The modules of this package that hold or make tasks, and all that is installed but
    what is allowed."""
    found = set(importlib.metadata.packages_distributions()) - {*allowed, "eta_utils"}
    for path in sorted((ROOT / "eta_utils").rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        if not {*parts[1:]} & {*PARTS, "__init__"}:
            found.add(".".join(parts))
    return sorted(name for name in found if name.replace(".", "").isidentifier())


def inside(rung: str, named: str = "") -> dict[str, object]:
    """All that is asked of a program on a rung, where libraries are named."""
    allowed = {*ALWAYS, *libraries.installed(libraries.parsed(named))}
    # Where the root cannot be listed, what lies below may still be.
    roots = ["/", *visible().folders, *sys.path, "/etc", "/proc", "/tmp", "/home", "/root"]
    roots += [str(ROOT), str(ROOT.parent), str(Path.home()), sys.prefix, sys.base_prefix]
    count, found = ask(rung, named, "telling", roots, KNOWING)
    return {
        "files": count,
        "telling": found,
        "installed": ask(rung, named, "installed", roots, sorted(allowed)),
        "imported": ask(rung, named, "imported", own_modules(allowed)),
    }


@pytest.fixture
def in_no_environment():
    """The same outside of a virtual environment, where packages lie in Python's folder."""
    packages = [path for path in sys.path if path.endswith("-packages")]

    def run(rung: str, named: str) -> dict[str, object]:
        code = (
            "import json, sys; from tests.sandbox.test_visible import inside\n"
            "assert sys.prefix == sys.base_prefix\n"
            f"print(json.dumps(inside({rung!r}, {named!r})))"
        )
        process = subprocess.run(
            [interpreter(), "-c", code],
            env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), *packages])},
            cwd=ROOT,
            capture_output=True,
            text=True,
        )
        assert process.returncode == 0, process.stderr
        return json.loads(process.stdout)

    return run


@pytest.mark.parametrize("named", ["", "pandas"])
@pytest.mark.parametrize("environment", ["virtual environment", "none"])
def test_no_task_and_no_maker_of_tasks_can_be_read(
    rung, environment, named, in_no_environment
):
    look = in_no_environment if environment == "none" else inside
    found = look(rung, named)
    assert found.pop("files") > 500  # it could look around
    assert found == {"telling": [], "installed": [], "imported": []}
