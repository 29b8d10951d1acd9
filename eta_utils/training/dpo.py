"""DPO by TRL's trainer, with what pairs of near-identical programs need.

>>> history = train_dpo(model, reference, tokenizer, pairs, DPOSettings(), folder)

Two programs of a trace pair share most of their text, and plain DPO on such pairs can push
both down.  Hence the NLL of winners that pass, and the choice of the tokens that carry the
preference (as in Target-DPO, arXiv 2502.11475).

Leaves out: making pairs (see `preferences`) and rounds of them (see `arms`).
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path

import torch
from datasets import Dataset
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import ModelOutput
from trl import DPOConfig, DPOTrainer
from trl.trainer.dpo_trainer import DataCollatorForPreference

from eta_utils.training.sft import TimeLeft, run_trainer, shared_arguments


@dataclass(frozen=True)
class DPOSettings:
    """DPO (Rafailov et al. 2023, arXiv 2305.18290) with an NLL term on the winner.

    `nll_weight` counts only for pairs whose winner passes its tests: to imitate a winner
    that fails is to learn its bug.  `loss_on` says which tokens of the two
    programs carry the preference: all, differing or line (see `preference_tokens`).
    """

    learning_rate: float = 1e-4
    batch_size: int = 16
    beta: float = 0.1
    nll_weight: float = 1.0
    loss_on: str = "all"
    seed: int = 0
    bf16: bool = False


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
        **shared_arguments(settings, folder, len(rows)),
    )
    trainer = GatedDPOTrainer(
        nll_weight=settings.nll_weight,
        loss_on=settings.loss_on,
        model=model,
        ref_model=reference,
        args=config,
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
        data_collator=_GatedCollator(pad_token_id=tokenizer.pad_token_id),
        callbacks=[TimeLeft("DPO")],
    )
    return run_trainer(trainer, model, folder)


class GatedDPOTrainer(DPOTrainer):
    """TRL's trainer, with the winner's NLL added where `winner_passes`, and the preference
    on all or some tokens of the two programs.

    TRL's own `loss_type=["sigmoid", "sft"]` adds the NLL to all pairs.
    """

    def __init__(self, *, nll_weight: float, loss_on: str, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.nll_weight, self.loss_on = nll_weight, loss_on
        self._breaks = line_breaks(self.processing_class)

    def _compute_loss(
        self, model: torch.nn.Module, inputs: dict[str, Tensor], return_outputs: bool
    ) -> Tensor:
        gate = inputs.pop("winner_passes")
        mask = inputs["completion_mask"]
        kept = self._kept(inputs["input_ids"], mask)[:, 1:]
        seen: list[Tensor] = []

        def keep_some(_model: object, _inputs: object, outputs: ModelOutput) -> ModelOutput:
            """The forward pass is TRL's: take its log-probabilities, hand on some."""
            logprobs = outputs.log_probs[:, -kept.shape[1] :]
            seen.append(logprobs)
            outputs.log_probs = logprobs * kept
            return outputs

        hooks = [each.register_forward_hook(keep_some) for each in (model, self.ref_model)]
        try:
            loss = super()._compute_loss(model, inputs, return_outputs)
        finally:
            for hook in hooks:
                hook.remove()
        winners = seen[0].chunk(2)[0]
        return loss + self.nll_weight * gated_nll(winners, mask.chunk(2)[0][:, 1:], gate)

    def _kept(self, ids: Tensor, mask: Tensor) -> Tensor:
        """1 for each token (2B, L) that carries the preference, else 0."""
        if self.loss_on == "all":
            return mask
        kept = torch.zeros_like(mask)
        half = len(ids) // 2
        for row in range(half):
            texts = [ids[each][mask[each].bool()].tolist() for each in (row, row + half)]
            some = preference_tokens(*texts, self.loss_on, self._breaks)
            for each, chosen in zip((row, row + half), some, strict=True):
                kept[each, mask[each].bool()] = torch.tensor(chosen).to(mask)
        return kept


def preference_tokens(
    chosen: Sequence[int], rejected: Sequence[int], where: str, breaks: Set[int]
) -> tuple[list[bool], list[bool]]:
    """Which tokens of two completions carry the preference, for `where` of
    all, differing or line.

    `differing`: those that the other has not got in that place (the longest matching blocks
    are left out).  `line`: those of the first line that differs, where the traces of two
    programs that begin alike can part at the earliest; `breaks` are the tokens that end a
    line.
    """
    if where == "differing":
        blocks = SequenceMatcher(None, chosen, rejected, autojunk=False)
        ours, theirs = [True] * len(chosen), [True] * len(rejected)
        for a, b, size in blocks.get_matching_blocks():
            ours[a : a + size] = theirs[b : b + size] = [False] * size
        return ours, theirs
    if where == "line":
        same = [ours == theirs for ours, theirs in zip(chosen, rejected, strict=False)]
        first = [*same, False].index(False)
        return _line_at(chosen, first, breaks), _line_at(rejected, first, breaks)
    return [True] * len(chosen), [True] * len(rejected)


def _line_at(ids: Sequence[int], place: int, breaks: Set[int]) -> list[bool]:
    """The tokens of the line that the token at `place` stands in, its break included."""
    ends = [index for index, each in enumerate(ids) if each in breaks]
    start = max((end + 1 for end in ends if end < place), default=0)
    stop = min((end + 1 for end in ends if end >= place), default=len(ids))
    return [start <= index < stop for index in range(len(ids))]


def line_breaks(tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """The tokens whose text holds a newline."""
    texts = tokenizer.batch_decode([[number] for number in range(len(tokenizer))])
    return frozenset(number for number, text in enumerate(texts) if "\n" in text)


def gated_nll(logprobs: Tensor, mask: Tensor, gate: Tensor) -> Tensor:
    """Mean over the tokens (B, T) of completions whose gate (B,) is 1; 0 without any."""
    mask = mask * gate[:, None]
    return -(logprobs * mask).sum() / mask.sum().clamp(min=1)


class _GatedCollator(DataCollatorForPreference):
    def torch_call(self, examples: list[dict]) -> dict[str, Tensor]:
        gate = torch.tensor([float(each["winner_passes"]) for each in examples])
        return super().torch_call(examples) | {"winner_passes": gate}
