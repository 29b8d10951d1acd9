"""Which values the parameters of a study can have, alone and together."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

from eta_utils.analysis.recipes import recipe
from eta_utils.common.files import BadInput
from eta_utils.common.processes import share_of
from eta_utils.tasks import SETS, splits

if TYPE_CHECKING:
    from eta_utils.study.study import Study

GENERATED = ("pipelines", "repair")
FAMILIES = (*GENERATED, *SETS)
RL_ARMS = ("ppo", "ppo-eta", "ppo-rm", "rloo")
CHOICES = {
    "device": ("auto", "cuda"),
    "precision": ("fp32", "bf16"),
    "sampler": ("transformers", "vllm", "auto"),
    "eta_rm": (0, 1),
    "repair_trace": (0, 1),
}
_MAY_BE_PATHS = ("model", "tasks", "test_set", "hidden_set")
HARDEST = 5  # steps: their programs have up to 95 tokens, near max_new_tokens
_MAY_BE_ZERO = (
    "seed limit workers corpus_noise ppo_kl dpo_nll_weight rounds humaneval_samples eta_rm "
    "repair_trace step_budget pair_margin lora_rank"
).split()


def check_ranges(study: Study) -> None:
    """Raise BadInput for a value that is out of range."""
    numbers = [
        each.name for each in fields(study) if isinstance(each.default, (int, float))
    ]
    for name in numbers:
        if not math.isfinite(getattr(study, name)):
            raise BadInput(f"parameter {name}: {getattr(study, name)} is not finite")
        if getattr(study, name) < 0:
            raise BadInput(f"parameter {name}: {getattr(study, name)} is negative")
    for name in numbers:
        if name not in _MAY_BE_ZERO and getattr(study, name) <= 0:
            raise BadInput(f"parameter {name}: {getattr(study, name)} is not positive")
    if not 0 <= study.corpus_noise <= 1:
        raise BadInput(f"parameter corpus_noise: {study.corpus_noise} is not in 0..1")
    for name, known in (("tasks", FAMILIES), ("test_set", SETS), ("hidden_set", SETS)):
        value = getattr(study, name)
        if not (value in known or Path(value).is_file() or (not value and known is SETS)):
            there = ", ".join(known)
            raise BadInput(f"parameter {name}: {value!r} is no file, and none of {there}")
    if study.generated and (study.test_set or study.hidden_set):
        name = "test_set" if study.test_set else "hidden_set"
        raise BadInput(f"parameter {name}: the family {study.tasks} has tests of its own")
    for name, known in CHOICES.items():
        if getattr(study, name) not in known:
            there = " or ".join(map(str, known))
            raise BadInput(f"parameter {name}: {getattr(study, name)} is not {there}")
    for name in study.arms_of_rl:
        if name not in RL_ARMS:
            raise BadInput(
                f"parameter rl_arms: there is no {name}; there are {', '.join(RL_ARMS)}"
            )
    for name in study.arms_of_dpo:
        try:
            recipe(name)
        except BadInput as error:
            raise BadInput(f"parameter dpo_arms: {error}") from None
    for name in ("min_steps", "sft_min_steps", "align_min_steps"):
        if not getattr(study, name) <= study.max_steps <= HARDEST:
            raise BadInput(
                f"parameter {name}: {getattr(study, name)} to max_steps "
                f"({study.max_steps}) is not a range within 1 to {HARDEST}"
            )
    if study.programs % (study.ppo_prompts * study.samples_per_prompt):
        raise BadInput(
            f"parameter ppo_prompts: {study.ppo_prompts} does not divide rounds x "
            f"prompts_per_round = {study.rounds * study.prompts_per_round}, so PPO could "
            "not execute as many programs as DPO"
        )


def check_batches(study: Study) -> None:
    """Raise BadInput, naming the parameter, for a batch that the processes of this training
    cannot share evenly."""
    for name in ("base_batch", "sft_batch", "dpo_batch", "rm_batch", "ppo_minibatch"):
        share_of(getattr(study, name), f"parameter {name}: batches")


def fitted(study: Study) -> Study:
    """The study with no more prompts in a round than a named set has for alignment.

    Raises BadInput where the set is not here, or is not what its name says.
    """
    if study.generated:
        return study
    there = len(splits.split(study.tasks, "align", study.limit))
    if not there:
        raise BadInput(f"parameter tasks: {study.tasks} has too few tasks to share out")
    round_size = min(study.prompts_per_round, there)
    divisors = (n for n in range(study.ppo_prompts, 0, -1) if round_size % n == 0)
    if round_size == study.prompts_per_round:
        return study
    return replace(study, prompts_per_round=round_size, ppo_prompts=next(divisors))


def resolved(values: Mapping[str, object]) -> dict[str, str]:
    """Those of a study's values that name a folder or file, as whole paths: a notebook is
    executed in another folder than the command that names it."""
    known = ("tiny", *FAMILIES)
    found = {name: values.get(name) for name in _MAY_BE_PATHS}
    return {
        name: str(Path(text).resolve())
        for name, text in found.items()
        if isinstance(text, str) and text and text not in known and Path(text).exists()
    }
