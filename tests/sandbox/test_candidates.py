"""How a candidate ended, told from what the kernel reports of it."""

from __future__ import annotations

import signal

import pytest

from eta_utils.sandbox.candidates import status_of_end


@pytest.mark.parametrize(
    "used, status", [(2.0, "timeout"), (1.7, "timeout"), (0.1, "crash")]
)
def test_a_kill_near_the_limit_of_processor_time_is_a_timeout(used, status):
    ending = {"by_itself": True, "code": -signal.SIGKILL, "processor_seconds": used}
    assert status_of_end(ending, 2)[0] == status
