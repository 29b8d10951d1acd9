"""What a test can do with an object that stays with the program, done in the program.

`values.FORWARDED` says which method of an object asks for which operation.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator

from eta_utils.sandbox.values import OPERATORS

_raised: dict[int, BaseException] = {}  # by an iterator, after items that it gave first


def take(iterator: Iterator, count: int) -> tuple[list, bool]:
    """(At most `count` next items, whether there are no more)."""
    if id(iterator) in _raised:
        raise _raised.pop(id(iterator))
    items = []
    try:
        for _ in range(count):
            items.append(next(iterator))
    except StopIteration:
        return items, True
    except BaseException as error:
        if not items:
            raise
        _raised[id(iterator)] = error  # the test comes to the items first
    return items, False


def run(coroutine: object) -> object:
    """What a coroutine returns."""
    import asyncio  # a tenth of a second to load, and rarely needed

    return asyncio.run(coroutine)


def enter(manager: object) -> object:
    """The beginning of a `with`."""
    return type(manager).__enter__(manager)


def leave(manager: object) -> object:
    """The end of a `with`, as if nothing had been raised."""
    return type(manager).__exit__(manager, None, None, None)


DONE_BY = {
    "iter": iter,
    "take": take,
    "run": run,
    "len": len,
    "bool": bool,
    "getitem": operator.getitem,
    "setitem": operator.setitem,
    "delitem": operator.delitem,
    "contains": operator.contains,
    "isinstance": isinstance,
    "getattr": getattr,
    "setattr": setattr,
    "enter": enter,
    "exit": leave,
    "str": str,
    "repr": repr,
    "int": int,
    "float": float,
    "index": operator.index,
    "reversed": reversed,
    "vars": vars,
} | {
    name: getattr(operator, f"{name}_" if name in ("and", "or") else name)
    for name in OPERATORS
}
