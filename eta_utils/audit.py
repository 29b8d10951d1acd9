"""Are the labels right?  Pairs made from visible tests, checked against hidden ones.

>>> hidden = hidden_fractions(hidden_outcomes, tasks)
>>> audit_pairs(pairs, hidden)["right"].value    # a share, with its interval

Done before any training: an ordering that mislabels pairs teaches the wrong thing.
Leaves out: what training on the pairs does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from eta_utils.evaluation import Interval, proportion
from eta_utils.outcomes import Outcome
from eta_utils.tasks import Task


def hidden_fractions(
    outcomes: Iterable[Outcome], tasks: Mapping[str, Task]
) -> dict[str, float]:
    """Share of the hidden tests that each program passes, by the program's text."""
    return {
        tasks[each.task_id].program(each.sample): each.fraction
        for each in outcomes
        if each.passed is not None
    }


def audit_pairs(
    pairs: Sequence[dict], hidden: Mapping[str, float]
) -> dict[str, int | Interval]:
    """How often the hidden tests agree with a pair: counts, and shares with intervals.

    `right` is the share of pairs whose winner passes more hidden tests, among those where
    the hidden tests tell the two apart (`told apart`, a share of all pairs).
    """
    better = worse = 0
    for pair in pairs:
        winner = hidden[pair["prompt"] + pair["chosen"]]
        loser = hidden[pair["prompt"] + pair["rejected"]]
        better += winner > loser
        worse += winner < loser
    return {
        "pairs": len(pairs),
        "right": proportion(better, better + worse),
        "told apart": proportion(better + worse, len(pairs)),
    }


def silent_yield(pairs: Sequence[dict], outcomes: Sequence[Outcome]) -> Interval:
    """Among prompts where no sample passes, the share that gives at least one pair."""
    passing = {each.task_id for each in outcomes if each.passed}
    silent = {each.task_id for each in outcomes} - passing
    paired = {pair["task_id"] for pair in pairs} & silent
    return proportion(len(paired), len(silent))
