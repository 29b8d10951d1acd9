"""The tables of 04 recomputed, from what a run kept of each task and sample.

>>> tables_of(Path("outputs/reference/scores.csv.gz"))["contrasts"]

Three more files may lie beside the scores: `beside` (scores of several runs), `labels`
(counts of pairs) and `ranked` (scores of the reward model).  Each adds its tables.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from eta_utils.analysis.audit import COUNTS, audit_table
from eta_utils.analysis.contrasts import contrast_table, crossover
from eta_utils.analysis.ranking import SAMPLES, accuracy, best_of, reliability
from eta_utils.analysis.tables import COLUMNS, by_difficulty, load_table, results_table

# By file: the columns that it must have, and the tables that follow from it.
MADE_FROM: dict[str, tuple[list[str], dict[str, Callable]]] = {
    "scores": (
        COLUMNS,
        {
            "results": results_table,
            "contrasts": contrast_table,
            "difficulty": by_difficulty,
        },
    ),
    "beside": ([*COLUMNS, "run"], {"crossover": crossover}),
    "labels": (["ordering", "task_id", *COUNTS], {"audit": audit_table}),
    "ranked": (
        SAMPLES,
        {
            "accuracy": accuracy,
            "best_of_n": best_of,
            "reliability": lambda rows: reliability(rows, "ETA-RM")[0],
        },
    ),
}


def tables_of(scores: Path) -> dict[str, pd.DataFrame]:
    """By name, the tables that follow from a run's scores and from what lies beside them.

    Raises BadInput for a file that is not what its name says.
    """
    tables = {}
    for name, (columns, makers) in MADE_FROM.items():
        path = scores.with_name(scores.name.replace("scores", name))
        if name == "scores":
            path = scores
        elif path == scores or not path.exists():
            continue
        rows = load_table(path, columns)
        tables |= {table: make(rows) for table, make in makers.items()}
    return tables
