"""Proximal policy optimisation (PPO) of a language model, read from top to bottom.

>>> history = train_ppo(
...     policy, reference, tokenizer, rows, reward, PPOSettings(), Path("run"),
...     updates=30, samples_per_prompt=8,
... )
>>> history[-1]["objective/scores"]     # mean reward of the last update

One update (Schulman et al. 2017, arXiv 1707.06347) samples completions from the policy and
scores them with the reward.  Scores, the KL penalty (Ziegler et al. 2019, 1909.08593) and
the values of a value head become one advantage per token (GAE, Schulman et al. 2016,
1506.02438).  Then follow some optimiser steps, with losses clipped so that the policy
stays near the one that sampled.

An episode is one completion, and each of its tokens is one action.  Shapes in comments:
B episodes, T tokens of the longest completion, L tokens of the longest prompt with its
completion, N completion tokens of a batch in one row, H hidden size, V vocabulary.
Log-probs, KL and entropy are in nats.

Implementation details.  The comment "Detail <number>" marks the line of each.

 1. Logits are divided by the sampling temperature: the policy that learns is the one that
    samples [N, policy 1].  `completion_logprobs`
 2. No dropout: the same weights must give the same log-probs [Ziegler; N+ 7].  `Trainer`
 3. Policy and value head share a trunk and an optimiser [37, core 13].  `ActorCritic`
 4. The value head starts at zero [N, policy 2].  `ActorCritic`
 5. Each token's reward is its KL penalty; the last token's has the score, too
    [Ziegler, eq. 2; N, policy 8].  `token_rewards`
 6. The value head learns advantage + value.  The value after the last token is 0, also
    where the length limit cut the completion.  The default discount is 1
    [37, core 5; N, policy 6].  `gae`
 7. Advantages are whitened over all tokens of an update; [37, core 7] and [N, policy 9]
    do so per minibatch.  Rewards are not whitened; [N, policy 9] does.  `Trainer.targets`
 8. The probability ratio is clipped [Schulman 2017, eq. 7; 37, core 8].  `policy_loss`
 9. The value loss is clipped with the same bound [37, core 9; N, policy 10].  `value_loss`
10. Loss = policy loss + coefficient * value loss, a mean over the tokens of a minibatch.
    There is no entropy bonus, unlike in [37, core 10].  `Trainer.backward`
11. Adam's epsilon is 1e-5, not torch's 1e-8 [37, core 3].  The learning rate is constant,
    unlike in [37, core 4].  `Trainer`
12. Each epoch shuffles all episodes and cuts them into minibatches; micro-batches only
    save memory [37, core 6; N, policy 7].  `minibatches`
13. The norm of all gradients together is clipped [37, core 11].  `Trainer.optimizer_step`
14. The KL from the sampling to the learning policy is logged as k3, which is never
    negative [k3; 37, core 12].  `kl_k3`
15. Prompts are used once each, then reshuffled [N+ 21].  `prompts_of_update`
16. Each process samples with its own seed [N, general 6].  `Trainer.sample`
17. A missing end token costs nothing: the reward judges the text as it is.  The "EOS trick"
    of [N+ 23] is not used.  `Trainer.score`
18. Our own: an episode with score None (not judged) leaves the update; a score of 0 would
    teach the policy to avoid it.  `Trainer.update`

[37] Huang et al. 2022, "The 37 Implementation Details of Proximal Policy Optimization",
     iclr-blog-track.github.io/2022/03/25/ppo-implementation-details
[N]  Huang, Liu and von Werra 2023, "The N Implementation Details of RLHF with PPO",
     huggingface.co/blog/the_n_implementation_details_of_rlhf_with_ppo
[N+] Huang et al. 2024, "The N+ Implementation Details of RLHF with PPO", 2403.17031
[k3] Schulman 2020, "Approximating KL Divergence", joschu.net/blog/kl-approx.html
"""

from __future__ import annotations

import json
import os
import random
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object, set_seed
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from transformers import GPT2LMHeadModel, PreTrainedModel, PreTrainedTokenizerBase

from eta_utils.common import processes, progress
from eta_utils.common.errors import BadInput
from eta_utils.common.files import write_csv
from eta_utils.training.models import is_large, save_model
from eta_utils.training.ragged import shares
from eta_utils.training.sampling import Sampled, sample_completions, to_sample_from
from eta_utils.training.settings import PPOSettings, SamplingSettings

# One row of the history: what each column means.
COLUMNS = {
    "update": "number of the update, from 0",
    "episodes": "episodes that were judged and trained on",
    "objective/scores": "mean reward, without the KL penalty",
    "objective/kl": "KL to the reference, sum over an episode's tokens, in nats",
    "objective/entropy": "entropy of the policy, sum over an episode's tokens, in nats",
    "objective/rlhf_reward": "mean reward with the KL penalty: what PPO maximises",
    "policy/approxkl": "KL between sampling and learning policy, per token, in nats (k3)",
    "policy/clipfrac": "fraction of tokens whose probability ratio was clipped",
    "loss/policy": "policy loss, mean over tokens and optimiser steps",
    "loss/value": "value loss, likewise",
    "value/clipfrac": "fraction of tokens whose value was clipped",
    "value/explained_variance": "1: values predict returns; 0: no better than a constant",
    "groups/same_reward": "fraction of prompts whose samples all got the same reward",
    "unjudged": "episodes left out because their reward was None",
    "length": "mean length of a completion, in tokens",
    "seconds/sampling": "time spent sampling",
    "seconds/reward": "time spent in the reward",
    "seconds/training": "time spent on everything else",
}
# Those that are measured in each optimiser step.
LOSS_COLUMNS = (
    "loss/policy policy/clipfrac policy/approxkl loss/value value/clipfrac".split()
)
# Padded tokens in a micro-batch: few enough for a processor's caches (a third faster than
# 6,400), and for the logits of a vocabulary of 150,000 on a GPU.
TOKENS_AT_ONCE = {"cpu": 2048, "cuda": 8192}
# On a processor, for a large model: GRPO of SmolLM2-135M peaked at 5.8 GiB, and at 6.5 with
# 1,024, which was 6 to 14 % faster.
TOKENS_AT_ONCE_OF_LARGE = 512
LOG_LINES = 20  # of a whole run


# ------------------------------------------------------------------------------------------
# 1. The formulas


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean of `values` where `mask` is True, or 0 where it is False everywhere."""
    return (values * mask).sum() / mask.sum().clamp(min=1)


def whiten(values: Tensor, mask: Tensor) -> Tensor:
    """`values` (B, T) with mean 0 and variance 1 over the tokens in `mask`, 0 elsewhere."""
    centred = (values - masked_mean(values, mask)) * mask
    variance = masked_mean(centred**2, mask)
    return centred * torch.rsqrt(variance + 1e-8)  # equal values become 0, not nan


def kl_k3(sampled: Tensor, other: Tensor) -> Tensor:
    """Estimate of KL(sampled || other) per token, from log-probs of tokens that `sampled`
    drew; same shape.

    With r = p_other / p_sampled it is r - 1 - log r.  The mean of -log r alone is the KL,
    too (k1), but single tokens can be negative.  The mean of r - 1 is 0, so adding it
    changes nothing on average, and log r <= r - 1 makes every token's estimate >= 0.
    """
    log_ratio = other - sampled
    return torch.expm1(log_ratio) - log_ratio  # Detail 14


def token_rewards(
    scores: Tensor,
    logprobs: Tensor,
    ref_logprobs: Tensor,
    mask: Tensor,
    kl_coefficient: float,
) -> Tensor:
    """Reward of each token, (B, T): the KL penalty, and the score on the last token.

    `scores` is (B,), log-probs and `mask` are (B, T), padded on the right.  Summed over an
    episode this is R = score - coefficient * log(p / p_ref), Ziegler et al. 2019, eq. 2.
    """
    # Detail 5.  A token that the policy likes more than the reference does costs reward.
    rewards = -kl_coefficient * (logprobs - ref_logprobs) * mask
    last_token = mask.sum(1) - 1  # (B,)
    rewards[torch.arange(len(scores)), last_token] += scores
    return rewards


def gae(
    rewards: Tensor, values: Tensor, mask: Tensor, gamma: float, lam: float
) -> tuple[Tensor, Tensor]:
    """(Advantages, returns), both (B, T) and 0 outside `mask`.

    values[:, t] is the value of the state in which token t was chosen, before it is known.
    With value 0 after the last token, and from the back (Schulman et al. 2016, eq. 16):

        delta_t     = reward_t + gamma * value_{t+1} - value_t
        advantage_t = delta_t + gamma * lam * advantage_{t+1}
        return_t    = advantage_t + value_t
    """
    values = values * mask  # so that value_{t+1} is 0 at an episode's last token
    advantages = torch.zeros_like(values)
    next_value = next_advantage = torch.zeros_like(values[:, 0])  # (B,)
    for t in reversed(range(values.shape[1])):
        delta = rewards[:, t] + gamma * next_value - values[:, t]
        # Padding comes first on the way back: the mask keeps it 0 until the last token.
        next_advantage = (delta + gamma * lam * next_advantage) * mask[:, t]
        advantages[:, t], next_value = next_advantage, values[:, t]
    return advantages, advantages + values  # Detail 6


def policy_loss(
    new: Tensor, old: Tensor, advantages: Tensor, clip: float
) -> tuple[Tensor, Tensor]:
    """(Loss, fraction of tokens clipped), means over N tokens.

    `new` and `old` are log-probs (N,) of the same tokens under the policy that learns and
    the one that sampled.  Schulman et al. 2017, eq. 7, with the sign of a loss:
    -min(r * A, clamp(r, 1 - clip, 1 + clip) * A), where r = p_new / p_old.
    """
    ratio = torch.exp(new - old)
    unclipped = -advantages * ratio
    clipped = -advantages * ratio.clamp(1 - clip, 1 + clip)
    # Detail 8.  The minus turns the minimum into a maximum.  A clamped ratio has gradient
    # 0, so a token stops pushing once it has moved by `clip` the way its advantage wants.
    # One that moved the wrong way has the larger loss unclipped, and is pulled back.
    loss = torch.maximum(unclipped, clipped).mean()
    return loss, (clipped > unclipped).float().mean()


def value_loss(
    new: Tensor, old: Tensor, returns: Tensor, clip: float
) -> tuple[Tensor, Tensor]:
    """(Loss, fraction of tokens clipped), means over N tokens.

    Half the squared error, or that of the value kept within `clip` of the old one where
    that is larger; all are (N,).
    """
    kept = new.clamp(old - clip, old + clip)  # exactly `new` inside the clip
    unclipped = (new - returns) ** 2 / 2
    clipped = (kept - returns) ** 2 / 2
    # Detail 9.  As above: no gradient once a value has moved by `clip` towards its return.
    loss = torch.maximum(unclipped, clipped).mean()
    return loss, (clipped > unclipped).float().mean()


# ------------------------------------------------------------------------------------------
# 2. The model


class Batch(NamedTuple):
    """Prompts with their completions, as a model reads them."""

    ids: Tensor  # (B, L), padded with 0 on the right
    prompt_lengths: Tensor  # (B,)
    total_lengths: Tensor  # (B,), of prompt and completion together


def collate(pairs: Sequence[tuple[list[int], list[int]]]) -> Batch:
    """The batch of pairs of prompt ids and completion ids."""
    rows = [torch.tensor(prompt + completion) for prompt, completion in pairs]
    prompt_lengths = torch.tensor([len(prompt) for prompt, _ in pairs])
    total_lengths = torch.tensor([len(row) for row in rows])
    return Batch(pad_sequence(rows, batch_first=True), prompt_lengths, total_lengths)


def completion_logprobs(
    model: PreTrainedModel, batch: Batch, temperature: float
) -> tuple[Tensor, Tensor, Tensor | None]:
    """For each completion token, episode after episode in one row: the hidden state that
    chose it (N, H), its log-prob (N,), and the entropy of the choice (N,).

    Entropies are None where gradients are wanted: no loss needs them.
    """
    groups = prompt_numbers(batch) if shares_prompts(model) else None
    if groups is not None and groups.max() + 1 < len(groups):
        states, tokens = _choices_sharing_prompts(model, batch, groups)
    else:
        states, tokens = _choices(model, batch)
    # Logits of these N states alone: those of all, (B, L, V), would be the largest tensor.
    logits = model.get_output_embeddings()(states).float() / temperature  # Detail 1; (N, V)
    normaliser = logits.logsumexp(-1)  # (N,); log_softmax would hold (N, V) a second time
    logprobs = logits.gather(-1, tokens[:, None])[:, 0] - normaliser
    if torch.is_grad_enabled():
        return states, logprobs, None
    # Entropy = -sum p log p = -sum p (logit - normaliser) = normaliser - sum p logit.
    entropies = normaliser - (logits.softmax(-1) * logits).sum(-1)
    return states, logprobs, entropies


def _choices(model: PreTrainedModel, batch: Batch) -> tuple[Tensor, Tensor]:
    """The completion tokens (N,), and the hidden states (N, H) that chose them."""
    ids, prompt_lengths, total_lengths = batch
    position = torch.arange(ids.shape[1], device=ids.device)  # (L,)
    attention_mask = (position < total_lengths[:, None]).long()  # (B, L), 0 on padding
    hidden = model.base_model(input_ids=ids, attention_mask=attention_mask, use_cache=False)
    hidden = hidden[0]  # (B, L, H)
    # The state at a position chooses the token at the next one.  So the states from the
    # prompt's last token to the completion's last but one choose the completion.
    first, end = prompt_lengths[:, None] - 1, total_lengths[:, None] - 1  # (B, 1)
    chooses = (position >= first) & (position < end)  # (B, L), True N times
    # roll brings the next token to each place
    return hidden[chooses], ids.roll(-1, dims=1)[chooses]


def _choices_sharing_prompts(
    model: PreTrainedModel, batch: Batch, groups: Tensor
) -> tuple[Tensor, Tensor]:
    """As `_choices`; each of U prompts is computed once for all of its completions.

    `groups` (B,) numbers the prompts.  Keys and values are selected for each completion,
    so gradients of all of them add up in the prompt.
    """
    ids, prompt_lengths, total_lengths = batch
    device = ids.device
    rows = [int((groups == number).nonzero()[0]) for number in range(int(groups.max()) + 1)]
    lengths = prompt_lengths[rows]  # (U,)
    longest = int(lengths.max())  # P tokens
    asked = torch.arange(longest, device=device) < lengths[:, None]  # (U, P)
    output = model.base_model(
        input_ids=ids[rows][:, :longest] * asked,
        attention_mask=asked.long(),
        use_cache=True,
    )
    last = output[0][torch.arange(len(rows), device=device), lengths - 1]  # (U, H)
    cache = output.past_key_values
    cache.batch_select_indices(groups)
    # Completions by themselves, (B, T), each from the end of its prompt.
    sizes = total_lengths - prompt_lengths  # (B,)
    place = torch.arange(int(sizes.max()), device=device)  # (T,)
    written = place < sizes[:, None]  # (B, T), True N times
    positions = prompt_lengths[:, None] + place  # (B, T)
    completions = ids.gather(1, positions.clamp(max=ids.shape[1] - 1))
    states = last[groups][:, None]  # (B, 1, H): each prompt's end chooses the first token
    if len(place) > 1:
        rest = model.base_model(
            input_ids=completions[:, :-1],
            attention_mask=torch.cat([asked[groups], written[:, :-1]], dim=1).long(),
            position_ids=positions[:, :-1],
            past_key_values=cache,
            use_cache=True,
        )
        states = torch.cat([states, rest[0]], dim=1)  # (B, T, H)
    return states[written], completions[written]


def prompt_numbers(batch: Batch) -> Tensor:
    """For each row of a batch the number of its prompt, (B,): equal prompts share one."""
    numbers: dict[tuple[int, ...], int] = {}
    rows = zip(batch.ids.tolist(), batch.prompt_lengths.tolist(), strict=True)
    found = [numbers.setdefault(tuple(row[:most]), len(numbers)) for row, most in rows]
    return torch.tensor(found, device=batch.ids.device)


def shares_prompts(model: PreTrainedModel) -> bool:
    """Whether the completions of one prompt can share it.

    GPT-2's do not: its sums stay in the order of the published study, bit for bit.
    """
    return shares(model) and not isinstance(model, GPT2LMHeadModel)


def autocast(device: torch.device, bf16: bool) -> torch.autocast:
    """bf16 where it is wanted, and full precision where it is not.

    Every forward pass says so itself, and the innermost autocast counts: accelerate may
    still hold the precision of a trainer that ran earlier in this process.
    """
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=bf16)


class ActorCritic(nn.Module):
    """A causal language model with a value head on its last hidden state."""

    def __init__(self, model: PreTrainedModel, bf16: bool = False) -> None:
        super().__init__()
        self.model, self.bf16 = model, bf16
        # Details 3 and 4
        self.value_head = nn.Linear(model.get_output_embeddings().weight.shape[1], 1)
        nn.init.zeros_(self.value_head.weight)
        nn.init.zeros_(self.value_head.bias)

    def forward(
        self, batch: Batch, temperature: float
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """(Log-probs, values, entropies), each (N,); see `completion_logprobs`."""
        with autocast(batch.ids.device, self.bf16):
            states, logprobs, entropies = completion_logprobs(
                self.model, batch, temperature
            )
            values = self.value_head(states)[:, 0].float()
        return logprobs, values, entropies


# ------------------------------------------------------------------------------------------
# 3. Episodes and batches


class TokenStats(NamedTuple):
    """What the models say of sampled tokens, before the update changes them.

    (T,) for one episode, (B, T) for all episodes of an update.
    """

    logprobs: Tensor
    ref_logprobs: Tensor
    values: Tensor
    entropies: Tensor


@dataclass
class Episode:
    """A completion and its score."""

    prompt_ids: list[int]
    completion_ids: list[int]
    prompt_number: int  # of its prompt within the update
    score: float | None  # None: could not be judged
    stats: TokenStats | None = None  # by `Trainer.evaluate`

    @property
    def length(self) -> int:
        """Tokens of prompt and completion."""
        return len(self.prompt_ids) + len(self.completion_ids)


class Targets(NamedTuple):
    """What an update learns from; fixed before its first optimiser step.

    All are (B, T) for an update, and (N,) for the tokens of a micro-batch.
    """

    logprobs: Tensor  # under the policy that sampled
    values: Tensor  # by the value head at that time
    advantages: Tensor  # whitened
    returns: Tensor


def prompts_of_update(
    rows: Sequence[dict], count: int, update: int, seed: int
) -> list[dict]:
    """The `count` rows of one update, reshuffled whenever all have been used once.

    They follow from the update's number alone, so a resumed run needs no state for them.
    """
    # Detail 15.  Uses are counted over the whole run: use k is place k % len(rows) of
    # shuffle k // len(rows).
    uses = range(update * count, (update + 1) * count)
    places = [divmod(use, len(rows)) for use in uses]
    orders = {
        shuffle: random.Random(f"{seed} rows {shuffle}").sample(range(len(rows)), len(rows))
        for shuffle, _ in places
    }
    return [rows[orders[shuffle][place]] for shuffle, place in places]


def minibatches(count: int, size: int, rng: random.Random) -> list[list[int]]:
    """0 to count - 1 in random order, in lists of almost equal length, at most `size`."""
    # Detail 12.  65 episodes in minibatches of 64 make 32 + 33, because a last minibatch of
    # one episode would be a noisy step.
    order, parts = rng.sample(range(count), count), -(-count // size)
    return [order[count * k // parts : count * (k + 1) // parts] for k in range(parts)]


def parts_of(model: PreTrainedModel, batch: Batch, limit: int) -> list[list[int]]:
    """The rows of a batch in micro-batches of at most `limit` tokens, padding included.

    Where the completions of a prompt share it, they stay together and it counts once.
    """
    if not shares_prompts(model):
        return micro_batches(batch.total_lengths.tolist(), limit)
    prompts, groups = batch.prompt_lengths.tolist(), prompt_numbers(batch).tolist()
    lengths = (batch.total_lengths - batch.prompt_lengths).tolist()  # of completions
    order = sorted(
        range(len(groups)), key=lambda row: (prompts[row], groups[row], lengths[row])
    )
    batches: list[list[int]] = [[]]
    for row in order:
        part = [*batches[-1], row]
        asked = len({groups[other] for other in part}) * prompts[row]
        written = len(part) * max(lengths[other] for other in part)
        if batches[-1] and asked + written > limit:
            batches.append([])
        batches[-1].append(row)
    return batches


def tokens_at_once(model: nn.Module, device: torch.device) -> int:
    """Padded tokens in a micro-batch of the model on this device."""
    if is_large(model, device):
        return TOKENS_AT_ONCE_OF_LARGE
    return TOKENS_AT_ONCE.get(device.type, 8192)


def micro_batches(lengths: Sequence[int], limit: int) -> list[list[int]]:
    """Indexes of sequences of similar length, at most `limit` padded tokens in each list.

    A sequence longer than that goes alone.
    """
    batches: list[list[int]] = [[]]
    for index in sorted(range(len(lengths)), key=lambda index: lengths[index]):
        # Shortest first: this sequence is the longest so far, and all are padded to it.
        if batches[-1] and (len(batches[-1]) + 1) * lengths[index] > limit:
            batches.append([])
        batches[-1].append(index)
    return batches if lengths else []


# ------------------------------------------------------------------------------------------
# 4. One update


@dataclass(frozen=True)
class Run:
    """The settings of one run."""

    settings: PPOSettings
    updates: int
    samples_per_prompt: int
    sampling: SamplingSettings
    seed: int
    bf16: bool

    def identity(self) -> dict[str, object]:
        """All that decides the result; a checkpoint of another identity is refused."""
        return {
            **self.settings.flat(deciding=True),
            **self.sampling.flat(deciding=True),
            "updates": self.updates,
            "samples_per_prompt": self.samples_per_prompt,
            "seed": self.seed,
            "bf16": self.bf16,
        }


class Trainer:
    """The models, the reward and the optimiser of a run, and one update of them.

    Several processes share the work of one: each samples, scores and evaluates its share
    of the prompts, then all exchange their episodes and each takes its share of every
    minibatch.  The update is that of a single process with the same episodes.
    """

    def __init__(
        self,
        policy: PreTrainedModel,
        reference: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        reward: Callable[..., Sequence[float | None]],
        run: Run,
    ) -> None:
        processes.join()
        self.accelerator = Accelerator()
        self.tokenizer, self.reward, self.run = tokenizer, reward, run
        actor = ActorCritic(policy, run.bf16).to(policy.device).eval()  # Detail 2
        learning = [weight for weight in actor.parameters() if weight.requires_grad]
        # Detail 11
        optimizer = torch.optim.Adam(learning, run.settings.learning_rate, eps=1e-5)
        self.actor, self.optimizer = self.accelerator.prepare(actor, optimizer)
        self.unwrapped = self.accelerator.unwrap_model(self.actor)  # without DDP
        self.reference = reference.to(self.accelerator.device).eval()
        self.token_limit = tokens_at_once(policy, self.accelerator.device)

    def update(self, rows: list[dict], number: int) -> dict:
        """Sample, score and learn from `rows`, one per prompt; a row of history."""
        start = time.perf_counter()
        samples = self.sample(rows, number)
        sampled = time.perf_counter()
        episodes = self.score(rows, samples)
        scored = time.perf_counter()
        judged = [episode for episode in episodes if episode.score is not None]  # Detail 18
        self.evaluate(judged)
        # From here on every process knows all episodes, in the same order.
        unjudged = sum(gather_object([len(episodes) - len(judged)]))
        judged = sorted(gather_object(judged), key=lambda episode: episode.prompt_number)
        row = {"update": number, "episodes": len(judged), "unjudged": unjudged}
        if judged:
            row |= self.learn(judged, random.Random(f"{self.run.seed} {number}"))
        row["seconds/sampling"] = sampled - start
        row["seconds/reward"] = scored - sampled
        row["seconds/training"] = time.perf_counter() - scored
        return {name: row.get(name) for name in COLUMNS}

    def sample(self, rows: list[dict], number: int) -> list[tuple[int, Sampled]]:
        """This process's samples, each with the number of its row."""
        rank, sampling = self.accelerator.process_index, self.run.sampling
        share = range(rank, len(rows), self.accelerator.num_processes)
        groups = sample_completions(
            to_sample_from(self.unwrapped.model, self.run.bf16),
            self.tokenizer,
            [rows[index]["prompt"] for index in share],
            self.run.samples_per_prompt,
            temperature=sampling.temperature,
            max_new_tokens=sampling.max_new_tokens,
            # Detail 16.  Named by update and rank: a resumed run draws the same samples.
            seed=random.Random(f"{self.run.seed} {number} {rank}").getrandbits(31),
        )
        numbered = zip(share, groups, strict=True)
        return [(index, sample) for index, group in numbered for sample in group]

    def score(self, rows: list[dict], samples: list[tuple[int, Sampled]]) -> list[Episode]:
        """The samples with their rewards, as episodes."""
        columns = {name: [rows[index][name] for index, _ in samples] for name in rows[0]}
        texts = [sample.text for _, sample in samples]  # Detail 17: ended or cut
        scores = self.reward(columns.pop("prompt"), texts, **columns)
        return [
            Episode(sample.prompt_ids, sample.ids, index, score)
            for (index, sample), score in zip(samples, scores, strict=True)
        ]

    @torch.no_grad()
    def evaluate(self, episodes: list[Episode]) -> None:
        """Fill in the tensors of `episodes`, from the models as they are now."""
        temperature = self.run.sampling.temperature
        lengths = [episode.length for episode in episodes]
        for indexes in micro_batches(lengths, self.token_limit):
            part = [episodes[index] for index in indexes]
            batch = self.batch(part)
            logprobs, values, entropies = self.unwrapped(batch, temperature)
            with autocast(self.accelerator.device, self.run.bf16):
                _, ref_logprobs, _ = completion_logprobs(self.reference, batch, temperature)
            # From (N,) to (T,) for each episode.  Clones, because a slice that is sent to
            # another process takes the whole tensor along.
            stats = TokenStats(logprobs, ref_logprobs, values, entropies)
            sizes = [len(episode.completion_ids) for episode in part]
            slices = zip(*(tensor.cpu().split(sizes) for tensor in stats), strict=True)
            for episode, its_slices in zip(part, slices, strict=True):
                episode.stats = TokenStats(*(tensor.clone() for tensor in its_slices))

    def learn(self, episodes: list[Episode], rng: random.Random) -> dict[str, float]:
        """Epochs of minibatches over the episodes of all processes; the metrics."""
        settings = self.run.settings
        targets, mask, metrics = self.targets(episodes)
        steps = [
            self.optimizer_step(episodes, targets, mask, minibatch)
            for _ in range(settings.epochs)
            for minibatch in minibatches(len(episodes), settings.minibatch, rng)
        ]
        means = self.accelerator.reduce(torch.stack(steps).mean(0))  # sum over processes
        metrics |= zip(LOSS_COLUMNS, means, strict=True)
        return {name: float(value) for name, value in metrics.items()}

    def targets(self, episodes: list[Episode]) -> tuple[Targets, Tensor, dict]:
        """What to learn from `episodes`; the mask (B, T), True on tokens; metrics."""
        settings = self.run.settings
        stacked = [torch.stack(episode.stats, dim=1) for episode in episodes]  # (T, 4) each
        padded = pad_sequence(stacked, batch_first=True)  # (B, T, 4)
        stats = TokenStats(*padded.unbind(-1))  # (B, T) each
        lengths = torch.tensor([len(episode.completion_ids) for episode in episodes])
        mask = torch.arange(padded.shape[1]) < lengths[:, None]
        scores = torch.tensor([float(episode.score) for episode in episodes])  # (B,)

        rewards = token_rewards(
            scores, stats.logprobs, stats.ref_logprobs, mask, settings.kl
        )
        advantages, returns = gae(rewards, stats.values, mask, settings.gamma, settings.lam)
        # Detail 7.  Returns keep their scale: the value head has to predict it.
        advantages = whiten(advantages, mask)
        targets = Targets(stats.logprobs, stats.values, advantages, returns)

        scores_of_prompt = defaultdict(set)
        for episode in episodes:
            scores_of_prompt[episode.prompt_number].add(episode.score)
        same = [len(distinct) == 1 for distinct in scores_of_prompt.values()]
        metrics = {
            "objective/scores": scores.mean(),
            "objective/kl": (stats.logprobs - stats.ref_logprobs).sum(1).mean(),
            "objective/entropy": stats.entropies.sum(1).mean(),
            "objective/rlhf_reward": rewards.sum(1).mean(),
            "groups/same_reward": sum(same) / len(same),
            "length": lengths.float().mean(),
        }
        if (variance := returns[mask].var(correction=0)) > 0:
            unexplained = (returns - stats.values)[mask].var(correction=0)
            metrics["value/explained_variance"] = 1 - unexplained / variance
        return targets, mask, metrics

    def optimizer_step(
        self, episodes: list[Episode], targets: Targets, mask: Tensor, minibatch: list[int]
    ) -> Tensor:
        """One step on the episodes with these indexes; this process's LOSS_COLUMNS."""
        accelerator = self.accelerator
        share = minibatch[accelerator.process_index :: accelerator.num_processes]
        # A token's weight in the mean over the minibatch, in any process and micro-batch.
        # A process without an episode takes another's with weight 0, because all processes
        # have to meet in the backward pass.
        weight = (1.0 if share else 0.0) / mask[minibatch].sum()
        share = share or minibatch[:1]
        lengths = [episodes[index].length for index in share]
        parts = micro_batches(lengths, self.token_limit)
        metrics = 0.0
        for number, part in enumerate(parts, start=1):
            rows = [share[position] for position in part]
            # (B, T) to the (N,) tokens of these rows, in the order of the model's output.
            own = Targets(*(target[rows][mask[rows]] for target in targets))
            # Processes exchange gradients once, with the last micro-batch.
            last = number == len(parts)
            with nullcontext() if last else accelerator.no_sync(self.actor):
                part_episodes = [episodes[row] for row in rows]
                metrics = metrics + self.backward(part_episodes, own, weight)
        # Detail 13
        largest = self.run.settings.max_grad_norm
        accelerator.clip_grad_norm_(self.actor.parameters(), largest)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return metrics

    def backward(self, episodes: list[Episode], old: Targets, weight: Tensor) -> Tensor:
        """Add a micro-batch's gradients, each token with `weight`; its LOSS_COLUMNS."""
        settings = self.run.settings
        batch = self.batch(episodes)
        logprobs, values, _ = self.actor(batch, self.run.sampling.temperature)  # (N,)
        old = Targets(*(target.to(logprobs.device) for target in old))
        clip = settings.clip
        loss_p, clipped_p = policy_loss(logprobs, old.logprobs, old.advantages, clip)
        loss_v, clipped_v = value_loss(values, old.values, old.returns, clip)
        # Detail 10.  Means over N tokens, times N * weight: parts of the minibatch's mean.
        scale = weight * len(logprobs)
        objective = (loss_p + settings.value_coefficient * loss_v) * scale
        # Gradients are averaged over processes where their sum is wanted.
        self.accelerator.backward(objective * self.accelerator.num_processes)
        metrics = {
            "loss/policy": loss_p,
            "policy/clipfrac": clipped_p,
            "policy/approxkl": kl_k3(old.logprobs, logprobs).mean(),
            "loss/value": loss_v,
            "value/clipfrac": clipped_v,
        }
        return torch.stack([metrics[name] for name in LOSS_COLUMNS]).detach() * scale

    def batch(self, episodes: Sequence[Episode]) -> Batch:
        """The batch of `episodes`, where the models are."""
        pairs = [(episode.prompt_ids, episode.completion_ids) for episode in episodes]
        return Batch(*(tensor.to(self.accelerator.device) for tensor in collate(pairs)))


# ------------------------------------------------------------------------------------------
# 5. Checkpoints

# A safetensors file: tensors, and in its header JSON for the rest.  To read a checkpoint
# from elsewhere runs none of its code; a pickle's would run.


def save_checkpoint(path: Path, trainer: Trainer, history: list[dict]) -> None:
    """Write all that the next update depends on, whole or not at all."""
    optimizer = trainer.optimizer.state_dict()
    tensors = {
        f"model.{key}": value for key, value in trainer.unwrapped.state_dict().items()
    }
    for number, state in optimizer["state"].items():
        tensors |= {f"optimizer.{number}.{key}": value for key, value in state.items()}
    # Rewards may draw from any of these, so a resumed run has to find them as they were.
    tensors["random.torch"] = torch.get_rng_state()
    for device, state in enumerate(torch.cuda.get_rng_state_all()):
        tensors[f"random.cuda.{device}"] = state
    kind, keys, *rest = np.random.get_state()
    plain = {
        "identity": trainer.run.identity(),
        "history": history,
        "groups": optimizer["param_groups"],
        "random": random.getstate(),
        "numpy": [kind, keys.tolist(), *rest],
    }
    part = path.with_suffix(".part")
    # Tied weights share their memory, which the format refuses.
    own = {name: tensor.detach().clone().contiguous() for name, tensor in tensors.items()}
    save_file(own, part, metadata={"state": json.dumps(plain)})
    os.replace(part, path)


def load_checkpoint(path: Path, trainer: Trainer) -> list[dict]:
    """Bring `trainer` to where the checkpoint was written; the history until then.

    Raises BadInput for a checkpoint of other settings, and for a damaged file.
    """
    try:
        with safe_open(path, framework="pt") as file:
            plain = json.loads(file.metadata()["state"])
            names = file.keys()
            tensors = {name: file.get_tensor(name) for name in names}
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise BadInput(f"{path}: is damaged ({error}); remove it to start again") from None
    if plain.get("identity") != json.loads(json.dumps(trainer.run.identity())):
        raise BadInput(f"{path}: was made with other settings; use these or remove it")

    def under(prefix: str) -> dict[str, torch.Tensor]:
        return {
            name.removeprefix(prefix): tensor
            for name, tensor in tensors.items()
            if name.startswith(prefix)
        }

    trainer.unwrapped.load_state_dict(under("model."))
    moments: dict[int, dict[str, torch.Tensor]] = defaultdict(dict)
    for name, tensor in under("optimizer.").items():
        number, _, key = name.partition(".")
        moments[int(number)][key] = tensor
    trainer.optimizer.load_state_dict(
        {"state": dict(moments), "param_groups": plain["groups"]}
    )
    torch.set_rng_state(tensors["random.torch"])
    torch.cuda.set_rng_state_all(list(under("random.cuda.").values()))
    version, keys, gauss = plain["random"]
    random.setstate((version, tuple(keys), gauss))
    np.random.set_state(plain["numpy"])
    return plain["history"]


# ------------------------------------------------------------------------------------------
# 6. The loop


def train_ppo(
    policy: PreTrainedModel,
    reference: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    rows: Sequence[dict],
    reward: Callable[..., Sequence[float | None]],
    settings: PPOSettings,
    folder: Path,
    *,
    updates: int,
    samples_per_prompt: int,
    sampling: SamplingSettings = SamplingSettings(),
    seed: int = 0,
    bf16: bool = False,
    snapshots: Collection[int] = (),
    log: Callable[[str], object] = progress.say,
) -> list[dict]:
    """Train `policy` in place; the history, one row of COLUMNS per update.

    Each of `rows` has a "prompt".  Its other columns go to `reward(prompts, completions,
    **columns)` as lists, one entry per completion.  A reward of None leaves the episode
    out of the update; where all are None the update is skipped.

    `folder` gets history.csv and, until the end, checkpoint.safetensors.  Called again with
    the same arguments, a run that was killed goes on from there; on one CPU process it ends
    with the very same weights.  After the updates in `snapshots` the policy is saved to
    `folder`/update<number>.

    `bf16` is autocast: weights keep their precision.  The trained policy is not saved: that
    is the caller's.  Raises BadInput for a checkpoint of other settings or a damaged one
    and for a temperature of 0, and what `reward` raises.
    """
    if not sampling.temperature > 0:
        raise BadInput("parameter temperature: 0 is greedy; PPO needs more, to explore")
    run = Run(settings, updates, samples_per_prompt, sampling, seed, bf16)
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint = folder / "checkpoint.safetensors"
    set_seed(seed)
    trainer = Trainer(policy, reference, tokenizer, reward, run)
    is_main = trainer.accelerator.is_main_process
    resumed = processes.from_first(checkpoint.exists)
    history = load_checkpoint(checkpoint, trainer) if resumed else []
    first, start = len(history), time.perf_counter()
    for number in range(first, updates):
        chosen = prompts_of_update(rows, settings.prompts, number, seed)
        history.append(trainer.update(chosen, number))
        if not is_main:
            continue
        write_csv(folder / "history.csv", history)
        seconds = time.perf_counter() - start
        if line := progress_line(history, run, number + 1 - first, seconds):
            log(line)
        if number + 1 in snapshots:
            save_model(trainer.unwrapped.model, tokenizer, folder / f"update{number + 1}")
        if (number + 1) % settings.checkpoint_every == 0:
            save_checkpoint(checkpoint, trainer, history)
    processes.from_first(lambda: None)  # by now all processes have read the checkpoint
    if is_main:
        checkpoint.unlink(missing_ok=True)
    return history


def progress_line(history: list[dict], run: Run, here: int, seconds: float) -> str | None:
    """A line for every twentieth of the updates, and for each one that was skipped.

    `here` updates took `seconds`; the others are a checkpoint's.
    """
    row, done = history[-1], len(history)
    prefix = f"update {done}/{run.updates}:"
    if not row["episodes"]:
        return f"{prefix} skipped, no episode was judged"
    if done % -(-run.updates // LOG_LINES) and done < run.updates:
        return None
    per_update = run.settings.prompts * run.samples_per_prompt
    rate = per_update * here / seconds
    left = progress.left(per_update * (run.updates - done) / rate)
    # GRPO without a KL in its loss measures none.
    kl = "" if row["objective/kl"] is None else f"kl {row['objective/kl']:.3f}, "
    return (
        f"{prefix} score {row['objective/scores']:.3f}, {kl}{rate:.1f} episodes/s, {left}"
    )
