"""Models: the built-in tiny GPT-2, or any causal model by name or folder.

>>> build_tiny(folder, texts, seed=0)              # a model folder as the Hub has them
>>> model, tokenizer = load_model(folder)          # the same call loads "gpt2"
>>> load_model("smollm2"), load_model("my.gguf")   # real weights, see `gguf`
>>> adapt(model, rank=16)                          # LoRA: from here on only adapters learn
>>> save_model(model, tokenizer, folder)           # a plain model, adapters merged
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from pathlib import Path

import torch
from peft import LoraConfig, LoraModel
from peft.tuners.lora import LoraLayer
from tokenizers import ByteLevelBPETokenizer, Tokenizer
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    GPT2Config,
    GPT2LMHeadModel,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
    set_seed,
)

from eta_utils.common.errors import BadInput
from eta_utils.common.machine import free_memory
from eta_utils.common.processes import is_first
from eta_utils.training.gguf import resolved

LARGE = 50_000_000  # parameters; see `is_large`
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
END_OF_TEXT = "<|endoftext|>"


# --- The built-in model

# GPT-2's architecture with 0.5 million parameters, which two cores train in minutes.
# The task is to copy the right step from the prompt.  Many small heads learn that sooner
# than a few large ones, and so do larger initial weights than GPT-2's 0.02: after 9,600
# programs the loss was 0.43 with 0.02 and 0.30 with 0.06.
TINY = {
    "n_layer": 2,
    "n_embd": 128,
    "n_head": 8,
    "initializer_range": 0.06,
}
TINY_VOCABULARY = 576  # tokens: 256 bytes, 1 end of text, and merges of the corpus


def build_tiny(
    folder: Path, texts: Iterable[str], seed: int = 0, context: int = 256
) -> None:
    """Write an untrained GPT-2 and a tokenizer to `folder`.

    The weights are drawn by `seed`, and the model sees `context` tokens.  The tokenizer is
    a byte-level BPE, trained on `texts`.
    """
    bpe = ByteLevelBPETokenizer()
    bpe.train_from_iterator(
        texts, vocab_size=TINY_VOCABULARY, special_tokens=[END_OF_TEXT], show_progress=False
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(bpe.to_str()),
        bos_token=END_OF_TEXT,
        eos_token=END_OF_TEXT,
        model_max_length=context,
    )
    set_seed(seed)
    end = tokenizer.eos_token_id
    # No dropout: one pass over ever new programs cannot overfit, and PPO and DPO must
    # compare the very probabilities that were sampled from.
    no_dropout = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
    config = GPT2Config(
        vocab_size=len(tokenizer),
        n_positions=context,
        bos_token_id=end,
        eos_token_id=end,
        activation_function="gelu_pytorch_tanh",  # GPT-2's own, in one kernel instead of 8
        **TINY,
        **no_dropout,
    )
    GPT2LMHeadModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


# --- Loading


def load_model(
    name: str | Path, precision: str = "fp32", prompt_format: str = "complete"
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """A causal language model, ready to sample, and its tokenizer.

    `name` is a local folder, a GGUF file, a model of `gguf.PACKAGED` or a name on the Hub;
    a `Path` is never asked for on the Hub.  `precision` is that of the weights: bf16
    samples faster on a GPU, and on processors that multiply in it.  For `prompt_format` see
    `load_tokenizer`.  Raises BadInput, with advice, where either is missing, the two do not
    belong together, or the weights do not fit the memory.

    A `generation_config.json` beside the weights is not read: samples are drawn from the
    policy itself, without its makers' `top_p`, penalties or beams.
    """
    name = resolved(name)
    tokenizer = load_tokenizer(name, prompt_format)
    config = load_config(name)
    check_memory(name, config, precision)
    plain = GenerationConfig.from_model_config(config)
    try:
        model = AutoModelForCausalLM.from_pretrained(
            name, dtype=DTYPES[precision], generation_config=plain, **where(name)
        )
    except (OSError, ValueError) as error:
        raise BadInput(f"model {name}: has no weights here ({_reason(error)})") from None
    if len(tokenizer) > model.get_input_embeddings().weight.shape[0]:
        raise BadInput(
            f"model {name}: its tokenizer has {len(tokenizer):,} tokens, more than the "
            "model knows; is it that of another model?"
        )
    # Sampling stops at the config's end of text, training appends the tokenizer's.  Where a
    # published model's two differ, the tokenizer decides.
    model.config.eos_token_id = tokenizer.eos_token_id
    return model.eval(), tokenizer


def where(name: str | Path) -> dict[str, bool]:
    """How `from_pretrained` looks for a model: what is a folder is not sought on the Hub.

    Raises BadInput for a `Path` that is none.
    """
    if isinstance(name, Path) and not name.is_dir():
        raise BadInput(f"model {name}: there is no such folder")
    return {"local_files_only": Path(name).is_dir()}


def load_config(name: str | Path) -> PretrainedConfig:
    """The configuration of a model.  Raises BadInput where there is none."""
    name = resolved(name)
    try:
        return AutoConfig.from_pretrained(name, **where(name))
    except (OSError, ValueError) as error:
        raise BadInput(f"model {name}: has no configuration ({_reason(error)})") from None


def load_tokenizer(
    name: str | Path, prompt_format: str = "complete"
) -> PreTrainedTokenizerBase:
    """The tokenizer of a model, which pads on the left and has a token to pad with.

    Padding goes to the left, so that each prompt's last token stands beside the first one
    that is sampled.

    The tokenizer has a chat template where `prompt_format` is "chat", and only there: it
    tells `tokens` how to ask, and a trained model that is saved with it is asked alike.
    Base models often come with a template that they were never trained on.

    Raises BadInput where there is no tokenizer, none that can end a text, or none with a
    template where one is needed.
    """
    name = resolved(name)
    try:
        tokenizer = AutoTokenizer.from_pretrained(name, **where(name))
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
    # Where a folder has no tokenizer, transformers may hand out one without a vocabulary.
    if len(tokenizer.tokenize("def f(x):")) < 2:
        raise BadInput(f"model {name}: the folder has no tokenizer; save it there, too")
    if tokenizer.eos_token is None:
        raise BadInput(f"model {name}: its tokenizer has no token that ends a text")
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    tokenizer.padding_side = "left"
    if prompt_format != "chat":
        tokenizer.chat_template = None
    elif tokenizer.chat_template is None:
        raise BadInput(
            f"model {name}: its tokenizer has no chat template; a base model is asked with "
            "prompt_format=complete"
        )
    return tokenizer


def _reason(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


# --- Adapters (LoRA, Hu et al. 2021, arXiv 2106.09685), and saving

# A layer with weights W (out, in) gets two small matrices, A (rank, in) and B (out, rank),
# and computes with W + 2 B A.  Only A and B learn.  B begins at 0, and so without effect.

_HEAD = "score"  # of a reward model: newly drawn, so it learns as a whole
_ADAPTER = "default"
_INSIDE = ".base_layer."  # peft keeps a layer's own weights under this name


def adapt(model: PreTrainedModel, rank: int, seed: int = 0) -> None:
    """Add LoRA adapters to all linear layers in place; nothing else learns from then on.

    A reward model's head still learns as a whole.  With rank 0 the model stays as it is,
    and all its weights learn.
    """
    if not rank:
        return
    config = LoraConfig(
        r=rank,
        lora_alpha=2 * rank,  # the factor of B A is lora_alpha / r
        lora_dropout=0.0,  # PPO and DPO compare probabilities: they must be those sampled
        target_modules="all-linear",
        exclude_modules=[_HEAD] if hasattr(model, _HEAD) else None,
    )
    set_seed(seed)  # A is drawn
    with warnings.catch_warnings():
        # GPT-2 stores its weights transposed (in, out).  peft sees that and sets
        # fan_in_fan_out itself, with a warning.
        warnings.filterwarnings("ignore", "fan_in_fan_out")
        LoraModel(model, config, _ADAPTER)
    if hasattr(model, _HEAD):
        model.get_submodule(_HEAD).requires_grad_(True)


def save_model(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path
) -> None:
    """Write a plain model, adapters merged, which `load_model(folder)` gives back.

    Only the first of several processes writes.
    """
    if is_first():
        model.save_pretrained(folder, state_dict=merged(model))
        tokenizer.save_pretrained(folder)
        mode = (folder / "config.json").stat().st_mode
        for weights in folder.glob("*.safetensors"):  # written for their owner alone
            weights.chmod(mode)


def merged(model: PreTrainedModel) -> dict[str, Tensor] | None:
    """The weights of the plain model by name, adapters merged; None where it has none.

    The model itself stays as it is.  The weights are in main memory, because a GPU may have
    no room for them a second time.
    """
    layers = adapted_layers(model)
    if not layers:
        return None
    adapters = tuple(f"{name}.lora_" for name in layers)
    weights = {}
    for name, weight in model.state_dict().items():
        if name.startswith(adapters):
            continue
        # An adapted layer "h.0.mlp" keeps its own weights as "h.0.mlp.base_layer.weight".
        layer, inside, own = name.rpartition(_INSIDE)
        plain = weight
        if layer in layers and own == "weight":
            plain = _adapted(layers[layer])
        weights[f"{layer}.{own}" if inside else name] = plain.detach().cpu()
    return weights


def adapted_layers(model: PreTrainedModel) -> dict[str, LoraLayer]:
    """The layers with adapters, by name."""
    modules = model.named_modules()
    return {name: layer for name, layer in modules if isinstance(layer, LoraLayer)}


def adapted_weights(model: PreTrainedModel) -> dict[Tensor, Tensor]:
    """For the weights of each adapted layer what they are with its adapter merged."""
    layers = adapted_layers(model).values()
    return {layer.get_base_layer().weight: _adapted(layer) for layer in layers}


@torch.no_grad()
def _adapted(layer: LoraLayer) -> Tensor:
    """W + 2 B A."""
    return layer.get_base_layer().weight + layer.get_delta_weight(_ADAPTER)


# --- Facts


def parameter_count(model: PreTrainedModel) -> int:
    """How many parameters the model has."""
    return sum(parameter.numel() for parameter in model.parameters())


def is_large(model: nn.Module, device: torch.device) -> bool:
    """Whether memory, not speed, says how much of a batch goes through the model at once.

    On a processor that is a model of `LARGE` parameters and more.
    """
    return device.type == "cpu" and parameter_count(model) >= LARGE


def device(wanted: str = "auto") -> torch.device:
    """This process' GPU, or the CPU where there is none.

    Raises BadInput where there is no GPU and `wanted` is cuda.
    """
    if torch.cuda.is_available():
        return torch.device("cuda", torch.cuda.current_device())
    if wanted == "cuda":
        raise BadInput(
            f"parameter device: cuda was asked for, but torch {torch.__version__} sees no "
            "GPU here; -p device=auto runs on the processor"
        )
    return torch.device("cpu")


def check_memory(
    name: str | Path, config: PretrainedConfig, precision: str = "fp32"
) -> None:
    """Raise BadInput where a model's weights do not fit the memory that is free.

    Nothing is loaded: the model is made without memory, to count its parameters.
    """
    with torch.device("meta"):
        count = parameter_count(AutoModelForCausalLM.from_config(config))
    needed, free = count * DTYPES[precision].itemsize, free_memory()
    if needed > free:
        raise BadInput(
            f"model {name}: its {count:,} weights take {needed / 2**30:,.1f} GiB in "
            f"{precision}, and {free / 2**30:,.1f} GiB of memory are free; take a smaller "
            "model or a larger machine"
        )


def context_of(config: PretrainedConfig) -> int:
    """Tokens that a model of this configuration can see."""
    # A configuration that names no limit has none; a million tokens stand for that.
    return getattr(config, "max_position_embeddings", None) or 1 << 20


def check_context(config: PretrainedConfig, prompt: int, max_new_tokens: int) -> None:
    """Raise BadInput where the context is too short for a completion after its prompt.

    `prompt` is the prompt's length in tokens.
    """
    context = context_of(config)
    if prompt + max_new_tokens > context:
        raise BadInput(
            f"parameter max_new_tokens: {max_new_tokens} and a prompt of {prompt} tokens "
            f"do not fit the model's context of {context}; ask for fewer tokens, or take "
            "a model with a longer context"
        )
