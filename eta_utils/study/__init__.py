"""One run of the study: its settings, and the stages that they lead to.

>>> from eta_utils.study import Study, pretrain, finetune, align, evaluate
>>> study = Study.begin(profile="smoke")
>>> sft = finetune(study, pretrain(study))
"""

from eta_utils.common.faces import lazy

_NAMES = {
    "Study": "study",
    "pretrain": "supervised",
    "finetune": "supervised",
    "align": "reinforcement",
    "align_by_dpo": "preference",
    "align_by_ppo": "reinforcement",
    "align_by_rloo": "reinforcement",
    "pairs_of": "preference",
    "programs_of": "preference",
    "rounds_of_rl": "reinforcement",
    "train_eta_rm": "reward_model",
    "judge_eta_rm": "reward_model",
    "evaluate": "rollouts",
    "read_scores": "results",
}
__all__ = list(_NAMES)
__getattr__ = lazy(__name__, _NAMES)
