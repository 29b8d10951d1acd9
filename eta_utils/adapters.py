"""Low-rank adapters (LoRA) by peft: train a few weights, save the whole model.

>>> adapt(model, rank=16, seed=0)      # in place: from here on only adapters learn
>>> model.save_pretrained(folder, state_dict=merged(model))

Hu et al. 2021, arXiv 2106.09685, on every linear layer but the output, and with twice the
rank as alpha.  What is saved has the adapters merged, so each stage starts from a plain
model and whatever samples from it (`generate`, vLLM) needs to know nothing of them.

Leaves out: adapters kept apart, quantised weights.
"""

from __future__ import annotations

import warnings

from peft import LoraConfig, LoraModel
from peft.tuners.lora import LoraLayer
from torch import Tensor
from transformers import PreTrainedModel, set_seed

_HEAD = "score"  # of a reward model: drawn anew, so it learns as a whole
_ADAPTER = "default"
_INSIDE = ".base_layer."  # where peft keeps a layer's own weights


def adapt(model: PreTrainedModel, rank: int, seed: int = 0) -> None:
    """Add adapters of this rank in place and let nothing else learn; 0: let all learn."""
    if not rank:
        return
    config = LoraConfig(
        r=rank,
        lora_alpha=2 * rank,
        lora_dropout=0.0,  # PPO and DPO compare probabilities: they must be those sampled
        target_modules="all-linear",
        exclude_modules=[_HEAD] if hasattr(model, _HEAD) else None,
    )
    set_seed(seed)  # half of the adapters' weights are drawn
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "fan_in_fan_out")  # GPT-2's layers: peft mends it
        LoraModel(model, config, _ADAPTER)
    if hasattr(model, _HEAD):
        model.get_submodule(_HEAD).requires_grad_(True)


def merged(model: PreTrainedModel) -> dict[str, Tensor] | None:
    """The weights of the plain model with its adapters merged, in main memory (a GPU may
    have no room for them a second time); None where it has no adapters."""
    layers = {
        name: each for name, each in model.named_modules() if isinstance(each, LoraLayer)
    }
    if not layers:
        return None
    weights = {}
    for name, weight in model.state_dict().items():
        layer, inside, own = name.rpartition(_INSIDE)
        if any(name.startswith(f"{each}.lora_") for each in layers):
            continue
        learnt = layer in layers and own == "weight"
        whole = weight + layers[layer].get_delta_weight(_ADAPTER) if learnt else weight
        weights[f"{layer}.{own}" if inside else name] = whole.detach().cpu()
    return weights
