"""Ids of prompts and completions: the one place where training and sampling tokenize.

>>> [tokens] = tokenize(tokenizer, ["def f(x):\\n"], ["    return x\\n"], end=True)
>>> tokens.prompt, tokens.completion               # what a model is given, what it learns
>>> [tokens] = tokenize(tokenizer, ["def f(x):\\n"])
>>> tokens.prompt                                  # the same: sampling begins there

Some tokenizers put a token before each text that they are given, as Llama's do with BOS
(the beginning of a sequence), or one after it.  A completion that is tokenized by itself
then brings a second BOS into the middle, and a prompt may end before the model begins.
Here such a token comes first, once, and nothing comes after the prompt.  A tokenizer that
adds none, as GPT-2's, gets none.

**Chat.**  Where the tokenizer has a chat template (`models.load_tokenizer` decides that),
the model is asked for a function, and its answer has been begun: `REQUEST` is the message,
and the assistant has said `OPENING` and the prompt.  The model then writes just
what any other model writes, the rest of the function.  So samples, traces, pairs and
credit are the same thing for both.  The answer's code block ends where the function does,
at the fence, which stands at the margin (`cleaning.cut_at_function_end`).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

from transformers import PreTrainedTokenizerBase

from eta_utils.tasks import at_token_boundary

# Without the function itself, which the answer begins with.  To show it here, too, makes
# prompts longer by two thirds and hardly helps: 0.107 of 48 MBPP tasks, and 0.094 without.
REQUEST = "Complete this Python function."
OPENING = "```python\n"


class Tokens(NamedTuple):
    """The ids of one text in two parts, of which the model writes the second."""

    prompt: list[int]
    completion: list[int]

    @property
    def ids(self) -> list[int]:
        """Both parts, as a model reads them."""
        return self.prompt + self.completion


def tokenize(
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    completions: Sequence[str] | None = None,
    *,
    end: bool = False,
    longest_prompt: int | None = None,
) -> list[Tokens]:
    """The ids of each prompt and its completion, parted at the token boundary.

    The prompt's last newlines belong to the completion (`tasks.at_token_boundary`).  With
    `end` a completion ends with the end of text.  A prompt of more ids than
    `longest_prompt` loses those at its start, though not the BOS.

    A prompt whose text begins with the BOS that the tokenizer adds gets no second one, and
    a completion whose text ends with the end of text gets no second one.  Elsewhere the
    text of a special token is text: in a program "<s>" is a tag of HTML.
    """
    if not prompts:
        return []
    chat = bool(tokenizer.chat_template)
    first = asked(tokenizer) if chat else _first_ids(tokenizer)
    last = [tokenizer.eos_token_id] if end else []
    bos = tokenizer.bos_token if tokenizer.bos_token_id in first else ""
    eos = tokenizer.eos_token if end else ""
    answers = [""] * len(prompts) if completions is None else completions
    parts = [
        at_token_boundary(prompt.removeprefix(bos), answer.removesuffix(eos))
        for prompt, answer in zip(prompts, answers, strict=True)
    ]
    given = _plain_ids(tokenizer, [stem for stem, _ in parts])
    written: list[list[int]] = [[] for _ in parts]
    if completions is not None:
        # The rest of the whole text's ids.  Tokenized by itself a completion could differ:
        # SentencePiece writes a space at the beginning of each text.
        wholes = _plain_ids(tokenizer, ["".join(part) for part in parts])
        written = [
            whole[len(ids) :]
            if whole[: len(ids)] == ids
            else _plain_ids(tokenizer, [rest])[0]
            for ids, whole, (_, rest) in zip(given, wholes, parts, strict=True)
        ]
    if longest_prompt is not None:
        room = max(0, longest_prompt - len(first))
        given = [ids[max(0, len(ids) - room) :] for ids in given]
    return [
        Tokens(first + ids, own + last) for ids, own in zip(given, written, strict=True)
    ]


def asked(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """The ids before a prompt that is asked in chat: the request, and the opening."""
    messages = [{"role": "user", "content": REQUEST}]
    text = tokenizer.apply_chat_template(
        messages, add_generation_prompt=True, tokenize=False
    )
    # The template's special tokens are meant as such.
    return tokenizer(text + OPENING, add_special_tokens=False)["input_ids"]


def tokenize_pairs(
    tokenizer: PreTrainedTokenizerBase, pairs: Sequence[dict], *, end: bool = False
) -> list[tuple[Tokens, Tokens]]:
    """(Chosen, rejected) of each preference pair, as `tokenize` has them."""
    prompts = [pair["prompt"] for pair in pairs]
    chosen, rejected = (
        tokenize(tokenizer, prompts, [pair[side] for pair in pairs], end=end)
        for side in ("chosen", "rejected")
    )
    return list(zip(chosen, rejected, strict=True))


def _plain_ids(tokenizer: PreTrainedTokenizerBase, texts: list[str]) -> list[list[int]]:
    """The ids of each text, without any that the tokenizer adds."""
    options = {"add_special_tokens": False, "split_special_tokens": True}
    return tokenizer(texts, return_attention_mask=False, **options)["input_ids"]


def _first_ids(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """The ids that the tokenizer puts before a text of its own accord; most often none."""
    [own] = _plain_ids(tokenizer, ["x"])
    return list(itertools.takewhile(lambda id: id not in own, tokenizer("x")["input_ids"]))
