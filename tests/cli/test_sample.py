"""`sample` lets a model write, and `judge` says by temperature what passes."""

from __future__ import annotations

import json

import pytest

from eta_utils.cli import main
from eta_utils.tasks import pipelines
from eta_utils.training.models import load_model, save_model
from tests.conftest import tiny_qwen

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def folder(tiny_folder, tmp_path):
    _, tokenizer = load_model(tiny_folder)
    save_model(tiny_qwen(tokenizer), tokenizer, tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def tasks(tmp_path):
    """A file of three tasks."""
    path = tmp_path / "tasks.jsonl"
    fields = ("task_id", "prompt", "entry_point", "test", "canonical_solution")
    rows = [
        {name: getattr(task, name) for name in fields}
        for task in pipelines.generate("test", 3).values()
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_samples_are_drawn_at_each_temperature_and_judged_by_it(
    folder, tasks, tmp_path, capsys
):
    out = tmp_path / "samples.jsonl"
    given = f"--model {folder} --tasks {tasks} --out {out} --temperatures 0 0.8"
    more = "--samples 2 --max-new-tokens 8 --precision fp32"
    assert main(["sample", *given.split(), *more.split()]) == 0
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [row["temperature"] for row in rows] == [0.0, 0.8, 0.8] * 3
    assert all(0 < row["tokens"] <= 8 for row in rows)
    capsys.readouterr()
    judged = f"{out} --tasks {tasks} --out {tmp_path / 'out.jsonl'} --workers 1"
    assert main(["judge", *judged.split()]) == 0
    said = capsys.readouterr().out
    assert "T = 0.0    pass@1 0.000, all fail 1.000" in said
    assert "T = 0.8    pass@1 0.000, all fail 1.000" in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--model nowhere.gguf", "there is no such file"),
        ("", "--model is needed"),
        ("--model {folder} --temperatures -1", "--temperatures: one is below 0"),
        ("--model {folder} --prompt-format chat", "has no chat template"),
        ("--model {folder} --max-new-tokens 1024", "context of 1024"),
    ],
)
def test_what_cannot_work_is_one_sentence(folder, tasks, tmp_path, capsys, words, said):
    out = tmp_path / "samples.jsonl"
    words = words.format(folder=folder).split()
    assert main(["sample", "--tasks", str(tasks), "--out", str(out), *words]) == 2
    errors = capsys.readouterr().err.strip().splitlines()
    assert said in errors[-1]
    assert not out.exists()


def test_buggy_programs_are_mended_with_and_without_what_they_did(folder, tmp_path):
    """What is written is the whole program, which `judge` takes as it is."""
    path = tmp_path / "buggy.jsonl"
    body = "    if n < 0:\n        return -n\n    return n\n"
    row = {
        "task_id": "one",
        "prompt": 'def size(n):\n    """Its distance from 0."""\n',
        "entry_point": "size",
        "canonical_solution": body,
        "buggy_solution": body.replace("-n", "n"),
        "test": "def check(candidate):\n    assert candidate(-2) == 2\n",
    }
    path.write_text(json.dumps(row) + "\n")
    given = f"--model {folder} --tasks {path} --temperatures 0 --max-new-tokens 8"
    texts = {}
    for kind in ("told", "tested", "traced"):
        out = tmp_path / f"{kind}.jsonl"
        more = f"--precision fp32 --repair {kind} --out {out}"
        assert main(["sample", *given.split(), *more.split()]) == 0
        [texts[kind]] = [json.loads(line) for line in out.read_text().splitlines()]
        judged = f"{out} --tasks {path} --out {tmp_path / 'out.jsonl'} --workers 1"
        assert main(["judge", *judged.split()]) == 0
    assert "# wrong\ndef size(n):\n" in texts["told"]["solution"]
    assert "# wrong: assert size(-2) == 2\ndef size(n):\n" in texts["tested"]["solution"]
    assert (
        "# wrong: assert size(-2) == 2\n# line 4: return = -2\n"
        in texts["traced"]["solution"]
    )
    assert "completion" not in texts["traced"]


def test_tasks_without_buggy_programs_cannot_be_mended(folder, tasks, tmp_path, capsys):
    given = f"--model {folder} --tasks {tasks} --repair told --out {tmp_path / 'out.jsonl'}"
    assert main(["sample", *given.split()]) == 2
    assert "have no buggy programs" in capsys.readouterr().err
