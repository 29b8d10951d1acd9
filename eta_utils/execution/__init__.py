"""The judge: programs in, Outcomes out.

>>> from eta_utils.execution import JudgeSettings, judge
>>> outcomes = list(judge(samples, tasks))

`judge` is the one door to the sandbox and to the tracer.  (The module of that name has the
function, too; here the name means the function.)
"""

from eta_utils.execution.judge import JudgeSettings, judge
from eta_utils.execution.records import (
    STATUSES,
    Outcome,
    OutcomeFile,
    departure_from,
    line_span,
)
from eta_utils.execution.samples import SampleFile

__all__ = [
    "STATUSES",
    "JudgeSettings",
    "Outcome",
    "OutcomeFile",
    "SampleFile",
    "departure_from",
    "judge",
    "line_span",
]
