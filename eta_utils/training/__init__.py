"""Models learn: each algorithm is one file, read from top to bottom.

>>> from eta_utils.training import load_model, sample_completions, train_sft

SFT, DPO, RLOO and the reward model are TRL's; PPO is ours.  Nothing here knows the study.
"""

from eta_utils.common.faces import lazy

_NAMES = {
    "load_model": "models",
    "sample_completions": "sampling",
    "train_base": "sft",
    "train_sft": "sft",
    "train_dpo": "dpo",
    "train_ppo": "ppo",
    "train_rloo": "rloo",
    "train_reward_model": "reward_model",
    "rewards": "",
}
__all__ = list(_NAMES)
__getattr__ = lazy(__name__, _NAMES)
