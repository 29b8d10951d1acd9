"""Supervised fine-tuning (SFT), and the training of the tiny base model.

>>> history = train_base(model, tokenizer, corpus, BaseSettings(), folder)
>>> history = train_sft(model, tokenizer, examples, SFTSettings(), folder, seed=1)

Both minimise the mean negative log-likelihood of the completions' tokens, for one epoch
unless the settings have `epochs`, and train in place.  SFT is TRL's trainer; the base takes
transformers' own, because TRL's metrics of every batch cost a tiny model a quarter of its
time.
"""

from __future__ import annotations

import types
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch.nn.functional as F
from datasets import Dataset
from torch import Tensor
from torch.utils.data import Sampler
from transformers import (
    PreTrainedModel,
    PreTrainedTokenizerBase,
    Trainer,
    TrainingArguments,
)
from transformers.modeling_outputs import CausalLMOutput
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
LARGE_VOCABULARY = 8192  # tokens: from here on logits are what a small model computes most


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
    """TRL's, without its metrics of every token where the vocabulary is large.

    They and the logits of the prompts cost a model of 49,152 tokens two fifths of the time.
    """

    def __init__(self, **options: object) -> None:
        super().__init__(**options)
        self.lean = len(self.processing_class) >= LARGE_VOCABULARY
        if self.lean:
            self.model.forward = types.MethodType(_loss_of_completions, self.model)

    def compute_loss(self, model, inputs, *more: object, **options: object) -> Tensor:
        """The mean negative log-likelihood of a batch's labels."""
        if self.lean:
            return Trainer.compute_loss(self, model, inputs, *more, **options)
        return super().compute_loss(model, inputs, *more, **options)


def _loss_of_completions(
    model: PreTrainedModel,
    input_ids: Tensor,
    labels: Tensor,
    attention_mask: Tensor | None = None,
    num_items_in_batch: Tensor | int | None = None,
    **_more: object,
) -> CausalLMOutput:
    """The loss of the labelled tokens, whose logits alone are computed.

    `input_ids` and `labels` are (B, L), padded on the right.  It takes the place of the
    model's forward pass, as several processes need (see `grpo`).
    """
    hidden = model.base_model(
        input_ids=input_ids, attention_mask=attention_mask, use_cache=False
    )[0]
    # The state at a position chooses the token at the next one.
    chosen = labels[:, 1:] != NO_LOSS  # (B, L - 1), True N times
    logits = model.get_output_embeddings()(hidden[:, :-1][chosen]).float()  # (N, V)
    total = F.cross_entropy(logits, labels[:, 1:][chosen], reduction="sum")
    return CausalLMOutput(loss=total / (num_items_in_batch or chosen.sum()))
