"""What a room hands out, imported when it is first asked for (PEP 562).

>>> __getattr__ = lazy(__name__, {"train_ppo": "ppo"})     # in training/__init__.py

Importing a room must cost nothing by itself: the command line checks parameters in a third
of a second, and torch alone takes several.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping


def lazy(room: str, names: Mapping[str, str]) -> Callable[[str], object]:
    """A module's `__getattr__` that takes each of `names` from the module it maps to.

    A name that maps to "" is a module of the room itself.
    """

    def get(name: str) -> object:
        if name not in names:
            raise AttributeError(f"module {room!r} has no attribute {name!r}")
        module = importlib.import_module(f"{room}.{names[name] or name}")
        return getattr(module, name) if names[name] else module

    return get
