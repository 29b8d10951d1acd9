# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 02 PPO on a binary reward
#
# **Question.** What does the usual signal, one bit per program, give when it is used
# well? This is the arm that the others are compared with: the policy writes
# programs, each is executed, and all it learns is whether all visible tests passed.
#
# Before: [01 SFT](01_sft.ipynb). Next: [03 ETA-DPO](03_eta_dpo.ipynb),
# [04 analysis](04_analysis.ipynb).

# %%
import pandas as pd

from eta_utils.analysis import contrast_table, figures, results_table
from eta_utils.study import (
    Study,
    align,
    evaluate,
    evaluate_rounds,
    examples,
    finetune,
    pretrain,
    read_scores,
    tasks_of,
)
from eta_utils.training import PassReward

# %% [markdown]
# ## Parameters
#
# `None` stands for the value of the run, or, in a new run, of the profile.

# %% tags=["parameters"]
run: str = None  # folder under outputs/; None: named after the profile
profile: str = None  # small, smoke, full; None: the run's, or small
seed: int = 0  # of everything that is drawn
outputs: str = None  # where run folders lie; None: outputs/ of the project
ppo_learning_rate: float = None  # constant
ppo_epochs: int = None  # passes over each batch of episodes
ppo_kl: float = None  # weight of the KL to the SFT model

# %%
study = Study.begin(
    run,
    profile,
    seed,
    outputs=outputs,
    ppo_learning_rate=ppo_learning_rate,
    ppo_epochs=ppo_epochs,
    ppo_kl=ppo_kl,
)
print(study.cost("02_ppo"))
pd.DataFrame(study.table()).style.hide(axis="index")

# %% [markdown]
# ## The starting point
#
# The SFT model of notebook 01; if it has not been made yet, it is made now.

# %%
sft = finetune(study, pretrain(study))
before = evaluate(study, sft)
print(f"SFT: sampled pass@1 {before.metrics['pass@1']:.3f}")

# %% [markdown]
# ## The reward
#
# A reward is a function of TRL's shape: prompts and completions in, a number for
# each out. `None` means that the judge itself failed: such an episode is left out
# and never counted as 0. Here it sees a right and a wrong program.

# %%
tasks = tasks_of(study, "align")
name, task = next(iter(tasks.items()))
reward = PassReward(tasks, study.judging)
completions = [task.canonical_solution, "    return None\n"]
reward([task.prompt] * 2, completions, task_id=[name] * 2)

# %% [markdown]
# ## The method
#
# PPO raises the probability of tokens that did better than expected, but not by
# more than a factor of $1 + \epsilon$ at a time. With the ratio
# $r_t = \pi_\theta(y_t) / \pi_{old}(y_t)$ and the advantage $A_t$ it maximises
#
# $$\min(r_t A_t, \; clip(r_t, 1 - \epsilon, 1 + \epsilon) A_t)$$
#
# averaged over tokens. The advantage comes from a value head, which learns to say
# how a program will end (GAE); each token also pays for leaving the SFT model (KL).
# `eta_utils/ppo.py` has it in one readable file.

# %%
ppo = align(study, sft, "ppo")
history = pd.read_csv(ppo[-1].folder / "history.csv")
history["programs"] = history["episodes"].cumsum()
figures.table(history.iloc[[0, len(history) // 2, -1]].T.reset_index())

# %% [markdown]
# ## What the metrics mean
#
# | metric | meaning | healthy |
# |---|---|---|
# | `objective/scores` | mean reward: share of programs that pass | rises |
# | `objective/kl` | nats per program away from the SFT model | rises slowly |
# | `objective/entropy` | nats per program of choice left | falls slowly |
# | `objective/rlhf_reward` | score minus the price of the KL | rises |
# | `policy/approxkl` | change in one update, nats per token (k3) | below 0.05 |
# | `policy/clipfrac` | share of tokens where the clip holds | below 0.2 |
# | `value/explained_variance` | how much of the returns the critic foresees | above 0 |
# | `value/clipfrac` | the same clip for the critic | small |
# | `groups/same_reward` | prompts whose samples all got the same reward | falls |
# | `unjudged` | episodes that the judge could not judge | 0 |
# | `length` | tokens per program | steady |

# %%
curves = figures.training_curves(
    history,
    "programs",
    {
        "score": ["objective/scores"],
        "KL and entropy, nats": ["objective/kl", "objective/entropy"],
        "same reward in group": ["groups/same_reward"],
    },
)
figures.show(
    curves,
    "PPO against executed programs: score; KL to SFT and entropy; share of prompts "
    "whose samples all got the same reward.",
)

# %% [markdown]
# The score is on the prompts just sampled, each seen once; the last panel says on
# how many prompts the bit taught nothing within the group.

# %%
curves = figures.training_curves(
    history,
    "programs",
    {
        "approximate KL per update": ["policy/approxkl"],
        "clipped share": ["policy/clipfrac", "value/clipfrac"],
        "critic": ["value/explained_variance"],
    },
)
figures.show(
    curves,
    "PPO against executed programs: change per update, clipped shares of policy and "
    "value, and the variance that the critic explains.",
)

# %% [markdown]
# If the change per update or the clipped share grew without bound, the learning rate
# would be too high and a collapse near.

# %% [markdown]
# ## Controls
#
# Other arms of reinforcement learning, where the run has them (`rl_arms`): `rloo` is
# PPO without a critic, by TRL; `ppo-eta` pays failing programs by how far they got, but
# only on prompts where nothing passes.

# %%
others = {
    arm.name: align(study, sft, arm) for arm in study.arms.rl if arm.name != "ppo"
}

# %% [markdown]
# ## Evaluation on held-out tasks
#
# The same tasks and seeds of sampling as for SFT, so the difference is paired task by
# task.

# %%
for rounds in (ppo, *others.values()):
    evaluate_rounds(study, rounds)
scores = read_scores(study)
wanted = ["sft", *(arm.name for arm in study.arms.rl)]
scores = scores[(scores["seed"] == seed) & scores["arm"].isin(wanted)]
figures.table(results_table(scores))

# %%
figures.show(
    figures.pass_fail(scores),
    "Share of sampled programs that pass, SFT and PPO, with intervals.",
)

# %% [markdown]
# A reward model can be fooled. Where `ppo-rm` was run: the score that ETA-RM gives to
# the programs the policy writes, and what the hidden tests say. A score that rises
# while the pass rate falls is drift.

# %%
if "ppo-rm" in others:
    drifting = pd.read_csv(others["ppo-rm"][-1].folder / "history.csv")
    drifting["programs"] = drifting["episodes"].cumsum()
    figures.show(
        figures.drift(drifting, scores[scores["arm"] == "ppo-rm"]),
        "PPO on ETA-RM: mean score by the reward model, and held-out sampled pass@1, "
        "against executed programs.",
    )

# %% [markdown]
# ## Three programs
#
# One that passes, one that answers wrongly, and one that raises (where there are
# such).

# %%
tests = tasks_of(study, "test")
for outcome in figures.three(examples(study, "ppo")):
    figures.program(tests[outcome.task_id], outcome)

# %% [markdown]
# ## What was learned

# %%
found = contrast_table(scores)
figures.sentences(found["in words"])
