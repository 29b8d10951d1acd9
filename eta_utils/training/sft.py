"""Supervised fine-tuning (SFT), and the training of the tiny base model.

>>> history = train_base(model, tokenizer, corpus, BaseSettings(), folder)
>>> history = train_sft(model, tokenizer, examples, SFTSettings(), folder, seed=1)

Both minimise the mean negative log-likelihood of the completions' tokens, for one epoch
unless the settings have `epochs`, and train in place.  SFT is TRL's trainer; the base takes
transformers' own, because TRL's metrics of every batch cost a tiny model a quarter of its
time.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from datasets import Dataset
from torch.utils.data import Sampler
from transformers import (
    PreTrainedModel,
    PreTrainedTokenizerBase,
    Trainer,
    TrainingArguments,
)
from transformers.trainer_pt_utils import LengthGroupedSampler
from trl import SFTConfig, SFTTrainer
from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

from eta_utils.common import processes
from eta_utils.common.errors import BadInput
from eta_utils.tasks import at_token_boundary
from eta_utils.training.models import context_of
from eta_utils.training.settings import EpochSettings
from eta_utils.training.trainer import TimeLeft, arguments_for, run_trainer

NO_LOSS = -100  # the label that transformers' loss ignores


def train_base(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    examples: Sequence[dict],
    settings: EpochSettings,
    folder: Path,
    *,
    seed: int = 0,
    bf16: bool = False,
) -> list[dict]:
    """As `train_sft`, for many more examples, all of which must fit the context."""
    rows = [tokenized(tokenizer, example) for example in examples]
    config = arguments_for(
        TrainingArguments,
        settings,
        folder,
        len(rows),
        seed=seed,
        bf16=bf16,
        weight_decay=0.01,
    )
    trainer = _BaseTrainer(
        model=model,
        args=config,
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
        # transformers' own collator pads on the tokenizer's side, the left, which would
        # shift GPT-2's positions.  This one pads on the right.
        data_collator=DataCollatorForLanguageModeling(tokenizer.pad_token_id),
        callbacks=[TimeLeft("base")],
    )
    return run_trainer(trainer, model, folder)


def train_sft(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    examples: Sequence[dict],
    settings: EpochSettings,
    folder: Path,
    *,
    seed: int = 0,
    bf16: bool = False,
) -> list[dict]:
    """Train on examples with `prompt` and `completion`; returns what was logged.

    Examples longer than the model's context are left out, and a line counts them.
    Raises BadInput where no example fits.
    """
    every = [tokenized(tokenizer, example) for example in examples]
    context = context_of(model.config)
    rows = [row for row in every if row["length"] <= context]
    if len(rows) < len(every):
        missing = len(every) - len(rows)
        print(f"left out {missing} of {len(every)} examples: over {context:,} tokens")
    if not rows:
        raise BadInput("SFT: no example fits the model's context; take another model")
    config = arguments_for(
        SFTConfig, settings, folder, len(rows), seed=seed, bf16=bf16, max_length=None
    )
    trainer = _SFTTrainer(
        model=model,
        args=config,
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
        callbacks=[TimeLeft("SFT")],
    )
    return run_trainer(trainer, model, folder)


def tokenized(tokenizer: PreTrainedTokenizerBase, example: dict) -> dict[str, object]:
    """`input_ids`, `labels` and `length` of one example; the prompt carries no loss.

    Prompt and completion are tokenized apart, at the boundary that sampling uses.
    """
    prompt, completion = at_token_boundary(example["prompt"], example["completion"])
    prompt_ids = tokenizer(prompt)["input_ids"]
    answer_ids = [*tokenizer(completion)["input_ids"], tokenizer.eos_token_id]
    labels = [*[NO_LOSS] * len(prompt_ids), *answer_ids]
    return {"input_ids": prompt_ids + answer_ids, "labels": labels, "length": len(labels)}


class _ByLength:
    """Batches of similar length, so that none pays for one long example.

    Several processes get the batches that a single one would have had.
    """

    def _get_train_sampler(self, train_dataset: Dataset | None = None) -> Sampler:
        lengths = [len(ids) for ids in self.train_dataset["input_ids"]]
        size = self.args.per_device_train_batch_size * processes.count()
        return LengthGroupedSampler(size, lengths=lengths)


class _BaseTrainer(_ByLength, Trainer):
    pass


class _SFTTrainer(_ByLength, SFTTrainer):
    pass
