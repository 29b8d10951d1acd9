"""Are the labels right?  Orderings of visible outcomes, checked against hidden tests.

>>> programs = by_prompt(outcomes, hidden_fractions(hidden_outcomes, tasks), tasks)
>>> counts = count(programs, ["eta", "steps"])    # by ordering and task
>>> audit_table(counts)                           # fractions, with intervals over tasks
>>> by_margin(count_margins(programs, "eta"))     # the same by how clear a decision is

An ordering sees the visible tests; the hidden ones say who is right.  Every pair of
distinct programs for one prompt counts, not only the few that are trained on.  It is done
before any training: an ordering that mislabels pairs teaches the wrong thing.

What a trace says of the place is audited apart: `count_departures` and `departures`.

An argument `prompts` maps the task of each prompt to its `Programs`.  A matrix (N, N)
compares program i (rows) with program j (columns) of one prompt.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import pandas as pd

from eta_utils.analysis.statistics import ratio_interval
from eta_utils.execution import JudgeSettings, judge
from eta_utils.execution.records import Outcome
from eta_utils.preferences.orderings import ORDERINGS, STOPPED, Ordering
from eta_utils.tasks import Task
from eta_utils.tasks.asserts import in_halves

Item = TypeVar("Item")

# Of a prompt with more distinct programs so many count, drawn at random: time and memory
# grow with their square.
MOST_PROGRAMS = 500
MARGINS = ("smallest third", "middle third", "largest third")
PADDED = 4  # times the loser's steps
# Each column of the audit is a sum of counts over another.  Kept files have these names:
# "told apart" are pairs that the hidden tests distinguish, "silent" all-fail prompts.
SHARES = {
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
# The same for the audit of departing lines: "failing" are programs that compile and fail.
DEPARTURE_SHARES = {
    "departure found": ("found", "failing"),
    "is the raising line": ("raising", "found"),
    "is the first differing line": ("differing", "found"),
}
DEPARTURE_COUNTS = sorted({name for share in DEPARTURE_SHARES.values() for name in share})


# --- Programs, judged by visible and by hidden tests


@dataclass(frozen=True)
class Programs:
    """The N distinct programs of one prompt.

    `outcomes` are by the visible tests; `hidden` is the fraction of the hidden asserts that
    each program passes, (N,).
    """

    outcomes: list[Outcome]
    hidden: np.ndarray

    @property
    def passed(self) -> np.ndarray:
        """Whether each passes the visible tests, (N,)."""
        return np.array([bool(outcome.passed) for outcome in self.outcomes])

    @property
    def fraction(self) -> np.ndarray:
        """The fraction of the visible asserts that each passes, (N,)."""
        return np.array([outcome.fraction for outcome in self.outcomes])


def by_hidden(
    outcomes: Sequence[Outcome],
    hidden: Mapping[str, Task],
    tasks: Mapping[str, Task],
    settings: JudgeSettings = JudgeSettings(),
    progress: bool = False,
) -> dict[str, Programs]:
    """The distinct programs of `outcomes`, judged again by the tasks' hidden tests.

    `outcomes` are by visible tests; those of tasks that are not in `hidden` are left out.
    Of one prompt at most `MOST_PROGRAMS` count, drawn at random.
    """
    kept = [outcome for outcome in outcomes if outcome.task_id in hidden]
    texts = (
        (outcome.task_id, tasks[outcome.task_id].program(outcome.sample))
        for outcome in kept
    )
    kept = _drawn(kept, texts)
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
    tasks with too few asserts for that are left out (see `tasks.asserts.in_halves`).  Of
    one prompt at most `MOST_PROGRAMS` count, drawn at random.
    """
    halves = {name: in_halves(task) for name, task in tasks.items()}
    visible = {name: task for name, task in halves.items() if task is not None}
    hidden = {name: task.hidden() for name, task in visible.items()}
    kept = [sample for sample in samples if sample["task_id"] in visible]
    texts = (
        (sample["task_id"], tasks[sample["task_id"]].program(sample)) for sample in kept
    )
    kept = _drawn(kept, texts)
    outcomes = list(judge(kept, visible, settings, progress=progress))
    return by_hidden(outcomes, hidden, visible, settings, progress)


def by_prompt(
    outcomes: Iterable[Outcome], hidden: Mapping[str, float], tasks: Mapping[str, Task]
) -> dict[str, Programs]:
    """The distinct programs of each prompt, with `hidden_fractions` of them.

    Programs that the judge failed on, by either tests, are left out.
    """
    prompts: dict[str, dict[str, Outcome]] = defaultdict(dict)
    for outcome in outcomes:
        text = tasks[outcome.task_id].program(outcome.sample)
        if outcome.passed is not None and text in hidden:
            prompts[outcome.task_id].setdefault(text, outcome)
    return {
        task: Programs([*by_text.values()], np.array([hidden[text] for text in by_text]))
        for task, by_text in prompts.items()
    }


def hidden_fractions(
    outcomes: Iterable[Outcome], tasks: Mapping[str, Task]
) -> dict[str, float]:
    """By a program's text, the fraction of the hidden asserts that it passes.

    `outcomes` are by the hidden tests; programs that the judge failed on are left out.
    """
    return {
        tasks[outcome.task_id].program(outcome.sample): outcome.fraction
        for outcome in outcomes
        if outcome.passed is not None
    }


def _drawn(items: Sequence[Item], texts: Iterable[tuple[str, str]]) -> list[Item]:
    """The items with different texts; of one task at most `MOST_PROGRAMS`, at random.

    `texts` has the task and the program's text of each item.
    """
    by_task: dict[str, dict[str, int]] = defaultdict(dict)
    for number, (task, text) in enumerate(texts):
        by_task[task].setdefault(text, number)
    kept: list[int] = []
    for task, by_text in by_task.items():
        numbers = [*by_text.values()]
        if len(numbers) > MOST_PROGRAMS:
            # Seeded by the task, so that it does not matter which others there are.
            numbers = random.Random(task).sample(numbers, MOST_PROGRAMS)
        kept += numbers
    return [items[number] for number in sorted(kept)]


# --- How often each ordering is right


def count(prompts: Mapping[str, Programs], orderings: Sequence[str]) -> pd.DataFrame:
    """One row for each ordering and task: `ordering`, `task_id` and `COUNTS` of pairs.

    These counts are all that `audit_table` needs.
    """
    rows = [
        {"ordering": name, "task_id": task} | _count(programs, ORDERINGS[name])
        for name in orderings
        for task, programs in prompts.items()
    ]
    return pd.DataFrame(rows, columns=["ordering", "task_id", *COUNTS])


def audit_table(counts: pd.DataFrame) -> pd.DataFrame:
    """What each ordering's pairs are worth: one row of fractions.

    Each has `low` and `high`, the ends of its interval over tasks; a task under several
    seeds counts as several.

    Of fail/fail pairs that the hidden tests distinguish, `decides` is the fraction that the
    ordering decides.  Of these, `right` is the fraction in which the winner passes more
    hidden asserts.  `tied` pairs are those that pass equally many visible asserts.
    `yield` is the fraction of all-fail prompts that give a pair.
    Of all winners over failing programs, `endless` had to be stopped, and `padded` ran
    `PADDED` times the loser's steps without passing more hidden asserts.
    """
    rows = []
    for name, part in counts.groupby("ordering", sort=False):
        row = {"ordering": name, "fail/fail pairs": int(part["told apart"].sum())}
        for share, (some, whole) in SHARES.items():
            row |= ratio_interval(part[some], part[whole]).named(share)
        rows.append(row)
    return pd.DataFrame(rows)


def count_margins(prompts: Mapping[str, Programs], ordering: str) -> pd.DataFrame:
    """Decided fail/fail pairs that the hidden tests distinguish, by task and margin.

    Columns: `task_id`, `margin` (absolute), the number of such `pairs`, and how many of
    them are `right`.  These counts are all that `by_margin` needs.
    """
    parts = []
    for name, programs in prompts.items():
        margin, truth, failing = _compared(programs, ORDERINGS[ordering])
        decided = failing & (truth > 0) & (margin != 0)
        sizes, place = np.unique(np.abs(margin[decided]), return_inverse=True)
        right = np.bincount(place, margin[decided] > 0, minlength=len(sizes))
        columns = {"margin": sizes, "pairs": np.bincount(place), "right": right.astype(int)}
        parts.append(pd.DataFrame(columns | {"task_id": name}))
    columns = ["task_id", "margin", "pairs", "right"]
    return pd.concat(parts)[columns] if parts else pd.DataFrame(columns=columns)


def by_margin(counts: pd.DataFrame) -> pd.DataFrame:
    """How often decided pairs are right, in thirds of all of them by margin.

    `counts` are those of `count_margins`.  Each row has `margin` (which third), the number
    of `pairs`, and `right` with its interval over tasks.  Without pairs there are no rows.
    """
    columns = ["margin", "pairs", "right"]
    if counts.empty:
        return pd.DataFrame(columns=columns)
    by_size = counts.groupby("margin", as_index=False)["pairs"].sum()
    # The sizes of all pairs in their order, without one entry for each pair.
    until = by_size["pairs"].cumsum().to_numpy()
    edges = [
        by_size["margin"][int(np.searchsorted(until, share * (until[-1] - 1), "right"))]
        for share in (1 / 3, 2 / 3)
    ]
    third = np.digitize(counts["margin"], edges, right=True)
    rows = []
    for number, name in enumerate(MARGINS):
        inside = counts.assign(
            pairs=counts["pairs"].where(third == number, 0),
            right=counts["right"].where(third == number, 0),
        )
        of_task = inside.groupby("task_id", sort=False)[["pairs", "right"]].sum()
        rows.append(
            {
                "margin": name,
                "pairs": int(of_task["pairs"].sum()),
                "right": ratio_interval(of_task["right"], of_task["pairs"]),
            }
        )
    return pd.DataFrame(rows, columns=columns)


def tied(
    prompts: Mapping[str, Programs], ordering: str
) -> dict[str, tuple[str, Outcome, Outcome]]:
    """Examples of failing pairs that pass equally many visible asserts.

    Of the pairs that the ordering decides, the one with the largest margin that is `right`
    by the hidden tests and the one that is `wrong`, where there are such, each as (task,
    winner, loser).
    """
    widest: dict[str, tuple[float, str, Outcome, Outcome]] = {}
    for name, programs in prompts.items():
        margin, truth, failing = _compared(programs, ORDERINGS[ordering])
        won = failing & _equal(programs.fraction) & (margin > 0)
        for kind, pairs in (("right", won & (truth > 0)), ("wrong", won & (truth < 0))):
            if not pairs.any():
                continue
            place = np.where(pairs, margin, -np.inf).argmax()
            winner, loser = np.unravel_index(place, margin.shape)
            most = float(margin[winner, loser])
            if kind not in widest or most > widest[kind][0]:
                pair = programs.outcomes[winner], programs.outcomes[loser]
                widest[kind] = (most, name, *pair)
    return {kind: widest[kind][1:] for kind in ("right", "wrong") if kind in widest}


# --- Departing lines


def count_departures(
    outcomes: Iterable[Outcome], tasks: Mapping[str, Task]
) -> pd.DataFrame:
    """One row for each task: `task_id` and `DEPARTURE_COUNTS` of its distinct programs.

    These counts are all that `departures` needs.  Programs that pass or do not compile, and
    tasks without a reference that passes, are left out.
    """
    counts: dict[str, dict[str, int]] = {}
    seen: set[tuple[str, str]] = set()
    for outcome in outcomes:
        task = tasks[outcome.task_id]
        program = task.program(outcome.sample)
        compiles = outcome.passed is False and outcome.status != "syntax"
        has_reference = outcome.progress is not None
        if not (compiles and has_reference) or (task.task_id, program) in seen:
            continue
        seen.add((task.task_id, program))
        row = counts.setdefault(task.task_id, dict.fromkeys(DEPARTURE_COUNTS, 0))
        row["failing"] += 1
        if outcome.departure is not None:
            reference = task.prompt + task.canonical_solution
            row["found"] += 1
            row["raising"] += outcome.departure == outcome.line
            row["differing"] += outcome.departure == _first_difference(program, reference)
    rows = [{"task_id": name} | row for name, row in counts.items()]
    return pd.DataFrame(rows, columns=["task_id", *DEPARTURE_COUNTS])


def departures(counts: pd.DataFrame) -> pd.DataFrame:
    """How often the trace names a line, and whether it was needed for that: one row.

    Each fraction has `low` and `high`, the ends of its interval over tasks; a task under
    several seeds counts as several.

    Of the `failing` programs that compile, `departure found` is the fraction in which a
    departing line is found (see `tracing.departure`).  Of these lines, `is the raising
    line` is the fraction that the first failing line alone, a traceback's, would name
    without any trace.  `is the first differing line` is the fraction that a comparison of
    the texts with the reference's would name.  That says something only of programs that
    are written line by line as the reference is, as the built-in family's are.
    """
    row: dict[str, object] = {"failing": int(counts["failing"].sum())}
    for share, (some, whole) in DEPARTURE_SHARES.items():
        row |= ratio_interval(counts[some], counts[whole]).named(share)
    return pd.DataFrame([row])


def _first_difference(program: str, reference: str) -> int | None:
    """The first line, from 1, of a program's text that is not the reference's there.

    Blanks at the ends of lines do not count.  None where all lines of the program are.
    """
    # As Python counts lines: `splitlines` also breaks at form feeds.
    ours, theirs = (text.rstrip().split("\n") for text in (program, reference))
    for number, line in enumerate(ours, 1):
        if number > len(theirs) or line.rstrip() != theirs[number - 1].rstrip():
            return number
    return None


def _count(programs: Programs, ordering: Ordering) -> dict[str, int]:
    margin, truth, failing = _compared(programs, ordering)
    passed = programs.passed
    steps = np.array([outcome.steps for outcome in programs.outcomes])
    stopped = np.array([outcome.status in STOPPED for outcome in programs.outcomes])
    # Each unordered pair is (i, j) and (j, i) in these (N, N).  `better` and `wins` hold
    # it once, with the better program, or the winner, as i.
    better = failing & (truth > 0)
    wins = failing & (margin > 0)
    even = better & _equal(programs.fraction)
    # i passes the visible tests and j does not: pass/fail feedback makes this pair.
    gated = (truth != 0) & passed[:, None] & ~passed
    padded = wins & (truth <= 0) & (steps[:, None] > PADDED * steps)
    all_fail = not passed.any()
    return {
        "told apart": int(better.sum()),
        "decided": int((better & (margin != 0)).sum()),
        "right": int((better & (margin > 0)).sum()),
        "tied": int(even.sum()),
        "tied decided": int((even & (margin != 0)).sum()),
        "tied right": int((even & (margin > 0)).sum()),
        "gated": int(gated.sum()),
        "gated right": int((gated & (truth > 0)).sum()),
        "made": int(wins.sum()),
        "endless": int((wins & stopped[:, None]).sum()),
        "padded": int(padded.sum()),
        "silent": int(all_fail),
        "gives": int(all_fail and wins.any()),
    }


def _compared(
    programs: Programs, ordering: Ordering
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Margin, truth and whether both fail the visible tests, (N, N) each.

    The margin is by how much i beats j in the ordering (negative: loses; 0: no pair is
    made).  The truth is by how much more of the hidden asserts i passes.
    """
    # As `Ordering.margin`, for all pairs at once: keys (N, K) are compared from the left,
    # so the margin is the first difference that is not 0.
    keys = np.array([ordering.key(outcome) for outcome in programs.outcomes], float)
    differences = keys[:, None] - keys  # (N, N, K)
    first = (differences != 0).argmax(2)
    margin = np.take_along_axis(differences, first[..., None], 2)[..., 0]
    margin[np.abs(margin) <= ordering.least] = 0
    may = np.array([ordering.may_win(outcome) for outcome in programs.outcomes])
    margin[(margin > 0) & ~may[:, None]] = 0
    margin[(margin < 0) & ~may] = 0
    truth = programs.hidden[:, None] - programs.hidden
    failing = ~programs.passed
    return margin, truth, failing[:, None] & failing


def _equal(values: np.ndarray) -> np.ndarray:
    """Whether i and j have the same value: (N,) to (N, N)."""
    return values[:, None] == values
