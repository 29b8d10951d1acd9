"""Tables, sentences and programs, as a notebook shows them.

Whatever a model wrote is shown as text.  `table`, `code`, `program` and `trace` escape it,
as do those of `traces`, so that none of it becomes markup, which JupyterLab would run with
the user's rights.
"""

from __future__ import annotations

import html
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
import PIL.Image
from IPython.display import HTML, SVG, Image, Markdown, display
from matplotlib.figure import Figure
from pandas.io.formats.style import Styler
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from eta_utils.analysis.figures.palette import CODE_STYLE, INK, PAPER
from eta_utils.analysis.tables import joined
from eta_utils.common.files import write_whole
from eta_utils.execution.records import Outcome
from eta_utils.tasks import Task

PALETTE = 128  # colours of a picture
ONE_LINE = 48  # characters of a cell that are not broken into lines
_LINE_END = re.compile(r"\r\n|\r|\n")


def show(figure: Figure, caption: str, file: Path | None = None) -> None:
    """Display a figure above its caption, write it to `file` if given, and close it.

    It is shown as SVG, which stays sharp, unless PNG is less than half as large.  The file
    is a PNG.  The caption's first sentence is the alternative text.
    """
    picture, drawing = _png(figure), _svg(figure)
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        with write_whole(file, binary=True) as opened:
            opened.write(picture)
    text = caption.partition(". ")[0]
    if len(drawing) <= 2 * len(picture):
        display(SVG(drawing, metadata={"alt": text}))
    else:
        display(Image(picture, alt=text))
    display(Markdown(f"*{caption}*"))
    plt.close(figure)


def _svg(figure: Figure) -> str:
    """The figure as SVG whose text stays text; the same figure gives the same bytes."""
    with plt.rc_context({"svg.fonttype": "none", "svg.hashsalt": "eta"}):
        drawn = io.StringIO()
        figure.savefig(drawn, format="svg", metadata={"Date": None})
    return drawn.getvalue()


def _png(figure: Figure) -> bytes:
    """The figure as PNG with a palette: charts have few colours, and the file is a third as
    large."""
    full, small = io.BytesIO(), io.BytesIO()
    figure.savefig(full)
    with PIL.Image.open(full) as picture:
        colours = picture.convert("RGB")
    indexed = colours.quantize(PALETTE, dither=PIL.Image.Dither.NONE)
    indexed.save(small, "png", optimize=True)
    return small.getvalue()


def table(rows: pd.DataFrame, **formats: str) -> Styler:
    """A data frame for display, without its index; `formats` by column.

    Other floats have three decimals.  If all texts are short, each row is one line.  All
    text is escaped.
    """
    rows = joined(rows)
    by_column = dict.fromkeys(rows.select_dtypes("float"), "{:.3f}") | formats
    longest = max((len(str(value)) for value in rows.to_numpy().ravel()), default=0)
    styled = rows.style.format(by_column, na_rep="", escape="html").hide(axis="index")
    styled = styled.format_index(axis="columns", escape="html")
    kind = "rows" if longest <= ONE_LINE else "texts"
    return styled.set_table_attributes(f'class="dataframe {kind}"')


def listed(values: Mapping[str, object], of: str) -> Styler:
    """Names and their values `of` something, one row each, for display."""
    return table(pd.DataFrame({"what": [*values], of: [*values.values()]}))


def folded(title: str, styled: Styler) -> None:
    """Display a table folded away below its title."""
    summary = f"<summary>{html.escape(title)}</summary>"
    display(HTML(f"<details>{summary}{styled.to_html()}</details>"))


def sentences(lines: Iterable[str]) -> None:
    """Display sentences as a list, or a single one as a paragraph."""
    lines = list(lines)
    mark = "- " if len(lines) > 1 else ""
    display(Markdown("\n".join(f"{mark}{line}" for line in lines)))


def code(text: str, title: str = "") -> None:
    """Display Python, highlighted.  It is escaped, so that no program becomes markup."""
    display(HTML(_highlighted(text, title)))


def _highlighted(text: str, title: str = "", marked: Sequence[int] = ()) -> str:
    # On the innermost element: JupyterLab's dark theme has a colour for `pre`.
    on_paper = f"background:{PAPER};color:{INK};margin:0;padding:.5em;word-break:normal"
    style = HtmlFormatter(
        style=CODE_STYLE, noclasses=True, hl_lines=list(marked), prestyles=on_paper
    )
    heading = f"<p><b>{html.escape(title)}</b></p>" if title else ""
    return heading + highlight(text, PythonLexer(), style)


def program(task: Task, outcome: Outcome) -> None:
    """Display a judged program below its outcome, with the line that raised marked."""
    raised = f", {outcome.exception} in line {outcome.line}" if outcome.exception else ""
    title = (
        f"{outcome.task_id}: {outcome.status}{raised}; passes {outcome.asserts_passed} of "
        f"{outcome.asserts_total} asserts, {outcome.steps} steps"
    )
    text = task.program(outcome.sample)
    display(HTML(_highlighted(text, title, [outcome.line] if outcome.line else [])))


def lines_of(text: str) -> list[str]:
    """The lines of a program as Python numbers them: `splitlines` breaks at more."""
    return _LINE_END.split(text)


def three(examples: Mapping[str, Outcome]) -> list[Outcome]:
    """Of the examples by status those that passed, answered wrongly and raised, in this
    order; a status without an example is left out."""
    wanted = ("passed", "assertion", "exception")
    return [examples[status] for status in wanted if status in examples]


def trace(task: Task, outcome: Outcome) -> None:
    """Display a judged program and how often each line ran before the first failure.

    The outcome must have kept its trace.
    """
    program(task, outcome)
    hits = outcome.trace["hits"]
    rows = [
        {"line": number, "ran": hits.get(number, 0), "code": line}
        for number, line in enumerate(lines_of(task.program(outcome.sample)), 1)
        if number in hits
    ]
    if rows:
        styled = table(pd.DataFrame(rows))
        display(styled.set_properties(subset=["code"], **{"white-space": "pre-wrap"}))
    if outcome.progress is not None:
        fraction = f"{outcome.progress:.0%}"
        sentences([f"It went through {fraction} of the reference's states, in order."])
