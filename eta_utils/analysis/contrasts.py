"""Which arms are compared, on which tasks, after how many programs, and what that gives.

>>> contrasts = contrast_table(scores)              # primary, secondary, each arm's gain
>>> contrasts.loc[contrasts["family"] == "primary", "in words"]
>>> crossover(scores_of_runs)                       # by the strength of the SFT model

The primary contrasts are named here, before any result: ETA-DPO against binary DPO and
against PPO.  Each is asked after the first round's programs and after all of them, on all
held-out tasks and on the all-fail ones: those where all samples of the seed's SFT model
fail, which is where ETA claims to help.

Secondary contrasts: ETA against raw steps; each ordering, held to binary's number of pairs,
against binary, and ETA against the other such orderings; each arm with options against the
one without; and PPO's controls against PPO.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd

from eta_utils.analysis.arms import Arm, parse_arm
from eta_utils.analysis.statistics import (
    Interval,
    bootstrap_p,
    holm,
    improvement,
    mcnemar,
    mean_interval,
    paired_difference,
    smallest_difference,
)
from eta_utils.analysis.tables import final, label, same_seeds

PRIMARY = (("dpo-eta", "dpo-binary"), ("dpo-eta", "ppo"))
SECONDARY = (
    ("dpo-eta", "dpo-steps"),
    ("dpo-eta+matched", "dpo-binary"),
    ("dpo-fraction+matched", "dpo-binary"),
    ("dpo-tier+matched", "dpo-binary"),
    ("dpo-steps+matched", "dpo-binary"),
    ("dpo-eta+matched", "dpo-fraction+matched"),
    ("dpo-eta+matched", "dpo-tier+matched"),
    ("dpo-eta+matched", "dpo-steps+matched"),
    ("ppo-eta", "ppo"),
    ("ppo-rm", "ppo"),
    ("rloo", "ppo"),
)
# Arms that are drawn together, by what the figure is about.
GROUPS: dict[str, Callable[[Arm], bool]] = {
    "primary contrasts": lambda arm: any(arm.name in pair for pair in PRIMARY),
    "as many pairs as binary": lambda arm: arm.name == "dpo-binary" or arm.has("matched"),
    "eta with options": lambda arm: arm.plain == "dpo-eta",
    "reinforcement learning": lambda arm: arm.method != "dpo",
}
ALL_TASKS, ALL_FAIL_TASKS = "all", "all of SFT's samples fail"
FIRST, LAST = "first round", "all rounds"
CONTRAST_COLUMNS = (
    "family contrast programs tasks value low high p holm greedy_p improvement smallest"
).split()


class Contrast(NamedTuple):
    """A comparison of two arms, and the scores of both that it is about."""

    family: str  # primary, secondary or gain
    arm: str
    other: str
    budget: str  # `FIRST` or `LAST`
    tasks: str  # `ALL_TASKS` or `ALL_FAIL_TASKS`
    scores: pd.DataFrame


def contrast_table(scores: pd.DataFrame) -> pd.DataFrame:
    """One row for each contrast that the scores allow.

    Columns:

    - `family` (primary, secondary, gain), `contrast`, `tasks`, and `programs` (first round
      or all rounds) say what is asked;
    - `value`, `low`, `high`: the paired difference in sampled pass@1;
    - `p` is its bootstrap p-value, `holm` the same adjusted over the rows of its family,
      `greedy_p` McNemar's on greedy completions;
    - `improvement` is the probability that the first arm is better on a random task;
    - `smallest` is the difference that the run would show with 80 % power;
    - `by seed` has the difference of each seed, `in words` a sentence.
    """
    rows = [_row(contrast) for contrast in _contrasts(scores)]
    table = pd.DataFrame(rows, columns=[*CONTRAST_COLUMNS, "by seed", "in words"])
    for family in table["family"].unique():
        of_family = table["family"] == family
        table.loc[of_family, "holm"] = holm(table.loc[of_family, "p"].tolist())
    return table


def _contrasts(scores: pd.DataFrame) -> Iterator[Contrast]:
    """The primary contrasts, the secondary ones, then each arm's gain over SFT."""
    arms = list(dict.fromkeys(scores["arm"]))
    named = [("primary", *pair) for pair in PRIMARY]
    named += [("secondary", *pair) for pair in SECONDARY]
    named += [("secondary", arm, parse_arm(arm).plain) for arm in arms if "+" in arm]
    for family, arm, other in named:
        for budget in (FIRST, LAST):
            parts = [at_budget(scores, name, budget) for name in (arm, other)]
            if any(part.empty for part in parts):
                continue
            both = pd.concat(parts)
            if both.groupby("arm")["programs"].max().nunique() > 1:
                continue  # unfair: one arm has executed more programs
            yield Contrast(family, arm, other, budget, ALL_TASKS, both)
            hard = on_all_fail_tasks(scores, both)
            if len(hard):
                yield Contrast(family, arm, other, budget, ALL_FAIL_TASKS, hard)
    for arm in arms:
        if arm not in ("base", "sft") and "sft" in arms:
            both = pd.concat([at_budget(scores, name, LAST) for name in (arm, "sft")])
            yield Contrast("gain", arm, "sft", LAST, ALL_TASKS, both)


def _row(contrast: Contrast) -> dict[str, object]:
    arms = contrast.arm, contrast.other
    ours, theirs = same_seeds(contrast.scores, *arms)
    difference = paired_difference(ours, theirs)
    where = _where(contrast.budget, contrast.tasks)
    return {
        "family": contrast.family,
        "contrast": " - ".join(map(label, arms)),
        "programs": contrast.budget,
        "tasks": contrast.tasks,
        **difference._asdict(),
        "p": bootstrap_p(ours, theirs),
        "greedy_p": mcnemar(*same_seeds(contrast.scores, *arms, column="greedy")),
        "improvement": improvement(ours, theirs).value,
        "smallest": smallest_difference(ours, theirs),
        "by seed": np.nanmean(ours - theirs, 1).tolist(),
        "in words": where + in_words(*map(label, arms), difference),
    }


def at_budget(scores: pd.DataFrame, arm: str, budget: str) -> pd.DataFrame:
    """An arm's scores after its first round (`FIRST`), or after its last (`LAST`)."""
    of_arm = scores[scores["arm"] == arm]
    if budget == LAST or of_arm.empty:
        return final(of_arm)
    return of_arm[of_arm["programs"] == of_arm["programs"].min()]


def on_all_fail_tasks(scores: pd.DataFrame, of: pd.DataFrame) -> pd.DataFrame:
    """The rows of `of` on tasks where all samples of the same seed's SFT model fail.

    `scores` have the SFT model's rows.  Each seed has all-fail tasks of its own.
    """
    of_sft = final(scores[scores["arm"] == "sft"])
    all_fail = of_sft.loc[of_sft["passed"] == 0, ["seed", "task_id"]]
    return of.merge(all_fail, on=["seed", "task_id"])


def grouped(scores: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Scores of each of `GROUPS` with those of SFT; a group of one arm is left out."""
    aligned = scores[~scores["arm"].isin(["base", "sft"])]
    groups = {}
    for title, belongs in GROUPS.items():
        members = [name for name in set(aligned["arm"]) if belongs(parse_arm(name))]
        of_group = aligned[aligned["arm"].isin(members)]
        if of_group["arm"].nunique() > 1:
            groups[title] = pd.concat([scores[scores["arm"] == "sft"], of_group])
    return groups


# --- In words


def answer(contrasts: pd.DataFrame, scores: pd.DataFrame) -> str:
    """The study's answer in one sentence: the primary contrasts on all tasks at the end.

    `contrasts` is the `contrast_table` of `scores`.
    """
    if not (scores["passed"].any() or scores["greedy"].any()):
        programs = int(scores["samples"].sum())
        return (
            f"No model passed one of its {programs:,} sampled programs, so this run can "
            "say nothing of which feedback is better."
        )
    primary = contrasts[
        (contrasts["family"] == "primary")
        & (contrasts["tasks"] == ALL_TASKS)
        & (contrasts["programs"] == LAST)
    ]
    if primary.empty:
        return "This run lacks the arms of the primary contrasts."
    ours = label(PRIMARY[0][0])
    parts = []
    for row in primary.to_dict("records"):
        other = row["contrast"].removeprefix(f"{ours} - ")
        difference = Interval(row["value"], row["low"], row["high"])
        side = "above" if difference.value > 0 else "below"
        if not difference.excludes_zero:
            side = "not told apart from"
        parts.append(f"{side} {other}, {_points(difference)}")
    return f"After all rounds, sampled pass@1 of {ours} is {'; it is '.join(parts)}."


def in_words(ours: str, theirs: str, difference: Interval) -> str:
    """A sentence that claims no more than the interval supports."""
    numbers = _points(difference)
    if not difference.excludes_zero:
        return f"{ours} against {theirs}: {numbers}; not told apart by this run."
    side = "above" if difference.value > 0 else "below"
    return f"{ours} is {side} {theirs} in sampled pass@1: {numbers}."


def _where(budget: str, tasks: str) -> str:
    """The beginning of a sentence about a part of the results."""
    parts = ["after the first round"] if budget == FIRST else []
    parts += [f"where {tasks}"] if tasks == ALL_FAIL_TASKS else []
    text = ", ".join(parts)
    return f"{text[0].upper()}{text[1:]}: " if text else ""


def _points(difference: Interval) -> str:
    points, low, high = (100 * number for number in difference)
    return f"{points:+.1f} points (95 % interval {low:+.1f} to {high:+.1f})"


# --- The crossover: ETA's gain against how strong the model was that it started from

CROSSOVER_ARM, CROSSOVER_RIVALS = "dpo-eta", ("dpo-binary", "ppo")
CROSSOVER_ARMS = ("sft", CROSSOVER_ARM, *CROSSOVER_RIVALS)
ALL_STEPS = "all"
CROSSOVER_COLUMNS = [
    *("run", "steps", "programs", "contrast", "sft", "sft low", "sft high"),
    *("silent", "silent low", "silent high", "value", "low", "high"),
]


def crossover(scores: pd.DataFrame) -> pd.DataFrame:
    """One row for each run, number of steps (or `all`), budget of programs and rival.

    `scores` are those of several runs with a column `run`: their bases differ in the noise
    of the corpus, so in how rare a pass is, and tasks differ in their number of steps.

    Columns: `run, steps, programs, contrast`; `sft`, the SFT model's sampled pass@1;
    `silent`, the fraction of tasks where all of its samples fail; and the paired difference
    `value` with `low` and `high`.  Runs come from the weakest SFT model to the strongest.
    """
    runs = {str(run): part for run, part in scores.groupby("run")}
    weakest_first = sorted(runs, key=lambda run: _strength(runs[run])["sft"])
    rows = [row for run in weakest_first for row in _crossover_rows(run, runs[run])]
    return pd.DataFrame(rows, columns=CROSSOVER_COLUMNS)


def _crossover_rows(run: str, scores: pd.DataFrame) -> Iterator[dict[str, object]]:
    parts = [(ALL_STEPS, scores)]
    parts += [(str(steps), part) for steps, part in scores.groupby("difficulty")]
    for steps, part in parts:
        for rival in CROSSOVER_RIVALS:
            for budget in (FIRST, LAST):
                both = [at_budget(part, arm, budget) for arm in (CROSSOVER_ARM, rival)]
                if any(rows.empty for rows in both):
                    continue
                pair = same_seeds(pd.concat(both), CROSSOVER_ARM, rival)
                yield {
                    "run": run,
                    "steps": steps,
                    "programs": budget,
                    "contrast": f"{label(CROSSOVER_ARM)} - {label(rival)}",
                    **_strength(part),
                    **paired_difference(*pair)._asdict(),
                }


def _strength(scores: pd.DataFrame) -> dict[str, float]:
    """How often the SFT model passes, and on how many tasks all of its samples fail."""
    [rates] = same_seeds(scores, "sft")
    return mean_interval(rates).named("sft") | mean_interval(rates == 0).named("silent")
