"""The cache of outcomes: what is put in comes out, also beside another process."""

from __future__ import annotations

import sqlite3

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
