"""Tasks of a named set are shared out once and for ever, and never twice."""

from __future__ import annotations

import json
from itertools import combinations

import pytest

from eta_utils.tasks import load_tasks
from eta_utils.tasks.splits import SHARES, split


def test_splits_share_no_task_and_lose_none():
    parts = [set(split("humaneval", name)) for name in SHARES]
    assert all(not a & b for a, b in combinations(parts, 2))
    assert set.union(*parts) == set(load_tasks("humaneval"))


def test_ten_problems_are_shared_out_too():
    sizes = {name: len(split("humaneval", name, limit=10)) for name in SHARES}
    assert sizes == {"sft": 2, "align": 4, "tune": 1, "test": 3}


def test_fewer_are_some_of_the_same():
    assert split("humaneval", "test", 10).items() <= split("humaneval", "test").items()


def test_a_set_keeps_the_splits_of_its_authors(data, monkeypatch):
    monkeypatch.setenv("ETA_DATA", str(data("mbpp.jsonl.gz").parent))
    numbers = {
        name: {int(task_id.split("/")[1]) for task_id in split("mbpp", name)}
        for name in SHARES
    }
    assert numbers["test"] == set(range(11, 511))
    assert numbers["tune"] == set(range(511, 601))
    assert numbers["sft"] | numbers["align"] == set(range(601, 975))
    assert not numbers["sft"] & numbers["align"]


@pytest.mark.parametrize("name", SHARES)
def test_a_file_of_ones_own_can_be_shared_out(tmp_path, name):
    rows = [
        {"task_id": str(number), "prompt": "def f():\n", "entry_point": "f"}
        | {"test": "def check(candidate):\n    assert candidate() == 1\n"}
        for number in range(20)
    ]
    path = tmp_path / "tasks.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert len(split(str(path), name)) == 20 * SHARES[name] // 100
