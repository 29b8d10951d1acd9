"""Tables of pass rates at the best temperature, and how tables are kept and read.

>>> scores, models, gate = read_folder(Path("outputs/reference"))
>>> at_best = best(scores, models)    # every model at T*, one row per test task
>>> table = results_table(at_best)    # one row per arm, with paired gains
>>> write_results(folder, results=table)

A temperature alone can make a model pass more often, without any training.  So each model
is taken at its own best temperature T*, chosen on tuning tasks, and pass@1 at T* on test
tasks is the metric everywhere.  Scores are long tables, as a run keeps them: `COLUMNS` by
seed, arm, number of executed programs, split, temperature and task; `MODELS` by model;
`GATE` by task, for the conditions that must hold before any arm is trained.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from eta_utils.analysis.arms import ARMS, parse_arm
from eta_utils.analysis.statistics import (
    Interval,
    crossed,
    crossed_t,
    pass_at_k,
)
from eta_utils.common.errors import BadInput
from eta_utils.common.files import write_whole

# `near` is 1 where the seed trained on a near-duplicate of the task.
COLUMNS = (
    "seed arm programs split temperature task_id difficulty near samples passed".split()
)
# `kl` in nats per program to the SFT model; `seconds` of all its training so far.
MODELS = "seed arm programs kl seconds".split()
# Samples of the SFT model at T = 1: `part` is align (visible tests) or tune (hidden ones).
GATE = "seed part task_id samples passed".split()
RATE = ["pass@1", "pass@1 low", "pass@1 high"]
TUNE, TEST = "tune", "test"
SAMPLED, GREEDY = 1.0, 0.0  # temperatures
ATTEMPTS = 8  # k of pass@k beside pass@1
_MODEL = ["seed", "arm", "programs"]


# --- The best temperature


def best(scores: pd.DataFrame, models: pd.DataFrame | None = None) -> pd.DataFrame:
    """Each model at its best temperature T*: one row per model and test task.

    T* is the temperature with the highest pass rate on the tuning tasks; of equal ones, the
    highest temperature.  Columns: `seed, arm, programs, task_id, difficulty, near`, its
    `temperature` with `samples` and `passed` there, `sampled_samples` and `sampled_passed`
    at T = 1, `greedy` (1 where the greedy program passes), and with `models` also `kl` and
    `seconds` of the model.  A model that lacks a split is left out.
    """
    chosen = best_temperatures(scores).drop(columns="rate")
    tested = scores[scores["split"] == TEST].drop(columns="split")
    task = [*_MODEL, "task_id"]
    at_best = tested.merge(chosen, on=[*_MODEL, "temperature"])
    sampled = tested[tested["temperature"] == SAMPLED].rename(
        columns={"samples": "sampled_samples", "passed": "sampled_passed"}
    )
    greedy = tested[tested["temperature"] == GREEDY].rename(columns={"passed": "greedy"})
    at_best = at_best.merge(
        sampled[[*task, "sampled_samples", "sampled_passed"]], on=task, how="left"
    ).merge(greedy[[*task, "greedy"]], on=task, how="left")
    columns = [*task, "difficulty", "near", "temperature", "samples", "passed"]
    at_best = at_best[[*columns, "sampled_samples", "sampled_passed", "greedy"]]
    if models is not None and len(models):
        at_best = at_best.merge(models[MODELS], on=_MODEL, how="left")
    return in_order(at_best, "programs", "task_id")


def best_temperatures(scores: pd.DataFrame) -> pd.DataFrame:
    """T* of each model: `seed, arm, programs, temperature`, its `rate` on tuning tasks."""
    tuned = scores[scores["split"] == TUNE]
    tuned = tuned.assign(rate=_rate(tuned["passed"], tuned["samples"]))
    rates = tuned.groupby([*_MODEL, "temperature"])["rate"].mean().reset_index()
    # Equal rates can differ in the last bit, as sums of fractions do.
    rates["rate"] = rates["rate"].round(12)
    in_turn = rates.sort_values(["rate", "temperature"], ascending=False, kind="stable")
    return in_turn.drop_duplicates(_MODEL).reset_index(drop=True)


def in_order(rows: pd.DataFrame, *further: str) -> pd.DataFrame:
    """The rows by arms in the order of `ARMS`, then by seed and the `further` columns.

    So tables and figures have that order, also where the first seed lacks an arm.
    """
    places = {name: place for place, name in enumerate(ARMS)}
    plain = rows["arm"].map(
        {arm: places[parse_arm(arm).plain] for arm in rows["arm"].unique()}
    )
    in_turn = rows.assign(place=plain).sort_values(
        ["place", "arm", "seed", *further], kind="stable"
    )
    return in_turn.drop(columns="place").reset_index(drop=True)


def final(at_best: pd.DataFrame) -> pd.DataFrame:
    """The rows of each arm after its last executed program.

    The last is that of all seeds together, so a seed that is still in training is left out.
    """
    last = at_best.groupby("arm")["programs"].transform("max")
    return at_best[at_best["programs"] == last]


# --- Scores as matrices


def matrix(at_best: pd.DataFrame, arm: str, column: str = "best") -> np.ndarray:
    """Scores of an arm as (seeds, tasks); nan where a seed has none for a task.

    `column` is `best` for the fraction of the samples at T* that pass, `sampled` for that
    at T = 1, or `greedy`.  The rows hold one number of programs of the arm at most.
    """
    of_arm = at_best[at_best["arm"] == arm]
    if column == "greedy":
        value = of_arm["greedy"].astype(float)
    else:
        mark = "" if column == "best" else "sampled_"
        value = _rate(of_arm[f"{mark}passed"], of_arm[f"{mark}samples"])
    cells = of_arm.assign(value=value)
    return cells.pivot(index="seed", columns="task_id", values="value").to_numpy()


def same_seeds(at_best: pd.DataFrame, *arms: str, column: str = "best") -> list[np.ndarray]:
    """The `matrix` of each arm, over the seeds and tasks that all of them have."""
    of_arms = [at_best[at_best["arm"] == arm] for arm in arms]
    common = _cells(of_arms[0])
    for rows in of_arms[1:]:
        common = common.intersection(_cells(rows))
    kept = at_best[_cells(at_best).isin(common)]
    return [matrix(kept, arm, column) for arm in arms]


def _cells(rows: pd.DataFrame) -> pd.MultiIndex:
    return pd.MultiIndex.from_frame(rows[["seed", "task_id"]])


def _rate(passed: pd.Series, samples: pd.Series) -> pd.Series:
    """The fraction that passes; nan where the judge failed on all samples."""
    return passed / samples.where(samples > 0)


def pass_rate(scores: np.ndarray) -> Interval:
    """The mean of pass rates (S, T), with the interval of `crossed` within 0 and 1."""
    test = crossed(scores)
    return Interval(test.value, max(0.0, test.low), min(1.0, test.high))


# --- Tables for a reader


def results_table(at_best: pd.DataFrame, against: str = "sft") -> pd.DataFrame:
    """One row per arm, after its last program.

    - `references`: whether it needs solutions of its training tasks, beside their tests;
    - `seeds`, `programs` (executed for training), and `best T`, T* or the range of it;
    - `pass@1` at T* with `low` and `high`, and without near-duplicates of training tasks;
    - `gain` in it over the arm `against`, paired by seed and task;
    - `greedy` pass@1; `pass@8` at T = 1; `kl` in nats per program; `seconds` of training
      per seed, the median of them.
    """
    ends = final(at_best)
    rows = []
    for arm in dict.fromkeys(ends["arm"]):
        of_arm = ends[ends["arm"] == arm]
        models = of_arm.drop_duplicates("seed")
        rates = matrix(ends, arm)
        row: dict[str, object] = {
            "arm": label(arm),
            "references": "yes" if parse_arm(arm).references else "no",
            "seeds": rates.shape[0],
            "programs": int(of_arm["programs"].iloc[0]),
            "best T": _range(models["temperature"]),
            **pass_rate(rates).named("pass@1"),
        }
        gain = Interval(*[float("nan")] * 3)
        if arm not in ("base", against) and against in set(ends["arm"]):
            gain = crossed_t(*same_seeds(ends, arm, against)).interval
        apart = of_arm[of_arm["near"] == 0]
        row |= gain.named("gain") | {
            "without near": np.nanmean(matrix(apart, arm)) if len(apart) else np.nan,
            "greedy": float(np.nanmean(matrix(ends, arm, "greedy"))),
            f"pass@{ATTEMPTS}": _pass_at(
                ATTEMPTS, of_arm["sampled_samples"], of_arm["sampled_passed"]
            ),
        }
        if "kl" in models:
            # The median of the times: a machine that was busy makes outliers.
            row |= {"kl": models["kl"].mean(), "seconds": models["seconds"].median()}
        rows.append(row)
    return pd.DataFrame(rows)


def arms_table(at_best: pd.DataFrame) -> pd.DataFrame:
    """One row per arm, in words: `arm`, `what it does`, whether it `needs solutions` of its
    training tasks, `seeds`, and `passes`, its pass@1 at T* with `low` and `high`."""
    ends = final(at_best)
    rows = []
    for arm in dict.fromkeys(ends["arm"]):
        rates = matrix(ends, arm)
        known = parse_arm(arm)
        rows.append(
            {
                "arm": known.label,
                "what it does": known.about,
                "needs solutions": "yes" if known.references else "no",
                "seeds": rates.shape[0],
                **pass_rate(rates).named("passes"),
            }
        )
    return pd.DataFrame(rows)


def _range(temperatures: pd.Series) -> str:
    low, high = temperatures.min(), temperatures.max()
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"


def _pass_at(k: int, samples: pd.Series, passed: pd.Series) -> float:
    """Mean pass@k over the tasks with k samples or more; nan if there are none."""
    enough = samples >= k
    counts = zip(samples[enough].astype(int), passed[enough].astype(int), strict=True)
    return pass_at_k(counts, ks=(k,)).get(k, float("nan"))


def temperature_table(scores: pd.DataFrame) -> pd.DataFrame:
    """One row per arm and temperature: `pass@1` on test tasks after the arm's last program.

    Columns: `arm, seeds, temperature`, `pass@1` with `low` and `high`, and `chosen`, the
    fraction of the seeds whose T* it is.
    """
    ends = final(scores[scores["split"] == TEST])
    chosen = best_temperatures(scores)
    stars = chosen.groupby([*_MODEL, "temperature"]).size()
    rows = []
    for (arm, temperature), part in ends.groupby(["arm", "temperature"]):
        models = part.drop_duplicates("seed")[[*_MODEL, "temperature"]]
        rows.append(
            {"seed": 0, "arm": arm, "seeds": len(models), "temperature": temperature}
            | pass_rate(matrix(part, arm)).named("pass@1")
            | {"chosen": pd.MultiIndex.from_frame(models).isin(stars.index).mean()}
        )
    table = pd.DataFrame(
        rows,
        columns=[
            *("seed", "arm", "seeds", "temperature", *RATE, "chosen"),
        ],
    )
    return in_order(table, "temperature").drop(columns="seed")


def by_difficulty(at_best: pd.DataFrame) -> pd.DataFrame:
    """One row per arm and number of steps in a task, after the arm's last program.

    Columns: `arm`, `difficulty`, and `pass@1` at T* with `low` and `high`.
    """
    ends = final(at_best)
    rows = []
    for (arm, difficulty), part in ends.groupby(["arm", "difficulty"], sort=False):
        interval = pass_rate(matrix(part, arm))
        rows.append({"arm": arm, "difficulty": difficulty} | interval.named("pass@1"))
    return pd.DataFrame(rows, columns=["arm", "difficulty", *RATE])


def label(arm: str) -> str:
    """An arm's name in tables and figures.  Raises BadInput for an unknown arm."""
    return parse_arm(arm).label


# --- The gate: is there something to learn, and can it be learnt?

MOST_SFT = 0.25  # pass@1 of SFT at T* on tuning tasks
LEAST_ALL_FAIL = 0.5  # of the alignment prompts
LEAST_TIMES = 3.0  # pass@64 over pass@1 of SFT: right programs are there, if rare
LEAST_CEILING = 0.7  # pass@1 of the ceiling at T* on tuning tasks
TRIES = 64


def gate_table(scores: pd.DataFrame, gate: pd.DataFrame) -> pd.DataFrame:
    """One row per seed: what must hold before any arm is trained, and whether it does.

    `sft` is pass@1 of the SFT model at T* on the tuning tasks, `all fail` the fraction of
    alignment prompts whose samples all fail.  `pass@1` and `pass@64` are those of SFT at
    T = 1 on the tuning tasks, `times` the second over the first (k is the number of samples
    where fewer than 64 were drawn).  `ceiling` is pass@1 at T* of SFT with clean solutions
    of all operations; nan before it is there.
    """
    rates = best_temperatures(scores)
    rows = []
    for seed, part in gate.groupby("seed"):
        align, tune = (part[part["part"] == name] for name in ("align", "tune"))
        drawn = tune[tune["samples"] > 0]
        k = int(min(TRIES, drawn["samples"].min())) if len(drawn) else TRIES
        once, many = (_pass_at(n, drawn["samples"], drawn["passed"]) for n in (1, k))
        row = {
            "seed": int(seed),
            "sft": _first(rates, seed, "sft", "rate"),
            "best T": _first(rates, seed, "sft", "temperature"),
            "all fail": (align["passed"] == 0).mean() if len(align) else float("nan"),
            "pass@1": once,
            f"pass@{TRIES}": many,
            "times": many / once if once else float("nan"),
            "ceiling": _first(rates, seed, "ceiling", "rate"),
        }
        rows.append(row | {"holds": "no" if gate_problem(row) else "yes"})
    columns = ["seed", "sft", "best T", "all fail", "pass@1", f"pass@{TRIES}", "times"]
    return pd.DataFrame(rows, columns=[*columns, "ceiling", "holds"])


def _first(rates: pd.DataFrame, seed: object, arm: str, column: str) -> float:
    found = rates[(rates["seed"] == seed) & (rates["arm"] == arm)]
    return float(found[column].iloc[0]) if len(found) else float("nan")


def gate_problem(row: Mapping[str, object]) -> str | None:
    """Why the study must not go on with this row of `gate_table`; None where it may.

    What was not measured (nan) is a problem, too.
    """
    # A nan compares as false, so each condition says what must hold.
    checks: tuple[tuple[str, bool, str], ...] = (
        (
            "sft",
            row["sft"] <= MOST_SFT,
            f"SFT passes {row['sft']:.2f} of the tuning tasks at its best temperature, "
            f"more than {MOST_SFT:.2f}: too little is left to learn",
        ),
        (
            "all fail",
            row["all fail"] >= LEAST_ALL_FAIL,
            f"all samples fail on {row['all fail']:.2f} of the alignment prompts, fewer "
            f"than {LEAST_ALL_FAIL:.2f}: pass/fail feedback is not rare",
        ),
        (
            "times",
            row["times"] >= LEAST_TIMES,
            f"pass@{TRIES} of SFT is {row['times']:.1f} times pass@1, less than "
            f"{LEAST_TIMES:.0f}: right programs are not in its reach",
        ),
        (
            "ceiling",
            row["ceiling"] >= LEAST_CEILING,
            f"the ceiling passes {row['ceiling']:.2f} of the tuning tasks, less than "
            f"{LEAST_CEILING:.2f}: the model cannot learn these tasks",
        ),
    )
    problems = [
        f"there is no value for '{name}'" if np.isnan(row[name]) else text
        for name, holds, text in checks
        if not holds
    ]
    if not problems:
        return None
    return f"The gate does not hold for seed {row['seed']}: {'; '.join(problems)}."


# --- Tables kept and read


def joined(rows: pd.DataFrame) -> pd.DataFrame:
    """The table for a reader: a value and the ends of its interval become one text.

    Columns `x`, `x low`, `x high` (or `value`, `low`, `high`) become `x` (or `value`), as
    in "0.135 [0.110, 0.160]", or "-" where there is no value.
    """
    rows = rows.rename(columns={"low": "value low", "high": "value high"})
    for name in [column for column in rows if f"{column} low" in rows]:
        low, high = rows.pop(f"{name} low"), rows.pop(f"{name} high")
        rows[name] = [
            str(Interval(*ends)) for ends in zip(rows[name], low, high, strict=True)
        ]
    return rows


def write_results(folder: Path, **tables: pd.DataFrame) -> None:
    """Keep each table as `folder`/NAME.csv.

    Six digits and one kind of line ending: the same numbers give the same bytes anywhere.
    """
    for name, rows in tables.items():
        with write_whole(folder / f"{name}.csv") as file:
            rows.to_csv(file, index=False, float_format="%.6g", lineterminator="\n")


def read_folder(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """The scores, models and gate of a run, of all seeds: `folder`/scores/scores0.csv, ...

    Raises BadInput where there are none, or one is not what its name says.
    """
    scores, models, gate = (
        read_parts(folder, name, columns)
        for name, columns in (("scores", COLUMNS), ("models", MODELS), ("gate", GATE))
    )
    if scores.empty:
        raise BadInput(f"{folder}: no scores/scores0.csv there; is it a run's folder?")
    return scores, models, gate


def read_parts(folder: Path, name: str, columns: Iterable[str]) -> pd.DataFrame:
    """A table of which each seed has a part: `folder`/scores/NAME0.csv, NAME1.csv.gz, ...

    Without parts, `folder`/NAME.csv is the whole table; without that, it is empty.
    """
    found = {
        int(number): path
        for path in folder.glob(f"scores/{name}*.csv*")
        if (number := path.name.partition(".")[0].removeprefix(name)).isdigit()
    }
    paths = [found[number] for number in sorted(found)]
    paths = paths or sorted(folder.glob(f"{name}.csv*"))[:1]
    if not paths:
        return pd.DataFrame(columns=list(columns))
    return pd.concat([load_table(path, columns) for path in paths], ignore_index=True)


def load_table(path: Path, columns: Iterable[str]) -> pd.DataFrame:
    """A table that `write_results` kept and that has these columns.

    Raises BadInput, naming the file, where it cannot be read or lacks a column.
    """
    try:
        rows = pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise BadInput(f"{path}: cannot be read as a table ({error})") from None
    if missing := [column for column in columns if column not in rows]:
        raise BadInput(f"{path}: no column {missing[0]}; is it a table of a run?")
    return rows
