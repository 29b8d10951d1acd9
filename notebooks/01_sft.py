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
# **Question.** How good is a small code model before any of its programs is
# executed for training, and how rare is a program that passes?
#
# The answer sets the stage for the rest: pass/fail feedback can only speak where
# something passes. This notebook makes the model that all arms start from.
# Next: [02 PPO](02_ppo.ipynb), [03 ETA-DPO](03_eta_dpo.ipynb),
# [04 analysis](04_analysis.ipynb).

# %%
import pandas as pd

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
# Change `profile` to `"smoke"` for a run of the whole study in minutes whose
# numbers mean nothing. `None` stands for the value of the run, or, in a new run,
# of the profile; the table shows what holds.

# %% tags=["parameters"]
run: str = None  # folder under outputs/; None: named after the profile
profile: str = None  # small, smoke, full; None: the run's, or small
seed: int = 0  # of everything that is drawn
outputs: str = None  # where run folders lie; None: outputs/ of the project
corpus_noise: float = None  # share of steps with a bug in the base's corpus
sft_tasks: int = None  # tasks with a clean solution
sft_learning_rate: float = None  # peak

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
pd.DataFrame(study.table()).style.hide(axis="index")

# %% [markdown]
# ## The tasks
#
# A built-in task is a function whose docstring numbers the steps to take; its
# difficulty is their number. Tests come from the reference solution: five visible
# asserts, which pairs and rewards may use, and ten hidden ones for evaluation. Tasks
# of a named set, such as HumanEval, have the tests of the set. Splits never share a
# prompt. Here is a held-out task with its solution and visible tests.

# %%
tests = tasks_of(study, "test")
task = next(iter(tests.values()))
figures.code(task.prompt + task.canonical_solution + "\n\n" + task.test)

# %% [markdown]
# Is any of them like a task that will be trained on? Alike are two tasks with the same
# prompt, with the same solution but for names, or with 13 words of their docstrings in
# a row.

# %%
trained = tasks_of(study, "sft") | tasks_of(study, "align")
alike = overlaps(trained, tests)
print(f"{len(alike)} of {len(tests)} held-out tasks are like one that is trained on")
pd.DataFrame(alike, columns=Overlap._fields).head()

# %% [markdown]
# Before anything is measured: every reference solution must pass its own tests, or
# the judge is broken and all numbers with it.

# %%
references = [
    {"task_id": name, "completion": task.canonical_solution}
    for name, task in tests.items()
]
hidden = {name: task.hidden() for name, task in tests.items()}
passed = [each.passed for each in judge(references, hidden, study.judging)]
print(f"{sum(passed)} of {len(passed)} reference solutions pass")
assert all(passed), "the judge fails references: see python -m eta_utils doctor"

# %% [markdown]
# ## The base model
#
# Nobody hands out a model of half a million parameters that writes Python, so the
# base is made here: GPT-2's architecture, its own byte-level BPE, and one pass over a
# corpus that is as buggy as code on the web. Each step of a corpus program carries,
# with the probability `corpus_noise`, one of these bugs.

# %%
parts = study.family, study.corpus, study.judging, study.seed
corpus = corpus_of(*parts) if study.model.model == "tiny" else []
kinds = pd.Series([kind for each in corpus for kind in each["bugs"]], dtype=str)
clean = sum(not each["bugs"] for each in corpus)
print(f"{len(corpus):,} programs, {clean:,} without a bug")
kinds.value_counts().rename("bugs").to_frame()

# %% [markdown]
# A program from the corpus, with its bugs. The model learns what is common: at
# temperature 0 it mostly writes clean lines, and when it samples it makes the
# corpus' mistakes about as often as the corpus does. (Any other `model` is taken as it
# is, and has no such corpus.)

# %%
for example in [each for each in corpus if each["bugs"]][:1]:
    print("bugs:", ", ".join(example["bugs"]))
    figures.code(example["prompt"] + example["completion"])

# %%
base = pretrain(study)
pd.Series(base.metrics).to_frame("base model")

# %% [markdown]
# ## Supervised fine-tuning
#
# One epoch over a small subset of tasks with clean solutions. With a prompt $x$ and
# a solution $y$ of $T$ tokens, TRL's SFTTrainer minimises
#
# $$L(\theta) = -\frac{1}{T} \sum_{t=1}^{T} \log \pi_\theta(y_t | x, y_{1..t-1})$$
#
# in words: the mean negative log-probability of the solution's tokens. Prompt and
# solution are tokenized apart, and the prompt's last newline belongs to the
# solution; tokenized together, newline and indent would merge into a token that the
# model never meets when it generates.

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
figures.show(curves, "SFT: loss and token accuracy at each step of one epoch.")

# %% [markdown]
# The loss is the formula above on each batch; the accuracy is the share of tokens
# that the model would have chosen itself. What remains is what cannot be known: the
# corpus' habit of making mistakes, which one short epoch does not wash out.

# %% [markdown]
# ## Evaluation on held-out tasks
#
# Every model writes `test_samples` programs per task at temperature 1, and one
# greedily. A program counts as passed when all hidden tests pass. Intervals are 95 %
# bootstraps over tasks.

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
    "Share of sampled programs that pass, base and SFT, with intervals.",
)

# %% [markdown]
# The gap between greedy and sampled is the room that alignment has: the model often
# *can* write the program, and as often draws one of the bugs it has read.

# %%
rates = by_difficulty(scores)
figures.show(
    figures.difficulty(rates),
    "Sampled pass@1 falls with the number of steps, for base and SFT.",
)

# %% [markdown]
# Each step must be right for the program to pass, so the pass rate falls with their
# number, roughly as a power.

# %%
counts = read_statuses(study)
figures.show(
    figures.statuses(counts[counts["arm"].isin(tests_of)]),
    "What became of the sampled programs of base and SFT, by status.",
)

# %% [markdown]
# Most failures run to the end and answer wrongly, or raise on the way. That is what
# a trace can tell apart and a pass/fail bit cannot.

# %% [markdown]
# ## How rare is a pass where alignment begins?
#
# The first round's samples on alignment prompts, judged by visible tests. Where all
# samples of a prompt fail, binary feedback has nothing to say.

# %%
drawn = draw(study, sft, 1)
print(f"{drawn.metrics['programs']:,} programs executed")
print(f"sampled pass@1           {drawn.metrics['pass@1']:.3f}")
print(f"prompts where all fail   {drawn.metrics['all fail']:.3f}")

# %% [markdown]
# ## HumanEval
#
# The same path judges OpenAI's HumanEval. For the built-in model this must give 0:
# it has read nothing but pipelines of steps. A pass here would be a bug of the judge.
# (A study of a named set has its own evaluation above.)

# %%
if study.family.generated:
    humaneval = evaluate_on_humaneval(study, sft)
    figures.table(pd.Series(humaneval.metrics).to_frame("HumanEval").T)

# %% [markdown]
# ## Three programs
#
# One that passes, one that answers wrongly, and one that raises (where there are
# such). The comment says what the judge found.

# %%
for outcome in figures.three(examples(study, "sft")):
    figures.program(tests[outcome.task_id], outcome)

# %% [markdown]
# ## What was learned

# %%
sampled = mean_interval(matrix(scores, "sft"))
all_fail = drawn.metrics["all fail"]
figures.sentences(
    [
        f"SFT passes {sampled} of held-out programs when it samples.",
        f"On {all_fail:.0%} of alignment prompts all samples fail.",
    ]
)
