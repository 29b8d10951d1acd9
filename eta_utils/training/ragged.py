"""Samples of any architecture: those of one prompt share its cache, those that end leave.

>>> generator = torch.Generator(model.device).manual_seed(0)
>>> decode(
...     model, [[1, 2], [3]], n=8, temperature=1.0, max_new_tokens=96, generator=generator
... )

The model's own forward pass runs, with our attention in it.  The batch is ragged: a prompt
may have any number of samples in it.  So a sample that has ended costs nothing, however
long the others of its prompt go on.  Half of the rows of a rectangular batch were such
samples, where a chat model wrote programs.  The samples' own caches grow as they write.

An architecture needs an attention that can be replaced, and layers that see everything
before them (`shares`).  `sampling` takes `generate` for the rest, and `decoding` for GPT-2.
`python -m tests.training.bench_models` compares the speed.

Letters for sizes in this module: P prompts, n samples of each, R rows (the samples that
have not ended), V tokens of the vocabulary, L tokens of the longest prompt, T tokens of the
longest completion, and t of these written so far.  H heads of size D: with grouped-query
attention, G heads of a query share one of K heads of keys and values, and H = K G.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import Cache, DynamicCache, DynamicLayer, PreTrainedModel
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from eta_utils.training.decoding import PADDING, drawn, until

# Tokens between two looks at which samples have ended.
RETIRE_EVERY = 4
# To drop rows copies the caches of the others: worth it for this fraction of them.
WORTH_DROPPING = 0.05
ROOM = 32  # tokens by which the samples' own caches grow
_NAME = "eta_shared_prompts"  # of our attention, among those of transformers

Over = Callable[[int, list[int]], bool]


def shares(model: PreTrainedModel) -> bool:
    """Whether `decode` can sample from the model.

    Its attention must be replaceable, and that which `sdpa` computes, without a cap or
    sinks; each layer must see all that came before, which its cache tells.
    """
    if not (model._supports_attention_backend and model._supports_sdpa):
        return False
    if getattr(model.config, "attn_logit_softcapping", None):
        return False
    return all(
        type(layer) is DynamicLayer for layer in DynamicCache(config=model.config).layers
    )


@torch.inference_mode()
def decode(
    model: PreTrainedModel,
    prompts: Sequence[Sequence[int]],
    n: int,
    *,
    temperature: float | Sequence[float],
    max_new_tokens: int,
    generator: torch.Generator,
    limits: Sequence[int] | None = None,
    over: Over | None = None,
) -> list[list[list[int]]]:
    """For each prompt (token ids) the ids of `n` completions, end of text included.

    Temperature 0 is greedy; each of the n samples may have its own.  Prompt and completion
    together must fit the model's context.  `limits` are those of each prompt, where some
    may write less than `max_new_tokens`.

    `over(prompt, ids)` says whether what follows the ids that a sample of a prompt (its
    number) has written so far is of no use.  It then ends there.
    """
    end, device = model.config.eos_token_id, model.device
    limits = [max_new_tokens] * len(prompts) if limits is None else limits
    shape = len(prompts), n, max_new_tokens  # (all prompts, n, T)
    heats = torch.tensor(temperature, dtype=torch.float32).expand(n)  # (n,)
    # Of each token its own chance: what a sample draws does not depend on which others
    # are still in the batch.
    chances = torch.rand(shape, device=device, generator=generator).cpu()
    written = torch.full(shape, end)
    batch = _Batch(model, prompts, n)
    # (R, 2): prompt and sample of each row
    rows = torch.cartesian_prod(torch.arange(len(prompts)), torch.arange(n))
    done: dict[tuple[int, int], list[int]] = {}  # ids, by prompt and sample
    looked = 0  # tokens of each row that were looked at
    for step in range(max_new_tokens):
        places = tuple(rows.T)  # of the samples in (all prompts, n)
        chance = chances[*places, step, None].to(device)  # (R, 1)
        ids = _draw(batch.logits, heats[rows[:, 1]].to(device), chance)  # (R,)
        written[*places, step] = ids.cpu()
        if (step + 1) % RETIRE_EVERY == 0 or step + 1 == max_new_tokens:
            for prompt, sample in rows.tolist():
                if (prompt, sample) in done:
                    continue  # too few had ended to drop it
                row = written[prompt, sample, : step + 1].tolist()
                row = until(end, row)[: limits[prompt]]
                cut = _first_over(prompt, row, looked, over)
                if cut or row[-1] == end or len(row) == limits[prompt]:
                    done[prompt, sample] = row[:cut]
            going = torch.tensor([(*row,) not in done for row in rows.tolist()])  # (R,)
            if not going.any():
                break
            looked = step + 1
            if going.sum() <= (1 - WORTH_DROPPING) * len(going):
                rows, ids = rows[going], ids[going.to(device)]
                batch.keep(going.to(device))
        if step + 1 < max_new_tokens:  # the last token needs no successor
            batch.append(ids)
    return [[done[prompt, sample] for sample in range(n)] for prompt in range(len(prompts))]


def _draw(logits: Tensor, heats: Tensor, chance: Tensor) -> Tensor:
    """As `decoding.draw`, (R,), each row at its own temperature (R,)."""
    warm = heats > 0
    if not warm.any():
        return logits.argmax(-1)
    scaled = logits.float() / heats.where(warm, 1.0)[:, None]
    tokens = drawn(scaled, chance)
    return tokens if warm.all() else tokens.where(warm, logits.argmax(-1))


def _first_over(prompt: int, ids: list[int], looked: int, over: Over | None) -> int | None:
    """How many of the ids it took until the rest is of no use, beyond `looked`; or None."""
    if over is None or not over(prompt, ids):
        return None
    return next(n for n in range(looked + 1, len(ids) + 1) if over(prompt, ids[:n]))


class _OwnLayer(DynamicLayer):
    """The keys and values that samples wrote themselves, (R, K, T, D), in one layer.

    There is room for some more than the `length` tokens that are filled.
    """

    def __init__(self) -> None:
        super().__init__()
        self.length = 0

    def update(
        self, key_states: Tensor, value_states: Tensor, *_: object, **__: object
    ) -> tuple[Tensor, Tensor]:
        """Keys and values (R, K, t, D) with one token more."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
            self.keys, self.values = key_states[:, :, :0], value_states[:, :, :0]
        if self.length == self.keys.shape[2]:
            self._move(slice(None), self.length + ROOM)
        self.keys[:, :, self.length] = key_states[:, :, 0]
        self.values[:, :, self.length] = value_states[:, :, 0]
        self.length += 1
        return self.keys[:, :, : self.length], self.values[:, :, : self.length]

    def keep(self, stay: Tensor) -> None:
        """Drop the rows for which `stay` (R,) is False."""
        if self.is_initialized:
            self._move(stay, self.keys.shape[2])

    def _move(self, rows: Tensor | slice, room: int) -> None:
        """Copy these rows to tensors with room for so many tokens."""
        for name in ("keys", "values"):
            filled = getattr(self, name)[:, :, : self.length][rows]
            roomy = filled.new_empty(*filled.shape[:2], room, filled.shape[3])
            roomy[:, :, : self.length] = filled
            setattr(self, name, roomy)

    def get_seq_length(self) -> int:
        """Tokens that the samples have written."""
        return self.length


class _Batch:
    """R samples of P prompts, all of them `length` tokens past their prompt.

    The model sees R rows of one token each, and a cache of what the samples wrote.  The
    attention in it is ours, and adds what the prompts' keys (P, K, D, L) and values
    (P, K, L, D) say.
    """

    def __init__(
        self, model: PreTrainedModel, prompts: Sequence[Sequence[int]], n: int
    ) -> None:
        self.model, self.length = model, 0
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
        bias = torch.zeros(real.shape).masked_fill(~real, PADDING).to(device)
        self.bias = bias[:, None, None, None, :]  # (P, 1, 1, 1, L)
        self.cache = Cache(layers=[_OwnLayer() for _ in layers])
        self.positions = lengths.repeat_interleave(n).to(device)  # (R,)
        self.logits = output.logits[:, 0].repeat_interleave(n, 0)  # (R, V)
        self._seat(torch.arange(len(prompts), device=device).repeat_interleave(n))

    def _seat(self, owners: Tensor) -> None:
        """Note each row's prompt, (R,) in rising order, and its place among that one's."""
        counts = owners.bincount()  # (P,)
        first = counts.cumsum(0) - counts
        self.owners = owners
        self.seats = torch.arange(len(owners), device=owners.device) - first[owners]
        self.most = int(counts.max())  # rows of the prompt with the most of them

    def append(self, ids: Tensor) -> None:
        """Take one more token (R,) for each sample; set `logits` (R, V)."""
        context = getattr(self.model.config, "max_position_embeddings", None)
        # A prompt at its limit may stay for some steps more, which may leave the context.
        position = (self.positions + self.length).clamp(max=context and context - 1)
        with _attention(self.model, self._attend):
            output = self.model(
                input_ids=ids[:, None],
                position_ids=position[:, None],
                past_key_values=self.cache,
                use_cache=True,
            )
        self.logits = output.logits[:, 0]
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

        `query` is (R, H, 1, D), `key` and `value` are (R, K, t, D); the result is
        (R, 1, H, D).
        """
        rows, heads, _, size = query.shape
        kept = key.shape[1]
        group, number = heads // kept, module.layer_idx
        scale = size**-0.5 if scaling is None else scaling
        query = (query * scale).view(rows, kept, group, size)  # (R, K, G, D)
        # All queries of a prompt, of all heads that share keys, meet its one cache in a
        # single product.  With m rows of the prompt that has the most of them:
        # (P, K, m G, D) @ (P, K, D, L) = (P, K, m G, L).
        seated = self._seated(query).flatten(2, 3)
        to_prompt = (seated @ self.prompt_keys[number]).unflatten(2, (self.most, group))
        to_prompt = self._by_row(to_prompt + self.bias)  # (R, K, G, L)
        # Each sample's own past: (R, K, G, D) @ (R, K, D, t) = (R, K, G, t).
        to_own = query @ key.transpose(2, 3)
        # One softmax over both, in float32 whatever the model's precision.
        weights = F.softmax(torch.cat((to_prompt, to_own), -1).float(), -1).to(value.dtype)
        of_prompt, of_own = weights.split((to_prompt.shape[-1], to_own.shape[-1]), -1)
        # (P, K, m G, L) @ (P, K, L, D) = (P, K, m G, D)
        mixed = self._seated(of_prompt).flatten(2, 3) @ self.prompt_values[number]
        mixed = self._by_row(mixed.unflatten(2, (self.most, group))) + of_own @ value
        return mixed.reshape(rows, 1, heads, size), None

    def _seated(self, rows: Tensor) -> Tensor:
        """(R, K, G, X) as (P, K, m, G, X): each row at its prompt's, zeros elsewhere."""
        prompts, (_, kept, group, last) = len(self.bias), rows.shape
        seated = rows.new_zeros(prompts, self.most, kept, group, last)
        seated[self.owners, self.seats] = rows
        return seated.transpose(1, 2)

    def _by_row(self, seated: Tensor) -> Tensor:
        """(P, K, m, G, X) as (R, K, G, X)."""
        return seated.transpose(1, 2)[self.owners, self.seats]

    def keep(self, stay: Tensor) -> None:
        """Drop the rows for which `stay` (R,) is False, and prompts without any."""
        for layer in self.cache.layers:
            layer.keep(stay)
        self.positions = self.positions[stay]
        left, owners = self.owners[stay].unique_consecutive(return_inverse=True)
        if len(left) < len(self.bias):
            self.prompt_keys = [keys[left] for keys in self.prompt_keys]
            self.prompt_values = [values[left] for values in self.prompt_values]
            self.bias = self.bias[left]
        self._seat(owners)


@contextlib.contextmanager
def _attention(model: PreTrainedModel, attend: Callable) -> Iterator[None]:
    """The model's layers compute attention by `attend`, and get no mask."""
    ALL_ATTENTION_FUNCTIONS[_NAME] = attend
    own, model.config._attn_implementation = model.config._attn_implementation, _NAME
    try:
        yield
    finally:
        model.config._attn_implementation = own
        del ALL_ATTENTION_FUNCTIONS[_NAME]  # it would keep the caches in memory
