"""The arms of the study: what each learns from, and how it is drawn.

>>> arm = parse_arm("dpo-binary+filled")
>>> arm.label, arm.method, arm.ordering
('binary DPO, filled', 'dpo', 'binary')

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

    - `ordering` makes the preference pairs of DPO (`preferences.ORDERINGS`);
    - `reward` is what reinforcement learning is paid: passes, dense or eta_rm;
    - `credit` says which tokens of a failing program carry its advantage
      (`training.credit`): nothing, sibling, mask, penalty, reference or both;
    - `references` says that it needs solutions of its training tasks, where the other arms
      need their tests alone.

    Colours are those of Okabe and Ito, which colour-blind readers can distinguish, greys,
    and some of Tol's.
    """

    name: str
    method: str
    label: str
    colour: str
    marker: str
    ordering: str = ""
    reward: str = ""
    credit: str = ""
    references: bool = False
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

    @property
    def aligned(self) -> bool:
        """Whether it learns from programs that it has written and that were executed."""
        return self.method not in ("base", "sft")

    def has(self, option: str) -> bool:
        """Whether the arm has an option of that name."""
        return any(own.name == option for own in self.options)


OPTIONS = {
    option.name: option
    for option in (
        Option("filled", "as many pairs in a round as eta makes of the samples", "--"),
        Option("fresh", "samples drawn anew as often as GRPO draws them", ":"),
        Option("prefix", "pairs that share a prefix, from restarted programs", "-."),
    )
}

ARMS = {
    arm.name: arm
    for arm in (
        Arm("base", "base", "base", "#999999", "x"),
        Arm("sft", "sft", "SFT", "#000000", "o"),
        # With tests alone
        Arm("rft", "rft", "RFT", "#882255", "p", reward="passes"),
        Arm("ppo", "ppo", "PPO", "#999933", "s", reward="passes"),
        Arm("ppo-rm", "ppo", "PPO, ETA-RM", "#661100", "h", reward="eta_rm"),
        Arm("grpo", "grpo", "GRPO", "#E69F00", "d", reward="passes"),
        Arm("credit", "grpo", "credit", "#0072B2", "^", reward="passes", credit="sibling"),
        Arm(
            *("credit-mask", "grpo", "credit, no penalty", "#56B4E9", "<"),
            reward="passes",
            credit="mask",
        ),
        Arm(
            *("credit-penalty", "grpo", "penalty, no mask", "#6699CC", ">"),
            reward="passes",
            credit="penalty",
        ),
        Arm(
            *("credit-both", "grpo", "credit and bit", "#332288", "1"),
            reward="passes",
            credit="both",
        ),
        Arm("dpo-binary", "dpo", "binary DPO", "#CC79A7", "D", ordering="binary"),
        Arm("dpo-steps", "dpo", "steps DPO", "#AA4499", "2", ordering="steps"),
        Arm("dpo-fraction", "dpo", "fraction DPO", "#DDCC77", "3", ordering="fraction"),
        Arm("dpo-tier", "dpo", "tier DPO", "#767676", "4", ordering="tier"),
        # With tests and references
        Arm(
            *("grpo-dense", "grpo", "GRPO, dense reward", "#117733", "8"),
            reward="dense",
            references=True,
        ),
        Arm(
            *("credit-reference", "grpo", "credit by references", "#44AA99", "P"),
            reward="passes",
            credit="reference",
            references=True,
        ),
        Arm(
            *("branching", "branching", "branching", "#D55E00", "X"),
            reward="passes",
            references=True,
        ),
        Arm(
            *("dpo-states", "dpo", "states DPO", "#88CCEE", "H"),
            ordering="states",
            references=True,
        ),
        Arm(
            *("dpo-eta", "dpo", "ETA-DPO", "#009E73", "v"),
            ordering="eta",
            references=True,
        ),
        Arm(
            *("sft-references", "sft", "SFT on references", "#555555", "*"),
            references=True,
        ),
        Arm("ceiling", "sft", "ceiling", "#BBBBBB", "|", references=True),
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
