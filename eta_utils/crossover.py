"""Where does ETA help?  Its gain against how strong the model was that it started from.

>>> crossover(all_scores(study, results.read_scores(study)))

Runs differ in the noise of the base's corpus (`corpus_noise`), so in how rare a pass is;
within a run, tasks differ in their number of steps.

Leaves out: making the runs (`python -m eta_utils run --profile crossover --help`).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from eta_utils.contrasts import FIRST, LAST, at_budget
from eta_utils.evaluation import mean_interval, paired_difference
from eta_utils.results import label, load_table, same_seeds
from eta_utils.study import Study

ARM, OTHERS = "dpo-eta", ("dpo-binary", "ppo")
NEEDED = ("sft", ARM, *OTHERS)
ALL = "all"
COLUMNS = [
    *("run", "steps", "programs", "contrast", "sft", "sft low", "sft high"),
    *("silent", "silent low", "silent high", "value", "low", "high"),
]


def all_scores(study: Study, own: pd.DataFrame) -> pd.DataFrame:
    """The scores of a study's run and of those it is compared with, of the arms that are
    compared: as `results.read_scores` gives them, with a column `run`.

    A run that has no `scores.csv` yet is left out.  Raises BadInput for a broken one.
    """
    found = {study.run: own}
    for name in study.beside.split():
        path = Path(study.outputs) / name / "scores.csv"
        if path.exists():
            found[name] = load_table(path)
    return pd.concat(
        [rows[rows["arm"].isin(NEEDED)].assign(run=name) for name, rows in found.items()],
        ignore_index=True,
    )


def crossover(scores: pd.DataFrame) -> pd.DataFrame:
    """One row for each run, number of steps (or `all`), number of programs and other arm.

    Columns: `run, steps, programs, contrast`; `sft`, the SFT model's sampled pass@1;
    `silent`, the share of tasks where all of its samples fail; and the paired difference
    `value` with `low` and `high`.  Runs come from the weakest SFT model to the strongest.
    """
    runs = {str(run): part for run, part in scores.groupby("run")}
    weakest_first = sorted(runs, key=lambda run: _strength(runs[run])["sft"])
    rows = [row for run in weakest_first for row in _rows(run, runs[run])]
    return pd.DataFrame(rows, columns=COLUMNS)


def _rows(run: str, scores: pd.DataFrame) -> Iterator[dict[str, object]]:
    parts = [(ALL, scores)]
    parts += [(str(steps), part) for steps, part in scores.groupby("difficulty")]
    for steps, part in parts:
        for other in OTHERS:
            for budget in (FIRST, LAST):
                of_arms = [at_budget(part, each, budget) for each in (ARM, other)]
                if any(each.empty for each in of_arms):
                    continue
                difference = paired_difference(*same_seeds(pd.concat(of_arms), ARM, other))
                yield {
                    "run": run,
                    "steps": steps,
                    "programs": budget,
                    "contrast": f"{label(ARM)} - {label(other)}",
                    **_strength(part),
                    **difference._asdict(),
                }


def _strength(scores: pd.DataFrame) -> dict[str, float]:
    """How good the SFT model is, and how often it is silent, with intervals."""
    [rates] = same_seeds(scores, "sft")
    return mean_interval(rates).named("sft") | mean_interval(rates == 0).named("silent")
