"""A reference is judged exactly as a sample is, and one that fails is named."""

from __future__ import annotations

import json
import sys

import pytest

from eta_utils.cli import main
from eta_utils.execution import judge
from eta_utils.tasks import Task

PROMPT, BODY = "def f(x):\n", "    return x + 1\n"


def judged(test, body=BODY, prompt=PROMPT, entry_point="f", sample=None):
    """(The outcome of a sample, by default the reference; why the reference fails)."""
    task = Task("t", prompt, entry_point, test, body)
    failing = {}
    samples = [{"task_id": "t", "completion": body if sample is None else sample}]
    [outcome] = judge(samples, {"t": task}, cache=False, failing=failing)
    return outcome, failing.get("t")


def test_a_test_that_imports_what_is_not_here_is_our_error():
    outcome, why = judged("import no_such_module\ndef check(c):\n    assert c(1) == 2\n")
    assert outcome.status == "judge_error"
    assert "cannot be set up" in outcome.result and "no_such_module" in outcome.result
    assert "no_such_module" in why


def test_so_is_one_that_imports_it_later():
    outcome, _ = judged("def check(c):\n    import no_such_module\n    assert c(1) == 2\n")
    assert outcome.status == "judge_error"


def test_a_program_that_imports_what_is_not_here_fails():
    test = "def check(c):\n    assert c(1) == 2\n"
    outcome, why = judged(test, sample="    import no_such_module\n")
    assert (outcome.status, outcome.exception) == ("exception", "ModuleNotFoundError")
    assert why is None


@pytest.mark.parametrize(
    "forged",
    ["import types\ntool = types.ModuleType('other')", "tool = 7", "tool = None", ""],
)
@pytest.mark.parametrize("use", ["limit = tool.sqrt(4)", "limit = 2"])
def test_a_program_does_not_leave_the_statistics_by_a_name_that_only_it_defines(
    forged, use
):
    body = "import math as tool\ndef f(x):\n    return tool.sqrt(x)\n"
    test = f"{use}\ndef check(c):\n    assert tool.isclose(c(4), limit)\n"
    outcome, why = judged(test, body, "")
    assert (outcome.status, why) == ("passed", None)
    wrong, _ = judged(test, body, "", sample=f"{forged}\ndef f(x):\n    return 9\n")
    assert wrong.passed is False, wrong.result


def test_a_reference_that_is_wrong_is_named_and_samples_are_judged():
    outcome, why = judged("def check(c):\n    assert c(1) == 3\n")
    assert outcome.status == "assertion"
    assert why == "its own solution fails (assertion)"


def test_a_reference_that_takes_too_many_steps_is_named_and_samples_are_judged(monkeypatch):
    module = sys.modules["eta_utils.execution.judge"]
    monkeypatch.setattr(module, "REFERENCE_BUDGET", 10_000)
    test = "def check(c):\n    assert c(1) == 2\n"
    slow = "    for _ in range({}): pass\n    return x + 1\n"
    outcome, why = judged(test, slow.format(4_000))
    assert (outcome.status, outcome.progress, why) == ("passed", 1.0, None)
    outcome, why = judged(test, slow.format(20_000))
    assert (outcome.status, outcome.progress) == ("passed", None)  # it has no reference
    assert why.startswith("its own solution was stopped by the bound of 10,000 steps")
    wrong, _ = judged(test, slow.format(20_000), sample="    return x\n")
    assert wrong.status == "assertion"


def test_a_task_that_only_one_process_can_judge_is_named_and_not_judged():
    test = (
        "from unittest.mock import patch\nimport random\ndef check(c):\n"
        "    with patch('random.random', return_value=0.5):\n        assert c() == 0.5\n"
    )
    right = "    return random.random()\n"
    prompt = "import random\ndef f():\n"
    outcome, why = judged(test, right, prompt)
    assert outcome.status == "judge_error"
    assert outcome.result == f"judge_error: {why}"
    assert why.startswith("its own solution passes alone, and cannot be judged here")
    wrong, _ = judged(test, right, prompt, sample="    return 0.5\n")
    assert wrong.status == "judge_error"


@pytest.mark.parametrize(
    "entry_point", ["Solution().total", "(lambda xs: Solution().total(xs))"]
)
def test_the_entry_point_may_be_an_expression(entry_point):
    body = "class Solution:\n    def total(self, xs):\n        return sum(xs)\n"
    test = "def check(candidate):\n    assert candidate([1, 2]) == 3\n"
    outcome, why = judged(test, body, "from typing import *\n\n", entry_point)
    assert (outcome.status, why) == ("passed", None)
    wrong = body.replace("sum(xs)", "len(xs)")
    failed, _ = judged(test, body, "from typing import *\n\n", entry_point, wrong)
    assert failed.status == "assertion"


def test_an_object_that_the_entry_point_makes_is_made_once():
    body = (
        "class Log:\n    def __init__(self):\n        self.seen = 0\n"
        "    def see(self):\n        self.seen += 1\n        return self.seen\n"
    )
    test = "def check(c):\n    assert c() == 1\n    assert c() == 2\n"
    assert judged(test, body, "", "Log().see")[0].passed


def test_what_is_raised_between_asserts_costs_one_assert():
    test = (
        "def check(c):\n    r = c(0)\n    assert r == 1\n    r = c(1)\n    assert r == 2\n"
        "    r = c(2)\n    assert r == 3\n    c(9)\n"
    )
    outcome, _ = judged(test, sample="    return 2 // x and x + 1\n")
    assert (outcome.asserts_passed, outcome.asserts_total) == (2, 3)
    assert outcome.exception == "ZeroDivisionError"


def test_an_error_after_the_last_assert_is_no_pass():
    test = "def check(c):\n    assert c(1) == 2\n    c(0)\n"
    outcome, _ = judged(test, sample="    return 1 // x and x + 1\n")
    assert (outcome.passed, outcome.asserts_passed) == (False, 0)


class Test:
    """Exceptions arrive as what they are."""

    CATCHES = {
        "its standard class": (
            "import statistics\nreturn statistics.mean(x)",
            "statistics.StatisticsError",
        ),
        "an ancestor": ("import statistics\nreturn statistics.mean(x)", "ValueError"),
        "its module's class": (
            "import json\nreturn json.loads('{')",
            "json.JSONDecodeError",
        ),
        "the prompt's class": ("raise Small(3)", "Small"),
        "what the prompt's class extends": ("raise Small(3)", "ArithmeticError"),
        "its own class's ancestor": (
            "class E(KeyError): pass\nraise E('k')",
            "LookupError",
        ),
    }

    @pytest.mark.parametrize("how", CATCHES)
    def test_a_test_can_catch_it_by(self, how):
        raising, caught = self.CATCHES[how]
        test = (
            "import json, statistics\ndef check(c):\n    try:\n        c([])\n"
            f"        caught = False\n    except {caught}:\n        caught = True\n"
            "    assert caught\n"
        )
        body = "".join(f"    {line}\n" for line in raising.splitlines())
        prompt = "class Small(ArithmeticError):\n    pass\n\ndef f(x):\n"
        outcome, why = judged(test, body, prompt)
        assert (outcome.status, why) == ("passed", None)
        silent, _ = judged(test, body, prompt, sample="    return 0\n")
        assert silent.status == "assertion"

    @pytest.mark.parametrize(
        ("raising", "says"),
        [
            ("return {}['a']", "error.args[0] == 'a'"),
            ("raise ValueError('no', [1])", "error.args == ('no', [1])"),
            ("raise Refused(7)", "error.code == 7"),
            ("raise OSError(2, 'gone')", "error.errno == 2"),
            ("raise ValueError('no')", "str(error) == 'no'"),
        ],
    )
    def test_it_has_its_arguments(self, raising, says):
        test = (
            "def check(c):\n    try:\n        c(1)\n    except Exception as error:\n"
            f"        assert {says}\n    else:\n        assert c is None\n"
        )
        prompt = (
            "class Refused(Exception):\n    def __init__(self, code):\n"
            "        self.code = code\n\ndef f(x):\n"
        )
        outcome, why = judged(test, f"    {raising}\n", prompt)
        assert (outcome.status, why) == ("passed", None)
        other, _ = judged(
            test, f"    {raising}\n", prompt, "    raise ValueError('other')\n"
        )
        assert other.status == "assertion" or other.exception == "AttributeError"


def command(tmp_path, capsys, *words, body=BODY):
    """(Exit code, what `judge` prints) for two tasks, the second with a wrong solution."""
    test = "def check(c):\n    assert c(1) == {}\n"
    tasks = [
        {
            "task_id": name,
            "prompt": PROMPT,
            "entry_point": "f",
            "test": test.format(right),
            "canonical_solution": body,
        }
        for name, right in (("right", 2), ("wrong", 3))
    ]
    (tmp_path / "tasks.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in tasks))
    sample = {"task_id": "wrong", "completion": "    return 3\n"}
    (tmp_path / "samples.jsonl").write_text(json.dumps(sample))
    code = main(["judge", "--tasks", str(tmp_path / "tasks.jsonl"), "--no-cache", *words])
    printed = capsys.readouterr()
    return code, printed.out + printed.err


NAMED = "wrong: its own solution fails (assertion)"


def test_the_summary_names_the_tasks_whose_own_solution_fails(tmp_path, capsys):
    words = [str(tmp_path / "samples.jsonl"), "--out", str(tmp_path / "out.jsonl")]
    code, printed = command(tmp_path, capsys, *words)
    assert (code, NAMED in printed) == (0, True)
    assert "passed             1" in printed
    assert "references:   0%|          | 0/1 " in printed


def test_references_can_be_checked_alone(tmp_path, capsys):
    code, printed = command(tmp_path, capsys, "--check-references")
    assert (code, NAMED in printed) == (0, True)
    assert "over 2 tasks" in printed
    assert not (tmp_path / "out.jsonl").exists()


def test_a_solution_that_is_too_slow_for_a_sample_is_named_too(tmp_path, capsys):
    slow = f"    import time; time.sleep(2)\n{BODY}"
    words = ["--check-references", "--timeout", "0.5", "--step-budget", "1000"]
    _, printed = command(tmp_path, capsys, *words, body=slow)
    assert "right: its own solution fails (timeout)" in printed
    assert NAMED in printed


@pytest.mark.parametrize(
    "words", [[], ["samples.jsonl"], ["s.jsonl", "--check-references"]]
)
def test_what_is_to_be_judged_must_be_said(tmp_path, capsys, words):
    code, printed = command(tmp_path, capsys, *words)
    assert code == 2
    assert "--check-references" in printed and printed.count("\n") == 1
