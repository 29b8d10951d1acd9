"""Every figure of the notebooks and the report, from tables made elsewhere.

>>> show(learning_curves(scores), "Pass rate against executed programs: ...")

`charts` draws, `display` and `traces` show, `palette` has colours and sizes.  A figure is
shown with a caption that reads it.  The caption's first sentence is the text for those who
do not see the figure.
"""

from eta_utils.analysis.figures.charts import (
    best_of_n,
    crossover,
    difficulty,
    drift,
    gains,
    learning_curves,
    pass_fail,
    reliability,
    statuses,
    training_curves,
)
from eta_utils.analysis.figures.display import (
    code,
    folded,
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
    "crossover",
    "difficulty",
    "drift",
    "folded",
    "gains",
    "learning_curves",
    "pair",
    "pass_fail",
    "program",
    "reliability",
    "sentences",
    "show",
    "statuses",
    "table",
    "three",
    "trace",
    "training_curves",
]
