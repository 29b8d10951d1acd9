"""Sizes of figures, and the colours of what is no arm; `arms` has the colours of arms."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from eta_utils.execution.records import STATUSES

# Colours of Okabe and Ito, which colour-blind readers can distinguish.
_PALETTE = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9"]
# From the best status to the worst; neighbours are light and dark in turn.
_SHADES = sns.color_palette("cividis", 10)
STATUS_COLOURS = {
    status: _SHADES[shade]
    for status, shade in zip(
        reversed(STATUSES[:-1]), (0, 6, 2, 8, 3, 7, 1, 5, 4, 9), strict=True
    )
}
# Programs are dark on light in any theme of JupyterLab.  Of pygments' light styles, this
# one alone has colours that read at 4.5 : 1 also on a line that is shaded.
CODE_STYLE = "xcode"
PAPER, INK = "#ffffff", "#1d2430"
DARKEST = 0.14  # opacity of the shade of the line that ran most often
WIDE, SMALL = (7.2, 3.6), (7.2, 2.8)  # inches


def axes_of(
    size: tuple[float, float] = WIDE, columns: int = 1, rows: int = 1, share: bool = False
) -> tuple[Figure, list[Axes]]:
    """A new figure of that size in inches, and its axes, row by row.

    With `share` all have the same y, and those in a column the same x.
    """
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
    """The size in inches of a figure with one bar for each arm, and room for a legend."""
    return 7.2, 1.6 + 0.32 * len(arms)
