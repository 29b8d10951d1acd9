# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 01 Supervised fine-tuning
#
# **Question.** How good is a small code model before training executes any of
# its programs? How often does one of its programs pass its tests?
#
# This notebook makes the model that all later training starts from. Later
# notebooks train it further, by several methods. One such method is called an
# *arm* of the study. Feedback by pass or fail needs some programs that pass, so
# the answers here decide how much it can teach.
#
# Next: [02 PPO](02_ppo.ipynb), [03 ETA-DPO](03_eta_dpo.ipynb),
# [04 analysis](04_analysis.ipynb).

# %%
import pandas as pd
from IPython.display import display

from eta_utils.analysis import (
    by_difficulty,
    figures,
    matrix,
    mean_interval,
    results_table,
)
from eta_utils.execution import judge
from eta_utils.study import (
    Study,
    corpus_of,
    draw,
    evaluate,
    evaluate_on_humaneval,
    examples,
    finetune,
    pretrain,
    read_scores,
    read_statuses,
    tasks_of,
)
from eta_utils.tasks import Overlap, overlaps

# %% [markdown]
# ## Parameters
#
# A profile sets all parameters at once. Set `profile` to `"smoke"` to try the
# whole study in minutes; its numbers mean nothing. `"small"` is the default,
# and `"full"` is the published study.
#
# Leave `None` to use the run's saved value; a new run takes the profile's
# default. The table below the next cell lists all parameters and their values.

# %% tags=["parameters"]
run: str = None  # name of the folder under outputs; default: the profile's name
profile: str = None  # named set of parameters: small, smoke, full, ...
seed: int = 0  # seed of every random draw
outputs: str = None  # folder that holds all runs
corpus_noise: float = None  # probability that a step in the corpus has a bug
sft_tasks: int = None  # number of tasks, each with a correct solution
sft_learning_rate: float = None  # peak learning rate of a cosine schedule

# %%
study = Study.begin(
    run,
    profile,
    seed,
    outputs=outputs,
    corpus_noise=corpus_noise,
    sft_tasks=sft_tasks,
    sft_learning_rate=sft_learning_rate,
)
print(study.cost("01_sft"))
print(f"This notebook shows seed {study.seed} of run {study.run}.")
pd.DataFrame(study.table()).style.hide(axis="index")

# %% [markdown]
# ## The tasks
#
# A built-in task is a function to complete. Its docstring numbers the steps
# that the function must take. The number of steps is the task's difficulty. The
# model's *prompt* is the function's first line with this docstring.
#
# The tests come from the reference solution. Five *visible* asserts serve
# training. Ten *hidden* asserts serve evaluation alone. Tasks of a named set,
# such as HumanEval, bring their own tests. No prompt occurs in two splits of
# the tasks.
#
# Here is a held-out task with its solution and its visible tests.

# %%
tests = tasks_of(study, "test")
task = next(iter(tests.values()))
figures.code(task.prompt + task.canonical_solution + "\n\n" + task.test)

# %% [markdown]
# Do held-out tasks resemble tasks that will be trained on? Two tasks count as
# alike if one of these holds:
#
# - their prompts are the same;
# - their solutions are the same, whatever the names of functions and variables;
# - their docstrings share 13 words in a row.
#
# The built-in docstrings all draw their steps from one list of operations, so
# some share a long piece of text although their solutions differ. The column
# `why` says which of the three it is. In profile `small` all tasks found share
# words; none shares a prompt or a solution.

# %%
trained = tasks_of(study, "sft") | tasks_of(study, "align")
alike = overlaps(trained, tests)
print(f"{len(alike)} of {len(tests)} held-out tasks resemble a training task")
pd.DataFrame(alike, columns=Overlap._fields).head()

# %% [markdown]
# Before any measurement, every reference solution must pass its own hidden
# tests. If one fails, the judge is broken, and no number below can be trusted.

# %%
references = [
    {"task_id": name, "completion": task.canonical_solution}
    for name, task in tests.items()
]
hidden = {name: task.hidden() for name, task in tests.items()}
outcomes = judge(references, hidden, study.judging)
passed = [outcome.passed for outcome in outcomes]
print(f"{sum(passed)} of {len(passed)} reference solutions pass")
assert all(passed), "the judge fails references: run python -m eta_utils doctor"

# %% [markdown]
# ## The base model
#
# We know of no published model of half a million parameters that writes Python,
# so we train one here. It has GPT-2's architecture and its own byte-level BPE
# tokenizer. It reads a corpus of programs once. The corpus has bugs, as code on
# the web has: each step of a program carries one with probability
# `corpus_noise`. The table counts them by kind.

# %%
parts = study.family, study.corpus, study.judging, study.seed
corpus = corpus_of(*parts) if study.model.model == "tiny" else []
bugs = [kind for example in corpus for kind in example["bugs"]]
clean = sum(not example["bugs"] for example in corpus)
print(f"{len(corpus):,} programs, {clean:,} without a bug")
pd.Series(bugs, dtype=str).value_counts().rename("bugs").to_frame()

# %% [markdown]
# Here is a program from the corpus, with its bugs. The model learns what is
# frequent. At temperature 0 it mostly writes correct lines. When it samples, it
# makes the corpus' mistakes about as often as the corpus does. (Another `model`
# is used as it comes and has no such corpus.)

# %%
for example in [example for example in corpus if example["bugs"]][:1]:
    print("bugs:", ", ".join(example["bugs"]))
    figures.code(example["prompt"] + example["completion"])

# %%
base = pretrain(study)
pd.Series(base.metrics).to_frame("base model")

# %% [markdown]
# ## Supervised fine-tuning
#
# Supervised fine-tuning (SFT) trains for one epoch on a few tasks with correct
# solutions. For a prompt $x$ and a solution $y$ of $T$ tokens, TRL's SFTTrainer
# minimises
#
# $$L(\theta) = -\frac{1}{T} \sum_{t=1}^{T}
# \log \pi_\theta(y_t | x, y_{1..t-1})$$
#
# This is the mean negative log-probability of the solution's tokens.
#
# Prompt and solution are tokenized separately, and the prompt's last newline
# goes to the solution. Tokenized together, the newline and the indent would
# become one token, which never occurs at this place when the model generates.

# %%
sft = finetune(study, base)
history = pd.read_csv(sft.folder / "history.csv")
curves = figures.training_curves(
    history,
    "step",
    {
        "loss, nats per token": ["loss"],
        "token accuracy": ["mean_token_accuracy"],
    },
)
figures.show(
    curves,
    "SFT: loss and token accuracy at each training step.",
)

# %% [markdown]
# The loss is the formula above on each batch. The accuracy is the fraction of
# tokens that the model itself ranks first. One short epoch does not remove the
# mistakes that the model learned from the corpus.

# %% [markdown]
# ## Evaluation on held-out tasks
#
# Every model writes `test_samples` programs per task by sampling, at
# temperature 1 unless `temperature` says otherwise. It writes one more
# greedily, at temperature 0. A program passes if all hidden tests pass.
#
# *Sampled pass@1* is the fraction of sampled programs that pass. Intervals are
# 95 % bootstrap intervals over tasks.

# %%
tests_of = {
    "base": evaluate(study, base),
    "sft": evaluate(study, sft),
}
scores = read_scores(study)
scores = scores[(scores["seed"] == seed) & scores["arm"].isin(tests_of)]
table = results_table(scores, against="base")
figures.table(table)

# %%
figures.show(
    figures.pass_fail(scores),
    "Fraction of sampled programs that pass, for the base model and SFT. The "
    "black line is the 95 % interval.",
)

# %% [markdown]
# Greedy decoding passes more often than sampling. The model often *can* write
# the program, but sampling also draws the bugs it has read. Alignment can close
# this gap.

# %%
rates = by_difficulty(scores)
figures.show(
    figures.difficulty(rates),
    "Sampled pass@1 by number of steps in the task, for the base model and "
    "SFT.",
)

# %% [markdown]
# A program passes only if each of its steps is right. So the pass rate falls
# with the number of steps.

# %%
counts = read_statuses(study)
figures.show(
    figures.statuses(counts[counts["arm"].isin(tests_of)]),
    "How the sampled programs of the base model and SFT end, by status.",
)

# %% [markdown]
# Programs fail in different ways. Some give a wrong answer (`assertion`), some
# raise an exception, some do not compile. Pass/fail feedback treats them alike.
# An *execution trace* can distinguish them: it records which lines ran and
# which values the variables took.

# %% [markdown]
# ## How rare is a pass where alignment begins?
#
# The SFT model samples programs for the prompts of the first round of
# alignment, and the visible tests judge them. If all samples for a prompt fail,
# we call it an *all-fail prompt*. Pass/fail feedback cannot rank these samples,
# because all get the same verdict.

# %%
drawn = draw(study, sft, 1)
print(f"{drawn.metrics['programs']:,} programs executed")
print(f"sampled pass@1               {drawn.metrics['pass@1']:.3f}")
print(f"fraction of all-fail prompts {drawn.metrics['all fail']:.3f}")

# %% [markdown]
# ## HumanEval
#
# The same code samples and judges programs for OpenAI's HumanEval. The built-in
# model must score 0: it has only read lists of steps. If it passed a problem,
# we would suspect the judge. (A study of a named set skips this, as it has its
# own evaluation above.)

# %%
if study.family.generated:
    humaneval = evaluate_on_humaneval(study, sft)
    display(figures.table(pd.DataFrame([humaneval.metrics])))

# %% [markdown]
# ## Three programs
#
# One program that passes, one that answers wrongly, and one that raises, if the
# model wrote such programs. The line above each says what the judge found. If
# the program raised, the line that raised is marked.

# %%
for outcome in figures.three(examples(study, "sft")):
    figures.program(tests[outcome.task_id], outcome)

# %% [markdown]
# ## What was learned
#
# These sentences are about one seed. [04](04_analysis.ipynb) has the results of
# all seeds.

# %%
sampled = mean_interval(matrix(scores, "sft"))
all_fail = drawn.metrics["all fail"]
print(f"Seed {study.seed} of run {study.run}:")
figures.sentences(
    [
        f"Of the programs that SFT samples for held-out tasks, {sampled} pass.",
        f"{all_fail:.0%} of the alignment prompts are all-fail prompts.",
    ]
)
