"""Texts of values: like Python's own, short, and made without asking the value."""

from __future__ import annotations

import pytest

from eta_utils.tracing.recorder import LONGEST, describe, texts_only


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


def test_no_method_of_a_foreign_class_is_called():
    class Hostile(int):
        def __getattribute__(self, name):
            raise AssertionError(name)

        __repr__ = __str__ = __len__ = __iter__ = __hash__ = __getattribute__

    assert describe(Hostile()) == "an object"
    assert describe([Hostile()]) == "[an object]"


def test_words_from_elsewhere_are_cut_and_anything_else_refused():
    assert texts_only([(3, "x", "y" * 99)]) == [[3, "x", "y" * LONGEST]]
    with pytest.raises((TypeError, ValueError)):
        texts_only([("line", "x", "y")])
    with pytest.raises((TypeError, ValueError)):
        texts_only([3])
