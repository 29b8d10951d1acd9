"""Tables, sentences and programs, as a notebook shows them."""

from __future__ import annotations

import html
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
import PIL.Image
from IPython.display import HTML, Image, Markdown, display
from matplotlib.figure import Figure
from pandas.io.formats.style import Styler
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from eta_utils.analysis.tables import joined
from eta_utils.common.files import write_whole
from eta_utils.execution.records import Outcome
from eta_utils.tasks import Task

COLOURS_KEPT = 128  # of a picture
ONE_LINE = 48  # letters of a table's cell


def show(figure: Figure, caption: str, file: Path | None = None) -> None:
    """Display a figure over its caption, whose first sentence is its alternative text; keep
    it in `file`, and let go of it."""
    picture = _png(figure)
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        with write_whole(file, binary=True) as kept:
            kept.write(picture)
    display(Image(picture, alt=caption.partition(". ")[0]))
    display(Markdown(f"*{caption}*"))
    plt.close(figure)


def _png(figure: Figure) -> bytes:
    """Charts have few colours: with a palette they take a third of the space."""
    drawn, small = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn)
    with PIL.Image.open(drawn) as picture:
        whole = picture.convert("RGB")
    few = whole.quantize(COLOURS_KEPT, dither=PIL.Image.Dither.NONE)
    few.save(small, "png", optimize=True)
    return small.getvalue()


def table(rows: pd.DataFrame, **formats: str) -> Styler:
    """A data frame for display: shares with three digits, no index; where all texts are
    short, each row on one line."""
    rows = joined(rows)
    shown = dict.fromkeys(rows.select_dtypes("float"), "{:.3f}") | formats
    longest = max((len(str(value)) for value in rows.to_numpy().ravel()), default=0)
    styled = rows.style.format(shown, na_rep="").hide(axis="index")
    kind = "rows" if longest <= ONE_LINE else "texts"
    return styled.set_table_attributes(f'class="dataframe {kind}"')


def folded(title: str, styled: Styler) -> None:
    """Display a table that is seen when its title is opened."""
    summary = f"<summary>{html.escape(title)}</summary>"
    display(HTML(f"<details>{summary}{styled.to_html()}</details>"))


def sentences(lines: Iterable[str]) -> None:
    """Show sentences as a list, and a single one as a paragraph."""
    lines = list(lines)
    mark = "- " if len(lines) > 1 else ""
    display(Markdown("\n".join(f"{mark}{line}" for line in lines)))


def code(text: str, title: str = "") -> None:
    """Show Python, highlighted; whoever wrote it, it is text and nothing else."""
    display(HTML(_highlighted(text, title)))


def _highlighted(text: str, title: str = "", marked: Sequence[int] = ()) -> str:
    style = HtmlFormatter(noclasses=True, hl_lines=list(marked), wrapcode=True)
    heading = f"<p><b>{html.escape(title)}</b></p>" if title else ""
    return heading + highlight(text, PythonLexer(), style)


def program(task: Task, outcome: Outcome) -> None:
    """Show a judged program under what the judge found."""
    raised = f", {outcome.exception} in line {outcome.line}" if outcome.exception else ""
    title = (
        f"{outcome.task_id}: {outcome.status}{raised}; passes {outcome.asserts_passed} of "
        f"{outcome.asserts_total} asserts, {outcome.steps} steps"
    )
    text = task.program(outcome.sample)
    display(HTML(_highlighted(text, title, [outcome.line] if outcome.line else [])))


def three(examples: Mapping[str, Outcome]) -> list[Outcome]:
    """Of the examples by status one that passes, one that answers wrongly, one that
    raises, as far as there are such."""
    wanted = ("passed", "assertion", "exception")
    return [examples[status] for status in wanted if status in examples]


def trace(task: Task, outcome: Outcome) -> None:
    """Show a judged program with how often each line ran before the first failure.

    The outcome must have kept its trace.
    """
    program(task, outcome)
    hits = outcome.trace["hits"]
    rows = [
        {"line": number, "ran": hits.get(number, 0), "code": line}
        for number, line in enumerate(task.program(outcome.sample).splitlines(), 1)
        if number in hits
    ]
    style = pd.DataFrame(rows).style.hide(axis="index")
    display(style.set_properties(subset=["code"], **{"white-space": "pre"}))
    if outcome.progress is not None:
        share = f"{outcome.progress:.0%}"
        sentences([f"Its states follow the reference's through {share} of them."])
