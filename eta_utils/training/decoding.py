"""Sampling from a GPT-2 with the prompt's attention cache shared among its samples.

transformers' `generate` repeats a prompt's keys and values for each of its samples, copies
the whole cache at each token, and goes on with rows that have ended.  Eight samples of a
prompt read the same cache here, nothing is copied, and prompts whose samples have all ended
leave the batch (`python -m tests.training.bench_sampling` compares the two).

Leaves out: any other architecture, and beams (see `sampling`, which takes
`generate` for those).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import GPT2LMHeadModel
from transformers.models.gpt2.modeling_gpt2 import GPT2Block

RETIRE_EVERY = 4  # tokens between two looks for prompts that are done


@torch.inference_mode()
def decode(
    model: GPT2LMHeadModel,
    prompts: Sequence[Sequence[int]],
    n: int,
    *,
    temperature: float,
    max_new_tokens: int,
    generator: torch.Generator,
) -> list[list[list[int]]]:
    """For each prompt (token ids) the ids of `n` completions, their end of text included.

    Temperature 0 is greedy.  Prompt and completion together must fit the model's context.
    """
    end = model.config.eos_token_id
    batch = _Batch(model, prompts, n, max_new_tokens)
    written = torch.full((len(prompts), n, max_new_tokens), end)
    places = torch.arange(len(prompts))  # of the batch's prompts among all
    ended = torch.zeros(len(prompts), n, dtype=torch.bool)
    for step in range(max_new_tokens):
        ids = _draw(batch.logits, temperature, generator)
        written[places, :, step] = ids.cpu()
        ended[places] |= ids.cpu() == end
        if step % RETIRE_EVERY == 0:
            going = ~ended[places].all(1)
            if not going.any():
                break
            if not going.all():
                places, ids = places[going], ids[going.to(ids.device)]
                batch.keep(going)
        if step + 1 < max_new_tokens:
            batch.append(ids)
    return [[_until(end, row) for row in rows] for rows in written.tolist()]


def _draw(logits: Tensor, temperature: float, generator: torch.Generator) -> Tensor:
    """One token for each row of (P, n, V) logits."""
    if temperature == 0:
        return logits.argmax(-1)
    # One uniform number for each row: `torch.multinomial` draws one for each token of the
    # vocabulary, which took a quarter of the time of sampling.
    sums = (logits.float() / temperature).softmax(-1).cumsum(-1)  # bf16 cannot add up
    chance = torch.rand(*sums.shape[:2], 1, device=sums.device, generator=generator)
    drawn = torch.searchsorted(sums, chance * sums[..., -1:], right=True)[..., 0]
    return drawn.clamp(max=sums.shape[-1] - 1)  # a chance may be rounded up to 1


def _until(end: int, ids: list[int]) -> list[int]:
    return ids[: ids.index(end) + 1] if end in ids else ids


class _Batch:
    """P prompts with n samples each, all of them `length` tokens past their prompt.

    Keys and values of a layer (H heads of size D): of the prompts (P, H, L, D), of the
    samples (P, H, n, T, D), of which the first `length` of T are filled.
    """

    def __init__(
        self, model: GPT2LMHeadModel, prompts: Sequence[Sequence[int]], n: int, longest: int
    ) -> None:
        self.model, self.length = model, 0
        device = model.device
        lengths = torch.tensor([len(each) for each in prompts], device=device)
        padded = torch.zeros(len(prompts), int(lengths.max()), dtype=torch.long)
        for row, ids in zip(padded, prompts, strict=True):
            row[: len(ids)] = torch.tensor(ids)
        real = torch.arange(padded.shape[1], device=device) < lengths[:, None]
        seen = model.transformer(
            padded.to(device), attention_mask=real.long(), use_cache=True
        )
        layers = seen.past_key_values.layers
        self.prompt_keys = [each.keys.transpose(2, 3).contiguous() for each in layers]
        self.prompt_values = [each.values.contiguous() for each in layers]
        self.bias = torch.zeros(real.shape, device=device).masked_fill(~real, -1e9)
        self.bias = self.bias[:, None, None, :]
        heads, size = layers[0].keys.shape[1], layers[0].keys.shape[3]
        shape = len(prompts), heads, n, longest, size
        self.keys = [layers[0].keys.new_empty(shape) for _ in layers]
        self.values = [layers[0].values.new_empty(shape) for _ in layers]
        self.positions = lengths[:, None].expand(-1, n)
        last = seen.last_hidden_state[torch.arange(len(prompts)), lengths - 1]
        self.logits = model.lm_head(last)[:, None].expand(-1, n, -1)

    def append(self, ids: Tensor) -> None:
        """Take one more token (P, n) for each sample; set `logits` (P, n, V)."""
        body = self.model.transformer
        hidden = body.wte(ids) + body.wpe(self.positions + self.length)
        for number, block in enumerate(body.h):
            hidden = hidden + self._attention(block, number, block.ln_1(hidden))
            hidden = hidden + block.mlp(block.ln_2(hidden))
        self.logits = self.model.lm_head(body.ln_f(hidden))
        self.length += 1

    def _attention(self, block: GPT2Block, number: int, hidden: Tensor) -> Tensor:
        """Attention of each sample's newest token to its prompt and to its own past."""
        prompts, _, n, _, size = self.keys[number].shape
        split = block.attn.c_attn(hidden).view(prompts, n, 3, -1, size)
        query, key, value = split.permute(2, 0, 3, 1, 4)  # each (P, H, n, D)
        self.keys[number][:, :, :, self.length] = key
        self.values[number][:, :, :, self.length] = value
        keys = self.keys[number][:, :, :, : self.length + 1]
        values = self.values[number][:, :, :, : self.length + 1]
        query = query * size**-0.5
        to_prompt = query @ self.prompt_keys[number] + self.bias
        to_own = (keys @ query.unsqueeze(-1)).squeeze(-1)
        # In float32, as transformers has it, whatever the model's precision.
        weights = F.softmax(torch.cat((to_prompt, to_own), -1).float(), -1).to(key.dtype)
        ours = weights[..., to_prompt.shape[-1] :].unsqueeze(-2)
        mixed = weights[..., : to_prompt.shape[-1]] @ self.prompt_values[number]
        mixed = mixed + (ours @ values).squeeze(-2)
        return block.attn.c_proj(mixed.transpose(1, 2).reshape(prompts, n, -1))

    def keep(self, going: Tensor) -> None:
        """Let go of the prompts that are not `going` (P,)."""
        going = going.to(self.bias.device)
        for name in ("prompt_keys", "prompt_values", "keys", "values"):
            setattr(self, name, [each[going] for each in getattr(self, name)])
        self.bias, self.positions = self.bias[going], self.positions[going]
