"""Which values may cross between examiner and candidate, and how.

A value travels as a pickle in which the candidate's own classes never appear: `encode`
turns their instances into the built-in value they extend or into an `Opaque`, and
`decode` refuses every name outside a short list of plain types, so that reading a hostile
answer runs none of its code.  Shared references inside one message survive.

Leaves out: classes, functions and modules as values; they arrive as `Opaque`.
"""

from __future__ import annotations

import io
from _pickle import Pickler, Unpickler  # `pickle` would bring its twin in Python too
from types import BuiltinFunctionType, FunctionType

from eta_utils.sandbox.channel import LARGEST_FRAME, ProtocolError

LARGEST_ITERATOR = 10_000  # items taken from a generator or iterator that is returned

_COMPARISONS = ("__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__")
_HEAP_TYPE = 1 << 9  # Py_TPFLAGS_HEAPTYPE: made at run time, as by a class statement
_EVERYTHING = slice(None)
_AS_BASE = {
    int: int.__pos__,
    float: float.__pos__,
    complex: complex.__pos__,
    str: str.__str__,
    bytes: lambda value: bytes.__getitem__(value, _EVERYTHING),
    tuple: lambda value: tuple.__getitem__(value, _EVERYTHING),
    list: lambda value: list.__getitem__(value, _EVERYTHING),
    dict: dict.copy,
    set: lambda value: set(set.__iter__(value)),
    frozenset: lambda value: frozenset(frozenset.__iter__(value)),
}
_PLAIN_TYPES = frozenset(
    {
        ("builtins", "complex"),
        ("builtins", "range"),
        ("builtins", "slice"),
        ("builtins", "bytearray"),
        ("collections", "Counter"),
        ("collections", "OrderedDict"),
        ("collections", "deque"),
        ("datetime", "date"),
        ("datetime", "datetime"),
        ("datetime", "time"),
        ("datetime", "timedelta"),
        ("decimal", "Decimal"),
        ("fractions", "Fraction"),
        ("numpy", "dtype"),
        ("numpy", "ndarray"),
        ("numpy._core.multiarray", "_reconstruct"),
        ("numpy._core.multiarray", "scalar"),
        ("numpy._core.numeric", "_frombuffer"),
    }
)


class Opaque:
    """Stands for a value that cannot cross: equal to nothing but itself."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def __repr__(self) -> str:
        return f"<{self.kind} object>"


def stand_in(kind: str, compares: bool, shape: str, base: object) -> object:
    """What became of a foreign value; pickles name this function (see `_Encoder`)."""
    if shape == "base":
        return base
    return iter(base) if shape == "iterator" else Opaque(kind)


class _Encoder(Pickler):
    opaque = False

    def reducer_override(self, value: object) -> object:
        """Called by pickle for each value whose type is not exactly a built-in one."""
        if value is stand_in:
            return NotImplemented  # pickle's own way
        kind = type(value)
        named = (
            value if isinstance(value, (type, FunctionType, BuiltinFunctionType)) else kind
        )
        if (named.__module__, named.__name__) in _PLAIN_TYPES:
            return NotImplemented
        if named is kind and str(kind.__module__).partition(".")[0] == "numpy":
            return NotImplemented
        name, compares = str(kind.__name__)[:100], _defines_comparison(kind)
        for base, convert in _AS_BASE.items():
            if base in kind.__mro__:
                return stand_in, (name, compares, "base", convert(value))
        if hasattr(kind, "__next__"):
            return stand_in, (name, compares, "iterator", _take_items(value))
        self.opaque = True
        return stand_in, (name, compares, "opaque", None)


def _defines_comparison(kind: type) -> bool:
    """Whether a class of the program's own (its module is called builtins) compares."""
    return any(
        name in vars(owner)
        for owner in kind.__mro__
        if owner.__flags__ & _HEAP_TYPE and owner.__module__ == "builtins"
        for name in _COMPARISONS
    )


def _take_items(iterator: object) -> list:
    items = []
    for item in iterator:
        if len(items) >= LARGEST_ITERATOR:
            break
        items.append(item)
    return items


def encode(value: object) -> tuple[bytes, bool]:
    """(The bytes of a value, whether a part of it could only be sent as `Opaque`).

    Raises whatever the value's own code raises, RecursionError for deep nesting, and
    ValueError for a value too large to send.
    """
    file = io.BytesIO()
    encoder = _Encoder(file, protocol=5)
    encoder.dump(value)
    payload = file.getvalue()
    if len(payload) > LARGEST_FRAME - 4096:
        raise ValueError("the value is too large to send")
    return payload, encoder.opaque


class _Decoder(Unpickler):
    comparing = ""

    def find_class(self, module: str, name: str) -> object:
        if (module, name) == (stand_in.__module__, stand_in.__name__):
            return self._stand_in
        if (module, name) in _PLAIN_TYPES:
            return super().find_class(module, name)
        raise ProtocolError(f"a value names {module}.{name}")

    def _stand_in(self, kind: str, compares: bool, shape: str, base: object) -> object:
        if compares:
            self.comparing = kind
        return stand_in(kind, compares, shape, base)


def decode(payload: bytes) -> tuple[object, str]:
    """(The value, the name of a class in it that brings a comparison of its own or "").

    A test's `==` would have asked that class; here it compares plain values.
    Raises ProtocolError for bytes that are no such value.
    """
    decoder = _Decoder(io.BytesIO(payload))
    try:
        return decoder.load(), decoder.comparing
    except MemoryError:
        raise
    except Exception as error:
        raise ProtocolError(f"an answer that does not decode ({error})") from None
