"""Where a run's numbers come from: the machine, the code, and where the time went.

>>> record_environment(folder)       # writes its environment.json
>>> recorded(folder)["stages"]       # seconds by kind, one row per stage, and their sum

What a stage was made from stands in its own `done.json` (see `study.stages`).
"""

from __future__ import annotations

import datetime
import functools
import hashlib
import platform
from pathlib import Path

import eta_utils
from eta_utils.common.files import read_json, write_json
from eta_utils.common.machine import (
    LIBRARIES,
    answer,
    cores,
    cpu,
    gpu,
    memory_gib,
    version,
)
from eta_utils.study.study import ROOT, Study, read_study

_DONE = "seed*/**/done.json"


def environment() -> dict:
    """The machine and the code, as plain values; None where something is not known."""
    commit, changed = _git()
    return {
        "recorded": datetime.datetime.now().isoformat(" ", "seconds"),
        "commit": commit,
        "uncommitted changes": changed,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": cpu(),
        "cores": cores(),
        "memory_gib": memory_gib(),
        "gpu": gpu(),
        "packages": {name: version(name) for name in LIBRARIES},
    }


def record_environment(run_folder: Path) -> None:
    """Write a run's `environment.json`.

    Another commit may have begun the run, and its stages may be reused.  So the commits
    before the present one are kept as `earlier`.
    """
    path = run_folder / "environment.json"
    before, now = _read(path), environment()
    earlier = list(before.get("earlier", []))
    if before and before.get("commit") not in (now["commit"], *earlier):
        earlier.append(before.get("commit"))
    write_json(path, now | {"earlier": earlier} if earlier else now)


def _git() -> tuple[str | None, bool | None]:
    """The commit, and whether files differ from it; None, None outside a checkout."""
    git = ("git", "-C", str(ROOT))
    # An installed copy may lie inside some other project's checkout.
    if answer(*git, "rev-parse", "--show-toplevel") != str(ROOT):
        return None, None
    changes = answer(*git, "status", "--porcelain")
    return answer(*git, "rev-parse", "HEAD"), None if changes is None else bool(changes)


@functools.cache
def fingerprint() -> str:
    """The source of this package, and the Python that runs it."""
    digest, package = hashlib.sha256(), Path(eta_utils.__file__).parent
    for path in sorted(package.rglob("*.py")):
        digest.update(path.relative_to(package).as_posix().encode() + path.read_bytes())
    code = f"eta_utils {eta_utils.__version__} (source {digest.hexdigest()[:12]})"
    return f"{code} on Python {platform.python_version()}"


def recorded(run_folder: Path) -> dict:
    """Everything that a run has recorded about itself, for the report.

    Where the notebooks were executed by hand there is no `command`, and no `seconds` of
    the notebooks.  Raises BadInput when a file is not what it should be.
    """
    run, machine = (_read(run_folder / f"{name}.json") for name in ("run", "environment"))
    folders = sorted(int(path.name[4:]) for path in run_folder.glob("seed*"))
    seeds = run.get("seeds") or folders
    study = _study(run_folder, seeds)
    stages, notebooks = time_tables(run_folder)
    kept = _kept_seeds(run_folder) or seeds
    return {
        "command": run.get("command"),
        "seeds": seeds,
        "seconds": run.get("seconds", {}),
        "kept seeds": kept,
        "facts": _facts(study, kept, machine),
        "stages": stages,
        "notebooks": notebooks,
        "files": [
            path.relative_to(run_folder).as_posix()
            for pattern in ("*.ipynb", "seed*/*.ipynb")
            for path in sorted(run_folder.glob(pattern))
        ],
        "environment": _environment_table(machine),
        "parameters": [row | {"value": str(row["value"])} for row in study.table()],
    }


def _read(path: Path) -> dict:
    return read_json(path) if path.exists() else {}


def _kept_seeds(run_folder: Path) -> list[int]:
    """The seeds whose scores the run has kept: what its tables are about."""
    files = run_folder.glob("scores/scores*.csv*")
    return sorted(int(path.name.partition(".")[0].removeprefix("scores")) for path in files)


def _study(run_folder: Path, seeds: list[int]) -> Study:
    place = {
        "run": run_folder.name,
        "outputs": str(run_folder.parent),
        "seed": seeds[0] if seeds else 0,
    }
    return Study.of(read_study(run_folder) | place)


def _facts(study: Study, seeds: list[int], machine: dict) -> dict[str, str]:
    commit = (machine.get("commit") or "not recorded")[:12]
    if machine.get("uncommitted changes"):
        commit += ", with uncommitted changes"
    if earlier := machine.get("earlier"):
        names = ((name or "not recorded")[:12] for name in earlier)
        commit += f"; before: {', '.join(names)}"
    return {
        "profile": study.profile,
        "seeds": " ".join(map(str, seeds)) or "none",
        "date": machine.get("recorded", "not recorded"),
        "commit": commit,
    }


def _environment_table(machine: dict) -> list[dict]:
    plain = {name: value for name, value in machine.items() if name != "packages"}
    both = plain | machine.get("packages", {})
    return [{"what": name, "value": _words(value)} for name, value in both.items()]


def _words(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none found" if value is None else str(value)


def time_tables(run_folder: Path) -> tuple[list[dict], list[dict]]:
    """Seconds by stage and by notebook, as rows of two tables that end in a sum each.

    Stages stand in the order in which they were made.  Their sum is what the run has cost,
    also where a notebook was executed several times.  A notebook's row is its last
    execution alone.
    """
    totals = _read(run_folder / "run.json").get("seconds", {})
    spans = {name: _span(run_folder / f"{name}.ipynb") for name in totals}
    stages = [_stage(path, run_folder, spans) for path in run_folder.glob(_DONE)]
    stages.sort(key=lambda stage: (stage["made"], stage["stage"]))
    return _stage_table(stages), _notebook_table(totals, stages)


def _stage_table(stages: list[dict]) -> list[dict]:
    if not stages:
        return []
    kinds = dict.fromkeys(kind for stage in stages for kind in stage["seconds"])
    rows = [
        {"stage": stage["stage"], "made by": stage["notebook"] or "an earlier execution"}
        | {kind: stage["seconds"].get(kind) for kind in kinds}
        | {"total": sum(stage["seconds"].values())}
        for stage in stages
    ]
    sums = {name: _sum(rows, name) for name in (*kinds, "total")}
    return [*rows, {"stage": "sum", "made by": None} | sums]


def _notebook_table(totals: dict[str, float], stages: list[dict]) -> list[dict]:
    if not totals:
        return []
    rows = []
    for name, total in totals.items():
        own = [stage["seconds"] for stage in stages if stage["notebook"] == name]
        inside = float(sum(sum(seconds.values()) for seconds in own))
        rest = {"its stages": inside, "the rest": total - inside}
        rows.append({"notebook": name, "total": total} | rest)
    sums = {name: _sum(rows, name) for name in ("total", "its stages", "the rest")}
    return [*rows, {"notebook": "sum"} | sums]


def _sum(rows: list[dict], name: str) -> float:
    return float(sum(row[name] or 0 for row in rows))


def _stage(path: Path, run_folder: Path, spans: dict) -> dict:
    """A stage, and the notebook whose execution made it; None where no span fits."""
    done, stage = read_json(path), path.parent.relative_to(run_folder)
    made = datetime.datetime.fromisoformat(done["made"])
    makers = (
        name
        for name, span in spans.items()
        if span and Path(name).parts[0] == stage.parts[0] and span[0] <= made <= span[1]
    )
    return {
        "stage": stage.as_posix(),
        "notebook": next(makers, None),
        "seconds": done["seconds"],
        "made": made,
    }


def _span(notebook: Path) -> tuple[datetime.datetime, datetime.datetime] | None:
    """When an executed notebook began and ended; None where papermill has not noted it.

    Local times, as a stage's `made` is.  That has whole seconds, so the start is cut to
    the second: a stage made within the first one still falls inside.
    """
    if not notebook.exists():
        return None
    times = read_json(notebook)["metadata"].get("papermill", {})
    if not (times.get("start_time") and times.get("end_time")):
        return None
    start, end = (
        datetime.datetime.fromisoformat(times[name]).astimezone().replace(tzinfo=None)
        for name in ("start_time", "end_time")
    )
    return start.replace(microsecond=0), end
