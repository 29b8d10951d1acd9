"""Marks of answers: nearly right answers share nearly all of them."""

from __future__ import annotations

import pytest

from eta_utils.tracing.alignment import closeness, is_constant
from eta_utils.tracing.answers import MARKS_PER_ANSWER, marks


def between(answer, expected):
    return closeness({(0, 0): marks(answer)}, {(0, 0): marks(expected)})


# Half for the kind; half for what follows it, 2 x common / sum of lengths.
@pytest.mark.parametrize(
    ("answer", "expected", "share"),
    [
        (7, 7.0, 1),
        (True, 1, 1),
        ([1, 2], (1, 2), 0),  # [1, 2] == (1, 2) is False, too
        ({2, 1}, {1, 2}, 1),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, 1),
        (7, 8, 0.5),  # the kind alone
        ("7", 7, 0),
        (None, 7, 0),
        ([1, 2, 4], [1, 2, 3], 0.5 + 0.5 * 4 / 6),
        ([1, 2], [1, 2, 3], 0.5 + 0.5 * 4 / 5),
        ("stone", "stony", 0.5 + 0.5 * 8 / 10),
        ([[1, 2], 3], [[1, 9], 3], 0.5 + 0.5 * 6 / 8),
        ({"a": 1}, {"a": 1, "b": 2}, 0.5 + 0.5 * 2 / 3),
        ([], [], 1),
        ([], [1], 0.5),
    ],
)
def test_closeness_counts_what_two_answers_share(answer, expected, share):
    assert between(answer, expected) == between(expected, answer) == pytest.approx(share)


def test_a_call_that_raised_counts_nothing():
    expected = {(0, 0): marks(1), (1, 0): marks(2)}
    assert closeness({(1, 0): marks(2)}, expected) == 0.5
    assert closeness({}, {}) == 1.0


def test_one_answer_where_the_reference_gives_several_is_constant():
    expected = {(0, 0): marks(True), (1, 0): marks(False)}
    always = {(0, 0): marks(True), (1, 0): marks(True)}
    assert is_constant(always, expected)
    assert is_constant({}, expected)
    assert not is_constant({(0, 0): marks(5), (1, 0): marks(6)}, expected)
    assert not is_constant(always, always)  # so does the reference


def test_an_object_of_a_class_of_its_own_is_never_asked_anything():
    class Hostile(list):
        def __getattribute__(self, name):
            raise AssertionError(name)

        __iter__ = __len__ = __hash__ = __eq__ = __getattribute__

    assert between(Hostile(), []) == 0
    assert between([Hostile()], [Hostile()]) == 1.0  # two unknowns are one mark


def test_marks_of_a_huge_answer_are_bounded():
    assert len(marks("a" * 10**6)) == len(marks([[0] * 100] * 100)) == 8 * MARKS_PER_ANSWER
