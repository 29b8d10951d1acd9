"""Colours, markers and sizes that all charts share.

Colours are those of Okabe and Ito, which colour-blind readers can tell apart, greys, and
Tol's wine; an arm has the same colour and marker everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from eta_utils.analysis.tables import ARMS
from eta_utils.execution.records import STATUSES

COLOURS = {
    "base": "#999999",
    "sft": "#000000",
    "ppo": "#E69F00",
    "ppo-eta": "#F0E442",
    "ppo-rm": "#D55E00",
    "rloo": "#555555",
    "dpo-binary": "#56B4E9",
    "dpo-steps": "#CC79A7",
    "dpo-fraction": "#0072B2",
    "dpo-tier": "#882255",
    "dpo-eta": "#009E73",
}
LINES = {"matched": ":", "ungated": "--", "line": "-.", "differing": (0, (5, 1))}
# Of lines that are no arms.
_PALETTE = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9"]
MARKERS = dict(zip(ARMS, "xosphdD^<>v", strict=True))
# From the best status to the worst; light and dark in turn, to tell neighbours apart.
_SHADES = sns.color_palette("cividis", 10)
STATUS_COLOURS = {
    status: _SHADES[shade]
    for status, shade in zip(
        reversed(STATUSES[:-1]), (0, 6, 2, 8, 3, 7, 1, 5, 4, 9), strict=True
    )
}
WIDE, SMALL = (7.2, 3.6), (7.2, 2.8)  # inches


def axes_of(
    size: tuple[float, float] = WIDE, columns: int = 1, rows: int = 1, share: bool = False
) -> tuple[Figure, list[Axes]]:
    """A new figure of that size in inches, and its axes, row by row; those that `share`
    have the same y, and in a column the same x."""
    sns.set_theme(style="whitegrid", palette=_PALETTE, font_scale=0.9)
    figure, axes = plt.subplots(
        *(rows, columns),
        figsize=size,
        dpi=130,
        layout="constrained",
        squeeze=False,
        sharex="col" if share else False,
        sharey=share,
    )
    return figure, list(axes.flat)


def bars(arms: Sequence[str]) -> tuple[float, float]:
    """The size of a figure with one bar for each arm, and room for a legend."""
    return 7.2, 1.6 + 0.32 * len(arms)


def colour(arm: str) -> str:
    """The same for an arm in every figure, and for the arm with other options; one for all
    arms that have none of their own."""
    return COLOURS.get(arm.split("+")[0], "#D55E00")
