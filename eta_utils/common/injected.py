"""The parameters that papermill put into a notebook: are they the notebook's?

papermill injects a cell that sets whatever it was given, and goes on.  A mistyped name, or
a parameter of another notebook, would change nothing, and nobody would know.
"""

from __future__ import annotations

import ast
import contextlib
import sys
from collections.abc import Iterable

from eta_utils.common.errors import BadInput
from eta_utils.common.settings import no_such_parameter

_MARK = "# Parameters\n"  # how papermill begins its cell


def check_injected(own: Iterable[str], anywhere: Iterable[str] = ()) -> None:
    """Raise BadInput for a parameter that was injected and is not the notebook's own.

    `anywhere` names parameters that are known elsewhere: the message then says so.
    """
    own, anywhere = set(own), set(anywhere)
    for name in _injected():
        if name in own:
            continue
        if name in anywhere:
            raise BadInput(
                f"parameter {name}: this notebook does not take it; give it to the first "
                "notebook of the run, or as `run -p`"
            )
        raise no_such_parameter(name, own)


def _injected() -> list[str]:
    """The names that papermill's cell sets in this kernel; none where there is no such."""
    if "IPython" not in sys.modules:
        return []
    from IPython import get_ipython

    shell = get_ipython()
    cells = shell.user_ns.get("In", []) if shell is not None else []
    names = []
    for source in cells:
        if source.startswith(_MARK):
            with contextlib.suppress(SyntaxError):
                body = ast.parse(source).body
                names += [
                    target.id
                    for line in body
                    if isinstance(line, ast.Assign)
                    for target in line.targets
                    if isinstance(target, ast.Name)
                ]
    return names
