"""Two programs for one task, side by side: the lines that ran, the asserts that hold, and
the variable states up to the first difference.

>>> pair(task, chosen, rejected)        # outcomes that kept their traces

All text of models is escaped, so that none of it becomes markup.
"""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Sequence

import ipywidgets
from IPython.display import HTML, display
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from eta_utils.analysis.figures.display import lines_of
from eta_utils.analysis.figures.palette import CODE_STYLE, DARKEST, INK, PAPER
from eta_utils.execution.records import Outcome
from eta_utils.tasks import Task
from eta_utils.tasks.asserts import assert_texts

BEFORE = 6  # states shown before the first difference
_PAGE = f"background:{PAPER};color:{INK};padding:.5em"
_SIDES = "display:flex;flex-wrap:wrap;gap:1rem"
_SIDE = "flex:1 1 20rem;min-width:0"
_TABLE = f"border-collapse:collapse;background:{PAPER};color:{INK};margin:0"
# Long lines are broken, not cut, and keep their indent.
_CELL = (
    f"padding:0 .5em;text-align:left;font-family:monospace;color:{INK};"
    "white-space:pre-wrap;overflow-wrap:anywhere"
)
# nbconvert's Beautiful Soup keeps an indent before a coloured word in `pre` alone.
# JupyterLab breaks its lines within words, and gives every second row a shade.
_LINE = (
    f"margin:0;padding:0;background:none;font:inherit;color:{INK};"
    "white-space:pre-wrap;word-break:normal"
)
_ROW = f"background:{PAPER}"
_NARROW = _CELL.replace("pre-wrap", "nowrap") + ";color:#595959"
_MARK = "#D55E00"
_WHY = {
    "value": "another value than in the reference",
    "raise": "it raises",
    "stopped": "it never ends",
    "missing": "something is missing",
}


def pair(task: Task, chosen: Outcome, rejected: Outcome) -> None:
    """Display both programs with their traces."""
    display(HTML(pair_page(task, chosen, rejected)))


def browse(
    pairs: Sequence[dict], traced: Callable[[dict], tuple[Task, Outcome, Outcome]]
) -> ipywidgets.VBox:
    """A chooser of preference pairs for a live notebook; the report leaves it out.

    `traced` returns the arguments of `pair` for the pair that is chosen.
    """
    # Not ipywidgets.interact: with its output widget a notebook that is executed headless
    # sometimes waits for ever (nbclient, issue 312).
    titles = [(f"{pair['task_id']}: {pair['reason']}", pair) for pair in pairs]
    wide = ipywidgets.Layout(width="100%")
    options = [("choose a pair" if pairs else "there are none", None), *titles]
    chooser = ipywidgets.Dropdown(options=options, description="pair", layout=wide)
    page = ipywidgets.HTML()

    def show(change: dict) -> None:
        chosen = change["new"]
        # A widget's own lines are as high as a button.
        inside = '<div style="line-height:1.4">{}</div>'
        page.value = inside.format(pair_page(*traced(chosen))) if chosen else ""

    chooser.observe(show, "value")
    return ipywidgets.VBox([chooser, page])


def pair_page(task: Task, chosen: Outcome, rejected: Outcome) -> str:
    """The HTML that `pair` shows."""
    sides = "".join(
        f'<div style="{_SIDE}">{_heading(name, outcome)}{_listing(task, outcome)}'
        f"{_asserts(task, outcome)}</div>"
        for name, outcome in (("chosen", chosen), ("rejected", rejected))
    )
    return (
        f'<div class="pair" style="{_PAGE}"><div style="{_SIDES}">{sides}</div>'
        f"{_first_difference(chosen, rejected)}</div>"
    )


def _heading(name: str, outcome: Outcome) -> str:
    raised = f", {outcome.exception}" if outcome.exception else ""
    text = f"{outcome.status}{raised}; {outcome.steps} steps"
    if outcome.departure is not None:
        why = _WHY.get(outcome.departure_kind or "", "")
        text += f"; goes wrong in line {outcome.departure}: {why}"
    return f"<p><b>{name}</b>: {html.escape(text)}</p>"


def _listing(task: Task, outcome: Outcome) -> str:
    """The program: lines shaded by how often they ran; the line that raised, or where the
    trace departs from the reference's, is marked."""
    text = task.program(outcome.sample)
    formatter = HtmlFormatter(style=CODE_STYLE, nowrap=True, noclasses=True)
    # pygments knows one kind of line end; a form feed is none.
    plain = "\n".join(lines_of(text))
    lines = highlight(plain, PythonLexer(stripnl=False), formatter).rstrip("\n").split("\n")
    hits = _trace(outcome)["hits"]
    most = max(hits.values(), default=0)
    rows = []
    for number, line in enumerate(lines, 1):
        ran = hits.get(number, 0)
        # Logarithmic, or a loop's many turns would make all other lines pale.
        shade = DARKEST * (0.4 + 0.6 * math.log1p(ran) / math.log1p(most)) if ran else 0
        failed = number in (outcome.line, outcome.departure)
        border = f"border-left:4px solid {_MARK if failed else 'transparent'}"
        rows.append(
            f'<tr style="background:rgba(0,114,178,{shade:.2f});{border}">'
            f'<td style="{_NARROW}">{"&#9654; " if failed else ""}{number}</td>'
            f'<td style="{_NARROW}">{f"{ran}x" if ran else ""}</td>'
            f'<td style="{_CELL}"><pre style="{_LINE}">{line}</pre></td></tr>'
        )
    return f'<table style="{_TABLE}">{"".join(rows)}</table>'


def _asserts(task: Task, outcome: Outcome) -> str:
    """Each assert with whether it holds."""
    held = _trace(outcome)["asserts"]
    if not held:
        return "<p>No assert was reached.</p>"
    # Show the asserts that were reached; one without a statement of its own has a number.
    texts = assert_texts(task.test)[: len(held)]
    texts += [f"assert {number}" for number in range(len(texts) + 1, len(held) + 1)]
    rows = "".join(
        f'<tr style="{_ROW}"><td style="{_CELL}">{"&#10003;" if passed else "&#10007;"}'
        f'</td><td style="{_CELL}">{html.escape(text)}</td></tr>'
        for text, passed in zip(texts, held, strict=True)
    )
    return f'<table style="{_TABLE}">{rows}</table>'


def _first_difference(chosen: Outcome, rejected: Outcome) -> str:
    """The states of the first call in which the programs differ, up to the difference."""
    ours, theirs = _by_call(chosen), _by_call(rejected)
    for call in sorted(ours.keys() | theirs.keys()):
        no_states: tuple[list, list] = ([], [])
        both = (ours.get(call, no_states), theirs.get(call, no_states))
        hashes, words = zip(*both, strict=True)
        if hashes[0] != hashes[1]:
            return _states(call, hashes, words)
    return "<p>Their variables never differed.</p>"


def _states(call: tuple[int, int], hashes: tuple, words: tuple) -> str:
    """A table of both programs' states; the row of the first difference is marked."""
    same = 0
    for one, other in zip(*hashes, strict=False):
        if one != other:
            break
        same += 1
    first = max(0, same - BEFORE)
    left_out = f"; the first {first} are left out" if first else ""
    rows = []
    for index in range(first, same + 1):
        cells = "".join(f'<td style="{_CELL}">{_state(side, index)}</td>' for side in words)
        mark = f";border-left:4px solid {_MARK}" if index == same else ""
        rows.append(
            f'<tr style="{_ROW}{mark}"><td style="{_CELL}">{index + 1}</td>{cells}</tr>'
        )
    title = f"States in the call of assert {call[0] + 1}, up to the first difference"
    names = ("step", "chosen", "rejected")
    head = "".join(
        f'<th style="{_CELL};overflow-wrap:normal">{name}</th>' for name in names
    )
    body = f'<tr style="{_ROW}">{head}</tr>{"".join(rows)}'
    table = f'<table style="{_TABLE}">{body}</table>'
    return f"<p>{title}{left_out}:</p>{table}"


def _state(words: list, index: int) -> str:
    if index >= len(words):
        return "(nothing further)"
    line, name, value = words[index]
    return html.escape(f"line {line}: {name} = {value}")


def _by_call(outcome: Outcome) -> dict[tuple[int, int], tuple[list, list]]:
    """The states of each call, as hashes and in words, by (assert, call within it)."""
    trace = _trace(outcome)
    words = {(unit, call): texts for unit, call, texts in trace["words"]}
    return {
        (unit, call): (hashes, words.get((unit, call), []))
        for unit, call, hashes in trace["states"]
    }


def _trace(outcome: Outcome) -> dict:
    """The outcome's trace; a program that does not compile has none."""
    return outcome.trace or {"hits": {}, "asserts": [], "words": [], "states": []}
