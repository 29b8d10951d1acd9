"""GPT-2's samples, all those of one prompt sharing that prompt's attention cache.

>>> generator = torch.Generator(model.device).manual_seed(0)
>>> decode(
...     model, [[1, 2], [3]], n=8, temperature=1.0, max_new_tokens=96, generator=generator
... )

transformers' `generate` repeats a prompt's keys and values for each of its samples, copies
the whole cache at each token, and goes on with rows that have ended.  Here all samples of a
prompt read one copy, nothing is copied, and prompts whose samples have all ended leave the
batch.  `python -m tests.training.bench_sampling` compares the speed of the two.

GPT-2 has a forward pass of its own here; `ragged` does the same for other architectures.

Letters for sizes in this module: P prompts, n samples of each, V tokens of the vocabulary,
H heads of size D, L tokens of the longest prompt, T tokens of the longest completion, and
t of these written so far.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import GPT2LMHeadModel
from transformers.models.gpt2.modeling_gpt2 import GPT2Block

# Tokens between two checks for prompts whose samples have all ended.  To let them go copies
# the caches of the others.
RETIRE_EVERY = 4
LARGE_VOCABULARY = 8192  # tokens: from here on they are drawn by blocks of this size
BLOCK = 256
# Added to attention scores of padding: exp(-1e9) is 0, so it gets no weight.
PADDING = -1e9


@torch.inference_mode()
def decode(
    model: GPT2LMHeadModel,
    prompts: Sequence[Sequence[int]],
    n: int,
    *,
    temperature: float,
    max_new_tokens: int,
    generator: torch.Generator,
    limits: Sequence[int] | None = None,
) -> list[list[list[int]]]:
    """For each prompt (token ids) the ids of `n` completions, end of text included.

    Temperature 0 is greedy.  Prompt and completion together must fit the model's context.
    `limits` are those of each prompt, where some may write less than `max_new_tokens`.
    """
    end = model.config.eos_token_id
    limits = [max_new_tokens] * len(prompts) if limits is None else limits
    room = torch.tensor(limits)  # (all prompts,)
    batch = _Batch(model, prompts, n, max_new_tokens)
    written = torch.full((len(prompts), n, max_new_tokens), end)  # (all prompts, n, T)
    ended = torch.zeros(len(prompts), n, dtype=torch.bool)
    places = torch.arange(len(prompts))  # (P,), the prompts still in the batch
    for step in range(max_new_tokens):
        chance = torch.rand(len(places), n, 1, device=model.device, generator=generator)
        ids = draw(batch.logits, temperature, chance)  # (P, n)
        # A sample that has ended goes on with its prompt's others; `until` cuts the rest.
        written[places, :, step] = ids.cpu()
        ended[places] |= (ids.cpu() == end) | (step + 1 >= room[places, None])
        if step % RETIRE_EVERY == 0:
            going = ~ended[places].all(1)  # (P,)
            if not going.any():
                break
            if not going.all():
                places, stay = places[going], going.to(ids.device)
                ids = ids[stay]
                batch.keep(stay)
        if step + 1 < max_new_tokens:  # the last token needs no successor
            batch.append(ids)
    return [
        [until(end, row[:limit]) for row in group]
        for group, limit in zip(written.tolist(), limits, strict=True)
    ]


def draw(logits: Tensor, temperature: float, chance: Tensor) -> Tensor:
    """One token for each row, (...), given its logits (..., V) and chance (..., 1).

    A chance is a number from 0 to 1, drawn evenly.  Temperature 0 makes no use of it.
    """
    if temperature == 0:
        return logits.argmax(-1)
    # In float32: bf16 has 8 bits, so a running sum would stop growing and lose the rare
    # tokens.
    return drawn(logits.float() / temperature, chance)


def drawn(scaled: Tensor, chance: Tensor) -> Tensor:
    """As `draw`, given logits that are divided by their temperature."""
    # By the inverse of the cumulative distribution, with one uniform number for each row.
    # `torch.multinomial` draws one for each token of the vocabulary, which took a quarter
    # of the time of sampling.
    if scaled.shape[-1] >= LARGE_VOCABULARY:
        return _drawn_in_blocks(scaled, chance)
    sums = scaled.softmax(-1).cumsum(-1)  # (..., V)
    # Rounding leaves the last sum a little off 1, so the chance is scaled by it.
    tokens = torch.searchsorted(sums, chance * sums[..., -1:], right=True)[..., 0]
    return tokens.clamp(max=sums.shape[-1] - 1)  # the product may be rounded up to the sum


def _drawn_in_blocks(scaled: Tensor, chance: Tensor) -> Tensor:
    """As `drawn`: first the block of tokens, then the token in it.

    A running sum over a large vocabulary would take as long as the model's last layer.
    """
    scaled = F.pad(scaled, (0, -scaled.shape[-1] % BLOCK), value=-1e30)
    blocks = scaled.softmax(-1).unflatten(-1, (-1, BLOCK))  # (..., V / BLOCK, BLOCK)
    sums = blocks.sum(-1).cumsum(-1)  # (..., V / BLOCK)
    chance = chance * sums[..., -1:]
    block = torch.searchsorted(sums, chance, right=True).clamp(max=sums.shape[-1] - 1)
    # What is left of the chance within the block, which a last block's rounding may exceed.
    before = F.pad(sums, (1, 0)).gather(-1, block)  # (..., 1)
    within = blocks.take_along_dim(block[..., None], -2)[..., 0, :].cumsum(-1)
    left = (chance - before).clamp(min=0)
    token = torch.searchsorted(within, left, right=True)
    # The last token of the block that has any chance: not one of padding.
    last = (within < within[..., -1:]).sum(-1, keepdim=True)
    return (block * BLOCK + torch.minimum(token, last))[..., 0]


def until(end: int, ids: list[int]) -> list[int]:
    """The ids up to the first end of text, which is kept."""
    return ids[: ids.index(end) + 1] if end in ids else ids


class _Batch:
    """P prompts with n samples each, all of them `length` tokens past their prompt.

    Each layer has two caches.  That of the prompts is written once: keys (P, H, D, L),
    transposed for the product with queries, and values (P, H, L, D).  That of the samples,
    keys and values (P, H, n, T, D), has room for T tokens; the first `length` are filled.
    """

    def __init__(
        self, model: GPT2LMHeadModel, prompts: Sequence[Sequence[int]], n: int, longest: int
    ) -> None:
        self.model, self.length = model, 0
        device = model.device
        lengths = torch.tensor([len(prompt) for prompt in prompts], device=device)  # (P,)
        # Padding on the right: positions then count from 0 in every row, and the causal
        # mask hides what follows from the real tokens.
        padded = torch.zeros(len(prompts), int(lengths.max()), dtype=torch.long)  # (P, L)
        for row, ids in zip(padded, prompts, strict=True):
            row[: len(ids)] = torch.tensor(ids)
        real = torch.arange(padded.shape[1], device=device) < lengths[:, None]  # (P, L)
        output = model.transformer(
            padded.to(device), attention_mask=real.long(), use_cache=True
        )
        layers = output.past_key_values.layers  # keys and values of each (P, H, L, D)
        self.prompt_keys = [layer.keys.transpose(2, 3).contiguous() for layer in layers]
        self.prompt_values = [layer.values.contiguous() for layer in layers]
        bias = torch.zeros(real.shape, device=device).masked_fill(~real, PADDING)
        self.bias = bias[:, None, None, :]  # (P, 1, 1, L): for all heads and samples
        heads, size = layers[0].keys.shape[1], layers[0].keys.shape[3]
        shape = len(prompts), heads, n, longest, size
        self.keys = [layers[0].keys.new_empty(shape) for _ in layers]
        self.values = [layers[0].values.new_empty(shape) for _ in layers]
        self.positions = lengths[:, None].expand(-1, n)  # (P, n), of the first new token
        # A prompt's last real token predicts the first token of all its samples.
        last = output.last_hidden_state[torch.arange(len(prompts)), lengths - 1]  # (P, HD)
        self.logits = model.lm_head(last)[:, None].expand(-1, n, -1)  # (P, n, V)

    def append(self, ids: Tensor) -> None:
        """Take one more token (P, n) for each sample; set `logits` (P, n, V)."""
        body = self.model.transformer
        # GPT-2 normalises what goes into attention and MLP, and adds what comes out.
        # A prompt at its limit stays for some steps more, which may leave the context.
        position = (self.positions + self.length).clamp(max=body.wpe.num_embeddings - 1)
        hidden = body.wte(ids) + body.wpe(position)  # (P, n, HD)
        for number, block in enumerate(body.h):
            hidden = hidden + self._attention(block, number, block.ln_1(hidden))
            hidden = hidden + block.mlp(block.ln_2(hidden))
        self.logits = self.model.lm_head(body.ln_f(hidden))
        self.length += 1

    def _attention(self, block: GPT2Block, number: int, hidden: Tensor) -> Tensor:
        """Attention of each sample's newest token to its prompt and to its own past.

        `hidden` and the result are (P, n, HD).  With t tokens written, the newest among
        them, a query attends to L + t keys.
        """
        prompts, _, n, _, size = self.keys[number].shape
        split = block.attn.c_attn(hidden).view(prompts, n, 3, -1, size)  # (P, n, 3, H, D)
        query, key, value = split.permute(2, 0, 3, 1, 4)  # each (P, H, n, D)
        self.keys[number][:, :, :, self.length] = key
        self.values[number][:, :, :, self.length] = value
        keys = self.keys[number][:, :, :, : self.length + 1]  # (P, H, n, t, D)
        values = self.values[number][:, :, :, : self.length + 1]  # (P, H, n, t, D)
        query = query * size**-0.5
        # All n queries of a prompt meet its one cache in a single product:
        # (P, H, n, D) @ (P, H, D, L) = (P, H, n, L).
        to_prompt = query @ self.prompt_keys[number] + self.bias
        # Each sample's own past: (P, H, n, t, D) @ (P, H, n, D, 1) = (P, H, n, t, 1).
        to_own = (keys @ query.unsqueeze(-1)).squeeze(-1)
        # One softmax over both, in float32 whatever the model's precision, as transformers
        # has it: (P, H, n, L + t).
        weights = F.softmax(torch.cat((to_prompt, to_own), -1).float(), -1).to(key.dtype)
        of_prompt, of_own = weights.split((to_prompt.shape[-1], to_own.shape[-1]), -1)
        # (P, H, n, L) @ (P, H, L, D) = (P, H, n, D), and
        # (P, H, n, 1, t) @ (P, H, n, t, D) = (P, H, n, 1, D).
        mixed = of_prompt @ self.prompt_values[number]
        mixed = mixed + (of_own.unsqueeze(-2) @ values).squeeze(-2)
        # The heads side by side: (P, n, H, D) becomes (P, n, HD).
        return block.attn.c_proj(mixed.transpose(1, 2).reshape(prompts, n, -1))

    def keep(self, stay: Tensor) -> None:
        """Drop the prompts for which `stay` (P,) is False, with all their samples."""
        for name in ("prompt_keys", "prompt_values", "keys", "values"):
            setattr(self, name, [cache[stay] for cache in getattr(self, name)])
        self.bias, self.positions = self.bias[stay], self.positions[stay]
