"""Which arms are compared, on which tasks, after how many programs, and what that gives.

>>> at_best = best(scores)                  # every model at its best temperature
>>> contrasts = contrast_table(at_best)     # hypotheses, secondary, gains over SFT
>>> contrasts.loc[contrasts["family"] == "hypotheses", "in words"]
>>> rarity(runs, gates)                     # gain of a trace, by how rare passes are

`HYPOTHESES` were named before any reported result (`docs/hypotheses.md`).  H1 sets learning
beside a mere temperature, and each other one a use of a trace beside the same algorithm
without.  They are five tests, because H2 is asked twice; Holm's adjustment is over these.

`SECONDARY` are the baselines, and the controls that say why a hypothesis came out so.  Each
hypothesis is asked again where SFT always fails, and without near-duplicates.  Holm's
adjustment is over all secondary rows that a run has; the gains over SFT are a family, too.

Every comparison is fair: both arms have executed the same number of programs.  Only SFT and
its rivals with references (`ceiling`, `sft-references`) stand beside any, for they execute
none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from eta_utils.analysis.arms import Arm, parse_arm
from eta_utils.analysis.statistics import (
    crossed_t,
    holm,
    improvement,
    paired_difference,
    paired_t,
)
from eta_utils.analysis.tables import final, label, matrix, pass_rate, same_seeds

THIRD, END = "a third", "all"  # of the executed programs
ALL_TASKS = "all"
ALL_FAIL_TASKS = "SFT always fails"
APART_TASKS = "no near-duplicate"


class Question(NamedTuple):
    """Is `arm` above `other` after that part of the programs?"""

    name: str
    arm: str
    other: str
    budget: str = END


HYPOTHESES = (
    Question("H1", "grpo", "sft"),
    Question("H2 end", "credit", "grpo"),
    Question("H2 third", "credit", "grpo", THIRD),
    Question("H3", "branching", "grpo"),
    Question("H4", "dpo-eta", "dpo-binary+filled"),
)
SECONDARY = tuple(
    Question(f"S{number}", *pair)
    for number, pair in enumerate(
        (
            # Where credit is laid, and what of it works
            ("credit-reference", "grpo", THIRD),
            ("credit-reference", "grpo", END),
            ("credit-mask", "grpo", END),
            ("credit-penalty", "grpo", END),
            ("credit", "credit-mask", END),
            ("credit", "credit-penalty", END),
            ("credit-both", "credit", END),
            ("credit-reference", "credit", END),
            # Who has references could imitate them
            ("sft-references", "credit", END),
            ("sft-references", "credit-reference", END),
            # Orderings, each with as many pairs as eta makes
            ("dpo-eta", "dpo-binary", END),
            ("dpo-steps+filled", "dpo-binary+filled", END),
            ("dpo-fraction+filled", "dpo-binary+filled", END),
            ("dpo-tier+filled", "dpo-binary+filled", END),
            ("dpo-states+filled", "dpo-binary+filled", END),
            ("dpo-binary+prefix", "dpo-binary+filled", END),
            ("dpo-binary+fresh", "dpo-binary", END),
            # Rewards, and other ways to learn from the bit
            ("grpo-dense", "grpo", END),
            ("rft", "sft", END),
            ("grpo", "rft", END),
            ("ppo", "grpo", END),
            ("ppo-rm", "ppo", END),
            ("credit", "rft", END),  # added after RFT was seen (docs/hypotheses.md)
        ),
        start=1,
    )
)
# Arms that are drawn together, by what the figure is about.
GROUPS: dict[str, Callable[[Arm], bool]] = {
    "the hypotheses": lambda arm: any(
        arm.name in (asked.arm, asked.other) for asked in HYPOTHESES
    ),
    "credit and its controls": lambda arm: arm.name == "grpo" or bool(arm.credit),
    "ways to learn from the bit": lambda arm: (
        arm.method in ("rft", "ppo", "grpo") and not arm.credit
    ),
    "orderings and pairs": lambda arm: arm.method == "dpo",
}
CONTRAST_COLUMNS = [
    *("family", "name", "contrast", "programs", "tasks", "seeds", "value", "low", "high"),
    *("p", "holm", "smallest", "boot low", "boot high", "improvement", "df", "t p"),
    *("by seed", "in words"),
]


class Contrast(NamedTuple):
    """A question about some tasks, and the rows of both arms that answer it."""

    family: str  # hypotheses, secondary or gain
    question: Question
    tasks: str  # `ALL_TASKS`, `ALL_FAIL_TASKS` or `APART_TASKS`
    rows: pd.DataFrame


def contrast_table(at_best: pd.DataFrame) -> pd.DataFrame:
    """One row for each contrast that `tables.best` allows.  Columns:

    - `family` (hypotheses, secondary, gain), `name`, `contrast`, `programs` (a third or
      all), `tasks` and `seeds` say what is asked;
    - `value`, `low`, `high`: the paired difference in pass@1 at T*, with `p` and `df`, by
      `statistics.crossed_t`; `holm` is p adjusted over its family;
    - `smallest` is the difference that this comparison alone would show with power 0.8;
    - `boot low`, `boot high` are the two-level bootstrap's ends, and `t p` is the p-value
      of a plain paired t over seeds, for these very tasks;
    - `improvement` is the probability that the first arm is better on a random task;
    - `by seed` has the difference of each seed, `in words` a sentence.
    """
    rows = [_row(contrast) for contrast in _contrasts(at_best)]
    table = pd.DataFrame(rows, columns=CONTRAST_COLUMNS)
    for family in table["family"].unique():
        of_family = table["family"] == family
        table.loc[of_family, "holm"] = holm(table.loc[of_family, "p"].tolist())
    table["in words"] = [in_words(row) for row in table.to_dict("records")]
    return table


def _contrasts(at_best: pd.DataFrame) -> Iterator[Contrast]:
    """The hypotheses, the secondary contrasts, then each arm's gain over SFT."""
    asked = [(question, _both(at_best, question)) for question in HYPOTHESES]
    asked = [(question, both) for question, both in asked if len(both)]
    for question, both in asked:
        yield Contrast("hypotheses", question, ALL_TASKS, both)
    for question in SECONDARY:
        if len(both := _both(at_best, question)):
            yield Contrast("secondary", question, ALL_TASKS, both)
    for question, both in asked:
        if len(hard := on_all_fail_tasks(at_best, both)):
            yield Contrast("secondary", question, ALL_FAIL_TASKS, hard)
    for question, both in asked:
        apart = both[both["near"] == 0]
        if 0 < len(apart) < len(both):
            yield Contrast("secondary", question, APART_TASKS, apart)
    for arm in dict.fromkeys(at_best["arm"]):
        gain = Question("gain", arm, "sft")
        if arm not in ("base", "sft") and len(both := _both(at_best, gain)):
            yield Contrast("gain", gain, ALL_TASKS, both)


def _both(at_best: pd.DataFrame, question: Question) -> pd.DataFrame:
    """The rows of both arms after that part of the programs, of seeds that have both.

    Empty where an arm is missing, or where one has executed more programs than the other.
    """
    arms = question.arm, question.other
    parts = [at_budget(at_best, arm, question.budget) for arm in arms]
    shared = set.intersection(*(set(part["seed"]) for part in parts))
    both = pd.concat(parts)
    both = both[both["seed"].isin(shared)]
    executed = {
        int(count)
        for arm, part in zip(arms, parts, strict=True)
        if parse_arm(arm).aligned
        for count in part["programs"].unique()
    }
    return both if len(executed) <= 1 else both.iloc[:0]


def at_budget(at_best: pd.DataFrame, arm: str, budget: str) -> pd.DataFrame:
    """An arm's rows after all of its programs (`END`), or after a `THIRD` of them."""
    of_arm = at_best[at_best["arm"] == arm]
    if budget == END or of_arm.empty:
        return final(of_arm)
    return of_arm[3 * of_arm["programs"] == of_arm["programs"].max()]


def on_all_fail_tasks(at_best: pd.DataFrame, of: pd.DataFrame) -> pd.DataFrame:
    """The rows of `of` on tasks where all samples of the same seed's SFT model fail.

    These are SFT's samples at T = 1, so each seed has all-fail tasks of its own.  Where SFT
    is one of the arms and its T* is 1, the same samples chose the tasks: SFT is then 0 by
    choice.
    """
    of_sft = final(at_best[at_best["arm"] == "sft"])
    all_fail = of_sft.loc[of_sft["sampled_passed"] == 0, ["seed", "task_id"]]
    return of.merge(all_fail, on=["seed", "task_id"])


def _row(contrast: Contrast) -> dict[str, object]:
    question = contrast.question
    ours, theirs = same_seeds(contrast.rows, question.arm, question.other)
    test = crossed_t(ours, theirs)
    bootstrap = paired_difference(ours, theirs)
    return {
        "family": contrast.family,
        "name": question.name,
        "contrast": f"{label(question.arm)} - {label(question.other)}",
        "programs": question.budget,
        "tasks": contrast.tasks,
        "seeds": len(ours),
        **test._asdict(),
        "boot low": bootstrap.low,
        "boot high": bootstrap.high,
        "improvement": improvement(ours, theirs).value,
        "t p": paired_t(ours, theirs).p,
        "by seed": [
            round(float(row[~np.isnan(row)].mean()), 6) if (~np.isnan(row)).any() else None
            for row in ours - theirs
        ],
    }


def grouped(at_best: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Rows of each of `GROUPS`, with those of SFT and of the rivals that execute nothing.

    A group of one arm is left out.
    """
    names = [arm for arm in dict.fromkeys(at_best["arm"]) if arm != "base"]
    level = [arm for arm in names if not parse_arm(arm).aligned]
    groups = {}
    for title, belongs in GROUPS.items():
        members = [
            arm for arm in names if parse_arm(arm).aligned and belongs(parse_arm(arm))
        ]
        if len(members) > 1:
            groups[title] = at_best[at_best["arm"].isin([*level, *members])]
    return groups


# --- In words


def answer(contrasts: pd.DataFrame, at_best: pd.DataFrame) -> str:
    """The study's answer in a few plain sentences, one for each hypothesis.

    They claim no more than the adjusted p of `contrasts`, the `contrast_table` of
    `at_best`.
    """
    ends = final(at_best)
    if not (ends["passed"].any() or ends["sampled_passed"].any()):
        programs = int(ends["samples"].sum())
        return (
            f"No model passed one of its {programs:,} sampled programs, so this run can "
            "say nothing of which feedback is better."
        )
    asked = contrasts[contrasts["family"] == "hypotheses"].to_dict("records")
    if not asked:
        return "This run lacks the arms of the hypotheses."
    by_pair = {
        row["contrast"]: row
        for row in contrasts.to_dict("records")
        if (row["programs"], row["tasks"]) == (END, ALL_TASKS) and row["family"] != "gain"
    }
    said = [
        words(by_pair[pair], ends)
        for pair, words in _IN_THE_ANSWER.items()
        if pair in by_pair
    ]
    if "sft-references" in set(ends["arm"]):
        rate = pass_rate(matrix(ends, "sft-references")).value
        said.append(
            f"Imitating solutions of the training tasks reaches {rate:.0%}, and executes "
            "no program."
        )
    if any(row["seeds"] == 1 for row in asked):
        said.append("This is one seed; another may differ.")
    return " ".join(said)


def _beyond_temperature(row: Mapping[str, object], ends: pd.DataFrame) -> str:
    before, after = (pass_rate(matrix(ends, arm)).value for arm in ("sft", "grpo"))
    levels = f"from {before:.0%} to {after:.0%}"
    if _side(row) > 0:
        return f"Learning from pass and fail (*GRPO*) lifts the pass rate {levels}."
    return (
        "This run does not show that learning from pass and fail (*GRPO*) gives more than "
        f"a better temperature: the pass rate goes {levels}."
    )


def _beside(use: str, other: str) -> Callable[[Mapping[str, object], pd.DataFrame], str]:
    """A function that says what a use of programs gives beside another one."""

    def words(row: Mapping[str, object], _ends: pd.DataFrame) -> str:
        side, size = _side(row), abs(100 * float(row["value"]))
        if not side:
            return f"{use} is not shown to differ from {other}: {_points(row)}."
        low, high = sorted(side * 100 * float(row[name]) for name in ("low", "high"))
        verb, to = ("adds", "to") if side > 0 else ("loses", "against")
        return f"{use} {verb} {size:.1f} points [{low:.1f}, {high:.1f}] {to} {other}."

    return words


_IN_THE_ANSWER: dict[str, Callable[[Mapping[str, object], pd.DataFrame], str]] = {
    "GRPO - SFT": _beyond_temperature,
    "credit - GRPO": _beside(
        "Blaming a failing program's wrong line alone (*credit*)", "GRPO"
    ),
    "credit - RFT": _beside(
        "Credit",
        "imitating the model's own passing programs (*RFT*), which needs no trace",
    ),
    "branching - GRPO": _beside(
        "Restarting programs where they were still right (*branching*)", "GRPO"
    ),
    "ETA-DPO - binary DPO, filled": _beside(
        "Preferring the failing program that got further (*ETA-DPO*)",
        "as many pairs of a passing and a failing program",
    ),
}


def verdicts(contrasts: pd.DataFrame) -> pd.DataFrame:
    """Rows of `contrast_table` for a reader: what is compared, and how it came out.

    `after` is the part of the programs that both arms had executed.  The `difference` and
    what the test `would show` are in points of pass@1 at T*.
    """
    rows = [
        {
            "test": row["name"],
            "contrast": row["contrast"],
            "after": row["programs"],
            "seeds": row["seeds"],
            "difference": _points(row).replace(" points", ""),
            "p": "< 0.001" if row["holm"] < 0.001 else f"{row['holm']:.3f}",
            "would show": f"{100 * row['smallest']:.1f}" if row["smallest"] > 0 else "",
            "verdict": _VERDICTS[_side(row)],
        }
        for row in contrasts.to_dict("records")
    ]
    columns = ["test", "contrast", "after", "seeds", "difference", "p", "would show"]
    return pd.DataFrame(rows, columns=[*columns, "verdict"])


def of_one_seed(at_best: pd.DataFrame) -> list[str]:
    """The differences of the hypotheses as one seed has them, in sentences that decide
    nothing."""
    rows = contrast_table(at_best)
    asked = rows[(rows["family"] == "hypotheses") & (rows["tasks"] == ALL_TASKS)]
    return [
        f"{row['contrast']}{_when(row)}: {100 * row['value']:+.1f} points."
        for row in asked.to_dict("records")
    ]


_VERDICTS = {1: "holds", -1: "the opposite", 0: "not shown"}


def in_words(row: Mapping[str, object]) -> str:
    """A sentence on a row of `contrast_table` that claims no more than its adjusted p."""
    ours, theirs = str(row["contrast"]).split(" - ")
    side = _side(row)
    p = "p < 0.001" if row["holm"] < 0.001 else f"p = {row['holm']:.2g}"
    numbers = f"{_points(row)}, adjusted {p}"
    relation = {1: "above", -1: "below", 0: "not distinguishable from"}[side]
    where = f"{_when(row)}{_where(row)}"
    text = f"{ours[0].upper()}{ours[1:]} is {relation} {theirs}{where}: {numbers}."
    if row["family"] == "hypotheses":
        text = f"{row['name']}, {_VERDICTS[side]}. {text}"
    if side == 0 and np.isfinite(row["smallest"]):
        points = f"{100 * row['smallest']:.1f} points"
        text += f" Alone, this comparison would show {points} four times in five."
    if row["seeds"] == 1:
        text += " This is one seed; another may differ."
    return text


def _side(row: Mapping[str, object]) -> int:
    """1 where the first arm is above, -1 where it is below, 0 where neither is shown."""
    return int(np.sign(row["value"])) if row["holm"] < 0.05 else 0


def _when(row: Mapping[str, object]) -> str:
    return " after a third of the programs" if row["programs"] == THIRD else ""


def _where(row: Mapping[str, object]) -> str:
    return {
        ALL_TASKS: "",
        ALL_FAIL_TASKS: " where SFT always fails",
        APART_TASKS: " on tasks without a near-duplicate in training",
    }[str(row["tasks"])]


def _points(row: Mapping[str, object]) -> str:
    value, low, high = (100 * float(row[name]) for name in ("value", "low", "high"))
    return f"{value:+.1f} points [{low:+.1f}, {high:+.1f}]"


# --- Rarity: what a trace adds, by how rare a pass is

RARITY = (HYPOTHESES[1], HYPOTHESES[2], HYPOTHESES[4])
RARITY_COLUMNS = [
    *("run", "seeds", "all fail", "sft", "contrast", "programs"),
    *("value", "low", "high"),
]


def rarity(
    runs: Mapping[str, pd.DataFrame], gates: Mapping[str, pd.DataFrame]
) -> pd.DataFrame:
    """The gain of a trace in each run, against the share of its all-fail prompts.

    `runs` has `tables.best` of runs on rarer and on more frequent passes, `gates` their
    gates, both by name.  `all fail` is the fraction of alignment prompts whose samples from
    SFT all fail, `sft` its pass@1 at T*; `value`, `low`, `high` are those of
    `statistics.crossed_t`.  Runs come from the densest passes to the rarest.
    """
    rows = []
    for run, at_best in runs.items():
        align = gates[run][gates[run]["part"] == "align"]
        of_sft = final(at_best[at_best["arm"] == "sft"])
        for question in RARITY:
            both = _both(at_best, question)
            if both.empty or align.empty or of_sft.empty:
                continue
            pair = same_seeds(both, question.arm, question.other)
            # Of the seeds that are compared, where others have a gate, too.
            of_seeds = align[align["seed"].isin(both["seed"])]
            rows.append(
                {
                    "run": run,
                    "seeds": len(pair[0]),
                    "all fail": float((of_seeds["passed"] == 0).mean()),
                    "sft": pass_rate(matrix(of_sft, "sft")).value,
                    "contrast": f"{label(question.arm)} - {label(question.other)}",
                    "programs": question.budget,
                    **crossed_t(*pair).interval._asdict(),
                }
            )
    table = pd.DataFrame(rows, columns=RARITY_COLUMNS)
    return table.sort_values("all fail", kind="stable").reset_index(drop=True)
