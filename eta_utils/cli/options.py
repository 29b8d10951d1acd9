"""Command line options made from settings, so that none is declared twice."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from eta_utils.common.errors import BadInput
from eta_utils.common.settings import Parameter, Settings, built, parameters_of

METAVARS = {int: "N", float: "X", str: "TEXT"}


def add_settings(parser: argparse.ArgumentParser, owner: type[Settings]) -> None:
    """An option for each setting of a class, with its help, its default and its limits."""
    for known in parameters_of(owner).values():
        parser.add_argument(
            known.flag,
            dest=known.name,
            type=_reader(known),
            choices=known.choices or None,
            default=known.default,
            metavar=None if known.choices else METAVARS[known.kind],
            help=f"{known.about} (default: {known.default})",
        )


def chosen(options: argparse.Namespace, owner: type[Settings]) -> Settings:
    """The settings of a class, as the options of `add_settings` have them."""
    return built(owner, vars(options))


def _reader(known: Parameter) -> Callable[[str], object]:
    def read(text: str) -> object:
        try:
            return known.parsed(text)
        except BadInput as error:  # argparse names the option itself
            what = str(error).partition(": ")[2]
            raise argparse.ArgumentTypeError(what) from None

    return read


def positive(text: str) -> int:
    """A whole number from 1, for argparse."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a positive whole number")
    return int(text)
