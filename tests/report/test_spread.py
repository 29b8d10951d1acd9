"""A study on a Dask cluster: arms are jobs, notebooks reuse them, no work is lost."""

from __future__ import annotations

import os
import signal
import threading
import time

import pandas as pd
import pytest
from distributed import LocalCluster

from eta_utils.cli import main
from eta_utils.report.cluster import connected
from eta_utils.study import jobs
from eta_utils.study.study import Study

SMALL = (
    "corpus_tasks=1600 sft_tasks=32 rounds=1 prompts_per_round=16 test_tasks=8 limit=4 "
    "tune_tasks=6"
).split()
SMALL.append("arms=grpo dpo-eta")


def test_each_arm_is_a_job_and_comes_after_the_jobs_that_it_needs(tmp_path):
    arms = {"arms": "ceiling dpo-eta ppo-rm grpo dpo-binary+filled", "eta_rm": 0}
    study = Study.planned("it", "smoke", outputs=str(tmp_path), **arms)
    names = jobs.names_of(study)
    assert names == (
        *("sft", "rm", "ppo-rm", "grpo", "dpo-binary+filled", "dpo-eta", "ceiling"),
    )
    assert jobs.needs(study, "sft") == ()
    assert jobs.needs(study, "ceiling") == jobs.needs(study, "grpo") == ("sft",)
    assert jobs.needs(study, "ppo-rm") == ("sft", "rm")
    for place, name in enumerate(names):
        assert set(jobs.needs(study, name)) <= set(names[:place])


def test_an_arm_that_is_not_in_the_study_is_named(tmp_path, capsys):
    words = ["train", "--profile", "smoke", "--arms", "dpo-fraction"]
    assert main([*words, "-p", f"outputs={tmp_path / 'o'}"]) == 2
    errors = capsys.readouterr().err
    assert (
        "--arms dpo-fraction: this study has no such arm; it has sft, rm, ppo, grpo"
        in errors
    )
    assert not (tmp_path / "o").exists()


def test_the_number_of_jobs_is_refused_with_a_cluster(capsys):
    assert main("run --dask tcp://127.0.0.1:9 --jobs 2".split()) == 2
    assert "--jobs: with --dask" in capsys.readouterr().err


@pytest.mark.slow
def test_a_study_runs_on_a_cluster_and_survives_a_worker(tmp_path, capfd):
    sizes = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    words = ["run", "--profile", "smoke", *(w for value in SMALL for w in ("-p", value))]
    base = tmp_path / "smoke" / "seed0" / "base"
    with LocalCluster(**sizes) as local:
        address = local.scheduler_address

        def kill_the_worker_of_the_base():
            """While the base is trained: one worker does that, the other is idle."""
            while not (base / "started.json").exists():
                time.sleep(0.1)
            with connected(address) as client:
                [busy] = [name for name, keys in client.processing().items() if keys]
                os.kill(client.run(os.getpid)[busy], signal.SIGKILL)

        # A daemon: where the base is never begun, the test fails and the thread is left.
        killer = threading.Thread(target=kill_the_worker_of_the_base, daemon=True)
        killer.start()
        assert main([*words, "--dask", address, "-p", f"outputs={tmp_path}"]) == 0
        killer.join()
    printed = capfd.readouterr().out
    done = [line.split(":")[0] for line in printed.splitlines() if ", seed 0: " in line]
    assert done[0] == "sft, seed 0"
    assert sorted(done[1:4]) == ["dpo-eta, seed 0", "grpo, seed 0", "rm, seed 0"]
    assert done[4:] == ["01_sft, seed 0", "02_ppo, seed 0", "03_eta_dpo, seed 0"]
    for name in ("sft", "grpo", "rm", "dpo-eta"):  # each job has a log file of its own
        assert "seed 0" in (base.parent / f"{name}.log").read_text()
    for notebook in ("01_sft", "02_ppo", "03_eta_dpo"):
        text = (base.parent / f"{notebook}.ipynb").read_text()
        assert "reuse sft: same parameters" in text
        assert "recompute" not in text and "steps/s" not in text
    table = pd.read_csv(tmp_path / "smoke" / "results.csv")
    assert list(table["arm"]) == ["base", "SFT", "GRPO", "ETA-DPO"]
    assert (tmp_path / "smoke" / "report.html").exists()
