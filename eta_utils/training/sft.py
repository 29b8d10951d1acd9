"""Supervised fine-tuning (SFT), and the training of the tiny base model.

>>> history = train_base(model, tokenizer, corpus, BaseSettings(), folder)
>>> history = train_sft(model, tokenizer, examples, SFTSettings(), folder, seed=1)

Both minimise the mean negative log-likelihood of the completions' tokens, for one epoch
unless the settings have `epochs`, and train in place.  SFT is TRL's trainer; the base takes
transformers' own, because TRL's metrics of every batch cost a tiny model a quarter of its
time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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
from eta_utils.training.models import context_of
from eta_utils.training.settings import EpochSettings
from eta_utils.training.tokens import tokenize
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
    rows = labelled(tokenizer, examples)
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
    every = labelled(tokenizer, examples)
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


def labelled(
    tokenizer: PreTrainedTokenizerBase, examples: Iterable[dict]
) -> list[dict[str, object]]:
    """`input_ids`, `labels` and `length` of each example; the prompt carries no loss."""
    prompts, completions = [], []
    for example in examples:
        prompts.append(example["prompt"])
        completions.append(example["completion"])
    return [
        {
            "input_ids": tokens.ids,
            "labels": [NO_LOSS] * len(tokens.prompt) + tokens.completion,
            "length": len(tokens.ids),
        }
        for tokens in tokenize(tokenizer, prompts, completions, end=True)
    ]


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
