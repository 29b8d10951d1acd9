"""What two programs for one task did, side by side: which lines ran, what their variables
were until the two parted, and which asserts hold.

>>> pair(task, chosen, rejected)        # outcomes that kept their traces

Whatever a model wrote is text here and nothing else.
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

from eta_utils.execution.records import Outcome
from eta_utils.tasks import Task
from eta_utils.tasks.asserts import assert_texts

BEFORE = 6  # states shown before the two programs part
_SIDES = "display:flex;flex-wrap:wrap;gap:1rem"
_SIDE = "flex:1 1 20rem;min-width:0;overflow-x:auto"
_CELL = "padding:0 .5em;text-align:left;white-space:pre;font-family:monospace"
_MARK = "#D55E00"


def pair(task: Task, chosen: Outcome, rejected: Outcome) -> None:
    """Show both programs with their traces."""
    display(HTML(pair_page(task, chosen, rejected)))


def browse(
    pairs: Sequence[dict], seen: Callable[[dict], tuple[Task, Outcome, Outcome]]
) -> ipywidgets.VBox:
    """In a live notebook: choose one of the preference pairs, and what is `seen` of it is
    shown, as by `pair`.  Nothing of it remains on paper.

    Not by `ipywidgets.interact`, whose output widget now and then leaves a notebook that is
    executed headless waiting for ever (nbclient, issue 312).
    """
    titles = [(f"{each['task_id']}: {each['reason']}", each) for each in pairs]
    wide = ipywidgets.Layout(width="100%")
    options = [("choose a pair" if pairs else "there are none", None), *titles]
    chooser = ipywidgets.Dropdown(options=options, description="pair", layout=wide)
    page = ipywidgets.HTML()

    def show(change: dict) -> None:
        chosen = change["new"]
        # Widgets have lines as high as a button.
        inside = '<div style="line-height:1.4">{}</div>'
        page.value = inside.format(pair_page(*seen(chosen))) if chosen else ""

    chooser.observe(show, "value")
    return ipywidgets.VBox([chooser, page])


def pair_page(task: Task, chosen: Outcome, rejected: Outcome) -> str:
    """The HTML that `pair` shows."""
    sides = "".join(
        f'<div style="{_SIDE}">{_heading(name, outcome)}{_listing(task, outcome)}'
        f"{_asserts(task, outcome)}</div>"
        for name, outcome in (("chosen", chosen), ("rejected", rejected))
    )
    return f'<div style="{_SIDES}">{sides}</div>{_parting(chosen, rejected)}'


def _heading(name: str, outcome: Outcome) -> str:
    raised = f", {outcome.exception}" if outcome.exception else ""
    text = f"{outcome.status}{raised}; {outcome.steps} steps"
    return f"<p><b>{name}</b>: {html.escape(text)}</p>"


def _listing(task: Task, outcome: Outcome) -> str:
    """The program with the lines that ran shaded by how often, and the one that raised
    marked."""
    text = task.program(outcome.sample)
    formatter = HtmlFormatter(nowrap=True, noclasses=True)
    lines = highlight(text, PythonLexer(stripnl=False), formatter).splitlines()
    hits = _trace(outcome)["hits"]
    most = max(hits.values(), default=0)
    rows = []
    for number, line in enumerate(lines, 1):
        ran = hits.get(number, 0)
        shade = 0.1 + 0.25 * math.log1p(ran) / math.log1p(most) if ran else 0
        failed = number == outcome.line
        border = f"border-left:4px solid {_MARK if failed else 'transparent'}"
        rows.append(
            f'<tr style="background:rgba(0,114,178,{shade:.2f});{border}">'
            f'<td style="{_CELL};color:#595959">{"&#9654; " if failed else ""}{number}</td>'
            f'<td style="{_CELL};color:#595959">{f"{ran}x" if ran else ""}</td>'
            f'<td style="{_CELL}">{line}</td></tr>'
        )
    return f'<table style="border-collapse:collapse">{"".join(rows)}</table>'


def _asserts(task: Task, outcome: Outcome) -> str:
    """Each assert with whether it holds."""
    held = _trace(outcome)["asserts"]
    texts = assert_texts(task.test)
    if not held:
        return "<p>No assert was reached.</p>"
    if len(texts) != len(held):  # it stopped before the last, or they are not statements
        texts = (texts + [f"assert {number}" for number in range(len(held))])[: len(held)]
    rows = "".join(
        f'<tr><td style="{_CELL}">{"&#10003;" if passed else "&#10007;"}</td>'
        f'<td style="{_CELL}">{html.escape(text)}</td></tr>'
        for text, passed in zip(texts, held, strict=True)
    )
    return f'<table style="border-collapse:collapse">{rows}</table>'


def _parting(chosen: Outcome, rejected: Outcome) -> str:
    """The states of the first call in which the two differ, as far as they go together,
    and one further."""
    ours, theirs = _by_call(chosen), _by_call(rejected)
    for call in sorted(ours.keys() | theirs.keys()):
        nothing: tuple[list, list] = ([], [])
        both = (ours.get(call, nothing), theirs.get(call, nothing))
        marks, words = zip(*both, strict=True)
        if marks[0] != marks[1]:
            return _states(call, marks, words)
    return "<p>Their variables never differed.</p>"


def _states(call: tuple[int, int], marks: tuple, words: tuple) -> str:
    together = 0
    for one, other in zip(*marks, strict=False):
        if one != other:
            break
        together += 1
    first = max(0, together - BEFORE)
    left_out = f"; the first {first} are left out" if first else ""
    rows = []
    for place in range(first, together + 1):
        cells = "".join(f'<td style="{_CELL}">{_state(each, place)}</td>' for each in words)
        mark = f"border-left:4px solid {_MARK}" if place == together else ""
        rows.append(f'<tr style="{mark}"><td style="{_CELL}">{place + 1}</td>{cells}</tr>')
    title = (
        f"States in the call of assert {call[0] + 1}, up to where the two part{left_out}"
    )
    names = ("", "chosen", "rejected")
    head = "".join(f'<th style="{_CELL}">{name}</th>' for name in names)
    body = f"<tr>{head}</tr>{''.join(rows)}"
    table = f'<table style="border-collapse:collapse">{body}</table>'
    return f'<p>{title}:</p><div style="overflow-x:auto">{table}</div>'


def _state(words: list, place: int) -> str:
    if place >= len(words):
        return "(nothing further)"
    line, name, value = words[place]
    return html.escape(f"line {line}: {name} = {value}")


def _by_call(outcome: Outcome) -> dict[tuple[int, int], tuple[list, list]]:
    """Of each call its states as numbers and in words."""
    trace = _trace(outcome)
    words = {(unit, call): texts for unit, call, texts in trace["words"]}
    return {
        (unit, call): (marks, words.get((unit, call), []))
        for unit, call, marks in trace["states"]
    }


def _trace(outcome: Outcome) -> dict:
    """The outcome's trace; text that does not compile left none."""
    return outcome.trace or {"hits": {}, "asserts": [], "words": [], "states": []}
