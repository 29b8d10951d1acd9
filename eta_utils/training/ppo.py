"""Proximal policy optimisation (PPO) for language models, with a value head and GAE.

>>> settings = PPOSettings(updates=30, prompts_per_update=32, samples_per_prompt=8)
>>> history = train_ppo(policy, reference, tokenizer, rows, reward, settings, Path("run"))
>>> history[-1]["objective/scores"]     # mean reward of the last update

The algorithm of Schulman et al. 2017 (arXiv 1707.06347) with the advantages of Schulman et
al. 2016 (GAE, 1506.02438) and the reward of Ziegler et al. 2019 (1909.08593); details from
Huang et al. 2024, "The N implementation details of RLHF with PPO" (2403.17031).  An episode
is one completion, a step one of its tokens; the formulas are in `ppo_steps`.

Leaves out: dropout, schedules of learning rate and KL coefficient, models split over
devices or that change logits after the output embedding, and saving the trained policy.
"""

from __future__ import annotations

import os
import random
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import gather_object, set_seed
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from eta_utils.common import processes
from eta_utils.common.files import BadInput, write_csv
from eta_utils.training.models import save_model
from eta_utils.training.ppo_steps import (
    ActorCritic,
    Episode,
    collate,
    drawn,
    gae,
    kl_k3,
    minibatches,
    pieces,
    policy_loss,
    read,
    token_rewards,
    value_loss,
    whiten,
)  # fmt: skip
from eta_utils.training.sampling import sample_completions

LOSSES = "loss/policy policy/clipfrac policy/approxkl loss/value value/clipfrac".split()
COLUMNS = """update episodes objective/scores objective/kl objective/entropy
    objective/rlhf_reward policy/approxkl policy/clipfrac loss/policy loss/value
    value/clipfrac value/explained_variance groups/same_reward unjudged length
    seconds/sampling seconds/reward seconds/training""".split()
# Padded tokens that go through a model together: few enough for a processor's caches (a
# third faster than 6,400), and for the logits of a vocabulary of 150,000 on a GPU.
TOKENS_AT_ONCE = {"cpu": 2048, "cuda": 8192}
LOG_LINES = 20
RANDOM_STATES = [
    (random.getstate, random.setstate),
    (np.random.get_state, np.random.set_state),
    (torch.get_rng_state, torch.set_rng_state),
    (torch.cuda.get_rng_state_all, torch.cuda.set_rng_state_all),
]


@dataclass(frozen=True)
class PPOSettings:
    """`minibatch_size` counts episodes of all processes, `checkpoint_every` updates;
    `kl_coefficient` is reward per nat; `bf16` is autocast where the models are trained."""

    updates: int = 30
    prompts_per_update: int = 32
    samples_per_prompt: int = 8
    learning_rate: float = 1e-4
    epochs: int = 2
    minibatch_size: int = 64
    clip: float = 0.2
    value_clip: float = 0.2
    value_coefficient: float = 0.1
    kl_coefficient: float = 0.02
    gamma: float = 1.0
    lam: float = 0.95
    max_grad_norm: float = 1.0
    temperature: float = 1.0
    max_new_tokens: int = 96
    checkpoint_every: int = 5
    seed: int = 0
    bf16: bool = False


class _Trainer:
    """The models and the optimizer, and what is done with them in one update."""

    def __init__(self, policy, reference, tokenizer, reward, settings: PPOSettings) -> None:
        processes.join()
        # As transformers does: a training before this one may have had another precision.
        AcceleratorState._reset_state()
        self.accelerator = Accelerator(mixed_precision="bf16" if settings.bf16 else "no")
        actor = ActorCritic(policy).to(policy.device).eval()
        learning = [each for each in actor.parameters() if each.requires_grad]
        optimizer = torch.optim.Adam(learning, settings.learning_rate, eps=1e-5)
        self.actor, self.optimizer = self.accelerator.prepare(actor, optimizer)
        self.plain = self.accelerator.unwrap_model(self.actor)
        self.reference = reference.to(self.accelerator.device).eval()
        self.tokenizer, self.reward, self.settings = tokenizer, reward, settings
        self.limit = TOKENS_AT_ONCE.get(self.accelerator.device.type, 8192)

    def update(self, rows: list[dict], number: int) -> dict:
        """One round of sampling, reward and training on `rows`; its row of history."""
        clock = [time.perf_counter()]
        found = self.sample(rows, number, clock)
        self.look(judged := [each for each in found if each.score is not None])
        # From here on every process knows all episodes, and trains on a share of each
        # minibatch: the update is that of a single process.
        unjudged = gather_object([len(found) - len(judged)])
        judged = sorted(gather_object(judged), key=lambda each: each.group)
        row = {"update": number, "episodes": len(judged), "unjudged": sum(unjudged)}
        if judged:
            row |= self.train(judged, random.Random(f"{self.settings.seed} {number}"))
        clock.append(time.perf_counter())
        for k, name in enumerate(("sampling", "reward", "training")):
            row[f"seconds/{name}"] = clock[k + 1] - clock[k]
        return {name: row.get(name) for name in COLUMNS}

    def sample(self, rows: list[dict], number: int, clock: list[float]) -> list[Episode]:
        """This process's share of the episodes, judged."""
        rank, settings = self.accelerator.process_index, self.settings
        share = range(rank, len(rows), self.accelerator.num_processes)
        written = sample_completions(
            self.plain.model,
            self.tokenizer,
            [rows[k]["prompt"] for k in share],
            settings.samples_per_prompt,
            temperature=settings.temperature,
            max_new_tokens=settings.max_new_tokens,
            seed=random.Random(f"{settings.seed} {number} {rank}").getrandbits(31),
        )
        clock.append(time.perf_counter())
        flat = [(k, each) for k, some in zip(share, written, strict=True) for each in some]
        columns = {name: [rows[k][name] for k, _ in flat] for name in rows[0]}
        texts = [each.text for _, each in flat]
        scores = self.reward(columns.pop("prompt"), texts, **columns)
        clock.append(time.perf_counter())
        together = zip(flat, scores, strict=True)
        return [Episode(each.prompt_ids, each.ids, k, s) for (k, each), s in together]

    def batch(self, episodes: Sequence[Episode]) -> list[Tensor]:
        padded = collate([(each.prompt_ids, each.ids) for each in episodes])
        return [each.to(self.accelerator.device) for each in padded]

    @torch.no_grad()
    def look(self, episodes: list[Episode]) -> None:
        """Fill in the `steps` of `episodes`, from the models as they are now."""
        temperature = self.settings.temperature
        for piece in pieces(episodes, self.limit):
            part = [episodes[k] for k in piece]
            batch = self.batch(part)
            logprobs, values, entropies = self.plain(*batch, temperature=temperature)
            with self.accelerator.autocast():
                ref = read(self.reference, *batch, temperature)[1]
            steps = torch.stack([logprobs, ref, values, entropies]).cpu()
            split = steps.split([len(each.ids) for each in part], dim=1)
            for episode, its_steps in zip(part, split, strict=True):
                episode.steps = its_steps.clone()

    def train(self, episodes: list[Episode], rng: random.Random) -> dict[str, float]:
        """Epochs of minibatches over the episodes of all processes; the metrics."""
        settings, groups = self.settings, defaultdict(set)
        steps = pad_sequence([each.steps.T for each in episodes], batch_first=True)
        logprobs, ref, values, entropies = steps.unbind(-1)
        lengths = torch.tensor([len(each.ids) for each in episodes])
        mask = torch.arange(steps.shape[1]) < lengths[:, None]
        scores = torch.tensor([float(each.score) for each in episodes])
        rewards = token_rewards(scores, logprobs, ref, mask, settings.kl_coefficient)
        advantages, returns = gae(rewards, values, mask, settings.gamma, settings.lam)
        targets = torch.stack([logprobs, values, whiten(advantages, mask), returns])
        for each in episodes:
            groups[each.group].add(each.score)
        metrics = {
            "objective/scores": scores.mean(),
            "objective/kl": (logprobs - ref).sum(1).mean(),
            "objective/entropy": entropies.sum(1).mean(),
            "objective/rlhf_reward": rewards.sum(1).mean(),
            "groups/same_reward": sum(len(s) == 1 for s in groups.values()) / len(groups),
            "length": lengths.float().mean(),
        }
        if (spread := returns[mask].var(correction=0)) > 0:
            unexplained = (returns - values)[mask].var(correction=0)
            metrics["value/explained_variance"] = 1 - unexplained / spread
        losses = [
            self.step(episodes, targets, mask, chosen)
            for _ in range(settings.epochs)
            for chosen in minibatches(len(episodes), settings.minibatch_size, rng)
        ]
        means = self.accelerator.reduce(torch.stack(losses).mean(0))
        metrics |= zip(LOSSES, means, strict=True)
        return {name: float(value) for name, value in metrics.items()}

    def step(self, episodes, targets: Tensor, mask: Tensor, chosen: list[int]) -> Tensor:
        """One step of the optimizer; this process's part of LOSSES."""
        share = chosen[self.accelerator.process_index :: self.accelerator.num_processes]
        # With fewer episodes than processes, some take part with the weight 0.
        weight = (1.0 if share else 0.0) / mask[chosen].sum()
        share, found = share or chosen[:1], 0.0
        *_, last = parts = list(pieces([episodes[k] for k in share], self.limit))
        for part in parts:
            mine = [share[k] for k in part]
            wanted = targets[:, mine][:, mask[mine]]
            alone = nullcontext if part is last else self.accelerator.no_sync
            with alone(self.actor):
                found = found + self.backward([episodes[k] for k in mine], wanted, weight)
        self.accelerator.clip_grad_norm_(
            self.actor.parameters(), self.settings.max_grad_norm
        )
        self.optimizer.step()
        self.optimizer.zero_grad()
        return found

    def backward(self, episodes: list[Episode], targets: Tensor, weight: Tensor) -> Tensor:
        """Add the gradients of a part of a minibatch, each token with `weight`."""
        settings, weight = self.settings, weight * targets.shape[1]
        new, values, _ = self.actor(*self.batch(episodes), temperature=settings.temperature)
        old, old_values, advantages, returns = targets.to(new.device)
        every, bound = torch.ones_like(new, dtype=torch.bool), settings.value_clip
        loss, clipped = policy_loss(new, old, advantages, every, settings.clip)
        loss_v, clipped_v = value_loss(values, old_values, returns, every, bound)
        objective = (loss + settings.value_coefficient * loss_v) * weight
        # The gradients become their mean over processes, but are to be the sum.
        self.accelerator.backward(objective * self.accelerator.num_processes)
        found = [loss, clipped, kl_k3(old, new).mean(), loss_v, clipped_v]
        return torch.stack(found).detach() * weight

    def save(self, path: Path, history: list[dict]) -> None:
        """Write all that the next update depends on, whole or not at all."""
        state = {"settings": asdict(self.settings), "history": history}
        state |= {
            "model": self.plain.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }
        state |= {"random": [get() for get, _ in RANDOM_STATES]}
        torch.save(state, path.with_suffix(".part"))
        os.replace(path.with_suffix(".part"), path)

    def load(self, path: Path) -> list[dict]:
        """Continue from a checkpoint; its history."""
        # Our own file: unpickling is safe, and the states of numpy and Python need it.
        state = torch.load(path, map_location="cpu", weights_only=False)
        if state["settings"] != asdict(self.settings):
            raise BadInput(f"{path}: was made with other settings; use these or remove it")
        self.plain.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        for (_, put), found in zip(RANDOM_STATES, state["random"], strict=True):
            put(found)
        return state["history"]


def train_ppo(
    policy: PreTrainedModel,
    reference: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    rows: Sequence[dict],
    reward: Callable[..., Sequence[float | None]],
    settings: PPOSettings,
    folder: Path,
    *,
    snapshots: Collection[int] = (),
    log: Callable[[str], object] = print,
) -> list[dict]:
    """Train `policy` in place; the history, one row of COLUMNS per update.

    Each of `rows` has a "prompt"; its other columns go to `reward(prompts, completions,
    **columns)` as lists, one entry per completion.  A reward of None leaves the episode
    out of the update; where all are None the update is skipped.  `folder` gets
    history.csv and, until the end, checkpoint.pt: called again with the same arguments,
    a run that was killed goes on from there, on one CPU process to the very same weights.

    After the updates in `snapshots` the policy is saved to `folder`/update<number>.

    Entropy and KL in the history are nats per episode, `length` is in tokens.
    Raises BadInput for a checkpoint of other settings, and what `reward` raises.
    """
    folder.mkdir(parents=True, exist_ok=True)
    set_seed(settings.seed)
    trainer = _Trainer(policy, reference, tokenizer, reward, settings)
    main, saved = trainer.accelerator.is_main_process, folder / "checkpoint.pt"
    history = trainer.load(saved) if processes.from_first(saved.exists) else []
    first, start = len(history), time.perf_counter()
    for number in range(first, settings.updates):
        chosen = drawn(rows, settings.prompts_per_update, number, settings.seed)
        history.append(trainer.update(chosen, number))
        if not main:
            continue
        write_csv(folder / "history.csv", history)
        _log_progress(log, history, settings, first, time.perf_counter() - start)
        if len(history) in snapshots:
            save_model(trainer.plain.model, tokenizer, folder / f"update{len(history)}")
        if len(history) % settings.checkpoint_every == 0:
            trainer.save(saved, history)
    processes.from_first(lambda: None)  # all have read it
    if main:
        saved.unlink(missing_ok=True)
    return history


def _log_progress(log, history, settings: PPOSettings, first: int, seconds: float) -> None:
    """A line for every twentieth of the updates, and for each one that was skipped."""
    row, done, shown = history[-1], len(history), -(-settings.updates // LOG_LINES)
    start = f"update {done}/{settings.updates}:"
    if not row["episodes"]:
        log(f"{start} skipped, no episode was judged")
    elif done % shown == 0 or done == settings.updates:
        size = settings.prompts_per_update * settings.samples_per_prompt
        rate = size * (done - first) / seconds
        left = timedelta(seconds=round(size * (settings.updates - done) / rate))
        log(
            f"{start} score {row['objective/scores']:.3f}, kl {row['objective/kl']:.3f}, "
            f"{rate:.1f} episodes/s, {left} left"
        )
