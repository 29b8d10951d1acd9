"""An exception that the program raised, as one that a test can catch.

It has the class of the same name where this side has one: a built-in one, one of the
prompt, one of a module that the test has imported.  Any other becomes a class of its name
that extends those of its ancestors that are known here.
"""

from __future__ import annotations

import builtins
import contextlib
import functools
import sys

from eta_utils.sandbox.values import HEAP_TYPE

# The judge's own exceptions decide outcomes, and those of a test framework skip tests.
_NOT_FOR_PROGRAMS = frozenset({"eta_utils", "__main__", "unittest"})


def as_exception(
    classes: tuple[tuple[str, str], ...],
    message: str,
    line: int,
    args: tuple | None,
    attributes: dict,
    shared: dict[str, type],
) -> BaseException:
    """The exception that the program raised, from what `candidate._describe` says of it.

    `shared` has the prompt's classes.  `args` is None where they could not be sent.
    """
    kind = _class_of(classes, shared)
    error = _made(kind, (message,) if args is None else args)
    with contextlib.suppress(AttributeError):
        for name, value in attributes.items():
            # A method of the prompt's class stays what it is.
            if type(name) is str and not callable(getattr(kind, name, None)):
                error.__dict__[name] = value
    # Tells it from an exception that the test itself raises over an answer.
    error.raised_by_program = classes[0][1], message, line
    return error


def _class_of(
    classes: tuple[tuple[str, str], ...], shared: dict[str, type]
) -> type[BaseException]:
    found = [known for names in classes if (known := _known(*names, shared))]
    if found and _known(*classes[0], shared):
        return found[0]
    # Those of which no other one is a more special kind.
    bases = [
        kind
        for kind in found
        if not any(other is not kind and issubclass(other, kind) for other in found)
    ]
    return _new_class(classes[0][1], tuple(bases) or (Exception,))


@functools.lru_cache(maxsize=256)
def _new_class(name: str, bases: tuple[type, ...]) -> type[BaseException]:
    try:
        return type(name, bases, {})
    except TypeError:  # these cannot be combined
        return type(name, bases[:1], {})


def _known(module: str, name: str, shared: dict[str, type]) -> type | None:
    """This side's exception class of that name, if it has one."""
    if module == "builtins":
        found = shared.get(name) or vars(builtins).get(name)
    elif module.partition(".")[0] in _NOT_FOR_PROGRAMS:
        return None
    else:  # only what is loaded: a name must not import anything
        found = vars(sys.modules.get(module, object)).get(name)
    is_one = isinstance(found, type) and issubclass(found, BaseException)
    return found if is_one else None


def _made(kind: type[BaseException], args: tuple) -> BaseException:
    """An exception with these arguments; the `__init__` of a class in Python is not run."""
    with contextlib.suppress(Exception):
        if not kind.__flags__ & HEAP_TYPE:
            return kind(*args)
        error = kind.__new__(kind, *args)
        error.args = args
        return error
    error = Exception(*args)  # UnicodeDecodeError and the like want other arguments
    return error
