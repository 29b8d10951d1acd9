"""Base training, SFT and DPO by transformers' and TRL's trainers, surprising defaults set.

>>> history = train_base(model, tokenizer, corpus, SFTSettings(learning_rate=3e-3), folder)
>>> history = train_sft(model, tokenizer, examples, SFTSettings(), folder)
>>> history = train_dpo(model, reference, tokenizer, pairs, DPOSettings(), folder)

The model is trained in place; `folder` gets `history.csv`, what the trainer logged.

Leaves out: PPO (see `ppo`), which TRL dropped, and what the models are trained on.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from datasets import Dataset
from torch import Tensor
from transformers import (
    PreTrainedModel,
    PreTrainedTokenizerBase,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)
from transformers.trainer_callback import PrinterCallback
from trl import DPOConfig, DPOTrainer, SFTConfig, SFTTrainer
from trl.trainer.dpo_trainer import DataCollatorForPreference
from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

from eta_utils.files import write_csv
from eta_utils.tasks import at_token_boundary

LOGS = 20  # lines of a training on the console
# No batch pays for one long example.
_BY_LENGTH = {"train_sampling_strategy": "group_by_length", "length_column_name": "length"}
IGNORED = -100  # the label of a token that is not to be learnt


@dataclass(frozen=True)
class SFTSettings:
    """One epoch; the learning rate is the peak of a cosine with a warm-up of a tenth."""

    learning_rate: float = 2e-4
    batch_size: int = 32
    seed: int = 0


@dataclass(frozen=True)
class DPOSettings:
    """DPO (Rafailov et al. 2023, arXiv 2305.18290) with an NLL term on the winner.

    `nll_weight` counts only for pairs whose winner passes its tests: to imitate a winner
    that fails is to learn its bug.
    """

    learning_rate: float = 1e-4
    batch_size: int = 32
    beta: float = 0.1
    nll_weight: float = 1.0
    seed: int = 0


def train_base(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    examples: Sequence[dict],
    settings: SFTSettings,
    folder: Path,
) -> list[dict]:
    """`train_sft` for many more examples: without TRL's metrics of every batch, which cost
    a tiny model a quarter of the time."""
    rows = [_tokenized(tokenizer, each) for each in examples]
    config = TrainingArguments(
        **_BY_LENGTH, **_common(settings, folder, len(rows)), weight_decay=0.01
    )
    trainer = Trainer(
        model=model,
        args=config,
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
        # transformers' own pads on the tokenizer's side, the left, which shifts GPT-2's
        # positions; this one on the right.
        data_collator=DataCollatorForLanguageModeling(tokenizer.pad_token_id),
        callbacks=[TimeLeft("base")],
    )
    return _trained(trainer, model, folder)


def train_sft(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    examples: Sequence[dict],
    settings: SFTSettings,
    folder: Path,
) -> list[dict]:
    """One epoch over examples with `prompt` and `completion`; returns what was logged.

    Prompt and completion are tokenized apart, at the boundary that sampling uses.
    """
    rows = [_tokenized(tokenizer, each) for each in examples]
    config = SFTConfig(
        max_length=None,
        **_BY_LENGTH,
        **_common(settings, folder, len(rows)),
    )
    trainer = SFTTrainer(
        model=model,
        args=config,
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
        callbacks=[TimeLeft("SFT")],
    )
    return _trained(trainer, model, folder)


def train_dpo(
    model: PreTrainedModel,
    reference: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    pairs: Sequence[dict],
    settings: DPOSettings,
    folder: Path,
) -> list[dict]:
    """One epoch over pairs from `preferences.make_pairs`; returns what was logged."""
    columns = ("prompt", "chosen", "rejected", "winner_passes")
    rows = [{name: pair[name] for name in columns} for pair in pairs]
    config = DPOConfig(
        beta=settings.beta,
        loss_type=["sigmoid"],
        max_length=None,
        remove_unused_columns=False,  # winner_passes is used, by the trainer below
        **_common(settings, folder, len(rows)),
    )
    trainer = GatedDPOTrainer(
        nll_weight=settings.nll_weight,
        model=model,
        ref_model=reference,
        args=config,
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
        data_collator=_GatedCollator(pad_token_id=tokenizer.pad_token_id),
        callbacks=[TimeLeft("DPO")],
    )
    return _trained(trainer, model, folder)


class GatedDPOTrainer(DPOTrainer):
    """TRL's trainer, with the winner's NLL added where `winner_passes`.

    TRL's own `loss_type=["sigmoid", "sft"]` adds it to all pairs.
    """

    def __init__(self, *, nll_weight: float, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.nll_weight = nll_weight

    def _compute_loss(
        self, model: torch.nn.Module, inputs: dict[str, Tensor], return_outputs: bool
    ) -> Tensor:
        gate = inputs.pop("winner_passes")
        seen: list[Tensor] = []
        # The forward pass is TRL's; its log-probabilities are all that is needed here.
        hook = model.register_forward_hook(lambda *call: seen.append(call[2].log_probs))
        try:
            loss = super()._compute_loss(model, inputs, return_outputs)
        finally:
            hook.remove()
        mask = inputs["completion_mask"].chunk(2)[0][:, 1:]
        winners = seen[0].chunk(2)[0][:, -mask.shape[1] :]
        return loss + self.nll_weight * gated_nll(winners, mask, gate)


def gated_nll(logprobs: Tensor, mask: Tensor, gate: Tensor) -> Tensor:
    """Mean over the tokens (B, T) of completions whose gate (B,) is 1; 0 without any."""
    mask = mask * gate[:, None]
    return -(logprobs * mask).sum() / mask.sum().clamp(min=1)


class _GatedCollator(DataCollatorForPreference):
    def torch_call(self, examples: list[dict]) -> dict[str, Tensor]:
        gate = torch.tensor([float(each["winner_passes"]) for each in examples])
        return super().torch_call(examples) | {"winner_passes": gate}


class TimeLeft(TrainerCallback):
    """Prints count, rate and time left, about twenty times in a training."""

    def __init__(self, what: str) -> None:
        self.what, self.start = what, time.monotonic()

    def on_train_begin(self, args, state, control, **kwargs) -> None:
        self.start = time.monotonic()

    def on_log(self, args, state, control, logs=None, **kwargs) -> None:
        if "loss" not in (logs or {}):
            return
        spent = time.monotonic() - self.start
        rate = state.global_step / spent
        left = (state.max_steps - state.global_step) / rate
        print(
            f"{self.what} step {state.global_step}/{state.max_steps}, "
            f"loss {float(logs['loss']):.3f}, {rate:.1f} steps/s, {left:.0f} s left",
            flush=True,
        )


def _common(settings: SFTSettings | DPOSettings, folder: Path, rows: int) -> dict:
    """Arguments that both trainers take, their defaults made explicit."""
    steps = -(-rows // settings.batch_size)
    bf16 = torch.cuda.is_available() and torch.cuda.is_bf16_supported()
    return {
        "output_dir": str(folder),
        "num_train_epochs": 1,
        "per_device_train_batch_size": settings.batch_size,
        "learning_rate": settings.learning_rate,
        "lr_scheduler_type": "cosine",
        "adam_beta2": 0.95,  # trainings of a few hundred steps forget faster
        "warmup_steps": steps // 10,
        "seed": settings.seed,
        "bf16": bf16,  # TRL's default is on, which a CPU makes slow
        "use_cpu": not torch.cuda.is_available(),
        "activation_checkpointing": False,  # TRL's default is on: slower, to save memory
        "logging_steps": max(1, steps // LOGS),
        "disable_tqdm": True,
        "report_to": "none",
        "save_strategy": "no",
        "dataloader_pin_memory": torch.cuda.is_available(),
    }


def _trained(trainer: Trainer, model: PreTrainedModel, folder: Path) -> list[dict]:
    trainer.remove_callback(PrinterCallback)  # a line of twenty numbers per log
    trainer.train()
    model.eval()
    model.config.use_cache = True  # trainers switch it off, and save it so
    history = [row for row in trainer.state.log_history if "loss" in row]
    write_csv(folder / "history.csv", history)
    return history


def _tokenized(tokenizer: PreTrainedTokenizerBase, example: dict) -> dict[str, object]:
    """Ids, and labels that leave the prompt out: completions alone are learnt."""
    prompt, completion = at_token_boundary(example["prompt"], example["completion"])
    head = tokenizer(prompt)["input_ids"]
    tail = [*tokenizer(completion)["input_ids"], tokenizer.eos_token_id]
    labels = [*[IGNORED] * len(head), *tail]
    return {"input_ids": head + tail, "labels": labels, "length": len(labels)}
