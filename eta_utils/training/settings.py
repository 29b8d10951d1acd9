"""The settings of models, sampling and every training method, one class each.

They stand together because they must load without torch: the command line reads and
checks them in a third of a second.  Each class is used by the module that its docstring
names.  A field with the name of one of TRL's own is handed to TRL by that name.
"""

from __future__ import annotations

from dataclasses import dataclass

from eta_utils.common import machine
from eta_utils.common.settings import Settings, setting


@dataclass(frozen=True)
class ModelSettings(Settings):
    """The model and how it is held in memory (`models`)."""

    model: str = setting(
        "tiny",
        "tiny (built here), smollm2, a Hub name, a local folder or a GGUF file",
        names_path=True,
    )
    prompt_format: str = setting(
        "complete",
        "complete: the model goes on with the task's text; chat: it is asked by its "
        "chat template, and its answer is begun",
        choices=("complete", "chat"),
    )
    device: str = setting(
        "auto",
        "auto: a GPU where there is one; cuda: stop where there is none",
        choices=("auto", "cuda"),
        decides=False,
    )
    precision: str = setting(
        "fp32",
        "fp32, bf16 (less exact, faster on a GPU), or auto: bf16 where the GPU or "
        "the processor multiplies in it",
        choices=("fp32", "bf16", "auto"),
    )

    @property
    def bf16(self) -> bool:
        """Whether training runs under bf16 autocast, and sampling with bf16 weights."""
        return self.precision == "bf16" or (
            self.precision == "auto" and machine.multiplies_bf16()
        )

    @property
    def weights(self) -> str:
        """The precision of the weights that are sampled from: fp32 or bf16."""
        return "bf16" if self.bf16 else "fp32"


@dataclass(frozen=True)
class LearnerSettings(ModelSettings):
    """The model, and which of its weights are trained (`models.adapt`)."""

    lora_rank: int = setting(0, "rank of LoRA adapters; 0: train all weights", at_least=0)


@dataclass(frozen=True)
class SamplingSettings(Settings):
    """How completions are sampled (`sampling`)."""

    temperature: float = setting(1.0, "sampling temperature in training", above=0)
    max_new_tokens: int = setting(96, "longest completion, in tokens", at_least=1)


@dataclass(frozen=True)
class SamplerSettings(SamplingSettings):
    """How completions are sampled, and by which library (`sampling`, `vllm`)."""

    sampler: str = setting(
        "transformers",
        "transformers, vllm, or auto: vllm where it is installed and there is a GPU",
        choices=("transformers", "vllm", "auto"),
    )


@dataclass(frozen=True)
class EpochSettings(Settings):
    """One epoch by one of TRL's trainers (`trainer.arguments_for`)."""

    batch: int = setting(
        32, "examples per optimiser step, over all processes", at_least=1, is_batch=True
    )
    learning_rate: float = setting(1e-4, "peak learning rate of a cosine schedule", above=0)


@dataclass(frozen=True)
class SFTSettings(EpochSettings):
    """Supervised fine-tuning (`sft.train_sft`)."""

    prefix = "sft_"
    batch: int = setting(
        32, "programs per optimiser step, over all processes", at_least=1, is_batch=True
    )
    learning_rate: float = setting(
        1.5e-4, "peak learning rate of a cosine schedule", above=0
    )


@dataclass(frozen=True)
class BaseSettings(EpochSettings):
    """Training of the tiny base model (`sft.train_base`)."""

    prefix = "base_"
    batch: int = setting(
        16, "programs per optimiser step, over all processes", at_least=1, is_batch=True
    )
    learning_rate: float = setting(3e-3, "peak learning rate of a cosine schedule", above=0)


@dataclass(frozen=True)
class SupervisedSettings(EpochSettings):
    """Supervised fine-tuning for several epochs (`sft.train_sft`, `rft.train_rft`)."""

    batch: int = setting(
        32, "programs per optimiser step, over all processes", at_least=1, is_batch=True
    )
    learning_rate: float = setting(5e-4, "peak learning rate of a cosine schedule", above=0)
    epochs: int = setting(3, "passes over the programs", at_least=1)


@dataclass(frozen=True)
class CeilingSettings(SupervisedSettings):
    """The ceiling: SFT on clean solutions of tasks with all operations."""

    prefix = "ceiling_"
    learning_rate: float = setting(1e-3, "peak learning rate of a cosine schedule", above=0)
    tasks: int = setting(1536, "tasks whose clean solutions it learns from", at_least=1)


@dataclass(frozen=True)
class ReferenceSettings(SupervisedSettings):
    """SFT on the reference solutions of the alignment tasks."""

    prefix = "references_"


@dataclass(frozen=True)
class RFTSettings(SupervisedSettings):
    """One round of rejection-sampling fine-tuning (`rft.train_rft`)."""

    prefix = "rft_"


@dataclass(frozen=True)
class RewardModelSettings(EpochSettings):
    """Training of ETA-RM, the reward model (`reward_model`)."""

    prefix = "rm_"
    batch: int = setting(
        16, "pairs per optimiser step, over all processes", at_least=1, is_batch=True
    )
    learning_rate: float = setting(2e-4, "peak learning rate of a cosine schedule", above=0)
    pairs_per_prompt: int = setting(
        8, "most pairs made of one prompt's samples", at_least=1
    )


@dataclass(frozen=True)
class DPOSettings(EpochSettings):
    """One round of DPO (`dpo.train_dpo`)."""

    prefix = "dpo_"
    batch: int = setting(
        8, "pairs per optimiser step, over all processes", at_least=1, is_batch=True
    )
    learning_rate: float = setting(1e-4, "peak learning rate of a cosine schedule", above=0)
    beta: float = setting(0.1, "beta of DPO: higher keeps nearer to the reference", above=0)
    nll_weight: float = setting(
        1.0, "weight of the NLL of winners that pass; 0: none", at_least=0
    )


@dataclass(frozen=True)
class PPOSettings(Settings):
    """PPO (`ppo.train_ppo`)."""

    prefix = "ppo_"
    prompts: int = setting(32, "prompts per update", at_least=1)
    learning_rate: float = setting(2e-4, "learning rate; it stays constant", above=0)
    epochs: int = setting(2, "passes over each batch of episodes", at_least=1)
    minibatch: int = setting(
        64, "episodes per optimiser step, over all processes", at_least=1, is_batch=True
    )
    clip: float = setting(
        0.2, "largest change of a probability ratio and of a value", above=0
    )
    kl: float = setting(0.02, "reward lost per nat of KL to the SFT model", at_least=0)
    value_coefficient: float = setting(0.1, "weight of the value loss", at_least=0)
    gamma: float = setting(1.0, "discount per token", above=0, at_most=1)
    lam: float = setting(0.95, "lambda of GAE", at_least=0, at_most=1)
    max_grad_norm: float = setting(1.0, "gradients are clipped to this norm", above=0)
    checkpoint_every: int = setting(
        5, "updates between two checkpoints", at_least=1, decides=False
    )


@dataclass(frozen=True)
class GRPOSettings(Settings):
    """GRPO (`grpo.train_grpo`), and what is built on it (`credit`, `branching`)."""

    prefix = "grpo_"
    prompts: int = setting(32, "prompts per update", at_least=1)
    learning_rate: float = setting(2e-4, "learning rate; it stays constant", above=0)
    epochs: int = setting(2, "passes over each batch of episodes", at_least=1)
    minibatch: int = setting(
        64, "episodes per optimiser step, over all processes", at_least=1, is_batch=True
    )
    clip: float = setting(0.2, "largest change of a probability ratio", above=0)
    kl: float = setting(0.02, "loss per nat of KL to the SFT model, per token", at_least=0)
    max_grad_norm: float = setting(1.0, "gradients are clipped to this norm", above=0)


@dataclass(frozen=True)
class CreditSettings(Settings):
    """Credit by lines (`credit.train_credit`)."""

    prefix = "credit_"
    penalty: float = setting(
        0.15, "reward lost on the blamed line where all fail", at_least=0
    )


@dataclass(frozen=True)
class BranchSettings(Settings):
    """Restarts from verified prefixes (`branching`)."""

    prefix = "branch_"
    roots: int = setting(
        4, "fresh samples of a prompt before its other samples restart", at_least=1
    )
