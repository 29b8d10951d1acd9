"""Are the labels right?  Orderings of visible outcomes, checked against hidden tests.

>>> programs = by_prompt(outcomes, hidden_fractions(hidden_outcomes, tasks), tasks)
>>> counts = count(programs, ["eta", "steps"])    # by ordering and task
>>> audit_table(counts)                           # shares, with intervals over tasks

Every pair of distinct programs for one prompt counts, not only the few that are trained on.
Done before any training: an ordering that mislabels pairs teaches the wrong thing.
Leaves out: what training on the pairs does.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from eta_utils.analysis.statistics import ratio_interval
from eta_utils.execution import JudgeSettings, judge
from eta_utils.execution.records import Outcome
from eta_utils.preferences.orderings import ORDERINGS, STOPPED, Ordering
from eta_utils.tasks import Task
from eta_utils.tasks.asserts import in_halves

MARGINS = ("smallest third", "middle third", "largest third")
PADDED = 4  # times the loser's steps
SHARES = {  # of which count in which
    "right, fail/fail": ("right", "decided"),
    "decides, fail/fail": ("decided", "told apart"),
    "right, tied": ("tied right", "tied decided"),
    "decides, tied": ("tied decided", "tied"),
    "right, pass/fail": ("gated right", "gated"),
    "yield": ("gives", "silent"),
    "endless": ("endless", "made"),
    "padded": ("padded", "made"),
}
COUNTS = sorted({name for share in SHARES.values() for name in share})


@dataclass(frozen=True)
class Programs:
    """The distinct programs of one prompt: outcomes by visible tests, and the share of the
    hidden tests that each passes (N,)."""

    outcomes: list[Outcome]
    hidden: np.ndarray

    @property
    def passed(self) -> np.ndarray:
        return np.array([bool(each.passed) for each in self.outcomes])


def hidden_fractions(
    outcomes: Iterable[Outcome], tasks: Mapping[str, Task]
) -> dict[str, float]:
    """Share of the hidden tests that each program passes, by the program's text."""
    return {
        tasks[each.task_id].program(each.sample): each.fraction
        for each in outcomes
        if each.passed is not None
    }


def by_prompt(
    outcomes: Iterable[Outcome], hidden: Mapping[str, float], tasks: Mapping[str, Task]
) -> dict[str, Programs]:
    """The distinct programs of each prompt; those that the judge failed on are left out."""
    found: dict[str, dict[str, Outcome]] = defaultdict(dict)
    for outcome in outcomes:
        text = tasks[outcome.task_id].program(outcome.sample)
        if outcome.passed is not None and text in hidden:
            found[outcome.task_id].setdefault(text, outcome)
    return {
        name: Programs(list(programs.values()), np.array([hidden[t] for t in programs]))
        for name, programs in found.items()
    }


def by_hidden(
    outcomes: Sequence[Outcome],
    hidden: Mapping[str, Task],
    tasks: Mapping[str, Task],
    settings: JudgeSettings = JudgeSettings(),
    progress: bool = False,
) -> dict[str, Programs]:
    """The distinct programs of `outcomes`, judged anew by the tasks' hidden tests.

    `outcomes` are by visible tests; those of tasks that are not in `hidden` are left out.
    """
    kept = [outcome for outcome in outcomes if outcome.task_id in hidden]
    samples = [outcome.sample for outcome in kept]
    checked = judge(samples, hidden, settings, progress=progress)
    return by_prompt(kept, hidden_fractions(checked, tasks), tasks)


def by_halves(
    samples: Sequence[dict],
    tasks: Mapping[str, Task],
    settings: JudgeSettings = JudgeSettings(),
    progress: bool = False,
) -> dict[str, Programs]:
    """The distinct programs of tasks that have no hidden tests of their own.

    They are judged by the first half of each task's asserts and by the second.  Samples of
    tasks with too few asserts for that are left out (see `tasks.asserts.in_halves`).
    """
    halves = {name: in_halves(task) for name, task in tasks.items()}
    visible = {name: task for name, task in halves.items() if task is not None}
    hidden = {name: task.hidden() for name, task in visible.items()}
    kept = [sample for sample in samples if sample["task_id"] in visible]
    outcomes = list(judge(kept, visible, settings, progress=progress))
    return by_hidden(outcomes, hidden, visible, settings, progress)


def count(programs: Mapping[str, Programs], orderings: Sequence[str]) -> pd.DataFrame:
    """One row for each ordering and task: `ordering, task_id` and `COUNTS` of pairs and
    prompts, which is all that `audit_table` needs."""
    rows = [
        {"ordering": name, "task_id": task} | _count(each, ORDERINGS[name])
        for name in orderings
        for task, each in programs.items()
    ]
    return pd.DataFrame(rows, columns=["ordering", "task_id", *COUNTS])


def audit_table(counts: pd.DataFrame) -> pd.DataFrame:
    """What each ordering's pairs are worth: one row of shares, each with `low` and `high`,
    the ends of its interval over tasks (those of several seeds are different tasks).

    Of fail/fail pairs that the hidden tests tell apart, `decides` is the share that the
    ordering decides, and `right` the share of those in which the winner passes more hidden
    tests; `tied` pairs are those of them that pass the same share of visible tests.
    `yield` is the share of prompts without a passing program that give a pair.
    Of all winners over failing programs, `endless` had to be stopped, and `padded` ran
    `PADDED` times the loser's steps without passing more hidden tests.
    """
    rows = []
    for name, part in counts.groupby("ordering", sort=False):
        row = {"ordering": name, "fail/fail pairs": int(part["told apart"].sum())}
        for share, (some, whole) in SHARES.items():
            row |= ratio_interval(part[some], part[whole]).named(share)
        rows.append(row)
    return pd.DataFrame(rows)


def by_margin(programs: Mapping[str, Programs], ordering: str) -> list[dict[str, object]]:
    """How often fail/fail pairs are right, in thirds of all decided pairs by margin; no row
    without programs."""
    if not programs:
        return []
    margins, rights, tasks = [], [], []
    for number, each in enumerate(programs.values()):
        margin, truth, failing = _compared(each, ORDERINGS[ordering])
        decided = failing & (truth > 0) & (margin != 0)
        margins.append(np.abs(margin[decided]))
        rights.append(margin[decided] > 0)
        tasks.append(np.full(int(decided.sum()), number))
    margin, right, task = map(np.concatenate, (margins, rights, tasks))
    edges = np.quantile(margin, (1 / 3, 2 / 3)) if len(margin) else (0.0, 0.0)
    third = np.digitize(margin, edges, right=True)
    rows = []
    for number, name in enumerate(MARGINS):
        inside = third == number
        right_of, all_of = (
            np.bincount(task[chosen], minlength=len(programs))
            for chosen in (inside & right, inside)
        )
        rows.append(
            {
                "margin": name,
                "pairs": int(inside.sum()),
                "right": ratio_interval(right_of, all_of),
            }
        )
    return rows


def tied(
    programs: Mapping[str, Programs], ordering: str
) -> dict[str, tuple[str, Outcome, Outcome]]:
    """Pairs of failing programs that pass the same share of visible tests and that the
    ordering decides by the largest margin: one `right` by the hidden tests and one `wrong`,
    where there are such, as (task, winner, loser)."""
    found: dict[str, tuple[float, str, Outcome, Outcome]] = {}
    for name, each in programs.items():
        margin, truth, failing = _compared(each, ORDERINGS[ordering])
        share = np.array([outcome.fraction for outcome in each.outcomes])
        asked = failing & (share[:, None] == share) & (margin > 0)
        for kind, pairs in (("right", asked & (truth > 0)), ("wrong", asked & (truth < 0))):
            if not pairs.any():
                continue
            place = np.where(pairs, margin, -np.inf).argmax()
            winner, loser = np.unravel_index(place, margin.shape)
            most = float(margin[winner, loser])
            if kind not in found or most > found[kind][0]:
                pair = each.outcomes[winner], each.outcomes[loser]
                found[kind] = (most, name, *pair)
    return {kind: found[kind][1:] for kind in ("right", "wrong") if kind in found}


def _count(programs: Programs, ordering: Ordering) -> dict[str, int]:
    margin, truth, failing = _compared(programs, ordering)
    passed = programs.passed
    gated = (truth != 0) & passed[:, None] & ~passed
    steps = np.array([each.steps for each in programs.outcomes])
    stopped = np.array([each.status in STOPPED for each in programs.outcomes])
    wins = failing & (margin > 0)
    better = failing & (truth > 0)
    share = np.array([each.fraction for each in programs.outcomes])
    tied = better & (share[:, None] == share)
    padded = wins & (truth <= 0) & (steps[:, None] > PADDED * steps)
    silent = not passed.any()
    return {
        "told apart": int(better.sum()),
        "decided": int((better & (margin != 0)).sum()),
        "right": int((better & (margin > 0)).sum()),
        "tied": int(tied.sum()),
        "tied decided": int((tied & (margin != 0)).sum()),
        "tied right": int((tied & (margin > 0)).sum()),
        "gated": int(gated.sum()),
        "gated right": int((gated & (truth > 0)).sum()),
        "made": int(wins.sum()),
        "endless": int((wins & stopped[:, None]).sum()),
        "padded": int(padded.sum()),
        "silent": int(silent),
        "gives": int(silent and wins.any()),
    }


def _compared(
    programs: Programs, ordering: Ordering
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For programs i (rows) and j, three (N, N): by how much i beats j in the ordering
    (negative: loses; 0: no pair is made), how many more hidden tests it passes, and whether
    both fail the visible tests."""
    keys = np.array([ordering.key(each) for each in programs.outcomes], float)
    differences = keys[:, None] - keys
    first = (differences != 0).argmax(2)
    margin = np.take_along_axis(differences, first[..., None], 2)[..., 0]
    margin[np.abs(margin) <= ordering.least] = 0
    may = np.array([ordering.may_win(each) for each in programs.outcomes])
    margin[(margin > 0) & ~may[:, None]] = 0
    margin[(margin < 0) & ~may] = 0
    truth = programs.hidden[:, None] - programs.hidden
    failing = ~programs.passed
    return margin, truth, failing[:, None] & failing
