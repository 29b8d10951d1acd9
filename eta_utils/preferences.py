"""Which of two programs got further?  Named orderings of outcomes, and preference pairs.

>>> pairs = make_pairs(outcomes, tasks, ordering="eta", per_task=2, seed=0)
>>> pairs[0]["reason"]
'passes 4 of 7 asserts against 1'

An ordering is a key: the program with the greater key is preferred.  Pairs are gated: where
some sample of a prompt passes, every ordering pairs a passing program with a failing one;
the orderings differ in what they say among failing programs, on prompts where nothing
passed, which is where pass/fail feedback is silent.

Leaves out: training on the pairs (see `training`).
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from eta_utils.files import BadInput
from eta_utils.outcomes import Outcome
from eta_utils.tasks import Task, at_token_boundary

# Error classes; `_TIER_NAMES` has them in words.  A crash or an exit is a program that
# raised in its own way; 1 is for those that did so before the first assert.
_TIERS = {
    "syntax": 0,
    "tampered": 0,
    "budget": 2,
    "timeout": 2,
    "memory": 2,
    "exit": 3,
    "crash": 3,
    "exception": 3,
    "assertion": 4,
    "passed": 5,
}
_LOAD_ERROR = 1
_STOPPED = ("budget", "timeout", "memory")
_TIER_NAMES = (
    "does not compile",
    "fails while loading",
    "has to be stopped",
    "raises",
    "answers wrongly",
    "passes",
)

Key = tuple[float, ...]


@dataclass(frozen=True)
class Ordering:
    """A named preference among outcomes of one prompt.

    `key` maps an outcome to a tuple, compared from the left.  `reason` says in words why
    the first outcome beats the second.  `may_win` tells who can be preferred at all.
    """

    name: str
    about: str
    key: Callable[[Outcome], Key]
    reason: Callable[[Outcome, Outcome], str]
    may_win: Callable[[Outcome], bool] = lambda outcome: outcome.status != "tampered"

    def margin(self, better: Outcome, worse: Outcome) -> float:
        """By how much the keys differ where they first do; 0 or less: not better."""
        for ours, theirs in zip(self.key(better), self.key(worse), strict=True):
            if ours != theirs:
                return ours - theirs
        return 0.0


def tier(outcome: Outcome) -> int:
    """The error class, 0 (does not compile) to 5 (passes)."""
    raised = _TIERS[outcome.status] == _TIERS["exception"]
    if raised and outcome.first_failed_assert is None:
        return _LOAD_ERROR
    return _TIERS[outcome.status]


def _not_stopped(outcome: Outcome) -> bool:
    return outcome.status not in (*_STOPPED, "tampered")


def _alignment(outcome: Outcome) -> float:
    """How far the states follow the reference's; the tier where there is no reference."""
    return tier(outcome) / 5 if outcome.progress is None else outcome.progress


def _hidden(outcome: Outcome) -> float:
    try:
        return float(outcome.sample["hidden_fraction"])
    except KeyError:
        raise BadInput(
            "the ordering 'oracle' needs samples with a field 'hidden_fraction'"
        ) from None


def _by_tests(better: Outcome, worse: Outcome) -> str:
    return (
        f"passes {better.asserts_passed} of {better.asserts_total} asserts "
        f"against {worse.asserts_passed}"
    )


def _by_tier(better: Outcome, worse: Outcome) -> str:
    return f"{_TIER_NAMES[tier(better)]}, the other {_TIER_NAMES[tier(worse)]}"


def _by_steps(better: Outcome, worse: Outcome) -> str:
    return f"runs {better.steps} steps before failing against {worse.steps}"


def _by_coverage(better: Outcome, worse: Outcome) -> str:
    return f"reaches {better.lines_reached} lines against {worse.lines_reached}"


def _by_alignment(better: Outcome, worse: Outcome) -> str:
    if better.progress is None or worse.progress is None:
        return _by_tier(better, worse)
    return (
        f"follows the reference through {better.progress:.0%} of its states "
        f"against {worse.progress:.0%}"
    )


def _by_eta(better: Outcome, worse: Outcome) -> str:
    if better.fraction != worse.fraction:
        return _by_tests(better, worse)
    if _alignment(better) != _alignment(worse):
        return _by_alignment(better, worse)
    return _by_tier(better, worse)


def _by_hidden(better: Outcome, worse: Outcome) -> str:
    return f"passes {_hidden(better):.0%} of the hidden tests against {_hidden(worse):.0%}"


def _by_passing(better: Outcome, worse: Outcome) -> str:
    return (
        f"passes all {better.asserts_total} asserts; the other {_TIER_NAMES[tier(worse)]}"
    )


ORDERINGS = {
    each.name: each
    for each in (
        Ordering("binary", "passed or not", lambda o: (float(o.passed),), _by_passing),
        Ordering(
            "steps",
            "executed steps before the first failure, endless loops and all",
            lambda o: (float(o.passed), o.steps),
            _by_steps,
        ),
        Ordering(
            "fraction",
            "share of the asserts that hold",
            lambda o: (float(o.passed), o.fraction),
            _by_tests,
        ),
        Ordering("tier", "class of the error", lambda o: (tier(o),), _by_tier),
        Ordering(
            "coverage",
            "distinct lines reached before the failure",
            lambda o: (float(o.passed), o.lines_reached),
            _by_coverage,
        ),
        Ordering(
            "alignment",
            "how far the variable states follow the reference's",
            lambda o: (float(o.passed), _alignment(o)),
            _by_alignment,
        ),
        Ordering(
            "eta",
            "share of asserts, then alignment, then tier; a stopped program never wins",
            lambda o: (float(o.passed), o.fraction, _alignment(o), tier(o)),
            _by_eta,
            _not_stopped,
        ),
        Ordering(
            "oracle",
            "share of the hidden tests (needs 'hidden_fraction'; for analysis alone)",
            lambda o: (_hidden(o),),
            _by_hidden,
        ),
    )
}


def make_pairs(
    outcomes: Iterable[Outcome],
    tasks: Mapping[str, Task],
    ordering: str = "eta",
    per_task: int = 2,
    margin: float = 0.0,
    seed: int = 0,
) -> list[dict]:
    """Preference pairs in TRL's format, tasks in the order of their first outcome.

    At most `per_task` pairs per prompt, chosen at random among those whose keys differ by
    more than `margin` at the first place where they differ, each program used once before
    any is used twice.  Each pair: `prompt, chosen, rejected, task_id, ordering, margin,
    reason`; the prompt's last newlines stand at the front of chosen and rejected (see
    `tasks.at_token_boundary`).  Outcomes that are judge errors are left out.
    """
    by_task: dict[str, dict[str, Outcome]] = defaultdict(dict)
    for outcome in outcomes:
        if outcome.status != "judge_error":
            text = tasks[outcome.task_id].program(outcome.sample)
            by_task[outcome.task_id].setdefault(text, outcome)
    pairs = []
    for task_id, programs in by_task.items():
        rng = random.Random(f"{seed} {task_id}")
        found = _candidate_pairs(list(programs.values()), ORDERINGS[ordering], margin)
        rng.shuffle(found)
        for better, worse in _spread(found)[:per_task]:
            pairs.append(_record(tasks[task_id], ORDERINGS[ordering], better, worse))
    return pairs


def _candidate_pairs(
    outcomes: list[Outcome], ordering: Ordering, margin: float
) -> list[tuple[Outcome, Outcome]]:
    passing = [outcome for outcome in outcomes if outcome.passed]
    if passing:  # the gate: failing programs never win where something passed
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
    gated = bool(better.passed)
    why = _by_passing if gated else ordering.reason
    return {
        "prompt": prompt,
        "chosen": chosen,
        "rejected": rejected,
        "task_id": task.task_id,
        "ordering": ordering.name,
        "margin": 1.0 if gated else ordering.margin(better, worse),
        "reason": why(better, worse),
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
