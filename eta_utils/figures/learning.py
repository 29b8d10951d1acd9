"""Charts of how a model learned and of what a reward model is worth, one function each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
from matplotlib.figure import Figure

from eta_utils.evaluation import mean_interval
from eta_utils.figures.palette import SMALL, axes_of
from eta_utils.results import matrix

LEGEND_ROOM = 0.4  # of a panel's height, above its curves


def training_curves(
    history: pd.DataFrame, x: str, panels: Mapping[str, Sequence[str]]
) -> Figure:
    """One panel for each title, with the named columns of a training's history."""
    figure, axes = axes_of(SMALL, len(panels))
    for axis, (title, names) in zip(axes, panels.items(), strict=True):
        for name in [each for each in names if each in history]:
            axis.plot(history[x], history[name], label=name, marker=".")
        axis.set(title=title, xlabel=x)
        if len(names) > 1:
            low, high = axis.get_ylim()
            axis.set_ylim(low, high + LEGEND_ROOM * (high - low))
            axis.legend(loc="upper center", fontsize="small")
    return figure


def best_of_n(rows: pd.DataFrame) -> Figure:
    """Pass rate of the best of n samples by way to rank: rows of `ranked by, n, passes`."""
    figure, [axis] = axes_of()
    for place, (name, part) in enumerate(rows.groupby("ranked by", sort=False)):
        value = part["passes"]
        ends = [value - part["passes low"], part["passes high"] - value]
        shifted = part["n"] * 1.02 ** (place - 2)  # so that intervals do not overlap
        mark = "osD^v"[place % 5]
        axis.errorbar(shifted, value, yerr=ends, marker=mark, label=name, capsize=2)
    axis.set_xscale("log", base=2)
    axis.set_xticks(sorted(set(rows["n"])), sorted(set(rows["n"])))
    axis.set(xlabel="samples to choose from", ylabel="share that passes")
    axis.legend(fontsize="small")
    return figure


def reliability(rows: pd.DataFrame) -> Figure:
    """How often a predicted preference is right: rows of `predicted, right, pairs`."""
    figure, [axis] = axes_of(SMALL)
    axis.plot([0.5, 1], [0.5, 1], color="#767676", linestyle="--", label="calibrated")
    axis.plot(rows["predicted"], rows["right"], "o-", color="#009E73", label="ETA-RM")
    axis.set(xlabel="predicted probability", ylabel="share right")
    axis.legend(fontsize="small")
    return figure


def drift(history: pd.DataFrame, rates: pd.DataFrame) -> Figure:
    """What a policy's reward model says of it, and what the hidden tests say: `programs,
    objective/scores` by update, and rows of scores of one arm with SFT's at 0."""
    figure, axes = axes_of(SMALL, 2)
    axes[0].plot(history["programs"], history["objective/scores"], color="#D55E00")
    axes[0].set(title="score by ETA-RM", xlabel="programs")
    points = {
        programs: mean_interval(matrix(part, part["arm"].iloc[0]))
        for programs, part in rates.groupby("programs")
    }
    value = pd.Series({each: interval.value for each, interval in points.items()})
    ends = [
        [interval.value - interval.low for interval in points.values()],
        [interval.high - interval.value for interval in points.values()],
    ]
    axes[1].errorbar(value.index, value, yerr=ends, marker="o", color="#009E73", capsize=3)
    axes[1].set(title="held-out pass@1", xlabel="programs")
    return figure
