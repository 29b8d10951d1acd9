"""ETA-RM: a reward model trained on preference pairs by TRL.

>>> model, tokenizer = train_reward_model(sft_folder, pairs, SFTSettings(), folder)
>>> scores = score(model, tokenizer, prompts, completions)     # (N,), nats

The loss is Bradley and Terry's (1952): -log sigmoid(score of chosen - score of rejected).
Leaves out: where pairs come from (see `arms`), how good it is (see `ranking`), and its use
as a reward (see `rewards`).
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

from eta_utils.tasks import at_token_boundary
from eta_utils.training.models import adapt, device, load_tokenizer
from eta_utils.training.sft import SFTSettings, TimeLeft, run_trainer, shared_arguments

_AT_ONCE = 256  # programs
_TOKENS_AT_ONCE = 1 << 15  # of these, padded


def train_reward_model(
    start: str | Path,
    pairs: Sequence[dict],
    settings: SFTSettings,
    folder: Path,
    lora_rank: int = 0,
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The model at `start` with a scalar head, after one epoch over pairs of TRL's format,
    and its tokenizer; `folder` gets `history.csv`.  Without pairs the head stays as drawn.
    With a `lora_rank` adapters learn, and the head.
    """
    set_seed(settings.seed)  # the head is drawn when the model is loaded
    model, tokenizer = load_reward_model(start)
    if not pairs:
        print("ETA-RM: no pairs, so it prefers nothing", flush=True)
        return model, tokenizer
    adapt(model, lora_rank, settings.seed)
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
    tokenizer = load_tokenizer(folder)
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
    if not texts:  # a process' share of a small batch
        return np.empty(0)
    order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
    found = np.empty(len(texts))
    most = max(1, _TOKENS_AT_ONCE // max(map(len, texts)))
    size = min(_AT_ONCE, most)
    for start in range(0, len(order), size):
        part = order[start : start + size]
        padded = tokenizer.pad({"input_ids": [texts[k] for k in part]}, return_tensors="pt")
        positions = (padded["attention_mask"].cumsum(1) - 1).clamp(min=0)
        logits = model(**padded.to(model.device), position_ids=positions.to(model.device))
        found[part] = logits.logits[:, 0].cpu().numpy()
    return found


def _ids(tokenizer: PreTrainedTokenizerBase, prompt: str, completion: str) -> list[int]:
    return tokenizer(prompt)["input_ids"] + tokenizer(completion)["input_ids"]
