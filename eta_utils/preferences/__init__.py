"""Which of two programs is better, and preference pairs with a reason.

>>> from eta_utils.preferences import PairSettings, make_pairs
>>> pairs = make_pairs(outcomes, tasks, ordering="eta")
>>> pairs = make_pairs(outcomes, tasks, "steps", PairSettings(pairs_per_prompt=4))

- `orderings`  the named orderings of outcomes: a key, and a reason in words;
- `pairs`      preference pairs in TRL's format, made by one of them.
"""

from eta_utils.preferences.orderings import ORDERINGS
from eta_utils.preferences.pairs import (
    PairSettings,
    fill,
    make_pairs,
    prompt_and_answer,
    sharing_prefix,
)

__all__ = [
    "ORDERINGS",
    "PairSettings",
    "fill",
    "make_pairs",
    "prompt_and_answer",
    "sharing_prefix",
]
