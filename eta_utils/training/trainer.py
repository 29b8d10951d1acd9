"""What all trainings by TRL share: explicit defaults, and a line of progress."""

from __future__ import annotations

import time
from dataclasses import fields
from pathlib import Path

import torch
from transformers import PreTrainedModel, Trainer, TrainerCallback, TrainingArguments
from transformers.trainer_callback import PrinterCallback

from eta_utils.common import processes, progress
from eta_utils.common.files import write_csv
from eta_utils.training.settings import EpochSettings

LOGS = 20  # lines of a training on the console


def arguments_for(
    config: type[TrainingArguments],
    settings: EpochSettings,
    folder: Path,
    rows: int,
    *,
    seed: int,
    bf16: bool,
    **more: object,
) -> TrainingArguments:
    """A `config` of TRL's for `rows` examples, one epoch unless `settings` has `epochs`.

    A setting with the name of one of the config's fields is handed on by that name.
    `more` has the last word.
    """
    processes.join()
    epochs = getattr(settings, "epochs", 1)
    steps = epochs * -(-rows // settings.batch)
    arguments = {
        "output_dir": str(folder),
        "num_train_epochs": epochs,
        "per_device_train_batch_size": processes.share_of(
            settings.batch, f"parameter {settings.prefix}batch: batches"
        ),
        "lr_scheduler_type": "cosine",
        "adam_beta2": 0.95,  # trainings of a few hundred steps forget faster
        "warmup_steps": steps // 10,
        "seed": seed,
        "bf16": bf16,  # TRL's default is on, which is slow on a CPU
        "use_cpu": not torch.cuda.is_available(),
        "logging_steps": max(1, steps // LOGS),
        "disable_tqdm": True,
        "report_to": "none",
        "save_strategy": "no",
        "dataloader_pin_memory": torch.cuda.is_available(),
    }
    known = {field.name for field in fields(config)}
    if "activation_checkpointing" in known:
        arguments["activation_checkpointing"] = False  # TRL's default saves memory for time
    own = {field.name: getattr(settings, field.name) for field in fields(settings)}
    arguments |= {name: value for name, value in own.items() if name in known}
    return config(**arguments | more)


def run_trainer(trainer: Trainer, model: PreTrainedModel, folder: Path) -> list[dict]:
    """Train, leave the model ready to sample, and return what was logged.

    `folder` gets the same as `history.csv`.
    """
    train_and_restore(trainer, model)
    history = [row for row in trainer.state.log_history if "loss" in row]
    write_csv(folder / "history.csv", history)
    return history


def train_and_restore(trainer: Trainer, model: PreTrainedModel) -> None:
    """Train, and leave the model as it was: ready to sample, with its own forward pass."""
    trainer.remove_callback(PrinterCallback)  # it prints twenty numbers per log
    trainer.train()
    model.eval()
    model.config.use_cache = True  # trainers switch it off, and would save it so
    # TRL puts a forward pass of its own into the instance.  It stays bound to this model:
    # a copy of it would go on to call the original.
    vars(model).pop("forward", None)


class TimeLeft(TrainerCallback):
    """Shows count, loss and time left, about twenty times in a training."""

    def __init__(self, what: str) -> None:
        self.what, self.start = what, time.monotonic()

    def on_train_begin(self, args, state, control, **kwargs) -> None:
        self.start = time.monotonic()

    def on_log(self, args, state, control, logs=None, **kwargs) -> None:
        if "loss" not in (logs or {}):
            return
        rate = state.global_step / (time.monotonic() - self.start)
        left = (state.max_steps - state.global_step) / rate
        progress.say(
            f"step {state.global_step}/{state.max_steps}, "
            f"loss {float(logs['loss']):.3f}, {progress.left(left)}",
            self.what,
        )
