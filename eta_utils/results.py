"""What a run found: its evaluations read back from files, as tables.

>>> scores = read_scores(study)       # one row per seed, arm, executed programs and task
>>> table = results_table(scores)     # one row per arm, with paired intervals
>>> statuses = read_statuses(study)   # what became of the sampled programs, by arm

Leaves out: making anything; an arm that was not run is simply not there (`missing_arms`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd

from eta_utils.evaluation import Interval, mean_interval, paired_difference, pass_at_k
from eta_utils.files import BadInput, read_json, read_jsonl, write_whole
from eta_utils.outcomes import Outcome
from eta_utils.stages import Stage
from eta_utils.study import Study

# Arms by the first part of their stages' names, in the order of tables and figures.
ARMS = {
    "base": "base",
    "sft": "SFT",
    "ppo": "PPO",
    "ppo-eta": "PPO, ETA reward",
    "ppo-rm": "PPO, ETA-RM",
    "rloo": "RLOO",
    "dpo-binary": "binary DPO",
    "dpo-steps": "raw-steps DPO",
    "dpo-fraction": "fraction DPO",
    "dpo-tier": "tier DPO",
    "dpo-eta": "ETA-DPO",
}
COLUMNS = "seed arm programs task_id difficulty samples passed greedy".split()


def label(arm: str) -> str:
    """An arm's name in tables and figures."""
    name, *options = arm.split("+")
    base = ARMS.get(name, name.replace("dpo-", "") + " DPO")
    return ", ".join([base, *options])


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


def by_difficulty(scores: pd.DataFrame) -> pd.DataFrame:
    """Sampled pass rate of each arm's end for each number of steps, with intervals."""
    ends = final(scores)
    rows = []
    for (arm, difficulty), part in ends.groupby(["arm", "difficulty"], sort=False):
        interval = mean_interval(matrix(part, arm))
        rows.append({"arm": arm, "difficulty": difficulty} | interval.named("pass@1"))
    return pd.DataFrame(rows)


def missing_arms(study: Study, scores: pd.DataFrame) -> list[str]:
    """Arms that the study has and that no seed has finished."""
    wanted = [
        "base",
        "sft",
        *study.arms_of_rl,
        *(f"dpo-{name}" for name in study.arms_of_dpo),
    ]
    return [arm for arm in wanted if arm not in set(scores["arm"])]


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
