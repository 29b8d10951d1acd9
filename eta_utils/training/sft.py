"""Base training and SFT, by transformers' and TRL's trainers, surprising defaults set.

>>> history = train_base(model, tokenizer, corpus, SFTSettings(learning_rate=3e-3), folder)
>>> history = train_sft(model, tokenizer, examples, SFTSettings(), folder)

The model is trained in place; `folder` gets `history.csv`, what the trainer logged.

Leaves out: DPO (see `dpo`, which shares the end of this module), PPO (see `ppo`), and what
the models are trained on.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from datasets import Dataset
from torch.utils.data import Sampler
from transformers import (
    PreTrainedModel,
    PreTrainedTokenizerBase,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)
from transformers.trainer_callback import PrinterCallback
from transformers.trainer_pt_utils import LengthGroupedSampler
from trl import SFTConfig, SFTTrainer
from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

from eta_utils.common import processes
from eta_utils.common.files import BadInput, write_csv
from eta_utils.tasks import at_token_boundary
from eta_utils.training.models import context_of

LOGS = 20  # lines of a training on the console
IGNORED = -100  # the label of a token that is not to be learnt


@dataclass(frozen=True)
class SFTSettings:
    """One epoch; the learning rate is the peak of a cosine with a warm-up of a tenth.

    `batch_size` is that of all processes together; `bf16` is autocast, with weights that
    stay in float32.
    """

    learning_rate: float = 2e-4
    batch_size: int = 32
    seed: int = 0
    bf16: bool = False


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
    arguments = shared_arguments(settings, folder, len(rows))
    config = TrainingArguments(**arguments, weight_decay=0.01)
    trainer = _BaseTrainer(
        model=model,
        args=config,
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
        # transformers' own pads on the tokenizer's side, the left, which shifts GPT-2's
        # positions; this one on the right.
        data_collator=DataCollatorForLanguageModeling(tokenizer.pad_token_id),
        callbacks=[TimeLeft("base")],
    )
    return run_trainer(trainer, model, folder)


def train_sft(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    examples: Sequence[dict],
    settings: SFTSettings,
    folder: Path,
) -> list[dict]:
    """One epoch over examples with `prompt` and `completion`; returns what was logged.

    Prompt and completion are tokenized apart, at the boundary that sampling uses.  Examples
    that are longer than the model's context are left out, and counted in a line; raises
    BadInput where none is left.
    """
    tokenized = [_tokenized(tokenizer, each) for each in examples]
    rows = [each for each in tokenized if each["length"] <= context_of(model.config)]
    if len(rows) < len(tokenized):
        missing, context = len(tokenized) - len(rows), context_of(model.config)
        print(f"left out {missing} of {len(tokenized)} examples: over {context:,} tokens")
    if not rows:
        raise BadInput("SFT: no example fits the model's context; take another model")
    config = SFTConfig(
        max_length=None,
        **shared_arguments(settings, folder, len(rows)),
    )
    trainer = _SFTTrainer(
        model=model,
        args=config,
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
        callbacks=[TimeLeft("SFT")],
    )
    return run_trainer(trainer, model, folder)


class _ByLength:
    """No batch pays for one long example; the batches are those of a single process."""

    def _get_train_sampler(self, train_dataset: Dataset | None = None) -> Sampler:
        lengths = [len(each) for each in self.train_dataset["input_ids"]]
        size = self.args.per_device_train_batch_size * processes.count()
        return LengthGroupedSampler(size, lengths=lengths)


class _BaseTrainer(_ByLength, Trainer):
    pass


class _SFTTrainer(_ByLength, SFTTrainer):
    pass


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


def shared_arguments(settings: SFTSettings, folder: Path, rows: int) -> dict:
    """Arguments that all trainers take, their defaults made explicit; of the settings
    `learning_rate`, `batch_size`, `seed` and `bf16`."""
    processes.join()
    steps = -(-rows // settings.batch_size)
    return {
        "output_dir": str(folder),
        "num_train_epochs": 1,
        "per_device_train_batch_size": processes.share_of(settings.batch_size),
        "learning_rate": settings.learning_rate,
        "lr_scheduler_type": "cosine",
        "adam_beta2": 0.95,  # trainings of a few hundred steps forget faster
        "warmup_steps": steps // 10,
        "seed": settings.seed,
        "bf16": settings.bf16,  # TRL's default is on, which a CPU makes slow
        "use_cpu": not torch.cuda.is_available(),
        "activation_checkpointing": False,  # TRL's default is on: slower, to save memory
        "logging_steps": max(1, steps // LOGS),
        "disable_tqdm": True,
        "report_to": "none",
        "save_strategy": "no",
        "dataloader_pin_memory": torch.cuda.is_available(),
    }


def run_trainer(trainer: Trainer, model: PreTrainedModel, folder: Path) -> list[dict]:
    """Train; leave the model ready to sample; write and return what was logged."""
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
