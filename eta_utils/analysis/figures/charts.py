"""Charts, one function each, drawn from tables that other modules make.

First what compares arms, then what a training or a reward model did.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from scipy.optimize import isotonic_regression

from eta_utils.analysis.arms import parse_arm
from eta_utils.analysis.figures.palette import (
    SMALL,
    STATUS_COLOURS,
    WIDE,
    axes_of,
    bars,
)
from eta_utils.analysis.statistics import Interval
from eta_utils.analysis.tables import final, label, matrix, pass_rate

COLUMNS = 5  # of small panels
LINE_OF_TEXT = 0.052  # of a panel's height
LEGEND_ROOM = 0.4  # of a panel's height, above its curves
LEAST_TOP = 0.01  # of an axis of pass@1, which may be 0 everywhere


def temperature(rows: pd.DataFrame) -> Figure:
    """Pass@1 against the temperature of sampling, from `tables.temperature_table`.

    One panel for each arm but SFT.  SFT's curve is in all of them, and a dashed line
    across is its maximum: what lies above that line is no temperature of SFT.  A ring is
    the temperature that most seeds chose on tuning tasks.
    """
    of_arms = dict(list(rows.groupby("arm", sort=False)))
    sft = of_arms.pop("sft")
    columns = min(COLUMNS, max(1, len(of_arms)))
    down = max(1, -(-len(of_arms) // columns))
    figure, axes = axes_of((WIDE[0], 0.8 + 1.2 * down), columns, down, share=True)
    for axis, (arm, part) in zip(axes, of_arms.items(), strict=False):
        colour = parse_arm(arm).colour
        axis.axhline(sft["pass@1"].max(), color="black", linestyle="--", lw=0.9)
        axis.plot(sft["temperature"], sft["pass@1"], color="black", lw=1.2)
        axis.fill_between(
            part["temperature"],
            part["pass@1 low"],
            part["pass@1 high"],
            color=colour,
            alpha=0.25,
            lw=0,
        )
        axis.plot(part["temperature"], part["pass@1"], color=colour, marker=".", lw=1.8)
        star = part.loc[part["chosen"].idxmax()]
        ring = {"mfc": "none", "mec": colour, "ms": 9, "mew": 1.4}
        axis.plot(star["temperature"], star["pass@1"], "o", **ring)
        axis.set_title(label(arm), fontsize="small", pad=3)
        axis.set_xticks(part["temperature"], [f"{t:g}" for t in part["temperature"]])
        axis.tick_params(labelsize="x-small", pad=1)
    for axis in axes[len(of_arms) :]:
        axis.set_visible(False)
    # A column whose last panel is empty needs the labels one row higher.
    for axis in axes[len(of_arms) - columns : len(of_arms)]:
        axis.tick_params(labelbottom=True)
    axes[0].set_ylim(0, max(axes[0].get_ylim()[1], LEAST_TOP))
    figure.supxlabel("temperature of sampling", fontsize="small")
    figure.supylabel("pass@1 on test tasks", fontsize="small")
    grey = "#767676"
    handles = [
        Line2D([], [], color="black", lw=1.2, label="SFT"),
        Line2D([], [], color="black", lw=0.9, linestyle="--", label="SFT at its best"),
        Line2D([], [], color=grey, lw=1.8, marker=".", label="the arm"),
        Line2D([], [], mec=grey, marker="o", mfc="none", ms=8, lw=0, label="its T*"),
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=4, fontsize="small")
    return figure


def pass_fail(at_best: pd.DataFrame) -> Figure:
    """Fractions of programs that pass and fail at T*, by arm, from `tables.best`.

    The founding experiment had this figure.
    """
    ends = final(at_best)
    arms = list(dict.fromkeys(ends["arm"]))
    figure, [axis] = axes_of(bars(arms))
    for place, arm in enumerate(arms):
        interval = pass_rate(matrix(ends, arm))
        axis.barh(place, interval.value, color=parse_arm(arm).colour)
        axis.barh(place, 1 - interval.value, left=interval.value, color="#E8E8E8")
        # A white line below the black one, which then shows on bars of any colour.
        for shade, width in (("white", 4), ("black", 1.5)):
            axis.hlines(place, interval.low, interval.high, color=shade, lw=width)
        axis.text(0.99, place, f"{interval.value:.0%} pass", ha="right", va="center")
    axis.set_yticks(range(len(arms)), [label(arm) for arm in arms])
    axis.invert_yaxis()
    axis.set(xlim=(0, 1), xlabel="fraction of programs for test tasks, at T*")
    axis.grid(axis="y", visible=False)
    return figure


def learning_curves(at_best: pd.DataFrame) -> Figure:
    """Pass@1 at T* against programs executed for training, from `tables.best`.

    Each curve begins at the SFT model.  Arms that execute nothing are dashed level lines.
    """
    figure, [axis] = axes_of((WIDE[0], WIDE[1] + 0.5))
    arms = [arm for arm in dict.fromkeys(at_best["arm"]) if arm != "base"]
    aligned = [arm for arm in arms if parse_arm(arm).aligned]
    most = at_best["programs"].max()
    start = pass_rate(matrix(at_best, "sft"))
    ends: list[tuple[float, str, str]] = []
    for arm in arms:
        if arm not in aligned:
            level = pass_rate(matrix(at_best, arm)).value
            axis.axhline(level, color=parse_arm(arm).colour, linestyle="--", lw=1.2)
            ends.append((level, label(arm), parse_arm(arm).colour))
    for place, arm in enumerate(aligned):
        points = [(0, start)]
        for programs, part in at_best[at_best["arm"] == arm].groupby("programs"):
            points.append((programs, pass_rate(matrix(part, arm))))
        # Side by side, or the intervals would hide one another.
        shift = 0.008 * most * (place - (len(aligned) - 1) / 2)
        executed = [programs + shift * (programs > 0) for programs, _ in points]
        axis.errorbar(
            executed,
            [interval.value for _, interval in points],
            yerr=ends_of([interval for _, interval in points]),
            color=parse_arm(arm).colour,
            marker=parse_arm(arm).marker,
            linestyle=parse_arm(arm).line,
            label=label(arm),
            capsize=3,
        )
        ends.append((points[-1][1].value, label(arm), parse_arm(arm).colour))
    axis.set(xlabel="programs executed for training", ylabel="pass@1 at T*, test tasks")
    axis.set_ylim(bottom=0)
    _named(axis, ends)
    return figure


def _named(axis: Axes, ends: Sequence[tuple[float, str, str]]) -> None:
    """Name each curve to the right of its end, (height, name, colour), without overlaps."""
    low, high = axis.get_ylim()
    lines = LINE_OF_TEXT * (high - low) * np.arange(len(ends))
    in_turn = sorted(ends)
    # The nearest places, by least squares, that keep the order and a line of text between
    # two names: without these lines that is a regression that may not fall.
    heights = isotonic_regression([end for end, *_ in in_turn] - lines).x + lines
    for height, (end, name, colour) in zip(heights, in_turn, strict=True):
        axis.annotate(
            name,
            xy=(1, end),
            xytext=(1.06, height),
            xycoords=axis.get_yaxis_transform(),
            textcoords=axis.get_yaxis_transform(),
            va="center",
            fontsize="small",
            arrowprops={
                **{"arrowstyle": "-", "color": colour, "lw": 1.2},
                **{"relpos": (0, 0.5), "shrinkA": 2, "shrinkB": 0},
            },
            annotation_clip=False,
        )


def ends_of(intervals: Sequence[Interval]) -> list[list[float]]:
    """Distances of the intervals' ends from their values, as error bars are drawn."""
    return [
        [interval.value - interval.low for interval in intervals],
        [interval.high - interval.value for interval in intervals],
    ]


def gains(rows: pd.DataFrame) -> Figure:
    """Paired differences with their intervals, from rows of `contrasts.contrast_table`.

    Each seed is a small dot.  A filled large dot is a difference that is shown (its
    adjusted p is below 0.05), a hollow one is not.
    """
    figure, [axis] = axes_of((7.2, 0.9 + 0.45 * len(rows)))
    for place, row in enumerate(rows.to_dict("records")):
        axis.plot([row["low"], row["high"]], [place, place], color="#0072B2", lw=2)
        inside = "#0072B2" if row["holm"] < 0.05 else "white"
        axis.plot(row["value"], place, "o", color="#0072B2", mfc=inside, mew=1.5)
        by_seed = [value for value in row["by seed"] if value is not None]
        if len(by_seed) > 1:
            axis.plot(by_seed, [place + 0.25] * len(by_seed), ".", color="#767676", ms=4)
    axis.axvline(0, color="black", lw=1)
    axis.set_yticks(range(len(rows)), [_title(row) for row in rows.to_dict("records")])
    lowest = max(1, len(rows)) - 0.5
    axis.set(ylim=(lowest, -0.5), xlabel="difference in pass@1 at T*")
    axis.locator_params(axis="x", nbins=7)
    return figure


def _title(row: Mapping[str, object]) -> str:
    name = f"{row['name']}: " if row["family"] == "hypotheses" else ""
    when = ", a third" if row["programs"] == "a third" and not name else ""
    where = "" if row["tasks"] == "all" else f"\n{row['tasks']}"
    return f"{name}{row['contrast']}{when}{where}"


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
    """Pass@1 at T* by number of steps, from rows of `tables.by_difficulty`."""
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
            linestyle=parse_arm(arm).line,
            label=label(arm),
            capsize=2,
        )
    axis.set_xticks(sorted(set(rows["difficulty"])))
    axis.set(xlabel="steps in the task", ylabel="pass@1 at T*, test tasks")
    axis.legend(fontsize="small", loc="center left", bbox_to_anchor=(1.01, 0.5))
    return figure


def rarity(rows: pd.DataFrame) -> Figure:
    """The gain of a trace against how rare a pass is, from rows of `contrasts.rarity`.

    One panel for each comparison, one dot for each run.
    """
    panels = list(rows.groupby(["contrast", "programs"], sort=False))
    figure, axes = axes_of((WIDE[0], SMALL[1]), max(1, len(panels)), share=True)
    for axis, ((contrast, programs), part) in zip(axes, panels, strict=True):
        axis.errorbar(
            part["all fail"],
            part["value"],
            yerr=[part["value"] - part["low"], part["high"] - part["value"]],
            marker="o",
            color="#009E73",
            linestyle=":",
            capsize=3,
        )
        for row in part.to_dict("records"):
            axis.annotate(
                row["run"],
                (row["all fail"], row["value"]),
                xytext=(4, 4),
                textcoords="offset points",
                fontsize="x-small",
            )
        axis.axhline(0, color="black", lw=1)
        when = "" if programs == "all" else f"\nafter {programs} of the programs"
        axis.set_title(f"{contrast}{when}", fontsize="small")
        axis.margins(x=0.15)
    axes[0].set(ylabel="difference in pass@1 at T*")
    figure.supxlabel(
        "fraction of alignment prompts whose samples all fail", fontsize="small"
    )
    return figure


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

    `history` has `programs` and `objective/scores` of each update; `rates` are the rows of
    that policy's arm in `tables.best`.
    """
    figure, axes = axes_of(SMALL, 2)
    axes[0].plot(history["programs"], history["objective/scores"], color="#D55E00")
    axes[0].set(title="score by ETA-RM", xlabel="programs")
    points = {
        programs: pass_rate(matrix(part, part["arm"].iloc[0]))
        for programs, part in rates.groupby("programs")
    }
    axes[1].errorbar(
        list(points),
        [interval.value for interval in points.values()],
        yerr=ends_of(list(points.values())),
        marker="o",
        color="#009E73",
        capsize=3,
    )
    axes[1].set(title="pass@1 at T*, test tasks", xlabel="programs")
    return figure
