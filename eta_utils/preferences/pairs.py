"""Preference pairs in TRL's format, made from outcomes by a named ordering.

>>> pairs = make_pairs(outcomes, tasks, ordering="eta", per_task=2, seed=0)
>>> pairs[0]["reason"]
'passes 4 of 7 asserts against 1'

Pairs are gated: where some sample of a prompt passes, every ordering pairs a passing
program with a failing one; the orderings differ in what they say among failing programs,
on prompts where nothing passed, which is where pass/fail feedback is silent.

Leaves out: training on the pairs.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from eta_utils.common.settings import Settings, setting
from eta_utils.execution.records import Outcome
from eta_utils.preferences.orderings import ORDERINGS, Ordering, by_passing
from eta_utils.tasks import Task, at_token_boundary


@dataclass(frozen=True)
class PairSettings(Settings):
    """Which preference pairs are made (`preferences.make_pairs`)."""

    pairs_per_prompt: int = setting(
        2,
        "most preference pairs made of one prompt's samples",
        at_least=1,
        flag="--per-task",
    )
    pair_margin: float = setting(
        0.0,
        "least lead of a failing winner, in its ordering's key",
        at_least=0,
        flag="--margin",
    )


def make_pairs(
    outcomes: Iterable[Outcome],
    tasks: Mapping[str, Task],
    ordering: str = "eta",
    settings: PairSettings = PairSettings(),
    *,
    gated: bool = True,
    seed: int = 0,
) -> list[dict]:
    """Preference pairs in TRL's format, tasks in the order of their first outcome.

    At most `per_task` pairs per prompt, chosen at random among those whose keys differ by
    more than `margin` at the first place where they differ, each program used once before
    any is used twice.  Each pair: `prompt, chosen, rejected, task_id, ordering, margin,
    reason, winner_passes`; the prompt's last newlines stand at the front of chosen and
    rejected (see
    `tasks.at_token_boundary`).  Outcomes that are judge errors are left out.
    Without the gate the ordering pairs all programs alike.
    """
    by_task: dict[str, dict[str, Outcome]] = defaultdict(dict)
    for outcome in outcomes:
        if outcome.status != "judge_error":
            text = tasks[outcome.task_id].program(outcome.sample)
            by_task[outcome.task_id].setdefault(text, outcome)
    pairs = []
    for task_id, programs in by_task.items():
        rng = random.Random(f"{seed} {task_id}")
        found = _candidate_pairs(
            list(programs.values()), ORDERINGS[ordering], settings.pair_margin, gated
        )
        rng.shuffle(found)
        for better, worse in _spread(found)[: settings.pairs_per_prompt]:
            pairs.append(_record(tasks[task_id], ORDERINGS[ordering], better, worse))
    return pairs


def _candidate_pairs(
    outcomes: list[Outcome], ordering: Ordering, margin: float, gated: bool
) -> list[tuple[Outcome, Outcome]]:
    passing = [outcome for outcome in outcomes if outcome.passed]
    if passing and gated:  # the gate: failing programs never win where something passed
        failing = [outcome for outcome in outcomes if not outcome.passed]
        return [(better, worse) for better in passing for worse in failing]
    return [
        (better, worse)
        for better in filter(ordering.may_win, outcomes)
        for worse in outcomes
        if ordering.margin(better, worse) > margin
    ]


def _spread(pairs: list[tuple[Outcome, Outcome]]) -> list[tuple[Outcome, Outcome]]:
    """Pairs of programs not used before come first, otherwise in the order given."""
    used: set[int] = set()
    first, later = [], []
    for pair in pairs:
        ids = {id(pair[0]), id(pair[1])}
        (later if ids & used else first).append(pair)
        used |= ids if not ids & used else set()
    return first + later


def _record(task: Task, ordering: Ordering, better: Outcome, worse: Outcome) -> dict:
    prompt, chosen = _split(task, better.sample)
    _, rejected = _split(task, worse.sample)
    passes = bool(better.passed)
    why = by_passing if passes and not worse.passed else ordering.reason
    return {
        "prompt": prompt,
        "chosen": chosen,
        "rejected": rejected,
        "task_id": task.task_id,
        "ordering": ordering.name,
        "margin": 1.0 if why is by_passing else ordering.margin(better, worse),
        "reason": why(better, worse),
        "winner_passes": passes,
    }


def _split(task: Task, sample: dict) -> tuple[str, str]:
    """(Prompt, answer) at the token boundary.  A solution that repeats the prompt is cut
    to its completion; one that does not stays whole."""
    if "solution" not in sample:
        return at_token_boundary(task.prompt, sample["completion"])
    solution = sample["solution"]
    if solution.startswith(task.prompt):
        return at_token_boundary(task.prompt, solution[len(task.prompt) :])
    return at_token_boundary(task.prompt, "\n" + solution)
