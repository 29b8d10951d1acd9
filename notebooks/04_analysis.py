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
# **Question.** What is an execution trace worth to a code model in training,
# beyond one pass/fail bit per program, at the same number of executed programs?
# This notebook only reads what [01](01_sft.ipynb), [02](02_ppo.ipynb) and
# [03](03_eta_dpo.ipynb) wrote.
#
# An *arm* is one way to train the model. All arms start from the same SFT
# model, which supervised fine-tuning made. They differ in what they take from
# the programs that they execute:
#
# - **GRPO** is reinforcement learning on the pass/fail bit;
# - **credit** is the same, but blames a failing program's wrong line alone: the
#   first one where its trace departs from that of a passing program;
# - **branching** is the same, but restarts programs where they were still
#   right;
# - **binary DPO** learns from pairs of a passing and a failing program;
#   *filled* means that it gets as many pairs as ETA-DPO;
# - **ETA-DPO** also learns from pairs of failing programs. It prefers the one
#   that got further.
#
# The metric is *pass@1 at the best temperature*: the fraction of programs that
# pass all hidden tests of held-out tasks, when each model is sampled at the
# temperature that suits it best. So nothing can be gained by sampling cooler.

# %%
from IPython.display import display

from eta_utils.analysis import (
    HYPOTHESES,
    answer,
    best,
    figures,
    grouped,
    label,
    tables_of,
    write_results,
)
from eta_utils.study import (
    Study,
    copy_runs_beside,
    examples,
    missing_arms,
    read_results,
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
scores, models, gate = read_results(study)
copy_runs_beside(study)
at_best = best(scores, models)
tables = tables_of(study.run_folder)
write_results(study.run_folder, **tables)
seeds = sorted(set(at_best["seed"]))
tested = at_best["task_id"].nunique()
pictures = study.run_folder / "figures"
print(f"run {study.run}, seeds {seeds}, {tested} held-out tasks")

# %% [markdown]
# ## The answer

# %% tags=["summary"]
found = tables["contrasts"]
figures.sentences([answer(found, at_best)])

# %% tags=["summary"]
asked = found["family"] == "hypotheses"
main = found[asked & (found["tasks"] == "all")]
figures.show(
    figures.gains(main),
    "The five tests of the four hypotheses: differences in pass@1 at the best "
    "temperature. Right of 0 the first arm is better. A large dot is the mean "
    "over seeds, a line its 95 % interval, and a small dot one seed.",
    pictures / "gains.png",
)

# %%
figures.sentences(main["in words"])

# %% [markdown]
# The hypotheses were written down before the runs (`docs/hypotheses.md`). If an
# interval includes 0, this run does not show which arm is better, wherever the
# dots lie. With one seed, the interval only covers the choice of tasks; another
# seed may give something else.
#
# | column | meaning |
# |---|---|
# | `value` | the paired difference, with its 95 % interval |
# | `holm` | p-value, adjusted for the number of tests in its family |
# | `smallest` | difference that this run would detect four times in five |
#
# The p-values are those of a t test over seeds, with tasks crossed.

# %%
deciding = ["name", "contrast", "seeds", "value", "low", "high", "holm"]
deciding += ["smallest"]
figures.table(main[deciding])

# %%
numbers = found.drop(columns=["by seed", "in words"])
figures.folded("all contrasts, in full", figures.table(numbers))

# %% [markdown]
# ## A gain, or a temperature?
#
# A cooler model is surer of what it would write anyway. If training only did
# that, an arm's curve would touch the best of SFT and no more.

# %%
figures.show(
    figures.temperature(tables["temperature"]),
    "Pass@1 on test tasks against the temperature, by arm. The dashed line is "
    "the best of SFT: what a temperature can give without any training.",
    pictures / "temperature.png",
)

# %% [markdown]
# ## Results
#
# `references` says whether an arm needs solutions of its training tasks, beside
# their tests. Who has these could simply imitate them, as SFT on references
# does. `best T` is the models' own best temperature. `without near` leaves out
# test tasks that have the operations of a training task in another order. `kl`
# is the distance to SFT, in nats per program. `seconds` is the median time of
# training one seed, sampling and judging included.

# %%
figures.table(tables["results"])

# %%
missing = missing_arms(study, scores)
figures.sentences(f"{label(arm)}: not run" for arm in missing)

# %% [markdown]
# ## The gate
#
# Was there something to learn, and could it be learned? 01 explains the
# conditions.

# %%
figures.table(tables["gate"])

# %% [markdown]
# ## Controls
#
# All other contrasts that were named before the runs. Their p-values are
# adjusted among themselves.

# %%
others = found[~asked & (found["tasks"] == "all")]
controls = others[others["family"] == "secondary"]
if len(controls):
    figures.show(
        figures.gains(controls),
        "The secondary contrasts, at the best temperature. Dots and lines are "
        "those of the first figure.",
        pictures / "controls.png",
    )
    display(figures.table(controls[deciding]))
else:
    print("This run has no two arms that are compared here.")

# %% [markdown]
# ## Pass and fail
#
# How many of the programs that a model writes pass? The founding experiment had
# this figure, too.

# %%
figures.show(
    figures.pass_fail(at_best),
    "Fraction of programs that pass at the best temperature, by arm. The "
    "coloured part passes. The black line is the 95 % interval.",
    pictures / "pass_fail.png",
)

# %% [markdown]
# ## Learning curves
#
# Pass@1 at the best temperature, against the number of programs executed for
# training.

# %%
for title, group in grouped(at_best).items():
    figures.show(
        figures.learning_curves(group),
        f"Learning curves: {title}. Pass@1 at the best temperature on held-out "
        "tasks, with 95 % intervals. A higher curve learned more from the same "
        "number of executed programs. Dashed: arms that execute nothing.",
        pictures / f"learning curves {title}.png".replace(" ", "_"),
    )

# %% [markdown]
# ## How rare is a pass?
#
# A trace says something where the bit is silent. So it might help more where
# passes are rarer. Runs named in `beside` had more or fewer misconceptions, or
# more of them in each task.

# %%
if "rarity" in tables:
    display(figures.table(tables["rarity"]))
    figures.show(
        figures.rarity(tables["rarity"]),
        "Gain of the trace against the fraction of alignment prompts whose "
        "samples all fail. Each point is a run.",
        pictures / "rarity.png",
    )

# %% [markdown]
# ## What became of the programs
#
# The statuses are sorted from `passed` to `tampered`. A wrong answer
# (`assertion`) is closer to passing than an exception. Text that does not
# compile is farther away.

# %%
counts = read_statuses(study)
if len(counts):
    figures.show(
        figures.statuses(counts),
        "How the programs sampled at T = 1 end, by arm. The statuses go from "
        "the best on the left to the worst on the right.",
        pictures / "statuses.png",
    )

# %% [markdown]
# ## Difficulty

# %%
rates = tables["difficulty"]
drawn = {arm for each in HYPOTHESES for arm in (each.arm, each.other)}
figures.show(
    figures.difficulty(rates[rates["arm"].isin(drawn)]),
    "Pass@1 at the best temperature by number of steps in the task. A program "
    "passes only if each step is right, so tasks with more steps are harder.",
    pictures / "difficulty.png",
)

# %% [markdown]
# ## Were the labels right?
#
# An *ordering* is a rule that names the better of two programs; `eta` is
# ETA-DPO's. Orderings only see the visible tests. Here the hidden tests check
# them, on pairs of failing programs that the hidden tests can distinguish.
# `decides` is the fraction of pairs in which the ordering names a winner.
# `right` is the fraction of those in which this winner passes more hidden
# tests. ([03](03_eta_dpo.ipynb) explains the other columns.)

# %%
if "audit" in tables:
    display(figures.table(tables["audit"]))

# %% [markdown]
# And the lines that credit blames? The departing line of a failing program was
# found in the fraction `departure found`. The other columns say how often a
# cheaper rule would have named the same line.

# %%
if "departure" in tables:
    display(figures.table(tables["departure"]))

# %% [markdown]
# ## Was the reward model right?
#
# ETA-RM is a reward model trained on ETA's pairs. It scores the SFT models'
# samples for held-out tasks. How often does the better of two programs get the
# higher score? How often does the best of n samples pass?

# %%
if "accuracy" in tables:
    display(figures.table(tables["accuracy"]))
    figures.show(
        figures.best_of_n(tables["best_of_n"]),
        "How often the best of n samples passes, by what ranks them. `random` "
        "picks one sample by chance. `oracle` knows the hidden tests, so no "
        "ranking can do better.",
        pictures / "best_of_n.png",
    )

# %% [markdown]
# ## A trace
#
# A program that answers wrongly: how often each line ran before the first
# failure, and how far its variables went through the same values as in the
# reference solution.

# %%
example = examples(study, "sft").get("assertion")
if example is not None:
    tests = tasks_of(study, "test")
    figures.trace(tests[example.task_id], example)

# %% [markdown]
# ## Limits
#
# - The built-in model has half a million parameters. Its tasks are synthetic.
#   Effects may have another size in larger models.
# - One generator makes the built-in tasks for alignment and for evaluation.
#   They share no sequence of operations, but they share the operations.
# - The misconceptions are ours: one plausible mistake for each operation. Real
#   models' mistakes may be less regular.
# - Visible and hidden tests come from the same distribution. So fewer programs
#   pass the visible tests by luck than with tests written by hand.
# - We claim no difference whose interval includes 0.
