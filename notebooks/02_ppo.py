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
# **Question.** How much does a model learn from the usual feedback, one bit per
# program?
#
# Proximal policy optimisation (PPO) is reinforcement learning. The model that
# learns is called the policy. It writes programs, and each program is executed.
# The reward only says whether all visible tests passed. This is the baseline
# for the other arms.
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
# Leave `None` to use the run's saved value; a new run takes the profile's
# default. The table below the next cell lists all parameters and their values.

# %% tags=["parameters"]
run: str = None  # name of the folder under outputs; default: the profile's name
profile: str = None  # named set of parameters: small, smoke, full, ...
seed: int = 0  # seed of every random draw
outputs: str = None  # folder that holds all runs
ppo_learning_rate: float = None  # learning rate; it stays constant
ppo_epochs: int = None  # passes over each batch of episodes
ppo_kl: float = None  # reward lost per nat of KL to the SFT model

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
print(f"This notebook shows seed {study.seed} of run {study.run}.")
pd.DataFrame(study.table()).style.hide(axis="index")

# %% [markdown]
# ## The starting point
#
# Training starts from the SFT model of notebook 01. If it is missing, this cell
# makes it.

# %%
sft = finetune(study, pretrain(study))
before = evaluate(study, sft)
print(f"SFT: sampled pass@1 {before.metrics['pass@1']:.3f}")

# %% [markdown]
# ## The reward
#
# A reward is a function in TRL's format. It takes prompts and completions and
# returns one number for each completion. It returns `None` if the judge itself
# failed. PPO leaves such a program out; it does not count it as a failure.
#
# Here the reward judges a right and a wrong program.

# %%
tasks = tasks_of(study, "align")
name, task = next(iter(tasks.items()))
reward = PassReward(tasks, study.judging)
completions = [task.canonical_solution, "    return None\n"]
reward([task.prompt] * 2, completions, task_id=[name] * 2)

# %% [markdown]
# ## The method
#
# PPO makes a token more probable if it did better than expected. Within one
# update it stops pushing a token whose probability has changed by a factor of
# $1 + \epsilon$. Let $r_t = \pi_\theta(y_t) / \pi_{old}(y_t)$ be the ratio of
# new to old probability, and $A_t$ the advantage: how much better than
# expected. PPO maximises
#
# $$\min(r_t A_t, \; clip(r_t, 1 - \epsilon, 1 + \epsilon) A_t)$$
#
# averaged over tokens.
#
# A value head, the critic, predicts the reward of a program while it is
# written. GAE turns rewards and predictions into advantages. Each token also
# pays a penalty for moving away from the SFT model, measured as a KL
# divergence.
#
# PPO is in one readable file: `eta_utils/training/ppo.py`.

# %%
ppo = align(study, sft, "ppo")
history = pd.read_csv(ppo[-1].folder / "history.csv")
history["programs"] = history["episodes"].cumsum()
figures.table(history.iloc[[0, len(history) // 2, -1]].T.reset_index())

# %% [markdown]
# ## What the metrics mean
#
# The table above shows the first, a middle and the last update. An episode is
# one program.
#
# | metric | meaning | healthy |
# |---|---|---|
# | `objective/scores` | mean reward: fraction of programs that pass | rises |
# | `objective/kl` | distance from SFT, nats per program | rises slowly |
# | `objective/entropy` | entropy, nats per program | falls slowly |
# | `objective/rlhf_reward` | mean reward with the KL penalty | rises |
# | `policy/approxkl` | change in one update, nats per token (k3) | below 0.05 |
# | `policy/clipfrac` | fraction of tokens whose ratio is clipped | below 0.2 |
# | `value/explained_variance` | how well the critic predicts | above 0 |
# | `value/clipfrac` | fraction of tokens whose value is clipped | small |
# | `groups/same_reward` | fraction of prompts whose rewards are equal | falls |
# | `unjudged` | programs that the judge failed to judge | 0 |
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
    "PPO against executed programs: mean reward; KL to SFT and entropy; "
    "fraction of prompts whose samples all got the same reward.",
)

# %% [markdown]
# The mean reward is that of new prompts: this update's programs have not been
# trained on yet. The last panel shows how often pass/fail feedback cannot rank
# the samples of a prompt, because all pass or all fail.

# %%
curves = figures.training_curves(
    history,
    "programs",
    {
        "approximate KL per update": ["policy/approxkl"],
        "clipped fraction": ["policy/clipfrac", "value/clipfrac"],
        "critic": ["value/explained_variance"],
    },
)
figures.show(
    curves,
    "PPO against executed programs: change of the policy in one update; "
    "fraction of tokens clipped, for policy and value; variance that the "
    "critic explains.",
)

# %% [markdown]
# If the change per update or the clipped fraction keeps growing, the learning
# rate is too high, and training may collapse soon.

# %% [markdown]
# ## Controls
#
# A run may have further arms of reinforcement learning, named in `rl_arms`:
#
# - `rloo` is TRL's RLOO, which needs no critic;
# - `ppo-eta` also rewards failing programs by how far they got, but only on
#   all-fail prompts: those where all samples fail;
# - `ppo-rm` is rewarded by ETA-RM, the reward model of [03](03_eta_dpo.ipynb).

# %%
others = {
    arm.name: align(study, sft, arm)
    for arm in study.arms.rl
    if arm.name != "ppo"
}

# %% [markdown]
# ## Evaluation on held-out tasks
#
# All models get the same tasks and the same sampling seeds as SFT. So each gain
# over SFT is a paired difference, task by task.

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
    "Fraction of sampled programs that pass, for SFT and each arm of "
    "reinforcement learning. The black line is the 95 % interval.",
)

# %% [markdown]
# A policy can learn to fool a reward model. If the run has `ppo-rm`, the next
# figure shows ETA-RM's score of the policy's programs, and the pass rate on
# hidden tests. If the score rises while the pass rate falls, the policy fools
# its reward model.

# %%
if "ppo-rm" in others:
    drifting = pd.read_csv(others["ppo-rm"][-1].folder / "history.csv")
    drifting["programs"] = drifting["episodes"].cumsum()
    figures.show(
        figures.drift(drifting, scores[scores["arm"] == "ppo-rm"]),
        "PPO on ETA-RM, against executed programs: mean score by the reward "
        "model, and held-out sampled pass@1.",
    )

# %% [markdown]
# ## Three programs
#
# One program that passes, one that answers wrongly, and one that raises, if
# PPO's model wrote such programs.

# %%
tests = tasks_of(study, "test")
for outcome in figures.three(examples(study, "ppo")):
    figures.program(tests[outcome.task_id], outcome)

# %% [markdown]
# ## What was learned
#
# These sentences are about one seed. Their intervals do not show how much the
# results differ between seeds. [04](04_analysis.ipynb) has the results of all
# seeds.

# %%
found = contrast_table(scores)
print(f"Seed {study.seed} of run {study.run}:")
figures.sentences(found["in words"])
