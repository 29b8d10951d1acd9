"""RLOO by TRL's trainer: PPO's control without a critic.

>>> history = train_rloo(
...     policy, tokenizer, rows, reward, PPOSettings(), folder,
...     updates=30, samples_per_prompt=8,
... )

REINFORCE with the mean reward of a prompt's other samples as baseline (Ahmadian et al.
2024, arXiv 2402.14740).  Same prompts, rewards and number of programs as `ppo`.  There are
no checkpoints: an interrupted training begins anew.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from datasets import Dataset
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from trl import RLOOConfig, RLOOTrainer

from eta_utils.tasks import at_token_boundary
from eta_utils.training.sampling import cut_at_function_end
from eta_utils.training.settings import PPOSettings, SamplingSettings
from eta_utils.training.sft import SFTSettings, TimeLeft, run_trainer, shared_arguments


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
    """Train `policy` in place on rows of `prompt` and the reward's columns, each row at
    most once; returns what was logged.

    Of `settings` the critic's and the checkpoints' are unused, and so is
    `sampling.sampler`.  The model writes the prompt's last newlines itself, as in sampling.
    The reward is given completions without them, cut at the function's end.
    """
    used = rows[: updates * settings.prompts]
    stems = [row | {"prompt": at_token_boundary(row["prompt"], "")[0]} for row in used]
    steps = settings.prompts * samples_per_prompt // settings.minibatch
    common = SFTSettings(
        learning_rate=settings.learning_rate,
        batch_size=settings.minibatch,
        seed=seed,
        bf16=bf16,
    )
    config = RLOOConfig(
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
        **shared_arguments(common, folder, len(rows)) | {"lr_scheduler_type": "constant"},
    )

    def judged(prompts: list[str], completions: list[str], **columns: list) -> list:
        texts = [cut_at_function_end(text.lstrip("\n")) for text in completions]
        return reward(prompts, texts, task_id=columns["task_id"])

    judged.__name__ = reward.__name__
    trainer = RLOOTrainer(
        model=policy,
        reward_funcs=judged,
        args=config,
        train_dataset=Dataset.from_list(stems),
        processing_class=tokenizer,
        callbacks=[TimeLeft("RLOO")],
    )
    return run_trainer(trainer, policy, folder)
