"""What crosses between examiner and candidate is plain, and nothing else runs."""

from __future__ import annotations

import array
import collections
import copy
import datetime
import decimal
import fractions
import pathlib
import pickle
import uuid
import zoneinfo

import pytest

from eta_utils.sandbox.channel import ProtocolError
from eta_utils.sandbox.proxies import Cannot, Opaque, Records, decode, encoder
from eta_utils.sandbox.values import encode, record, stand_in


def cross(value):
    """A program's value, as a test gets it."""
    return decode(encode(value))[0]


def sent(value, records):
    """A test's value, as a program gets it."""
    return pickle.loads(encode(value, encoder(records)))


def program_class(name, *bases, **methods):
    """A class as a program would make it: its module is called builtins."""
    return type(name, bases, methods | {"__module__": "builtins"})


def nested(depth):
    value = 0
    for _ in range(depth):
        value = (value,)
    return value


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        -(10**50),
        1.5,
        2j,
        "\ud800 text",
        b"bytes",
        [1, [2, "x"]],
        (1, (2,)),
        {"a": {1, 2}},
        frozenset({1}),
        range(3),
        bytearray(b"x"),
        collections.Counter("aab"),
        collections.OrderedDict(a=1),
        collections.deque([1, 2]),
        decimal.Decimal("1.10"),
        fractions.Fraction(1, 3),
        datetime.date(2024, 2, 29),
        datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC),
        datetime.datetime(
            1970, 1, 1, tzinfo=datetime.timezone(datetime.timedelta(hours=2))
        ),
        datetime.time(12, tzinfo=zoneinfo.ZoneInfo("Europe/Berlin")),
        {"a": 1}.keys(),
        {"a": [1]}.items(),
        array.array("d", [1.5]),
        uuid.UUID(int=5),
        pathlib.PurePosixPath("a/b"),
        nested(900),
    ],
)
def test_plain_values_arrive_equal_and_of_the_same_type(value):
    arrived = cross(value)
    assert arrived == value
    assert type(arrived) is type(value)


def test_subclasses_of_built_in_types_arrive_as_the_base_value():
    cases = {
        int: 7,
        str: "text",
        float: 1.5,
        list: [1, 2],
        tuple: (1, 2),
        dict: {"a": 1},
        set: {1, 2},
        frozenset: frozenset({3}),
        bytes: b"x",
    }
    for base, value in cases.items():
        arrived = cross(program_class("Mine", base)(value))
        assert arrived == value
        assert type(arrived) is base


def test_a_class_that_compares_itself_is_named_and_loses_its_comparison():
    cheat = program_class("Any", int, __eq__=lambda self, other: True)(7)
    arrived, comparing = decode(encode([cheat]))
    assert arrived != [3]
    assert comparing == "Any"


def test_an_object_arrives_as_something_equal_to_nothing():
    arrived, comparing = decode(encode(program_class("Thing")()))
    assert isinstance(arrived, Opaque)
    assert not comparing
    assert all(arrived != other for other in (None, 0, "", Opaque("Thing")))


def test_shared_references_survive():
    inner = [1]
    first, second = cross((inner, inner))
    assert first is second


def linked_nodes():
    """Two objects of a test's own class that know each other."""
    node = program_class("Node")
    first, second = node(), node()
    first.next, second.next, first.value = second, first, 1
    return first, second


def test_objects_of_a_tests_plain_class_cross_with_their_attributes():
    first, _ = linked_nodes()
    arrived = sent(first, Records({}))
    assert arrived.value == 1
    assert arrived.next.next is arrived


def test_they_come_back_as_the_same_objects_as_the_program_left_them():
    (first, second), records = linked_nodes(), Records({})
    arrived = sent(first, records)
    arrived.next, arrived.value = None, 7
    back, _ = decode(encode([arrived]), records)
    assert back[0] is first
    assert (first.next, first.value) == (None, 7)
    assert second.next is first


def test_an_object_that_was_never_sent_cannot_come_back():
    invented = sent(linked_nodes()[0], Records({}))
    with pytest.raises(ProtocolError):
        decode(encode(invented), Records({}))


def test_what_the_program_deletes_is_gone():
    (first, _), records = linked_nodes(), Records({})
    arrived = sent(first, records)
    del arrived.value
    decode(encode(arrived), records)
    assert not hasattr(first, "value")


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy])
def test_a_programs_copy_is_another_object(duplicate):
    (first, second), records = linked_nodes(), Records({})
    made = duplicate(sent(first, records))
    made.value, made.next = 9, None
    back, _ = decode(encode(made), records)
    assert back is not first
    assert type(back) is type(first)
    assert (back.value, first.value, first.next) == (9, 1, second)


def test_a_class_with_methods_does_not_cross_as_attributes():
    thing = program_class("Thing", size=lambda self: 3)()
    with pytest.raises(Cannot):
        sent(thing, Records({}))


class Bomb:
    def __reduce__(self):
        return eval, ("1/0",)


@pytest.mark.parametrize(
    "payload",
    [
        pickle.dumps(Bomb()),
        pickle.dumps(eval),
        pickle.dumps(Bomb),
        b"cos\nsystem\n(S'true'\ntR.",
        b"not a pickle",
        b"",
    ],
)
def test_reading_a_hostile_answer_runs_nothing(payload):
    with pytest.raises(ProtocolError):
        decode(payload)


PATCH = b"N}X\x06\x00\x00\x00__eq__K\x01s\x86b."  # BUILD with the slot state {"__eq__": 1}


@pytest.mark.parametrize("name", ["collections\nCounter", "fractions\nFraction"])
def test_a_hostile_answer_cannot_write_to_a_class(name):
    payload = b"\x80\x05c" + name.encode() + b"\n" + PATCH
    assert not isinstance(vars(fractions.Fraction)["__eq__"], int)
    with pytest.raises(ProtocolError):
        decode(payload)
    assert not isinstance(vars(fractions.Fraction)["__eq__"], int)
    assert not isinstance(vars(collections.Counter)["__eq__"], int)


@pytest.mark.parametrize("function", [stand_in, record])
@pytest.mark.parametrize("state", [{"left": 1}, (None, {"left": 1}), (None, {"_make": 1})])
def test_a_hostile_answer_leaves_nothing_at_the_decoder(function, state):
    name = f"{function.__module__}\n{function.__name__}\n".encode()
    set_state = pickle.dumps(state, protocol=0)[:-1] + b"b."
    with pytest.raises(ProtocolError):
        decode(b"c" + name + set_state)


@pytest.mark.parametrize("dtype", ["O", "i4,O", "(2,)i4"])
def test_an_answer_cannot_make_an_array_of_pointers(dtype):
    pytest.importorskip("numpy")
    forged = stand_in, ("ndarray", False, "array", (dtype, (1,), b"AAAAAAAA", False))
    payload = pickle.dumps(_Reduced(forged))
    with pytest.raises(ProtocolError):
        decode(payload)


def test_numpys_own_pickles_are_refused():
    numpy = pytest.importorskip("numpy")
    with pytest.raises(ProtocolError):
        decode(pickle.dumps(numpy.arange(3)))


class _Reduced:
    def __init__(self, to):
        self.to = to

    def __reduce__(self):
        return self.to


def test_arrays_of_objects_arrive_as_lists():
    numpy = pytest.importorskip("numpy")
    assert cross(numpy.array([1, None], dtype=object)) == [1, None]


def test_numpy_values_cross_whole():
    numpy = pytest.importorskip("numpy")
    assert cross(numpy.int64(3)) == 3
    assert (cross(numpy.arange(4)) == numpy.arange(4)).all()
