"""The simulation behind docs/scaling.md does by hand what a row of workers would do."""

from __future__ import annotations

import pytest

from tests.execution.bench_scaling import mix, simulate

ROOM = 4 * 2  # batches under way for two workers


def test_equal_jobs_share_the_workers():
    assert simulate([0.1] * 16 * 40, 4) == pytest.approx(16.0)


def test_a_slow_program_blocks_the_others_once_enough_wait_behind_it():
    seconds = [100.0] + [0.0] * 15 + [0.1] * 16 * 200
    # Meanwhile the other worker does what may wait, 8 times what may be under way less the
    # slow one; the rest, 1.6 s a batch, is for both.
    rest = 200 - (8 * ROOM - 1)
    assert simulate(seconds, 2) == pytest.approx(100 + 1.6 * rest / 2, abs=1.6)
    assert simulate(seconds, 2, ahead=None) == pytest.approx((100 + 320) / 2, abs=1.6)
    assert simulate(seconds, 2, behind=1) == pytest.approx(100 + 1.6 * 193 / 2, abs=1.6)


def test_the_dispatcher_bounds_what_any_number_of_workers_do():
    taken = simulate([0.001] * 16_000, 1000, per_program=0.01)
    assert taken == pytest.approx(160, rel=0.01)


def test_no_programs_take_no_time():
    assert simulate([], 3) == 0


def test_slow_ones_take_the_same_places_among_samples_and_among_seconds():
    letters, numbers = mix(list("abcdefghij"), ["X"], 0.2), mix(list(range(10)), [-1], 0.2)
    assert [letter == "X" for letter in letters] == [number == -1 for number in numbers]
    assert letters.count("X") == 2
