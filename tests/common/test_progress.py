"""A line of progress names the stage; in an open notebook it is one line that changes."""

from __future__ import annotations

import pytest
from nbclient import NotebookClient
from nbformat import v4

from eta_utils.common import progress
from tests.conftest import ROOT


@pytest.mark.parametrize(
    ("stage", "line"),
    [
        ("dpo-eta/round2", "dpo-eta, round 2: step 1/8"),
        ("sft", "sft: step 1/8"),
        ("grpo/samples", "grpo, samples: step 1/8"),
    ],
)
def test_a_line_begins_with_the_arm_and_the_round(stage, line, capsys):
    with progress.about(stage):
        progress.say("step 1/8")
    progress.say("after")
    assert capsys.readouterr().out == f"{line}\nafter\n"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (5.4, "0:05"), (70, "1:10"), (3661, "1:01:01")]
)
def test_the_time_that_is_left_is_short(seconds, text):
    assert progress.left(seconds) == f"{text} left"


def executed(*sources, monkeypatch, **environment):
    monkeypatch.delenv(progress.LINES, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    notebook = v4.new_notebook(cells=[v4.new_code_cell(source) for source in sources])
    resources = {"metadata": {"path": str(ROOT)}}
    NotebookClient(notebook, timeout=120, allow_errors=True, resources=resources).execute()
    return [cell.outputs for cell in notebook.cells]


HEAD = "from eta_utils.common import progress\nprogress.head()"
STEPS = "for n in (1, 2, 3):\n    progress.say(f'step {n}/3')"


@pytest.mark.slow
def test_an_open_notebook_has_one_line_at_its_head_and_one_below_the_cell(monkeypatch):
    head, steps, failed = executed(HEAD, STEPS, "1 / 0", monkeypatch=monkeypatch)
    [line] = steps
    assert "step 3/3" in line.data["text/html"] and "step 1/3" not in str(line)
    [line] = head
    text = line.data["text/html"]
    assert "stopped at cell [3]: ZeroDivisionError: division by zero" in text
    assert failed[0].ename == "ZeroDivisionError"


@pytest.mark.slow
def test_where_nobody_looks_each_line_is_printed(monkeypatch):
    lines = {progress.LINES: "1"}
    head, steps = executed(HEAD, STEPS, monkeypatch=monkeypatch, **lines)
    assert head == []
    assert "".join(part.text for part in steps) == "step 1/3\nstep 2/3\nstep 3/3\n"
