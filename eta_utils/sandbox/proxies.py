"""Values as a test sees them: what `values` sends becomes something to compare and use.

`decode` refuses every name outside a short list of plain types.  So reading a hostile
answer runs none of its code.

An object that stayed with the program becomes a `Proxy`.  What a test does with it is done
there: reading an attribute, an item or the length, iterating, calling.  But a program must
not decide its own verdict.  So three rules hold:

- whether two values are equal is decided here, on plain values, and never by the program;
- what only reads (`READS`) is always allowed: the test compares what comes back;
- what hands over a value of the test, which may be the expected one, or asks for a decision
  (a method, `<`, `in`, arithmetic) is allowed where the test does the same, in the same
  assert, with the reference solution's answers (see `Examination.operate`).
"""

from __future__ import annotations

import io
import sys
from _pickle import Unpickler
from collections.abc import Callable, Coroutine, Iterator
from itertools import islice
from typing import NoReturn, Protocol

from eta_utils.sandbox.channel import ProtocolError
from eta_utils.sandbox.values import (
    AS_BASE,
    BINARY,
    FORWARDED,
    HEAP_TYPE,
    LONGEST_NAME,
    PLAIN_TYPES,
    Encoder,
    copied,
    kept,
    made,
    member,
    record,
    stand_in,
)

LONGEST_ITERATOR = 10_000  # items of an iterator that a test passes on
LONGEST_NUMBER = 100_000  # characters, and digits before or after the point
# What a test may always do with an object of the program's.
INSIDE = "*"  # the label of an object that is part of another value
READS = frozenset(
    "global isinstance iter take run len bool getitem getattr str repr int float index "
    "reversed vars".split()
)
MOST_ITEMS = 1024  # of an iterator that are fetched at once

# What a class statement without methods, but with an `__init__`, leaves in a class.
_OF_PLAIN_CLASSES = frozenset(
    "__init__ __module__ __qualname__ __doc__ __dict__ __weakref__ __annotations__ "
    "__slotnames__ __static_attributes__ __firstlineno__".split()
)
# What pickles of plain types have for arguments; those of items are made first, and finite.
_FINITE = frozenset({int, float, str, bytes, bool, type(None), tuple, list, dict})
_OF_TIMES = frozenset({"timedelta", "timezone", "ZoneInfo"})  # arguments of datetimes


class Session(Protocol):
    """The conversation that proxies belong to (`examination.Examination`)."""

    def operate(
        self, operation: str, label: str, /, *args: object, **kwargs: object
    ) -> object:
        """Have the program do something with an object that it keeps."""

    def may(self, what: str) -> bool:
        """Whether the test does so with the reference's answers, in the same assert."""


class Opaque:
    """Stands for a value that cannot cross: equal to nothing but itself."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def __repr__(self) -> str:
        return f"<{self.kind} object>"


class Handle:
    """Which object of the program a proxy stands for.

    `label` says where it came from: "" for a call's own result, the name of the attribute
    that it was read from, and `INSIDE` for part of another value.  `compares` says whether
    its class defines a comparison, and `itself` is a class of this side that it is the same
    as.
    """

    __slots__ = ("compares", "features", "itself", "kind", "label", "number", "session")

    def __init__(
        self,
        session: Session,
        number: int,
        kind: str,
        features: tuple[str, ...],
        compares: bool = False,
        itself: type | None = None,
    ) -> None:
        self.session, self.number, self.kind = session, number, kind
        self.features, self.compares, self.itself = features, compares, itself
        self.label = INSIDE

    def operate(self, operation: str, /, *args: object, **kwargs: object) -> object:
        return self.session.operate(
            operation, self.label, Kept(self.number), *args, **kwargs
        )


class Kept:
    """In a message, the program's own object of that number."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __reduce__(self) -> tuple:
        return kept, (self.number,)


def handle_of(proxy: object) -> Handle | None:
    """The handle of a proxy, past its own `__getattr__`; None for another value."""
    if not isinstance(proxy, (Proxy, Extension)):
        return None
    handle = object.__getattribute__(proxy, "__dict__").get("_eta_handle")
    return handle if type(handle) is Handle else None


class _Remote:
    """What proxies and extensions share: attributes are read in the program."""

    def __getattr__(self, name: str) -> object:
        handle = handle_of(self)
        # Asked for by asyncio where it names a coroutine that is over.
        internal = name.startswith(("cr_", "gi_", "ag_"))
        if handle is None or internal or (name[:2] == "__" and name not in _PUBLIC):
            raise AttributeError(f"no attribute {name}")
        found = handle.operate("getattr", name)
        if inner := handle_of(found):
            inner.label = name
        return found

    def __setstate__(self, _state: object) -> NoReturn:
        """Called where a pickle sets attributes of what it has made."""
        raise ProtocolError("an answer that changes an object of the program's")

    def __reduce_ex__(self, _protocol: int) -> tuple:
        return kept, (handle_of(self).number,)


_PUBLIC = frozenset({"__name__", "__doc__", "__qualname__", "__class__"})


class Proxy(_Remote):
    """An object that stays with the program."""

    def __init__(self, handle: Handle) -> None:
        self.__dict__["_eta_handle"] = handle

    def __setattr__(self, name: str, value: object) -> None:
        handle_of(self).operate("setattr", name, value)

    def __hash__(self) -> int:
        handle = handle_of(self)
        return hash(handle.itself if handle.itself else ("proxy", handle.number))

    def __eq__(self, other: object) -> object:
        ours, theirs = handle_of(self), handle_of(other)
        if ours.itself is not None:
            return ours.itself is (theirs.itself if theirs else other)
        if theirs is None:
            return NotImplemented
        if ours.number == theirs.number:
            return True
        if not ours.compares or ours.kind != theirs.kind:
            return False
        own, other = ours.operate("vars"), theirs.operate("vars")
        names = f"eq {' '.join(sorted(map(str, own)))}"  # as the reference's have
        return bool(own) and own == other and ours.session.may(names)


class Extension(_Remote):
    """A built-in value of a class that the program extends: `base` here, the rest there."""

    def __missing__(self, key: object) -> object:
        handle = handle_of(self)
        if handle is None or "__missing__" not in handle.features:
            raise KeyError(key)
        return handle.operate("getitem", key)


def _forwarded(operation: str) -> Callable:
    def forward(self: Proxy, /, *args: object, **kwargs: object) -> object:
        return handle_of(self).operate(operation, *args, **kwargs)

    return forward


def _reflected(operation: str) -> Callable:
    """`3 + proxy`, where the left side does not know how."""

    def forward(self: Proxy, other: object) -> object:
        handle = handle_of(self)
        return handle.session.operate(operation, handle.label, other, Kept(handle.number))

    return forward


def _next(self: Proxy) -> object:
    """The next item.  They are fetched ahead, twice as many each time."""
    state = self.__dict__.setdefault("_eta_items", {"coming": iter(()), "size": 1})
    for item in state["coming"]:
        return item
    if state.get("error") is not None:
        raise state["error"]
    items, ended = handle_of(self).operate("take", state["size"])
    state["size"] = min(2 * state["size"], MOST_ITEMS)
    state["coming"] = iter(items)
    if ended:
        state["error"] = StopIteration()
    return _next(self)


def _await(self: Proxy) -> Iterator:
    """The program runs its coroutine to the end, by itself."""
    return handle_of(self).operate("run")
    yield  # makes this a generator, as `await` asks for


def _send(self: Proxy, _value: object) -> NoReturn:
    raise StopIteration(handle_of(self).operate("run"))


def _exit(self: Proxy, *_raised: object) -> bool:
    handle_of(self).operate("exit")
    return False  # a program must not swallow what the test raises


def _itself(self: Proxy) -> Proxy:
    return self


def _close(_self: Proxy, *_raised: object) -> None:
    return None


_classes: dict[tuple, type] = {}


def _class_of(features: tuple[str, ...], base: type | None = None) -> type:
    """The class of proxies, or of extensions of `base`, that forward these methods."""
    key = features, base
    if key not in _classes:
        methods: dict[str, object] = {}
        if base is None:
            methods = {name: _forwarded(FORWARDED[name]) for name in features}
            for name in features:
                if (reflected := f"__r{name[2:]}") in _REFLECTED:
                    methods[reflected] = _reflected(FORWARDED[name])
            if "__next__" in features:
                methods |= {"__next__": _next, "__iter__": _itself}
            if "__exit__" in features:
                methods["__exit__"] = _exit
            # By iterating, the items are compared here.
            if "__iter__" in features or "__getitem__" in features:
                methods.pop("__contains__", None)
            if "__await__" in features:
                methods |= {"__await__": _await, "send": _send, "throw": _close}
                methods["close"] = _close
        bases = (Proxy,) if base is None else (Extension, base)
        if "__await__" in methods:
            bases = (*bases, Coroutine)
        _classes[key] = type(bases[0].__name__, bases, methods)
    return _classes[key]


_REFLECTED = frozenset(f"__r{name}__" for name in BINARY)


class Records:
    """The objects of a test's classes that a program has been given, by number.

    `shared` has the classes that the prompt defines, by name.
    """

    def __init__(self, shared: dict[str, type]) -> None:
        self.shared = shared
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

    def name_of(self, kind: type) -> str | None:
        """The name under which instances of a test's class can be sent; None for none.

        It is empty for a class that the prompt does not define.
        """
        if self.shared.get(kind.__name__) is kind:
            return kind.__name__
        return "" if _is_plain_class(kind) else None


def _is_plain_class(kind: type) -> bool:
    """Whether a class statement made it, with no more than an `__init__`.

    So its instances are their attributes and nothing else.  `exec` without a `__name__`
    makes `builtins` the module of a test's classes.
    """
    return bool(kind.__flags__ & HEAP_TYPE) and all(
        owner.__module__ == "builtins" and _OF_PLAIN_CLASSES.issuperset(vars(owner))
        for owner in kind.__mro__[:-1]
    )


class Cannot(Exception):
    """A value of the test cannot be sent."""


def encoder(records: Records) -> type[Encoder]:
    """The encoder of the test's side.  It raises Cannot for what the program cannot get."""

    class Question(Encoder):
        def known(self, value: object, kind: type) -> object:
            if kind is Kept:
                return kept, (value.number,)
            if handle := handle_of(value):
                return kept, (handle.number,)
            if isinstance(value, type):
                return None
            if records.shared.get(kind.__name__) is kind and "_member_map_" in vars(kind):
                return member, (kind.__name__, value.name)
            name = records.name_of(kind)
            if name is None or not hasattr(value, "__dict__"):
                return None
            if any(base in kind.__mro__ for base in AS_BASE):
                return None
            return record, (records.number(value), name), vars(value)

        def foreign(self, value: object, _described: tuple) -> object:
            if hasattr(value, "__next__"):
                return iter, (list(islice(value, LONGEST_ITERATOR)),)
            raise Cannot(type(value).__name__)

    return Question


class _Maker:
    """What a name in a pickle gives: it can be called, and cannot be written to.

    A pickle can also set attributes of what it names.  Those of a class or a function would
    stay there for good.
    """

    __slots__ = ("_decoder", "_make")

    def __init__(self, make: Callable, decoder: _Decoder) -> None:
        object.__setattr__(self, "_make", make)
        object.__setattr__(self, "_decoder", decoder)

    def __call__(self, *arguments: object) -> object:
        if self._decoder.over:  # it was left in an answer
            raise TypeError("this object cannot be called")
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
            kind = type(argument)
            if kind not in _FINITE and kind.__name__ not in _OF_TIMES:
                raise ProtocolError(f"a {self.kind.__name__} of {kind.__name__}")
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
    """An unpickler that knows no name but `PLAIN_TYPES` and the functions of `values`."""

    def __init__(self, payload: bytes, records: Records, session: Session | None) -> None:
        super().__init__(io.BytesIO(payload))
        self.records, self.session = records, session
        self.comparing = ""  # the last class that brings a comparison of its own
        self.over = False
        # Objects of the prompt's and the test's classes, with what they may hide.
        self.made: list[tuple[object, frozenset[str]]] = []
        self._members: list[tuple[object, dict]] = []  # of enums, with their state
        self._kept: dict[int, object] = {}

    def find_class(self, module: str, name: str) -> object:
        """What a name in the pickle stands for.  Raises ProtocolError for all others."""
        if module == stand_in.__module__ and name in self._MARKERS:
            return _Maker(getattr(self, self._MARKERS[name]), self)
        if (module, name) in PLAIN_TYPES:
            return _Maker(_Plain(super().find_class(module, name)).make, self)
        raise ProtocolError(f"a value names {module}.{name}")

    _MARKERS = {
        stand_in.__name__: "_stand_in",
        record.__name__: "_record",
        copied.__name__: "_copied",
        made.__name__: "_made",
    }

    def _record(self, number: int) -> object:
        """The test's own object, ready for the attributes that the program left it."""
        own = self.records.object(number)
        self.made.append((own, frozenset(vars(own))))
        vars(own).clear()
        return own

    def _copied(self, number: int) -> object:
        """A new object of the same class, whose `__init__` is not run."""
        own = self.records.object(number)
        new = object.__new__(type(own))
        self.made.append((new, frozenset(vars(own))))
        return new

    def _made(self, name: str, shape: str, base: object) -> object:
        """An object of the prompt's class of that name, whose `__init__` is not run."""
        kind = self.records.shared.get(name) if type(name) is str else None
        if kind is None:
            raise ProtocolError("an object of no class of the prompt")
        if shape == "enum":
            found = kind._member_map_[base]
            self._members.append((found, dict(vars(found))))
            return found
        extended = next((each for each in AS_BASE if each in kind.__mro__), None)
        if shape == "base" and type(base) is extended:
            new = extended.__new__(kind, base)
            if extended in (list, dict, set):
                extended.__init__(new, base)
        elif shape == "object" and extended is None:
            new = object.__new__(kind)
        else:
            raise ProtocolError(f"no {name} is made like that")
        self.made.append((new, frozenset()))
        return new

    def check(self) -> None:
        """Raise ProtocolError where an answer has changed what it must not."""
        changed = False
        for own, before in self._members:
            if vars(own) != before:
                vars(own).clear()
                vars(own).update(before)
                changed = True
        if changed:
            raise ProtocolError("a member of an enum that is changed")
        for new, may_hide in self.made:
            for name in getattr(new, "__dict__", ()):
                if name not in may_hide and callable(getattr(type(new), name, None)):
                    raise ProtocolError(f"an object whose {name} is replaced")

    def _stand_in(self, kind: str, compares: bool, shape: str, base: object) -> object:
        if type(kind) is not str or len(kind) > LONGEST_NAME:
            raise ProtocolError("a class without a proper name")
        if compares:
            self.comparing = kind
        if shape == "array":
            return _array(*base)
        if shape == "standard":
            return _standard(*base)
        if shape == "base":
            value, more = base
            if more is None or compares or self.session is None:
                return value
            return self._extension(kind, value, *more)
        if shape == "kept":
            return self._proxy(kind, bool(compares), *base)
        raise ProtocolError(f"a value of no shape {shape}")

    def _proxy(
        self, kind: str, compares: bool, number: int, features: tuple, itself: object
    ) -> object:
        if self.session is None:
            return Opaque(kind)
        if type(number) is not int or number < 0 or not _are_features(features):
            raise ProtocolError("an object without a proper number")
        if number not in self._kept:
            known = _known_class(itself, self.records.shared) if itself else None
            handle = Handle(self.session, number, kind, features, compares, known)
            self._kept[number] = _class_of(features)(handle)
        return self._kept[number]

    def _extension(self, kind: str, value: object, number: int, features: tuple) -> object:
        base = type(value)
        if base not in AS_BASE or type(number) is not int or not _are_features(features):
            raise ProtocolError("an object without a proper number")
        if base in (bool, complex):
            return value
        new = base.__new__(_class_of((), base), value)
        if base in (list, dict, set):
            base.__init__(new, value)
        new.__dict__["_eta_handle"] = Handle(self.session, number, kind, features)
        return new


def _are_features(features: object) -> bool:
    return type(features) is tuple and all(
        type(name) is str and name in FORWARDED for name in features
    )


def _known_class(names: object, shared: dict[str, type]) -> type | None:
    """The class of this side that a class of the program's is the same as."""
    if type(names) is not tuple or [*map(type, names)] != [str, str]:
        raise ProtocolError("a class without a proper name")
    module, name = names
    if module == "builtins" and name in shared:
        return shared[name]
    # Only of modules that are loaded: a name must not import anything.
    found = vars(sys.modules.get(module, object)).get(name)
    return found if isinstance(found, type) else None


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


def _standard(name: str, parts: object) -> object:
    """A value of the standard library from what it is made of."""
    make, wanted = _MADE_OF.get(name, (None, None))
    if make is None or type(parts) is not wanted:
        raise ProtocolError(f"no {name} is made of that")
    return make(parts)


def _typed_array(parts: tuple) -> object:
    from array import array

    code, data = parts
    if type(code) is not str or type(data) is not bytes:
        raise ProtocolError("an array without its bytes")
    return array(code, data)


def _path(text: str) -> object:
    from pathlib import PurePosixPath

    return PurePosixPath(text)


def _uuid(number: int) -> object:
    from uuid import UUID

    return UUID(int=number)


def _zone(name: str) -> object:
    from zoneinfo import ZoneInfo

    return ZoneInfo(name)


_MADE_OF = {
    "dict_keys": (lambda keys: dict.fromkeys(keys).keys(), list),
    "dict_values": (lambda values: dict(enumerate(values)).values(), list),
    "dict_items": (lambda items: dict(items).items(), list),
    "memoryview": (memoryview, bytes),
    "mappingproxy": (dict, dict),
    "array": (_typed_array, tuple),
    "PosixPath": (_path, str),
    "PurePosixPath": (_path, str),
    "UUID": (_uuid, int),
    "ZoneInfo": (_zone, str),
}


def decode(
    payload: bytes, records: Records | None = None, session: Session | None = None
) -> tuple[object, str]:
    """(The value, the name of a class in it that defines a comparison, or "").

    A test's `==` would have asked that class; what arrives here compares as plain values.
    Objects that `records` know are given the attributes that the program left them.
    Without a `session` objects that stay with the program become `Opaque`.

    Raises ProtocolError for bytes that are no such value.
    """
    decoder = _Decoder(payload, records or Records({}), session)
    try:
        try:
            value = decoder.load()
        finally:
            decoder.over = True
            decoder.check()
        return value, decoder.comparing
    except MemoryError:  # ours
        raise
    except Exception as error:  # a hostile pickle can make `load` raise anything
        raise ProtocolError(f"an answer that does not decode ({error})") from None
