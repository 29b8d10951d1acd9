"""How a candidate ended, told from what the kernel reports of it."""

from __future__ import annotations

import signal

import pytest

from eta_utils.sandbox.candidates import Lost, status_of_end


def killed(used):
    return {"by_itself": True, "code": -signal.SIGKILL, "processor_seconds": used}


@pytest.mark.parametrize("used", [2.0, 1.7])
def test_a_kill_near_the_limit_of_processor_time_is_a_timeout(used):
    assert status_of_end(killed(used), 2)[0] == "timeout"


def test_a_kill_long_before_the_limit_came_from_outside():
    with pytest.raises(Lost):
        status_of_end(killed(0.1), 2)


def test_where_programs_can_send_signals_they_may_have_killed_themselves():
    assert status_of_end(killed(0.1), 2, sealed=False) == ("crash", "SIGKILL")
