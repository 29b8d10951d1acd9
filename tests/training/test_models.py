"""Models are built, saved and loaded; what cannot be loaded is said in a sentence."""

from __future__ import annotations

import json
import socket
import threading
import time

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel, GPT2TokenizerFast

from eta_utils.common.errors import BadInput
from eta_utils.tasks import pipelines
from eta_utils.training.models import (
    TINY_VOCABULARY,
    build_tiny,
    load_config,
    load_model,
    load_tokenizer,
    parameter_count,
    save_model,
)
from eta_utils.training.reward_model import load_reward_model
from eta_utils.training.sampling import sample_completions
from eta_utils.training.settings import SFTSettings
from eta_utils.training.sft import train_sft

CORPUS = [row["prompt"] + row["completion"] for row in pipelines.noisy_corpus(20, 0.0)]

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def loaded(tiny_folder):
    return load_model(tiny_folder)


def test_the_tiny_model_is_as_large_as_it_says(loaded):
    model, tokenizer = loaded
    # Embeddings of 576 tokens and 256 positions, 2 layers of 12 d^2 + 13 d, one norm.
    assert len(tokenizer) == 576
    assert parameter_count(model) == (576 + 256) * 128 + 2 * (12 * 128**2 + 13 * 128) + 256


def test_a_saved_model_writes_the_same_when_loaded(loaded, tmp_path):
    model, tokenizer = loaded
    prompts = ["def solve(nums):\n", "def solve(text):\n"]
    save_model(model, tokenizer, tmp_path)
    again, its_tokenizer = load_model(tmp_path)
    assert not again.training
    before = sample_completions(model, tokenizer, prompts, seed=3)
    assert before == sample_completions(again, its_tokenizer, prompts, seed=3)


def test_who_may_read_the_configuration_may_read_the_weights(loaded, tmp_path):
    save_model(*loaded, tmp_path)
    assert len({path.stat().st_mode for path in tmp_path.iterdir()}) == 1


def test_a_seed_builds_the_same_model_twice_and_another_another(tmp_path):
    def weights(name, seed):
        build_tiny(tmp_path / name, CORPUS, seed=seed)
        model, _ = load_model(tmp_path / name)
        return torch.nn.utils.parameters_to_vector(model.parameters())

    first = weights("first", 1)
    assert torch.equal(first, weights("again", 1))
    assert not torch.equal(first, weights("other", 2))


def test_a_longer_context_is_seen_whole(tmp_path):
    build_tiny(tmp_path, CORPUS, context=512)
    model, tokenizer = load_model(tmp_path)
    long = "a = 1\n" * 100
    assert len(tokenizer(long)["input_ids"]) > 256
    sample_completions(model, tokenizer, [long])


# --- What cannot be loaded


def refused(folder):
    with pytest.raises(BadInput, match=rf"model {folder}: ") as caught:
        load_model(folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_folder_that_is_not_there_says_how_to_get_it(tmp_path):
    message = refused(tmp_path / "nowhere")
    assert "no such folder" in message
    assert "hf download" in message


@pytest.fixture
def no_network(monkeypatch):
    """Whatever asks for an address fails, and is listed."""
    asked = []

    def refuse(host, *_more, **_options):
        asked.append(host)
        raise OSError(f"no address for {host}")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    return asked


def test_a_model_of_a_run_that_is_missing_is_not_asked_for_on_the_hub(tmp_path, no_network):
    for load in (load_model, load_tokenizer, load_config, load_reward_model):
        with pytest.raises(BadInput, match="there is no such folder"):
            load(tmp_path / "model")
    assert no_network == []


def test_loading_and_training_ask_for_no_address(tmp_path, tiny_folder, no_network):
    model, tokenizer = load_model(tiny_folder)
    rows = [{"prompt": "def f(x):\n", "completion": "    return x\n"}] * 4
    train_sft(model, tokenizer, rows, SFTSettings(batch=2), tmp_path, seed=0)
    load_reward_model(tiny_folder)
    for thread in threading.enumerate():  # telemetry is sent from one
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join(5)
    time.sleep(0.5)
    assert no_network == []


def test_a_folder_without_a_tokenizer_is_named(tmp_path, loaded):
    loaded[0].save_pretrained(tmp_path)
    assert "has no tokenizer" in refused(tmp_path)
    (tmp_path / "empty").mkdir()
    assert "has no tokenizer" in refused(tmp_path / "empty")


def test_a_folder_without_weights_is_named(tmp_path, loaded):
    loaded[1].save_pretrained(tmp_path)
    assert "has no configuration" in refused(tmp_path)
    loaded[0].config.save_pretrained(tmp_path)
    assert "has no weights" in refused(tmp_path)


def test_a_tokenizer_that_cannot_pad_or_end_a_text_is_named(tmp_path, tiny_folder):
    model, tokenizer = load_model(tiny_folder)
    save_model(model, tokenizer, tmp_path)
    path = tmp_path / "tokenizer_config.json"
    config = json.loads(path.read_text())
    kept = {name: value for name, value in config.items() if not name.endswith("_token")}
    path.write_text(json.dumps(kept))
    assert "no token that ends a text" in refused(tmp_path)


def test_a_model_that_pads_with_nothing_of_its_own_pads_with_its_end_of_text(loaded):
    _, tokenizer = loaded
    assert tokenizer.pad_token == tokenizer.eos_token
    assert tokenizer.padding_side == "left"


def test_a_tokenizer_of_another_model_is_named(tmp_path, data, loaded):
    GPT2TokenizerFast.from_pretrained(data("gpt2_tokenizer")).save_pretrained(tmp_path)
    small = GPT2Config(vocab_size=TINY_VOCABULARY, n_embd=8, n_layer=1, n_head=1)
    GPT2LMHeadModel(small).save_pretrained(tmp_path)
    assert "that of another model" in refused(tmp_path)
