"""What the outcomes say: statistics, contrasts, tables, the audit, figures.

>>> from eta_utils.analysis import best, contrast_table, figures, results_table

`arms`          what is compared: the registry of arms, with their labels and colours
`tables`        scores become pass rates at the best temperature; tables are kept and read
`contrasts`     the hypotheses and their controls, named before any result, in words
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
    "HYPOTHESES": "contrasts",
    "answer": "contrasts",
    "contrast_table": "contrasts",
    "grouped": "contrasts",
    "of_one_seed": "contrasts",
    "rarity": "contrasts",
    "verdicts": "contrasts",
    "arms_table": "tables",
    "best": "tables",
    "by_difficulty": "tables",
    "gate_problem": "tables",
    "gate_table": "tables",
    "label": "tables",
    "matrix": "tables",
    "read_folder": "tables",
    "results_table": "tables",
    "temperature_table": "tables",
    "write_results": "tables",
    "crossed_t": "statistics",
    "pass_at_k": "statistics",
    "audit_table": "audit",
    "tables_of": "recompute",
}
__all__ = list(_NAMES)
__getattr__ = lazy(__name__, _NAMES)
