"""Charts, one function each, drawn from tables that other modules make.

First what compares arms, then what a training or a reward model did.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from eta_utils.analysis.arms import parse_arm
from eta_utils.analysis.figures.palette import (
    SMALL,
    STATUS_COLOURS,
    WIDE,
    axes_of,
    bars,
)
from eta_utils.analysis.statistics import mean_interval
from eta_utils.analysis.tables import final, label, matrix

LEGEND_ROOM = 0.4  # of a panel's height, above its curves


def pass_fail(scores: pd.DataFrame) -> Figure:
    """Fractions of sampled programs that pass and fail, by arm, from scores.

    The founding experiment had this figure.
    """
    ends = final(scores)
    arms = list(dict.fromkeys(ends["arm"]))
    figure, [axis] = axes_of(bars(arms))
    for place, arm in enumerate(arms):
        interval = mean_interval(matrix(ends, arm))
        axis.barh(place, interval.value, color=parse_arm(arm).colour)
        axis.barh(place, 1 - interval.value, left=interval.value, color="#E8E8E8")
        # A white line below the black one, which then shows on bars of any colour.
        for shade, width in (("white", 4), ("black", 1.5)):
            axis.hlines(place, interval.low, interval.high, color=shade, lw=width)
        axis.text(0.99, place, f"{interval.value:.0%} pass", ha="right", va="center")
    axis.set_yticks(range(len(arms)), [label(arm) for arm in arms])
    axis.invert_yaxis()
    axis.set(xlim=(0, 1), xlabel="fraction of sampled programs on held-out tasks")
    axis.grid(axis="y", visible=False)
    return figure


def learning_curves(scores: pd.DataFrame) -> Figure:
    """Held-out pass@1 against programs executed for training, from scores.

    Each curve begins at the SFT model, which has executed none.
    """
    figure, [axis] = axes_of()
    aligned = [arm for arm in dict.fromkeys(scores["arm"]) if arm not in ("base", "sft")]
    for place, arm in enumerate(aligned):
        points = [(0, mean_interval(matrix(scores, "sft")))]
        of_arm = scores[scores["arm"] == arm]
        for programs, part in of_arm.groupby("programs"):
            points.append((programs, mean_interval(matrix(part, arm))))
        # Side by side, or the intervals would hide one another.
        shift = 0.008 * scores["programs"].max() * (place - (len(aligned) - 1) / 2)
        executed = [programs + shift * (programs > 0) for programs, _ in points]
        axis.errorbar(
            executed,
            [interval.value for _, interval in points],
            yerr=[
                [interval.value - interval.low for _, interval in points],
                [interval.high - interval.value for _, interval in points],
            ],
            color=parse_arm(arm).colour,
            marker=parse_arm(arm).marker,
            linestyle=parse_arm(arm).line,
            label=label(arm),
            capsize=3,
        )
    axis.set(xlabel="programs executed for training", ylabel="sampled pass@1, held out")
    if aligned:
        axis.legend()
    return figure


def gains(rows: pd.DataFrame) -> Figure:
    """Paired differences with their intervals, from rows of `contrasts.contrast_table`.

    Each seed is a small dot.
    """
    figure, [axis] = axes_of((7.2, 0.9 + 0.45 * len(rows)))
    for place, row in enumerate(rows.to_dict("records")):
        axis.plot([row["low"], row["high"]], [place, place], color="#0072B2", lw=2)
        axis.plot(row["value"], place, "o", color="#0072B2")
        if len(row["by seed"]) > 1:
            places = [place + 0.25] * len(row["by seed"])
            axis.plot(row["by seed"], places, ".", color="#767676", ms=4)
    axis.axvline(0, color="black", lw=1)
    axis.set_yticks(range(len(rows)), [_title(row) for row in rows.to_dict("records")])
    axis.set(ylim=(len(rows) - 0.5, -0.5), xlabel="difference in sampled pass@1")
    axis.locator_params(axis="x", nbins=7)
    return figure


def _title(row: Mapping[str, object]) -> str:
    part = "" if row["tasks"] == "all" else f"\n{row['tasks']}"
    return f"{row['contrast']}, {row['programs']}{part}"


def statuses(counts: pd.DataFrame) -> Figure:
    """What became of the sampled programs, from rows of `arm, status, programs`."""
    shares = counts.pivot_table(
        index="arm", columns="status", values="programs", sort=False
    )
    shares = shares.fillna(0).div(shares.sum(axis=1), axis=0)
    figure, [axis] = axes_of(bars(shares.index))
    left = pd.Series(0.0, index=shares.index)
    for status, shade in STATUS_COLOURS.items():
        if status in shares:
            names = [label(arm) for arm in shares.index]
            axis.barh(names, shares[status], left=left, color=shade, label=status)
            left += shares[status]
    axis.invert_yaxis()
    axis.set(xlim=(0, 1), xlabel="fraction of sampled programs")
    figure.legend(loc="outside lower center", ncols=5, fontsize="small")
    axis.grid(axis="y", visible=False)
    return figure


def difficulty(rows: pd.DataFrame) -> Figure:
    """Sampled pass@1 by number of steps, from rows of `tables.by_difficulty`."""
    figure, [axis] = axes_of()
    arms = list(dict.fromkeys(rows["arm"]))
    for number, (arm, part) in enumerate(rows.groupby("arm", sort=False)):
        shift = 0.06 * (number - (len(arms) - 1) / 2)  # so that intervals do not overlap
        axis.errorbar(
            part["difficulty"] + shift,
            part["pass@1"],
            yerr=[
                part["pass@1"] - part["pass@1 low"],
                part["pass@1 high"] - part["pass@1"],
            ],
            color=parse_arm(arm).colour,
            marker=parse_arm(arm).marker,
            label=label(arm),
            capsize=2,
        )
    axis.set_xticks(sorted(set(rows["difficulty"])))
    axis.set(xlabel="steps in the task", ylabel="sampled pass@1, held out")
    axis.legend(fontsize="small")
    return figure


def crossover(rows: pd.DataFrame) -> Figure:
    """Gain of ETA-DPO over one rival against the strength of the model both began with.

    `rows` are those of `contrasts.crossover` about that rival.  The first round's are above
    those of all rounds.  A run is a large dot; a number stands for its tasks of so many
    steps.
    """
    against = {
        "sft": "sampled pass@1 of SFT",
        "silent": "tasks where all of SFT's samples fail",
    }
    budgets = list(dict.fromkeys(rows["programs"]))
    size = (WIDE[0], 0.4 + 2.6 * len(budgets))
    figure, axes = axes_of(size, len(against), len(budgets), share=True)
    for place, axis in enumerate(axes):
        budget, x = budgets[place // 2], list(against)[place % 2]
        _gains_against(axis, rows[rows["programs"] == budget], x)
        if budget == budgets[-1]:
            axis.set(xlabel=against[x])
        if x == "sft":
            axis.set(ylabel=f"{rows['contrast'].iloc[0]}\n{budget}")
    return figure


def _gains_against(axis: Axes, rows: pd.DataFrame, x: str) -> None:
    for steps, part in rows.groupby("steps", sort=False):
        value = part["value"]
        whole = steps == "all"
        axis.errorbar(
            part[x],
            value,
            yerr=[value - part["low"], part["high"] - value],
            marker="o" if whole else f"${steps}$",
            linestyle="none",
            color="#009E73" if whole else "#767676",
            elinewidth=2 if whole else 0.6,
            markersize=7 if whole else 6,
            zorder=3 if whole else 2,
        )
    axis.axhline(0, color="black", lw=1)


# --- Training, and the reward model


def training_curves(
    history: pd.DataFrame, x: str, panels: Mapping[str, Sequence[str]]
) -> Figure:
    """One panel for each title, with the named columns of a training's history.

    `x` is the column of the horizontal axis.  Columns that the history lacks are left out.
    """
    figure, axes = axes_of(SMALL, len(panels))
    for axis, (title, names) in zip(axes, panels.items(), strict=True):
        for name in [column for column in names if column in history]:
            axis.plot(history[x], history[name], label=name, marker=".")
        axis.set(title=title, xlabel=x)
        if len(names) > 1:
            low, high = axis.get_ylim()
            axis.set_ylim(low, high + LEGEND_ROOM * (high - low))
            axis.legend(loc="upper center", fontsize="small")
    return figure


def best_of_n(rows: pd.DataFrame) -> Figure:
    """Pass rate of the best of n samples by way to rank, from rows of `ranking.best_of`."""
    figure, [axis] = axes_of()
    for place, (name, part) in enumerate(rows.groupby("ranked by", sort=False)):
        value = part["passes"]
        ends = [value - part["passes low"], part["passes high"] - value]
        shifted = part["n"] * 1.02 ** (place - 2)  # so that intervals do not overlap
        mark = "osD^v"[place % 5]
        axis.errorbar(shifted, value, yerr=ends, marker=mark, label=name, capsize=2)
    axis.set_xscale("log", base=2)
    axis.set_xticks(sorted(set(rows["n"])), sorted(set(rows["n"])))
    axis.set(xlabel="samples to choose from", ylabel="fraction that passes")
    axis.legend(fontsize="small")
    return figure


def reliability(rows: pd.DataFrame) -> Figure:
    """How often a predicted preference is right, from rows of `ranking.reliability`."""
    figure, [axis] = axes_of(SMALL)
    axis.plot([0.5, 1], [0.5, 1], color="#767676", linestyle="--", label="calibrated")
    axis.plot(rows["predicted"], rows["right"], "o-", color="#009E73", label="ETA-RM")
    axis.set(xlabel="predicted probability", ylabel="fraction right")
    axis.legend(fontsize="small")
    return figure


def drift(history: pd.DataFrame, rates: pd.DataFrame) -> Figure:
    """What a reward model says of its policy, and what the held-out tasks say.

    `history` has `programs` and `objective/scores` of each update; `rates` are the scores
    of that policy's arm.
    """
    figure, axes = axes_of(SMALL, 2)
    axes[0].plot(history["programs"], history["objective/scores"], color="#D55E00")
    axes[0].set(title="score by ETA-RM", xlabel="programs")
    points = {
        programs: mean_interval(matrix(part, part["arm"].iloc[0]))
        for programs, part in rates.groupby("programs")
    }
    value = pd.Series({count: interval.value for count, interval in points.items()})
    ends = [
        [interval.value - interval.low for interval in points.values()],
        [interval.high - interval.value for interval in points.values()],
    ]
    axes[1].errorbar(value.index, value, yerr=ends, marker="o", color="#009E73", capsize=3)
    axes[1].set(title="held-out pass@1", xlabel="programs")
    return figure
