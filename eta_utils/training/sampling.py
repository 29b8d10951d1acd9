"""Completions sampled from a model: by our own loop, by vLLM, or by `generate`.

>>> model, tokenizer = load_model(folder)
>>> [[sampled]] = sample_completions(model, tokenizer, [task.prompt], n=1)
>>> task.prompt + sampled.text                     # a program

An `Engine` in the model's place samples by vLLM.  Architectures whose samples cannot share
a prompt (`ragged.shares`) take transformers' `generate`.

A sample of our own loop ends where its function does (GPT-2's end at their end of text
alone): what would follow is cut from its text, so no test and no reward can see it.

All three draw from the policy itself, softmax(logits / temperature), which is what training
and scoring take the probabilities of.  A model may come with a `generation_config.json`
that bends it (`top_p`, `repetition_penalty`, beams, ...): none of it counts here.
"""

from __future__ import annotations

import contextlib
import copy
import random
import sys
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import nn
from transformers import (
    GenerationConfig,
    GPT2LMHeadModel,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    set_seed,
)

from eta_utils.common import processes
from eta_utils.tasks import at_token_boundary
from eta_utils.tasks.cleaning import cut_at_function_end, has_ended
from eta_utils.training import decoding, ragged
from eta_utils.training.models import (
    adapted_layers,
    adapted_weights,
    check_context,
    context_of,
)
from eta_utils.training.ragged import shares
from eta_utils.training.tokens import tokenize
from eta_utils.training.vllm import Engine

# Most memory for the attention caches of one batch, by device.
CACHE_BYTES = {"cpu": 1 << 30, "cuda": 8 << 30}


class Sampled(NamedTuple):
    """One completion.

    `prompt_ids` are the ids that the model was given, and `ids` those that it wrote.  These
    include the end of text, unless `max_new_tokens` came first.  `text` is what they say
    up to the function's end.
    """

    prompt_ids: list[int]
    ids: list[int]
    text: str


def sample_completions(
    model: PreTrainedModel | Engine,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    n: int = 1,
    *,
    temperature: float | Sequence[float] = 1.0,
    max_new_tokens: int = 96,
    seed: int = 0,
    batch_size: int = 256,
    cut_prompts: bool = False,
    share_out: bool = False,
    begun: Sequence[Sequence[int]] | None = None,
) -> list[list[Sampled]]:
    """`n` completions of each prompt, in the order of the prompts.

    At temperature 0 they are greedy; each of the n may have its own temperature.  The model
    is given the prompt without its last newlines and writes them itself, as in training
    (`tasks.at_token_boundary`).  The text is without them, so that `prompt + text` is the
    program.

    A batch of GPT-2 has at most `batch_size` rows, and caches of at most `CACHE_BYTES`.
    Those of other models are that large if all samples take half of `max_new_tokens`, and
    twice if they take all.  With
    `share_out` the processes of a training sample different batches and exchange them.
    Each then returns the samples that a single process would have drawn.

    `begun` are the ids, for each prompt, with which all its completions begin (branching).
    They count for `max_new_tokens`, and are part of the completion.

    Raises BadInput for a prompt that leaves no room for `max_new_tokens` in the model's
    context.  With `cut_prompts` such a prompt loses its start instead, though not a BOS.
    """
    if not prompts:
        return []
    if isinstance(temperature, Sequence) and not _own_temperatures(model):
        more = {"batch_size": batch_size, "cut_prompts": cut_prompts}
        more |= {"max_new_tokens": max_new_tokens, "share_out": share_out, "seed": seed}
        return _by_temperature(model, tokenizer, prompts, temperature, begun=begun, **more)
    newlines = [at_token_boundary(prompt, "")[1] for prompt in prompts]
    room = context_of(model.config) - max_new_tokens
    most = room if cut_prompts and room > 0 else None
    ids = [tokens.prompt for tokens in tokenize(tokenizer, prompts, longest_prompt=most)]
    longest_prompt = max(map(len, ids))
    check_context(model.config, longest_prompt, max_new_tokens)
    size = _prompts_at_once(model, n, longest_prompt, max_new_tokens, batch_size)
    begun = [()] * len(ids) if begun is None else begun
    given = [[*prompt_ids, *first] for prompt_ids, first in zip(ids, begun, strict=True)]
    limits = [max_new_tokens - len(first) for first in begun]
    written: dict[int, list[list[int]]] = {}  # ids of the completions, by prompt
    for number, batch in enumerate(_batches(given, size)):
        if share_out and number % processes.count() != processes.rank():
            continue
        # A seed for each batch, so that it does not matter which process draws it.  The two
        # numbers are not added: batch 1 of seed 0 would repeat batch 0 of seed 1.
        batch_seed = random.Random(f"{seed} {number}").getrandbits(31)
        completions = _complete(
            model,
            tokenizer,
            [given[prompt] for prompt in batch],
            n,
            batch_seed,
            temperature=temperature,
            limits=[limits[prompt] for prompt in batch],
            before=[(newlines[prompt], begun[prompt]) for prompt in batch],
        )
        written |= zip(batch, completions, strict=True)
    if share_out:
        written = processes.gathered(written)
    return [
        [
            Sampled(prompt_ids, row, _text(tokenizer, row, newlines[prompt]))
            for row in ([*begun[prompt], *own] for own in written[prompt])
        ]
        for prompt, prompt_ids in enumerate(ids)
    ]


def _own_temperatures(model: PreTrainedModel | Engine) -> bool:
    """Whether the samples of one prompt may have temperatures of their own."""
    if isinstance(model, Engine | GPT2LMHeadModel):
        return False
    return shares(model)


def _by_temperature(
    model: PreTrainedModel | Engine,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    temperatures: Sequence[float],
    **settings: object,
) -> list[list[Sampled]]:
    """As `sample_completions`, one temperature after the other."""
    of_heat = {
        heat: sample_completions(
            model,
            tokenizer,
            prompts,
            list(temperatures).count(heat),
            temperature=heat,
            **settings,
        )
        for heat in dict.fromkeys(temperatures)
    }
    parts = [
        {heat: iter(of_heat[heat][i]) for heat in of_heat} for i in range(len(prompts))
    ]
    return [[next(part[heat]) for heat in temperatures] for part in parts]


def to_sample_from(policy: PreTrainedModel, bf16: bool) -> PreTrainedModel:
    """The policy that learns; a copy with bf16 weights, if it learns in that precision.

    Autocast rounds the weights to bf16 for every product.  A copy that holds them so gives
    the same products, and samples two to three times as fast.  Buffers stay as they are:
    bf16 has too few digits for the frequencies of rotary positions.  LoRA adapters are
    merged into the copy's weights, before these are rounded.
    """
    if not bf16:
        return policy
    weights = {weight: weight.detach() for weight in policy.parameters()}
    weights |= adapted_weights(policy)
    # `deepcopy` takes these for copies that it has made already.
    made = {
        id(weight): nn.Parameter(value.to(torch.bfloat16), requires_grad=False)
        for weight, value in weights.items()
    }
    twin = copy.deepcopy(policy, made)
    for layer in adapted_layers(twin).values():
        layer.enable_adapters(False)
    return twin


def _batches(ids: list[list[int]], size: int) -> list[list[int]]:
    """Numbers of prompts in batches: similar lengths together, so that little is padded."""
    order = sorted(range(len(ids)), key=lambda prompt: (len(ids[prompt]), prompt))
    return [order[start : start + size] for start in range(0, len(order), size)]


def _prompts_at_once(
    model: PreTrainedModel | Engine, n: int, prompt: int, completion: int, rows: int
) -> int:
    """How many prompts, with n samples each, make a batch: at most `rows` samples, whose
    caches fit CACHE_BYTES.  `prompt` and `completion` are the longest ones, in tokens.

    vLLM takes all at once and divides its memory itself.
    """
    if isinstance(model, Engine):
        return sys.maxsize
    room = CACHE_BYTES.get(model.device.type, CACHE_BYTES["cpu"])
    if isinstance(model, GPT2LMHeadModel) or not shares(model):
        size = (prompt + completion) * _cache_bytes(model.config, 4)
        return max(1, min(rows, room // size) // n)
    # The samples' caches grow as they write, and most samples end long before the longest.
    tokens = prompt + n * completion // 2
    return max(1, room // (tokens * _cache_bytes(model.config, model.dtype.itemsize)))


def _cache_bytes(config: PretrainedConfig, width: int) -> int:
    """Bytes of the keys and values of one token, of `width` bytes for a number.

    With grouped-query attention several heads share keys and values, so fewer are kept.
    """
    heads = config.num_attention_heads
    kept = getattr(config, "num_key_value_heads", None) or heads
    # 2 (key and value) x layers x width, of which kept / heads is stored
    return 2 * width * config.num_hidden_layers * config.hidden_size * kept // heads


def _complete(
    model: PreTrainedModel | Engine,
    tokenizer: PreTrainedTokenizerBase,
    prompts: list[list[int]],
    n: int,
    seed: int,
    *,
    temperature: float | Sequence[float],
    limits: list[int],
    before: list[tuple[str, Sequence[int]]],
) -> list[list[list[int]]]:
    """As `decoding.decode`, by the sampler that suits the model.

    `before` are, for each prompt, the newlines that its text begins with, and the ids of
    the completion that stand in the prompt.
    """
    settings = {"temperature": temperature, "max_new_tokens": max(limits)}
    if not isinstance(model, Engine) and shares(model):
        generator = torch.Generator(model.device).manual_seed(seed)
        settings |= {"generator": generator, "limits": limits}
        if isinstance(model, GPT2LMHeadModel):
            return decoding.decode(model, prompts, n, **settings)

        def over(prompt: int, ids: list[int]) -> bool:
            newlines, begun = before[prompt]
            text = tokenizer.decode([*begun, *ids], skip_special_tokens=True)
            return has_ended(text.removeprefix(newlines))

        # Greedy samples of a prompt are all the same.
        drawn = 1 if temperature == 0 else n
        groups = ragged.decode(model, prompts, drawn, over=over, **settings)
        return [group * (n // drawn) for group in groups]
    if isinstance(model, Engine):
        written = model.complete(prompts, n, seed, **settings)
    else:
        set_seed(seed)  # generate draws from the global generator
        written = generate(model, tokenizer, prompts, n, **settings)
    return [
        [row[:limit] for row in rows] for rows, limit in zip(written, limits, strict=True)
    ]


@torch.inference_mode()
def generate(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: list[list[int]],
    n: int,
    *,
    temperature: float,
    max_new_tokens: int,
) -> list[list[list[int]]]:
    """As `decoding.decode`, for any architecture, by transformers."""
    # To the left, so that each prompt's last token stands beside the first that is sampled.
    padded = tokenizer.pad(
        {"input_ids": prompts}, padding_side="left", return_tensors="pt"
    ).to(model.device)
    # Without top_k=0 transformers would draw from the 50 likeliest tokens alone.
    drawing = {"do_sample": True, "temperature": temperature, "top_k": 0, "top_p": 1.0}
    drawn = n if temperature else 1  # greedy samples of a prompt are all the same
    settings = GenerationConfig(
        max_new_tokens=max_new_tokens,
        num_return_sequences=drawn,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        **(drawing if temperature else {"do_sample": False}),
    )
    with _own_generation_config_set_aside(model):
        # (P n, L + T): the prompts, padded, then the completions
        output = model.generate(**padded, generation_config=settings)
    rows = output[:, padded["input_ids"].shape[1] :].tolist()
    end = tokenizer.eos_token_id
    rows = [row[: row.index(end) + 1] if end in row else row for row in rows]
    groups = [rows[start : start + drawn] for start in range(0, len(rows), drawn)]
    return [group * (n // drawn) for group in groups]


@contextlib.contextmanager
def _own_generation_config_set_aside(model: PreTrainedModel) -> Iterator[None]:
    """`generate` fills each setting that it is not given from the model's own ones."""
    own, model.generation_config = model.generation_config, GenerationConfig()
    try:
        yield
    finally:
        model.generation_config = own


def _text(tokenizer: PreTrainedTokenizerBase, ids: list[int], newlines: str) -> str:
    """What the ids say, without the newlines that stand in the prompt, cut."""
    text = tokenizer.decode(ids, skip_special_tokens=True)
    return cut_at_function_end(text.removeprefix(newlines))
