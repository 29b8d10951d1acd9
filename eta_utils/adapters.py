"""Low-rank adapters (LoRA) by peft: train a few weights, save the whole model.

>>> adapt(model, rank=16, seed=0)      # in place: from here on only adapters learn
>>> merged(model)                      # a copy that needs no peft to be loaded

Hu et al. 2021, arXiv 2106.09685, on every linear layer but the output, and with twice the
rank as alpha.  What is saved has the adapters merged, so each stage starts from a plain
model and whatever samples from it (`generate`, vLLM) needs to know nothing of them.

Leaves out: adapters kept apart, quantised weights.
"""

from __future__ import annotations

import copy
import warnings

from peft import LoraConfig, LoraModel
from peft.tuners.lora import LoraLayer
from transformers import PreTrainedModel, set_seed

_HEAD = "score"  # of a reward model: drawn anew, so it learns as a whole


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
        LoraModel(model, config, "default")
    if hasattr(model, _HEAD):
        model.get_submodule(_HEAD).requires_grad_(True)


def merged(model: PreTrainedModel) -> PreTrainedModel:
    """The model with its adapters merged into the weights: a copy, or itself if it has
    none."""
    if not any(isinstance(each, LoraLayer) for each in model.modules()):
        return model
    whole = copy.deepcopy(model)
    for name, layer in list(whole.named_modules()):
        if isinstance(layer, LoraLayer):
            layer.merge()
            parent, _, child = name.rpartition(".")
            setattr(whole.get_submodule(parent), child, layer.get_base_layer())
    del whole.peft_config
    return whole.requires_grad_(True)
