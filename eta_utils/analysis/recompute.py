"""The tables of 04 recomputed, from what a run kept of each task and sample.

>>> tables_of(Path("outputs/reference"))["contrasts"]

`scores/` in the run's folder has the scores, models and gate of each seed (`tables`).
Three more may lie there or beside it: `labels` (counts of pairs), `departures` (counts of
lines) and `ranked` (scores of the reward model).  Runs on rarer and more frequent passes
have folders of their own in `beside/`.  Each adds its tables.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from eta_utils.analysis.audit import (
    COUNTS,
    DEPARTURE_COUNTS,
    audit_table,
    departures,
)
from eta_utils.analysis.contrasts import contrast_table, rarity
from eta_utils.analysis.ranking import SAMPLES, accuracy, best_of, reliability
from eta_utils.analysis.tables import (
    best,
    by_difficulty,
    gate_table,
    read_folder,
    read_parts,
    results_table,
    temperature_table,
)

THIS_RUN = "this run"  # beside others; its folder may be copied under another name
# By name: the columns that it must have, and the tables that follow from it.
MADE_FROM: dict[str, tuple[list[str], dict[str, Callable]]] = {
    "labels": (["seed", "ordering", "task_id", *COUNTS], {"audit": audit_table}),
    "departures": (["seed", "task_id", *DEPARTURE_COUNTS], {"departure": departures}),
    "ranked": (
        SAMPLES,
        {
            "accuracy": accuracy,
            "best_of_n": best_of,
            "reliability": lambda rows: reliability(rows, "ETA-RM")[0],
        },
    ),
}


def tables_of(folder: Path) -> dict[str, pd.DataFrame]:
    """By name, the tables that follow from what a run kept in its folder.

    Raises BadInput without scores, or for a file that is not what its name says.
    """
    scores, models, gate = read_folder(folder)
    at_best = best(scores, models)
    tables = {
        "results": results_table(at_best),
        "contrasts": contrast_table(at_best),
        "temperature": temperature_table(scores),
        "difficulty": by_difficulty(at_best),
        "gate": gate_table(scores, gate),
    }
    runs, gates = {THIS_RUN: at_best}, {THIS_RUN: gate}
    for other in sorted(folder.glob("beside/*/")):
        scores, _, gates[other.name] = read_folder(other)
        runs[other.name] = best(scores)
    if len(runs) > 1:
        tables["rarity"] = rarity(runs, gates)
    for name, (columns, makers) in MADE_FROM.items():
        rows = read_parts(folder, name, columns)
        if len(rows):
            tables |= {table: make(rows) for table, make in makers.items()}
    return tables
