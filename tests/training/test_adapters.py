"""Adapters: they alone learn, and what is saved is a plain model that knows it all."""

from __future__ import annotations

import copy

import pytest
import torch

from eta_utils.tasks import at_token_boundary, pipelines
from eta_utils.training.dpo import train_dpo
from eta_utils.training.models import (
    adapt,
    adapted_layers,
    load_model,
    parameter_count,
    save_model,
)
from eta_utils.training.ppo import train_ppo
from eta_utils.training.reward_model import load_reward_model, score, train_reward_model
from eta_utils.training.sampling import sample_completions, to_sample_from
from eta_utils.training.settings import (
    DPOSettings,
    PPOSettings,
    RewardModelSettings,
    SamplingSettings,
    SFTSettings,
)
from eta_utils.training.sft import train_sft
from tests.conftest import tiny_qwen

pytestmark = pytest.mark.usefixtures("one_thread")

TASKS = list(pipelines.generate("sft", 16, steps=(1, 3)).values())
EXAMPLES = [{"prompt": t.prompt, "completion": t.canonical_solution} for t in TASKS]
FAST = SFTSettings(learning_rate=1e-2, batch=4)


def pair(task):
    prompt, chosen = at_token_boundary(task.prompt, task.canonical_solution)
    rejected = "\n    return None\n"
    return {
        "prompt": prompt,
        "chosen": chosen,
        "rejected": rejected,
        "winner_passes": True,
    }


@pytest.fixture(params=["gpt2", "qwen2"])
def loaded(request, tiny_folder):
    """A small model of each architecture, with the tokenizer of the built-in one."""
    model, tokenizer = load_model(tiny_folder)
    if request.param == "qwen2":
        model = tiny_qwen(tokenizer)
    return model, tokenizer


def weights_by_name(model):
    return {name: weight.detach().clone() for name, weight in model.named_parameters()}


@torch.inference_mode()
def logits(model):
    return model(torch.arange(40)[None]).logits


def test_only_adapters_learn_and_a_plain_model_is_saved(loaded, tmp_path):
    model, tokenizer = loaded
    before, said = weights_by_name(model), logits(model)
    adapt(model, rank=4)
    assert torch.equal(logits(model), said)  # they begin without effect
    train_sft(model, tokenizer, EXAMPLES, FAST, tmp_path)
    for name, weight in model.named_parameters():
        if "lora_" not in name:
            assert torch.equal(weight, before[name.replace(".base_layer", "")]), name
    assert not torch.allclose(logits(model), said, atol=1e-2)
    save_model(model, tokenizer, tmp_path / "model")
    again, _ = load_model(tmp_path / "model")
    assert torch.allclose(logits(again), logits(model), atol=1e-5)
    assert weights_by_name(again).keys() == before.keys()
    assert all(weight.requires_grad for weight in again.parameters())


def test_few_weights_learn(loaded):
    model, _ = loaded
    adapt(model, rank=2)
    learning = sum(w.numel() for w in model.parameters() if w.requires_grad)
    assert 0 < learning < parameter_count(model) / 10


def test_dpo_trains_adapters(loaded, tmp_path):
    model, tokenizer = loaded
    reference, before = copy.deepcopy(model), logits(model)
    adapt(model, rank=4)
    settings = DPOSettings(learning_rate=1e-2, batch=4)
    pairs = [pair(task) for task in TASKS]
    history = train_dpo(model, reference, tokenizer, pairs, settings, tmp_path)
    assert float(history[-1]["loss"]) < float(history[0]["loss"])
    save_model(model, tokenizer, tmp_path / "model")
    again, _ = load_model(tmp_path / "model")
    assert not torch.allclose(logits(again), before, atol=1e-2)
    assert torch.allclose(logits(again), logits(model), atol=1e-4)


def test_ppo_samples_from_its_adapters_and_its_snapshots_are_plain(loaded, tmp_path):
    policy, tokenizer = loaded
    reference, before = copy.deepcopy(policy), logits(policy)
    adapt(policy, rank=4)
    settings = PPOSettings(prompts=4, minibatch=4, learning_rate=1e-2)
    how = {
        "updates": 2,
        "samples_per_prompt": 2,
        "sampling": SamplingSettings(max_new_tokens=12),
    }
    rows = [{"prompt": task.prompt} for task in TASKS]
    train_ppo(
        policy,
        reference,
        tokenizer,
        rows,
        lambda prompts, completions: [float(len(text)) for text in completions],
        settings,
        tmp_path,
        **how,
        snapshots=[2],
        log=lambda line: None,
    )
    snapshot, _ = load_model(tmp_path / "update2")
    assert torch.allclose(logits(snapshot), logits(policy), atol=1e-4)
    assert not torch.allclose(logits(snapshot), before, atol=1e-2)
    asked = {"n": 1, "temperature": 0.0, "max_new_tokens": 8}
    prompts = [task.prompt for task in TASKS[:3]]
    wrote = sample_completions(policy, tokenizer, prompts, **asked)
    assert sample_completions(snapshot, tokenizer, prompts, **asked) == wrote


def test_a_reward_models_head_learns_beside_its_adapters(tiny_folder, tmp_path):
    pairs = [pair(task) for task in TASKS]
    start, _ = load_reward_model(tiny_folder)
    model, tokenizer = train_reward_model(
        tiny_folder, pairs, RewardModelSettings(4, 1e-2), tmp_path, lora_rank=4
    )
    save_model(model, tokenizer, tmp_path / "model")
    again, _ = load_reward_model(tmp_path / "model")
    prompts, texts = [TASKS[0].prompt], [TASKS[0].canonical_solution]
    expected = score(model, tokenizer, prompts, texts)
    assert score(again, tokenizer, prompts, texts) == pytest.approx(expected, abs=1e-4)
    assert not torch.equal(again.score.weight, start.score.weight)


def test_samples_are_drawn_from_the_adapted_weights_rounded_once(loaded):
    model, _ = loaded
    adapt(model, 4)
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.1)
    before = weights_by_name(model)
    twin = to_sample_from(model, bf16=True)
    for name, layer in adapted_layers(twin).items():
        whole = adapted_layers(model)[name]
        expected = whole.get_base_layer().weight + whole.get_delta_weight("default")
        assert torch.equal(layer.get_base_layer().weight, expected.to(torch.bfloat16))
    assert {weight.dtype for weight in twin.parameters()} == {torch.bfloat16}
    assert all(torch.equal(before[name], w) for name, w in model.named_parameters())
    assert (logits(twin).float() - logits(model)).abs().max() < 0.1
    assert to_sample_from(model, bf16=False) is model


def test_a_copy_to_sample_from_keeps_the_positions_exact(loaded):
    """Rotary frequencies of bf16 would be off by a tenth of a turn after 500 tokens."""
    model, _ = loaded
    kept = dict(to_sample_from(model, bf16=True).named_buffers())
    assert all(torch.equal(kept[name], buffer) for name, buffer in model.named_buffers())
