"""The commands: what they write and print, and how they refuse."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time

import pytest

from eta_utils.cli import main

TASK = {
    "task_id": "add",
    "prompt": "def add(a, b):\n",
    "entry_point": "add",
    "test": "def check(c):\n    assert c(1, 2) == 3\n    assert c(0, 0) == 0\n",
    "canonical_solution": "    return a + b\n",
}
RIGHT = {"task_id": "add", "completion": "    return a + b\n", "model": "m"}
WRONG = {"task_id": "add", "completion": "    return a * b\n"}
BROKEN = {"task_id": "add", "completion": "    return (\n"}


def write_rows(path, *rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


@pytest.fixture
def files(tmp_path):
    """Paths of a tasks file, a samples file, and a file to write."""
    tasks = write_rows(tmp_path / "tasks.jsonl", TASK)
    samples = write_rows(tmp_path / "samples.jsonl", RIGHT, WRONG, BROKEN, RIGHT)
    return tasks, samples, str(tmp_path / "out.jsonl")


def rows_of(path):
    with open(path) as file:
        return [json.loads(line) for line in file]


def test_judge_writes_an_outcome_per_sample_and_a_summary(files, capsys):
    tasks, samples, out = files
    assert main(["judge", samples, "--tasks", tasks, "--out", out]) == 0
    rows = rows_of(out)
    assert [row["status"] for row in rows] == ["passed", "assertion", "syntax", "passed"]
    assert list(rows[0])[:3] == ["task_id", "completion", "model"]
    printed = capsys.readouterr().out
    assert "isolation" in printed
    assert "per second" in printed
    assert "passed             2   50.0%" in printed
    assert "pass@1     0.5000" in printed
    assert "pass@10" not in printed  # four samples do not make ten


def test_pairs_are_made_from_outcomes(files, tmp_path, capsys):
    tasks, samples, out = files
    main(["judge", samples, "--tasks", tasks, "--out", out])
    pairs = str(tmp_path / "pairs.jsonl")
    assert main(["pairs", out, "--tasks", tasks, "--ordering", "eta", "--out", pairs]) == 0
    for row in rows_of(pairs):
        assert row["chosen"] == "\n" + RIGHT["completion"]
    assert "1 of 1 gave a pair" in capsys.readouterr().out


FOUR = TASK | {
    "test": "def check(c):\n"
    + "".join(f"    assert c({n}, {n}) == {2 * n}\n" for n in (2, 0, 3, 5))
}
NEAR = {"task_id": "add", "completion": "    return a + b if a == 0 or b == 5 else 0\n"}
FAR = {"task_id": "add", "completion": "    return None\n"}


def test_audit_checks_visible_halves_against_hidden_ones(tmp_path, capsys):
    tasks = write_rows(tmp_path / "tasks.jsonl", FOUR)
    samples = write_rows(tmp_path / "samples.jsonl", NEAR, FAR, RIGHT)
    out = str(tmp_path / "out.jsonl")
    main(["judge", samples, "--tasks", tasks, "--out", out])
    capsys.readouterr()
    assert main(["audit", out, "--tasks", tasks]) == 0
    printed = capsys.readouterr().out
    assert "1 of 1 have visible and hidden tests" in printed
    lines = {line[:18].strip(): line[18:] for line in printed.splitlines()}
    columns = lines["ordering"].split()
    # One fail/fail pair: half of either half holds for the near one, nothing for the far.
    cells = re.findall(r"-|\d\.\d{3} \[.*?\]", lines["right, fail/fail"])
    shares = [each[:5] for each in cells]
    right = dict(zip(columns, shares, strict=True))
    assert right["binary"] == "-"  # it decides nothing
    assert right["fraction"] == right["eta"] == "1.000"


def test_audit_takes_hidden_tests_from_another_file(tmp_path, capsys):
    tasks = write_rows(tmp_path / "tasks.jsonl", TASK)
    samples = write_rows(tmp_path / "samples.jsonl", WRONG, FAR)
    out = str(tmp_path / "out.jsonl")
    main(["judge", samples, "--tasks", tasks, "--out", out])
    hidden = write_rows(tmp_path / "hidden.jsonl", FOUR)
    assert main(["audit", out, "--tasks", tasks, "--hidden", hidden]) == 0
    others = write_rows(tmp_path / "others.jsonl", FOUR | {"task_id": "other"})
    assert main(["audit", out, "--tasks", tasks, "--hidden", others]) == 2
    assert "no sample of a task with hidden tests" in capsys.readouterr().err
    assert main(["audit", out, "--tasks", tasks]) == 2  # two asserts have no halves


def test_doctor_names_every_rung(capsys):
    assert main(["doctor"]) == 0
    printed = capsys.readouterr().out
    for word in ("Python", "jail:", "process:", "weak:", "cores", "GPU", "164 problems"):
        assert word in printed


def expect_refusal(arguments, message, capsys, out):
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not os.path.exists(out)
    folder = os.path.dirname(out)
    if os.path.isdir(folder):
        assert not [name for name in os.listdir(folder) if name.startswith(".out")]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"task_id": "sub", "completion": ""}', "line 2: unknown task_id 'sub'"),
        ('{"completion": ""}', "line 2: no 'task_id'"),
        ('{"task_id": ["add"], "completion": ""}', "line 2: unknown task_id"),
        ('{"task_id": "add"}', "line 2: neither 'completion' nor 'solution'"),
        ('{"task_id": "add", "completion": 3}', "line 2: 'completion' and 'solution' must"),
        ('{"task_id": "add", ', "line 2: is not JSON"),
        ('"add"', "line 2: a JSON object is needed"),
    ],
)
def test_a_bad_sample_is_refused_before_anything_runs(
    files, tmp_path, capsys, line, message
):
    tasks, _, out = files
    samples = tmp_path / "bad.jsonl"
    samples.write_text(json.dumps(RIGHT) + "\n" + line + "\n")
    expect_refusal(
        ["judge", str(samples), "--tasks", tasks, "--out", out], message, capsys, out
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "holds no samples"),
        (gzip.compress(b"", mtime=0), "holds no samples"),
        (
            gzip.compress(json.dumps(RIGHT).encode() * 999, mtime=0)[:-9],
            "compressed data ends",
        ),
        (b"plain text", "not a gzip file"),
    ],
)
def test_a_broken_gz_is_refused(files, tmp_path, capsys, content, message):
    tasks, _, out = files
    samples = tmp_path / "samples.jsonl.gz"
    samples.write_bytes(content)
    expect_refusal(
        ["judge", str(samples), "--tasks", tasks, "--out", out], message, capsys, out
    )


def test_other_bad_input_is_refused(files, tmp_path, capsys):
    tasks, samples, out = files
    without_test = {name: value for name, value in TASK.items() if name != "test"}
    broken = write_rows(tmp_path / "broken.jsonl", without_test)
    nowhere = str(tmp_path / "missing" / "out.jsonl")
    for arguments, message in (
        (
            ["judge", samples, "--tasks", broken, "--out", out],
            "line 1: a task in",
        ),
        (["judge", samples, "--tasks", tasks, "--out", nowhere], "cannot be written"),
        (["judge", "missing.jsonl", "--tasks", tasks, "--out", out], "no such file"),
        (["pairs", samples, "--tasks", tasks, "--out", out], "line 1: no field"),
    ):
        expect_refusal(arguments, message, capsys, out)


def test_arguments_that_make_no_sense_are_refused(files):
    tasks, samples, out = files
    for extra in (["--workers", "-1"], ["--step-budget", "x"], ["--isolation", "none"]):
        with pytest.raises(SystemExit) as caught:
            main(["judge", samples, "--tasks", tasks, "--out", out, *extra])
        assert caught.value.code == 2


def count_cached():
    """How many outcomes the cache holds."""
    with contextlib.suppress(sqlite3.OperationalError):  # no file yet, or no table in it
        base = sqlite3.connect(os.environ["ETA_CACHE"])
        return base.execute("SELECT count(*) FROM outcomes").fetchone()[0]
    return 0


@pytest.mark.slow
def test_an_interrupted_command_goes_on_where_it_stopped(files, tmp_path):
    tasks, _, out = files
    rows = [RIGHT | {"completion": f"    x = {n}\n    return a + b\n"} for n in range(4000)]
    samples = write_rows(tmp_path / "many.jsonl", *rows)
    command = [sys.executable, "-m", "eta_utils", "judge", samples]
    command += ["--tasks", tasks, "--out", out]
    first = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell that runs the tests in the background has them ignore Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    )
    while count_cached() < 300 and first.poll() is None:
        time.sleep(0.1)
    first.send_signal(signal.SIGINT)
    _, error = first.communicate(timeout=300)
    assert first.returncode == 130
    assert "goes on from here" in error
    assert "Traceback" not in error
    assert not os.path.exists(out)
    assert 300 <= count_cached() < 4001
    assert main(command[3:]) == 0
    assert [row["completion"] for row in rows_of(out)] == [
        row["completion"] for row in rows
    ]
    assert count_cached() == 4001  # each sample once, and the reference


@pytest.mark.parametrize("name, seconds", [("SIGTERM", 0.0), ("SIGHUP", 1.5)])
def test_a_command_that_is_told_to_end_leaves_nothing_behind(
    files, tmp_path, name, seconds
):
    tasks, _, out = files
    row = RIGHT | {"completion": "    import time\n    time.sleep(5)\n    return a + b\n"}
    samples = write_rows(tmp_path / "slow.jsonl", row)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    command = [sys.executable, "-m", "eta_utils", "judge", samples]
    process = subprocess.Popen(
        [*command, "--tasks", tasks, "--out", out],
        env=os.environ | {"TMPDIR": str(temporary)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not list(temporary.glob("eta-sandbox-*")) and process.poll() is None:
        time.sleep(0.05)
    time.sleep(seconds)  # while a worker starts, or while it works
    number = getattr(signal, name)
    process.send_signal(number)
    _, error = process.communicate(timeout=100)
    assert process.returncode == 128 + number
    assert "Traceback" not in error
    assert not list(temporary.glob("eta-sandbox-*"))
    assert not os.path.exists(out)


@pytest.mark.parametrize("out", ["/proc/none/out.jsonl", "/dev/full/out.jsonl"])
def test_where_nothing_can_be_written_a_sentence_says_so(tmp_path, capsys, out):
    samples = tmp_path / "samples.jsonl"
    samples.write_text('{"task_id": "HumanEval/0", "completion": "    return 0"}\n')
    code = main(["judge", str(samples), "--tasks", "humaneval", "--out", out])
    printed = capsys.readouterr().err
    assert code in (1, 2)
    assert printed.startswith("eta_utils judge: /") and "Traceback" not in printed
