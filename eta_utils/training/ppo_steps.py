"""The parts of PPO: its formulas on tensors of steps, the actor-critic, episodes.

>>> advantages, returns = gae(rewards, values, mask, gamma=1.0, lam=0.95)
>>> loss, clipped = policy_loss(new, old, whiten(advantages, mask), mask, clip=0.2)

Steps are tensors of episodes x tokens, padded on the right; `mask` is True where there is
a token.  The papers are named in `ppo`.

Leaves out: the loop that samples and trains (see `ppo`).
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from transformers import PreTrainedModel


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """The mean of `values` where `mask` is True; 0 where it is so nowhere."""
    return (values * mask).sum() / mask.sum().clamp(min=1)


def whiten(values: Tensor, mask: Tensor) -> Tensor:
    """`values` shifted and scaled to mean 0 and variance 1 over `mask`, and 0 elsewhere."""
    centred = (values - masked_mean(values, mask)) * mask
    return centred * torch.rsqrt(masked_mean(centred**2, mask) + 1e-8)


def kl_k3(sampled: Tensor, other: Tensor) -> Tensor:
    """Per token, an estimate of KL(sampled || other) in nats: r - 1 - log r.

    From the log probabilities of tokens drawn from `sampled` under both; r is other over
    sampled.  Unbiased and never negative: Schulman's k3 ("Approximating KL divergence",
    joschu.net/blog/kl-approx.html).
    """
    return torch.expm1(other - sampled) - (other - sampled)


def token_rewards(
    scores: Tensor, logprobs: Tensor, ref: Tensor, mask: Tensor, kl_coefficient: float
) -> Tensor:
    """-coefficient * (logprobs - ref) on each token, plus its episode's score on the last.

    `scores` has one entry per episode (Ziegler et al. 2019, eq. 2, token by token).
    """
    rewards = -kl_coefficient * (logprobs - ref) * mask
    rewards[torch.arange(len(scores)), mask.sum(1) - 1] += scores
    return rewards


def gae(
    rewards: Tensor, values: Tensor, mask: Tensor, gamma: float, lam: float
) -> tuple[Tensor, Tensor]:
    """(Advantages, returns), where returns are advantages + values.

    advantage_t = delta_t + gamma * lam * advantage_{t+1}, where delta_t = reward_t +
    gamma * value_{t+1} - value_t and value is 0 after the last token (Schulman et al.
    2016, eq. 16).  `values` are those of the states in which the tokens were chosen.
    """
    values, advantages = values * mask, torch.zeros_like(values)
    following = running = torch.zeros_like(values[:, 0])
    for t in reversed(range(values.shape[1])):
        delta = rewards[:, t] + gamma * following - values[:, t]
        running = (delta + gamma * lam * running) * mask[:, t]
        advantages[:, t], following = running, values[:, t]
    return advantages, advantages + values


def policy_loss(
    new: Tensor, old: Tensor, advantages: Tensor, mask: Tensor, clip: float
) -> tuple[Tensor, Tensor]:
    """(Loss, share of tokens clipped), means over tokens.

    -min(r * A, clamp(r, 1 - clip, 1 + clip) * A) with r = exp(new - old), both being log
    probabilities (Schulman et al. 2017, eq. 7).
    """
    ratio = torch.exp(new - old)
    return _larger(-advantages * ratio, -advantages * ratio.clamp(1 - clip, 1 + clip), mask)


def value_loss(
    new: Tensor, old: Tensor, returns: Tensor, mask: Tensor, clip: float
) -> tuple[Tensor, Tensor]:
    """(Loss, share of tokens clipped), means over tokens.

    Half the squared error, or that of the value kept within `clip` of the old one where
    that is larger (Huang et al. 2024, section 2).
    """
    kept = new.clamp(old - clip, old + clip)  # exactly `new` inside the clip
    return _larger((new - returns) ** 2 / 2, (kept - returns) ** 2 / 2, mask)


def _larger(free: Tensor, clipped: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    share = masked_mean((clipped > free).float(), mask)
    return masked_mean(torch.maximum(free, clipped), mask), share


def collate(pairs: Sequence[tuple[list[int], list[int]]]) -> list[Tensor]:
    """Of (prompt ids, completion ids): ids padded with 0 on the right, the lengths of the
    prompts, and of prompts and completions together."""
    ids = pad_sequence([torch.tensor(p + c) for p, c in pairs], batch_first=True)
    lengths = torch.tensor([(len(p), len(p) + len(c)) for p, c in pairs])
    return [ids, *lengths.unbind(1)]


def read(
    model: PreTrainedModel, ids: Tensor, prompt: Tensor, total: Tensor, temperature: float
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Per completion token of a batch from `collate`, all episodes in one row: (last hidden
    state, from which it was chosen; its log probability; entropy of the choice), in nats.

    Logits exist for these tokens alone.  Entropies are None where gradients are wanted.
    """
    place = torch.arange(ids.shape[1], device=ids.device)
    seen = (place < total[:, None]).long()
    hidden = model.base_model(input_ids=ids, attention_mask=seen, use_cache=False)[0]
    chooses = (place >= prompt[:, None] - 1) & (place < total[:, None] - 1)
    states, tokens = hidden[chooses], ids.roll(-1, dims=1)[chooses]
    logits = model.get_output_embeddings()(states).float() / temperature
    normaliser = logits.logsumexp(-1)  # log_softmax would hold all logits a second time
    logprobs = logits.gather(-1, tokens[:, None])[:, 0] - normaliser
    if torch.is_grad_enabled():
        return states, logprobs, None
    return states, logprobs, normaliser - (logits.softmax(-1) * logits).sum(-1)


class ActorCritic(nn.Module):
    """A causal language model and a value head, which says 0 at first, on one trunk."""

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.model = model
        self.value_head = nn.Linear(model.get_output_embeddings().weight.shape[1], 1)
        nn.init.zeros_(self.value_head.weight)
        nn.init.zeros_(self.value_head.bias)

    def forward(self, *batch, temperature: float) -> tuple[Tensor, Tensor, Tensor | None]:
        """(Log probabilities, values, entropies); see `read`."""
        states, logprobs, entropies = read(self.model, *batch, temperature)
        return logprobs, self.value_head(states)[:, 0].float(), entropies


@dataclass
class Episode:
    """A completion; `group` numbers its prompt within the update, `steps` is 4 x tokens:
    log probabilities under policy and reference, values, entropies."""

    prompt_ids: list[int]
    ids: list[int]
    group: int
    score: float | None
    steps: Tensor | None = None

    def __len__(self) -> int:
        return len(self.prompt_ids) + len(self.ids)


def drawn(rows: Sequence[dict], count: int, update: int, seed: int) -> list[dict]:
    """The `count` rows of one update: shuffled anew whenever all have been used once."""
    places = [divmod(k, len(rows)) for k in range(update * count, (update + 1) * count)]
    orders = {
        epoch: random.Random(f"{seed} rows {epoch}").sample(range(len(rows)), len(rows))
        for epoch, _ in places
    }
    return [rows[orders[epoch][index]] for epoch, index in places]


def minibatches(count: int, size: int, rng: random.Random) -> list[list[int]]:
    """0 to count - 1 in random order, in parts of almost equal size, at most `size`."""
    order, parts = rng.sample(range(count), count), -(-count // size)
    return [order[count * k // parts : count * (k + 1) // parts] for k in range(parts)]


def pieces(episodes: Sequence[Episode], limit: int) -> Iterator[list[int]]:
    """Indexes of episodes of similar length, at most `limit` padded tokens in each list."""
    piece: list[int] = []
    for index in sorted(range(len(episodes)), key=lambda k: len(episodes[k])):
        if piece and (len(piece) + 1) * len(episodes[index]) > limit:
            yield piece
            piece = []
        piece.append(index)
    if piece:
        yield piece
