"""Which of two programs got further?  The registry of named orderings of outcomes.

>>> ORDERINGS["eta"].margin(better, worse) > 0
True

An ordering is a key; the program with the greater key is preferred.  Raw steps are not
monotone in quality (an endless loop outruns the correct program), which is why `steps` is
here to be compared with and `eta` is the default.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from eta_utils.common.files import BadInput
from eta_utils.execution.records import Outcome

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
LEAST_ETA = 0.05  # smaller differences of `eta` are left undecided


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
    least: float = 0.0

    def margin(self, better: Outcome, worse: Outcome) -> float:
        """By how much the keys differ where they first do; 0 or less: not better.  A
        difference of no more than `least` is 0: the ordering does not decide."""
        for ours, theirs in zip(self.key(better), self.key(worse), strict=True):
            if ours != theirs:
                return ours - theirs if abs(ours - theirs) > self.least else 0.0
        return 0.0


def tier(outcome: Outcome) -> int:
    """The error class, 0 (does not compile) to 5 (passes)."""
    raised = _TIERS[outcome.status] == _TIERS["exception"]
    if raised and outcome.first_failed_assert is None:
        return _LOAD_ERROR
    return _TIERS[outcome.status]


def eta(outcome: Outcome) -> float:
    """How far a program got, from about -1.5 to 2.5.

    The share of asserts that hold; how alike its answers are to the reference's; less for
    one that always answers the same, which passes asserts by luck, and for one that does
    not even load.  The weights were fitted (logistic regression on pairs of failing
    programs) on the real samples of HumanEval's even-numbered tasks and rounded; docs/
    findings.md has what they are worth on the odd-numbered ones.
    """
    if outcome.closeness is None:  # no reference: asserts, then the class of the error
        return outcome.fraction + tier(outcome) / 10
    return (
        outcome.fraction
        + 1.5 * outcome.closeness
        - 0.4 * outcome.constant
        - 1.2 * (tier(outcome) <= _LOAD_ERROR)
        + 0.1 * (tier(outcome) == _TIERS["exception"])
    )


def _not_stopped(outcome: Outcome) -> bool:
    return outcome.status not in (*STOPPED, "tampered")


def _or_tier(outcome: Outcome, share: float | None) -> float:
    """A share of the reference's states; the tier where there is no reference."""
    return tier(outcome) / 5 if share is None else share


def _alignment(outcome: Outcome) -> float:
    return _or_tier(outcome, outcome.progress)


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


def _by_prefix(better: Outcome, worse: Outcome) -> str:
    if better.prefix is None or worse.prefix is None:
        return _by_tier(better, worse)
    return (
        f"misses none of the reference's states for {better.prefix:.0%} of them "
        f"against {worse.prefix:.0%}"
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
    reasons = []
    if better.asserts_passed != worse.asserts_passed:
        reasons.append(_by_tests(better, worse))
    if better.closeness != worse.closeness:
        alike, against = better.closeness, worse.closeness
        reasons.append(f"answers {alike:.0%} like the reference against {against:.0%}")
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
    each.name: each
    for each in (
        Ordering("binary", "passed or not", lambda o: (float(o.passed),), by_passing),
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
            "prefix",
            "how far the states follow the reference's before the first that is missed",
            lambda o: (float(o.passed), _or_tier(o, o.prefix)),
            _by_prefix,
        ),
        Ordering(
            "states",
            "share of asserts, then alignment, then tier; a stopped program never wins",
            lambda o: (float(o.passed), o.fraction, _alignment(o), tier(o)),
            _by_states,
            _not_stopped,
        ),
        Ordering(
            "eta",
            "share of asserts and closeness of the answers; a stopped program never wins",
            lambda o: (float(o.passed), eta(o)),
            _by_eta,
            _not_stopped,
            least=LEAST_ETA,
        ),
        Ordering(
            "oracle",
            "share of the hidden tests (needs 'hidden_fraction'; for analysis alone)",
            lambda o: (_hidden(o),),
            _by_hidden,
        ),
    )
}
