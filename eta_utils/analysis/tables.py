"""Tables made of scores: pass rates with intervals, and how they are kept and read.

>>> table = results_table(scores)     # one row per arm, with paired intervals
>>> write_results(folder, results=table)

Scores have one row per seed, arm, executed programs and held-out task (`COLUMNS`).
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from eta_utils.analysis.arms import parse_arm
from eta_utils.analysis.statistics import (
    Interval,
    mean_interval,
    paired_difference,
    pass_at_k,
)
from eta_utils.common.errors import BadInput
from eta_utils.common.files import write_whole

COLUMNS = "seed arm programs task_id difficulty samples passed greedy".split()


def label(arm: str) -> str:
    """An arm's name in tables and figures.  Raises BadInput for an unknown arm."""
    return parse_arm(arm).label


def final(scores: pd.DataFrame) -> pd.DataFrame:
    """Of each arm the evaluation after its last executed program."""
    last = scores.groupby(["seed", "arm"])["programs"].transform("max")
    return scores[scores["programs"] == last]


def matrix(scores: pd.DataFrame, arm: str, column: str = "sampled") -> np.ndarray:
    """Scores of an arm as (seeds, tasks): `sampled` pass rates, or `greedy` outcomes."""
    of_arm = scores[scores["arm"] == arm]
    if column == "sampled":
        of_arm = of_arm.assign(sampled=of_arm["passed"] / of_arm["samples"].clip(lower=1))
    return of_arm.pivot(index="seed", columns="task_id", values=column).to_numpy()


def same_seeds(ends: pd.DataFrame, *arms: str, column: str = "sampled") -> list[np.ndarray]:
    """The `matrix` of each arm, over the seeds that all of them have."""
    common = set.intersection(*(set(ends[ends["arm"] == arm]["seed"]) for arm in arms))
    kept = ends[ends["seed"].isin(common)]
    return [matrix(kept, arm, column) for arm in arms]


def results_table(scores: pd.DataFrame, against: str = "sft") -> pd.DataFrame:
    """One row per arm: pass rates with intervals, and the paired gain over `against`."""
    ends = final(scores)
    rows = []
    for arm in dict.fromkeys(ends["arm"]):
        of_arm = ends[ends["arm"] == arm]
        sampled = matrix(ends, arm)
        counts = of_arm[["samples", "passed"]].itertuples(index=False)
        at_k = pass_at_k(counts, ks=(8,))
        row: dict[str, object] = {
            "arm": label(arm),
            "seeds": sampled.shape[0],
            "programs": int(of_arm["programs"].max()),
            **mean_interval(sampled).named("pass@1"),
            "pass@8": at_k.get(8, float("nan")),
            **mean_interval(matrix(ends, arm, "greedy")).named("greedy"),
        }
        if arm != against and against in set(ends["arm"]):
            gain = paired_difference(*same_seeds(ends, arm, against))
            row |= gain.named("gain")
        rows.append(row)
    return pd.DataFrame(rows)


def by_difficulty(scores: pd.DataFrame) -> pd.DataFrame:
    """Sampled pass rate of each arm's end for each number of steps, with intervals."""
    ends = final(scores)
    rows = []
    for (arm, difficulty), part in ends.groupby(["arm", "difficulty"], sort=False):
        interval = mean_interval(matrix(part, arm))
        rows.append({"arm": arm, "difficulty": difficulty} | interval.named("pass@1"))
    return pd.DataFrame(rows)


def write_results(folder: Path, **tables: pd.DataFrame) -> None:
    """Keep tables as CSV: `scores`, and those that are computed from them."""
    for name, rows in tables.items():
        with write_whole(folder / f"{name}.csv") as file:
            rows.to_csv(file, index=False, float_format="%.6g", lineterminator="\n")


def joined(rows: pd.DataFrame) -> pd.DataFrame:
    """A table to be read: columns `x`, `x low`, `x high` (or `value, low, high`) become
    one, in words: "0.135 [0.110, 0.160]", or "-" where there is no value."""
    rows = rows.rename(columns={"low": "value low", "high": "value high"})
    for name in [each for each in rows if f"{each} low" in rows]:
        low, high = rows.pop(f"{name} low"), rows.pop(f"{name} high")
        rows[name] = [
            str(Interval(*ends)) for ends in zip(rows[name], low, high, strict=True)
        ]
    return rows


def load_table(path: Path, columns: Iterable[str] = COLUMNS) -> pd.DataFrame:
    """A table that `write_results` kept: scores, or one with other columns.  Raises
    BadInput, naming the file, for one that lacks some."""
    try:
        rows = pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise BadInput(f"{path}: cannot be read as a table ({error})") from None
    if missing := set(columns) - set(rows):
        name = path.name.partition(".")[0]
        raise BadInput(f"{path}: no column {sorted(missing)[0]}; is it a run's {name}.csv?")
    return rows
