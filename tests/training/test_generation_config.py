"""A model's `generation_config.json` bends neither samples nor training."""

from __future__ import annotations

import copy
import json

import pytest
import torch
from transformers import GenerationConfig, set_seed

from eta_utils.training.grpo import train_grpo
from eta_utils.training.models import load_model, save_model
from eta_utils.training.ppo import Batch, collate, completion_logprobs, train_ppo
from eta_utils.training.sampling import generate, sample_completions
from eta_utils.training.settings import GRPOSettings, PPOSettings, SamplingSettings
from eta_utils.training.tokens import tokenize
from tests.conftest import tiny_qwen

pytestmark = pytest.mark.usefixtures("one_thread")

PROMPTS = ["def solve(text):\n", 'def solve(nums):\n    """\n    1. sum up\n    """\n', "x"]
# Most would change what is drawn, if they counted; some cannot even be loaded.
BENDS = {
    "do_sample": {"do_sample": False},
    "temperature": {"do_sample": True, "temperature": 0.2},
    "top_k": {"do_sample": True, "top_k": 2},
    "top_p": {"do_sample": True, "top_p": 0.1},
    "min_p": {"do_sample": True, "min_p": 0.5},
    "typical_p": {"do_sample": True, "typical_p": 0.1},
    "epsilon_cutoff": {"do_sample": True, "epsilon_cutoff": 0.005},
    "repetition_penalty": {"repetition_penalty": 5.0},
    "no_repeat_ngram_size": {"no_repeat_ngram_size": 1},
    "bad_words_ids": {"bad_words_ids": [[number] for number in range(10, 500)]},
    "sequence_bias": {"sequence_bias": [[[20], 50.0]]},
    "suppress_tokens": {"suppress_tokens": list(range(10, 500))},
    "begin_suppress_tokens": {"begin_suppress_tokens": list(range(10, 500))},
    "forced_bos_token_id": {"forced_bos_token_id": 20},
    "forced_eos_token_id": {"forced_eos_token_id": 20},
    "eos_token_id": {"eos_token_id": list(range(10, 500))},
    "min_new_tokens": {"min_new_tokens": 12},
    "max_new_tokens": {"max_new_tokens": 1},
    "max_length": {"max_length": 5},
    "num_beams": {"num_beams": 3},
    "num_return_sequences": {"num_return_sequences": 4, "do_sample": True},
    "stop_strings": {"stop_strings": ["a", "e"]},
    "exponential_decay": {"exponential_decay_length_penalty": [1, 5.0]},
    "return_dict": {"return_dict_in_generate": True, "output_scores": True},
    "prompt_lookup": {"prompt_lookup_num_tokens": 3},
    "all at once": {
        "do_sample": True,
        "temperature": 0.2,
        "top_k": 2,
        "repetition_penalty": 5.0,
        "no_repeat_ngram_size": 2,
        "suppress_tokens": [30, 40, 260],
        "min_new_tokens": 12,
        "forced_eos_token_id": 20,
    },
}
DRAWN = {"n": 4, "max_new_tokens": 12, "temperature": 0.9, "seed": 5}
GREEDY = {"n": 2, "max_new_tokens": 12, "temperature": 0.0}


@pytest.fixture(scope="module")
def qwen_folder(tiny_folder, tmp_path_factory):
    place = tmp_path_factory.mktemp("qwen")
    _, tokenizer = load_model(tiny_folder)
    save_model(tiny_qwen(tokenizer), tokenizer, place)
    return place


@pytest.fixture(params=["gpt2", "qwen"])
def plain_folder(request, tiny_folder, qwen_folder):
    """A model that our own loop samples from, and one that transformers does."""
    return {"gpt2": tiny_folder, "qwen": qwen_folder}[request.param]


def bent(folder, bend):
    """A copy of the folder's model whose generation config is `bend`, as others load it."""
    model, tokenizer = load_model(folder)
    model.generation_config = GenerationConfig.from_dict(bend)
    return model, tokenizer


@pytest.mark.parametrize("bend", BENDS.values(), ids=BENDS)
def test_a_model_is_loaded_and_saved_without_its_generation_config(
    bend, tiny_folder, tmp_path
):
    plain, tokenizer = load_model(tiny_folder)
    save_model(plain, tokenizer, tmp_path / "bent")
    (tmp_path / "bent" / "generation_config.json").write_text(json.dumps(bend))
    model, tokenizer = load_model(tmp_path / "bent")
    assert model.generation_config.to_dict() == plain.generation_config.to_dict()
    save_model(model, tokenizer, tmp_path / "again")
    load_model(tmp_path / "again")


@pytest.mark.parametrize("bend", BENDS.values(), ids=BENDS)
def test_two_copies_of_a_model_write_the_same_whatever_their_generation_config(
    bend, plain_folder
):
    plain, tokenizer = load_model(plain_folder)
    model, _ = bent(plain_folder, bend)
    for settings in (DRAWN, GREEDY):
        expected = sample_completions(plain, tokenizer, PROMPTS, **settings)
        assert sample_completions(model, tokenizer, PROMPTS, **settings) == expected
    # The config is the caller's, and stays with the model.
    kept = model.generation_config.to_dict()
    assert {name: kept[name] for name in bend} == bend


def test_tokens_are_drawn_with_the_log_probs_of_scoring(qwen_folder):
    """So the importance ratio of a policy to itself is 1.

    Our own loop knows no settings; `test_sampling` counts what it draws.
    """
    model, tokenizer = bent(qwen_folder, BENDS["all at once"])
    by_transformers, kept = model.generate, []

    def with_scores(*inputs, generation_config, **more):
        generation_config.output_scores = True
        generation_config.return_dict_in_generate = True
        output = by_transformers(*inputs, generation_config=generation_config, **more)
        kept.extend(torch.stack(output.scores, 1).log_softmax(-1))  # (T, V) of each row
        return output.sequences

    model.generate = with_scores
    [tokens] = tokenize(tokenizer, PROMPTS[:1])
    set_seed(DRAWN["seed"])
    wanted = {name: DRAWN[name] for name in ("n", "temperature", "max_new_tokens")}
    [rows] = generate(model, tokenizer, [tokens.prompt], **wanted)
    pairs = [(tokens.prompt, row) for row in rows]
    with torch.no_grad():
        _, scored, _ = completion_logprobs(
            model, Batch(*collate(pairs)), DRAWN["temperature"]
        )
    drawn = torch.cat(
        [
            scores[: len(row)].gather(1, torch.tensor(row)[:, None])[:, 0]
            for row, scores in zip(rows, kept, strict=True)
        ]
    )
    assert torch.allclose(scored, drawn, atol=1e-4)


# --- Training


def length_of(prompts, completions, **_columns):
    return [float(len(text)) for text in completions]


ROWS = [{"prompt": prompt} for prompt in PROMPTS[:2]]
UPDATES = {
    "updates": 2,
    "samples_per_prompt": 4,
    "sampling": SamplingSettings(max_new_tokens=12),
}


def by_grpo(model, tokenizer, folder):
    settings = GRPOSettings(prompts=2, minibatch=8)
    return train_grpo(model, tokenizer, ROWS, length_of, settings, folder, **UPDATES)


def by_ppo(model, tokenizer, folder):
    settings, reference = PPOSettings(prompts=2, minibatch=8), copy.deepcopy(model)
    return train_ppo(
        model, reference, tokenizer, ROWS, length_of, settings, folder, **UPDATES
    )


@pytest.mark.parametrize("train", [by_grpo, by_ppo])
def test_two_copies_of_a_model_learn_the_same_whatever_their_generation_config(
    train, plain_folder, tmp_path
):
    def learnt(model, tokenizer, name):
        history = train(model, tokenizer, tmp_path / name)
        values = [
            {key: value for key, value in row.items() if not key.startswith("seconds")}
            for row in history
        ]
        return values, torch.nn.utils.parameters_to_vector(model.parameters())

    history, weights = learnt(*load_model(plain_folder), "plain")
    model, tokenizer = bent(plain_folder, BENDS["all at once"])
    its_history, its_weights = learnt(model, tokenizer, "other")
    assert its_history == history
    assert torch.equal(its_weights, weights)
