"""What would so many seeds show?  From the few seeds of a trial run.

    python -m tests.analysis.bench_power outputs/trial --seeds 12

Prints for each hypothesis the spread of its seeds' differences in the trial, and the
smallest true difference in pass@1 at T* that so many seeds on as many tasks would show with
power 0.8: alone, with p < 0.05.  Seeds that plan a study are not among those it reports.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from eta_utils.analysis.contrasts import HYPOTHESES, at_budget
from eta_utils.analysis.statistics import planned
from eta_utils.analysis.tables import best, label, read_folder, same_seeds


def main() -> None:
    """Print one line for each hypothesis that the trial run has the arms of."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="a run's folder")
    parser.add_argument("--seeds", type=int, default=12, help="how many are planned (12)")
    options = parser.parse_args()
    scores, _, _ = read_folder(options.folder)
    at_best = best(scores)
    print(
        f"points that {options.seeds} seeds would show; trial seeds apart from each other"
    )
    for asked in HYPOTHESES:
        ours, theirs = (
            at_budget(at_best, arm, asked.budget) for arm in (asked.arm, asked.other)
        )
        seeds = set(ours["seed"]) & set(theirs["seed"])
        if len(seeds) < 2:
            print(f"{asked.name:9} needs two seeds of both arms")
            continue
        both = at_best.loc[ours.index.union(theirs.index)]
        pair = same_seeds(both, asked.arm, asked.other)
        smallest = 100 * planned(*pair, options.seeds)
        spread = 100 * np.std(np.mean(pair[0] - pair[1], 1), ddof=1)
        names = f"{label(asked.arm)} - {label(asked.other)}"
        print(f"{asked.name:9} {names:32} {smallest:4.1f}, sd of seeds {spread:.1f}")


if __name__ == "__main__":
    main()
