"""Preference pairs in TRL's format, made from outcomes by a named ordering.

>>> pairs = make_pairs(outcomes, tasks, ordering="eta", seed=0)
>>> pairs[0]["reason"]
'passes 4 of 7 asserts against 1'

Pairs are gated.  Where some sample of a prompt passes, every ordering pairs a passing
program with a failing one.  The orderings differ on all-fail prompts only, where pass/fail
feedback says nothing.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from eta_utils.common.settings import Settings, setting
from eta_utils.execution.records import Outcome
from eta_utils.preferences.orderings import ORDERINGS, Key, Ordering, by_passing
from eta_utils.tasks import Task, at_token_boundary

# Of a prompt with more programs so many are compared, or twice as many as pairs are wanted:
# the work would otherwise grow with their square.
MOST_COMPARED = 200


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
        "a failing winner must lead by more than this, in its ordering's key",
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

    Of each prompt's pairs at most `settings.pairs_per_prompt` are chosen at random, each
    program used once before any is used twice.  A failing winner must lead by more than
    `settings.pair_margin` at the first place where the two keys differ.

    A pair has `prompt, chosen, rejected, task_id, ordering, margin, reason, winner_passes`.
    The prompt's last newlines stand at the front of chosen and rejected (see
    `tasks.at_token_boundary`).  Judge errors make no pairs, and of samples with the same
    text only the first counts.

    Without the gate the ordering also decides where something passed.  Of more than
    `MOST_COMPARED` programs of one prompt a random part is compared (see `_some`).

    Raises KeyError for an unknown ordering or task.
    """
    chosen_ordering = ORDERINGS[ordering]
    programs: dict[str, dict[str, Outcome]] = defaultdict(dict)  # by task, by text
    for outcome in outcomes:
        if outcome.status != "judge_error":
            text = tasks[outcome.task_id].program(outcome.sample)
            programs[outcome.task_id].setdefault(text, outcome)
    pairs = []
    for task_id, by_text in programs.items():
        # Seeded by the task, so that its pairs do not depend on which others there are.
        rng = random.Random(f"{seed} {task_id}")
        most = max(MOST_COMPARED, 2 * settings.pairs_per_prompt)
        compared = list(by_text.values())
        if len(compared) > most:
            compared = _some(compared, chosen_ordering, most, rng)
        possible = _possible_pairs(compared, chosen_ordering, settings.pair_margin, gated)
        rng.shuffle(possible)
        for better, worse in _unused_first(possible)[: settings.pairs_per_prompt]:
            pairs.append(_record(tasks[task_id], chosen_ordering, better, worse))
    return pairs


def fill(pairs: Sequence[dict], spare: Sequence[dict], count: int, seed: str) -> list[dict]:
    """`count` pairs: a random part of `pairs`, or all of them and as many more as it takes.

    The others are drawn from `spare`, pairs of the same samples.  Each pair of either kind
    is taken once before any is taken again.  Without any pair there is nothing to fill.

    Two arms then differ in which pairs they learn from, and in nothing else: neither in the
    number of pairs nor in that of optimiser steps.
    """
    rng = random.Random(seed)
    if len(pairs) >= count:
        return [pairs[place] for place in sorted(rng.sample(range(len(pairs)), count))]
    filled, known = list(pairs), {_texts(pair) for pair in pairs}
    others = [pair for pair in spare if _texts(pair) not in known]
    every = [*pairs, *others]
    while every and len(filled) < count:
        wanted = others or every
        filled += rng.sample(wanted, min(len(wanted), count - len(filled)))
        others = []  # from here on, pairs are taken again
    return filled


def _texts(pair: dict) -> tuple[str, str, str]:
    return pair["prompt"], pair["chosen"], pair["rejected"]


def sharing_prefix(outcomes: Iterable[Outcome]) -> list[Outcome]:
    """The outcomes of each prompt that begin with the prefix its restarted programs got.

    A restarted sample says in `prefix` how many characters of its completion it was given
    (`training.branching`).  Of a prompt without such samples all outcomes are kept.
    """
    by_prompt: dict[str, list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        by_prompt[outcome.task_id].append(outcome)
    kept = []
    for group in by_prompt.values():
        given = {
            outcome.sample["completion"][: outcome.sample["prefix"]]
            for outcome in group
            if outcome.sample.get("prefix")
        }
        kept += [
            outcome
            for outcome in group
            if outcome.sample["completion"].startswith(tuple(given) or "")
        ]
    return kept


def _some(
    outcomes: list[Outcome], ordering: Ordering, most: int, rng: random.Random
) -> list[Outcome]:
    """`most` of many outcomes of one prompt, so chosen that they make pairs.

    Half are passing ones and half failing ones, where there are so many.  Among each, every
    key of the ordering is there once before any is there twice, so that a single program
    that got further than thousands of equals is among them.
    """
    kinds: dict[bool, list[Outcome]] = {True: [], False: []}
    for outcome in rng.sample(outcomes, len(outcomes)):
        kinds[bool(outcome.passed)].append(outcome)
    turns = []
    for kind in kinds.values():
        seen: Counter[Key] = Counter()
        for outcome in kind:
            key = ordering.key(outcome)
            turns.append((seen[key], outcome))
            seen[key] += 1
    by_turn = sorted(turns, key=lambda turn: turn[0])  # stable: random within a turn
    rest = dict.fromkeys(kinds, most // 2)
    spare = most - sum(min(len(kind), most // 2) for kind in kinds.values())
    kept = []
    for _, outcome in by_turn:
        kind = bool(outcome.passed)
        if rest[kind] > 0:
            rest[kind] -= 1
        elif spare > 0:
            spare -= 1
        else:
            continue
        kept.append(outcome)
    return kept


def _possible_pairs(
    outcomes: list[Outcome], ordering: Ordering, margin: float, gated: bool
) -> list[tuple[Outcome, Outcome]]:
    """Every (better, worse) among the outcomes of one prompt."""
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


def _unused_first(
    pairs: list[tuple[Outcome, Outcome]],
) -> list[tuple[Outcome, Outcome]]:
    """Pairs of programs that no earlier pair used, then the others, each in their order.

    Few pairs then show many programs, and not one good program again and again.
    """
    used: set[int] = set()
    unused_pairs, other_pairs = [], []
    for better, worse in pairs:
        ids = {id(better), id(worse)}
        if ids & used:
            other_pairs.append((better, worse))
        else:
            unused_pairs.append((better, worse))
            used |= ids
    return unused_pairs + other_pairs


def _record(task: Task, ordering: Ordering, better: Outcome, worse: Outcome) -> dict:
    """One line of pairs.jsonl."""
    prompt, chosen = prompt_and_answer(task, better.sample)
    _, rejected = prompt_and_answer(task, worse.sample)
    pass_beats_fail = bool(better.passed and not worse.passed)
    reason = by_passing if pass_beats_fail else ordering.reason
    return {
        "prompt": prompt,
        "chosen": chosen,
        "rejected": rejected,
        "task_id": task.task_id,
        "ordering": ordering.name,
        # A pass against a fail counts 1, whatever the key of the ordering makes of it.
        "margin": 1.0 if pass_beats_fail else ordering.margin(better, worse),
        "reason": reason(better, worse),
        "winner_passes": bool(better.passed),
    }


def prompt_and_answer(task: Task, sample: dict) -> tuple[str, str]:
    """A sample as `make_pairs` shows it: (prompt, answer), parted at the token boundary.

    A whole program that repeats the prompt is cut to its completion; one that does not
    stays whole.
    """
    program = task.program(sample)
    if program.startswith(task.prompt):
        return at_token_boundary(task.prompt, program[len(task.prompt) :])
    return at_token_boundary(task.prompt, "\n" + program)
