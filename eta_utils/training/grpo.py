"""Group-relative policy optimisation (GRPO) by TRL's trainer: PPO without a critic.

>>> history = train_grpo(
...     policy, tokenizer, rows, reward, GRPOSettings(), folder,
...     updates=24, samples_per_prompt=8,
... )
>>> history[-1]["objective/scores"]     # mean reward of the last update

One update samples n completions of each prompt.  The other samples of a prompt stand in for
the critic (Shao et al. 2024, DeepSeekMath, arXiv 2402.03300, eq. 3).  Every token of a
completion i with reward r_i has the advantage

    A_i = (r_i - mean of the prompt's rewards) / (deviation of all rewards of the update)

and with the ratio w = p_new / p_old of each token the loss is the mean over tokens of

    -min(w A, clamp(w, 1 - clip, 1 + clip) A) + kl * (r - 1 - log r),  r = p_ref / p_new

What differs from the paper, and why:

- The deviation is that of the update, not of the prompt (TRL's `scale_rewards="batch"`).
  That of a prompt gives one passing sample among eight the weight of four (Liu et al.
  2025, 2503.20783).  Subtracting the mean of all n samples instead of the n - 1 others
  (RLOO, Ahmadian et al. 2024, 2402.14740) changes A by the factor n / (n - 1) alone.
- The mean is over all tokens of a minibatch (`loss_type="bnpo"`), as in `ppo`.  The paper
  averages within each completion first, so that tokens of long completions count less.
- Ratios are those of tokens (`importance_sampling_level="token"`), as in the paper and in
  `ppo`.  TRL's RLOO clips one ratio for the whole completion, which two epochs soon clip.

What differs from `ppo`: no critic, so no GAE; the KL is in the loss, not in the reward; the
episodes are shuffled once per update, not in each epoch.  Prompts, their order, the seeds
of sampling, clip, Adam and its constant rate are the same.

What is ours beside TRL's trainer:

- Completions come from `sample_completions`: samples of a prompt share its cache.
- Log-probs come from `ppo.completion_logprobs`.  TRL pads prompts on the left and gives no
  positions, which GPT-2 then counts from the padding: log-probs would be those of a prompt
  that starts later.  On a CPU TRL would also predict each token of the prompt.
- The reference is a copy of the policy at the start, not what its folder holds.  There is
  none, and no KL in the history, where `kl` is 0.

There are no checkpoints: an interrupted training starts again.
"""

from __future__ import annotations

import copy
import random
import sys
import time
import types
import warnings
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import torch
from datasets import Dataset
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from trl import GRPOConfig, GRPOTrainer

from eta_utils.common import progress
from eta_utils.common.errors import BadInput
from eta_utils.common.files import write_csv
from eta_utils.tasks import at_token_boundary
from eta_utils.training import ppo
from eta_utils.training.models import save_model
from eta_utils.training.sampling import sample_completions, to_sample_from
from eta_utils.training.settings import EpochSettings, GRPOSettings, SamplingSettings
from eta_utils.training.trainer import arguments_for, train_and_restore

# One row of the history.  Where a column has the name of one of PPO's it means the same.
_AS_IN_PPO = (
    "update episodes objective/scores objective/kl objective/entropy policy/clipfrac "
    "loss/policy groups/same_reward unjudged length seconds/sampling seconds/reward "
    "seconds/training"
).split()
COLUMNS = {name: ppo.COLUMNS[name] for name in _AS_IN_PPO} | {
    "loss/policy": "loss with the KL, mean over tokens and optimiser steps",
    "programs": "programs executed so far, in all updates",
}
# TRL's names for what we do not measure ourselves.
_FROM_TRL = {
    "loss": "loss/policy",
    "clip_ratio/region_mean": "policy/clipfrac",
    "completions/mean_length": "length",
}


def train_grpo(
    policy: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    rows: Sequence[dict],
    reward: Callable[..., Sequence[float | None]],
    settings: GRPOSettings,
    folder: Path,
    *,
    updates: int,
    samples_per_prompt: int,
    sampling: SamplingSettings = SamplingSettings(),
    seed: int = 0,
    bf16: bool = False,
    snapshots: Collection[int] = (),
) -> list[dict]:
    """Train `policy` in place; the history, one row of COLUMNS per update.

    Each of `rows` has a "prompt".  TRL calls `reward(prompts, completions, **columns)`,
    where `columns` are the rows' other columns and TRL's own, as lists, one entry per
    completion.  The prompts lose their last newlines, which the model writes itself, as in
    sampling.  So completions begin with them; they are raw, and the rewards of `rewards`
    cut them.  A reward of None gives no advantage and leaves the group's mean.

    `folder` gets history.csv.  After the updates in `snapshots` the policy is saved to
    `folder`/update<number>.  Raises BadInput for settings that do not fit each other.
    """
    run = ppo.Run(settings, updates, samples_per_prompt, sampling, seed, bf16)
    return Trainer(policy, tokenizer, rows, reward, run, folder, snapshots).run_all()


class Trainer(GRPOTrainer):
    """TRL's trainer with our sampler, our log-probs, and a row of history per update.

    Letters for sizes: B episodes, P tokens of the longest prompt, T tokens of the longest
    completion.
    """

    columns = COLUMNS

    def __init__(
        self,
        policy: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        rows: Sequence[dict],
        reward: Callable[..., Sequence[float | None]],
        run: ppo.Run,
        folder: Path,
        snapshots: Collection[int] = (),
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        # Where nothing asks for the KL there is no reference, which takes the memory of the
        # weights and a seventh of the time.  Copied before TRL changes the forward pass.
        reference = copy.deepcopy(policy).eval() if run.settings.kl else None
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "You are using 'rollout_func'")
            super().__init__(
                model=policy,
                reward_funcs=reward,
                args=config_of(run, folder),
                train_dataset=Dataset.from_list(prompts_of_run(rows, run)),
                processing_class=tokenizer,
                rollout_func=lambda prompts, _trainer: self.rollout(prompts),
            )
        # With beta 0 in its arguments TRL loads no reference.  It looks at these two later.
        self.ref_model = reference and reference.to(self.accelerator.device)
        self.beta = run.settings.kl
        self.run, self.folder, self.snapshots = run, folder, snapshots
        self.token_limit = ppo.tokens_at_once(policy, self.accelerator.device)
        for model in filter(None, (self.model, self.ref_model)):
            model.forward = types.MethodType(_logprobs_and_entropies, model)
        self.history: list[dict] = []
        self.measured: dict[str, float] = {}  # of this update, by name of the column
        self.started = self.update_started = time.perf_counter()

    # --- One update: sample, score, evaluate

    def rollout(self, prompts: list[str]) -> dict[str, list]:
        """This process's completions of `prompts`, each of which comes n times in a row."""
        start = time.perf_counter()
        # `generate`, which samples where the model is not GPT-2, needs its own pass.
        forward = self.model.__dict__.pop("forward")
        try:
            samples = self.sample(prompts[:: self.run.samples_per_prompt])
        finally:
            self.model.forward = forward
        self.measured["seconds/sampling"] = time.perf_counter() - start
        return samples | {"logprobs": None}  # those of the policy are computed anyway

    def sample(self, prompts: list[str]) -> dict[str, list]:
        """`prompt_ids` and `completion_ids` of n samples of each prompt, in order."""
        sampling = self.run.sampling
        groups = sample_completions(
            to_sample_from(self.model, self.run.bf16),
            self.processing_class,
            prompts,
            self.run.samples_per_prompt,
            temperature=sampling.temperature,
            max_new_tokens=sampling.max_new_tokens,
            seed=self.sampling_seed(),
        )
        samples = [sample for group in groups for sample in group]
        return {
            "prompt_ids": [sample.prompt_ids for sample in samples],
            "completion_ids": [sample.ids for sample in samples],
        }

    def sampling_seed(self) -> int:
        """That of PPO in the same update of a run with the same seed."""
        rank = self.accelerator.process_index
        return random.Random(f"{self.run.seed} {self.update} {rank}").getrandbits(31)

    @property
    def update(self) -> int:
        """Number of the update under way, from 0."""
        return self.state.global_step // self.args.logging_steps

    def _calculate_rewards(self, *inputs: object) -> Tensor:
        """TRL's: the rewards of all processes, (B, 1), nan where one is None."""
        start = time.perf_counter()
        rewards = self.rewards = super()._calculate_rewards(*inputs)
        self.measured["seconds/reward"] = time.perf_counter() - start
        groups = rewards.view(-1, self.run.samples_per_prompt)
        judged = ~groups.isnan()
        highest = groups.nan_to_num(-torch.inf).amax(1)
        spread = highest - groups.nan_to_num(torch.inf).amin(1)
        kept = judged.any(1)  # groups of which something was judged
        self.measured |= {
            "objective/scores": rewards.nanmean().item(),
            "episodes": int(judged.sum()),
            "unjudged": int((~judged).sum()),
            "groups/same_reward": (spread[kept] == 0).float().mean().item(),
        }
        return rewards

    def _generate_and_score_completions(self, inputs: list[dict]) -> dict[str, Tensor]:
        """TRL's episodes of an update, with what the two models say of them measured."""
        output = super()._generate_and_score_completions(inputs)
        mask = output["completion_mask"] * output.get("tool_mask", 1)
        # TRL leaves out what the loss can do without: the policy where one step makes the
        # update.
        if "old_per_token_logps" not in output:
            output["old_per_token_logps"] = self.evaluated(self.model, output)
        sums = {"entropy": self.entropies * mask}
        if "ref_per_token_logps" in output:
            old, reference = (output[f"{name}_per_token_logps"] for name in ("old", "ref"))
            sums["kl"] = (old - reference) * mask
        for name, values in sums.items():
            mean = self.accelerator.gather(values.sum(1)).mean().item()
            self.measured[f"objective/{name}"] = mean
        output["advantages"] = self.advantages(output)
        return output

    def advantages(self, output: dict[str, Tensor]) -> Tensor:
        """What the episodes learn from: TRL's (B,), or a subclass's (B, T)."""
        return output["advantages"]

    @torch.no_grad()
    def evaluated(self, model: PreTrainedModel, output: dict[str, Tensor]) -> Tensor:
        """The log-probs of a model, (B, T), for the episodes of an update."""
        parts = ("prompt", "completion")
        return self._get_per_token_logps_and_entropies(
            model,
            torch.cat([output[f"{part}_ids"] for part in parts], dim=1),
            torch.cat([output[f"{part}_mask"] for part in parts], dim=1),
            output["completion_ids"].shape[1],
        )[0]

    def _get_per_token_logps_and_entropies(
        self,
        model: PreTrainedModel,
        input_ids: Tensor,
        attention_mask: Tensor,
        logits_to_keep: int,
        *_ignored: object,
        **_more: object,
    ) -> tuple[Tensor, Tensor, None]:
        """(Log-probs, entropies, no auxiliary loss), (B, T) each and 0 on padding.

        `input_ids` and `attention_mask` are (B, P + T), and T is `logits_to_keep`.  TRL
        asks three times: for the policy that sampled, for the reference, and, with
        gradients, for the policy that learns.  The loss has no use for entropies, so those
        of the policy that sampled are all that are computed; for the others they are 0.
        """
        completions = attention_mask[:, -logits_to_keep:].bool()  # (B, T)
        logprobs, entropies = model(
            input_ids=input_ids,
            attention_mask=attention_mask,
            completions=completions,
            temperature=self.run.sampling.temperature,
            token_limit=self.token_limit,
            bf16=self.run.bf16,
        )
        if entropies is None:
            entropies = torch.zeros_like(logprobs)
        elif model is not self.ref_model:
            self.entropies = entropies
        return logprobs, entropies, None

    def deviation(self) -> float:
        """That of the update's rewards, by which TRL divides their advantages.

        TRL adds the small number, so that its quotient stays finite.
        """
        rewards = self.rewards[~self.rewards.isnan()]
        return (rewards.std().item() if len(rewards) > 1 else 0.0) + 1e-4

    # --- One optimiser step

    def compute_loss(
        self, model: PreTrainedModel, inputs: dict[str, Tensor], *_: object, **__: object
    ) -> Tensor:
        """TRL's loss of a minibatch, by micro-batches: memory holds one of them at a time.

        Each is TRL's mean over its tokens, weighted by its share of the minibatch's tokens.
        All but the last have gone backward already when this returns.  So the result has
        the value of the whole and the gradients of the last.

        Several processes take their shares of a minibatch whole: they meet in each of TRL's
        metrics, and may not have equally many micro-batches.
        """
        tokens = (inputs["completion_mask"] * inputs.get("tool_mask", 1)).sum(1)  # (B,)
        alone = self.accelerator.num_processes == 1
        limit = self.token_limit if alone else sys.maxsize
        ids, mask = (
            torch.cat([inputs[f"prompt_{kind}"], inputs[f"completion_{kind}"]], dim=1)
            for kind in ("ids", "mask")
        )
        kept = self.teaches(inputs)
        batch = _padded_on_the_right(ids, mask, inputs["completion_mask"].sum(1))
        batch = ppo.Batch(*(part[kept] for part in batch))
        parts = [kept[rows] for rows in ppo.parts_of(self.model, batch, limit)]
        # One divisor for all processes, whose gradients are averaged.
        every = self.accelerator.reduce(tokens.sum().float(), reduction="mean")
        weights = [tokens[rows].sum() / every.clamp(min=1) for rows in parts]
        done = torch.zeros((), device=tokens.device)
        for rows, weight in zip(parts, weights, strict=True):
            part = {
                name: value[rows] if isinstance(value, Tensor) and value.dim() else value
                for name, value in inputs.items()
            }
            loss = super().compute_loss(model, part) * weight
            if rows is not parts[-1]:
                self.accelerator.backward(loss)
                done += loss.detach()
        # TRL has noted the fraction of each part: as one fraction of the minibatch.
        clipped = self._metrics["train"]["clip_ratio/region_mean"]
        if alone:
            own = zip(weights, clipped[-len(parts) :], strict=True)
            clipped[-len(parts) :] = [sum(float(weight) * part for weight, part in own)]
        return loss + done

    def teaches(self, inputs: dict[str, Tensor]) -> Tensor:
        """The numbers of the episodes that the loss depends on.

        Without a KL in the loss these are the ones with an advantage: not those of prompts
        whose samples all pass or all fail.  Where there are none, the shortest stays.
        """
        advantages = inputs["advantages"]
        if self.beta:
            return torch.arange(len(advantages), device=advantages.device)
        has_one = advantages.view(len(advantages), -1).ne(0).any(1)
        if not has_one.any():
            has_one[inputs["completion_mask"].sum(1).argmin()] = True
        return has_one.nonzero()[:, 0]

    # --- History

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """After each update: a row of history, a line of progress, a snapshot."""
        super().log(logs, start_time)  # adds TRL's metrics to `logs`
        if "loss" not in logs:
            return  # the summary of the whole training
        run, number, now = self.run, len(self.history), time.perf_counter()
        row = {ours: logs.get(theirs) for theirs, ours in _FROM_TRL.items()} | self.measured
        row |= {
            "update": number,
            "programs": (number + 1) * run.settings.prompts * run.samples_per_prompt,
            "seconds/training": now
            - self.update_started
            - row["seconds/sampling"]
            - row["seconds/reward"],
        }
        self.history.append({name: row.get(name) for name in self.columns})
        self.measured, self.update_started = {}, now
        if not self.accelerator.is_main_process:
            return
        write_csv(self.folder / "history.csv", self.history)
        if line := ppo.progress_line(self.history, run, number + 1, now - self.started):
            progress.say(line)
        if number + 1 in self.snapshots:
            self.model.config.use_cache = True  # the trainer has switched it off
            save_model(
                self.model, self.processing_class, self.folder / f"update{number + 1}"
            )

    def run_all(self) -> list[dict]:
        """All updates; the history."""
        self.started = self.update_started = time.perf_counter()
        with warnings.catch_warnings():
            # TRL asks the model by a name that transformers has replaced.
            warnings.filterwarnings("ignore", ".*is_gradient_checkpointing")
            train_and_restore(self, self.model)
        return self.history


def config_of(run: ppo.Run, folder: Path) -> GRPOConfig:
    """TRL's arguments for a run; see the module for what they mean.

    Raises BadInput where the episodes of an update do not make whole minibatches, and for a
    temperature of 0.
    """
    settings: GRPOSettings = run.settings
    if not run.sampling.temperature > 0:
        raise BadInput("parameter temperature: 0 is greedy; GRPO needs more, to explore")
    episodes = settings.prompts * run.samples_per_prompt
    steps, rest = divmod(episodes, settings.minibatch)
    if rest:
        raise BadInput(
            f"parameter grpo_minibatch: {episodes} episodes of an update do not make whole "
            f"minibatches of {settings.minibatch}"
        )
    # TRL samples for this number of optimiser steps at a time, one minibatch each, and goes
    # over them `epochs` times (its num_iterations) before it samples again.
    steps_per_update = steps * settings.epochs
    shared = EpochSettings(batch=settings.minibatch, learning_rate=settings.learning_rate)
    return arguments_for(
        GRPOConfig,
        shared,
        folder,
        run.updates * steps_per_update * settings.minibatch,
        seed=run.seed,
        bf16=run.bf16,
        lr_scheduler_type="constant",
        adam_beta2=0.999,
        adam_epsilon=1e-5,
        max_grad_norm=settings.max_grad_norm,
        num_generations=run.samples_per_prompt,
        steps_per_generation=steps,
        num_iterations=settings.epochs,
        max_steps=run.updates * steps_per_update,
        logging_steps=steps_per_update,
        max_completion_length=run.sampling.max_new_tokens,
        temperature=run.sampling.temperature,
        loss_type="bnpo",
        importance_sampling_level="token",
        scale_rewards="batch",
        epsilon=settings.clip,
        beta=0.0,  # until `Trainer` has made its own reference
        disable_dropout=True,  # the same weights must give the same log-probs
        shuffle_dataset=False,
    )


def prompts_of_run(rows: Sequence[dict], run: ppo.Run) -> list[dict]:
    """The rows of all updates in PPO's order, their prompts without the last newlines."""
    return [
        row | {"prompt": at_token_boundary(row["prompt"], "")[0]}
        for number in range(run.updates)
        for row in ppo.prompts_of_update(rows, run.settings.prompts, number, run.seed)
    ]


def _logprobs_and_entropies(
    model: PreTrainedModel,
    *,
    input_ids: Tensor,
    attention_mask: Tensor,
    completions: Tensor,
    temperature: float,
    token_limit: int,
    bf16: bool,
) -> tuple[Tensor, Tensor | None]:
    """(Log-probs, entropies) of completion tokens, (B, T) each and 0 on padding.

    `input_ids` and `attention_mask` are (B, P + T), prompts padded on the left and
    completions on the right; `completions` (B, T) is True on their tokens.  Entropies are
    None where gradients are wanted.

    It takes the place of the model's forward pass, because several processes exchange
    gradients of what the forward pass returns.
    """
    whole = _padded_on_the_right(input_ids, attention_mask, completions.sum(1))
    # Number of each place of (B, T) in one row: where the log-probs go.
    places = torch.arange(completions.numel(), device=input_ids.device).view_as(completions)
    parts = []
    for rows in ppo.parts_of(model, whole, token_limit):
        lengths = whole.total_lengths[rows]
        ids = whole.ids[rows, : int(lengths.max())]
        batch = ppo.Batch(ids, whole.prompt_lengths[rows], lengths)
        with ppo.autocast(input_ids.device, bf16):
            _, logprobs, entropies = ppo.completion_logprobs(model, batch, temperature)
        parts.append((places[rows][completions[rows]], logprobs, entropies))

    def padded_again(values: Sequence[Tensor | None]) -> Tensor | None:
        """From one row of N tokens to (B, T)."""
        if values[0] is None:
            return None
        joined = torch.cat(list(values))
        empty = joined.new_zeros(completions.numel())
        return empty.index_put((where,), joined).view(completions.shape)

    wheres, logprobs, entropies = zip(*parts, strict=True)
    where = torch.cat(wheres)
    return padded_again(logprobs), padded_again(entropies)


def _padded_on_the_right(ids: Tensor, mask: Tensor, lengths: Tensor) -> ppo.Batch:
    """TRL's episodes, (B, P + T) with padding on both sides, as a batch of ours.

    `lengths` (B,) are those of the completions.
    """
    total = mask.sum(1)  # (B,)
    rows = [row[real.bool()] for row, real in zip(ids, mask, strict=True)]
    padded = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
    return ppo.Batch(padded, total - lengths, total)
