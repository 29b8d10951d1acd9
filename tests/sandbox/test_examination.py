"""What a candidate reports is checked before it counts; forged traces are tampering."""

from __future__ import annotations

import pytest

from eta_utils.sandbox.examination import _is_report
from eta_utils.tracing.recorder import STATES_PER_CALL
from tests.conftest import judge_one

COUNTERS = [1, 2, 3]  # the line of each counter of a program
EIGHT = b"\0" * 8
VALUE_ERROR = (("builtins", "ValueError"),)


def report(**changes):
    """A report that a candidate could send, of two states and an idle line, changed."""
    parts = {
        "raised": (VALUE_ERROR, "no", 2, ("no",), {}),
        "value": None,
        "left": None,
        "hits": [1, 1, 0],
        "used_up": False,
        "states": 2 * EIGHT,
        "writes": [2, -3, 3],
        "words": [],
        "tampering": "",
    }
    return tuple((parts | changes).values())


def test_what_a_candidate_reports_is_accepted():
    assert _is_report(report(), COUNTERS)
    full = {"states": STATES_PER_CALL * EIGHT, "writes": [2, -2] * STATES_PER_CALL}
    assert _is_report(report(**full), COUNTERS)


@pytest.mark.parametrize(
    "changes",
    [
        {"writes": [2]},  # two states and one line
        {"writes": [2, 3, 3]},  # three lines
        {"writes": [2, 4]},  # the program has no such line
        {"writes": [2, 0, 3]},
        {"writes": [2, -4, 3]},
        {"writes": [2, True]},  # which is equal to 1
        {"writes": [2, "3"]},
        {"writes": [2, [3]]},
        {"writes": (2, 3)},
        {"writes": None},
        {"writes": [2, 3] + [-3] * 2 * STATES_PER_CALL},
        {"states": EIGHT + b"\0"},
        {"states": EIGHT, "writes": []},
        {"states": (STATES_PER_CALL + 1) * EIGHT, "writes": [2] * (STATES_PER_CALL + 1)},
        {"hits": [1, 1]},  # of three counters
        {"hits": [1, 1, 0.5]},
        {"raised": [VALUE_ERROR, "no", 2, (), {}]},
        {"raised": 5},
        {"raised": (VALUE_ERROR, "no", "2", (), {})},
        {"raised": ((("builtins", "E" * 10**6),), "no", 2, (), {})},
        {"raised": ("ValueError", "no", 2, (), {})},
        {"raised": ((), "no", 2, (), {})},
        {"raised": (VALUE_ERROR * 10**6, "no", 2, (), {})},
        {"raised": (VALUE_ERROR, "no", 2, "args", {})},
        {"raised": (VALUE_ERROR, "no", 2, (), None)},
        {"raised": (VALUE_ERROR, "n" * 10**6, 2, (), {})},
        {"raised": (VALUE_ERROR, "no", -1, (), {})},
        {"raised": (VALUE_ERROR, "no", 10**5000, (), {})},
        {"hits": [1, 1, -1]},
        {"hits": [1, 1, 10**5000]},
        {"hits": [1, 1, True]},
        {"used_up": 0},
        {"value": (0, (1, 2), {})},
        {"value": (0, [1, 2], {}, [])},
        {"value": (0, (1, 2), None, [])},
        {"tampering": "t" * 10**6},
    ],
)
def test_anything_else_is_refused(changes):
    assert not _is_report(report(**changes), COUNTERS)


# Programs that reach the recorder, which lives in their process, and lie about lines.
FORGERIES = {
    "names a line that the program does not have": """
    _eta_see(("x", 99), a)
    return 0
""",
    "names a line that is no number": """
    _eta_see(("x", 3.0), a)
    return 0
""",
    "names no line": """
    x = a
    _eta_see.__self__.writes.clear()
    return 0
""",
    "names a line that compares as it likes": """
    class Line(int):
        def __neg__(self): return self
        def __eq__(self, other): return True
        __hash__ = int.__hash__
    _eta_see(("x", Line(99)), a)
    return 0
""",
    "has states without end": """
    recorder = _eta_see.__self__
    recorder._states.extend(range(10 ** 5))
    recorder.writes.extend([2] * 10 ** 5)
    return 0
""",
    "sends objects for lines": """
    recorder = _eta_see.__self__
    recorder._states.append(1)
    recorder.writes.append([{}, object()])
    return 0
""",
}


@pytest.mark.parametrize("how", FORGERIES)
def test_a_program_that_forges_lines_has_tampered(how):
    outcome = judge_one(FORGERIES[how])
    assert outcome.status == "tampered", outcome.result
    assert outcome.departure is None or 1 <= outcome.departure <= 12


def test_a_list_of_the_programs_own_class_is_read_as_a_plain_one():
    own = """
    class Lines(list):
        def __reduce_ex__(self, protocol): raise SystemExit(0)
        def __iter__(self): raise SystemExit(0)
    _eta_see.__self__.writes = Lines()
    total = a + b
    return total + 1
"""
    outcome = judge_one(own)
    # The assignment on line 6 gives a variable (`_eta_see`) a state, as any would.
    assert (outcome.status, outcome.departure) == ("assertion", 6)


@pytest.mark.parametrize("bad", ["('x',)", "5", "([], 2)", "('x', None)"])
def test_a_call_of_the_recorder_that_makes_no_sense_is_the_programs_own_failure(bad):
    outcome = judge_one(f"    _eta_see({bad}, a)\n    return 0\n")
    assert outcome.passed is False
    assert outcome.status in ("exception", "tampered")
