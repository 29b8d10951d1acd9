"""vLLM: used where it is, and refused by name where it is not or must not be."""

from __future__ import annotations

import importlib.util

import pytest

from eta_utils.common import processes
from eta_utils.common.errors import BadInput
from eta_utils.tasks import pipelines
from eta_utils.training.models import load_model
from eta_utils.training.sampling import sample_completions
from eta_utils.training.vllm import Engine, uses_vllm
from tests.conftest import tiny_qwen

THERE = importlib.util.find_spec("vllm") is not None
PROMPTS = [task.prompt for task in pipelines.generate("sft", 6, steps=(1, 3)).values()]


def test_transformers_sample_unless_vllm_is_asked_for():
    assert not uses_vllm("transformers")


@pytest.mark.skipif(THERE, reason="vLLM is installed here")
def test_vllm_where_it_is_not_installed_is_named_and_auto_does_without():
    assert not uses_vllm("auto")
    with pytest.raises(BadInput, match=r"parameter sampler: vllm .* not installed here"):
        uses_vllm("vllm")


def test_vllm_is_not_for_several_processes(monkeypatch):
    monkeypatch.setattr(processes, "count", lambda: 2)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    assert not uses_vllm("auto")
    with pytest.raises(BadInput, match="parameter sampler: vllm samples in one process"):
        uses_vllm("vllm")


@pytest.mark.slow
@pytest.mark.skipif(not THERE, reason="vLLM is not installed here: docs/scaling.md")
def test_vllm_writes_what_generate_writes(tiny_folder, tmp_path):
    _, tokenizer = load_model(tiny_folder)
    tiny_qwen(tokenizer).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    model, tokenizer = load_model(tmp_path)
    greedy = {"n": 1, "temperature": 0.0, "max_new_tokens": 12}
    drawn = {"n": 4, "temperature": 1.0, "max_new_tokens": 12}
    with Engine(tmp_path, "fp32") as engine:
        assert sample_completions(engine, tokenizer, PROMPTS, **greedy) == (
            sample_completions(model, tokenizer, PROMPTS, **greedy)
        )
        first, again, other = (
            sample_completions(engine, tokenizer, PROMPTS, seed=seed, **drawn)
            for seed in (1, 1, 2)
        )
    assert first == again != other
    texts = [sample.text for group in first for sample in group]
    assert len(set(texts)) > len(texts) / 2
