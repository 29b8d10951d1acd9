"""RLOO by TRL's trainer: PPO's control without a critic.

>>> history = train_rloo(policy, tokenizer, rows, reward, PPOSettings(), folder)

REINFORCE with the mean reward of a prompt's other samples as baseline (Ahmadian et al.
2024, arXiv 2402.14740).  Same prompts, rewards and number of programs as `ppo`.

Leaves out: checkpoints; an interrupted training begins anew.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from datasets import Dataset
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from trl import RLOOConfig, RLOOTrainer

from eta_utils.tasks import at_token_boundary
from eta_utils.training.ppo import PPOSettings
from eta_utils.training.sampling import cut_at_function_end
from eta_utils.training.sft import SFTSettings, TimeLeft, run_trainer, shared_arguments


def train_rloo(
    policy: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    rows: Sequence[dict],
    reward: Callable,
    settings: PPOSettings,
    folder: Path,
) -> list[dict]:
    """Train in place on rows of `prompt` and the reward's columns, each row at most once;
    returns what was logged.  Settings of a critic and of checkpoints are unused.

    The prompt's last newlines are left for the model to write, as in sampling, and the
    reward is given completions without them, cut at the function's end.
    """
    used = rows[: settings.updates * settings.prompts_per_update]
    stems = [row | {"prompt": at_token_boundary(row["prompt"], "")[0]} for row in used]
    episodes = settings.prompts_per_update * settings.samples_per_prompt
    steps = episodes // settings.minibatch_size
    common = SFTSettings(
        settings.learning_rate, settings.minibatch_size, settings.seed, settings.bf16
    )
    config = RLOOConfig(
        num_generations=settings.samples_per_prompt,
        steps_per_generation=steps,
        num_iterations=settings.epochs,
        max_steps=settings.updates * steps * settings.epochs,
        max_completion_length=settings.max_new_tokens,
        temperature=settings.temperature,
        beta=settings.kl_coefficient,
        epsilon=settings.clip,
        normalize_advantages=True,  # as PPO whitens them
        shuffle_dataset=False,
        **shared_arguments(common, folder, len(rows)) | {"lr_scheduler_type": "constant"},
    )

    def judged(prompts: list[str], completions: list[str], **columns: list) -> list:
        texts = [cut_at_function_end(each.lstrip("\n")) for each in completions]
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
