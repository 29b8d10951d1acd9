"""How far a model has moved from another: the KL divergence, from its own samples.

>>> groups = sample_completions(model, tokenizer, prompts, n=8)
>>> kl_to(model, reference, [sample for group in groups for sample in group])
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from transformers import PreTrainedModel

from eta_utils.training.ppo import (
    Batch,
    collate,
    completion_logprobs,
    micro_batches,
    tokens_at_once,
)
from eta_utils.training.sampling import Sampled


@torch.no_grad()
def kl_to(
    model: PreTrainedModel,
    reference: PreTrainedModel,
    samples: Sequence[Sampled],
    temperature: float = 1.0,
) -> float:
    """KL(model || reference) of a whole program, in nats, from samples of `model`.

    The mean over the samples of the sum over their tokens of log p - log p_ref.  That is
    unbiased (k1) where the samples were drawn at `temperature`, at which both models are
    evaluated, by the model as it is.  0.0 without samples.
    """
    pairs = [(sample.prompt_ids, sample.ids) for sample in samples]
    lengths = [len(prompt) + len(completion) for prompt, completion in pairs]
    limit = tokens_at_once(model, model.device)
    total = 0.0
    for indexes in micro_batches(lengths, limit):
        batch = collate([pairs[index] for index in indexes])
        ours, theirs = (
            completion_logprobs(
                one, Batch(*(part.to(one.device) for part in batch)), temperature
            )[1].cpu()
            for one in (model, reference)
        )
        total += (ours - theirs).sum().item()
    return total / len(pairs) if pairs else 0.0
