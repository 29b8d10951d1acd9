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
# **Question.** Does execution-trace feedback align a code model better than
# pass/fail feedback, at the same number of executed programs? This notebook only
# reads what [01](01_sft.ipynb), [02](02_ppo.ipynb) and [03](03_eta_dpo.ipynb) wrote.
#
# The primary contrasts were named before any result was seen: ETA-DPO against binary
# DPO, and ETA-DPO against PPO, in sampled pass@1 on held-out tasks; after the first
# round's programs, when passes are rare, and after all of them; on all tasks, and on
# those where all samples of the SFT model fail, which is where ETA claims to help.

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

# %% tags=["parameters"]
run: str = None  # folder under outputs/; None: named after the profile
profile: str = None  # small, smoke, full; None: the run's, or small
outputs: str = None  # where run folders lie; None: outputs/ of the project

# %%
study = Study.begin(run, profile, outputs=outputs)
print(study.cost("04_analysis"))
scores = read_scores(study)
seeds = sorted(set(scores["seed"]))
pictures = study.run_folder / "figures"
print(f"run {study.run}, seeds {seeds}, {scores['task_id'].nunique()} held-out tasks")

# %% [markdown]
# ## The answer

# %% tags=["summary"]
found = contrast_table(scores)
figures.sentences([answer(found, scores)])

# %% tags=["summary"]
figures.show(
    figures.gains(found[found["family"] == "primary"]),
    "The primary contrasts: paired differences in sampled pass@1. Right of 0 the first "
    "arm is better; lines are 95 % intervals, large dots the means, small dots seeds.",
    pictures / "gains.png",
)

# %%
figures.sentences(found.loc[found["family"] == "primary", "in words"])

# %% [markdown]
# An interval that includes 0 means that this run cannot tell the two apart, however
# the dots lie. With one seed the interval covers the choice of tasks only; what
# another seed would give is not in it, and with two or three seeds it is still too sure
# of that.
#
# The same as a table, after all other contrasts (folded). `p` is the bootstrap's,
# `holm` adjusts it for the number of questions in its family, `greedy_p` is McNemar's
# exact test on greedy completions, `improvement` the probability that the first arm
# beats the second on a random task, and `smallest` the difference that this run would
# have shown four times in five.

# %%
numbers = found.drop(columns=["by seed", "in words"])
primary = numbers["family"] == "primary"
figures.folded("all other contrasts", figures.table(numbers[~primary]))
figures.table(numbers[primary])

# %%
figures.show(
    figures.gains(found[(found["family"] != "primary") & (found["tasks"] == "all")]),
    "All other contrasts, on all tasks. Secondary ones first, then each arm's gain "
    "over SFT; drawn as above.",
    pictures / "others.png",
)

# %% [markdown]
# ## Results
#
# All arms that were aligned executed the same number of programs for training.
# Intervals are 95 % bootstraps over seeds and tasks; gains are paired with SFT.

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
# The founding experiment's figure: of the programs that a model writes, how many
# pass?

# %%
figures.show(
    figures.pass_fail(scores),
    "Share of sampled programs that pass, by arm. The coloured part passes; the black "
    "line is its 95 % interval.",
    pictures / "pass_fail.png",
)

# %% [markdown]
# ## Learning curves
#
# Held-out pass@1 against the number of programs executed for training: what each
# execution bought.

# %%
for title, group in grouped(scores).items():
    figures.show(
        figures.learning_curves(group),
        f"Learning curves: {title}. Held-out sampled pass@1 with 95 % intervals; all "
        "arms start from the same SFT models, and a higher curve learned more from the "
        "same number of executed programs.",
        pictures / f"learning curves {title}.png".replace(" ", "_"),
    )

# %% [markdown]
# ## What became of the programs
#
# Statuses from passed to tampered; a wrong answer (`assertion`) is nearer to passing
# than an exception, and that nearer than text that does not compile.

# %%
figures.show(
    figures.statuses(read_statuses(study)),
    "What became of the sampled programs, by arm. Statuses go from the best on the "
    "left to the worst on the right.",
    pictures / "statuses.png",
)

# %% [markdown]
# ## Difficulty

# %%
rates = by_difficulty(scores)
write_results(study.run_folder, difficulty=rates)
drawn = ["sft", *(each for pair in PRIMARY for each in pair)]
figures.show(
    figures.difficulty(rates[rates["arm"].isin(drawn)]),
    "Sampled pass@1 by number of steps in the task. Each step must be right for a "
    "program to pass, so more steps are harder.",
    pictures / "difficulty.png",
)

# %% [markdown]
# ## Where does it help?
#
# ETA can speak where nothing passes, so it should help most where passes are rare. The
# same comparison from weaker and stronger models: runs whose base read a noisier or a
# cleaner corpus (`beside`; large), and within each run the tasks by number of steps
# (digits).

# %%
beside = all_scores(study, scores)
across = crossover(beside)
write_results(study.run_folder, beside=beside, crossover=across)
figures.table(across[across["steps"] == "all"].drop(columns="steps"))

# %%
for contrast, part in across.groupby("contrast"):
    figures.show(
        figures.crossover(part),
        f"{contrast} against the strength of the SFT model. Each large dot is a run on "
        "all of its tasks, each digit its tasks with that many steps; above 0 ETA-DPO "
        "is better. Left: by SFT's pass rate; right: by the share of tasks where all "
        "of its samples fail.",
        pictures / f"crossover {contrast}.png".replace(" ", "_"),
    )

# %% [markdown]
# ## Were the labels right?
#
# On the SFT models' samples of the alignment prompts, all seeds together: of pairs of
# failing programs that the hidden tests tell apart, how many does an ordering decide
# by visible tests alone, and how many of those rightly? ([03](03_eta_dpo.ipynb) says
# what the other columns are.)

# %%
labels = of_seeds(study, "labels")
if len(labels):
    labelled = audit_table(labels)
    write_results(study.run_folder, labels=labels, audit=labelled)
    display(figures.table(labelled))

# %% [markdown]
# ## Was the reward model right?
#
# ETA-RM of all seeds on the SFT models' samples of the held-out tasks: how often the
# better program scores higher, and how often the best of n samples passes.

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
        "How often the best of n samples passes, by what ranks them. `random` is one "
        "sample, `oracle` the best that any ranking could do.",
        pictures / "best_of_n.png",
    )

# %% [markdown]
# ## A trace
#
# What the orderings see of a program that answers wrongly: how often each line ran
# until the first failure, and how far its variables' values followed the reference's.

# %%
example = examples(study, "sft").get("assertion")
if example is not None:
    tests = tasks_of(study, "test")
    figures.trace(tests[example.task_id], example)

# %% [markdown]
# ## Limits
#
# - The built-in model has half a million parameters and its tasks are made up: the
#   mechanism is that of larger models, the size of the effects need not be.
# - Built-in tasks for alignment and evaluation come from one generator. They share no
#   prompt, but they share their operations.
# - Visible and hidden tests are drawn alike, so a program that fits the visible ones
#   by luck is rarer here than with hand-written tests.
# - Hyper-parameters were chosen on the tuning split with seed 0, which is also a seed
#   of this study; the evaluation tasks were not looked at.
# - What the intervals above do not exclude is not claimed.
