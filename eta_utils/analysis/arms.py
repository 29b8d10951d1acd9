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

    - `about` says in a few words what it does;
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
    about: str
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
        Option("filled", "with as many pairs as ETA-DPO", "--"),
        Option("fresh", "with samples drawn anew as often as GRPO draws them", ":"),
        Option("prefix", "with pairs that share their first lines", "-."),
    )
}

ARMS = {
    arm.name: arm
    for arm in (
        Arm(
            *("base", "base", "base", "#999999", "x"),
            "the model as it comes from its corpus",
        ),
        Arm(
            *("sft", "sft", "SFT", "#000000", "o"),
            "supervised fine-tuning on a few right programs; every arm starts here",
        ),
        # With tests alone
        Arm(
            *("rft", "rft", "RFT", "#882255", "p"),
            "imitates those of its own programs that pass",
            reward="passes",
        ),
        Arm(
            *("ppo", "ppo", "PPO", "#999933", "s"),
            "reinforcement learning on pass or fail, with a critic",
            reward="passes",
        ),
        Arm(
            *("ppo-rm", "ppo", "PPO, ETA-RM", "#661100", "h"),
            "PPO, paid by a reward model in the place of tests",
            reward="eta_rm",
        ),
        Arm(
            *("grpo", "grpo", "GRPO", "#E69F00", "d"),
            "reinforcement learning on pass or fail, without a critic",
            reward="passes",
        ),
        Arm(
            *("credit", "grpo", "credit", "#0072B2", "^"),
            "GRPO that blames the wrong line of a failing program alone",
            reward="passes",
            credit="sibling",
        ),
        Arm(
            *("credit-mask", "grpo", "credit, no penalty", "#56B4E9", "<"),
            "credit without its penalty where all programs fail",
            reward="passes",
            credit="mask",
        ),
        Arm(
            *("credit-penalty", "grpo", "penalty, no mask", "#6699CC", ">"),
            "GRPO with credit's penalty, which blames all tokens",
            reward="passes",
            credit="penalty",
        ),
        Arm(
            *("credit-both", "grpo", "credit and bit", "#332288", "1"),
            "credit beside GRPO's own blame for all tokens",
            reward="passes",
            credit="both",
        ),
        Arm(
            *("dpo-binary", "dpo", "binary DPO", "#CC79A7", "D"),
            "learns from pairs: prefers the program that passes to one that fails",
            ordering="binary",
        ),
        Arm(
            *("dpo-steps", "dpo", "steps DPO", "#AA4499", "2"),
            "learns from pairs: also prefers the failing program that ran for more steps",
            ordering="steps",
        ),
        Arm(
            *("dpo-fraction", "dpo", "fraction DPO", "#DDCC77", "3"),
            "learns from pairs: also prefers the failing program that passes more asserts",
            ordering="fraction",
        ),
        Arm(
            *("dpo-tier", "dpo", "tier DPO", "#767676", "4"),
            "learns from pairs: also prefers the failing program with the milder failure",
            ordering="tier",
        ),
        # With tests and references
        Arm(
            *("grpo-dense", "grpo", "GRPO, dense reward", "#117733", "8"),
            "GRPO, paid for how far a program got where all fail",
            reward="dense",
            references=True,
        ),
        Arm(
            *("credit-reference", "grpo", "credit by references", "#44AA99", "P"),
            "credit that finds the wrong line with the reference solution",
            reward="passes",
            credit="reference",
            references=True,
        ),
        Arm(
            *("branching", "branching", "branching", "#D55E00", "X"),
            "GRPO that restarts programs where they were still right",
            reward="passes",
            references=True,
        ),
        Arm(
            *("dpo-states", "dpo", "states DPO", "#88CCEE", "H"),
            "learns from pairs: also prefers the failing program with more right values",
            ordering="states",
            references=True,
        ),
        Arm(
            *("dpo-eta", "dpo", "ETA-DPO", "#009E73", "v"),
            "learns from pairs: also prefers the failing program that got further",
            ordering="eta",
            references=True,
        ),
        Arm(
            *("sft-references", "sft", "SFT on references", "#555555", "*"),
            "imitates the solutions of the training tasks",
            references=True,
        ),
        Arm(
            *("ceiling", "sft", "ceiling", "#BBBBBB", "|"),
            "fine-tuning on many right programs of all operations",
            references=True,
        ),
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
        about="; ".join([arm.about, *(OPTIONS[option].about for option in options)]),
        options=tuple(OPTIONS[option] for option in options),
    )
