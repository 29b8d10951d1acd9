"""Programs full of markup, and every display that shows a program.

Whatever runs in a reader's browser would set `window.hit` or ask for `evil.invalid`.
"""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from eta_utils.analysis.figures import display, traces
from eta_utils.execution import Outcome, judge
from tests.conftest import ADD

MARKUP = [
    '<img src=x onerror="window.hit=1">',
    "<script>window.hit=1</script>",
    '<svg/onload="window.hit=1"><use href="//evil.invalid/x#y"/></svg>',
    "</pre></td></table></div><script src=//evil.invalid/x.js></script>",
    "<style>*{display:none} body{background:url(//evil.invalid/s)}</style>",
    "</style><script>window.hit=1</script>",
    "</textarea></title></noscript><img src=//evil.invalid/i>",
    '<form action="//evil.invalid"><button>x</button></form>',
    '<iframe srcdoc="<script>parent.hit=1</script>"></iframe>',
    '<base href="//evil.invalid/"><link rel=stylesheet href="//evil.invalid/l">',
    '<meta http-equiv=refresh content="0;url=//evil.invalid/m">',
    '<details open ontoggle="window.hit=1"><summary>x</summary></details>',
    "<a href=\"javascript:window.hit=1\" autofocus onfocus='window.hit=1'>x</a>",
    '--><!--><img src=x onerror="window.hit=1"><!--',
    "<math><annotation-xml encoding=text/html><img src=x onerror='window.hit=1'>",
    '&lt;img src=x onerror="window.hit=1"&gt; &#60;script&#62;hit=1&#60;/script&#62;',
    "$\\href{javascript:window.hit=1}{x}$ {{ 7*7 }} {% raw %} ]]>",
    '<input autofocus onfocus="window.hit=1"><video src=//evil.invalid/v onerror=hit=1>',
]


def hostile_text() -> str:
    """A completion of `add` with all of it, in values, comments, names of keys."""
    lines = [f"    x = {text!r}  # {text}\n" for text in MARKUP]
    return "".join(lines) + "    y = {x: 1}\n    return str(y) + a\n"


def hostile_outcome() -> Outcome:
    """That program, judged with its trace."""
    sample = {"task_id": "add", "completion": hostile_text()}
    [outcome] = judge([sample], {"add": ADD}, keep_trace=True, cache=False)
    return outcome


def displays(outcome: Outcome) -> dict[str, Callable[[], None]]:
    """Every display that shows what a model wrote, by name."""
    text = outcome.sample["completion"]
    rows = pd.DataFrame([{"text": text, text: 1}])
    return {
        "code": lambda: display.code(text, text),
        "program": lambda: display.program(ADD, outcome),
        "trace": lambda: display.trace(ADD, outcome),
        "pair": lambda: traces.pair(ADD, outcome, outcome),
        "table": lambda: display.display(display.table(rows)),
        "folded": lambda: display.folded(text, display.table(rows)),
    }
