"""The arms of the study: what each learns from, and how it is drawn.

>>> arm = parse_arm("dpo-eta+matched")
>>> arm.label, arm.method, arm.ordering
('ETA-DPO, matched', 'dpo', 'eta')

An arm is one entry of `ARMS`, whose order is that of every table and figure.  Its name is
the folder of its stages and the value of `arm` in every table.  Options follow behind plus
signs.  `study.alignment` has a function for each method.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace

from eta_utils.common.errors import BadInput


@dataclass(frozen=True)
class Option:
    """A variant of an arm: its name, what it changes, and the style of its line."""

    name: str
    about: str
    line: str


@dataclass(frozen=True)
class Arm:
    """One way to make a model.

    `ordering` makes the preference pairs (`preferences.ORDERINGS`); `reward` is what
    reinforcement learning is paid: passes, eta or eta_rm.  Colours are those of Okabe and
    Ito, which colour-blind readers can distinguish, greys, and Tol's wine.
    """

    name: str
    method: str
    label: str
    colour: str
    marker: str
    ordering: str = ""
    reward: str = ""
    options: tuple[Option, ...] = ()

    def __str__(self) -> str:
        return self.name

    @property
    def plain(self) -> str:
        """The name of the same arm without options."""
        return self.name.partition("+")[0]

    @property
    def line(self) -> str:
        """Matplotlib's line style."""
        return self.options[-1].line if self.options else "-"

    def has(self, option: str) -> bool:
        """Whether the arm has an option of that name."""
        return any(own.name == option for own in self.options)


OPTIONS = {
    option.name: option
    for option in (
        Option("matched", "as many pairs in a round as binary makes of the samples", ":"),
        Option("ungated", "failing programs may win where another sample passes", "--"),
    )
}

ARMS = {
    arm.name: arm
    for arm in (
        Arm("base", "base", "base", "#999999", "x"),
        Arm("sft", "sft", "SFT", "#000000", "o"),
        Arm("ppo", "ppo", "PPO", "#E69F00", "s", reward="passes"),
        Arm("ppo-eta", "ppo", "PPO, ETA reward", "#F0E442", "p", reward="eta"),
        Arm("ppo-rm", "ppo", "PPO, ETA-RM", "#D55E00", "h", reward="eta_rm"),
        Arm("rloo", "rloo", "RLOO", "#555555", "d", reward="passes"),
        Arm("dpo-binary", "dpo", "binary DPO", "#56B4E9", "D", ordering="binary"),
        Arm("dpo-steps", "dpo", "raw-steps DPO", "#CC79A7", "^", ordering="steps"),
        Arm("dpo-fraction", "dpo", "fraction DPO", "#0072B2", "<", ordering="fraction"),
        Arm("dpo-tier", "dpo", "tier DPO", "#882255", ">", ordering="tier"),
        Arm("dpo-alignment", "dpo", "alignment DPO", "#AA4499", "8", ordering="alignment"),
        Arm("dpo-states", "dpo", "states DPO", "#767676", "P", ordering="states"),
        Arm("dpo-eta", "dpo", "ETA-DPO", "#009E73", "v", ordering="eta"),
    )
}


@functools.cache
def parse_arm(name: str) -> Arm:
    """The arm of that name, with its options.  Raises BadInput, naming what there is."""
    plain, *options = name.split("+")
    if plain not in ARMS:
        raise BadInput(f"arm {name}: there is no arm {plain}; there are {', '.join(ARMS)}")
    if options and ARMS[plain].method != "dpo":
        raise BadInput(f"arm {name}: only arms of DPO have options")
    for option in options:
        if option not in OPTIONS:
            there = ", ".join(OPTIONS)
            raise BadInput(f"arm {name}: there is no option {option}; there are {there}")
    if len(set(options)) < len(options):
        raise BadInput(f"arm {name}: an option is repeated")
    arm = ARMS[plain]
    return replace(
        arm,
        name=name,
        label=", ".join([arm.label, *options]),
        options=tuple(OPTIONS[option] for option in options),
    )
