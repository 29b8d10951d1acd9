"""What the outcomes say: statistics, contrasts, tables, the audit, figures.

>>> from eta_utils.analysis import contrast_table, figures, results_table

`arms` names what is compared; `recompute` makes all tables anew from what a run kept.
"""

from eta_utils.common.faces import lazy

_NAMES = {
    "audit": "",
    "figures": "",
    "ranking": "",
    "parse_arm": "arms",
    "contrast_table": "contrasts",
    "crossover": "contrasts",
    "answer": "contrasts",
    "grouped": "contrasts",
    "PRIMARY": "contrasts",
    "results_table": "tables",
    "by_difficulty": "tables",
    "label": "tables",
    "matrix": "tables",
    "write_results": "tables",
    "mean_interval": "statistics",
    "pass_at_k": "statistics",
    "audit_table": "audit",
}
__all__ = list(_NAMES)
__getattr__ = lazy(__name__, _NAMES)
