"""Papermill runs the notebooks, and a page shows what they found.

>>> from eta_utils.report import render, run_study
"""

from eta_utils.common.faces import lazy

_NAMES = {
    "run_study": "run",
    "render": "page",
}
__all__ = list(_NAMES)
__getattr__ = lazy(__name__, _NAMES)
