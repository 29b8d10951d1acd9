"""The cache of outcomes: what is put in comes out, also beside another process."""

from __future__ import annotations

import sqlite3

import pytest

from eta_utils.common.errors import BadInput
from eta_utils.execution.cache import OutcomeCache, key_of


def test_an_outcome_is_there_before_and_after_it_is_written(tmp_path):
    path, key = tmp_path / "cache.sqlite", key_of("a program")
    with OutcomeCache(path) as cache:
        assert cache.get(key) is None
        cache.put(key, {"status": "passed"})
        assert cache.get(key) == {"status": "passed"}
    with OutcomeCache(path) as cache:
        assert cache.get(key) == {"status": "passed"}


def test_a_program_that_runs_long_does_not_lock_out_another_judge(tmp_path):
    """One has kept an outcome and goes on judging; the other writes at once."""
    path = tmp_path / "cache.sqlite"
    with OutcomeCache(path) as cache:
        cache.put(key_of("one"), {"status": "passed"})
        other = sqlite3.connect(path, timeout=0)  # a locked file raises without waiting
        with other:
            other.execute("INSERT INTO outcomes VALUES (?, ?)", (key_of("two"), "{}"))
        other.close()
        assert cache.get(key_of("two")) == {}


def test_on_a_full_disk_judging_goes_on_without_keeping_outcomes(tmp_path):
    with OutcomeCache(tmp_path / "outcomes.sqlite") as known:
        known.put(key_of("first"), {"status": "passed"})
        known.save()
        pages = known._base.execute("PRAGMA page_count").fetchone()[0]
        known._base.execute(f"PRAGMA max_page_count={pages}")  # as large as it gets
        known.put(key_of("large"), {"message": "x" * 10**6})
        with pytest.warns(UserWarning, match="outcomes are not kept .*full"):
            known.save()
        assert known.get(key_of("first")) == {"status": "passed"}
        assert known.get(key_of("large")) is None


def test_a_damaged_file_is_named(tmp_path):
    path = tmp_path / "outcomes.sqlite"
    with OutcomeCache(path) as known:
        for number in range(500):
            known.put(key_of(number), {"message": "x" * 100})
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + b"\xff" * (len(whole) - 4096))
    with (
        pytest.raises(BadInput, match=r"outcomes.sqlite: is damaged .* delete it"),
        OutcomeCache(path) as known,
    ):
        known.get(key_of(7))
