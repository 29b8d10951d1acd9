"""Are eta's labels right on real programs?  Its weights, and what they are worth.

    python -m tests.analysis.bench_audit [SAMPLES]

Judges the distinct CodeGen-16B samples on HumanEval (see `tests/conftest.py`; any file of
HumanEval samples will do) by the first half of each task's asserts and by the second.  Fits
eta's weights to the even-numbered tasks alone.  Prints the audit of each ordering on the
even-numbered tasks, on the odd-numbered ones, which nothing was chosen on, and on all.
Then does the same with all of HumanEval's asserts visible, and 40 of HumanEval+'s inputs
hidden.  Prints how often a failing program's departing line is found, and how often that is
the line where it raised.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.optimize import minimize

from eta_utils.analysis.audit import (
    Programs,
    audit_table,
    by_halves,
    by_hidden,
    count,
    count_departures,
    departures,
)
from eta_utils.analysis.tables import joined
from eta_utils.common.files import read_jsonl
from eta_utils.execution import judge
from eta_utils.execution.records import Outcome
from eta_utils.preferences.orderings import tier
from eta_utils.tasks import Task, load_tasks
from eta_utils.tasks.asserts import counted
from tests.conftest import ROOT

FEATURES = ("asserts", "closeness", "constant", "fails to load", "raises")
SHRINKAGE = 0.01
AT_MOST = 40  # programs of a task to fit to, or a few tasks would decide
SHOWN = [
    *("ordering", "right, fail/fail", "decides, fail/fail", "right, tied", "decides, tied"),
    *("yield", "padded"),
]
NAMES = ("eta", "states", "fraction", "tier", "alignment", "steps")


def main() -> None:
    """Judge, fit, print."""
    folder = Path(os.environ.get("ETA_DATA", ROOT.parent / "shared" / "data"))
    real = folder / "codegen16b_humaneval.jsonl.gz"
    samples = read_samples(Path(sys.argv[1]) if len(sys.argv) > 1 else real)
    os.environ.setdefault("ETA_DATA", str(folder))
    programs = by_halves(samples, load_tasks("humaneval"), progress=True)
    even = {name: some for name, some in programs.items() if _number(name) % 2 == 0}
    odd = {name: some for name, some in programs.items() if _number(name) % 2}
    weights = fitted(even)
    print("weights fitted to the even-numbered tasks, the fraction of asserts being 1:")
    for name, weight in zip(FEATURES, weights / weights[0], strict=True):
        print(f"  {name:14} {weight:+.2f}")
    counts = count(programs, NAMES)
    for title, part in (("even-numbered", even), ("odd-numbered", odd), ("all", programs)):
        show(f"{title} tasks", counts[counts["task_id"].isin(part)])
    tasks = load_tasks("humaneval")
    outcomes = list(judge(samples, tasks, progress=True))
    show_departures(outcomes, tasks)
    plus = against_humaneval_plus(outcomes, tasks)
    show("HumanEval+ hidden, all tasks", count(plus, NAMES))
    odd = {name: some for name, some in plus.items() if _number(name) % 2}
    show("HumanEval+ hidden, odd-numbered tasks", count(odd, NAMES))


def show(title: str, counts: pd.DataFrame) -> None:
    """Print the audit of counted pairs."""
    table = joined(audit_table(counts))
    print(
        f"\n{title}: {counts['task_id'].nunique()}\n{table[SHOWN].to_string(index=False)}"
    )


def show_departures(outcomes: Sequence[Outcome], tasks: Mapping[str, Task]) -> None:
    """Print the audit of departing lines, and how many there are of each kind."""
    table = joined(departures(count_departures(outcomes, tasks)))
    print(f"\ndeparting lines, all asserts visible\n{table.to_string(index=False)}")
    kinds = Counter(outcome.departure_kind for outcome in outcomes if outcome.departure)
    print(", ".join(f"{kind} {number:,}" for kind, number in kinds.most_common()))


def read_samples(path: Path) -> list[dict]:
    """The distinct programs of a file of HumanEval samples."""
    rows = ((row["task_id"], row["completion"]) for _, row in read_jsonl(path))
    return [{"task_id": name, "completion": text} for name, text in dict.fromkeys(rows)]


def against_humaneval_plus(
    outcomes: Sequence[Outcome], tasks: Mapping[str, Task]
) -> dict[str, Programs]:
    """Programs by all of HumanEval's asserts, and by HumanEval+'s inputs as hidden ones."""
    plus = load_tasks("humaneval+", apart=True)
    hidden = {name: counted(task) for name, task in plus.items()}
    return by_hidden(outcomes, hidden, tasks, progress=True)


def fitted(prompts: Mapping[str, Programs]) -> np.ndarray:
    """The weights of `FEATURES` (F,), fitted to fail/fail pairs of one task.

    Logistic regression on the differences of features in pairs that the hidden tests
    distinguish (Bradley and Terry 1952).
    """
    differences, weights_of_pairs = [], []
    for programs in prompts.values():
        first = programs.outcomes[:AT_MOST]
        failing = [i for i, outcome in enumerate(first) if not outcome.passed]
        features = np.array([_features(programs.outcomes[i]) for i in failing])
        truth = programs.hidden[failing]
        better, worse = np.nonzero(truth[:, None] > truth)
        if len(better):
            differences.append(features[better] - features[worse])
            # A task's pairs weigh the root of their number together: they are much alike.
            weights_of_pairs.append(np.full(len(better), len(better) ** -0.5))
    x, share = np.concatenate(differences), np.concatenate(weights_of_pairs)  # (P, F), (P,)
    # In units of their spread, so that the penalty is fair to all features.
    scale = x.std(0)
    x, share = x / scale, share / share.sum()

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        """Mean of -log sigmoid(margin) with an L2 penalty, and its gradient."""
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
