# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 03 ETA-DPO
#
# **Question.** Does it help to tell the model *how far* a failing program got? Pairs
# of programs for one prompt are ordered by their execution traces and the model
# learns to prefer the better one. Two controls get the same number of executed
# programs: pairs by pass/fail alone (`binary`), and by the number of steps executed
# before failing (`steps`, the founding rule taken literally).
#
# Before: [01 SFT](01_sft.ipynb), [02 PPO](02_ppo.ipynb). Next:
# [04 analysis](04_analysis.ipynb).

# %%
import pandas as pd

from eta_utils.analysis import (
    audit,
    contrast_table,
    figures,
    label,
    ranking,
    results_table,
    write_results,
)
from eta_utils.execution import judge
from eta_utils.preferences import ORDERINGS
from eta_utils.study import (
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
    read_scores,
    tasks_of,
    train_eta_rm,
    training_history,
)

# %% [markdown]
# ## Parameters
#
# `None` stands for the value of the run, or, in a new run, of the profile.

# %% tags=["parameters"]
run: str = None  # folder under outputs/; None: named after the profile
profile: str = None  # small, smoke, full; None: the run's, or small
seed: int = 0  # of everything that is drawn
outputs: str = None  # where run folders lie; None: outputs/ of the project
dpo_arms: str = None  # orderings, with options, as in eta+matched
dpo_beta: float = None  # inverse temperature of DPO
dpo_learning_rate: float = None  # peak
dpo_nll_weight: float = None  # weight of the NLL of winners that pass

# %%
study = Study.begin(
    run,
    profile,
    seed,
    outputs=outputs,
    dpo_arms=dpo_arms,
    dpo_beta=dpo_beta,
    dpo_learning_rate=dpo_learning_rate,
    dpo_nll_weight=dpo_nll_weight,
)
print(study.cost("03_eta_dpo"))
pd.DataFrame(study.table()).style.hide(axis="index")

# %% [markdown]
# ## Samples of the SFT model
#
# The first round's samples are the same for all arms. Each is executed on the
# visible tests, with its trace.

# %%
sft = finetune(study, pretrain(study))
drawn = draw(study, sft, 1)
print(f"{drawn.metrics['programs']:,} programs executed")
print(f"sampled pass@1           {drawn.metrics['pass@1']:.3f}")
print(f"prompts where all fail   {drawn.metrics['all fail']:.3f}")

# %% [markdown]
# ## Orderings
#
# An ordering is a key of an outcome; the program with the greater key wins.

# %%
names = ["eta", "binary", "steps", "states", "fraction", "alignment", "tier"]
keys = [{"ordering": n, "key": ORDERINGS[n].about} for n in names]
pd.DataFrame(keys).style.hide(axis="index")

# %% [markdown]
# Pairs are *gated*: where some sample passes, every ordering pairs a passing program
# with a failing one. The orderings differ on prompts where nothing passed. A pair of
# `eta` on such a prompt: lines that ran are shaded, and the states of the variables go
# up to where the two programs part.

# %%
pairs = pairs_of(study, drawn, "dpo-eta", 1)
all_fail = [pair for pair in pairs if not pair["winner_passes"]]
tasks = tasks_of(study, "align")


def seen(pair: dict) -> tuple:
    """The task of a pair and both programs, executed again to see what they did."""
    texts = [pair["prompt"] + pair[side] for side in ("chosen", "rejected")]
    samples = [{"task_id": pair["task_id"], "solution": text} for text in texts]
    both = judge(samples, tasks, study.judging, keep_trace=True)
    return tasks[pair["task_id"]], *both


for pair in all_fail[:1]:
    print(pair["reason"])
    figures.pair(*seen(pair))

# %% [markdown]
# In a live notebook, choose another:

# %%
figures.browse(pairs, seen)

# %% [markdown]
# ## Are the labels right?
#
# Before training: does the program that an ordering prefers pass more *hidden* tests?
# Shares are of all pairs of failing programs that the hidden tests tell apart: how
# many the ordering decides, and how many of those rightly. Intervals are over tasks.
# Nothing trains on these hidden tests.

# %%
programs = hidden_programs(study, drawn)
labels = audit.count(programs, names)
write_results(study.folder, labels=labels)
figures.table(audit.audit_table(labels))

# %% [markdown]
# `binary` decides none of these pairs: that is the silence which ETA means to fill.
# `yield` is the share of prompts without a passing program on which an ordering can
# speak. `endless` and `padded` winners are those that a policy could learn to imitate:
# programs that had to be stopped, or ran four times the loser's steps to no use.

# %%
figures.table(pd.DataFrame(audit.by_margin(programs, "eta")))

# %% [markdown]
# Larger margins should be right more often. Where they are not, a threshold on the
# margin would only cost pairs.

# %% [markdown]
# Where failing programs pass equally many visible tests, `fraction` is silent, and
# what the program *did* must tell them apart. For two orderings the surest such pair
# that the hidden tests confirm, and the surest one that they contradict:

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
# DPO raises the log-probability of the winner $y_w$ against that of the loser $y_l$,
# each measured from where it stood in the reference model:
#
# $$L = -\log \sigma(\beta \log \frac{\pi(y_w)}{\pi_{ref}(y_w)}
# - \beta \log \frac{\pi(y_l)}{\pi_{ref}(y_l)})$$
#
# To this is added the winner's negative log-likelihood per token, but only where the
# winner passes: to imitate a failing winner is to learn its bug. Each round samples
# from the newest model; its reference is the model at the start of the round.
#
# An arm is an ordering, with options behind plus signs: `eta+matched` gets no more
# pairs than `binary`.

# %%
rounds = {arm.name: align(study, sft, arm) for arm in study.arms.dpo}
made = [
    {"arm": arm, "round": number} | stage.metrics
    for arm, stages in rounds.items()
    for number, stage in enumerate(stages, 1)
]
figures.table(pd.DataFrame(made))

# %% [markdown]
# ## What training did to winners and losers
#
# DPO can lower the winner's probability as long as the loser's falls faster
# (displacement). So both are watched.

# %%
for arm, stages in rounds.items():
    history = training_history(stages)
    name = label(arm)
    panels = {
        f"{name}: log-probability": ["logps/chosen", "logps/rejected"],
        "pairs ranked right": ["rewards/accuracies"],
    }
    figures.show(
        figures.training_curves(history, "log", panels),
        f"{name}, all rounds: log-probability of winners and losers, and share of "
        "pairs that the model ranks right.",
    )

# %% [markdown]
# Each round begins anew from its own samples, hence the steps between rounds; at its
# first batch the model still is its own reference, so no pair counts as ranked right.
# Both lines falling together would be displacement.

# %% [markdown]
# ## Evaluation after each round

# %%
for stages in rounds.values():
    evaluate_rounds(study, stages)
evaluate(study, sft)
scores = read_scores(study)
wanted = ["sft", *rounds]
scores = scores[(scores["seed"] == seed) & scores["arm"].isin(wanted)]
figures.table(results_table(scores))

# %%
figures.show(
    figures.learning_curves(scores),
    "Held-out sampled pass@1 after each round, against executed programs, by arm.",
)

# %% [markdown]
# The curve matters more than its end: trace pairs can speak while nothing passes, so
# if they help, they help early.

# %% [markdown]
# ## ETA-RM
#
# The same pairs can train a reward model: the SFT model with a scalar head $s$, by
# TRL's RewardTrainer, on
#
# $$L = -\log \sigma(s(y_w) - s(y_l))$$
#
# It takes more pairs of a prompt than DPO (`rm_pairs_per_prompt`): they cost no further
# execution. It never sees a test of the prompt it scores. It is judged as a reward
# model, on the SFT model's samples of the held-out tasks and by their hidden tests: how
# often does the better of two programs score higher, and how often does the best of n
# samples pass?

# %%
ranked = None
if study.arms.eta_rm:
    judged = judge_eta_rm(study, sft, train_eta_rm(study, sft))
    ranked = pd.read_csv(judged.folder / "ranked.csv").assign(seed=seed)
    print(f"expected calibration error {judged.metrics['calibration error']:.3f}")
figures.table(pd.DataFrame() if ranked is None else ranking.accuracy(ranked))

# %%
if ranked is not None:
    figures.show(
        figures.best_of_n(ranking.best_of(ranked)),
        "Share of prompts whose best of n samples passes, by what ranks the samples.",
    )

# %% [markdown]
# `random` is one sample; `oracle` is the best that a ranking could do. `error class`
# has executed the program on the visible tests, which ETA-RM does without; `shortest`
# knows nothing. A reward model that falls as n grows is fooled by what it likes most.

# %%
if ranked is not None:
    figures.show(
        figures.reliability(ranking.reliability(ranked, "ETA-RM")[0]),
        "Share of pairs that ETA-RM ranks right, by the probability that it predicts.",
    )

# %% [markdown]
# Below the dashed line it is too sure of itself.

# %% [markdown]
# ## Three programs of ETA-DPO
#
# One that passes, one that answers wrongly, and one that raises (where there are
# such).

# %%
tests = tasks_of(study, "test")
shown = "dpo-eta" if "dpo-eta" in rounds else next(iter(rounds))
for outcome in figures.three(examples(study, shown)):
    figures.program(tests[outcome.task_id], outcome)

# %% [markdown]
# ## What was learned

# %%
found = contrast_table(scores)
figures.sentences(found["in words"])
