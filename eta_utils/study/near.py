"""Which held-out tasks resemble one that is trained on?  Found once per seed, as a stage.

>>> near_duplicates(study).metrics["test"]          # how many of the test tasks
>>> read_near(near_duplicates(study))               # each, what it is like, and why

Trained on are the tasks of SFT and of alignment.  `tasks.contamination` says what counts
as alike.
"""

from __future__ import annotations

import pandas as pd

from eta_utils.analysis.tables import write_results
from eta_utils.execution import JudgeSettings
from eta_utils.study.rollouts import SPLITS
from eta_utils.study.settings import (
    HeldOutSettings,
    RoundSettings,
    SFTTaskSettings,
    TaskSettings,
)
from eta_utils.study.stages import Stage, made
from eta_utils.study.study import Study
from eta_utils.study.tasks import alignment_tasks, held_out_tasks, sft_tasks
from eta_utils.tasks import overlaps

COLUMNS = ["split", "task", "like", "why"]


def near_duplicates(study: Study) -> Stage:
    """The held-out tasks that are like a task that this seed trains on."""
    parts = [
        study.family,
        study.sft_tasks,
        study.rounds,
        study.held_out,
        study.judging,
    ]
    return made(study.folder, "near", study.seed, _find, parts)


def _find(
    stage: Stage,
    family: TaskSettings,
    wanted: SFTTaskSettings,
    rounds: RoundSettings,
    held_out: HeldOutSettings,
    judging: JudgeSettings,
) -> dict:
    trained = sft_tasks(family, wanted, judging, stage.seed)
    trained |= alignment_tasks(family, rounds, judging, stage.seed)
    found = {
        split: overlaps(trained, held_out_tasks(family, held_out, judging, split))
        for split in SPLITS
    }
    rows = [(split, *near) for split, nears in found.items() for near in nears]
    write_results(stage.folder, near=pd.DataFrame(rows, columns=COLUMNS))
    return {split: len(nears) for split, nears in found.items()}


def read_near(stage: Stage) -> pd.DataFrame:
    """Columns `split, task, like, why`, one row for each near-duplicate."""
    return pd.read_csv(stage.folder / "near.csv")
