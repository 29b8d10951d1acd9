"""Which values may cross between examiner and candidate, and in which form.

A value travels as a pickle in which the candidate's own classes never appear.

- `encode` turns an instance of such a class into the built-in value that it extends, or
  into an `Opaque`.  Classes, functions and modules become an `Opaque`, too.
- `decode` refuses every name outside a short list of plain types.  So reading a hostile
  answer runs none of its code.

Shared references inside one message survive.

Objects of a test's own classes (nodes of a graph, say) cross as `Record`s: their
attributes and a number, if the class has nothing else.  What comes back is the test's own
object again, with the attributes that the program left it.
"""

from __future__ import annotations

import io
from _pickle import Pickler, Unpickler  # `pickle` would bring its twin in Python too
from collections.abc import Callable
from types import BuiltinFunctionType, FunctionType
from typing import NoReturn

from eta_utils.sandbox.channel import LARGEST_FRAME, ProtocolError

LARGEST_ITERATOR = 10_000  # items taken from a generator or iterator that is returned
LONGEST_NAME = 100  # characters of a class's name that are sent
LONGEST_NUMBER = 100_000  # characters, and digits before or after the point

_COMPARISONS = ("__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__")
_HEAP_TYPE = 1 << 9  # Py_TPFLAGS_HEAPTYPE: made at run time, as by a class statement
# What a class statement without methods, but with an `__init__`, leaves in a class.
_OF_PLAIN_CLASSES = frozenset(
    "__init__ __module__ __qualname__ __doc__ __dict__ __weakref__ __annotations__ "
    "__slotnames__ __static_attributes__ __firstlineno__".split()
)
_EVERYTHING = slice(None)
# How an instance of a subclass becomes a value of the built-in type, by the built-in's own
# method: the subclass may have overridden it.
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
# The types that a pickle may name.  It need not name int, list and others like them.
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
    }
)


# What their pickles have for arguments; those of items are made first, and finite.
_FINITE = frozenset({int, float, str, bytes, bool, type(None), tuple, list, dict})


class Opaque:
    """Stands for a value that cannot cross: equal to nothing but itself."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def __repr__(self) -> str:
        return f"<{self.kind} object>"


class Record:
    """What a program is given for an object of a test's own class: its attributes.

    `_number` is the object's in the examiner's `Records`.  A copy that the program makes is
    another object, not the test's: `_is_copy` marks it.
    """

    __slots__ = ("__dict__", "__weakref__", "_is_copy", "_number")

    def __init__(self, *_: object) -> None:
        raise TypeError("only a test can make an object of its own class")

    def __reduce_ex__(self, _protocol: int) -> tuple:
        return copied, (self._number,), self.__dict__  # for `copy`; see also `_Encoder`


def record(number: int, is_copy: bool = False) -> Record:
    """The stand-in for the object of this number; pickles name this function."""
    made = Record.__new__(Record)
    made._number, made._is_copy = number, is_copy
    return made


def copied(number: int) -> Record:
    """The stand-in for a copy of that object; pickles name this function."""
    return record(number, is_copy=True)


class Records:
    """The objects of a test's own classes that a program has been given, by number."""

    def __init__(self) -> None:
        self._objects: list[object] = []
        self._numbers: dict[int, int] = {}  # by id; the list keeps each object alive

    def number(self, value: object) -> int:
        """The number of an object, a new one if it has none."""
        if id(value) not in self._numbers:
            self._numbers[id(value)] = len(self._objects)
            self._objects.append(value)
        return self._numbers[id(value)]

    def object(self, number: int) -> object:
        """The object of that number.  Raises IndexError or TypeError for none."""
        return self._objects[number]


def stand_in(kind: str, compares: bool, shape: str, base: object) -> object:
    """What a foreign value becomes; pickles name this function (see `_Encoder`).

    `kind` is the name of its class, and `compares` says that this class defines a
    comparison.  `shape` says what `base` holds: the value in a built-in type (`base`), the
    parts of an array (`array`), the items of an iterator (`iterator`), or nothing
    (`opaque`).
    """
    if shape == "base":
        return base
    if shape == "array":
        return _array(*base)
    if shape == "iterator" and type(base) is not list:
        raise ProtocolError("an iterator of no list")
    return iter(base) if shape == "iterator" else Opaque(kind)


def _array(dtype: str, size: tuple, data: bytes, scalar: bool) -> object:
    """An array of plain numbers or texts, from its bytes.

    Not by numpy's own pickles, in which a forged dtype turns bytes into pointers.
    """
    import numpy

    kind = numpy.dtype(str(dtype))
    if kind.hasobject or kind.fields or kind.subdtype or kind.kind == "V":
        raise ProtocolError("an array of something else than plain values")
    if type(data) is not bytes:  # of a number, `bytes` would make as many zeros
        raise ProtocolError("an array without its bytes")
    array = numpy.frombuffer(data, kind).reshape(size).copy()
    return array[()] if scalar else array


class _Encoder(Pickler):
    """A pickler that writes foreign values as calls of `stand_in`, `record` or `copied`."""

    opaque = False
    records: Records | None = None  # on the examiner's side

    def reducer_override(self, value: object) -> object:
        """Called by pickle for each value whose type is not exactly a built-in one.

        Returns (function, arguments), which the reader calls, or (function, arguments,
        attributes); or NotImplemented, for pickle's own way.
        """
        if value is stand_in or value is record or value is copied:
            return NotImplemented
        kind = type(value)
        if kind is Record:  # on its way back from the program
            made_by = copied if value._is_copy else record
            return made_by, (value._number,), value.__dict__
        if self.records is not None and _is_plain_class(kind):
            return record, (self.records.number(value),), vars(value)
        # Plain types themselves are let through, as are their instances: pickling an
        # instance pickles its type as well.
        named = (
            value if isinstance(value, (type, FunctionType, BuiltinFunctionType)) else kind
        )
        if (named.__module__, named.__name__) in _PLAIN_TYPES:
            return NotImplemented
        name, compares = str(kind.__name__)[:LONGEST_NAME], _defines_comparison(kind)
        for base, convert in _AS_BASE.items():
            if base in kind.__mro__:
                return stand_in, (name, compares, "base", convert(value))
        if str(kind.__module__).partition(".")[0] == "numpy" and hasattr(kind, "tobytes"):
            return stand_in, (name, compares, *_shape_of(value))
        if hasattr(kind, "__next__"):
            return stand_in, (name, compares, "iterator", _take_items(value))
        self.opaque = True
        return stand_in, (name, compares, "opaque", None)


def _shape_of(value: object) -> tuple[str, object]:
    """How a numpy value crosses: its bytes, or its items where these are objects."""
    dtype = value.dtype
    if dtype.hasobject or dtype.fields:
        return "base", value.tolist()
    scalar = not hasattr(type(value), "__setitem__")
    return "array", (dtype.str, value.shape, value.tobytes(), scalar)


def _is_plain_class(kind: type) -> bool:
    """Whether a class statement made it, with no more than an `__init__`.

    So its instances are their attributes and nothing else.  `exec` without a `__name__`
    makes `builtins` the module of a test's classes.
    """
    return kind.__flags__ & _HEAP_TYPE and all(
        owner.__module__ == "builtins" and _OF_PLAIN_CLASSES.issuperset(vars(owner))
        for owner in kind.__mro__[:-1]
    )


def _defines_comparison(kind: type) -> bool:
    """Whether the program's own classes among its bases define a comparison.

    Their module is called builtins, and a class statement made them.
    """
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


def encode(value: object, records: Records | None = None) -> tuple[bytes, bool]:
    """(The bytes of a value, whether some part of it became an `Opaque`).

    With `records`, objects of plain classes are noted there and sent as their attributes.

    Raises whatever the value's own code raises, RecursionError for deep nesting, and
    ValueError for a value too large to send.
    """
    file = io.BytesIO()
    encoder = _Encoder(file, protocol=5)
    encoder.records = records
    encoder.dump(value)
    payload = file.getvalue()
    if len(payload) > LARGEST_FRAME - 4096:  # leaves room for the header
        raise ValueError("the value is too large to send")
    return payload, encoder.opaque


class _Maker:
    """What a name in a pickle gives: it can be called, and cannot be written to.

    A pickle can also set attributes of what it names.  Those of a class or a function would
    stay there for good.
    """

    __slots__ = ("_make",)

    def __init__(self, make: Callable) -> None:
        object.__setattr__(self, "_make", make)

    def __call__(self, *arguments: object) -> object:
        return self._make(*arguments)

    def __setattr__(self, name: str, _value: object) -> NoReturn:
        raise ProtocolError(f"an answer that sets {name}")


class _Plain:
    """Makes a value of a plain type from arguments that a pickle of one has.

    Others could keep the examiner busy for ever: `deque(range(10**13), 0)`.
    """

    def __init__(self, kind: type) -> None:
        self.kind = kind

    def make(self, *arguments: object) -> object:
        """The value.  Raises ProtocolError for arguments that no pickle of it has."""
        for argument in arguments:
            if type(argument) not in _FINITE:
                raise ProtocolError(f"a {self.kind.__name__} of {type(argument).__name__}")
            if type(argument) is str and not _is_short_number(argument):
                raise ProtocolError(f"a {self.kind.__name__} too long to compute with")
        if self.kind is bytearray and [*map(type, arguments)] not in ([], [bytes]):
            raise ProtocolError("a bytearray of a size, not of bytes")
        return self.kind(*arguments)


def _is_short_number(text: str) -> bool:
    """Whether a text that makes a Decimal or a Fraction is one that ends.

    `1e999999999` is short and has a billion digits.
    """
    _, _, exponent = text.lower().partition("e")
    return len(text) <= LONGEST_NUMBER and (
        len(exponent) < 9 and abs(int(exponent or 0)) <= LONGEST_NUMBER
    )


class _Decoder(Unpickler):
    """An unpickler that knows no name but `_PLAIN_TYPES` and the three functions above."""

    comparing = ""  # the last class that brings a comparison of its own
    records = Records()  # none

    def find_class(self, module: str, name: str) -> object:
        """What a name in the pickle stands for.  Raises ProtocolError for all others."""
        if (module, name) == (stand_in.__module__, stand_in.__name__):
            return _Maker(self._stand_in)
        if module == record.__module__ and name in (record.__name__, copied.__name__):
            return _Maker(self._record if name == record.__name__ else self._copied)
        if (module, name) in _PLAIN_TYPES:
            return _Maker(_Plain(super().find_class(module, name)).make)
        raise ProtocolError(f"a value names {module}.{name}")

    def _record(self, number: int) -> object:
        """The test's own object, ready for the attributes that the program left it."""
        own = self.records.object(number)
        vars(own).clear()
        return own

    def _copied(self, number: int) -> object:
        """A new object of the same class, whose `__init__` is not run."""
        return object.__new__(type(self.records.object(number)))

    def _stand_in(self, kind: str, compares: bool, shape: str, base: object) -> object:
        if type(kind) is not str or len(kind) > LONGEST_NAME:
            raise ProtocolError("a class without a proper name")
        if compares:
            self.comparing = kind
        return stand_in(kind, compares, shape, base)


def decode(payload: bytes, records: Records | None = None) -> tuple[object, str]:
    """(The value, the name of a class in it that defines a comparison, or "").

    A test's `==` would have asked that class; what arrives here compares as plain values.
    Objects that `records` know are given the attributes that the program left them.

    Raises ProtocolError for bytes that are no such value.
    """
    decoder = _Decoder(io.BytesIO(payload))
    decoder.records = records or _Decoder.records
    try:
        return decoder.load(), decoder.comparing
    except MemoryError:  # ours
        raise
    except Exception as error:  # a hostile pickle can make `load` raise anything
        raise ProtocolError(f"an answer that does not decode ({error})") from None
