"""The rung that holds is found by trying, is reported, and is never lowered quietly."""

from __future__ import annotations

import pytest

from eta_utils.sandbox import isolation
from eta_utils.sandbox.isolation import Finding, IsolationError, choose_rung, refuse_weak
from tests.conftest import judge_one


@pytest.fixture
def nothing_holds(monkeypatch):
    monkeypatch.setattr(
        isolation,
        "probe",
        lambda rung: Finding(rung, missing="" if rung == "weak" else "no"),
    )


def test_the_probe_sees_that_the_weak_rung_protects_from_nothing():
    # The attempts that fail in a jail succeed at `weak`, so the probe can tell.
    worker = isolation.Worker(isolation.Setup("weak"))
    try:
        raw = isolation._attempt_all(worker)
    finally:
        worker.close()
    assert raw["status"] == "assertion"
    # All but one, that is: the limit of memory holds at `weak`, too.
    assert (raw["asserts_passed"], raw["asserts_total"]) == (1, len(isolation.ATTEMPTS))


def test_outcomes_say_which_isolation_held(rung):
    assert judge_one("    return a + b\n", isolation=rung).isolation == rung


def test_a_rung_that_does_not_hold_is_an_error_that_says_why(nothing_holds):
    with pytest.raises(IsolationError, match="no"):
        choose_rung("jail")
    with pytest.raises(IsolationError, match="none of"):
        choose_rung("perfect")


def test_programs_from_elsewhere_run_unprotected_only_by_name(nothing_holds):
    assert choose_rung("auto") == "weak"
    with pytest.raises(IsolationError, match="apt-get install bubblewrap"):
        refuse_weak("weak", wanted="auto")
    refuse_weak("weak", wanted="weak")


@pytest.mark.parametrize("rung", ["jail", "process", "weak"])
def test_verdicts_are_the_same_on_every_rung(rung):
    if not isolation.probe(rung).holds:
        pytest.skip(str(isolation.probe(rung)))
    programs = {
        "    return a + b\n": "passed",
        "    return a - b\n": "assertion",
        "    return a +\n": "syntax",
        "    while True: pass\n": "budget",
        "    return missing\n": "exception",
        "    import os; os._exit(0)\n": "exit",
        "    raise SystemExit(0)\n": "exit",
        "    import ctypes; ctypes.string_at(0)\n": "crash",
        "    return bytearray(8 << 30)\n": "memory",
    }
    for program, status in programs.items():
        assert judge_one(program, isolation=rung).status == status
