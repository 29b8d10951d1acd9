"""An arm's name says what it does, and a wrong name what there is."""

from __future__ import annotations

import pytest

from eta_utils.analysis.arms import ARMS, parse_arm
from eta_utils.common.errors import BadInput
from eta_utils.preferences.orderings import ORDERINGS
from eta_utils.study.alignment import METHODS


def test_an_arm_without_options_is_its_entry_in_the_registry():
    for name, arm in ARMS.items():
        assert parse_arm(name) == arm
        assert arm.plain == arm.name == str(arm)


def test_options_stand_behind_plus_signs_and_change_the_line_not_the_colour():
    arm = parse_arm("dpo-eta+filled")
    assert (arm.ordering, arm.method, arm.plain) == ("eta", "dpo", "dpo-eta")
    assert arm.has("filled") and not arm.has("fresh")
    assert arm.label == "ETA-DPO, filled"
    assert arm.colour == ARMS["dpo-eta"].colour
    assert arm.line != ARMS["dpo-eta"].line


def test_every_arm_has_a_colour_a_marker_and_a_label_of_its_own():
    for part in ("colour", "marker", "label"):
        assert len({getattr(arm, part) for arm in ARMS.values()}) == len(ARMS)


def test_every_arm_can_be_made():
    for arm in ARMS.values():
        assert arm.method in {"base", "sft", *METHODS}
        assert not arm.ordering or arm.ordering in ORDERINGS
        assert bool(arm.ordering) == (arm.method == "dpo")
        assert bool(arm.reward) == (arm.method in ("rft", "ppo", "grpo", "branching"))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("dpo-stesp", "there is no arm dpo-stesp; there are base, sft, rft, ppo"),
        ("dpo-eta+lines", "there is no option lines; there are filled, fresh"),
        ("dpo-eta+filled+filled", "repeated"),
        ("ppo+filled", "only arms of DPO have options"),
    ],
)
def test_a_wrong_name_is_named_with_what_there_is(name, said):
    with pytest.raises(BadInput, match=said):
        parse_arm(name)
