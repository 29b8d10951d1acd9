"""What a run found: its evaluations read back from files, as tables.

>>> scores = read_scores(study)       # one row per seed, arm, executed programs and task
>>> table = results_table(scores)     # one row per arm, with paired intervals
>>> statuses = read_statuses(study)   # what became of the sampled programs, by arm

Leaves out: making anything; an arm that was not run is simply not there (`missing_arms`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import pandas as pd

from eta_utils.analysis.tables import ARMS, COLUMNS
from eta_utils.common.files import read_json, read_jsonl
from eta_utils.execution.records import Outcome
from eta_utils.study.stages import Stage
from eta_utils.study.study import Study


def seed_folders(study: Study) -> list[Path]:
    """Folders of all seeds that the run has."""
    found = study.run_folder.glob("seed*")
    return sorted(found, key=lambda path: int(path.name.removeprefix("seed")))


def evaluations(study: Study, name: str = "test") -> list[dict]:
    """Finished evaluations of all seeds: `seed, arm, programs, folder, metrics`.

    Those made with other parameters than the run now has are left out.
    """
    found = []
    for folder in seed_folders(study):
        for path in sorted(folder.glob(f"**/{name}/done.json")):
            done = read_json(path)
            model = path.parent.parent / "done.json"
            if not model.exists() or not _current(study, done, read_json(model)):
                continue
            found.append(
                {
                    "seed": int(folder.name.removeprefix("seed")),
                    "arm": path.relative_to(folder).parts[0],
                    "programs": read_json(model)["metrics"].get("programs", 0),
                    "folder": path.parent,
                    "metrics": done["metrics"],
                }
            )
    order = list(ARMS)
    return sorted(
        found,
        key=lambda row: (
            row["seed"],
            order.index(row["arm"]) if row["arm"] in order else len(order),
            row["arm"],
            row["programs"],
        ),
    )


def _current(study: Study, *records: dict) -> bool:
    now = asdict(study)
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
    for each in evaluations(study):
        counts: dict[str, dict] = {}
        for _, line in read_jsonl(each["folder"] / "outcomes.jsonl.gz"):
            count = counts.setdefault(
                line["task_id"],
                {"difficulty": line["difficulty"], "samples": 0, "passed": 0, "greedy": 0},
            )
            if line["mode"] == "greedy":
                count["greedy"] = int(bool(line["passed"]))
            elif line["passed"] is not None:
                count["samples"] += 1
                count["passed"] += line["passed"]
        same = {name: each[name] for name in ("seed", "arm", "programs")}
        rows += [same | {"task_id": task} | count for task, count in counts.items()]
    return pd.DataFrame(rows, columns=COLUMNS)


def read_statuses(study: Study) -> pd.DataFrame:
    """What became of the sampled programs at each arm's end: `arm, status, programs`
    (counts over seeds)."""
    rows = []
    last: dict[tuple, dict] = {}
    for each in evaluations(study):
        last[each["seed"], each["arm"]] = each
    for (_, arm), each in last.items():
        for status, count in each["metrics"]["statuses"].items():
            rows.append({"arm": arm, "status": status, "programs": count})
    return (
        pd.DataFrame(rows, columns=["arm", "status", "programs"])
        .groupby(["arm", "status"], as_index=False, sort=False)
        .sum()
    )


def missing_arms(study: Study, scores: pd.DataFrame) -> list[str]:
    """Arms that the study has and that no seed has finished."""
    wanted = [
        "base",
        "sft",
        *study.arms_of_rl,
        *(f"dpo-{name}" for name in study.arms_of_dpo),
    ]
    return [arm for arm in wanted if arm not in set(scores["arm"])]


def of_seeds(study: Study, name: str) -> pd.DataFrame:
    """What `write_results` kept as `name` in the folders of all seeds, one table after the
    other with the column `seed` in front; empty where none has it."""
    found = [
        pd.read_csv(path).assign(seed=int(folder.name.removeprefix("seed")))
        for folder in seed_folders(study)
        for path in sorted(folder.glob(f"**/{name}.csv"))
    ]
    rows = pd.concat(found, ignore_index=True) if found else pd.DataFrame({"seed": []})
    return rows[["seed", *(each for each in rows if each != "seed")]]


def examples(study: Study, arm: str) -> dict[str, Outcome]:
    """Of an arm's end one program of each status, with its trace: of the study's seed, or
    of the last where the run has not got that."""
    found: dict[str, Outcome] = {}
    ends = [each for each in evaluations(study) if each["arm"] == arm]
    ends = [each for each in ends if each["seed"] == study.seed] or ends
    for _, line in read_jsonl(ends[-1]["folder"] / "examples.jsonl.gz") if ends else ():
        found.setdefault(line["status"], Outcome.from_record(line))
    return found


def training_history(stages: Sequence[Stage]) -> pd.DataFrame:
    """What a trainer logged over stages, one after the other, numbered by `log` from 1;
    empty where no stage trained."""
    logs = [each.folder / "history.csv" for each in stages]
    found = [pd.read_csv(path) for path in logs if path.exists()]
    history = pd.concat(found, ignore_index=True) if found else pd.DataFrame()
    return history.assign(log=range(1, len(history) + 1))
