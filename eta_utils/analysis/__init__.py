"""What the outcomes say: statistics, contrasts, tables, the audit, figures.

>>> from eta_utils.analysis import contrasts, figures, results_table
"""

from eta_utils.common.faces import lazy

_NAMES = {
    "audit": "",
    "figures": "",
    "ranking": "",
    "contrasts": "",
    "tables": "",
    "statistics": "",
    "results_table": "tables",
}
__all__ = list(_NAMES)
__getattr__ = lazy(__name__, _NAMES)
