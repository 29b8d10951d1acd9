"""Which values may cross between examiner and candidate, and in which form.

A value travels as a pickle in which the candidate's own classes never appear.

- `encode` sends plain values as they are.  An instance of a program's class that extends a
  built-in type becomes that built-in value.  Any other object stays with the program, and
  a number goes in its place (`Objects` keeps it);
- `proxies` has the other end: what a test gets for each of these.

Shared references inside one message survive.

Two kinds of classes are known to both sides.  Those that the prompt defines exist twice,
once in the program and once beside the test: their instances cross as their attributes.
Objects of classes that only the test has (nodes of a graph, say) become `Record`s in the
program: their attributes and a number.  What comes back is the test's own object again,
with the attributes that the program left it.
"""

from __future__ import annotations

import io
import sys
from _pickle import Pickler  # `pickle` would bring its twin in Python too
from types import BuiltinFunctionType, FunctionType

from eta_utils.sandbox.channel import LARGEST_FRAME

LONGEST_NAME = 100  # characters of a class's name that are sent
DEEPEST = 20_000  # levels of nesting; each takes some hundred bytes of the stack

_COMPARISONS = ("__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__")
HEAP_TYPE = 1 << 9  # Py_TPFLAGS_HEAPTYPE: made at run time, as by a class statement
_EVERYTHING = slice(None)
# How an instance of a subclass becomes a value of the built-in type, by the built-in's own
# method: the subclass may have overridden it.
AS_BASE = {
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
IMMUTABLE = frozenset({int, float, complex, bool, str, bytes, frozenset, type(None)})
# The types that a pickle may name.  It need not name int, list and others like them.
PLAIN_TYPES = frozenset(
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
        ("datetime", "timezone"),
        ("decimal", "Decimal"),
        ("fractions", "Fraction"),
    }
)
# Values of other classes of the standard library, as what they are made from.
_TAKEN_APART = {
    ("builtins", "dict_keys"): list,
    ("builtins", "dict_values"): list,
    ("builtins", "dict_items"): list,
    ("builtins", "memoryview"): bytes,
    ("builtins", "mappingproxy"): dict,
    ("array", "array"): lambda value: (value.typecode, value.tobytes()),
    ("pathlib", "PosixPath"): str,
    ("pathlib", "PurePosixPath"): str,
    ("uuid", "UUID"): int,
    ("zoneinfo", "ZoneInfo"): str,
}
BINARY = "add sub mul truediv floordiv mod pow matmul and or xor lshift rshift".split()
OPERATORS = [*BINARY, *"lt le gt ge neg pos abs invert iadd isub imul".split()]
# The methods of an object that stays with the program which a test can reach: for each, the
# operation that calls it there.
FORWARDED = {
    "__call__": "call",
    "__iter__": "iter",
    "__next__": "take",
    "__await__": "run",
    "__len__": "len",
    "__bool__": "bool",
    "__getitem__": "getitem",
    "__setitem__": "setitem",
    "__delitem__": "delitem",
    "__missing__": "getitem",
    "__contains__": "contains",
    "__enter__": "enter",
    "__exit__": "exit",
    "__str__": "str",
    "__repr__": "repr",
    "__int__": "int",
    "__float__": "float",
    "__index__": "index",
    "__reversed__": "reversed",
} | {f"__{name}__": name for name in OPERATORS}


class Record:
    """What a program is given for an object of a test's own class: its attributes.

    `_number` is the object's among those that the examiner has sent.  A copy that the
    program makes is another object, not the test's: `_is_copy` marks it.
    """

    __slots__ = ("__dict__", "__weakref__", "_is_copy", "_number")

    def __init__(self, *_: object) -> None:
        raise TypeError("only a test can make an object of its own class")

    def __reduce_ex__(self, _protocol: int) -> tuple:
        return copied, (self._number,), self.__dict__  # for `copy`; see also `_Encoder`


# --- What pickles name.  The first three make something in the program; `proxies` has
# --- what the others, and `record`, make beside the test.


def record(number: int, name: str = "") -> object:
    """The test's object of that number: of the program's class `name`, else a Record."""
    kind = objects.class_named(name) if objects and name else Record
    made = object.__new__(kind)
    if kind is Record:
        made._number, made._is_copy = number, False
    else:
        objects.received(made, number)
    return made


def member(name: str, which: str) -> object:
    """The member of the program's enum `name`."""
    return objects.namespace[name][which]


def kept(number: int) -> object:
    """The program's own object of that number."""
    return objects.kept[number]


def copied(number: int) -> Record:
    """A copy that the program made of the test's object."""
    made = record(number)
    made._is_copy = True
    return made


def made(name: str, shape: str, base: object) -> None:
    """An object of a class that the prompt defines."""


def stand_in(kind: str, compares: bool, shape: str, base: object) -> None:
    """Any other value that is not plain.

    `kind` is the name of its class, and `compares` says that this class defines a
    comparison.  `shape` says what `base` holds: the value in a built-in type (`base`), the
    parts of an array (`array`), what a value of the standard library is made from
    (`standard`), or the number by which the object is kept and what can be done with it
    (`kept`).
    """


_MARKERS = frozenset({record, member, kept, copied, made, stand_in})


class Objects:
    """The objects of a program that the two sides know by numbers.

    `kept` has those that the program answered with and that cannot cross.  `namespace` has
    its globals, and `classes` names the classes that the prompt defines.
    """

    def __init__(self, namespace: dict, classes: frozenset[str]) -> None:
        self.namespace, self.classes = namespace, classes
        self.kept: list[object] = []
        self._numbers: dict[int, int] = {}  # of those, by id
        self._received: dict[int, tuple[object, int]] = {}  # the test's objects, by id

    def keep(self, value: object) -> int:
        """The number of an object, a new one if it has none."""
        if id(value) not in self._numbers:
            self._numbers[id(value)] = len(self.kept)
            self.kept.append(value)
        return self._numbers[id(value)]

    def received(self, value: object, number: int) -> None:
        """Note which of the test's objects this is."""
        self._received[id(value)] = value, number

    def number_of(self, value: object) -> int | None:
        """The number of one of the test's objects."""
        known = self._received.get(id(value))
        return known[1] if known else None

    def class_named(self, name: str) -> type:
        """The program's class of that name; Record where it has none."""
        kind = self.namespace.get(name)
        return kind if isinstance(kind, type) and not _base_of(kind) else Record

    def knows(self, kind: type) -> bool:
        """Whether it is one of the prompt's classes, and not another of that name."""
        name = kind.__name__
        return name in self.classes and self.namespace.get(name) is kind


objects: Objects | None = None  # of this process, if it runs a program


def _base_of(kind: type) -> type | None:
    return next((base for base in AS_BASE if base in kind.__mro__), None)


class Encoder(Pickler):
    """A pickler that knows what to do with values that are not plain.

    The common part of both sides; each has its own for `known` and `foreign`.
    """

    def reducer_override(self, value: object) -> object:
        """Called by pickle for each value whose type is not exactly a built-in one.

        Returns (function, arguments), which the reader calls, or (function, arguments,
        attributes); or NotImplemented, for pickle's own way.
        """
        kind = type(value)
        if kind is FunctionType and value in _MARKERS:
            return NotImplemented
        if (reduced := self.known(value, kind)) is not None:
            return reduced
        # Plain types themselves are let through, as are their instances: pickling an
        # instance pickles its type as well.
        is_named = isinstance(value, (type, FunctionType, BuiltinFunctionType))
        named = value if is_named else kind
        name = named.__module__, named.__name__
        if name in PLAIN_TYPES:
            return NotImplemented
        described = str(kind.__name__)[:LONGEST_NAME], _defines_comparison(kind)
        if name in _TAKEN_APART and not is_named:
            return stand_in, (*described, "standard", (name[1], _TAKEN_APART[name](value)))
        if str(kind.__module__).partition(".")[0] == "numpy" and hasattr(kind, "tobytes"):
            return stand_in, (*described, *_shape_of(value))
        if base := _base_of(kind):
            return self.extends(value, described, AS_BASE[base](value))
        return self.foreign(value, described)

    def known(self, value: object, kind: type) -> object:
        """How a value crosses whose class both sides know; None for another."""
        raise NotImplementedError

    def extends(self, value: object, described: tuple, base: object) -> object:
        """How a value crosses that is also a built-in one, `base`."""
        return stand_in, (*described, "base", (base, None))

    def foreign(self, value: object, described: tuple) -> object:
        """How any other value crosses.  `described` has its class and `compares`."""
        raise NotImplementedError


class _Answer(Encoder):
    """The program's side."""

    def known(self, value: object, kind: type) -> object:
        if kind is Record:
            return (copied if value._is_copy else record), (value._number,), vars(value)
        if objects is None or kind.__flags__ & HEAP_TYPE == 0:
            return None
        number = objects.number_of(value)
        if number is not None:
            return record, (number,), vars(value)
        if not objects.knows(kind) or isinstance(value, BaseException):
            return None
        name = kind.__name__
        if "_member_map_" in vars(kind):
            return made, (name, "enum", value._name_)
        base = _base_of(kind)
        state = getattr(value, "__dict__", None)
        if base is None and state is None:  # it has slots
            return None
        shape = ("base", AS_BASE[base](value)) if base else ("object", None)
        return made, (name, *shape), state or None

    def extends(self, value: object, described: tuple, base: object) -> object:
        kind = type(value)
        # Of the program's own classes, and of those that compute what is missing.
        if objects and (kind.__flags__ & HEAP_TYPE or hasattr(kind, "__missing__")):
            number = objects.keep(value)
            return stand_in, (*described, "base", (base, (number, _features(kind))))
        return stand_in, (*described, "base", (base, None))

    def foreign(self, value: object, described: tuple) -> object:
        kind = type(value)
        itself = None
        if isinstance(value, type):
            itself = (
                str(value.__module__)[:LONGEST_NAME],
                str(value.__name__)[:LONGEST_NAME],
            )
        number = objects.keep(value) if objects else 0
        return stand_in, (*described, "kept", (number, _features(kind), itself))


def _features(kind: type) -> tuple[str, ...]:
    """Which of the `FORWARDED` methods a class has, but for those that all objects have."""
    owners = [vars(owner) for owner in kind.__mro__ if owner is not object]
    return tuple(name for name in FORWARDED if any(name in names for names in owners))


def _shape_of(value: object) -> tuple[str, object]:
    """How a numpy value crosses: its bytes, or its items where these are objects."""
    dtype = value.dtype
    if dtype.hasobject or dtype.fields:
        return "base", (value.tolist(), None)
    scalar = not hasattr(type(value), "__setitem__")
    return "array", (dtype.str, value.shape, value.tobytes(), scalar)


def _defines_comparison(kind: type) -> bool:
    """Whether the program's own classes among its bases define a comparison.

    Their module is called builtins, and a class statement made them.  The comparison that
    a dataclass has is no choice of the program's.
    """
    return any(
        name in vars(owner)
        for owner in kind.__mro__
        if owner.__flags__ & HEAP_TYPE and owner.__module__ == "builtins"
        for name in _COMPARISONS
        if "__dataclass_fields__" not in vars(owner)
    )


def mutable_parts(value: object) -> list:
    """The lists, dicts and other mutable values in a value, each once, in a fixed order."""
    found: list[object] = []
    seen: set[int] = set()
    waiting = [value]
    while waiting:
        here = waiting.pop()
        kind = type(here)
        if kind is dict:
            inside = here.values()
        elif kind is list or kind is tuple or kind.__name__ == "deque":
            inside = here
        else:
            inside = ()
        if id(here) in seen:
            continue
        seen.add(id(here))
        if kind is not tuple:
            found.append(here)
        waiting += [item for item in inside if type(item) not in IMMUTABLE]
    return found


def encode(value: object, encoder: type[Encoder] = _Answer) -> bytes:
    """The bytes of a value.

    Raises whatever the value's own code raises, RecursionError for nesting of more than
    `DEEPEST` levels, and ValueError for a value too large to send.
    """
    try:
        payload = _dumped(value, encoder)
    except RecursionError:  # a value may be deeper than calls can be
        limit = sys.getrecursionlimit()
        sys.setrecursionlimit(max(limit, DEEPEST))
        try:
            payload = _dumped(value, encoder)
        finally:
            sys.setrecursionlimit(limit)
    if len(payload) > LARGEST_FRAME - 4096:  # leaves room for the header
        raise ValueError("the value is too large to send")
    return payload


def _dumped(value: object, encoder: type[Encoder]) -> bytes:
    file = io.BytesIO()
    encoder(file, protocol=5).dump(value)
    return file.getvalue()
