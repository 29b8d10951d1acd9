"""RLOO by TRL's trainer: PPO's control without a critic.

>>> history = train_rloo(
...     policy, tokenizer, rows, reward, PPOSettings(), folder,
...     updates=30, samples_per_prompt=8,
... )

REINFORCE with the mean reward of a prompt's other samples as baseline (Ahmadian et al.
2024, arXiv 2402.14740).  Prompts, rewards and the number of programs are those of `ppo`.
There are no checkpoints: an interrupted training starts again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from datasets import Dataset
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from trl import RLOOConfig, RLOOTrainer

from eta_utils.tasks import at_token_boundary
from eta_utils.training.settings import EpochSettings, PPOSettings, SamplingSettings
from eta_utils.training.trainer import TimeLeft, arguments_for, run_trainer


def train_rloo(
    policy: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    rows: Sequence[dict],
    reward: Callable,
    settings: PPOSettings,
    folder: Path,
    *,
    updates: int,
    samples_per_prompt: int,
    sampling: SamplingSettings = SamplingSettings(),
    seed: int = 0,
    bf16: bool = False,
) -> list[dict]:
    """Train `policy` in place on `rows`, each used at most once; returns what was logged.

    Each row has a "prompt".  TRL calls `reward(prompts, completions, **columns)`, where
    `columns` are the rows' other columns and TRL's own, as lists, one entry per completion.
    The prompts lose their last newlines, which the model writes itself, as in sampling.
    So completions begin with them; they are raw, and the rewards of `rewards` cut them.

    Of `settings` the critic's and the checkpoints' are unused.
    """
    used = rows[: updates * settings.prompts]
    stems = [row | {"prompt": at_token_boundary(row["prompt"], "")[0]} for row in used]
    # An update samples prompts x samples_per_prompt episodes.  TRL generates that many for
    # this number of optimiser steps of one mini-batch each, then goes over them `epochs`
    # times (its num_iterations) before it samples again.
    steps = settings.prompts * samples_per_prompt // settings.minibatch
    shared = EpochSettings(batch=settings.minibatch, learning_rate=settings.learning_rate)
    config = arguments_for(
        RLOOConfig,
        shared,
        folder,
        len(rows),
        seed=seed,
        bf16=bf16,
        lr_scheduler_type="constant",
        num_generations=samples_per_prompt,
        steps_per_generation=steps,
        num_iterations=settings.epochs,
        max_steps=updates * steps * settings.epochs,
        max_completion_length=sampling.max_new_tokens,
        temperature=sampling.temperature,
        beta=settings.kl,
        epsilon=settings.clip,
        normalize_advantages=True,  # as PPO whitens them
        shuffle_dataset=False,
    )

    trainer = RLOOTrainer(
        model=policy,
        reward_funcs=reward,
        args=config,
        train_dataset=Dataset.from_list(stems),
        processing_class=tokenizer,
        callbacks=[TimeLeft("RLOO")],
    )
    return run_trainer(trainer, policy, folder)
