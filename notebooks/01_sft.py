# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
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
# *arm* of the study. Before any arm is trained, this notebook checks that there
# is something for execution to teach: the *gate* at its end.
#
# Next: [02 PPO](02_ppo.ipynb), [03 ETA-DPO](03_eta_dpo.ipynb),
# [04 analysis](04_analysis.ipynb).

# %%
from collections import Counter

import pandas as pd
from IPython.display import display

from eta_utils.analysis import (
    best,
    by_difficulty,
    figures,
    gate_problem,
    gate_table,
    results_table,
    temperature_table,
)
from eta_utils.execution import judge
from eta_utils.study import (
    SPLITS,
    Study,
    align,
    corpus_of,
    draw,
    evaluate,
    evaluate_on_humaneval,
    evaluate_rounds,
    examples,
    finetune,
    measure_gate,
    near_duplicates,
    pretrain,
    read_near,
    read_results,
    read_statuses,
    tasks_of,
)
from eta_utils.tasks import misconceived

# %% [markdown]
# ## Parameters
#
# A profile sets all parameters at once. Set `profile` to `"smoke"` to try the
# whole study in minutes; its numbers mean nothing. `"small"` is the default,
# and `"full"` is the published study.
#
# Leave `None` to use the run's saved value; a new run takes the profile's
# default. The fold below the next cell lists all parameters.

# %% tags=["parameters"]
run: str = None  # name of the folder under outputs; default: the profile's name
profile: str = None  # named set of parameters: small, smoke, full, ...
seed: int = 0  # seed of every random draw
outputs: str = None  # folder that holds all runs
misconceptions: int = None  # operations that the corpus mostly gets wrong
corpus_noise: float = None  # probability that a corpus step has a random bug
sft_tasks: int = None  # number of tasks, each with a correct solution
sft_learning_rate: float = None  # peak learning rate of a cosine schedule

# %%
study = Study.begin(
    run,
    profile,
    seed,
    outputs=outputs,
    misconceptions=misconceptions,
    corpus_noise=corpus_noise,
    sft_tasks=sft_tasks,
    sft_learning_rate=sft_learning_rate,
)
print(study.cost("01_sft"))
print(f"This notebook shows seed {study.seed} of run {study.run}.")
every = pd.DataFrame(study.table())
figures.folded("all parameters", figures.table(every))

# %% [markdown]
# ## The tasks
#
# A built-in task is a function to complete. Its docstring numbers the steps
# that the function must take; each step is one of 46 *operations*. The model's
# *prompt* is the function's first line with this docstring.
#
# The tests come from the reference solution. Five *visible* asserts serve
# training. Ten *hidden* asserts serve evaluation alone. Tasks of a named set,
# such as HumanEval, bring their own tests.
#
# Here is a held-out task with its solution and its visible tests.

# %%
tests = tasks_of(study, "test")
task = next(iter(tests.values()))
figures.code(task.prompt + task.canonical_solution + "\n\n" + task.test)

# %% [markdown]
# Do held-out tasks resemble tasks that are trained on? Built-in tasks never
# share a sequence of operations with one that is trained on, whatever the
# numbers and letters in it. Some have the same operations in another order;
# these count as near-duplicates, and 04 also shows the results without them.

# %%
near = near_duplicates(study)
found = near.metrics["test"]
print(f"{found} of {len(tests)} held-out tasks are near-duplicates")
figures.table(read_near(near).head(3))

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
# ## The base model and its misconceptions
#
# We know of no published model of half a million parameters that writes Python,
# so we train one here. It has GPT-2's architecture and its own byte-level BPE
# tokenizer. It reads a corpus of programs once.
#
# The corpus has *misconceptions*. Some operations are mostly written wrong in
# it, always in the same plausible way, and right in the remaining uses. So the
# wrong line is what the model finds most probable, at every temperature. The
# right one is in its reach, and only execution can tell the two apart. All
# other steps carry random bugs, seldom.

# %%
wrong_codes = misconceived(study.family.misconceptions)
rows = [
    {"operation": step.phrase, "right": step.code, "misconception": wrong}
    for step, wrong in wrong_codes.items()
]
display(figures.table(pd.DataFrame(rows[:5])))
figures.folded("all misconceptions", figures.table(pd.DataFrame(rows)))

# %%
parts = study.family, study.corpus, study.judging, study.seed
corpus = corpus_of(*parts) if study.model.model == "tiny" else []
bugs = [kind for example in corpus for kind in example["bugs"]]
clean = sum(not example["bugs"] for example in corpus)
print(f"{len(corpus):,} programs, {clean:,} without a bug")
figures.listed(Counter(bugs), "bugs")

# %% [markdown]
# Here is a program from the corpus, with its bugs. (Another `model` is used as
# it comes and has no such corpus.)

# %%
for example in [example for example in corpus if example["bugs"]][:1]:
    print("bugs:", ", ".join(example["bugs"]))
    figures.code(example["prompt"] + example["completion"])

# %%
base = pretrain(study)
figures.listed(base.metrics, "base model")

# %% [markdown]
# ## Supervised fine-tuning
#
# Supervised fine-tuning (SFT) trains for one epoch on a few tasks with correct
# solutions. None of these tasks uses a misconceived operation. For a prompt $x$
# and a solution $y$ of $T$ tokens, TRL's SFTTrainer minimises
#
# $$L(\theta) = -\frac{1}{T} \sum_{t=1}^{T}
# \log \pi_\theta(y_t | x, y_{1..t-1})$$
#
# This is the mean negative log-probability of the solution's tokens.
#
# The prompt has the ids that it has in sampling, and its last newline goes to
# the solution. Else the newline and the indent would become one token, which
# never occurs at this place when the model generates.

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
# tokens that the model itself ranks first.

# %% [markdown]
# ## The ceiling
#
# How well could this model do these tasks at all? The *ceiling* is SFT of the
# same base on many clean solutions of all operations. No arm has such
# solutions.

# %%
ceiling = align(study, sft, "ceiling") if study.arms.has("ceiling") else []
if ceiling:
    evaluate_rounds(study, ceiling, sft)
    display(figures.listed(ceiling[-1].metrics, "ceiling"))

# %% [markdown]
# ## Evaluation on held-out tasks
#
# Every model is sampled at temperatures $T$ = 1, 0.7, 0.5, 0.3 and 0. A program
# passes if all hidden tests pass; *pass@1* is the fraction that does. A low
# temperature makes a model write what it finds most probable, and costs no
# training. So each model is taken at its own best temperature $T^*$. It is
# chosen on tuning tasks, and pass@1 at $T^*$ is measured on test tasks.
#
# Intervals are 95 % intervals over tasks.

# %%
for model in (base, sft):
    for split in SPLITS:
        evaluate(study, model, split=split)
scores, models, _ = read_results(study)
shown = scores["arm"].isin(["base", "sft", "ceiling"])
scores = scores[shown & (scores["seed"] == seed)]
at_best = best(scores, models)
figures.table(results_table(at_best, against="base"))

# %%
figures.show(
    figures.temperature(temperature_table(scores)),
    "Pass@1 on test tasks against the temperature, for the base model, SFT and "
    "the ceiling. No temperature makes the SFT model right.",
)

# %% [markdown]
# A misconception is the most probable line, so cooling the model does not
# remove it.

# %%
rates = by_difficulty(at_best)
figures.show(
    figures.difficulty(rates),
    "Pass@1 at each model's best temperature, by number of steps in the task.",
)

# %% [markdown]
# A program passes only if each of its steps is right. So the pass rate falls
# with the number of steps.

# %%
counts = read_statuses(study)
figures.show(
    figures.statuses(counts[counts["arm"].isin(["base", "sft"])]),
    "How the programs that the base model and SFT sample at T = 1 end, by "
    "status.",
)

# %% [markdown]
# Programs fail in different ways. Some give a wrong answer (`assertion`), some
# raise an exception, some do not compile. Pass/fail feedback treats them alike.
# An *execution trace* can distinguish them: it records which lines ran and
# which values the variables took.

# %% [markdown]
# ## The gate
#
# The study asks what execution can teach. That can be measured only if there is
# something to learn, and if it can be learned:
#
# | what | condition |
# |---|---|
# | `sft`: pass@1 of SFT at its best temperature | at most 0.25 |
# | `all fail`: alignment prompts whose samples all fail | at least half |
# | `times`: pass@64 over pass@1, both at T = 1 | at least 3 |
# | `ceiling`: pass@1 of the ceiling at its best temperature | at least 0.7 |
#
# On an *all-fail prompt* pass/fail feedback cannot rank the samples, because
# all get the same verdict. The notebook stops here if a condition does not
# hold, unless the parameter `gate` is `print`.

# %%
drawn = draw(study, sft, 1)
measure_gate(study, sft)
scores, models, gate = read_results(study)
now = gate["seed"] == seed
[row] = gate_table(scores, gate[now]).to_dict("records")
problem = gate_problem(row)
if problem and study.evaluation.gate == "stop":
    raise RuntimeError(problem)
print(problem or "The gate holds.")
figures.table(pd.DataFrame([row]))

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
print(f"Seed {study.seed} of run {study.run}:")
said = [
    f"At its best temperature, {row['best T']:g}, SFT passes "
    f"{row['sft']:.0%} of the tuning tasks.",
    f"{row['all fail']:.0%} of the alignment prompts are all-fail prompts.",
]
if ceiling:
    reached = f"{row['ceiling']:.0%}"
    said.append(f"With clean solutions the same model reaches {reached}.")
figures.sentences(said)
