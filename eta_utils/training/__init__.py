"""Models learn: each algorithm is one file, read from top to bottom.

>>> from eta_utils.training import load_model, sample_completions, train_sft
>>> from eta_utils.training import PassReward      # for TRL's trainers, too

TRL's trainers carry SFT, DPO, GRPO and the reward model; PPO is ours.  Nothing here knows
the study.
"""

import os
import sys

from eta_utils.common.faces import lazy

# Else TRL tells the Hub of every training, unless the user wants that.  The variable is
# read once, when the Hub's library is imported.
if "HF_HUB_DISABLE_TELEMETRY" not in os.environ:
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    if imported := sys.modules.get("huggingface_hub.constants"):
        imported.HF_HUB_DISABLE_TELEMETRY = True

_NAMES = {
    "load_model": "models",
    "sample_completions": "sampling",
    "train_base": "sft",
    "train_sft": "sft",
    "train_dpo": "dpo",
    "train_ppo": "ppo",
    "train_grpo": "grpo",
    "train_credit": "credit",
    "train_branching": "branching",
    "train_rft": "rft",
    "kl_to": "divergence",
    "train_reward_model": "reward_model",
    "PassReward": "rewards",
    "EtaReward": "rewards",
    "ModelReward": "rewards",
    "BaseSettings": "settings",
    "DPOSettings": "settings",
    "ModelSettings": "settings",
    "PPOSettings": "settings",
    "RewardModelSettings": "settings",
    "SamplingSettings": "settings",
    "SamplerSettings": "settings",
    "LearnerSettings": "settings",
    "EpochSettings": "settings",
    "SFTSettings": "settings",
    "GRPOSettings": "settings",
    "CreditSettings": "settings",
    "BranchSettings": "settings",
    "CeilingSettings": "settings",
    "ReferenceSettings": "settings",
    "RFTSettings": "settings",
}
__all__ = list(_NAMES)
__getattr__ = lazy(__name__, _NAMES)
