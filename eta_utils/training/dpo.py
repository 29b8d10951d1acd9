"""Direct preference optimisation (DPO), by TRL's trainer, with a gated NLL.

>>> history = train_dpo(model, reference, tokenizer, pairs, DPOSettings(), folder)

For a pair of a winner w and a loser l of one prompt, TRL minimises (Rafailov et al. 2023,
arXiv 2305.18290, eq. 7)

    -log sigmoid(beta * [(log pi(w) - log ref(w)) - (log pi(l) - log ref(l))])

Two programs of a trace pair share most of their text, and this loss can lower the
probability of both (Pal et al. 2024, arXiv 2402.13228).  So the winner's negative
log-likelihood (NLL) is added (Pang et al. 2024, arXiv 2404.19733), but only where the
winner passes its tests: imitating a winner that fails teaches its bug.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from datasets import Dataset
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from trl import DPOConfig, DPOTrainer
from trl.trainer.dpo_trainer import DataCollatorForPreference

from eta_utils.training.models import is_large
from eta_utils.training.settings import DPOSettings
from eta_utils.training.tokens import tokenize_pairs
from eta_utils.training.trainer import TimeLeft, arguments_for, run_trainer

GATE = "winner_passes"  # a column of the pairs


def train_dpo(
    model: PreTrainedModel,
    reference: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    pairs: Sequence[dict],
    settings: DPOSettings,
    folder: Path,
    *,
    seed: int = 0,
    bf16: bool = False,
) -> list[dict]:
    """One epoch over pairs from `preferences.make_pairs`; returns what was logged."""
    rows = [
        {
            "prompt_ids": chosen.prompt,
            "chosen_ids": chosen.completion,
            "rejected_ids": rejected.completion,
            GATE: pair[GATE],
        }
        for pair, (chosen, rejected) in zip(
            pairs, tokenize_pairs(tokenizer, pairs, end=True), strict=True
        )
    ]
    config = arguments_for(
        DPOConfig,
        settings,
        folder,
        len(rows),
        seed=seed,
        bf16=bf16,
        loss_type=["sigmoid"],  # TRL's "sft" would add the NLL to all pairs
        max_length=None,
        remove_unused_columns=False,  # the gate is used, by the trainer below
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
    return run_trainer(trainer, model, folder)


class GatedDPOTrainer(DPOTrainer):
    """TRL's trainer, with the NLL of winners that pass added to the loss."""

    def __init__(self, *, nll_weight: float, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.nll_weight = nll_weight
        # Of a large model on a processor one pair at a time, by itself: TRL makes logits of
        # all tokens.  Several processes meet in each of TRL's metrics, so they take their
        # shares whole.
        large = is_large(self.model, self.accelerator.device)
        alone = self.accelerator.num_processes == 1
        self.pairs_at_once = 1 if large and alone else None

    def _prepare_dataset(self, dataset: Dataset, *_: object, **__: object) -> Dataset:
        """The rows as they are: TRL would tokenize texts, and these are ids."""
        return dataset

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: dict[str, Tensor],
        return_outputs: bool = False,
        num_items_in_batch: int | None = None,
    ) -> Tensor:
        """TRL's loss of a batch, plus the weighted NLL; a scalar.

        A batch has 2B rows: B winners, then their B losers.  All parts of it but the last
        have gone backward already when this returns.  So the result has the value of the
        whole and the gradients of the last.
        """
        gate = inputs[GATE]  # (B,)
        mask = inputs["completion_mask"].chunk(2)[0][:, 1:]  # (B, L - 1), of the winners
        # Gradients are averaged over processes, whose shares may have more such winners or
        # fewer.  With one divisor for all, the average is that of a single process.
        tokens = (mask * gate[:, None]).sum().float()
        tokens = self.accelerator.reduce(tokens, reduction="mean")
        size = self.pairs_at_once or len(gate)
        parts = torch.arange(len(gate), device=gate.device).split(size)
        done = torch.zeros((), device=gate.device)
        for rows in parts:
            part = _pairs_of(inputs, rows, len(gate))
            share = len(rows) / len(gate)
            loss = self._loss_of(model, part, share, tokens, num_items_in_batch)
            if rows is not parts[-1]:
                self.accelerator.backward(loss)
                done += loss.detach()
        return loss + done

    def _loss_of(
        self,
        model: torch.nn.Module,
        inputs: dict[str, Tensor],
        share: float,
        tokens: Tensor,
        num_items_in_batch: int | None,
    ) -> Tensor:
        """What pairs that make this share of a batch add to its loss; a scalar.

        `tokens` are those that the NLL of the batch is divided by.
        """
        gate = inputs.pop(GATE)  # before the rest goes to the model
        token_logprobs: list[Tensor] = []

        def keep(_model: object, _inputs: object, outputs: object) -> None:
            """TRL's forward pass has the log-probs: a second one would cost a third."""
            token_logprobs.append(outputs.log_probs)

        hook = model.register_forward_hook(keep)
        try:
            loss = super().compute_loss(
                model, inputs, num_items_in_batch=num_items_in_batch
            )
        finally:
            hook.remove()
        # Log-probs are of tokens 1 to L - 1: no token predicts the first one.
        mask = inputs["completion_mask"].chunk(2)[0][:, 1:]
        winners = token_logprobs[0].chunk(2)[0][:, -mask.shape[1] :]
        nll = gated_nll(winners, mask, gate, tokens)
        return loss * share + self.nll_weight * nll


def _pairs_of(inputs: dict[str, Tensor], rows: Tensor, count: int) -> dict[str, Tensor]:
    """The inputs of some of a batch's `count` pairs, without columns of padding alone."""
    if len(rows) == count:
        return dict(inputs)
    both = torch.cat([rows, rows + count])  # winners, then losers
    part = {
        name: value[rows if len(value) == count else both] for name, value in inputs.items()
    }
    longest = int(part["attention_mask"].sum(1).max())
    return {
        name: value[:, :longest] if value.dim() == 2 else value
        for name, value in part.items()
    }


def gated_nll(
    logprobs: Tensor, mask: Tensor, gate: Tensor, tokens: Tensor | None = None
) -> Tensor:
    """Mean NLL in nats over the completion tokens of the rows whose gate is 1; a scalar.

    `logprobs` and `mask` are (B, T), `gate` is (B,).  0 where every gate is 0.  `tokens`
    is the divisor where it is not the number of these tokens.
    """
    mask = mask * gate[:, None]
    divisor = mask.sum() if tokens is None else tokens
    return -(logprobs * mask).sum() / divisor.clamp(min=1)


class _GatedCollator(DataCollatorForPreference):
    """TRL's, with the gate of each pair (B,)."""

    def torch_call(self, examples: list[dict]) -> dict[str, Tensor]:
        gate = torch.tensor([float(example[GATE]) for example in examples])
        return super().torch_call(examples) | {GATE: gate}
