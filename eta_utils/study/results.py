"""What a run found: its evaluations read back from files, as tables.

>>> scores = read_scores(study)       # one row per seed, arm, executed programs and task
>>> statuses = read_statuses(study)   # what became of the sampled programs, by arm

An arm that was not run is simply absent (see `missing_arms`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from eta_utils.analysis.arms import ARMS, parse_arm
from eta_utils.analysis.contrasts import CROSSOVER_ARMS
from eta_utils.analysis.tables import COLUMNS, load_table
from eta_utils.common.errors import BadInput
from eta_utils.common.files import read_json, read_jsonl
from eta_utils.execution import Outcome
from eta_utils.study.rollouts import EXAMPLES, GREEDY, OUTCOMES
from eta_utils.study.stages import Stage
from eta_utils.study.study import Study


def seed_folders(study: Study) -> list[Path]:
    """Folders of all seeds that the run has."""
    folders = study.run_folder.glob("seed*")
    return sorted(folders, key=lambda path: int(path.name.removeprefix("seed")))


def evaluations(study: Study, name: str = "test") -> list[dict]:
    """Finished evaluations of all seeds: `seed, arm, programs, folder, metrics`.

    They come by seed, then in the order of `ARMS`.  Evaluations made with other parameters
    than the run now has are left out.
    """
    rows = []
    for folder in seed_folders(study):
        for path in sorted(folder.glob(f"**/{name}/done.json")):
            done, model = read_json(path), path.parent.parent / "done.json"
            if not model.exists() or not _current(study, done, read_json(model)):
                continue
            rows.append(
                {
                    "seed": int(folder.name.removeprefix("seed")),
                    "arm": path.relative_to(folder).parts[0],
                    "programs": read_json(model)["metrics"].get("programs", 0),
                    "folder": path.parent,
                    "metrics": done["metrics"],
                }
            )
    places = {arm: place for place, arm in enumerate(ARMS)}
    known = [row for row in rows if _is_arm(row["arm"])]
    return sorted(
        known,
        key=lambda row: (
            row["seed"],
            places[parse_arm(row["arm"]).plain],
            row["arm"],
            row["programs"],
        ),
    )


def _is_arm(name: str) -> bool:
    """Whether a folder is that of an arm; a run made by other code may have more."""
    try:
        parse_arm(name)
    except BadInput:
        return False
    return True


def _current(study: Study, *records: dict) -> bool:
    now = study.flat()
    return all(
        now[name] == value
        for record in records
        for name, value in record["parameters"].items()
        if name in now and name != "seed"
    )


def read_scores(study: Study) -> pd.DataFrame:
    """One row per seed, arm, executed programs and held-out task.

    Columns: `seed, arm, programs, task_id, difficulty, samples` (judged), `passed` (of
    them), `greedy` (1 if the greedy completion passes).
    """
    rows = []
    for evaluation in evaluations(study):
        counts: dict[str, dict] = {}
        for _, line in read_jsonl(evaluation["folder"] / OUTCOMES):
            count = counts.setdefault(
                line["task_id"],
                {"difficulty": line["difficulty"], "samples": 0, "passed": 0, "greedy": 0},
            )
            if line["mode"] == GREEDY:
                count["greedy"] = int(bool(line["passed"]))
            elif line["passed"] is not None:
                count["samples"] += 1
                count["passed"] += line["passed"]
        same = {name: evaluation[name] for name in ("seed", "arm", "programs")}
        rows += [same | {"task_id": task} | count for task, count in counts.items()]
    return pd.DataFrame(rows, columns=COLUMNS)


def all_scores(study: Study, own: pd.DataFrame) -> pd.DataFrame:
    """The scores of a study's run and of those `beside` it, with a column `run`.

    Only the arms of the crossover are kept.  A run without `scores.csv` is left out; a
    broken one raises BadInput.
    """
    by_run = {study.run: own}
    for name in study.arms.beside.split():
        path = Path(study.place.outputs) / name / "scores.csv"
        if path.exists():
            by_run[name] = load_table(path)
    return pd.concat(
        [
            rows[rows["arm"].isin(CROSSOVER_ARMS)].assign(run=name)
            for name, rows in by_run.items()
        ],
        ignore_index=True,
    )


def read_statuses(study: Study) -> pd.DataFrame:
    """What became of the sampled programs at each arm's end: `arm, status, programs`.

    `programs` counts over all seeds.
    """
    ends = {(row["seed"], row["arm"]): row for row in evaluations(study)}  # the last stays
    rows = [
        {"arm": arm, "status": status, "programs": count}
        for (_, arm), end in ends.items()
        for status, count in end["metrics"]["statuses"].items()
    ]
    return (
        pd.DataFrame(rows, columns=["arm", "status", "programs"])
        .groupby(["arm", "status"], as_index=False, sort=False)
        .sum()
    )


def missing_arms(study: Study, scores: pd.DataFrame) -> list[str]:
    """Arms that the study has and that no seed has finished."""
    wanted = ["base", "sft", *(arm.name for arm in study.arms.all)]
    return [arm for arm in wanted if arm not in set(scores["arm"])]


def of_seeds(study: Study, name: str) -> pd.DataFrame:
    """The tables `name`.csv in the folders of all seeds, one after the other.

    The column `seed` is put in front; empty where no seed has such a table.
    """
    tables = [
        pd.read_csv(path).assign(seed=int(folder.name.removeprefix("seed")))
        for folder in seed_folders(study)
        for path in sorted(folder.glob(f"**/{name}.csv"))
    ]
    rows = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame({"seed": []})
    return rows[["seed", *(column for column in rows if column != "seed")]]


def examples(study: Study, arm: str) -> dict[str, Outcome]:
    """One program of each status, with its trace, from the end of an arm.

    It is that of the study's seed, or of the last seed where the run lacks that one.
    """
    ends = [row for row in evaluations(study) if row["arm"] == arm]
    ends = [row for row in ends if row["seed"] == study.seed] or ends
    by_status: dict[str, Outcome] = {}
    for _, line in read_jsonl(ends[-1]["folder"] / EXAMPLES) if ends else ():
        by_status.setdefault(line["status"], Outcome.from_record(line))
    return by_status


def training_history(stages: Sequence[Stage]) -> pd.DataFrame:
    """What a trainer logged over stages, one after the other, numbered by `log` from 1.

    Empty where no stage trained.
    """
    logs = [stage.folder / "history.csv" for stage in stages]
    parts = [pd.read_csv(path) for path in logs if path.exists()]
    history = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
    return history.assign(log=range(1, len(history) + 1))
