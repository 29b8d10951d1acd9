"""The arms of the study as stages: what each model is made from.

>>> base = pretrain(study)
>>> sft = finetune(study, base)
>>> ppo = align_by_ppo(study, sft)
>>> rounds = align_by_dpo(study, sft, "eta")

Every function returns a `Stage`: its folder holds the model, what was sampled, and how the
training went; it is made once and reused while its parameters stand (see `stages`).

Leaves out: how training works (`training`, `dpo`, `ppo`, `rloo`) and what models write
(`rollouts`).
"""

from eta_utils.arms.preference import align_by_dpo, pairs_of, programs_of
from eta_utils.arms.reinforcement import align, align_by_ppo, align_by_rloo, rounds_of_rl
from eta_utils.arms.reward import judge_eta_rm, train_eta_rm
from eta_utils.arms.supervised import finetune, pretrain

__all__ = [
    "align",
    "align_by_dpo",
    "align_by_ppo",
    "align_by_rloo",
    "finetune",
    "judge_eta_rm",
    "pairs_of",
    "pretrain",
    "programs_of",
    "rounds_of_rl",
    "train_eta_rm",
]
