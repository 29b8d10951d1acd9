"""The study itself, in profile smoke: papermill runs the four notebooks for real."""

from __future__ import annotations

import csv
import gzip
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest

from eta_utils.study import Study, pairs_of, read_near
from eta_utils.study.settings import TEMPERATURES
from eta_utils.study.stages import Stage
from tests.conftest import ROOT

ARMS = {
    "PPO": "ppo",
    "GRPO": "grpo",
    "credit": "credit",
    "binary DPO, filled": "dpo-binary+filled",
    "branching": "branching",
    "ETA-DPO": "dpo-eta",
}
STAGES = (
    *("base", "sft", "sft/gate", "near", "ceiling", "rm/judged"),
    *("grpo/round1", "grpo", "dpo-eta/round1", "dpo-eta/round2"),
)
TABLES = {
    *("results", "contrasts", "temperature", "difficulty", "gate"),
    *("audit", "departure", "accuracy", "best_of_n", "reliability"),
}
KEPT = {"scores", "models", "gate", "labels", "departures", "ranked"}  # of tasks, samples


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
    """The table of results; seconds, which differ from run to run, are left out."""
    with open(folder / "smoke" / "results.csv", newline="") as file:
        header, *rows = csv.reader(file)
    kept = [place for place, name in enumerate(header) if name != "seconds"]
    return [[row[place] for place in kept] for row in (header, *rows)]


def kept(folder, name):
    return pd.read_csv(folder / "smoke" / "scores" / f"{name}0.csv.gz")


@pytest.fixture
def study(finished):
    """The study that was run."""
    return Study.begin("smoke", outputs=str(finished[0]))


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
    assert arms == ["base", "SFT", *ARMS, "ceiling"]
    assert {path.stem for path in (outputs / "smoke").glob("*.csv")} == TABLES
    scores = (outputs / "smoke" / "scores").iterdir()
    assert {path.name for path in scores} == {f"{name}0.csv.gz" for name in KEPT}


def test_each_model_is_evaluated_on_both_splits_at_the_five_temperatures(finished, study):
    scores = kept(finished[0], "scores")
    wanted = set(itertools.product(("test", "tune"), TEMPERATURES))
    models = scores.groupby(["arm", "programs"])
    # base, SFT and ceiling have one model, every other arm one after each round.
    assert len(models) == 3 + study.rounds.rounds * len(ARMS)
    for _, rows in models:
        assert set(zip(rows["split"], rows["temperature"], strict=True)) == wanted
    for split, count in (("test", 20), ("tune", 10)):
        by_model = scores[scores["split"] == split].groupby(
            ["arm", "programs", "temperature"]
        )
        assert set(by_model["task_id"].nunique()) == {count}
    assert set(scores.loc[scores["temperature"] == 0, "samples"]) == {1}


def test_near_duplicates_are_marked_in_the_scores(finished, study):
    near = read_near(Stage(study.folder, "near", 0))
    scores = kept(finished[0], "scores")
    for split in ("test", "tune"):
        marked = scores[(scores["split"] == split) & (scores["near"] == 1)]
        assert set(marked["task_id"]) == set(near.loc[near["split"] == split, "task"])


def test_the_report_stands_alone_and_tells_where_the_time_went(finished):
    page = (finished[0] / "smoke" / "report.html").read_text()
    assert "Where the time went" in page
    assert 'src="http' not in page and "<script" not in page
    assert len(page) < 5_000_000


def test_some_programs_pass_and_some_fail_so_that_pairs_and_rewards_have_work(finished):
    header, *rows = table(finished[0])
    rates = {row[0]: float(row[header.index("pass@1")]) for row in rows}
    assert all(0 < rates[arm] < 1 for arm in ARMS)
    assert rates["ceiling"] > rates["SFT"]


def test_the_tables_can_be_computed_anew_from_the_scores_by_task(finished, tmp_path):
    run = finished[0] / "smoke"
    done = subprocess.run(
        [sys.executable, "-m", "eta_utils", "recompute", str(run),
         "--out", str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert "ETA-DPO" in done.stdout
    assert {path.stem for path in tmp_path.iterdir()} == TABLES
    for name in TABLES:
        again = (tmp_path / f"{name}.csv").read_text()
        assert again == (run / f"{name}.csv").read_text()


def test_every_arm_that_executes_programs_executed_the_same_number(finished, study):
    programs = kept(finished[0], "models").groupby("arm")["programs"].max()
    assert dict(programs) == {
        **dict.fromkeys(("base", "sft", "ceiling"), 0),
        **dict.fromkeys(ARMS.values(), study.rounds.programs),
    }


def test_each_model_of_an_arm_has_a_distance_to_sft_and_its_end_the_seconds_it_took(
    finished,
):
    models = kept(finished[0], "models")
    aligned = models[models["programs"] > 0]
    assert (aligned["kl"] != 0).all() and aligned["kl"].notna().all()  # estimates
    ends = models[models["programs"] == models.groupby("arm")["programs"].transform("max")]
    assert (ends["seconds"] > 0).all()


def test_the_filled_arm_has_as_many_pairs_as_eta_makes_in_every_round(study):
    arm = "dpo-binary+filled"
    for number, drawn in ((1, "sft/samples1"), (2, f"{arm}/round1/samples2")):
        done = json.loads((study.folder / arm / f"round{number}/done.json").read_text())
        wanted = pairs_of(study, Stage(study.folder, drawn, 0), "dpo-eta", number)
        assert done["metrics"]["pairs"] == len(wanted) > 0


@pytest.mark.slow
def test_the_gate_is_printed_or_stops_the_study_with_one_sentence(finished, tmp_path):
    outputs, printed = finished
    sentence = "The gate does not hold for seed 0: "
    assert sum(sentence in line for line in printed.splitlines()) == 1
    copy = shutil.copytree(outputs, tmp_path / "outputs")
    (copy / "smoke" / "seed0" / "02_ppo.ipynb").unlink()
    stopped = subprocess.run(
        command(copy, "--resume", "smoke", "-p", "gate=stop"), cwd=ROOT,
        capture_output=True, text=True, env=environment(tmp_path),
    )  # fmt: skip
    assert stopped.returncode == 1
    assert "recompute" not in stopped.stdout  # it decides nothing but this
    assert f"01_sft, seed 0 stopped: RuntimeError: {sentence}" in stopped.stderr
    assert stopped.stderr.count("\n") == 1
    assert not (copy / "smoke" / "seed0" / "02_ppo.ipynb").exists()


def contents(folder):
    """All tables of the run, and all that they are made from."""
    run = folder / "smoke"
    return {path.name: path.read_bytes() for path in run.glob("**/*.csv*")}


@pytest.mark.slow
def test_a_second_run_makes_nothing_anew_and_gives_the_same_tables(finished):
    outputs, _ = finished
    before = contents(outputs)
    made = {
        path: path.stat().st_mtime_ns for path in outputs.glob("smoke/seed0/**/done.json")
    }
    again = subprocess.run(
        command(outputs, "--resume", "smoke"), cwd=ROOT, capture_output=True, text=True,
        env=environment(outputs),
    )  # fmt: skip
    assert again.returncode == 0, again.stderr[-2000:]
    assert "nothing to make" in again.stdout
    assert made == {path: path.stat().st_mtime_ns for path in made}
    assert contents(outputs) == before


@pytest.mark.slow
def test_interrupted_and_resumed_it_ends_with_the_same_table(finished, tmp_path):
    for stage in ("credit", "dpo-eta/round1"):
        waited = tmp_path / "smoke" / "seed0" / stage / "started.json"
        _interrupt_when(waited, tmp_path)
    resumed = subprocess.run(
        command(tmp_path, "--resume", "smoke"), cwd=ROOT, capture_output=True, text=True,
        env=environment(tmp_path),
    )  # fmt: skip
    assert resumed.returncode == 0, resumed.stderr[-2000:]
    assert "reuse base:" in resumed.stdout
    assert programs(tmp_path) == programs(finished[0])
    assert table(tmp_path) == table(finished[0])
    for name in KEPT - {"models"}:
        pd.testing.assert_frame_equal(kept(tmp_path, name), kept(finished[0], name))


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


@pytest.mark.slow
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
    assert "reuse credit" in done.stdout + done.stderr
