"""The study itself, in profile smoke: papermill runs the four notebooks for real."""

from __future__ import annotations

import csv
import gzip
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from tests.conftest import ROOT

pytestmark = pytest.mark.slow

STAGES = ("base", "sft", "ppo", "dpo-eta/round2", "dpo-binary/round2", "dpo-steps/round2")
KEPT = {"scores.csv", "beside.csv", "labels.csv", "ranked.csv"}  # of tasks and samples


def command(outputs, *more):
    words = [sys.executable, "-m", "eta_utils", "run", *more]
    return [*words, "-p", f"outputs={outputs}"]


def environment(tmp_path):
    return os.environ | {"ETA_CACHE": str(tmp_path / "cache.sqlite")}


def programs(folder):
    """All that any model wrote and what became of it: a table of few passes says little."""
    return {
        path.relative_to(folder): gzip.decompress(path.read_bytes())
        for path in folder.glob("smoke/seed0/**/outcomes.jsonl.gz")
    }


def table(folder):
    with open(folder / "smoke" / "results.csv", newline="") as file:
        return list(csv.reader(file))


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A smoke study run without interruption: its outputs folder and what it printed."""
    outputs = tmp_path_factory.mktemp("outputs")
    done = subprocess.run(
        command(outputs, "--profile", "smoke"),
        cwd=ROOT,
        capture_output=True,
        text=True,
        env=environment(outputs),
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return outputs, done.stdout


def test_all_stages_notebooks_tables_and_the_report_are_there(finished):
    outputs, _ = finished
    seed = outputs / "smoke" / "seed0"
    for stage in STAGES:
        done = json.loads((seed / stage / "done.json").read_text())
        assert done["metrics"] and "seconds" in done
    for name in ("seed0/01_sft", "seed0/02_ppo", "seed0/03_eta_dpo", "04_analysis"):
        assert (outputs / "smoke" / f"{name}.ipynb").exists()
    arms = [row[0] for row in table(outputs)[1:]]
    assert arms == ["base", "SFT", "PPO", "binary DPO", "raw-steps DPO", "ETA-DPO"]


def test_the_report_stands_alone_and_tells_where_the_time_went(finished):
    page = (finished[0] / "smoke" / "report.html").read_text()
    assert "Where the time went" in page
    assert 'src="http' not in page and "<script" not in page
    assert len(page) < 5_000_000


def test_some_programs_pass_and_some_fail_so_that_pairs_and_rewards_have_work(finished):
    header, *rows = table(finished[0])
    rates = [float(row[header.index("pass@1")]) for row in rows]
    assert all(0 < rate < 1 for rate in rates)


def test_the_tables_can_be_computed_anew_from_the_scores_by_task(finished, tmp_path):
    run = finished[0] / "smoke"
    done = subprocess.run(
        [sys.executable, "-m", "eta_utils", "table", str(run / "scores.csv"),
         "--out", str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert "ETA-DPO" in done.stdout
    found = {path.name for path in tmp_path.iterdir()}
    assert found == {path.name for path in run.glob("*.csv")} - KEPT
    for name in found:
        assert (tmp_path / name).read_text() == (run / name).read_text()


def test_every_arm_executed_the_same_number_of_programs(finished):
    header, *rows = table(finished[0])
    programs = {row[0]: row[header.index("programs")] for row in rows}
    aligned = {arm: count for arm, count in programs.items() if arm not in ("base", "SFT")}
    assert len(set(aligned.values())) == 1 and len(aligned) == 4


def test_a_second_run_makes_nothing_anew_and_gives_the_same_table(finished):
    outputs, _ = finished
    before = table(outputs)
    made = {
        path: path.stat().st_mtime_ns for path in outputs.glob("smoke/seed0/**/done.json")
    }
    again = subprocess.run(
        command(outputs, "--resume", "smoke"), cwd=ROOT, capture_output=True, text=True,
        env=environment(outputs),
    )  # fmt: skip
    assert again.returncode == 0, again.stderr[-2000:]
    assert "recompute" not in again.stdout and "reuse sft:" in again.stdout
    assert made == {path: path.stat().st_mtime_ns for path in made}
    assert table(outputs) == before


def test_interrupted_and_resumed_it_ends_with_the_same_table(finished, tmp_path):
    for stage in ("ppo", "dpo-eta/round1"):
        waited = tmp_path / "smoke" / "seed0" / stage / "started.json"
        _interrupt_when(waited, tmp_path)
    resumed = subprocess.run(
        command(tmp_path, "--resume", "smoke"), cwd=ROOT, capture_output=True, text=True,
        env=environment(tmp_path),
    )  # fmt: skip
    assert resumed.returncode == 0, resumed.stderr[-2000:]
    assert "reuse base:" in resumed.stdout
    assert table(tmp_path) == table(finished[0])
    assert programs(tmp_path) == programs(finished[0])


def _interrupt_when(started, outputs):
    """Run the study until a stage has begun, then press Ctrl-C."""
    process = subprocess.Popen(
        command(outputs, "--profile", "smoke"),
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(outputs),
        # A shell that runs the tests in the background has them ignore Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    )
    deadline = time.monotonic() + 900
    while not started.exists() and process.poll() is None:
        assert time.monotonic() < deadline, f"{started} was never begun"
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, printed = process.communicate(timeout=300)
    assert process.returncode == 130, printed
    assert "--resume smoke" in printed


def test_a_mistyped_parameter_is_named_before_anything_runs(tmp_path):
    wrong = subprocess.run(
        command(tmp_path, "--profile", "smoke", "-p", "sft_taks=3"),
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert wrong.returncode == 2
    assert "sft_taks" in wrong.stderr and "sft_tasks" in wrong.stderr
    assert list(tmp_path.iterdir()) == []


def test_plain_papermill_runs_one_notebook_of_a_run(finished, tmp_path):
    outputs, _ = finished
    done = subprocess.run(
        [sys.executable, "-m", "papermill", "notebooks/02_ppo.ipynb",
         str(tmp_path / "out.ipynb"), "-p", "run", "smoke", "-p", "seed", "0",
         "-p", "outputs", str(outputs), "--no-progress-bar", "--log-output"],
        cwd=ROOT, capture_output=True, text=True, stdin=subprocess.DEVNULL,
        env=environment(outputs),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert "reuse ppo" in done.stdout + done.stderr
