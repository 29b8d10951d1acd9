"""ETA-RM: a reward model trained on preference pairs, by TRL's trainer.

>>> model, tokenizer = train_reward_model(sft_folder, pairs, RewardModelSettings(), folder)
>>> scores = score(model, tokenizer, prompts, completions)     # (N,), nats

The loss of a pair is that of Bradley and Terry (1952), with scores s of the whole text:
-log sigmoid(s(chosen) - s(rejected)).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from datasets import Dataset
from transformers import (
    AutoModelForSequenceClassification,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    set_seed,
)
from trl import RewardConfig, RewardTrainer

from eta_utils.training.models import adapt, device, load_tokenizer, where
from eta_utils.training.settings import RewardModelSettings
from eta_utils.training.tokens import tokenize, tokenize_pairs
from eta_utils.training.trainer import TimeLeft, arguments_for, run_trainer

LARGEST_BATCH = 256  # programs scored together
LARGEST_BATCH_TOKENS = 1 << 15  # tokens of these, padding included


def train_reward_model(
    start: str | Path,
    pairs: Sequence[dict],
    settings: RewardModelSettings,
    folder: Path,
    *,
    lora_rank: int = 0,
    seed: int = 0,
    bf16: bool = False,
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The model at `start` with a scalar head, trained for one epoch on preference pairs.

    Returns it with its tokenizer; `folder` gets `history.csv`.  Without pairs the head
    stays as it was drawn.  With a `lora_rank` only adapters and the head learn.
    """
    set_seed(seed)  # the head is drawn when the model is loaded
    model, tokenizer = load_reward_model(start)
    if not pairs:
        print("ETA-RM: no pairs, so it prefers nothing", flush=True)
        return model, tokenizer
    adapt(model, lora_rank, seed)
    rows = [
        {"chosen_ids": chosen.ids, "rejected_ids": rejected.ids}
        for chosen, rejected in tokenize_pairs(tokenizer, pairs)
    ]
    config = arguments_for(
        RewardConfig,
        settings,
        folder,
        len(rows),
        seed=seed,
        bf16=bf16,
        max_length=None,
        disable_dropout=True,
    )
    trainer = RewardTrainer(
        model=model,
        args=config,
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
        callbacks=[TimeLeft("ETA-RM")],
    )
    run_trainer(trainer, model, folder)
    return model, tokenizer


def load_reward_model(
    folder: str | Path,
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """A model that gives a text one scalar, and its tokenizer.

    A new head is drawn where `folder` has none.
    """
    tokenizer = load_tokenizer(folder)
    model = AutoModelForSequenceClassification.from_pretrained(
        folder, num_labels=1, dtype=torch.float32, **where(folder)
    )
    model.config.pad_token_id = tokenizer.pad_token_id
    return model.to(device()).eval(), tokenizer


@torch.inference_mode()
def score(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    completions: Sequence[str],
) -> np.ndarray:
    """The reward of each completion in nats, (N,).

    Texts carry no end of text, as in training.
    """
    texts = [tokens.ids for tokens in tokenize(tokenizer, prompts, completions)]
    if not texts:  # one process' share of a small batch
        return np.empty(0)
    # Similar lengths together, so that little is padded.
    order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
    scores = np.empty(len(texts))
    longest = max(map(len, texts))
    size = min(LARGEST_BATCH, max(1, LARGEST_BATCH_TOKENS // longest))
    for start in range(0, len(order), size):
        batch = order[start : start + size]
        padded = tokenizer.pad(
            {"input_ids": [texts[index] for index in batch]}, return_tensors="pt"
        ).to(model.device)
        # The tokenizer pads on the left; positions count real tokens alone.
        positions = (padded["attention_mask"].cumsum(1) - 1).clamp(min=0)
        logits = model(**padded, position_ids=positions).logits  # (batch, 1)
        scores[batch] = logits[:, 0].cpu().numpy()
    return scores
