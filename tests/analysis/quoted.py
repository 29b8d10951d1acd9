"""The published tables as README.md, docs/findings.md and docs/results.md quote them.

    python -m tests.analysis.quoted

Prints them in Markdown: hypotheses, arms, gate; then each contrast as a text may quote it.
`test_reference` holds these documents to them: a table with one of these headings has only
rows of it, and a difference as "+1.2 points [-0.3, +2.7]" is that of a contrast.  Those of
other runs are written in another way.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from eta_utils.analysis.contrasts import THIRD
from eta_utils.analysis.tables import (
    LEAST_ALL_FAIL,
    LEAST_CEILING,
    LEAST_TIMES,
    MOST_SFT,
)
from tests.conftest import ROOT

FOLDER = ROOT / "outputs" / "reference"
DIFFERENCE = re.compile(r"[+-]\d+\.\d points \[[+-]\d+\.\d, [+-]\d+\.\d\]")


def main() -> None:
    """Print all that may be quoted."""
    for title, table in quoted(FOLDER).items():
        print(f"{title}\n\n{table}\n")
    for row in differences(FOLDER).itertuples():
        print(f"{row.contrast}, {row.programs}, {row.tasks}: {row.text}")


def quoted(folder: Path) -> dict[str, str]:
    """The Markdown tables, by title, of a folder of published tables."""
    contrasts, results, gate = (
        pd.read_csv(folder / f"{name}.csv") for name in ("contrasts", "results", "gate")
    )
    return {
        "hypotheses": hypotheses(contrasts),
        "arms": arms(results),
        "gate": gate_of_seeds(gate),
    }


def hypotheses(contrasts: pd.DataFrame) -> str:
    """What became of each hypothesis."""
    rows = []
    for row in contrasts[contrasts["family"] == "hypotheses"].to_dict("records"):
        shown = "not shown" if row["holm"] >= 0.05 else "holds"
        if shown == "holds" and row["value"] < 0:
            shown = "the opposite"
        rows.append(
            {
                "hypothesis": row["name"].split()[0],
                "contrast": row["contrast"],
                "after": "a third" if row["programs"] == THIRD else "all programs",
                "seeds": row["seeds"],
                "difference at T*": _points(row),
                "adjusted p": "< 0.001" if row["holm"] < 0.001 else f"{row['holm']:.3f}",
                "smallest shown": f"{100 * row['smallest']:.1f}",
                "verdict": shown,
            }
        )
    return markdown(pd.DataFrame(rows))


def arms(results: pd.DataFrame) -> str:
    """What each arm reaches."""
    rows = [
        {
            "arm": row["arm"],
            "references": row["references"],
            "seeds": row["seeds"],
            "programs": f"{row['programs']:,}",
            "T*": row["best T"],
            "pass@1 at T*": _rate(row, "pass@1"),
            "gain over SFT": "" if pd.isna(row["gain"]) else _points(row, "gain", "gain "),
            "greedy": f"{row['greedy']:.3f}",
            "pass@8 at T = 1": f"{row['pass@8']:.3f}",
            "KL": "" if pd.isna(row.get("kl")) else f"{row['kl']:.1f}",
            "seconds": "" if pd.isna(row.get("seconds")) else f"{row['seconds']:.0f}",
        }
        for row in results.to_dict("records")
    ]
    return markdown(pd.DataFrame(rows))


def gate_of_seeds(gate: pd.DataFrame) -> str:
    """Each condition of the gate over all seeds."""
    conditions = (
        ("sft", "SFT at T*, tuning tasks", f"at most {MOST_SFT}"),
        (
            "all fail",
            "alignment prompts whose samples all fail",
            f"at least {LEAST_ALL_FAIL}",
        ),
        ("times", "pass@64 over pass@1 of SFT", f"at least {LEAST_TIMES:g}"),
        ("ceiling", "ceiling at T*, tuning tasks", f"at least {LEAST_CEILING}"),
    )
    rows = [
        {"condition": about, "limit": limit}
        | {
            name: f"{getattr(gate[column], function)():.2f}"
            for name, function in (("lowest", "min"), ("mean", "mean"), ("highest", "max"))
        }
        for column, about, limit in conditions
    ]
    return markdown(pd.DataFrame(rows))


def differences(folder: Path) -> pd.DataFrame:
    """Each contrast, and each gain by rarity, with its `text`."""
    names = [name for name in ("contrasts", "rarity") if (folder / f"{name}.csv").exists()]
    parts = [pd.read_csv(folder / f"{name}.csv") for name in names]
    rows = pd.concat(parts, ignore_index=True)
    rows["tasks"] = rows["tasks"].fillna(rows.get("run", ""))
    texts = [_points(row) for row in rows.to_dict("records")]
    return rows.assign(text=texts)[["contrast", "programs", "tasks", "text"]]


def markdown(rows: pd.DataFrame) -> str:
    """A table in Markdown."""
    lines = [list(rows), ["---"] * rows.shape[1], *rows.astype(str).to_numpy().tolist()]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def tables_in(text: str) -> list[list[str]]:
    """The tables of a Markdown text, as lines without marks of bold type."""
    tables: list[list[str]] = []
    inside = False
    for line in text.splitlines():
        if line.startswith("|"):
            if not inside:
                tables.append([])
            tables[-1].append(" ".join(line.replace("**", "").split()))
        inside = line.startswith("|")
    return tables


def _points(row: Mapping[str, object], name: str = "value", mark: str = "") -> str:
    value, low, high = (100 * float(row[x]) for x in (name, f"{mark}low", f"{mark}high"))
    return f"{value:+.1f} points [{low:+.1f}, {high:+.1f}]"


def _rate(row: Mapping[str, object], name: str) -> str:
    return f"{row[name]:.3f} [{row[f'{name} low']:.3f}, {row[f'{name} high']:.3f}]"


if __name__ == "__main__":
    main()
