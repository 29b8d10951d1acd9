"""Tasks come from HumanEval's wheel or from any file with its fields."""

from __future__ import annotations

import json

import pytest

from eta_utils.common.errors import BadInput
from eta_utils.tasks import at_token_boundary, load_tasks

ROW = {
    "task_id": "t/0",
    "prompt": "def f():\n",
    "entry_point": "f",
    "test": "def check(candidate):\n    assert candidate() == 1\n",
}


def tasks_file(tmp_path, *rows):
    path = tmp_path / "tasks.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_humaneval_is_found_without_network():
    tasks = load_tasks("humaneval")
    assert len(tasks) == 164
    assert tasks["HumanEval/0"].entry_point == "has_close_elements"


def test_fields_that_are_unknown_or_empty_do_no_harm(tmp_path):
    path = tasks_file(tmp_path, ROW | {"canonical_solution": None, "docstring": "x"})
    assert load_tasks(path)["t/0"].canonical_solution == ""


@pytest.mark.parametrize("field", sorted(ROW))
def test_a_missing_field_is_named_with_file_and_line(tmp_path, field):
    broken = {name: value for name, value in ROW.items() if name != field}
    path = tasks_file(tmp_path, ROW, broken)
    with pytest.raises(BadInput, match=rf"tasks.jsonl, line 2: .*'{field}'"):
        load_tasks(path)


def test_a_test_without_check_and_a_task_twice_are_named(tmp_path):
    with pytest.raises(BadInput, match=r"line 1: .*define check"):
        load_tasks(tasks_file(tmp_path, ROW | {"test": "assert f() == 1"}))
    with pytest.raises(BadInput, match="line 2: t/0 occurs twice"):
        load_tasks(tasks_file(tmp_path, ROW, ROW))
    with pytest.raises(BadInput, match="holds no tasks"):
        load_tasks(tasks_file(tmp_path))


def test_the_token_boundary_moves_newlines_and_loses_nothing():
    for prompt in ("def f():\n", "x\n\n", "x", ""):
        stem, completion = at_token_boundary(prompt, "    return 1\n")
        assert stem + completion == prompt + "    return 1\n"
        assert not stem.endswith("\n")
