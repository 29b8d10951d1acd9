"""What a run records about the machine, the code and its time."""

from __future__ import annotations

import datetime
import json
import subprocess

import pytest

from eta_utils.report import provenance
from eta_utils.report.provenance import environment, recorded, time_tables

BEGAN = datetime.datetime(2030, 1, 2, 12, 0, 0, 700_000)


def test_the_environment_is_plain_values():
    found = json.loads(json.dumps(environment()))
    assert found["cores"] >= 1
    assert found["python"].startswith("3.")
    assert found["packages"]["papermill"]
    assert found["memory_gib"] > 0
    assert datetime.datetime.fromisoformat(found["recorded"])


def git(folder, *words):
    who = ("-c", "user.name=n", "-c", "user.email=e@x")
    subprocess.run(["git", "-C", folder, *who, *words], check=True, capture_output=True)


def test_the_commit_is_the_projects_own(tmp_path, monkeypatch):
    monkeypatch.setattr(provenance, "ROOT", tmp_path.resolve())
    assert provenance._git() == (None, None)
    git(tmp_path, "init")
    (tmp_path / "file").write_text("1")
    git(tmp_path, "add", "file")
    git(tmp_path, "commit", "-m", "first")
    commit, dirty = provenance._git()
    assert len(commit) == 40
    assert dirty is False
    (tmp_path / "file").write_text("2")
    assert provenance._git() == (commit, True)
    inside = tmp_path / "inside"  # an installed copy in somebody else's checkout
    inside.mkdir()
    monkeypatch.setattr(provenance, "ROOT", inside.resolve())
    assert provenance._git() == (None, None)


def test_a_run_that_goes_on_with_other_code_names_both_commits(tmp_path, monkeypatch):
    for commit in ("a" * 40, "a" * 40, "b" * 40, "b" * 40, "c" * 40):
        monkeypatch.setattr(provenance, "_git", lambda commit=commit: (commit, False))
        provenance.record_environment(tmp_path)
    now = json.loads((tmp_path / "environment.json").read_text())
    assert now["commit"] == "c" * 40
    assert now["earlier"] == ["a" * 40, "b" * 40]
    said = recorded(tmp_path)["facts"]["commit"]
    assert said == "cccccccccccc; before: aaaaaaaaaaaa, bbbbbbbbbbbb"


def test_the_head_names_every_seed_that_the_tables_are_about(tmp_path):
    """Also those whose stages are gone: their scores are kept."""
    for folder in ("seed3", "scores"):
        (tmp_path / folder).mkdir()
    for seed in (10, 3, 7):
        (tmp_path / "scores" / f"scores{seed}.csv.gz").touch()
        (tmp_path / "scores" / f"gate{seed}.csv.gz").touch()
    assert recorded(tmp_path)["seeds"] == [3]
    assert recorded(tmp_path)["facts"]["seeds"] == "3 7 10"


@pytest.fixture
def run(tmp_path):
    """A notebook of 60 s with two stages of its own and one that an earlier run made."""

    def stage(name, after, **seconds):
        made = (BEGAN + datetime.timedelta(seconds=after)).isoformat(" ", "seconds")
        folder = tmp_path / "seed0" / name
        folder.mkdir(parents=True)
        (folder / "done.json").write_text(json.dumps({"made": made, "seconds": seconds}))

    stage("base", -3600, base=100.0)
    stage("sft", 0, training=10.0)  # made in the second in which the notebook began
    stage("dpo/eta/round1", 60, sampling=5.0, training=20.0)
    times = {
        "start_time": BEGAN.astimezone(datetime.UTC).isoformat(),
        "end_time": (BEGAN + datetime.timedelta(minutes=1)).astimezone().isoformat(),
    }
    notebook = {"metadata": {"papermill": times}, "cells": []}
    (tmp_path / "seed0" / "01_sft.ipynb").write_text(json.dumps(notebook))
    (tmp_path / "04_analysis.ipynb").write_text(json.dumps({"metadata": {}}))
    seconds = {"seed0/01_sft": 62.0, "seed0/02_ppo": 3.0, "04_analysis": 4.0}
    record = {"command": "c", "seeds": [0], "seconds": seconds}
    (tmp_path / "run.json").write_text(json.dumps(record))
    return tmp_path


def test_a_stage_counts_for_the_notebook_that_made_it(run):
    stages, notebooks = time_tables(run)
    assert [(row["stage"], row["made by"]) for row in stages] == [
        ("seed0/base", "an earlier execution"),
        ("seed0/sft", "seed0/01_sft"),
        ("seed0/dpo/eta/round1", "seed0/01_sft"),
        ("sum", None),
    ]
    assert list(stages[0])[2:] == ["base", "training", "sampling", "total"]
    assert stages[-1] == {
        "stage": "sum",
        "made by": None,
        "base": 100.0,
        "training": 30.0,
        "sampling": 5.0,
        "total": 135.0,
    }
    assert notebooks[0] == {
        "notebook": "seed0/01_sft",
        "total": 62.0,
        "its stages": 35.0,
        "the rest": 27.0,
    }
    assert notebooks[-1] == {
        "notebook": "sum",
        "total": 69.0,
        "its stages": 35.0,
        "the rest": 34.0,
    }


def test_each_row_adds_up(run):
    stages, notebooks = time_tables(run)
    for row in stages:
        kinds = [value for name, value in row.items() if name in ("base", "training")]
        assert row["total"] == sum(value or 0 for value in (*kinds, row["sampling"]))
    for row in notebooks:
        assert row["total"] == row["its stages"] + row["the rest"]


def test_a_run_without_records_is_an_empty_one(tmp_path):
    found = recorded(tmp_path / "nothing")
    assert found["stages"] == found["notebooks"] == found["files"] == found["seeds"] == []
    assert found["command"] is None
    assert found["facts"]["commit"] == "not recorded"
