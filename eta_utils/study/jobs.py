"""The work of a study as jobs that can run apart: SFT first, then one for each arm.

>>> names_of(study)                    # ("sft", "rm", "grpo", "credit", "dpo-eta")
>>> do(study, "dpo-eta")               # train its rounds and evaluate them

A job makes exactly the stages that the notebooks ask for: a notebook that is executed
afterwards reuses them all.
"""

from __future__ import annotations

from eta_utils.common.errors import BadInput
from eta_utils.study.alignment import align
from eta_utils.study.near import near_duplicates
from eta_utils.study.reward_model import NAME as REWARD_MODEL
from eta_utils.study.reward_model import judge_eta_rm, train_eta_rm
from eta_utils.study.rollouts import (
    SPLITS,
    draw,
    evaluate,
    evaluate_on_humaneval,
    evaluate_rounds,
    measure_gate,
)
from eta_utils.study.study import Study
from eta_utils.study.supervised import finetune, pretrain

SFT = "sft"


def names_of(study: Study) -> tuple[str, ...]:
    """All jobs of one seed, each after those that it needs."""
    pays = any(arm.reward == "eta_rm" for arm in study.arms.all)
    reward_model = (REWARD_MODEL,) if study.arms.eta_rm or pays else ()
    return (SFT, *reward_model, *(arm.name for arm in study.arms.all))


def needs(study: Study, name: str) -> tuple[str, ...]:
    """The jobs that must be done before."""
    if name == SFT:
        return ()
    pays = any(arm.name == name and arm.reward == "eta_rm" for arm in study.arms.all)
    return (SFT, REWARD_MODEL) if pays else (SFT,)


def check(study: Study, name: str) -> None:
    """Raise BadInput for a job that the study does not have."""
    if name not in names_of(study):
        known = ", ".join(names_of(study))
        raise BadInput(f"--arms {name}: this study has no such arm; it has {known}")


def do(study: Study, name: str) -> None:
    """Make the stages of a job, and first what they are made from."""
    base = pretrain(study)
    sft = finetune(study, base)
    if name == SFT:
        for model in (base, sft):
            for split in SPLITS:
                evaluate(study, model, split=split)
        draw(study, sft, 1)
        measure_gate(study, sft)
        near_duplicates(study)
        if study.family.generated:
            evaluate_on_humaneval(study, sft)
    elif name == REWARD_MODEL:
        judge_eta_rm(study, sft, train_eta_rm(study, sft))
    else:
        evaluate_rounds(study, align(study, sft, name), sft)
