"""Each named set: found, read in HumanEval's form, and its references pass."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from eta_utils.common.errors import BadInput
from eta_utils.execution import JudgeSettings, judge
from eta_utils.tasks import SETS, load_tasks
from eta_utils.tasks.asserts import assert_texts

# What does not pass, and why (as the data's own notes have it).
BROKEN = {
    "humaneval+": {"HumanEval/32": "its test is broken in this release"},
    "mbpp+": {"Mbpp/255": "needs too much memory"},
}
SIZES = {
    "humaneval": 164,
    "humaneval+": 164,
    "mbpp": 974,
    "mbpp+": 378,
    "mbpp-sanitized": 427,
    "humanevalfix": 164,
    "quixbugs": 40,
}


@pytest.fixture
def here(data, monkeypatch):
    """A function from a set's name to its tasks; skips where its file is absent."""

    def load(name):
        if name != "humaneval":
            path = data(name.replace("+", "_plus") + ".jsonl.gz")
            monkeypatch.setenv("ETA_DATA", str(path.parent))
        return load_tasks(name)

    return load


def failing(tasks, which, step_budget=0):
    """The tasks whose `which` solution does not pass, with their statuses."""
    samples = [
        {"task_id": name, "completion": getattr(task, which)}
        for name, task in tasks.items()
    ]
    # On a busy machine the default clock would stop honest slow programs.
    outcomes = judge(samples, tasks, JudgeSettings(step_budget, timeout=60.0), cache=False)
    return {outcome.task_id: outcome.status for outcome in outcomes if not outcome.passed}


@pytest.mark.parametrize("name", SETS)
def test_it_has_all_its_tasks(name, here):
    assert len(here(name)) == SIZES[name]


@pytest.mark.slow
@pytest.mark.parametrize("name", SETS)
def test_its_reference_solutions_pass(name, here):
    assert failing(here(name), "canonical_solution").keys() == BROKEN.get(name, {}).keys()


@pytest.mark.parametrize("name", ["humaneval+", "mbpp+"])
def test_a_set_with_more_tests_has_those_of_the_other_set_first(name, here):
    """And a study that takes them apart hides the same tests as `judge` runs after them."""
    whole, apart = here(name), load_tasks(name, apart=True)
    others = load_tasks(name.removesuffix("+")) if name == "humaneval+" else apart
    for task_id, task in whole.items():
        base = assert_texts(others[task_id].test)
        assert len(base) == task.base_asserts > 0
        assert assert_texts(task.test)[:-1] == base
        assert apart[task_id].base_asserts == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", ["humanevalfix", "quixbugs"])
def test_its_buggy_programs_fail(name, here):
    tasks = here(name)
    # A loop that makes a text longer and longer would last until the clock.
    statuses = failing(tasks, "buggy_solution", step_budget=700_000)
    assert statuses.keys() == tasks.keys()
    assert "judge_error" not in Counter(statuses.values())


def test_mbpp_keeps_its_authors_splits(here):
    splits = Counter(task.split for task in here("mbpp").values())
    assert splits == {"prompt": 10, "test": 500, "validation": 90, "train": 374}


@pytest.mark.parametrize("name", sorted(SETS.keys() - {"humaneval"}))
def test_a_file_is_recognised_by_its_fields(name, data):
    path = data(name.replace("+", "_plus") + ".jsonl.gz")
    assert len(load_tasks(path)) == SIZES[name]


def test_a_set_that_is_nowhere_says_what_to_download_and_where_to_put_it(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("ETA_DATA", str(tmp_path))
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    with pytest.raises(
        BadInput, match=r"mbpp\.jsonl is not there.*google-research-datasets/"
    ):
        load_tasks("mbpp")


def test_a_file_of_another_set_is_named_with_the_field_it_lacks(tmp_path, monkeypatch):
    row = {
        "task_id": "a",
        "prompt": "def f():\n",
        "entry_point": "f",
        "test": "def check(c): 0",
    }
    (tmp_path / "quixbugs.jsonl").write_text(json.dumps(row))
    monkeypatch.setenv("ETA_DATA", str(tmp_path))
    with pytest.raises(
        BadInput, match=r"line 1: a task in the form of quixbugs needs the field 'name'"
    ):
        load_tasks("quixbugs")


def test_a_row_whose_program_does_not_compile_is_named(tmp_path):
    row = {"task_id": 1, "text": "", "code": "def f(:", "test_list": ["assert f(1)"]}
    path = tmp_path / "mine.jsonl"
    path.write_text(json.dumps(row | {"test_setup_code": ""}))
    with pytest.raises(
        BadInput, match=r"mine\.jsonl, line 1: this is not a task in the form"
    ):
        load_tasks(path)
