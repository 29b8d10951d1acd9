"""The models of a study's stages, loaded to write or to learn.

>>> model, tokenizer = learner_of(sft, study.model, seed=0)    # float32, adapters if wanted
>>> with writer_of(sft, study.model, study.sampling) as (model, tokenizer): ...
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
    check_memory,
    device,
    load_config,
    load_model,
    load_tokenizer,
)
from eta_utils.training.settings import LearnerSettings, ModelSettings, SamplerSettings
from eta_utils.training.tokens import tokenize
from eta_utils.training.vllm import Engine, uses_vllm


def model_of(
    stage: Stage, settings: ModelSettings, precision: str = "fp32"
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The model that a stage made, or names, on the GPU where there is one."""
    model, tokenizer = load_model(weights_of(stage), precision, settings.prompt_format)
    return model.to(device(settings.device)), tokenizer


def learner_of(
    stage: Stage, settings: LearnerSettings, seed: int
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The same, to be trained: with new adapters where the settings want them."""
    model, tokenizer = model_of(stage, settings)
    adapt(model, settings.lora_rank, seed)
    return model, tokenizer


@contextlib.contextmanager
def writer_of(
    stage: Stage, settings: ModelSettings, sampling: SamplerSettings
) -> Iterator[tuple[PreTrainedModel | Engine, PreTrainedTokenizerBase]]:
    """The same, to sample from: in the wanted precision, in vLLM if that is the sampler."""
    if uses_vllm(sampling.sampler):
        weights = weights_of(stage)
        with Engine(weights, settings.weights) as engine:
            yield engine, load_tokenizer(weights, settings.prompt_format)
    else:
        yield model_of(stage, settings, settings.weights)


def weights_of(stage: Stage) -> str | Path:
    """The folder, or the name on the Hub, of the model that a stage made or names."""
    if named := stage.metrics.get("model"):
        return named
    return stage.folder / stage.metrics.get("folder", "model")


def check_model(study: Study) -> None:
    """Raise BadInput where the study's model, GPU or sampler is not here.

    So does a model whose context is too short for a prompt of the study's tasks and a
    completion.  Nothing is made before.
    """
    device(study.model.device)
    uses_vllm(study.sampling.sampler)
    name = study.model.model
    if name == "tiny":
        return
    tokenizer, config = load_tokenizer(name, study.model.prompt_format), load_config(name)
    check_memory(name, config)
    for split in SPLITS:
        for task in tasks_of(study, split).values():
            [tokens] = tokenize(tokenizer, [task.prompt])
            check_context(config, len(tokens.prompt), study.sampling.max_new_tokens)
