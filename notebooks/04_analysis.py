# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
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

# %%
from IPython.display import display

from eta_utils.analysis import (
    HYPOTHESES,
    answer,
    arms_table,
    best,
    figures,
    grouped,
    label,
    tables_of,
    verdicts,
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

# %% [markdown] tags=["abstract"]
# ## In short
#
# A code model is usually trained on one bit per program: its tests pass, or
# they fail. An *execution trace* shows more: how far a failing program got, and
# which line went wrong. What is that worth?

# %% tags=["abstract"]
figures.sentences(
    [
        f"We train {study.subject} in several ways, each with as many executed "
        "programs. Each model is tested on new tasks, at its best temperature. "
        "Points are percent of programs; brackets are 95 % intervals."
    ]
)

# %% tags=["abstract"]
found = tables["contrasts"]
figures.sentences([answer(found, at_best)])

# %% [markdown] tags=["summary"]
# ## The ways to train
#
# One way to train is called an *arm*. All arms start from the same model, which
# supervised fine-tuning (SFT) made. `passes` is the fraction of programs that
# pass all hidden tests of new tasks. Some arms need the solutions of their
# training tasks. Who has these could simply imitate them.

# %% tags=["summary"]
asked = found["family"] == "hypotheses"
main = found[asked & (found["tasks"] == "all")]
groups = grouped(at_best)
leading = groups.get("the hypotheses", at_best)
named = at_best["arm"].isin({*leading["arm"], "rft"})
figures.table(arms_table(at_best[named]))

# %% tags=["summary"]
figures.show(
    figures.learning_curves(leading),
    "Fraction of programs that pass, against the number of programs executed "
    "in training. Bars are 95 % intervals. Dashed arms execute no program. The "
    "ceiling is SFT on many right programs.",
)

# %% [markdown] tags=["summary"]
# ## Tests, named before the runs
#
# Each row sets one arm beside another one, `after` all programs or a third of
# them. The `difference` is in points. `p` is adjusted, because several tests
# are made. A test `would show` this difference four times in five. With one
# seed, an interval only covers the choice of tasks.

# %% tags=["summary"]
figures.table(verdicts(main))

# %% [markdown] tags=["summary"]
# ## A gain, or a temperature?
#
# A cooler model is surer of what it would write anyway. If training only did
# that, an arm's curve would touch the best of SFT and no more.

# %% tags=["summary"]
temperatures = tables["temperature"]
figures.show(
    figures.temperature(temperatures[temperatures["arm"].isin(leading["arm"])]),
    "Fraction that passes against the temperature of sampling. The dashed line "
    "is the best of SFT: what a temperature gives without training. A ring is "
    "the temperature at which an arm is compared.",
)

# %% [markdown]
# ## The tests, drawn and in words

# %%
figures.show(
    figures.gains(main),
    "The tests of the hypotheses: differences in pass@1 at the best "
    "temperature. Right of 0 the first arm is better. A large dot is the mean "
    "over seeds, a line its 95 % interval, and a small dot one seed.",
    pictures / "gains.png",
)

# %%
figures.sentences(main["in words"])

# %% [markdown]
# The hypotheses were written down before the runs (`docs/hypotheses.md`). If an
# interval includes 0, this run does not show which arm is better, wherever the
# dots lie. The p-values are those of a t test over seeds, with tasks crossed.
#
# Some test tasks have the operations of a training task in another order. The
# same tests without these *near-duplicates*:

# %%
apart = found["tasks"] == "no near-duplicate"
figures.table(verdicts(found[apart]))

# %%
deciding = ["name", "contrast", "programs", "tasks", "seeds", "value", "low"]
deciding += ["high", "p", "holm", "smallest"]
figures.folded("all contrasts", figures.table(found[deciding]))

# %% [markdown]
# ## All arms, and their temperatures

# %%
figures.show(
    figures.temperature(temperatures),
    "Pass@1 on test tasks against the temperature, by arm. The dashed line is "
    "the best of SFT: what a temperature can give without any training.",
    pictures / "temperature.png",
)

# %%
figures.folded("all arms in words", figures.table(arms_table(at_best)))

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
    display(figures.table(verdicts(controls)))
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
for title, group in groups.items():
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

# %% [markdown] tags=["summary"]
# ## Limits
#
# - The model has half a million parameters, and its tasks are synthetic.
#   Effects may have another size in larger models.
# - One generator makes the tasks for training and for the test. They share no
#   sequence of operations, but they share the operations.
# - The base model learned mistakes that we chose, one for each of 20
#   operations. Real models' mistakes may be less regular.
# - Visible and hidden tests come from the same distribution. So fewer programs
#   pass the visible tests by luck than with tests written by hand.
# - We claim no difference whose interval includes 0.
