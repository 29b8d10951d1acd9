"""Models: the built-in tiny GPT-2, or any causal model by name or folder.

>>> build_tiny(folder, texts, seed=0)              # a model folder as the Hub has them
>>> model, tokenizer = load_model(folder)          # the same call loads "gpt2"

Leaves out: what they write (see `sampling`), and training (see `training`, `ppo`).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from pathlib import Path

import torch
from peft import LoraConfig, LoraModel
from peft.tuners.lora import LoraLayer
from tokenizers import ByteLevelBPETokenizer
from torch import Tensor
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    GPT2Config,
    GPT2LMHeadModel,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
    set_seed,
)

from eta_utils.common.errors import BadInput
from eta_utils.common.processes import is_first

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
END_OF_TEXT = "<|endoftext|>"
# GPT-2's architecture at a size that two cores train in minutes: 0.5 million parameters.
# Many small heads, and weights that begin larger than GPT-2's 0.02, find the right step to
# copy from sooner (9,600 programs, loss 0.43 with 0.02 and 0.30 with 0.06).
TINY = {
    "n_layer": 2,
    "n_embd": 128,
    "n_head": 8,
    "initializer_range": 0.06,
}
TINY_VOCABULARY = 576


def build_tiny(
    folder: Path, texts: Iterable[str], seed: int = 0, context: int = 256
) -> None:
    """Write a randomly initialised GPT-2 that sees `context` tokens, and a byte-level BPE
    trained on `texts`."""
    bpe = ByteLevelBPETokenizer()
    bpe.train_from_iterator(
        texts, vocab_size=TINY_VOCABULARY, special_tokens=[END_OF_TEXT], show_progress=False
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe._tokenizer,
        bos_token=END_OF_TEXT,
        eos_token=END_OF_TEXT,
        model_max_length=context,
    )
    set_seed(seed)
    end = tokenizer.eos_token_id
    # Without dropout: one pass over ever new data cannot overfit, and the probabilities
    # that PPO and DPO compare must be those that were sampled.
    still = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
    config = GPT2Config(
        vocab_size=len(tokenizer),
        n_positions=context,
        bos_token_id=end,
        eos_token_id=end,
        activation_function="gelu_pytorch_tanh",  # GPT-2's own, in one kernel instead of 8
        **TINY,
        **still,
    )
    GPT2LMHeadModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def load_model(
    name: str | Path, precision: str = "fp32"
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """A causal language model and its tokenizer, padded on the left.

    `name` is a local folder or a name on the Hub; `precision` is of the weights, bf16 to
    sample faster.  Raises BadInput, saying what to do, where neither is there, or the two
    do not belong together.
    """
    tokenizer = load_tokenizer(name)
    load_config(name)
    try:
        model = AutoModelForCausalLM.from_pretrained(name, dtype=DTYPES[precision])
    except (OSError, ValueError) as error:
        raise BadInput(f"model {name}: has no weights here ({_reason(error)})") from None
    if len(tokenizer) > model.get_input_embeddings().weight.shape[0]:
        raise BadInput(
            f"model {name}: its tokenizer has {len(tokenizer):,} tokens, more than the "
            "model knows; is it that of another model?"
        )
    model.config.eos_token_id = tokenizer.eos_token_id
    return model.eval(), tokenizer


def load_config(name: str | Path) -> PretrainedConfig:
    """The configuration of a model.  Raises BadInput where there is none."""
    try:
        return AutoConfig.from_pretrained(name)
    except (OSError, ValueError) as error:
        raise BadInput(f"model {name}: has no configuration ({_reason(error)})") from None


def load_tokenizer(name: str | Path) -> PreTrainedTokenizerBase:
    """The tokenizer of a model, with a padding token and padded on the left.

    Raises BadInput where there is none, or it has no token to pad or to end a text with.
    """
    try:
        tokenizer = AutoTokenizer.from_pretrained(name)
    except (OSError, ValueError) as error:
        if Path(name).is_dir():
            why = f"the folder has no tokenizer that can be read ({_reason(error)})"
        else:
            why = (
                f"there is no such folder, and from the Hub it cannot be fetched now; "
                f"where there is a network, `hf download {name} --local-dir FOLDER` "
                "fetches it: then give that FOLDER"
            )
        raise BadInput(f"model {name}: {why}") from None
    if len(tokenizer("def f(x):")["input_ids"]) < 2:  # transformers makes up an empty one
        raise BadInput(f"model {name}: the folder has no tokenizer; save it there, too")
    if tokenizer.eos_token is None:
        raise BadInput(f"model {name}: its tokenizer has no token that ends a text")
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    tokenizer.padding_side = "left"
    return tokenizer


def _reason(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def save_model(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path
) -> None:
    """Write both so that `load_model(folder)` gives them back, adapters merged.  Of several
    processes the first does."""
    if is_first():
        model.save_pretrained(folder, state_dict=merged(model))
        tokenizer.save_pretrained(folder)


def parameter_count(model: PreTrainedModel) -> int:
    """How many parameters the model has."""
    return sum(each.numel() for each in model.parameters())


def device(wanted: str = "auto") -> torch.device:
    """This process' GPU where there is one.  Raises BadInput where there is none and
    `wanted` is cuda."""
    if torch.cuda.is_available():
        return torch.device("cuda", torch.cuda.current_device())
    if wanted == "cuda":
        raise BadInput(
            f"parameter device: cuda was asked for, but torch {torch.__version__} sees no "
            "GPU here; -p device=auto runs on the processor"
        )
    return torch.device("cpu")


def context_of(config: PretrainedConfig) -> int:
    """Tokens that a model of this configuration can see."""
    return getattr(config, "max_position_embeddings", None) or 1 << 20


def check_context(config: PretrainedConfig, prompt: int, max_new_tokens: int) -> None:
    """Raise BadInput where a prompt of so many tokens and a completion do not fit."""
    context = context_of(config)
    if prompt + max_new_tokens > context:
        raise BadInput(
            f"parameter max_new_tokens: {max_new_tokens} and a prompt of {prompt} tokens "
            f"do not fit the model's context of {context}; ask for fewer tokens, or take "
            "a model with a longer context"
        )


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
