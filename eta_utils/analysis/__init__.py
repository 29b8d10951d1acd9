"""What the outcomes say: statistics, contrasts, tables, the audit, figures.

>>> from eta_utils.analysis import contrast_table, figures, results_table

`arms`          what is compared: the registry of arms, with their labels and colours
`tables`        scores by task become pass rates with intervals; tables are kept and read
`contrasts`     the comparisons named before any result, their answers in words
`audit`         are an ordering's labels right?  Its pairs against hidden tests
`ranking`       does a reward model score the better program higher?
`statistics`    the intervals and tests that all of these use
`figures`       tables become charts; programs, pairs and traces are shown
`recompute`     all tables again, from the files that a run kept

Everything takes tables or arrays.  The files of a run are read in `study.results`.
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
