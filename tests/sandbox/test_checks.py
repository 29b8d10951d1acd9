"""A test is rewritten so that each assert is reported, and still means the same."""

from __future__ import annotations

import pytest

from eta_utils.sandbox.checks import UnusableTest, prepare
from eta_utils.tasks import load_tasks


def run(test, candidate):
    """(Which units passed, whether check ran to its end)."""
    checks = prepare("", test)
    units = []
    namespace = {"_eta_unit": lambda number, error: units.append(error is None)}
    exec(checks.code, namespace)
    try:
        namespace["check"](candidate)
    except Exception:
        return units, False
    return units, True


def test_asserts_after_a_failing_one_still_run():
    test = "def check(c):\n    assert c(1)\n    assert c(0)\n    assert c(2)\n"
    assert run(test, bool) == ([True, False, True], True)


def test_statements_between_the_asserts_run_as_they_stand():
    test = (
        "def check(c):\n    x = c(4)\n    assert x == 4\n    x = x + 1\n    assert x == 5\n"
    )
    assert run(test, int) == ([True, True], True)


def test_a_loop_around_asserts_is_one_unit():
    test = (
        "def check(c):\n    for n in range(3):\n        assert c(n) < 2\n"
        "    assert c(0) == 0\n"
    )
    assert run(test, int) == ([False, True], True)


def test_a_check_without_asserts_of_its_own_is_one_unit_as_a_whole():
    test = "def same(a, b):\n    assert a == b\n\ndef check(c):\n    same(c(1), 1)\n"
    checks = prepare("", test)
    assert (checks.units, checks.whole) == (1, True)
    assert run(test, int) == ([], True)
    assert run(test, bool)[1] is True  # True == 1
    assert run(test, str)[1] is False


def test_asserts_that_pass_for_every_program_are_no_units():
    test = "def check(c):\n    assert True, 'fine'\n    assert c(1) == 1\n"
    assert prepare("", test).units == 1


def test_a_test_that_calls_check_itself_is_run_once():
    test = "def check(c):\n    assert c(1) == 1\n\ncheck(f)\n"
    assert run(test, int) == ([True], True)


def test_names_that_only_the_program_can_define_are_found():
    checks = prepare("import math\n", "def check(c):\n    assert helper(c(1)) == abs(-1)\n")
    assert "helper" in checks.names
    assert "abs" not in checks.names


@pytest.mark.parametrize(
    ("defines", "asked"),
    [
        ("helper = abs\n", False),
        ("import helper\n", False),
        ("def helper(x): return x\n", False),
        ("helper = helper\n", True),  # the program's, under its own name
        ("for helper in ():\n    pass\n", True),  # perhaps it is never defined
    ],
)
def test_only_names_that_a_test_does_not_define_itself_are_asked_for(defines, asked):
    checks = prepare("", defines + "def check(c):\n    assert helper(c(1)) == 1\n")
    assert ("helper" in checks.names) is asked
    assert "check" not in checks.names


def test_humaneval_is_mostly_flat_lists_of_asserts():
    # 157 of 164 checks are flat; 48 asserts of the set pass for every program.
    prepared = [
        prepare(task.prompt, task.test) for task in load_tasks("humaneval").values()
    ]
    assert len(prepared) == 164
    assert sum(checks.units > 1 for checks in prepared) >= 157
    assert all(checks.setting for checks in prepared)


@pytest.mark.parametrize("test", ["def check(c:\n", "def other(c): pass\n", "\0"])
def test_an_unusable_test_says_so(test):
    with pytest.raises(UnusableTest):
        prepare("", test)
