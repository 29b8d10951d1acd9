# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 03 ETA-DPO
#
# **Question.** Does it help to tell the model *how far* a failing program got?
#
# Execution-Trace Alignment (ETA) compares two programs for one prompt by their
# execution traces. The better one is the winner. Direct preference optimisation
# (DPO) trains the model to prefer the winner. The rule that names the winner is
# called an *ordering*. This notebook trains the run's arms of DPO, which are
# called after their orderings. By default:
#
# - `dpo-eta`: the winner got further, by its asserts and the closeness of its
#   answers;
# - `dpo-binary+filled`: the winner passes, and the loser fails. Where this
#   gives fewer pairs than `eta`, more of the same kind are taken, so that both
#   arms learn from as many pairs.
#
# `dpo-steps` prefers the program that executed more steps before it failed. It
# is the rule of the founding experiment. All arms execute the same number of
# programs.
#
# Before: [01 SFT](01_sft.ipynb), [02 PPO](02_ppo.ipynb). Next:
# [04 analysis](04_analysis.ipynb).

# %%
import pandas as pd

from eta_utils.analysis import (
    audit,
    best,
    figures,
    label,
    of_one_seed,
    ranking,
    results_table,
    temperature_table,
    write_results,
)
from eta_utils.execution import judge
from eta_utils.preferences import ORDERINGS
from eta_utils.study import (
    SPLITS,
    Study,
    align,
    draw,
    evaluate,
    evaluate_rounds,
    examples,
    finetune,
    hidden_programs,
    judge_eta_rm,
    pairs_of,
    pretrain,
    read_outcomes,
    read_results,
    tasks_of,
    train_eta_rm,
    training_history,
)

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
dpo_beta: float = None  # beta of DPO: higher keeps nearer to the reference
dpo_learning_rate: float = None  # peak learning rate of a cosine schedule
dpo_nll_weight: float = None  # weight of the NLL of winners that pass; 0: none

# %%
study = Study.begin(
    run,
    profile,
    seed,
    outputs=outputs,
    arms=arms,
    dpo_beta=dpo_beta,
    dpo_learning_rate=dpo_learning_rate,
    dpo_nll_weight=dpo_nll_weight,
)
print(study.cost("03_eta_dpo"))
print(f"This notebook shows seed {study.seed} of run {study.run}.")
every = pd.DataFrame(study.table())
figures.folded("all parameters", figures.table(every))

# %% [markdown]
# ## Samples of the SFT model
#
# All arms share the samples of the first round. Each sample runs on the visible
# tests, and its trace is recorded. A prompt is an *all-fail prompt* if all of
# its samples fail.

# %%
sft = finetune(study, pretrain(study))
drawn = draw(study, sft, 1)
print(f"{drawn.metrics['programs']:,} programs executed")
print(f"sampled pass@1               {drawn.metrics['pass@1']:.3f}")
print(f"fraction of all-fail prompts {drawn.metrics['all fail']:.3f}")

# %% [markdown]
# ## Orderings
#
# An ordering computes a key from what the judge recorded of a program. The
# program with the greater key wins. `alignment` is how far the program's
# variables go through the same values as in the reference solution. `tier` is
# the kind of failure, from "does not compile" to "answers wrongly".

# %%
names = ["eta", "binary", "steps", "states", "fraction", "alignment", "tier"]
keys = [{"ordering": name, "key": ORDERINGS[name].about} for name in names]
figures.table(pd.DataFrame(keys))

# %% [markdown]
# If some sample of a prompt passes, every ordering pairs a passing program with
# a failing one. So the orderings differ on all-fail prompts only.

# %%
pairs = pairs_of(study, drawn, "dpo-eta", 1)
passing = [pair for pair in pairs if pair["winner_passes"]]
all_fail = [pair for pair in pairs if not pair["winner_passes"]]
tasks = tasks_of(study, "align")


def seen(pair: dict) -> tuple:
    """The task of a pair and its programs, executed again for their traces."""
    texts = [pair["prompt"] + pair[side] for side in ("chosen", "rejected")]
    samples = [{"task_id": pair["task_id"], "solution": text} for text in texts]
    both = judge(samples, tasks, study.judging, keep_trace=True)
    return tasks[pair["task_id"]], *both


# %% [markdown] tags=["exhibit"]
# ## One task, two programs
#
# The model wrote both programs for one task. One passes the tests and is
# *chosen*, the other one fails and is *rejected*. Lines that ran are shaded.
# The mark shows the line where the failing program's trace leaves that of the
# solution. The last table has the values up to that place. Pass/fail training
# blames the whole failing program. A trace can blame the marked line alone.

# %% tags=["exhibit"]
short = sorted(passing, key=lambda pair: len(pair["prompt"]))
clear = (both for both in map(seen, short) if both[2].departure_kind == "value")
if clearest := next(clear, None):
    figures.pair(*clearest)
else:
    figures.sentences(["This run has no such pair: no task has both programs."])

# %% [markdown]
# And a pair that `eta` makes on an all-fail prompt: both programs fail, and the
# winner got further.

# %%
for pair in all_fail[:1]:
    print(pair["reason"])
    figures.pair(*seen(pair))

# %% [markdown]
# In a live notebook you can choose another pair:

# %%
figures.browse(pairs, seen)

# %% [markdown]
# ## Are the labels right?
#
# This check comes before any training. Does the winner of an ordering pass more
# *hidden* tests than the loser? No training uses these hidden tests.
#
# The table is about pairs of failing programs that the hidden tests can
# distinguish. `decides` is the fraction of these pairs in which the ordering
# names a winner. `right` is the fraction of the decided pairs in which that
# winner passes more hidden tests. The columns with `tied` count only pairs that
# pass equally many visible tests. Intervals are over tasks.

# %%
programs = hidden_programs(study, drawn)
labels = audit.count(programs, names)
lines = audit.count_departures(read_outcomes(drawn), tasks)
write_results(study.folder, labels=labels, departures=lines)
figures.table(audit.audit_table(labels))

# %% [markdown]
# `binary` decides none of these pairs, as both programs fail. ETA is meant to
# decide them. If no prompt has such pairs, the table is empty.
#
# `yield` is the fraction of all-fail prompts for which the ordering makes a
# pair. Two columns count winners that a policy should not imitate. `endless`
# winners had to be stopped. `padded` winners ran over four times the loser's
# steps without passing more hidden tests.
#
# Traces also say *where* a program went wrong; `credit` in
# [02](02_ppo.ipynb) uses that. In how many failing programs is the departing
# line found? How often would something cheaper have named the same line: the
# line that raised, or the first line whose text differs from the reference's?

# %%
figures.table(audit.departures(lines))

# %% [markdown]
# The next table splits the pairs that `eta` decides into thirds, by the
# difference of their keys: the margin.

# %%
figures.table(audit.by_margin(audit.count_margins(programs, "eta")))

# %% [markdown]
# Pairs with larger margins should be right more often. If they are not, a least
# margin would remove pairs without making the rest better.

# %% [markdown]
# `fraction` cannot decide between failing programs that pass equally many
# visible tests. Other orderings can, by what the programs *did*. For two
# orderings you see the pair of this kind with the largest margin that the
# hidden tests confirm, and the one that they contradict:

# %%
for ordering in ("eta", "alignment"):
    for kind, (name, *both) in audit.tied(programs, ordering).items():
        print(f"{ordering} is {kind}: {ORDERINGS[ordering].reason(*both)}")
        samples = [outcome.sample for outcome in both]
        traced = judge(samples, tasks, study.judging, keep_trace=True)
        figures.pair(tasks[name], *traced)

# %% [markdown]
# ## The method
#
# DPO makes the winner $y_w$ more probable relative to the loser $y_l$. It
# measures both relative to a reference model, which stays fixed:
#
# $$L = -\log \sigma(\beta \log \frac{\pi(y_w)}{\pi_{ref}(y_w)}
# - \beta \log \frac{\pi(y_l)}{\pi_{ref}(y_l)})$$
#
# If the winner passes, the loss also has the winner's negative log-likelihood
# (NLL) per token. A failing winner gets no such term, because the model would
# imitate its bug.
#
# Training has several rounds. Each round samples from the newest model, and the
# reference is the model at the start of the round.
#
# Options of an arm stand behind plus signs. `filled` takes as many pairs as
# `eta` makes of the same samples: more of its own kind, or fewer. `fresh` draws
# samples anew as often as GRPO does. `prefix` makes pairs of programs that
# share their first lines, because one restarted from the other.
#
# In the table, `by passing` counts the pairs whose winner passes.

# %%
rounds = {
    arm.name: align(study, sft, arm) for arm in study.arms.by("rft", "dpo")
}
made = [
    {"arm": arm, "round": number} | stage.metrics
    for arm, stages in rounds.items()
    for number, stage in enumerate(stages, 1)
]
figures.table(pd.DataFrame(made))

# %% [markdown]
# ## What training did to winners and losers
#
# DPO's loss can fall although the winner becomes less probable, if the loser
# falls faster. This is called displacement. The figures show the
# log-probabilities of both.

# %%
for arm, stages in rounds.items():
    history = training_history(stages).rename(columns={"log": "log entry"})
    if "logps/chosen" not in history:
        continue
    name = label(arm)
    panels = {
        f"{name}: log-probability": ["logps/chosen", "logps/rejected"],
        "pairs ranked right": ["rewards/accuracies"],
    }
    figures.show(
        figures.training_curves(history, "log entry", panels),
        f"{name}, all rounds: log-probability of winners (chosen) and losers "
        "(rejected); fraction of pairs that the model ranks right.",
    )

# %% [markdown]
# Each round has new samples and a new reference, so the curves jump between
# rounds. At the first batch of a round the model equals its reference, so no
# pair counts as ranked right. If both log-probabilities fall together, that is
# displacement.

# %% [markdown]
# ## Evaluation after each round
#
# As in 01: held-out tasks, judged by hidden tests, each model at its own best
# temperature. Gains over SFT are paired task by task.

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
    "Pass@1 on test tasks against the temperature, by arm.",
)

# %%
figures.show(
    figures.learning_curves(at_best),
    "Pass@1 at the best temperature after each round, by arm, against the "
    "number of programs executed for training.",
)

# %% [markdown]
# Look at the whole curve and not only at its end. On all-fail prompts `binary`
# makes no pairs, and traces do. All-fail prompts are most frequent at the
# start, so traces should help most there.

# %% [markdown]
# ## ETA-RM
#
# ETA's pairs can also train a reward model, called ETA-RM. It is the SFT model
# with a head $s$ that gives each program one number. TRL's RewardTrainer
# minimises
#
# $$L = -\log \sigma(s(y_w) - s(y_l))$$
#
# ETA-RM uses more pairs per prompt than DPO (`rm_pairs_per_prompt`), which
# costs no further execution. To score a program it needs no tests.
#
# We evaluate it on the SFT model's samples for held-out tasks, with their
# hidden tests. Two questions: how often does the better of two programs get the
# higher score? And how often does the best of n samples pass?

# %%
ranked = None
if study.arms.eta_rm:
    judged = judge_eta_rm(study, sft, train_eta_rm(study, sft))
    ranked = pd.read_csv(judged.folder / "ranked.csv").assign(seed=seed)
    error = judged.metrics["calibration error"]
    print(f"expected calibration error {error:.3f}")
figures.table(pd.DataFrame() if ranked is None else ranking.accuracy(ranked))

# %%
if ranked is not None:
    figures.show(
        figures.best_of_n(ranking.best_of(ranked)),
        "Fraction of prompts whose best of n samples passes, by what ranks the "
        "samples.",
    )

# %% [markdown]
# `random` picks one sample by chance. `oracle` knows the hidden tests, so no
# ranking can do better. `error class` executes the program on the visible
# tests, which ETA-RM does not need. `shortest` picks the shortest program. If
# ETA-RM's curve falls as n grows, some bad programs get its highest scores.

# %%
if ranked is not None:
    figures.show(
        figures.reliability(ranking.reliability(ranked, "ETA-RM")[0]),
        "Fraction of pairs that ETA-RM ranks right, against the probability "
        "that it predicts.",
    )

# %% [markdown]
# Below the dashed line ETA-RM is overconfident.

# %% [markdown]
# ## Three programs of ETA-DPO
#
# One program that passes, one that answers wrongly, and one that raises, if the
# model wrote such programs.

# %%
tests = tasks_of(study, "test")
for name in [name for name in rounds if name == "dpo-eta"]:
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
