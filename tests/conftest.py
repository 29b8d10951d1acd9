"""Shared by all tests: where the real data lies, and small programs to judge."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from eta_utils.execution import JudgeSettings, judge
from eta_utils.execution.records import Outcome
from eta_utils.sandbox.isolation import probe
from eta_utils.sandbox.jail import RUNGS
from eta_utils.tasks import Task, pipelines

ROOT = Path(__file__).resolve().parents[1]
# The files that take minutes, longest first: `make` begins with them, so that none is
# still running when all other processes are done.
LONGEST = (
    "test_smoke_study.py",
    "study/test_reach.py",
    "browser/test_jupyterlab.py",
    "report/test_spread.py",
    "execution/test_agreement.py",
)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config, items):
    """Several processes (`-n`) take whole files in the order of the tests; alone, pytest
    keeps its own order, where quick tests find a fault first."""
    if hasattr(config, "workerinput"):  # this is one process of several
        places = {ROOT / "tests" / name: place for place, name in enumerate(LONGEST)}
        items.sort(key=lambda item: places.get(item.path, len(places)))


@pytest.fixture(autouse=True)
def own_cache(tmp_path, tmp_path_factory, monkeypatch):
    """No test reads or writes the user's cache; models are converted once for all tests."""
    monkeypatch.setenv("ETA_CACHE", str(tmp_path / "outcomes.sqlite"))
    monkeypatch.setenv("ETA_MODELS", str(tmp_path_factory.getbasetemp() / "models"))


@pytest.fixture
def data():
    """A function from a file name to its path, or a skip where the data is absent."""
    folder = Path(os.environ.get("ETA_DATA", ROOT.parent / "shared" / "data"))

    def find(name: str) -> Path:
        path = folder / name
        if not path.exists():
            pytest.skip(f"{path} is not here (set ETA_DATA to the folder that has it)")
        return path

    return find


@pytest.fixture(params=[rung for rung in RUNGS if rung != "weak"])
def rung(request):
    """Each rung that isolates; skipped, with the reason, where it does not hold."""
    finding = probe(request.param)
    if not finding.holds:
        pytest.skip(str(finding))
    return request.param


@pytest.fixture(scope="module")
def one_thread():
    """Models this small gain nothing from a second thread."""
    import torch  # takes seconds, and few test files need it

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory):
    """The built-in model, untrained, with a tokenizer that knows the built-in tasks."""
    from eta_utils.training.models import build_tiny

    place = tmp_path_factory.mktemp("tiny")
    corpus = pipelines.noisy_corpus(200, 0.35, steps=(1, 5))
    build_tiny(place, [row["prompt"] + row["completion"] for row in corpus])
    return place


def tiny_qwen(tokenizer):
    """A model of Qwen2's architecture for this tokenizer, small and of random weights."""
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=1024,
        bos_token_id=tokenizer.eos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    return Qwen2ForCausalLM(config).eval()


ADD = Task(
    task_id="add",
    prompt="def add(a, b):\n",
    entry_point="add",
    test=(
        "def check(candidate):\n"
        "    assert candidate(1, 2) == 3\n"
        "    assert candidate(0, 0) == 0\n"
        "    assert candidate(-1, 5) == 4\n"
        "    assert candidate(2, b=2) == 4\n"
    ),
    canonical_solution="    total = a + b\n    return total\n",
)


def judge_one(
    completion: str,
    task: Task = ADD,
    *,
    cache: Path | bool = False,
    keep_trace: bool = False,
    traced: bool = True,
    **settings,
) -> Outcome:
    """The outcome of one completion; `settings` are those of `JudgeSettings`."""
    sample = {"task_id": task.task_id, "completion": completion}
    [outcome] = judge(
        [sample],
        {task.task_id: task},
        JudgeSettings(**{"workers": 1} | settings),
        cache=cache,
        keep_trace=keep_trace,
        traced=traced,
    )
    return outcome
