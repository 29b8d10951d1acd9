# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 04 Analysis
#
# **Question.** Does feedback from execution traces align a code model better
# than pass/fail feedback, at the same number of executed programs? This
# notebook only reads what [01](01_sft.ipynb), [02](02_ppo.ipynb) and
# [03](03_eta_dpo.ipynb) wrote.
#
# An *arm* is one way to train the model. All arms start from the same SFT
# model, which supervised fine-tuning made:
#
# - **PPO** is reinforcement learning, rewarded by pass/fail;
# - **binary DPO** learns from pairs of a passing and a failing program;
# - **ETA-DPO** also learns from pairs of failing programs. It prefers the one
#   that passes more asserts and answers more like the reference.
#
# *Sampled pass@1* is the fraction of programs sampled for held-out tasks that
# pass all hidden tests.
#
# We named the primary contrasts before we saw any result. They compare ETA-DPO
# with binary DPO and with PPO in sampled pass@1. We ask each after the first
# round's programs, when passes are rare, and after all programs. We ask each on
# all held-out tasks, and on those where all samples of the SFT model fail. ETA
# claims to help there.

# %%
from IPython.display import display

from eta_utils.analysis import (
    PRIMARY,
    answer,
    audit_table,
    by_difficulty,
    contrast_table,
    crossover,
    figures,
    grouped,
    label,
    ranking,
    results_table,
    write_results,
)
from eta_utils.study import (
    Study,
    all_scores,
    examples,
    missing_arms,
    of_seeds,
    read_scores,
    read_statuses,
    tasks_of,
)

# %% [markdown]
# Parameters: leave `None` to use the run's saved value. This notebook uses all
# seeds of the run.

# %% tags=["parameters"]
run: str = None  # name of the folder under outputs; default: the profile's name
profile: str = None  # named set of parameters: small, smoke, full, ...
outputs: str = None  # folder that holds all runs

# %%
study = Study.begin(run, profile, outputs=outputs)
print(study.cost("04_analysis"))
scores = read_scores(study)
seeds = sorted(set(scores["seed"]))
pictures = study.run_folder / "figures"
tested = scores["task_id"].nunique()
print(f"run {study.run}, seeds {seeds}, {tested} held-out tasks")

# %% [markdown]
# ## The answer

# %% tags=["summary"]
found = contrast_table(scores)
figures.sentences([answer(found, scores)])

# %% tags=["summary"]
figures.show(
    figures.gains(found[found["family"] == "primary"]),
    "The primary contrasts: paired differences in sampled pass@1. Right of 0 "
    "the first arm is better. A large dot is the mean over seeds, a line its "
    "95 % interval, and a small dot one seed.",
    pictures / "gains.png",
)

# %%
figures.sentences(found.loc[found["family"] == "primary", "in words"])

# %% [markdown]
# If an interval includes 0, this run does not show which arm is better,
# wherever the dots lie. With one seed, the interval only covers the choice of
# tasks; another seed may give something else. With two or three seeds, the
# interval is still too narrow.
#
# Two tables follow: all other contrasts (folded), and the primary contrasts.
#
# | column | meaning |
# |---|---|
# | `value` | the paired difference, with its 95 % interval |
# | `p` | p-value by the bootstrap |
# | `holm` | the same, adjusted for the number of contrasts in its family |
# | `greedy_p` | McNemar's exact test on the greedy programs |
# | `improvement` | probability that the first arm is better on a random task |
# | `smallest` | difference that this run would detect four times in five |

# %%
numbers = found.drop(columns=["by seed", "in words"])
primary = numbers["family"] == "primary"
figures.folded("all other contrasts", figures.table(numbers[~primary]))
figures.table(numbers[primary])

# %%
others = found[found["family"] != "primary"]
figures.show(
    figures.gains(others[others["tasks"] == "all"]),
    "All other contrasts, on all tasks: first the secondary ones, then each "
    "arm's gain over SFT. Dots and lines are those of the first figure.",
    pictures / "others.png",
)

# %% [markdown]
# ## Results
#
# All arms that start from SFT executed the same number of programs for
# training. Intervals are 95 % bootstrap intervals over seeds and tasks. Gains
# over SFT are paired by seed and task.

# %%
table = results_table(scores)
kept = {"scores": scores, "results": table, "contrasts": found}
write_results(study.run_folder, **kept)
figures.table(table)

# %%
missing = missing_arms(study, scores)
figures.sentences(f"{label(arm)}: not run" for arm in missing)

# %% [markdown]
# ## Pass and fail
#
# How many of the programs that a model writes pass? The founding experiment had
# this figure, too.

# %%
figures.show(
    figures.pass_fail(scores),
    "Fraction of sampled programs that pass, by arm. The coloured part passes. "
    "The black line is the 95 % interval.",
    pictures / "pass_fail.png",
)

# %% [markdown]
# ## Learning curves
#
# Sampled pass@1 on held-out tasks, against the number of programs executed for
# training.

# %%
for title, group in grouped(scores).items():
    figures.show(
        figures.learning_curves(group),
        f"Learning curves: {title}. Sampled pass@1 on held-out tasks, with "
        "95 % intervals. All arms start from the same SFT models. A higher "
        "curve learned more from the same number of executed programs.",
        pictures / f"learning curves {title}.png".replace(" ", "_"),
    )

# %% [markdown]
# ## What became of the programs
#
# The statuses are sorted from `passed` to `tampered`. A wrong answer
# (`assertion`) is closer to passing than an exception. Text that does not
# compile is farther away.

# %%
figures.show(
    figures.statuses(read_statuses(study)),
    "How the sampled programs end, by arm. The statuses go from the best on "
    "the left to the worst on the right.",
    pictures / "statuses.png",
)

# %% [markdown]
# ## Difficulty

# %%
rates = by_difficulty(scores)
write_results(study.run_folder, difficulty=rates)
drawn = ["sft", *(arm for pair in PRIMARY for arm in pair)]
figures.show(
    figures.difficulty(rates[rates["arm"].isin(drawn)]),
    "Sampled pass@1 by number of steps in the task. A program passes only if "
    "each step is right, so tasks with more steps are harder.",
    pictures / "difficulty.png",
)

# %% [markdown]
# ## Where does it help?
#
# Traces can rank programs where none passes. So ETA-DPO should help most where
# passes are rare. We compare two ways to make passes rarer. Runs named in
# `beside` start from weaker or stronger base models, whose corpora had more or
# fewer bugs. Within a run, tasks with more steps are harder.
#
# In the table, `all fail` is the fraction of tasks where all samples of the SFT
# model fail.

# %%
beside = all_scores(study, scores)
across = crossover(beside)
write_results(study.run_folder, beside=beside, crossover=across)
shown = across[across["steps"] == "all"].drop(columns="steps")
figures.table(
    shown.rename(columns=lambda name: name.replace("silent", "all fail"))
)

# %%
for contrast, part in across.groupby("contrast"):
    figures.show(
        figures.crossover(part),
        f"{contrast} against the strength of the SFT model. A large dot is a "
        "run on all of its tasks; a digit is its tasks with that many steps. "
        "Above 0 ETA-DPO is better. Left: by SFT's pass rate. Right: by the "
        "fraction of tasks where all samples of SFT fail.",
        pictures / f"crossover {contrast}.png".replace(" ", "_"),
    )

# %% [markdown]
# ## Were the labels right?
#
# An *ordering* is a rule that names the better of two programs; `eta` is
# ETA-DPO's. Orderings only see the visible tests. Here the hidden tests check
# them, on pairs of failing programs that the hidden tests can distinguish.
# `decides` is the fraction of pairs in which the ordering names a winner.
# `right` is the fraction of those in which this winner passes more hidden
# tests. The pairs are the SFT models' samples for alignment prompts, of all
# seeds. ([03](03_eta_dpo.ipynb) explains the other columns.)

# %%
labels = of_seeds(study, "labels")
if len(labels):
    labelled = audit_table(labels)
    write_results(study.run_folder, labels=labels, audit=labelled)
    display(figures.table(labelled))

# %% [markdown]
# ## Was the reward model right?
#
# ETA-RM is a reward model trained on ETA's pairs. It scores the SFT models'
# samples for held-out tasks, of all seeds. How often does the better of two
# programs get the higher score? How often does the best of n samples pass?

# %%
ranked = of_seeds(study, "ranked")
if len(ranked):
    right, best = ranking.accuracy(ranked), ranking.best_of(ranked)
    curve, error = ranking.reliability(ranked, "ETA-RM")
    kept = {"accuracy": right, "best_of_n": best, "reliability": curve}
    write_results(study.run_folder, ranked=ranked, **kept)
    print(f"expected calibration error {error:.3f}")
    display(figures.table(right))
    figures.show(
        figures.best_of_n(best),
        "How often the best of n samples passes, by what ranks them. `random` "
        "picks one sample by chance. `oracle` knows the hidden tests, so no "
        "ranking can do better.",
        pictures / "best_of_n.png",
    )

# %% [markdown]
# ## A trace
#
# What an ordering sees of a program that answers wrongly: how often each line
# ran before the first failure, and how far its variables went through the same
# values as in the reference solution.

# %%
example = examples(study, "sft").get("assertion")
if example is not None:
    tests = tasks_of(study, "test")
    figures.trace(tests[example.task_id], example)

# %% [markdown]
# ## Limits
#
# - The built-in model has half a million parameters, and its tasks are
#   synthetic. Effects may have another size in larger models.
# - One generator makes the built-in tasks for alignment and for evaluation.
#   They share no prompt, but they share their operations.
# - Visible and hidden tests come from the same distribution. So fewer programs
#   pass the visible tests by luck than with tests written by hand.
# - We chose hyper-parameters on the tuning split with seed 0. Seed 0 is also a
#   seed of this study. We did not look at the evaluation tasks.
# - We claim no difference whose interval includes 0.
