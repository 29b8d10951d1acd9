"""Every figure of the notebooks and the report, from tables made elsewhere.

>>> show(learning_curves(at_best), "Pass rate against executed programs: ...")

`charts` draws, `display` and `traces` show, `palette` has colours and sizes.  A figure is
shown with a caption that reads it.  The caption's first sentence is the text for those who
do not see the figure.
"""

from eta_utils.analysis.figures.charts import (
    best_of_n,
    difficulty,
    drift,
    gains,
    learning_curves,
    pass_fail,
    rarity,
    reliability,
    statuses,
    temperature,
    training_curves,
)
from eta_utils.analysis.figures.display import (
    code,
    folded,
    listed,
    program,
    sentences,
    show,
    table,
    three,
    trace,
)
from eta_utils.analysis.figures.traces import browse, pair

__all__ = [
    "best_of_n",
    "browse",
    "code",
    "difficulty",
    "drift",
    "folded",
    "gains",
    "learning_curves",
    "listed",
    "pair",
    "pass_fail",
    "program",
    "rarity",
    "reliability",
    "sentences",
    "show",
    "statuses",
    "table",
    "temperature",
    "three",
    "trace",
    "training_curves",
]
