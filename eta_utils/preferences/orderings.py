"""Which of two programs got further?  The registry of named orderings of outcomes.

>>> ORDERINGS["eta"].margin(better, worse) > 0
True

An ordering is a key: the program with the greater key is preferred.  Most keys begin with
whether the program passed, so that no failing program beats a passing one.

`steps` is the founding rule.  It is kept as a baseline, since more steps are not always
better: an endless loop outruns the correct program.  `eta` is the default.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from eta_utils.common.errors import BadInput
from eta_utils.execution.records import Outcome

# Classes of error from worst to best; `_TIER_NAMES` has them in words.  A crash or an exit
# is a program that raised in its own way.  Class 1 is for those that raised before the
# first assert.
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
# Stopped by a limit.  A long trace says nothing there: an endless loop has the longest.
STOPPED = ("budget", "timeout", "memory")
_TIER_NAMES = (
    "does not compile",
    "fails while loading",
    "has to be stopped",
    "raises",
    "answers wrongly",
    "passes",
)

Key = tuple[float, ...]
LEAST_ETA = 0.05  # smaller differences of `eta` decide nothing


@dataclass(frozen=True)
class Ordering:
    """A named preference among outcomes of one prompt.

    `key` maps an outcome to a tuple, compared from the left.  `reason` says in words why
    the first outcome beats the second.  `may_win` says which outcomes can be preferred at
    all.  Differences of no more than `least` decide nothing.
    """

    name: str
    about: str
    key: Callable[[Outcome], Key]
    reason: Callable[[Outcome, Outcome], str]
    # A program that looked for its judge may have forged what is known of its execution.
    may_win: Callable[[Outcome], bool] = lambda outcome: outcome.status != "tampered"
    least: float = 0.0

    def margin(self, better: Outcome, worse: Outcome) -> float:
        """By how much the first key leads, where the two first differ.

        0 or less where `better` is not better, and 0 where the lead is at most `least`.
        """
        for ours, theirs in zip(self.key(better), self.key(worse), strict=True):
            if ours != theirs:
                return ours - theirs if abs(ours - theirs) > self.least else 0.0
        return 0.0


def tier(outcome: Outcome) -> int:
    """The class of error, from 0 (does not compile) to 5 (passes)."""
    raised = _TIERS[outcome.status] == _TIERS["exception"]
    if raised and outcome.first_failed_assert is None:
        return _LOAD_ERROR
    return _TIERS[outcome.status]


def eta(outcome: Outcome) -> float:
    """How far a program got: a number from about -1.5 to 2.5.

    A weighted sum of five features: the fraction of asserts, the closeness of the answers
    to the reference's, and three facts.  Without a reference it is the fraction of asserts
    and the class of error.

    The weights come from a logistic regression on pairs of failing programs of one task
    (Bradley and Terry 1952).  It predicts which of the two passes more hidden tests, from
    the differences of their features.  The pairs are real samples of HumanEval's
    even-numbered tasks.  The weights are divided by that of the fraction of asserts, which
    changes no order, and rounded.  docs/findings.md says how often they are right on the
    odd-numbered tasks.
    """
    if outcome.closeness is None:
        # A step from one class to the next counts as much as one assert of ten.
        return outcome.fraction + tier(outcome) / 10
    return (
        outcome.fraction  # 0 to 1
        + 1.5 * outcome.closeness  # 0 to 1; says something even where no assert passes
        - 0.4 * outcome.constant  # always the same answer: passes asserts by luck
        - 1.2 * (tier(outcome) <= _LOAD_ERROR)  # does not even load
        + 0.1 * (tier(outcome) == _TIERS["exception"])  # raised, once it had loaded
    )


def _not_stopped(outcome: Outcome) -> bool:
    return outcome.status not in (*STOPPED, "tampered")


def _alignment(outcome: Outcome) -> float:
    """Fraction of the reference's states, 0 to 1; the tier where there is no reference."""
    return tier(outcome) / 5 if outcome.progress is None else outcome.progress


def _hidden(outcome: Outcome) -> float:
    """Fraction of the hidden tests, which the sample must bring along.  Raises BadInput."""
    try:
        return float(outcome.sample["hidden_fraction"])
    except KeyError:
        raise BadInput(
            "the ordering 'oracle' needs samples with a field 'hidden_fraction'"
        ) from None


# Reasons: why the first outcome beats the second, in words.


def _by_tests(better: Outcome, worse: Outcome) -> str:
    return (
        f"passes {better.asserts_passed} of {better.asserts_total} asserts "
        f"against {worse.asserts_passed}"
    )


def _by_tier(better: Outcome, worse: Outcome) -> str:
    return f"{_TIER_NAMES[tier(better)]}, the other {_TIER_NAMES[tier(worse)]}"


def _by_steps(better: Outcome, worse: Outcome) -> str:
    return f"runs {better.steps} steps before failing against {worse.steps}"


def _by_alignment(better: Outcome, worse: Outcome) -> str:
    if better.progress is None or worse.progress is None:
        return _by_tier(better, worse)
    return (
        f"follows the reference through {better.progress:.0%} of its states "
        f"against {worse.progress:.0%}"
    )


def _by_states(better: Outcome, worse: Outcome) -> str:
    if better.fraction != worse.fraction:
        return _by_tests(better, worse)
    if _alignment(better) != _alignment(worse):
        return _by_alignment(better, worse)
    return _by_tier(better, worse)


def _by_eta(better: Outcome, worse: Outcome) -> str:
    if better.closeness is None or worse.closeness is None:
        return _by_states(better, worse)
    # What eta adds up, as far as it speaks for the winner.
    reasons = []
    if better.asserts_passed != worse.asserts_passed:
        reasons.append(_by_tests(better, worse))
    if better.closeness != worse.closeness:
        ours, theirs = better.closeness, worse.closeness
        reasons.append(f"answers {ours:.0%} like the reference against {theirs:.0%}")
    if worse.constant and not better.constant:
        reasons.append("the other always answers the same")
    return "; ".join(reasons) or _by_tier(better, worse)


def _by_hidden(better: Outcome, worse: Outcome) -> str:
    return f"passes {_hidden(better):.0%} of the hidden tests against {_hidden(worse):.0%}"


def by_passing(better: Outcome, worse: Outcome) -> str:
    """Why a passing program beats a failing one, in words."""
    return (
        f"passes all {better.asserts_total} asserts; the other {_TIER_NAMES[tier(worse)]}"
    )


ORDERINGS = {
    ordering.name: ordering
    for ordering in (
        Ordering("binary", "passed or not", lambda o: (float(o.passed),), by_passing),
        Ordering(
            "steps",
            "executed steps before the first failure, endless loops and all",
            lambda o: (float(o.passed), o.steps),
            _by_steps,
        ),
        Ordering(
            "fraction",
            "fraction of the asserts",
            lambda o: (float(o.passed), o.fraction),
            _by_tests,
        ),
        Ordering("tier", "class of the error", lambda o: (tier(o),), _by_tier),
        Ordering(
            "alignment",
            "how far the variable states follow the reference's",
            lambda o: (float(o.passed), _alignment(o)),
            _by_alignment,
        ),
        Ordering(
            "states",
            "fraction of asserts, then alignment, then tier; a stopped program never wins",
            lambda o: (float(o.passed), o.fraction, _alignment(o), tier(o)),
            _by_states,
            _not_stopped,
        ),
        Ordering(
            "eta",
            "fraction of asserts and closeness of answers; a stopped program never wins",
            lambda o: (float(o.passed), eta(o)),
            _by_eta,
            _not_stopped,
            least=LEAST_ETA,
        ),
        Ordering(
            "oracle",
            "fraction of the hidden tests (needs 'hidden_fraction'; for analysis only)",
            lambda o: (_hidden(o),),
            _by_hidden,
        ),
    )
}
