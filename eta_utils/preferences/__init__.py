"""Which of two programs is better, and preference pairs with a reason.

>>> from eta_utils.preferences import make_pairs
>>> pairs = make_pairs(outcomes, tasks, ordering="eta")
"""

from eta_utils.preferences.orderings import ORDERINGS
from eta_utils.preferences.pairs import PairSettings, make_pairs

__all__ = ["ORDERINGS", "PairSettings", "make_pairs"]
