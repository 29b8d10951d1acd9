"""The models of a study's stages: loaded to write, or to learn.

>>> model, tokenizer = learner_of(study, sft)      # in float32, with adapters if wanted
>>> with writer_of(study, sft) as (model, tokenizer): ...     # for `sample_completions`

Leaves out: making stages (see `arms`), and what the models write (see `rollouts`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from eta_utils.study.stages import Stage
from eta_utils.study.study import Study
from eta_utils.study.tasks import SPLITS, tasks_of
from eta_utils.training.models import (
    adapt,
    check_context,
    device,
    load_config,
    load_model,
    load_tokenizer,
)
from eta_utils.training.sft import SFTSettings
from eta_utils.training.vllm import Engine, uses_vllm

# The parameters that decide what a model writes, and how it learns.
SAMPLING = ("temperature", "max_new_tokens", "step_budget", "sampler", "precision")
TRAINING = ("precision", "lora_rank")


def check_model(study: Study) -> None:
    """Raise BadInput, before anything is made, for a model, a GPU or a sampler that is not
    here, or a model that cannot see a prompt of the study's tasks and a completion."""
    device(study.device)
    uses_vllm(study.sampler)
    if study.model == "tiny":
        return
    tokenizer, config = load_tokenizer(study.model), load_config(study.model)
    for split in SPLITS:
        for task in tasks_of(study, split).values():
            length = len(tokenizer(task.prompt)["input_ids"])
            check_context(config, length, study.max_new_tokens)


def model_of(
    study: Study, stage: Stage, precision: str = "fp32"
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The model that a stage made, or names, on the GPU where there is one."""
    model, tokenizer = load_model(weights_of(stage), precision)
    return model.to(device(study.device)), tokenizer


def learner_of(
    study: Study, stage: Stage
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The same, to be trained: with adapters where the study wants them."""
    model, tokenizer = model_of(study, stage)
    adapt(model, study.lora_rank, study.seed)
    return model, tokenizer


@contextlib.contextmanager
def writer_of(
    study: Study, stage: Stage
) -> Iterator[tuple[PreTrainedModel | Engine, PreTrainedTokenizerBase]]:
    """The model that a stage made, to sample from: in the study's precision, by vLLM where
    the study wants it."""
    if uses_vllm(study.sampler):
        weights = weights_of(stage)
        with Engine(weights, study.precision) as engine:
            yield engine, load_tokenizer(weights)
    else:
        yield model_of(study, stage, study.precision)


def weights_of(stage: Stage) -> str | Path:
    """The folder, or the name on the Hub, of the model that a stage made or names."""
    name = stage.metrics.get("model", "model")
    inside = stage.folder / name
    return inside if inside.exists() else name


def settings_of(study: Study, learning_rate: float, batch_size: int) -> SFTSettings:
    """How a training of one epoch goes in this study."""
    bf16 = study.precision == "bf16"
    return SFTSettings(learning_rate, batch_size, study.seed, bf16)
