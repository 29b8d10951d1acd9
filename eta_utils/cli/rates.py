"""The command `rates`: what samples pass at each temperature, and how they fail."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from eta_utils.common.errors import BadInput
from eta_utils.common.files import as_object
from eta_utils.common.rows import read_rows
from eta_utils.execution.records import Outcome

if TYPE_CHECKING:
    import pandas as pd


def add_rates(commands: argparse._SubParsersAction) -> None:
    """The arguments of `rates`."""
    parser = commands.add_parser(
        "rates",
        help="what samples pass at each temperature, and how the others fail",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description=(
            "By temperature: pass@1, pass@8, the share of tasks of which all samples\n"
            "fail, and the share of samples that fail in each way.  Intervals are\n"
            "bootstraps over tasks, at 95 percent."
        ),
        epilog=(
            "example:\n"
            "  python -m eta_utils rates out.jsonl.gz --counts counts.csv\n"
            "  python -m eta_utils rates counts.csv\n"
            "  python -m eta_utils rates with.csv --against without.csv"
        ),
    )
    parser.add_argument(
        "files",
        nargs="+",
        metavar="FILE",
        help="a file that `judge` wrote, or the .csv of --counts; several are joined",
    )
    parser.add_argument(
        "--counts", metavar="CSV", help="write the counts by task, which need no programs"
    )
    parser.add_argument(
        "--against",
        metavar="FILE",
        help="also print the difference to these, task by task",
    )
    parser.set_defaults(command=run_rates)


def run_rates(options: argparse.Namespace) -> None:
    """Print the rates of files of outcomes or counts."""
    import pandas as pd  # a second to load, and so is what follows

    from eta_utils.analysis import rates
    from eta_utils.analysis.tables import joined, write_results

    if options.counts and not options.counts.endswith(".csv"):
        raise BadInput(f"--counts {options.counts}: its name must end in .csv")
    counts = pd.concat([_counts(name) for name in options.files], ignore_index=True)
    if twice := [*counts.loc[counts.duplicated(rates.BY), "task_id"]]:
        raise BadInput(f"{options.files[-1]}: task {twice[0]} is in another file, too")
    others = _counts(options.against) if options.against else None
    tables = {", ".join(options.files): rates.rates(counts)}
    if others is not None:
        tables[f"minus {options.against}"] = rates.gain(counts, others)
    for title, table in tables.items():
        print(title)
        print(joined(table).set_index("T").T.map(_short).to_string(), "\n")
    if options.counts:
        path = Path(options.counts)
        write_results(path.parent, **{path.stem: counts})
        print(f"written    {path}")


def _short(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _counts(name: str) -> pd.DataFrame:
    from eta_utils.analysis import rates
    from eta_utils.analysis.tables import load_table

    if name.endswith(".csv"):
        return load_table(Path(name), rates.COUNTS)

    def outcomes():
        for where, row in read_rows(name):
            try:
                outcome = Outcome.from_record(as_object(row, where))
                known = isinstance(outcome.task_id, str)
            except (KeyError, TypeError):
                known = False
            if not known:
                raise BadInput(f"{where}: is no outcome of `judge`")
            yield outcome

    return rates.count(outcomes())
