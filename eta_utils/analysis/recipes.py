"""What an arm of DPO does, told by its name: an ordering, and options behind plus signs.

>>> recipe("eta+line+matched")
Recipe(ordering='eta', options=('line', 'matched'))

Leaves out: doing it (see `arms`).
"""

from __future__ import annotations

from dataclasses import dataclass

from eta_utils.common.files import BadInput
from eta_utils.preferences.orderings import ORDERINGS

OPTIONS = {
    "matched": "as many pairs in a round as binary makes of the same samples",
    "ungated": "failing programs may win though another sample passes",
    "differing": "preference on the tokens that differ alone",
    "line": "preference on the first line that differs alone",
    "nonll": "without the NLL of winners that pass",
}


@dataclass(frozen=True)
class Recipe:
    """An ordering of `ORDERINGS` and, sorted, some of `OPTIONS`."""

    ordering: str
    options: tuple[str, ...] = ()

    @property
    def loss_on(self) -> str:
        """The tokens that carry the preference: all, differing or line."""
        chosen = [each for each in ("differing", "line") if each in self.options]
        return chosen[0] if chosen else "all"

    @property
    def gated(self) -> bool:
        """Whether failing programs win only where nothing passes."""
        return "ungated" not in self.options

    @property
    def matched(self) -> bool:
        """Whether the arm gets no more pairs than `binary` would."""
        return "matched" in self.options

    @property
    def nll(self) -> bool:
        """Whether winners that pass are imitated, too."""
        return "nonll" not in self.options


def recipe(name: str) -> Recipe:
    """The recipe of that name.  Raises BadInput, naming what there is."""
    ordering, *options = name.split("+")
    if ordering not in ORDERINGS:
        there = ", ".join(ORDERINGS)
        raise BadInput(f"arm {name}: no ordering {ordering}; there are {there}")
    for each in options:
        if each not in OPTIONS:
            raise BadInput(f"arm {name}: no option {each}; there are {', '.join(OPTIONS)}")
    if len(set(options)) < len(options) or {"differing", "line"} <= set(options):
        raise BadInput(f"arm {name}: its options contradict or repeat one another")
    return Recipe(ordering, tuple(sorted(options)))
