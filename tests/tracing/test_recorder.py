"""States are fingerprints of plain values, or short texts; a hostile value runs no code."""

from __future__ import annotations

import math
import os
import subprocess
import sys

import pytest

from eta_utils.tracing.instrumentation import instrument
from eta_utils.tracing.recorder import (
    LONGEST,
    STATES_PER_CALL,
    Recorder,
    describe,
    fingerprint,
    texts_only,
)


def states_of(source, *arguments):
    program = instrument(source)
    namespace = {}
    recorder = Recorder(len(program.lines), 10_000, namespace)
    exec(program.code, namespace)
    recorder.begin_call(budget=0)
    namespace["f"](*arguments)
    return memoryview(recorder.states()).cast("q").tolist()


def test_states_ignore_the_names_of_variables():
    one = "def f(n):\n    total = n + 1\n    out = [total]\n    return out\n"
    assert states_of(one, 1) == states_of(one.replace("total", "t").replace("out", "o"), 1)


def test_states_are_recorded_when_a_value_changes():
    source = "def f(xs):\n    out = []\n    for x in xs:\n        out.append(x)\n"
    source += "    return out\n"
    expected = [[], 1, [1], 2, [1, 2], [1, 2]]  # out, x, out, x, out, the result
    assert states_of(source, [1, 2]) == [fingerprint(value) for value in expected]


def test_a_value_that_stays_the_same_is_no_new_state():
    source = "def f(n):\n    for _ in range(n):\n        x = 5\n    return None\n"
    assert states_of(source, 1)[1:] == [fingerprint(5), fingerprint(None)]
    assert states_of(source.replace("for _ in range(n)", "while (n := n - 1)"), 9) == [
        fingerprint(5),
        fingerprint(None),
    ]


def test_the_number_of_states_is_bounded():
    source = "def f(n):\n    for i in range(n):\n        x = i * 2\n"
    assert len(states_of(source, 1_000)) == STATES_PER_CALL


def test_what_is_looked_at_is_bounded_even_where_no_state_changes():
    # Only cell 40 changes, and the first 32 cells of a row are looked at.
    table = [[0] * 50 for _ in range(50)]
    source = "def f(table):\n    for turn in range(2_000):\n        table[0][40] = 1\n"
    source += "    late = 'unseen'\n    return 0\n"
    assert fingerprint("unseen") not in states_of(source, table)
    # One look takes in 32 rows of 32: about 1,000 items, of 200,000.
    assert fingerprint("unseen") in states_of(source.replace("2_000", "20"), table)


class Hostile:
    """Every question that can be put to it is an error."""

    def _refuse(self, *_):
        pytest.fail("a hostile object was asked")

    __repr__ = __str__ = __eq__ = __hash__ = __len__ = __iter__ = __bool__ = _refuse
    __lt__ = __getitem__ = __contains__ = __index__ = __float__ = __getattribute__ = _refuse


class HostileList(list):
    __iter__ = __len__ = __getitem__ = Hostile._refuse


class HostileInt(int):
    __repr__ = __str__ = __len__ = __iter__ = __hash__ = Hostile._refuse
    __getattribute__ = Hostile._refuse


def test_hostile_objects_are_never_asked():
    for value in (
        Hostile(),
        [Hostile()],
        (1, [Hostile()]),
        {1: Hostile()},
        HostileList([1]),
    ):
        fingerprint(value)


def test_equal_numbers_share_a_fingerprint_and_unequal_containers_do_not():
    assert fingerprint(1) == fingerprint(1.0) == fingerprint(True)
    assert fingerprint([1, 2]) != fingerprint((1, 2))
    assert fingerprint([1, 2]) != fingerprint([2, 1])
    assert fingerprint({1, 2}) == fingerprint({2, 1})
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})
    assert fingerprint({"a": 1}) != fingerprint({"a": 2})
    assert fingerprint(None) != fingerprint(0)
    assert fingerprint(math.nan) == fingerprint(float("nan"))


def test_large_and_deep_values_are_cut_off():
    deep = []
    for _ in range(10_000):
        deep = [deep]
    fingerprint(deep)
    fingerprint(list(range(10**6)))
    loop = []
    loop.append(loop)
    fingerprint(loop)


def test_fingerprints_are_the_same_in_every_process():
    code = (
        "from eta_utils.tracing.recorder import fingerprint as f;"
        "print(f('text'), f(['a', None, 1.5, float('nan')]), f({'x': {1, 'y'}}))"
    )
    environment = os.environ | {"PYTHONHASHSEED": "0"}
    runs = {
        subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True
        ).stdout
        for _ in range(3)
    }
    assert len(runs) == 1
    assert runs != {b""}


# --- States in words


@pytest.mark.parametrize(
    "value",
    [None, True, 3, -2.5, "it's", b"x", [], [1, [2]], (), {}, {"a": [1]}, range(3)],
)
def test_plain_values_read_as_python_writes_them(value):
    assert describe(value) == repr(value)


def test_sets_are_sorted_and_deep_values_cut():
    assert describe({3, 1, 2}) == "{1, 2, 3}"
    assert describe([[[[1]]]]) == "[[[...]]]"


@pytest.mark.parametrize(
    "value", ["x" * 10_000, list(range(10_000)), 10**5_000, "\0" * 99], ids=type
)
def test_long_values_are_short_texts(value):
    assert len(describe(value)) <= LONGEST


@pytest.mark.parametrize("kind", [Hostile, HostileInt, HostileList])
def test_hostile_objects_are_never_asked_for_their_text(kind):
    assert describe(kind()) == "an object"
    assert describe([kind()]) == "[an object]"


def test_words_from_elsewhere_are_cut_and_anything_else_refused():
    assert texts_only([(3, "x", "y" * 99)]) == [[3, "x", "y" * LONGEST]]
    with pytest.raises((TypeError, ValueError)):
        texts_only([("line", "x", "y")])
    with pytest.raises((TypeError, ValueError)):
        texts_only([3])
