"""The study on other models and other tasks, through papermill as a user would run it."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys

import pandas as pd
import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel, GPT2TokenizerFast

from tests.conftest import ROOT, tiny_qwen

pytestmark = pytest.mark.slow

MOST_MEMORY = 6 << 20  # KiB, of the largest process


@pytest.fixture
def run(tmp_path):
    """A function that runs a study and returns its folder and what it printed."""

    def study(*more, code=0):
        words = [sys.executable, "-m", "eta_utils", "run", "--run", "it", *more]
        done = subprocess.run(
            [*words, "-p", f"outputs={tmp_path}"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            env=os.environ | {"ETA_CACHE": str(tmp_path / "cache.sqlite")},
        )
        assert done.returncode == code, done.stdout[-2000:] + done.stderr[-2000:]
        return tmp_path / "it", done.stdout + done.stderr

    return study


@pytest.fixture
def gpt2(data, tmp_path):
    """A folder with a small GPT-2 of random weights and GPT-2's own tokenizer."""
    folder = tmp_path / "gpt2"
    GPT2TokenizerFast.from_pretrained(data("gpt2_tokenizer")).save_pretrained(folder)
    torch.manual_seed(0)
    GPT2LMHeadModel(GPT2Config(n_layer=2, n_embd=128, n_head=4)).save_pretrained(folder)
    return folder


def test_the_founding_experiment_runs_at_gpt2s_vocabulary_within_6_gib(run, gpt2):
    fewer = "rounds=2 samples_per_prompt=2 test_samples=2 cool_samples=1 "
    fewer = [*fewer.split(), "max_new_tokens=64", "gate_samples=2", "curve_samples=1"]
    options = [word for each in fewer for word in ("-p", each)]
    folder, said = run(
        "--profile", "gpt2", "-p", f"model={gpt2}", "-p", "limit=10", *options
    )
    assert (folder / "report.html").exists()
    assert "left out 1 of 2 examples: over 1,024 tokens" in said
    table = pd.read_csv(folder / "results.csv")
    assert list(table["arm"]) == [
        *("base", "SFT", "GRPO", "credit", "binary DPO, filled", "ETA-DPO")
    ]
    assert (table["pass@1"] == 0).all()  # of random weights
    assert set(table["programs"]) == {0, 16}  # 2 rounds of 4 prompts and 2 samples
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss < MOST_MEMORY


@pytest.fixture
def qwen(data, tmp_path, monkeypatch):
    """A folder with a small Qwen2 of random weights and GPT-2's tokenizer; MBPP is here."""
    monkeypatch.setenv("ETA_DATA", str(data("mbpp.jsonl.gz").parent))
    folder = tmp_path / "qwen"
    tokenizer = GPT2TokenizerFast.from_pretrained(data("gpt2_tokenizer"))
    tokenizer.save_pretrained(folder)
    tiny_qwen(tokenizer).save_pretrained(folder)
    return folder


def test_profile_gpu_runs_on_a_processor_when_it_may(run, qwen):
    """In bf16, with adapters, trained on MBPP and evaluated on HumanEval with HumanEval+'s
    tests; vLLM is left out where it is not installed."""
    fewer = "rounds=1 samples_per_prompt=2 test_samples=1 cool_samples=1 gate_samples=2"
    given = f"model={qwen} device=auto lora_rank=4 limit=4 max_new_tokens=32 {fewer}"
    given = [*given.split(), "arms=grpo dpo-eta"]
    options = [word for each in given for word in ("-p", each)]
    folder, said = run("--profile", "gpu", *options)
    assert (folder / "report.html").exists()
    table = pd.read_csv(folder / "results.csv")
    assert list(table["arm"]) == ["base", "SFT", "GRPO", "ETA-DPO"]
    assert "4 held-out tasks" in said
    config = json.loads((folder / "seed0/grpo/model/config.json").read_text())
    assert config["model_type"] == "qwen2" and config["dtype"] == "float32"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_gpu_that_is_not_there_is_named_before_anything_is_written(run, qwen):
    folder, said = run("--profile", "gpu", "-p", f"model={qwen}", code=2)
    assert "parameter device: cuda was asked for, but torch" in said
    assert not folder.exists()


def test_the_study_runs_on_repair_by_one_parameter(run):
    fewer = "tasks=repair rounds=1 cool_samples=1 curve_samples=1 gate_samples=2".split()
    fewer.append("arms=grpo credit branching dpo-eta")
    options = [word for each in fewer for word in ("-p", each)]
    folder, _ = run("--profile", "smoke", *options)
    table = pd.read_csv(folder / "results.csv")
    assert {"GRPO", "credit", "branching", "ETA-DPO"} <= set(table["arm"])
    assert (folder / "report.html").exists()
    first = folder / "seed0" / "01_sft.ipynb"
    assert "# wrong: assert solve(" in first.read_text()
    # Trained for seconds, it seldom repairs anything, but it writes Python.
    done = json.loads((folder / "seed0" / "sft" / "test" / "done.json").read_text())
    statuses = done["metrics"]["statuses"]
    assert statuses.get("syntax", 0) < sum(statuses.values()) / 2


def test_a_model_that_is_not_there_is_refused_before_anything_is_written(run, tmp_path):
    missing = tmp_path / "missing"
    folder, said = run("--profile", "gpt2", "-p", f"model={missing}", code=2)
    assert f"model {missing}: there is no such folder" in said
    assert not folder.exists()


def test_a_prompt_that_does_not_fit_is_refused_before_anything_is_written(run, gpt2):
    options = ["-p", f"model={gpt2}", "-p", "max_new_tokens=900"]
    folder, said = run("--profile", "gpt2", *options, code=2)
    assert "max_new_tokens: 900 and a prompt of" in said
    assert not folder.exists()
