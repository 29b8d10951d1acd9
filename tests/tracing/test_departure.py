"""Where a program departs from a reference, worked out by hand.

The states of a call are small numbers here; nothing but their equality counts.
"""

from __future__ import annotations

from eta_utils.tracing.departure import Call, Departure, departure
from eta_utils.tracing.recorder import STATES_PER_CALL


def call(states, writes, end="returned", line=0):
    """One call; a negative line is idle, every other one wrote a state."""
    assert len(states) == sum(number > 0 for number in writes)
    return Call(states, writes, end, line)


def departs(ours, theirs):
    return departure({(0, 0): ours}, {(0, 0): theirs})


REFERENCE = call([1, 2, 3], [2, 3, 4])


def test_the_first_state_of_another_value_departs_on_its_own_line():
    ours = call([1, 8, 3], [12, 13, 14])
    assert departs(ours, REFERENCE) == Departure(13, "value", followed=1)


def test_a_state_where_the_reference_has_no_more_departs():
    ours = call([1, 2, 3, 3], [12, 13, 14, 15])
    assert departs(ours, REFERENCE) == Departure(15, "value", followed=3)


def test_a_call_that_raises_departs_where_it_raised():
    ours = call([1, 2], [12, 13], "raised", 17)
    assert departs(ours, REFERENCE) == Departure(17, "raise", followed=2)


def test_a_call_that_raises_after_all_states_of_the_reference_departs_too():
    ours = call([1, 2, 3], [12, 13, 14], "raised", 15)
    assert departs(ours, REFERENCE) == Departure(15, "raise", followed=3)


def test_a_call_that_raises_as_the_reference_does_departs_nowhere():
    theirs = call([1, 2], [2, 3], "raised", 4)
    assert departs(call([1, 2], [12, 13], "raised", 14), theirs) is None
    # Earlier than the reference, it does.
    early = departs(call([1], [12], "raised", 14), theirs)
    assert early == Departure(14, "raise", followed=1)


def test_a_call_that_returns_where_the_reference_raised_misses_that():
    theirs = call([1, 2], [2, 3], "raised", 4)
    assert departs(call([1, 2], [12, 13]), theirs) == Departure(13, "missing", 2)


def test_a_call_that_raises_outside_of_the_text_departs_at_its_last_state():
    ours = call([1, 2, 3], [12, 13, 14], "raised", 0)
    assert departs(ours, REFERENCE) == Departure(14, "raise", followed=3)


def test_a_stopped_call_departs_on_the_line_that_ran_most_often():
    ours = call([1, 2], [12, 13], "stopped", 16)
    assert departs(ours, REFERENCE) == Departure(16, "stopped", followed=2)


def test_a_stopped_call_departs_at_an_earlier_state_of_another_value():
    ours = call([1, 7], [12, 13], "stopped", 16)
    assert departs(ours, REFERENCE) == Departure(13, "value", followed=1)


def test_a_call_that_was_cut_short_after_a_failure_is_not_blamed_for_that():
    assert departs(call([1, 2], [12, 13], "cut"), REFERENCE) is None
    assert departs(call([1, 7], [12, 13], "cut"), REFERENCE).kind == "value"


def test_a_call_that_returns_early_departs_at_its_last_state():
    assert departs(call([1, 2], [12, 13]), REFERENCE) == Departure(13, "missing", 2)


def test_a_call_without_states_departs_at_the_first_line_that_ran():
    assert departs(call([], [], "returned", 11), REFERENCE) == Departure(11, "missing", 0)


def test_the_same_states_on_other_lines_are_no_departure():
    assert departs(call([1, 2, 3], [20, 30, 40]), REFERENCE) is None


def test_behind_the_last_state_that_is_recorded_nothing_is_missing():
    full, lines = list(range(STATES_PER_CALL)), [5] * STATES_PER_CALL
    for end in ("returned", "raised"):
        theirs = call(full, lines, end, 9)
        assert departs(call(full, lines), theirs) is None
        one_less = departs(call(full[:-1], lines[:-1]), theirs)
        assert one_less == Departure(5, "missing", STATES_PER_CALL - 1)
    # What is known in another way counts there, too.
    endless = departs(call(full, lines, "stopped", 7), call(full, lines))
    assert endless == Departure(7, "stopped", STATES_PER_CALL)


def test_the_first_idle_line_beyond_the_references_number_departs():
    # Line 13 left its variable as it was, where the reference's line 3 changed it.
    ours = call([1, 3], [12, -13, 14])
    assert departs(ours, REFERENCE) == Departure(13, "value", followed=1)
    # The reference has an idle line there, too: so line 13 is right, and line 14 departs.
    theirs = call([1, 2], [2, -3, 4])
    assert departs(ours, theirs) == Departure(14, "value", followed=1)
    # Two idle lines against one: the second is beyond.
    ours = call([1, 3], [12, -13, -14, 15])
    assert departs(ours, theirs) == Departure(14, "value", followed=1)


def test_idle_lines_elsewhere_do_not_count():
    # Both after the second state, which departs already, and before the first.
    ours = call([1, 8], [-11, 12, 13, -14])
    assert departs(ours, REFERENCE) == Departure(13, "value", followed=1)


def test_an_idle_line_is_missing_where_the_program_ends_with_it():
    ours = call([1, 2], [12, 13, -14])
    assert departs(ours, REFERENCE) == Departure(14, "missing", followed=2)


def test_the_earliest_line_over_all_asserts_counts():
    reference = {(unit, 0): REFERENCE for unit in range(3)}
    calls = {
        (0, 0): call([1, 2, 9], [12, 13, 14]),  # 2 states agree, departs on line 14
        (1, 0): call([1, 2, 3], [12, 13, 14]),  # all 3 agree
        (2, 0): call([1, 9, 9], [12, 13, 14]),  # 1 agrees, departs on line 13
    }
    assert departure(calls, reference) == Departure(13, "value", followed=2 + 3 + 1)


def test_within_an_assert_no_call_counts_after_the_first_that_departs():
    # The second call may have been given what the first returned.
    reference = {(0, 0): REFERENCE, (0, 1): REFERENCE}
    calls = {
        (0, 0): call([1, 2, 9], [12, 13, 14]),
        (0, 1): call([9, 9, 9], [12, 13, 14]),
    }
    assert departure(calls, reference) == Departure(14, "value", followed=2)


def test_calls_that_only_one_of_the_two_made_are_left_out():
    ours = call([9], [12])
    assert departure({(0, 1): ours}, {(0, 0): REFERENCE}) is None


def test_where_the_line_is_not_known_another_call_may_tell():
    reference = {(0, 0): REFERENCE, (1, 0): REFERENCE}
    unknown = call([], [], "stopped", 0)
    assert departure({(0, 0): unknown}, reference) is None
    calls = {(0, 0): unknown, (1, 0): call([1], [12])}
    assert departure(calls, reference) == Departure(12, "missing", followed=1)
