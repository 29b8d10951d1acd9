"""Which values the parameters of a study can have, alone and together."""

from __future__ import annotations

import math
from dataclasses import fields
from typing import TYPE_CHECKING

from eta_utils.files import BadInput
from eta_utils.recipes import recipe

if TYPE_CHECKING:
    from eta_utils.study import Study

FAMILIES = ("pipelines",)
RL_ARMS = ("ppo", "ppo-eta", "ppo-rm", "rloo")
HARDEST = 5  # steps: their programs have up to 95 tokens, near max_new_tokens
_MAY_BE_ZERO = (
    "seed limit workers corpus_noise ppo_kl dpo_nll_weight rounds humaneval_samples eta_rm"
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
    if study.tasks not in FAMILIES:
        raise BadInput(f"parameter tasks: there is no family {study.tasks}")
    if study.eta_rm not in (0, 1):
        raise BadInput(f"parameter eta_rm: {study.eta_rm} is neither 0 nor 1")
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
