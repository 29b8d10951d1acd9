"""Scores of made-up runs, by rates that a test chooses."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pandas as pd

from eta_utils.analysis.tables import COLUMNS, GATE, MODELS

TEMPERATURES = (1.0, 0.7, 0.5, 0.3, 0.0)
SAMPLES = {1.0: 8, 0.7: 4, 0.5: 4, 0.3: 4, 0.0: 1}
# How many of a task's 8 samples pass, by (seed, number of the task, temperature); a quarter
# of them is how many of 4, and 8 are needed for the greedy one to pass.
Passes = Callable[[int, int, float], int]


def scores(
    models: Mapping[tuple[str, int], Passes],
    seeds: tuple[int, ...] = (0,),
    tasks: int = 12,
    near: int = 0,
) -> pd.DataFrame:
    """Long scores of models by (arm, programs), the same on tuning as on test tasks.

    The first `near` tasks are near-duplicates.  Tasks have 3, 4 and 5 steps in turn.
    """
    rows = [
        {
            "seed": seed,
            "arm": arm,
            "programs": programs,
            "split": split,
            "temperature": temperature,
            "task_id": f"{split}/{number:02}",
            "difficulty": 3 + number % 3,
            "near": int(number < near),
            "samples": SAMPLES[temperature],
            "passed": passes(seed, number, temperature) * SAMPLES[temperature] // 8,
        }
        for seed in seeds
        for (arm, programs), passes in models.items()
        for split in ("tune", "test")
        for temperature in TEMPERATURES
        for number in range(tasks)
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def models_of(rows: pd.DataFrame) -> pd.DataFrame:
    """A kl and seconds for each model of long scores: 2 nats and 10 + seed seconds."""
    models = rows[["seed", "arm", "programs"]].drop_duplicates()
    return models.assign(kl=2.0, seconds=10.0 + models["seed"])[MODELS]


def gate(all_fail: int, prompts: int, passed: int, tries: int, seed: int = 0):
    """A gate of `prompts` prompts, of which the first `all_fail` have no passing sample.

    Each of 4 tuning tasks has `tries` samples, of which `passed` pass.
    """
    align = [
        (seed, "align", f"align/{number}", 8, int(number >= all_fail))
        for number in range(prompts)
    ]
    tune = [(seed, "tune", f"tune/{number}", tries, passed) for number in range(4)]
    return pd.DataFrame(align + tune, columns=GATE)


def write(folder, rows: pd.DataFrame, gates: pd.DataFrame) -> None:
    """Keep them as a run does, in parts by seed."""
    (folder / "scores").mkdir(parents=True)
    tables = {"scores": rows, "models": models_of(rows), "gate": gates}
    for name, table in tables.items():
        for seed, part in table.groupby("seed"):
            part.to_csv(folder / "scores" / f"{name}{seed}.csv.gz", index=False)
