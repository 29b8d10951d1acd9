"""Are eta's labels right on real programs?  Its weights, and what they are worth.

    python -m tests.bench_audit [SAMPLES]

Judges the distinct CodeGen-16B samples on HumanEval (see `tests/conftest.py`; any file of
HumanEval samples will do) by the first half of each task's asserts and by the second, fits
eta's weights to the even-numbered tasks alone, and prints the audit of each ordering on the
even-numbered tasks, on the odd-numbered ones, which nothing was chosen on, and on all.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from scipy.optimize import minimize

from eta_utils.audit import Programs, audit_table, by_halves, count
from eta_utils.files import read_jsonl
from eta_utils.orderings import tier
from eta_utils.outcomes import Outcome
from eta_utils.results import joined
from eta_utils.tasks import load_tasks
from tests.conftest import ROOT

FEATURES = ("asserts", "closeness", "constant", "fails to load", "raises")
SHRINKAGE = 0.01
AT_MOST = 40  # programs of a task to fit to, or a few tasks would decide
SHOWN = [
    *("ordering", "right, fail/fail", "decides, fail/fail", "right, tied", "decides, tied"),
    *("yield", "padded"),
]
NAMES = ("eta", "states", "fraction", "tier", "alignment", "prefix", "coverage", "steps")


def main() -> None:
    """Judge, fit, print."""
    folder = Path(os.environ.get("ETA_DATA", ROOT.parent / "shared" / "data"))
    real = folder / "codegen16b_humaneval.jsonl.gz"
    programs = judged_programs(Path(sys.argv[1]) if len(sys.argv) > 1 else real)
    even = {name: each for name, each in programs.items() if _number(name) % 2 == 0}
    odd = {name: each for name, each in programs.items() if _number(name) % 2}
    weights = fitted(even)
    print("weights fitted to the even-numbered tasks, the share of asserts being 1:")
    for name, weight in zip(FEATURES, weights / weights[0], strict=True):
        print(f"  {name:14} {weight:+.2f}")
    counts = count(programs, NAMES)
    for title, part in (("even-numbered", even), ("odd-numbered", odd), ("all", programs)):
        table = joined(audit_table(counts[counts["task_id"].isin(part)]))
        print(f"\n{title} tasks: {len(part)}\n{table[SHOWN].to_string(index=False)}")


def judged_programs(path: Path) -> dict[str, Programs]:
    """The distinct programs of tasks with at least 4 asserts, judged by both halves."""
    rows = ((row["task_id"], row["completion"]) for _, row in read_jsonl(path))
    samples = [{"task_id": name, "completion": text} for name, text in dict.fromkeys(rows)]
    return by_halves(samples, load_tasks("humaneval"), progress=True)


def fitted(programs: Mapping[str, Programs]) -> np.ndarray:
    """Logistic regression on differences of features in fail/fail pairs that the hidden
    tests tell apart (Bradley and Terry 1952).  A task's pairs weigh the root of their
    number together: those of one task are much alike."""
    differences, shares = [], []
    for each in programs.values():
        first = each.outcomes[:AT_MOST]
        failing = [i for i, outcome in enumerate(first) if not outcome.passed]
        found = np.array([_features(each.outcomes[i]) for i in failing])
        truth = each.hidden[failing]
        better, worse = np.nonzero(truth[:, None] > truth)
        if len(better):
            differences.append(found[better] - found[worse])
            shares.append(np.full(len(better), len(better) ** -0.5))
    x, share = np.concatenate(differences), np.concatenate(shares)
    scale = x.std(0)
    x, share = x / scale, share / share.sum()

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        margins = x @ weights
        slope = -share / (1 + np.exp(margins))
        value = share @ np.logaddexp(0, -margins) + SHRINKAGE * weights @ weights
        return value, x.T @ slope + 2 * SHRINKAGE * weights

    return minimize(loss, np.zeros(x.shape[1]), jac=True).x / scale


def _features(outcome: Outcome) -> tuple[float, ...]:
    classes = tier(outcome)
    return (
        outcome.fraction,
        outcome.closeness,
        float(outcome.constant),
        float(classes <= 1),
        float(classes == 3),
    )


def _number(task_id: str) -> int:
    return int(task_id.split("/")[1])


if __name__ == "__main__":
    main()
