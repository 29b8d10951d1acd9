"""Sampling where all samples of one prompt share that prompt's attention cache.

>>> generator = torch.Generator(model.device).manual_seed(0)
>>> decode(
...     model, [[1, 2], [3]], n=8, temperature=1.0, max_new_tokens=96, generator=generator
... )

transformers' `generate` repeats a prompt's keys and values for each of its samples, copies
the whole cache at each token, and goes on with rows that have ended.  Here all samples of a
prompt read one copy, nothing is copied, and prompts whose samples have all ended leave the
batch.  `python -m tests.training.bench_sampling` compares the speed of the two.

GPT-2 has a forward pass of its own here (`_Batch`).  Any other architecture whose attention
can be replaced, and whose layers see everything before them, has its own forward pass with
our attention in it (`_AnyBatch`; `shares` says which).  `sampling` takes `generate` for the
rest.

Letters for sizes in this module: P prompts, n samples of each, V tokens of the vocabulary,
H heads of size D, L tokens of the longest prompt, T tokens of the longest completion, and
t of these written so far.  With grouped-query attention, G heads of a query share one of K
heads of keys and values, and H = K G.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import (
    AttentionInterface,
    Cache,
    DynamicCache,
    DynamicLayer,
    GPT2LMHeadModel,
    PreTrainedModel,
)
from transformers.models.gpt2.modeling_gpt2 import GPT2Block

# Tokens between two checks for prompts whose samples have all ended.  To let them go copies
# the caches of the others.
RETIRE_EVERY = 4
LARGE_VOCABULARY = 8192  # tokens: from here on they are drawn by blocks of this size
BLOCK = 256
# Added to attention scores of padding: exp(-1e9) is 0, so it gets no weight.
_PADDING = -1e9


Ended = Callable[[int, list[int]], bool]


@torch.inference_mode()
def decode(
    model: PreTrainedModel,
    prompts: Sequence[Sequence[int]],
    n: int,
    *,
    temperature: float,
    max_new_tokens: int,
    generator: torch.Generator,
    limits: Sequence[int] | None = None,
    over: Ended | None = None,
) -> list[list[list[int]]]:
    """For each prompt (token ids) the ids of `n` completions, end of text included.

    Temperature 0 is greedy.  Prompt and completion together must fit the model's context.
    `limits` are those of each prompt, where some may write less than `max_new_tokens`.

    `over(prompt, ids)` says whether what follows the ids that a sample of a prompt (its
    number) has written so far is of no use.  It then ends there.
    """
    end = model.config.eos_token_id
    limits = [max_new_tokens] * len(prompts) if limits is None else limits
    room = torch.tensor(limits)  # (all prompts,)
    kind = _Batch if isinstance(model, GPT2LMHeadModel) else _AnyBatch
    batch = kind(model, prompts, n, max_new_tokens)
    written = torch.full((len(prompts), n, max_new_tokens), end)  # (all prompts, n, T)
    ended = torch.zeros(len(prompts), n, dtype=torch.bool)
    lengths = room[:, None].repeat(1, n)  # (all prompts, n), at most
    # (P, n): which prompts are still in the batch, and which of their samples.  Both shrink
    # as samples finish.
    places = torch.arange(len(prompts))[:, None].expand(-1, n)
    samples = torch.arange(n).expand(len(prompts), -1)
    for step in range(max_new_tokens):
        ids = _draw(batch.logits, temperature, generator)  # (P, n)
        # A sample that has ended goes on with its prompt's others; `_until` cuts the rest.
        written[places, samples, step] = ids.cpu()
        ended[places, samples] |= (ids.cpu() == end) | (step + 1 >= room[places])
        if over is not None:
            for place in (~ended).nonzero().tolist():
                prompt, sample = place
                if over(prompt, written[prompt, sample, : step + 1].tolist()):
                    ended[prompt, sample], lengths[prompt, sample] = True, step + 1
        if step % RETIRE_EVERY == 0:
            going = ~ended[places, samples]  # (P, n)
            if not going.any():
                break
            kept = batch.kept(going)
            if kept is not None:
                rows, columns = kept
                places, samples = places[rows, columns], samples[rows, columns]
                ids = ids[rows.to(ids.device), columns.to(ids.device)]
                batch.keep(rows, columns)
        if step + 1 < max_new_tokens:  # the last token needs no successor
            batch.append(ids)
    return [
        [_until(end, row[:most]) for row, most in zip(*group, strict=True)]
        for group in zip(written.tolist(), lengths.tolist(), strict=True)
    ]


def _draw(logits: Tensor, temperature: float, generator: torch.Generator) -> Tensor:
    """One token for each sample, (P, n), given logits (P, n, V)."""
    if temperature == 0:
        return logits.argmax(-1)
    # By the inverse of the cumulative distribution, with one uniform number for each row.
    # `torch.multinomial` draws one for each token of the vocabulary, which took a quarter
    # of the time of sampling.  In float32: bf16 has 8 bits, so its running sum would stop
    # growing and lose the rare tokens.
    if logits.shape[-1] >= LARGE_VOCABULARY:
        return _draw_in_blocks(logits, temperature, generator)
    sums = (logits.float() / temperature).softmax(-1).cumsum(-1)  # (P, n, V)
    chance = torch.rand(*sums.shape[:2], 1, device=sums.device, generator=generator)
    # Rounding leaves the last sum a little off 1, so the chance is scaled by it.
    drawn = torch.searchsorted(sums, chance * sums[..., -1:], right=True)[..., 0]
    return drawn.clamp(max=sums.shape[-1] - 1)  # the product may be rounded up to the sum


def _draw_in_blocks(
    logits: Tensor, temperature: float, generator: torch.Generator
) -> Tensor:
    """As `_draw`: first the block of tokens, then the token in it.

    A running sum over a large vocabulary would take as long as the model's last layer.
    """
    scaled = F.pad(
        logits.float() / temperature, (0, -logits.shape[-1] % BLOCK), value=-1e30
    )
    blocks = scaled.softmax(-1).unflatten(-1, (-1, BLOCK))  # (P, n, V / BLOCK, BLOCK)
    sums = blocks.sum(-1).cumsum(-1)  # (P, n, V / BLOCK)
    chance = torch.rand(*sums.shape[:2], 1, device=sums.device, generator=generator)
    chance = chance * sums[..., -1:]
    block = torch.searchsorted(sums, chance, right=True).clamp(max=sums.shape[-1] - 1)
    # What is left of the chance within the block, which a last block's rounding may exceed.
    before = F.pad(sums, (1, 0)).gather(-1, block)  # (P, n, 1)
    within = blocks.take_along_dim(block[..., None], -2)[..., 0, :].cumsum(-1)
    left = (chance - before).clamp(min=0)
    token = torch.searchsorted(within, left, right=True)
    # The last token of the block that has any chance: not one of padding.
    last = (within < within[..., -1:]).sum(-1, keepdim=True)
    return (block * BLOCK + torch.minimum(token, last))[..., 0]


def _until(end: int, ids: list[int]) -> list[int]:
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
        bias = torch.zeros(real.shape, device=device).masked_fill(~real, _PADDING)
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

    def kept(self, going: Tensor) -> tuple[Tensor, Tensor] | None:
        """The places, rows and columns, of what stays in the batch; None if all does.

        `going` (P, n) are the samples that go on.  A prompt stays with all its samples.
        """
        stay = going.any(1)
        if stay.all():
            return None
        rows = stay.nonzero().expand(-1, going.shape[1])
        return rows, torch.arange(going.shape[1]).expand_as(rows)

    def keep(self, rows: Tensor, _columns: Tensor) -> None:
        """Drop the prompts that are not in `rows`, with all their samples."""
        stay = rows[:, 0].to(self.bias.device)
        for name in ("prompt_keys", "prompt_values", "keys", "values"):
            setattr(self, name, [cache[stay] for cache in getattr(self, name)])
        self.bias, self.positions = self.bias[stay], self.positions[stay]


# --- Any other architecture

_NAME = "eta_shared_prompts"  # of our attention, among those of transformers
# To drop samples copies the caches of the others: worth it for this fraction of them.
_WORTH_DROPPING = 0.15


def shares(model: PreTrainedModel) -> bool:
    """Whether `decode` can sample from the model.

    Its attention must be replaceable, and that which `sdpa` computes, without a cap or
    sinks; each layer must see all that came before, which its cache tells.
    """
    if isinstance(model, GPT2LMHeadModel):
        return True
    if not (model._supports_attention_backend and model._supports_sdpa):
        return False
    if getattr(model.config, "attn_logit_softcapping", None):
        return False
    return all(
        type(layer) is DynamicLayer for layer in DynamicCache(config=model.config).layers
    )


class _OwnLayer(DynamicLayer):
    """The keys and values that samples wrote themselves, (P n, K, T, D), in one layer."""

    def __init__(self, longest: int) -> None:
        super().__init__()
        self.longest, self.length = longest, 0

    def update(
        self, key_states: Tensor, value_states: Tensor, *_: object, **__: object
    ) -> tuple[Tensor, Tensor]:
        """Keys and values (P n, K, t, D) with one token more, copying nothing."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
            rows, heads, _, size = key_states.shape
            shape = rows, heads, self.longest, size
            self.keys, self.values = (
                key_states.new_empty(shape),
                value_states.new_empty(shape),
            )
        self.keys[:, :, self.length] = key_states[:, :, 0]
        self.values[:, :, self.length] = value_states[:, :, 0]
        self.length += 1
        return self.keys[:, :, : self.length], self.values[:, :, : self.length]

    def keep(self, rows: Tensor) -> None:
        """Drop the other rows."""
        if self.is_initialized:
            self.keys, self.values = self.keys[rows], self.values[rows]

    def get_seq_length(self) -> int:
        """Tokens that the samples have written."""
        return self.length


class _AnyBatch:
    """As `_Batch`, through the model's own forward pass.

    That sees P n rows of one token each, and a cache of what the samples wrote.  The
    attention in it is ours, and adds what the prompts' keys (P, K, D, L) and values
    (P, K, L, D) say.
    """

    def __init__(
        self, model: PreTrainedModel, prompts: Sequence[Sequence[int]], n: int, longest: int
    ) -> None:
        self.model, self.n, self.length = model, n, 0
        device = model.device
        lengths = torch.tensor([len(prompt) for prompt in prompts])  # (P,)
        # Padding on the left: the last place of every row is its prompt's last token, which
        # predicts the first token of all its samples.
        padded = torch.zeros(len(prompts), int(lengths.max()), dtype=torch.long)  # (P, L)
        for row, ids in zip(padded, prompts, strict=True):
            row[len(row) - len(ids) :] = torch.tensor(ids)
        real = torch.arange(padded.shape[1]) >= padded.shape[1] - lengths[:, None]  # (P, L)
        output = model(
            input_ids=padded.to(device),
            attention_mask=real.long().to(device),
            position_ids=(real.cumsum(1) - 1).clamp(min=0).to(device),
            past_key_values=DynamicCache(config=model.config),
            use_cache=True,
            logits_to_keep=1,
        )
        layers = output.past_key_values.layers  # keys and values of each (P, K, L, D)
        self.prompt_keys = [layer.keys.transpose(2, 3).contiguous() for layer in layers]
        self.prompt_values = [layer.values for layer in layers]
        bias = torch.zeros(real.shape).masked_fill(~real, _PADDING).to(device)
        self.bias = bias[:, None, None, :]  # (P, 1, 1, L): for all heads and samples
        self.cache = Cache(layers=[_OwnLayer(longest) for _ in layers])
        self.positions = lengths[:, None].expand(-1, n).to(device)  # (P, n)
        self.logits = output.logits.expand(-1, n, -1)  # (P, n, V)

    def append(self, ids: Tensor) -> None:
        """As `_Batch.append`."""
        context = getattr(self.model.config, "max_position_embeddings", None)
        position = (self.positions + self.length).clamp(max=context and context - 1)
        with _attention(self.model, self._attend):
            output = self.model(
                input_ids=ids.reshape(-1, 1),
                position_ids=position.reshape(-1, 1),
                past_key_values=self.cache,
                use_cache=True,
            )
        self.logits = output.logits.view(*ids.shape, -1)
        self.length += 1

    def _attend(
        self,
        module: nn.Module,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        _mask: Tensor | None,
        scaling: float | None = None,
        **_more: object,
    ) -> tuple[Tensor, None]:
        """Attention of each sample's newest token to its prompt and to its own past.

        `query` is (P n, H, 1, D), `key` and `value` are (P n, K, t, D); the result is
        (P n, 1, H, D).
        """
        rows, heads, _, size = query.shape
        kept = key.shape[1]
        n, group = self.positions.shape[1], heads // kept
        scale = size**-0.5 if scaling is None else scaling
        query = (query * scale).view(rows, kept, group, size)  # (P n, K, G, D)
        number = module.layer_idx
        # All n queries of a prompt, of all heads that share keys, meet its one cache in a
        # single product: (P, K, n G, D) @ (P, K, D, L) = (P, K, n G, L).
        joined = query.view(-1, n, kept, group, size).transpose(1, 2)  # (P, K, n, G, D)
        joined = joined.reshape(-1, kept, n * group, size)
        to_prompt = joined @ self.prompt_keys[number] + self.bias
        to_prompt = to_prompt.view(-1, kept, n, group, to_prompt.shape[-1]).transpose(1, 2)
        to_prompt = to_prompt.reshape(rows, kept, group, -1)  # (P n, K, G, L)
        # Each sample's own past: (P n, K, G, D) @ (P n, K, D, t) = (P n, K, G, t).
        to_own = query @ key.transpose(2, 3)
        # One softmax over both, in float32 whatever the model's precision.
        weights = F.softmax(torch.cat((to_prompt, to_own), -1).float(), -1).to(value.dtype)
        of_prompt, of_own = weights.split((to_prompt.shape[-1], to_own.shape[-1]), -1)
        # Back to (P, K, n G, L) @ (P, K, L, D).
        of_prompt = of_prompt.view(-1, n, kept, group, of_prompt.shape[-1]).transpose(1, 2)
        of_prompt = of_prompt.reshape(-1, kept, n * group, of_prompt.shape[-1])
        mixed = of_prompt @ self.prompt_values[number]
        mixed = mixed.view(-1, kept, n, group, size).transpose(1, 2)
        mixed = mixed.reshape(rows, kept, group, size) + of_own @ value
        return mixed.reshape(rows, 1, heads, size), None

    def kept(self, going: Tensor) -> tuple[Tensor, Tensor] | None:
        """As `_Batch.kept`; of a prompt as many samples stay as of that with the most."""
        stay = going.any(1).nonzero()[:, 0]
        most = int(going.sum(1).max())
        if len(stay) * most > (1 - _WORTH_DROPPING) * going.numel():
            return None
        # Those that go on come first.
        order = going[stay].to(torch.int).argsort(dim=1, descending=True, stable=True)
        return stay[:, None].expand(-1, most), order[:, :most]

    def keep(self, rows: Tensor, columns: Tensor) -> None:
        """Drop all samples but those in these places, and prompts without any."""
        device = self.bias.device
        n, stay = self.positions.shape[1], rows[:, 0].to(device)
        samples = (rows * n + columns).flatten().to(device)  # rows of the samples' cache
        for layer in self.cache.layers:
            layer.keep(samples)
        if len(stay) < len(self.positions):
            self.prompt_keys = [keys[stay] for keys in self.prompt_keys]
            self.prompt_values = [values[stay] for values in self.prompt_values]
            self.bias = self.bias[stay]
        self.positions = self.positions[stay, : rows.shape[1]]  # the same for all samples


@contextlib.contextmanager
def _attention(model: PreTrainedModel, attend: Callable) -> Iterator[None]:
    """The model's layers compute attention by `attend`, and get no mask."""
    AttentionInterface.register(_NAME, attend)
    own, model.config._attn_implementation = model.config._attn_implementation, _NAME
    try:
        yield
    finally:
        model.config._attn_implementation = own
