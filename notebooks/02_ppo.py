# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 02 Reinforcement learning: PPO, GRPO, credit, branching
#
# **Question.** How much does a model learn from the usual feedback, one bit per
# program? Does it learn more from the same programs if a trace says *where* a
# program went wrong?
#
# In reinforcement learning the model that learns is called the policy. It
# writes programs, and each one is executed. The usual reward only says whether
# all visible tests passed. PPO and GRPO learn from that bit. *Credit* and
# *branching* are the same GRPO with one more use of the trace.
#
# Before: [01 SFT](01_sft.ipynb). Next: [03 ETA-DPO](03_eta_dpo.ipynb),
# [04 analysis](04_analysis.ipynb).

# %%
import pandas as pd
from IPython.display import display

from eta_utils.analysis import (
    best,
    figures,
    label,
    of_one_seed,
    results_table,
    temperature_table,
)
from eta_utils.execution import judge
from eta_utils.study import (
    SPLITS,
    Study,
    align,
    draw,
    evaluate,
    evaluate_rounds,
    examples,
    finetune,
    pretrain,
    read_results,
    tasks_of,
    training_history,
)
from eta_utils.training import PassReward

# %% [markdown]
# ## Parameters
#
# Leave `None` to use the run's saved value; a new run takes the profile's
# default. The fold below the next cell lists all parameters.

# %% tags=["parameters"]
run: str = None  # name of the folder under outputs; default: the profile's name
profile: str = None  # named set of parameters: small, smoke, full, ...
seed: int = 0  # seed of every random draw
outputs: str = None  # folder that holds all runs
arms: str = None  # arms beside base and sft, as in grpo dpo-binary+filled
grpo_learning_rate: float = None  # learning rate; it stays constant
credit_penalty: float = None  # reward lost on the blamed line where all fail

# %%
study = Study.begin(
    run,
    profile,
    seed,
    outputs=outputs,
    arms=arms,
    grpo_learning_rate=grpo_learning_rate,
    credit_penalty=credit_penalty,
)
print(study.cost("02_ppo"))
print(f"This notebook shows seed {study.seed} of run {study.run}.")
every = pd.DataFrame(study.table())
figures.folded("all parameters", figures.table(every))

# %% [markdown]
# ## The starting point, and the reward
#
# Training starts from the SFT model of notebook 01. If it is missing, this cell
# makes it.
#
# A reward is a function in TRL's format. It takes prompts and completions and
# returns one number for each completion. It returns `None` if the judge itself
# failed; such a program teaches nothing. Here it judges a right and a wrong
# program.

# %%
sft = finetune(study, pretrain(study))
tasks = tasks_of(study, "align")
name, task = next(iter(tasks.items()))
reward = PassReward(tasks, study.judging)
completions = [task.canonical_solution, "    return None\n"]
reward([task.prompt] * 2, completions, task_id=[name] * 2)

# %% [markdown]
# ## GRPO: learning from the bit
#
# GRPO samples several programs per prompt. Its *advantage* says how much better
# program $i$ did than the mean of its prompt, in units of the spread $s$ of all
# rewards in the update:
#
# $$A_i = (r_i - mean(r)) / s$$
#
# Every token of the program carries that advantage. Let $w$ be the ratio of its
# new to its old probability. GRPO maximises
#
# $$\min(w A_i, \; clip(w, 1 - \epsilon, 1 + \epsilon) A_i)$$
#
# averaged over tokens, less a penalty for moving away from the SFT model (a KL
# divergence). If all programs of a prompt fail, their advantages are 0: the bit
# teaches nothing there.
#
# GRPO is TRL's trainer; `eta_utils/training/grpo.py` says how it is set up and
# why. PPO (`ppo.py`) is the same with a critic in the place of the mean.

# %% [markdown]
# ## Credit: where did it go wrong?
#
# A wrong program is mostly right: one line of several departs from what a right
# program does. GRPO blames all of its tokens. *Credit* blames that line alone.
#
# The line is found by comparing traces. A trace is the sequence of values that
# the variables take. The *departure* of a program is the first line that gives
# a variable another value than the program it is compared with.
#
# - `credit` compares with a passing program of the same prompt. It needs tests
#   alone. Where none passes, a program that raised, never ended or does not
#   compile gets a small penalty on that line.
# - `credit-reference` compares with the reference solution. It needs a solution
#   for each training prompt, which could simply be imitated.
# - `credit-mask` has no penalty, `credit-penalty` no mask: which part works?
# - `credit-both` keeps the advantage on all tokens, and has it on the line once
#   more.
#
# Here is a failing program of the SFT model, and the line where its trace
# departs from the reference's.

# %%
drawn = draw(study, sft, 1)
print(f"{drawn.metrics['programs']:,} programs executed")
print(f"fraction of all-fail prompts {drawn.metrics['all fail']:.3f}")
failed = examples(study, "sft").get("assertion")
if failed is not None:
    tests = tasks_of(study, "test")
    hidden = {failed.task_id: tests[failed.task_id].hidden()}
    [traced] = judge([failed.sample], hidden, study.judging, keep_trace=True)
    print(f"departs in line {traced.departure}: {traced.departure_kind}")
    figures.trace(tests[failed.task_id], traced)

# %% [markdown]
# ## Branching: go on from where it was right
#
# Half of a prompt's programs are written afresh. If none passes, the others
# restart from the best of them: from its lines before the departure. Only the
# new lines are learned from. The number of executed programs stays the same.
# The departure is the one from the reference, so branching needs solutions.

# %% [markdown]
# ## Training
#
# Each table shows the first, a middle and the last update of an arm. An episode
# is one program.

# %%
rounds = {
    arm.name: align(study, sft, arm)
    for arm in study.arms.by("ppo", "grpo", "branching")
}
for name, stages in rounds.items():
    history = training_history(stages[-1:])
    print(label(name))
    some = history.iloc[[0, len(history) // 2, -1]]
    display(figures.table(some.T.reset_index()))

# %% [markdown]
# | metric | meaning | healthy |
# |---|---|---|
# | `objective/scores` | mean reward | rises |
# | `objective/kl` | distance from SFT, nats per program | rises slowly |
# | `objective/entropy` | entropy, nats per program | falls slowly |
# | `policy/clipfrac` | fraction of tokens whose ratio is clipped | below 0.2 |
# | `groups/same_reward` | prompts whose rewards are equal | falls |
# | `unjudged` | programs that the judge failed to judge | 0 |
# | `length` | tokens per program | steady |

# %%
for name, stages in rounds.items():
    history = training_history(stages[-1:])
    history["programs"] = history["episodes"].cumsum()
    curves = figures.training_curves(
        history,
        "programs",
        {
            "mean reward": ["objective/scores"],
            "KL and entropy, nats": ["objective/kl", "objective/entropy"],
            "same reward in group": ["groups/same_reward"],
        },
    )
    figures.show(
        curves,
        f"{label(name)} against executed programs: mean reward; KL to SFT and "
        "entropy; fraction of prompts whose samples all got the same reward.",
    )

# %% [markdown]
# The mean reward is that of new prompts: this update's programs have not been
# trained on yet. The last panel shows how often the bit cannot rank the samples
# of a prompt, because all pass or all fail.

# %% [markdown]
# ## Evaluation on held-out tasks
#
# All models get the same tasks and the same sampling seeds as SFT. So each gain
# over SFT is a paired difference, task by task. Each model is taken at its own
# best temperature.

# %%
for split in SPLITS:
    evaluate(study, sft, split=split)
for stages in rounds.values():
    evaluate_rounds(study, stages, sft)
scores, models, _ = read_results(study)
wanted = ["sft", *rounds]
scores = scores[(scores["seed"] == seed) & scores["arm"].isin(wanted)]
at_best = best(scores, models)
figures.table(results_table(at_best))

# %%
figures.show(
    figures.temperature(temperature_table(scores)),
    "Pass@1 on test tasks against the temperature, by arm. A gain that a "
    "temperature could give would lie on the curve of SFT.",
)

# %%
figures.show(
    figures.learning_curves(at_best),
    "Pass@1 at the best temperature on test tasks, against the number of "
    "programs executed for training.",
)

# %% [markdown]
# A policy can learn to fool a reward model. If the run has `ppo-rm`, the next
# figure shows ETA-RM's score of the policy's programs, and the pass rate on
# hidden tests. If the score rises while the pass rate falls, the policy fools
# its reward model.

# %%
if "ppo-rm" in rounds:
    drifting = training_history(rounds["ppo-rm"][-1:])
    drifting["programs"] = drifting["episodes"].cumsum()
    figures.show(
        figures.drift(drifting, at_best[at_best["arm"] == "ppo-rm"]),
        "PPO on ETA-RM, against executed programs: mean score by the reward "
        "model, and held-out pass@1 at the best temperature.",
    )

# %% [markdown]
# ## Three programs
#
# One program that passes, one that answers wrongly, and one that raises, if the
# first arm's model wrote such programs.

# %%
tests = tasks_of(study, "test")
for name in list(rounds)[:1]:
    print(label(name))
    for outcome in figures.three(examples(study, name)):
        figures.program(tests[outcome.task_id], outcome)

# %% [markdown]
# ## What was learned
#
# These sentences are about one seed and decide nothing: results differ between
# seeds. [04](04_analysis.ipynb) has the results of all seeds.

# %%
print(f"Seed {study.seed} of run {study.run}:")
figures.sentences(of_one_seed(at_best))
