"""The work of a study as jobs that can be done apart: one for SFT, then one for each arm.

>>> names_of(study)                    # ("sft", "ppo", "rm", "dpo-eta", "dpo-binary")
>>> do(study, "dpo-eta")               # train its rounds and evaluate them

A job makes the stages that the notebooks ask for, no more and no less: a notebook that is
executed afterwards reuses them all.  Leaves out: who does them and where (see `cluster`
and `commands`).
"""

from __future__ import annotations

from eta_utils.common.files import BadInput
from eta_utils.study.preference import align_by_dpo
from eta_utils.study.reinforcement import align, rounds_of_rl
from eta_utils.study.reward_model import judge_eta_rm, train_eta_rm
from eta_utils.study.rollouts import draw, evaluate, evaluate_on_humaneval, evaluate_rounds
from eta_utils.study.stages import Stage
from eta_utils.study.study import Study
from eta_utils.study.supervised import finetune, pretrain

SFT, REWARD_MODEL, DPO = "sft", "rm", "dpo-"


def names_of(study: Study) -> tuple[str, ...]:
    """All jobs of one seed, each after those that it needs."""
    reward_model = (REWARD_MODEL,) if study.eta_rm or "ppo-rm" in study.arms_of_rl else ()
    dpo = (DPO + arm for arm in study.arms_of_dpo)
    return (SFT, *reward_model, *study.arms_of_rl, *dpo)


def needs(name: str) -> tuple[str, ...]:
    """The jobs that must be done before."""
    if name == SFT:
        return ()
    return (SFT, REWARD_MODEL) if name == "ppo-rm" else (SFT,)


def check(study: Study, name: str) -> None:
    """Raise BadInput for a job that the study has not got."""
    if name not in names_of(study):
        known = ", ".join(names_of(study))
        raise BadInput(f"--arms {name}: this study has no such arm; it has {known}")


def do(study: Study, name: str) -> None:
    """Make the stages of a job, and what they are made from where it is not there."""
    base = pretrain(study)
    sft = finetune(study, base)
    if name == SFT:
        _evaluate_sft(study, base, sft)
    elif name == REWARD_MODEL:
        judge_eta_rm(study, sft, train_eta_rm(study, sft))
    elif name.startswith(DPO):
        evaluate_rounds(study, align_by_dpo(study, sft, name.removeprefix(DPO)))
    else:
        evaluate_rounds(study, rounds_of_rl(study, align(study, sft, name)))


def _evaluate_sft(study: Study, base: Stage, sft: Stage) -> None:
    """What all arms start from and are compared with."""
    evaluate(study, base)
    evaluate(study, sft)
    draw(study, sft, 1)
    if study.generated:
        evaluate_on_humaneval(study, sft)
