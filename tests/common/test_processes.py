"""Several processes of one training do together what one does."""

from __future__ import annotations

import os
import subprocess
import sys

import pandas as pd
import pytest
import torch
from torch.distributed import HashStore

from eta_utils.cli import main
from eta_utils.common import processes
from eta_utils.common.files import BadInput, read_jsonl, write_json
from tests.conftest import ROOT

SMALL = (
    "corpus_tasks=1600 sft_tasks=32 rounds=1 prompts_per_round=16 test_tasks=8 "
    "sft_batch=8 dpo_batch=4 dpo_arms=eta limit=4 eta_rm=0"
).split()


@pytest.fixture
def second_of_two(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")


def test_a_process_alone_is_the_first_of_one():
    assert (processes.count(), processes.rank(), processes.is_first()) == (1, 0, True)
    assert processes.from_first(lambda: "made") == "made"
    assert processes.gathered({1: 2}) == {1: 2}


def test_a_process_that_leaves_is_in_no_group(second_of_two):
    torch.distributed.init_process_group("gloo", store=HashStore(), rank=0, world_size=1)
    processes.leave()
    assert not torch.distributed.is_initialized()
    processes.leave()  # a bad parameter is found before there is a group


def test_what_another_process_writes_goes_nowhere(second_of_two, tmp_path):
    write_json(tmp_path / "it.json", {"a": 1})
    assert not list(tmp_path.iterdir())


def test_a_batch_that_cannot_be_shared_is_named(second_of_two):
    assert processes.share_of(16) == 8
    with pytest.raises(BadInput, match="batches of 9 cannot be shared evenly by 2"):
        processes.share_of(9)


def test_all_batches_are_checked_before_anything_is_made(second_of_two, tmp_path, capsys):
    words = ["train", "-p", "dpo_batch=7", "-p", f"outputs={tmp_path / 'o'}"]
    assert main(words) == 2
    assert not (tmp_path / "o").exists()


def test_other_commands_are_not_for_several_processes(monkeypatch, capsys):
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert main(["run", "--profile", "smoke"]) == 2
    assert "this is one of 2 processes (WORLD_SIZE)" in capsys.readouterr().err


def train(outputs, *launcher):
    words = [word for each in SMALL for word in ("-p", each)]
    command = [*launcher, "-m", "eta_utils", "train", "--profile", "smoke", *words]
    done = subprocess.run(
        [*command, "-p", f"outputs={outputs}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        # Of torch's threads each process has one, so that sums are taken alike.
        env=os.environ | {"OMP_NUM_THREADS": "1", "ETA_CACHE": f"{outputs}.sqlite"},
        timeout=300,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return outputs / "smoke" / "seed0", done.stdout


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """The folders of one study by one process and by two, and what these said."""
    place = tmp_path_factory.mktemp("processes")
    launch = "-m accelerate.commands.launch --multi_gpu --num_processes 2".split()
    one, _ = train(place / "one", sys.executable)
    two, said = train(place / "two", sys.executable, *launch)
    assert "2 process(es)" in said
    return one, two, said


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["base", "sft", "dpo-eta/round1"])
def test_two_processes_have_the_loss_curve_of_one(both, stage):
    one, two = (pd.read_csv(folder / stage / "history.csv")["loss"] for folder in both[:2])
    assert len(one) == len(two) > 2
    # The last batch may not be full: accelerate fills it up with the first rows.
    one, two = one[:-1].to_numpy(), two[:-1].to_numpy()
    # The NLL of DPO's winners is a mean over each process' share.
    assert two == pytest.approx(one, abs=5e-3 if stage.startswith("dpo") else 1e-4)


@pytest.mark.slow
def test_two_processes_draw_the_samples_of_one_and_judge_them_once(both):
    one, two = (
        [
            row["completion"]
            for _, row in read_jsonl(folder / "sft/samples1/outcomes.jsonl.gz")
        ]
        for folder in both[:2]
    )
    same = sum(a == b for a, b in zip(one, two, strict=True))
    assert same >= 0.9 * len(one)  # a sum rounded otherwise may turn a draw
    said = both[2].splitlines()
    assert said.count("seed 0, sft") == 1  # by the first process alone
