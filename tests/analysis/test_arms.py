"""An arm's name says what it does, and a wrong name what there is."""

from __future__ import annotations

import pytest

from eta_utils.analysis.recipes import recipe
from eta_utils.common.files import BadInput


def test_options_stand_behind_the_ordering_in_any_order():
    found = recipe("eta+matched+line")
    assert found == recipe("eta+line+matched")
    assert (found.ordering, found.loss_on, found.matched) == ("eta", "line", True)
    assert found.gated and found.nll


def test_a_plain_ordering_is_gated_and_on_all_tokens():
    found = recipe("steps")
    assert found.loss_on == "all" and not found.matched
    assert found.gated and found.nll
    assert not recipe("eta+ungated").gated and not recipe("eta+nonll").nll


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("stesp", "no ordering stesp; there are binary, steps"),
        ("eta+lines", "no option lines; there are matched, ungated"),
        ("eta+line+differing", "contradict"),
        ("eta+line+line", "repeat"),
    ],
)
def test_a_wrong_name_is_named_with_what_there_is(name, said):
    with pytest.raises(BadInput, match=said):
        recipe(name)
