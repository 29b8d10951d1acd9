"""Tables of pass rates with intervals, and how tables are kept and read.

>>> table = results_table(scores)     # one row per arm, with paired gains
>>> write_results(folder, results=table)

Scores are a table with one row for each seed, arm, number of executed programs and held-out
task.  `samples` and `passed` count the task's samples; `greedy` is 1 where the greedy one
passes (`COLUMNS`).
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


def results_table(scores: pd.DataFrame, against: str = "sft") -> pd.DataFrame:
    """One row per arm, after its last program: pass rates and the paired gain.

    Columns: `arm`, `seeds`, `programs`, and `pass@1`, `greedy` and `gain` (in pass@1, over
    the arm `against`), each with `low` and `high`; `pass@8` has no interval.
    """
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
    """One row per arm and number of steps in a task, after the arm's last program.

    Columns: `arm`, `difficulty`, and the sampled `pass@1` with `low` and `high`.
    """
    ends = final(scores)
    rows = []
    for (arm, difficulty), part in ends.groupby(["arm", "difficulty"], sort=False):
        interval = mean_interval(matrix(part, arm))
        rows.append({"arm": arm, "difficulty": difficulty} | interval.named("pass@1"))
    return pd.DataFrame(rows)


def label(arm: str) -> str:
    """An arm's name in tables and figures.  Raises BadInput for an unknown arm."""
    return parse_arm(arm).label


def final(scores: pd.DataFrame) -> pd.DataFrame:
    """The scores of each seed's arm after its last executed program."""
    last = scores.groupby(["seed", "arm"])["programs"].transform("max")
    return scores[scores["programs"] == last]


def matrix(scores: pd.DataFrame, arm: str, column: str = "sampled") -> np.ndarray:
    """Scores of an arm as (seeds, tasks); nan where a seed has no row for a task.

    `column` is `greedy`, or `sampled` for the fraction of a task's samples that pass.
    `scores` has no more than one number of programs of the arm.
    """
    of_arm = scores[scores["arm"] == arm]
    if column == "sampled":
        of_arm = of_arm.assign(sampled=of_arm["passed"] / of_arm["samples"].clip(lower=1))
    return of_arm.pivot(index="seed", columns="task_id", values=column).to_numpy()


def same_seeds(
    scores: pd.DataFrame, *arms: str, column: str = "sampled"
) -> list[np.ndarray]:
    """The `matrix` of each arm, over the seeds that all of them have."""
    common = set.intersection(
        *(set(scores.loc[scores["arm"] == arm, "seed"]) for arm in arms)
    )
    kept = scores[scores["seed"].isin(common)]
    return [matrix(kept, arm, column) for arm in arms]


def joined(rows: pd.DataFrame) -> pd.DataFrame:
    """The table for a reader: a value and the ends of its interval become one text.

    Columns `x`, `x low`, `x high` (or `value`, `low`, `high`) become `x` (or `value`), as
    in "0.135 [0.110, 0.160]", or "-" where there is no value.
    """
    rows = rows.rename(columns={"low": "value low", "high": "value high"})
    for name in [column for column in rows if f"{column} low" in rows]:
        low, high = rows.pop(f"{name} low"), rows.pop(f"{name} high")
        rows[name] = [
            str(Interval(*ends)) for ends in zip(rows[name], low, high, strict=True)
        ]
    return rows


def write_results(folder: Path, **tables: pd.DataFrame) -> None:
    """Keep each table as `folder`/NAME.csv.

    Six digits and one kind of line ending: the same numbers give the same bytes anywhere.
    """
    for name, rows in tables.items():
        with write_whole(folder / f"{name}.csv") as file:
            rows.to_csv(file, index=False, float_format="%.6g", lineterminator="\n")


def load_table(path: Path, columns: Iterable[str] = COLUMNS) -> pd.DataFrame:
    """A table that `write_results` kept: scores, or one with other columns.

    Raises BadInput, naming the file, where it cannot be read or lacks a column.
    """
    try:
        rows = pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise BadInput(f"{path}: cannot be read as a table ({error})") from None
    if missing := set(columns) - set(rows):
        name = path.name.partition(".")[0]
        raise BadInput(f"{path}: no column {sorted(missing)[0]}; is it a run's {name}.csv?")
    return rows
