"""ETA-RM: a reward model trained on preference pairs by TRL, and how good it is as one.

>>> model, tokenizer = train_reward_model(sft_folder, pairs, SFTSettings(), folder)
>>> scores = score(model, tokenizer, prompts, completions)     # (N,), nats
>>> best_of_n(scores, passed, n=4)                             # of one prompt's samples

The loss is Bradley and Terry's (1952): -log sigmoid(score of chosen - score of rejected).
Leaves out: where pairs come from (see `arms`), and its use as a reward (see `rewards`).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import comb
from pathlib import Path

import numpy as np
import torch
from datasets import Dataset
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    set_seed,
)
from trl import RewardConfig, RewardTrainer

from eta_utils.models import device
from eta_utils.tasks import at_token_boundary
from eta_utils.training import SFTSettings, TimeLeft, run_trainer, shared_arguments

BINS = 10  # of the reliability curve
_AT_ONCE = 256  # programs


def train_reward_model(
    start: str | Path,
    pairs: Sequence[dict],
    settings: SFTSettings,
    folder: Path,
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The model at `start` with a scalar head, after one epoch over pairs of TRL's format,
    and its tokenizer; `folder` gets `history.csv`."""
    set_seed(settings.seed)  # the head is drawn when the model is loaded
    model, tokenizer = load_reward_model(start)
    rows = [
        {
            f"{side}_ids": _ids(tokenizer, pair["prompt"], pair[side])
            for side in ("chosen", "rejected")
        }
        for pair in pairs
    ]
    config = RewardConfig(
        max_length=None,
        disable_dropout=True,
        **shared_arguments(settings, folder, len(rows)),
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
    """A model with one scalar for a text, and its tokenizer; the head is new where `folder`
    has none."""
    tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    model = AutoModelForSequenceClassification.from_pretrained(
        folder, num_labels=1, dtype=torch.float32
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
    """The reward of each completion (N,), without an end of text, as in training."""
    texts = [
        _ids(tokenizer, *at_token_boundary(prompt, completion))
        for prompt, completion in zip(prompts, completions, strict=True)
    ]
    order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
    found = np.empty(len(texts))
    for start in range(0, len(order), _AT_ONCE):
        part = order[start : start + _AT_ONCE]
        padded = tokenizer.pad({"input_ids": [texts[k] for k in part]}, return_tensors="pt")
        positions = (padded["attention_mask"].cumsum(1) - 1).clamp(min=0)
        logits = model(**padded.to(model.device), position_ids=positions.to(model.device))
        found[part] = logits.logits[:, 0].cpu().numpy()
    return found


def best_of_n(scores: np.ndarray, passed: np.ndarray, n: int) -> float:
    """Probability that, of `n` samples drawn without replacement from one prompt's N, the
    one with the highest score passes.

    Sorted from the best, sample r is the best of C(N - 1 - r, n - 1) of the C(N, n)
    subsets.  Among equal scores one is drawn: each counts as the mean of them.
    """
    _, group = np.unique(scores, return_inverse=True)
    passed = (np.bincount(group, passed) / np.bincount(group))[group]
    order = np.argsort(-np.asarray(scores))
    total = len(order)
    shares = [comb(total - 1 - rank, n - 1) / comb(total, n) for rank in range(total)]
    return float(np.dot(shares, passed[order]))


def calibration(margins: np.ndarray) -> tuple[list[dict], float]:
    """The reliability curve, and the expected calibration error (Guo et al. 2017).

    `margins` (N,) are the scores of the better program minus those of the worse.  What is
    predicted is that the program with the higher score is better: from 0.5 to 1.
    """
    predicted = 1 / (1 + np.exp(-np.abs(margins)))
    right = margins > 0
    place = np.minimum(((predicted - 0.5) * 2 * BINS).astype(int), BINS - 1)
    rows, error = [], 0.0
    for number in range(BINS):
        inside = place == number
        if inside.any():
            said, seen = predicted[inside].mean(), right[inside].mean()
            rows.append({"predicted": said, "right": seen, "pairs": int(inside.sum())})
            error += inside.mean() * abs(said - seen)
    return rows, float(error)


def _ids(tokenizer: PreTrainedTokenizerBase, prompt: str, completion: str) -> list[int]:
    return tokenizer(prompt)["input_ids"] + tokenizer(completion)["input_ids"]
