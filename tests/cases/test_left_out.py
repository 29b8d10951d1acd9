"""Pass@k is over what was judged, and what was not is named with the reason."""

from __future__ import annotations

import json

import pytest

from eta_utils.cli import main

RIGHT = "    return x + 1\n"


def task_row(name, argument="1"):
    """A task, of a test that passes its function an argument."""
    return {
        "task_id": name,
        "prompt": "def f(x):\n",
        "entry_point": "f",
        "test": f"def check(candidate):\n    assert candidate({argument}) == 2\n",
    }


@pytest.fixture
def printed(tmp_path, capsys):
    """A function that judges samples of tasks and returns what is printed."""

    def run(tasks, samples):
        for name, rows in (("tasks", tasks), ("samples", samples)):
            text = "".join(json.dumps(row) + "\n" for row in rows)
            (tmp_path / f"{name}.jsonl").write_text(text)
        words = ["judge", str(tmp_path / "samples.jsonl"), "--no-cache"]
        words += ["--tasks", str(tmp_path / "tasks.jsonl")]
        assert main([*words, "--out", str(tmp_path / "out.jsonl")]) == 0
        return capsys.readouterr().out

    return run


def of(name, *completions):
    return [{"task_id": name, "completion": text} for text in completions]


def test_a_task_that_cannot_be_judged_does_not_hide_the_others(printed):
    tasks = [task_row("can"), task_row("cannot", "lambda: 1")]
    said = printed(tasks, of("can", RIGHT) + of("cannot", RIGHT))
    assert "pass@1     1.0000  over 1 of 2 tasks" in said
    assert "left out   1 of 2 samples and 1 of 2 tasks" in said
    assert "  1 of cannot: its test passes f a value that cannot be sent" in said


def test_where_no_task_can_be_judged_that_is_said(printed):
    said = printed([task_row("cannot", "lambda: 1")], of("cannot", RIGHT))
    assert "pass@k     none: no task was judged" in said


def test_reasons_have_counts_and_only_some_tasks_are_named(printed):
    tasks = [task_row("can")] + [task_row(f"t/{n}", "lambda: 1") for n in range(5)]
    samples = of("can", RIGHT, RIGHT + "#" + "x" * (33 << 20))
    for n in range(5):
        samples += of(f"t/{n}", RIGHT, RIGHT)
    said = printed(tasks, samples)
    assert "left out   11 of 12 samples and 5 of 6 tasks" in said
    assert "  10 of t/0, t/1, t/2 and 2 more: its test passes f a value" in said
    assert "  1 of can: the program is larger than 32 MiB" in said
    assert "pass@1     1.0000  over 1 of 6 tasks" in said


def test_k_is_at_most_the_fewest_samples_that_were_judged_of_a_task(printed):
    tasks = [task_row("many"), task_row("few"), task_row("cannot", "lambda: 1")]
    wrong = "    return x\n"
    few = of("few", RIGHT) + of("cannot", RIGHT)
    said = printed(tasks, of("many", *[RIGHT] * 5, *[wrong] * 5) + few)
    assert "pass@1     0.7500  over 2 of 3 tasks" in said
    assert "pass@10" not in said
    said = printed(tasks, of("many", *[RIGHT] * 5, *[wrong] * 5) + of("cannot", RIGHT))
    assert "pass@10    1.0000  over 1 of 2 tasks" in said
