"""Programs and scripts of other data sets, in HumanEval's form."""

from __future__ import annotations

import pytest

from eta_utils.tasks.functions import as_check, entry_point_of, in_two, last_signature

CODE = """
import math
from heapq import *

LEAST = 2
nums = [1]

def helper(n):
    return n + LEAST

def grown(nums, by=1):
    # a comment
    heapify(nums)
    return [helper(n) * math.floor(by) for n in nums]
"""


def run(program):
    space = {}
    exec(program, space)
    return space


def test_prompt_and_body_are_the_program_again():
    prompt, body = in_two(CODE, "grown", "Grow each number.")
    assert run(prompt + body)["grown"]([3, 1]) == [3, 5]
    assert prompt.endswith(
        'def grown(nums, by=1):\n    """\n    Grow each number.\n    """\n'
    )


def test_a_body_says_all_and_may_be_cut_where_the_function_ends():
    _, body = in_two(CODE, "grown", "")
    assert all(not line or line.startswith("    ") for line in body.splitlines())


def test_what_would_hide_an_argument_is_left_out():
    _, body = in_two(CODE, "grown", "")
    assert "nums = [1]" not in body


def test_a_docstring_is_told_as_it_is():
    text = 'Split at "\\n" and """.'
    prompt, body = in_two("def f(x):\n    return x\n", "f", text)
    assert run(prompt + body)["f"].__doc__.strip() == "Split at \"\\n\" and '''."


def test_a_function_that_is_not_there_is_named():
    with pytest.raises(ValueError, match="function other"):
        in_two(CODE, "other", "")


def test_the_entry_point_is_what_the_first_assert_calls():
    script = "assert set(grown([1])) == {3}\nassert helper(1) == 3\n"
    assert entry_point_of(CODE, script) == "grown"
    with pytest.raises(ValueError, match="calls a function"):
        entry_point_of(CODE, "assert 1 == len([1])")


def test_the_last_signature_of_a_prompt_is_what_is_to_be_written():
    prompt = "def first(x):\n    return x\n\ndef second(x: int) -> int:\n    '''Twice.'''\n"
    assert last_signature(prompt) == "def second(x: int) -> int:\n"
    with pytest.raises(ValueError, match="function"):
        last_signature("x = 1\nif x:\n")


def test_asserts_become_a_check_of_any_candidate():
    check = run(as_check("import math\nassert f(2) == math.floor(4.5)\n", "f"))["check"]
    check(lambda n: 2 * n)
    with pytest.raises(AssertionError):
        check(lambda n: n)


def test_functions_of_the_script_are_called_one_by_one():
    functions = "def test1():\n    assert f(1) == 1\ndef test2():\n    assert f(2)\n"
    script = f"{functions}test1()\ntest2()\n"
    test = as_check(script, "f")
    assert test.count("assert test") == 2
    space = run(test)
    space["f"] = lambda n: n
    space["check"](space["f"])


def test_a_function_called_check_does_not_call_itself():
    run(as_check("assert check(3) is True\n", "check"))["check"](lambda n: n == 3)


def test_classes_of_the_reference_can_be_used_by_the_test():
    pair = "class Pair:\n    def __init__(self, a):\n        self.a = a\n"
    code = f"{pair}def f(p):\n    return p.a\n"
    run(as_check("assert f(Pair(3)) == 3\n", "f", code))["check"](lambda pair: pair.a)


def test_a_script_that_tests_nothing_is_refused():
    with pytest.raises(ValueError, match="asserts nothing"):
        as_check("x = 1\n", "f")


def test_what_the_signature_names_stands_before_it():
    code = "import sys\nfrom typing import List\nMOST = 3\ndef f(x: List[int], m=MOST):\n"
    prompt, body = in_two(f"{code}    return min(x[0], m, sys.maxsize)\n", "f", "")
    assert run(prompt + body)["f"]([7]) == 3
    assert "import sys" in body
