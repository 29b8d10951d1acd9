"""What a run found: its evaluations read back from files, as tables.

>>> found = read_results(study)       # scores, models and gate, of all seeds
>>> statuses = read_statuses(study)   # what became of the sampled programs, by arm

The run's folder `scores` keeps what every table is made from, a few files per seed: they
stay when the models and samples they came from are gone.  An arm that was not run is simply
absent (see `missing_arms`).
"""

from __future__ import annotations

import functools
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

from eta_utils.analysis.arms import ARMS, parse_arm
from eta_utils.analysis.tables import COLUMNS, GATE, MODELS, in_order, read_folder
from eta_utils.common.errors import BadInput
from eta_utils.common.files import read_json, read_jsonl, write_whole
from eta_utils.execution import Outcome
from eta_utils.study.rollouts import EXAMPLES, SPLITS
from eta_utils.study.stages import Stage, digest_of
from eta_utils.study.study import Study

SCORES, BESIDE = "scores", "beside"  # folders in a run's
# Tables that some stage of a seed leaves, kept with its scores.
EXTRAS = ("labels", "departures", "ranked")


def seed_folders(study: Study) -> list[Path]:
    """Folders of all seeds that the run has."""
    folders = study.run_folder.glob("seed*")
    return sorted(folders, key=lambda path: int(path.name.removeprefix("seed")))


def evaluations(study: Study, name: str = "test") -> list[dict]:
    """Finished evaluations of all seeds: `seed, arm, programs, folder, metrics`.

    `name` is the split that the models were evaluated on.

    They come by seed, then in the order of `ARMS`.  Evaluations made with other parameters
    than the run now has are left out, and so are those of models made from others than are
    there now.
    """
    rows = []
    for folder in seed_folders(study):
        current = _currency(study, folder)
        for path in sorted(folder.glob(f"**/{name}/done.json")):
            model = path.parent.parent / "done.json"
            stages = [each.parent.relative_to(folder).as_posix() for each in (path, model)]
            if not model.exists() or not all(map(current, stages)):
                continue
            rows.append(
                {
                    "seed": int(folder.name.removeprefix("seed")),
                    "arm": path.relative_to(folder).parts[0],
                    "programs": read_json(model)["metrics"].get("programs", 0),
                    "folder": path.parent,
                    "metrics": read_json(path)["metrics"],
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


def _currency(study: Study, folder: Path) -> Callable[[str], bool]:
    """A function that says of a seed's stage, by its name, whether it still counts.

    It must have been made with the parameters that the run has now, and from the stages
    that are there now.  Of one that is gone nothing is known.
    """
    now = {name: value for name, value in study.flat().items() if name != "seed"}

    @functools.cache
    def current(name: str) -> bool:
        done = read_json(folder / name / "done.json")
        for parameter, value in done["parameters"].items():
            if now.get(parameter, value) != value:
                return False
        for other, digest in done["inputs"].items():
            path = folder / other / "done.json"
            if path.exists() and not (
                digest_of(read_json(path)) == digest and current(other)
            ):
                return False
        return True

    return current


def read_results(study: Study) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """(Scores, models, gate) of all seeds that the run has kept, this moment's included.

    `analysis.tables` says what is in each.
    """
    refresh(study)
    return read_folder(study.run_folder)


def refresh(study: Study) -> None:
    """Keep what the evaluations of every seed found, in the run's folder `scores`.

    Of a seed whose models are gone, or were evaluated elsewhere, what is kept stays.  So do
    the arms that are kept and not here, if they began with the same SFT model: its scores
    are the same.
    """
    for seed, tables in _found(study).items():
        kept = _kept(study, seed)
        if _same_start(kept, tables):
            here = set(tables["scores"]["arm"])
            for name in ("scores", "models"):
                old = kept[name]
                tables[name] = pd.concat([tables[name], old[~old["arm"].isin(here)]])
            if tables["gate"].empty:
                tables["gate"] = kept["gate"]
        folder = study.with_seed(seed).folder
        for name in EXTRAS:
            for path in folder.glob(f"**/{name}.csv"):
                tables[name] = pd.read_csv(path).assign(seed=seed)
        for name, rows in tables.items():
            ordered = in_order(rows, "programs") if "arm" in rows else rows
            _keep(_file(study, name, seed), ordered)


def _found(study: Study) -> dict[int, dict[str, pd.DataFrame]]:
    """By seed, the tables of its finished evaluations; only seeds with an SFT model."""
    by_seed: dict[int, dict[str, list[pd.DataFrame]]] = {}
    for split in SPLITS:
        for row in evaluations(study, split):
            parts = by_seed.setdefault(row["seed"], {"scores": [], "models": []})
            model = {name: row[name] for name in ("seed", "arm", "programs")}
            scores = pd.read_csv(row["folder"] / "scores.csv").assign(split=split, **model)
            near = _near(study, row["seed"], split)
            parts["scores"].append(scores.assign(near=scores["task_id"].isin(near) * 1))
            if split == "test":
                model |= {"kl": row["metrics"].get("kl")}
                model |= {"seconds": _seconds(study, row)}
                parts["models"].append(pd.DataFrame([model]))
    found = {}
    for seed, parts in by_seed.items():
        scores = pd.concat(parts["scores"])[COLUMNS]
        if "sft" in set(scores["arm"]) and parts["models"]:
            models = pd.concat(parts["models"])[MODELS]
            found[seed] = {"scores": scores, "models": models, "gate": _gate(study, seed)}
    return found


def _near(study: Study, seed: int, split: str) -> set[str]:
    """The held-out tasks that are like one that this seed trained on, where it is known."""
    path = study.with_seed(seed).folder / "near" / "near.csv"
    if not path.exists():
        return set()
    rows = pd.read_csv(path)
    return set(rows.loc[rows["split"] == split, "task"])


def _gate(study: Study, seed: int) -> pd.DataFrame:
    path = study.with_seed(seed).folder / "sft" / "gate" / "gate.csv"
    rows = pd.read_csv(path) if path.exists() else pd.DataFrame(columns=GATE)
    return rows.assign(seed=seed)[GATE]


def _seconds(study: Study, row: dict) -> float | None:
    """Seconds that a model took, from the SFT model on: sampling and judging included, not
    its evaluation.

    None for a model saved within a training that went on.  What several arms share, as the
    first round's samples, counts for each that used it.
    """
    root = study.with_seed(row["seed"]).folder
    start = row["folder"].parent.relative_to(root).as_posix()
    wanted, done = [start], {}
    while wanted:
        name = wanted.pop()
        path = root / name / "done.json"
        if name in done or (name in ("base", "sft") and name != start):
            continue
        if not path.exists() or (name == row["arm"] != start):
            return None
        done[name] = read_json(path)
        wanted += done[name]["inputs"]
    spent = [seconds for each in done.values() for seconds in each["seconds"].values()]
    return round(sum(spent), 1)


def _kept(study: Study, seed: int) -> dict[str, pd.DataFrame]:
    """What the run's folder has of a seed; empty tables where it has nothing."""
    columns = {"scores": COLUMNS, "models": MODELS, "gate": GATE}
    return {
        name: pd.read_csv(path)
        if (path := _file(study, name, seed)).exists()
        else pd.DataFrame(columns=wanted)
        for name, wanted in columns.items()
    }


def _same_start(kept: dict[str, pd.DataFrame], found: dict[str, pd.DataFrame]) -> bool:
    """Whether both have the same scores of the SFT model."""
    keys = ["split", "temperature", "task_id"]
    old, new = (
        tables["scores"].query("arm == 'sft'").sort_values(keys)[[*keys, "passed"]]
        for tables in (kept, found)
    )
    return len(old) > 0 and old.to_numpy().tolist() == new.to_numpy().tolist()


def _file(study: Study, name: str, seed: int) -> Path:
    return study.run_folder / SCORES / f"{name}{seed}.csv.gz"


def _keep(path: Path, rows: pd.DataFrame) -> None:
    """Write a table, compressed: the same rows give the same bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with write_whole(path) as file:
        rows.to_csv(file, index=False, float_format="%.6g", lineterminator="\n")


def read_statuses(study: Study) -> pd.DataFrame:
    """What became of the programs sampled at T = 1 at each arm's end: `arm, status,
    programs`.

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


def copy_runs_beside(study: Study) -> None:
    """Copy what the runs named in `beside` have kept.

    This run's folder then has all that its tables are made from.  A run that is not there
    is left out.
    """
    for name in study.arms.beside.split():
        kept = Path(study.place.outputs) / name / SCORES
        if kept.exists():
            copy = study.run_folder / BESIDE / name / SCORES
            shutil.copytree(kept, copy, dirs_exist_ok=True)


def missing_arms(study: Study, scores: pd.DataFrame) -> list[str]:
    """Arms that the study has and that no seed has finished."""
    wanted = ["base", "sft", *(arm.name for arm in study.arms.all)]
    return [arm for arm in wanted if arm not in set(scores["arm"])]


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
