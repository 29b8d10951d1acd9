"""Rates of samples by temperature: from outcomes, from counts, and beside others."""

from __future__ import annotations

import pytest

from eta_utils.analysis.rates import count, gain, rates
from eta_utils.cli import main
from eta_utils.common.errors import BadInput
from eta_utils.common.files import write_jsonl
from eta_utils.execution.records import Outcome


def outcomes(task_id, *statuses, temperature=0.6, base=None):
    sample = {"task_id": task_id, "completion": "x", "temperature": temperature}
    for status in statuses:
        passed = None if status == "judge_error" else status == "passed"
        yield Outcome(sample, status, passed, "", passed_base=base)


def of_two_tasks(temperature=0.6):
    return [
        *outcomes("a", "passed", "exception", temperature=temperature),
        *outcomes("b", "syntax", "assertion", temperature=temperature),
    ]


def test_rates_are_means_over_tasks_and_shares_of_samples():
    # a passes 1 of 2, b 0 of 2: pass@1 is (1/2 + 0) / 2, and b is all-fail.
    [row] = rates(count(of_two_tasks())).to_dict("records")
    assert (row["T"], row["tasks"], row["samples"]) == (0.6, 2, 4)
    assert row["pass@1"] == 0.25 and row["pass@1 low"] < 0.25 < row["pass@1 high"]
    assert row["all fail"] == 0.5
    assert [row[name] for name in ("syntax", "assertion", "exception")] == [0.25] * 3
    assert "pass@8" not in row and "base" not in row and "budget" not in row


def test_pass_at_8_is_the_chance_that_one_of_eight_passes():
    # Of 9 samples 1 passes: 8 of them miss it in 1 of 9 draws.
    nine = outcomes("a", "passed", *["assertion"] * 8)
    [row] = rates(count(nine)).to_dict("records")
    assert row["pass@8"] == pytest.approx(8 / 9)


def test_what_could_not_be_judged_counts_nowhere():
    counts = count(
        [*of_two_tasks(), *outcomes("b", "judge_error"), *outcomes("c", "judge_error")]
    )
    assert counts.set_index("task_id")["samples"].to_dict() == {"a": 2, "b": 2, "c": 0}
    [row] = rates(counts).to_dict("records")
    assert (row["tasks"], row["samples"], row["pass@1"]) == (2, 4, 0.25)


def test_base_asserts_have_a_rate_of_their_own():
    counts = count(outcomes("a", "assertion", "assertion", base=True))
    [row] = rates(counts).to_dict("records")
    assert (row["pass@1"], row["base"]) == (0.0, 1.0)


def test_temperatures_are_apart_and_samples_without_one_are_together():
    found = [
        *of_two_tasks(0.8),
        *of_two_tasks(0.0),
        *outcomes("a", "passed", temperature=None),
    ]
    table = rates(count(found))
    assert table["T"].fillna(-1).tolist() == [0.0, 0.8, -1]
    assert table["pass@1"].tolist() == [0.25, 0.25, 1.0]


def test_a_gain_is_paired_by_task_and_temperature():
    # Only a is in both; there it passes in 1 of 2 and in 2 of 2.
    [row] = gain(count(of_two_tasks()), count(outcomes("a", "passed", "passed"))).to_dict(
        "records"
    )
    assert (row["tasks"], row["pass@1"]) == (1, -0.5)
    [row] = gain(
        count(outcomes("a", "passed", temperature=None)),
        count(outcomes("a", "assertion", temperature=None)),
    ).to_dict("records")
    assert (row["tasks"], row["pass@1"]) == (1, 1.0)
    with pytest.raises(BadInput, match="no task and temperature in common"):
        gain(count(of_two_tasks(0.3)), count(of_two_tasks(0.8)))


def test_the_command_says_the_same_of_outcomes_and_of_their_counts(tmp_path, capsys):
    file, kept = tmp_path / "out.jsonl", tmp_path / "counts.csv"
    with write_jsonl(file) as write:
        for outcome in of_two_tasks():
            write(outcome.record())
    assert main(["rates", str(file), "--counts", str(kept)]) == 0
    first = capsys.readouterr().out.split("\n", 1)[1].split("written")[0]
    assert "pass@1" in first and "0.250 [0.000, 0.500]" in first
    assert main(["rates", str(kept), "--against", str(kept)]) == 0
    second = capsys.readouterr().out
    assert first.strip() in second
    assert f"minus {kept}" in second and "0.000 [0.000, 0.000]" in second


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("out.jsonl --counts x.txt", "--counts x.txt: its name must end in .csv"),
        ("out.jsonl out.jsonl", "task a is in another file, too"),
        ("bad.jsonl", "line 1: is no outcome of `judge`"),
        ("nameless.jsonl", "line 1: is no outcome of `judge`"),
        ("bad.csv", "no column temperature"),
    ],
)
def test_bad_files_end_in_one_sentence(tmp_path, monkeypatch, capsys, given, said):
    monkeypatch.chdir(tmp_path)
    with write_jsonl("out.jsonl") as write:
        for outcome in of_two_tasks():
            write(outcome.record())
    (tmp_path / "bad.jsonl").write_text('{"task_id": "a"}\n')
    nameless = '{"status": "passed", "passed": true, "result": "passed"}\n'
    (tmp_path / "nameless.jsonl").write_text(nameless)
    (tmp_path / "bad.csv").write_text("task_id\na\n")
    assert main(["rates", *given.split()]) == 2
    error = capsys.readouterr().err
    assert said in error and len(error.strip().splitlines()) == 1
