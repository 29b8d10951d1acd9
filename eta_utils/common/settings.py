"""Settings: frozen dataclasses whose fields carry their help text and their limits.

>>> @dataclass(frozen=True)
... class PPOSettings(Settings):
...     prefix = "ppo_"
...     clip: float = setting(0.2, "of the policy's change", above=0)
>>> PPOSettings(clip=0.0).check()
BadInput: parameter ppo_clip: 0.0 is not above 0

A setting is one line, beside what it steers.  The command line, its help, the range checks
and the identity of a stage all read these fields: nothing lists them a second time.
"""

from __future__ import annotations

import difflib
import functools
import math
import typing
from collections.abc import Iterable
from dataclasses import dataclass, fields
from dataclasses import field as dataclass_field
from typing import ClassVar

from eta_utils.common.errors import BadInput

_KINDS = {int: "a whole number", float: "a number", str: "text"}


def setting(
    default: float | str,
    about: str,
    *,
    at_least: float | None = None,
    above: float | None = None,
    at_most: float | None = None,
    choices: tuple = (),
    decides: bool = True,
    flag: str = "",
    names_path: bool = False,
    is_batch: bool = False,
) -> typing.Any:
    """A field of a `Settings` class: its default, one line of help, and its limits.

    `decides=False` marks a setting of the machine, such as the number of workers, which
    changes how fast a result comes and not what it is.  `flag` is the command line option
    where it is not made of the name.  `names_path` marks text that may name a file or
    folder, `is_batch` a number that several processes must be able to share evenly.
    """
    limits = {"at least": at_least, "above": above, "at most": at_most}
    metadata = {
        "about": about,
        "limits": {words: value for words, value in limits.items() if value is not None},
        "choices": choices,
        "decides": decides,
        "flag": flag,
        "names_path": names_path,
        "is_batch": is_batch,
    }
    return dataclass_field(default=default, metadata=metadata)


Narrow = typing.TypeVar("Narrow", bound="Settings")


@dataclass(frozen=True)
class Settings:
    """The settings of one part of a study.

    In a study each field is called `prefix` + its name.
    """

    prefix: ClassVar[str] = ""

    def flat(self, deciding: bool = False) -> dict[str, object]:
        """Every value by its name in a study; only those that decide results, if wanted."""
        return {
            self.prefix + field.name: getattr(self, field.name)
            for field in fields(self)
            if field.metadata["decides"] or not deciding
        }

    def narrowed(self, owner: type[Narrow]) -> Narrow:
        """The part of these settings that a base class of theirs declares.

        A stage that needs only that part then does not depend on the rest.
        """
        return owner(**{field.name: getattr(self, field.name) for field in fields(owner)})

    def check(self) -> None:
        """Raise BadInput, naming the parameter, for a value out of its field's limits."""
        for field in fields(self):
            _check(self.prefix + field.name, getattr(self, field.name), field.metadata)


_HOLDS = {
    "at least": lambda value, bound: value >= bound,
    "above": lambda value, bound: value > bound,
    "at most": lambda value, bound: value <= bound,
}


def _check(name: str, value: object, metadata: typing.Mapping) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise BadInput(f"parameter {name}: {value} is not finite")
    for words, bound in metadata["limits"].items():
        if not _HOLDS[words](value, bound):
            raise BadInput(f"parameter {name}: {value} is not {words} {bound}")
    choices = metadata["choices"]
    if choices and value not in choices:
        there = " or ".join(map(str, choices))
        raise BadInput(f"parameter {name}: {value!r} is not {there}")


class Parameter(typing.NamedTuple):
    """A setting as a user names it."""

    name: str
    kind: type
    default: object
    metadata: typing.Mapping

    @property
    def about(self) -> str:
        """One line of help."""
        return self.metadata["about"]

    @property
    def flag(self) -> str:
        """The option of a command that takes this setting."""
        return self.metadata["flag"] or "--" + self.name.replace("_", "-")

    @property
    def choices(self) -> tuple:
        """The values that it may have; empty where it may have any in its limits."""
        return self.metadata["choices"]

    def parsed(self, text: str) -> object:
        """The value that a command line's text stands for.

        Raises BadInput for text of another type or a value out of the limits.
        """
        try:
            value = self.kind(text)
        except ValueError:
            raise self._wrong(text) from None
        _check(self.name, value, self.metadata)
        return value

    def typed(self, value: object) -> object:
        """The value in the parameter's type; a whole number may stand for a float.

        Raises BadInput for a value of another type.
        """
        if self.kind is float and type(value) is int:
            return float(value)
        if type(value) is not self.kind:
            raise self._wrong(value)
        return value

    def _wrong(self, value: object) -> BadInput:
        return BadInput(f"parameter {self.name}: {value!r} is not {_KINDS[self.kind]}")


@functools.cache
def parameters_of(owner: type[Settings]) -> dict[str, Parameter]:
    """The settings of a class by their names in a study, in the order of its fields."""
    kinds = typing.get_type_hints(owner)
    return {
        owner.prefix + field.name: Parameter(
            owner.prefix + field.name, kinds[field.name], field.default, field.metadata
        )
        for field in fields(owner)
    }


def built(owner: type[Settings], values: typing.Mapping[str, object]) -> Settings:
    """Settings of a class from values by their names in a study; others are ignored."""
    known = parameters_of(owner)
    return owner(
        **{
            name.removeprefix(owner.prefix): known[name].typed(value)
            for name, value in values.items()
            if name in known
        }
    )


def no_such_parameter(name: str, known: Iterable[str]) -> BadInput:
    """The error for a name that nobody declares, with the closest name that exists."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    hint = f"did you mean {close[0]}?" if close else "`run --help` lists them all"
    return BadInput(f"parameter {name}: there is no such parameter; {hint}")
