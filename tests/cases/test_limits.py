"""Size, memory and time are limits of one program: its neighbours never notice."""

from __future__ import annotations

from dataclasses import replace

import pytest

from eta_utils.cli import main
from eta_utils.execution import JudgeSettings, judge
from eta_utils.tasks import Task
from tests.conftest import ADD, judge_one

RIGHT = "    return a + b\n"
MIB = 1 << 20
NEEDS_800 = f"    held = bytearray({800 * MIB})\n{RIGHT}"


def judged(completions, rung, tasks=None, **settings):
    """The outcomes of completions of ADD, or of (task id, completion)."""
    rows = [
        {"task_id": name, "completion": text}
        for name, text in (
            each if isinstance(each, tuple) else ("add", each) for each in completions
        )
    ]
    settings = JudgeSettings(**{"workers": 1, "isolation": rung} | settings)
    return list(judge(rows, tasks or {"add": ADD}, settings, cache=False))


# --- Size


def test_a_program_that_is_too_large_is_left_out_alone(rung):
    texts = [f"{RIGHT}# {number}\n" for number in range(10)]
    texts.insert(4, f"{RIGHT}# {'x' * (34 * MIB)}")
    outcomes = judged(texts, rung)
    assert [outcome.status for outcome in outcomes].count("passed") == 10
    assert outcomes[4].status == "judge_error"
    assert "larger than 32 MiB" in outcomes[4].result


def test_a_test_that_is_too_large_leaves_out_its_task_alone(rung):
    large = replace(ADD, task_id="large", test=f"{ADD.test}# {'x' * (33 * MIB)}\n")
    samples = [RIGHT, ("large", RIGHT), RIGHT + "#\n", ("large", RIGHT + "#\n")]
    outcomes = judged(samples, rung, {"add": ADD, "large": large})
    assert [outcome.status for outcome in outcomes] == ["passed", "judge_error"] * 2
    assert "its test" in outcomes[1].result and "larger than 32 MiB" in outcomes[1].result


def test_large_tests_of_one_batch_are_all_used(rung):
    tasks = {
        name: Task(name, ADD.prompt, "add", f"TEXT = '{'x' * (20 * MIB)}'\n{ADD.test}")
        for name in ("one", "two", "three", "four")
    }
    outcomes = judged([(name, RIGHT) for name in tasks], rung, tasks)
    assert {outcome.status for outcome in outcomes} == {"passed"}


def test_a_batch_of_programs_just_below_the_limit_is_judged(rung):
    texts = [f"{RIGHT}#{number:02}{'x' * (31 * MIB)}" for number in range(16)]
    outcomes = judged(texts, rung)
    assert {outcome.status for outcome in outcomes} == {"passed"}


def test_a_long_program_is_no_wrong_one(rung):
    """Its comment has 2 MiB, as that of a model which does not stop may have."""
    outcomes = judged([f"{RIGHT}# {'x' * (2 * MIB)}", RIGHT], rung)
    assert [outcome.status for outcome in outcomes] == ["passed", "passed"]


@pytest.mark.slow
def test_code_that_is_too_long_to_compile_fails_for_memory_and_alone(rung):
    rows = "".join(f"    y{n} = [a, b, {n}]\n" for n in range(800_000))
    outcomes = judged([rows + RIGHT, RIGHT], rung, timeout=60.0)
    assert [outcome.status for outcome in outcomes] == ["memory", "passed"]


# --- Memory and time


def test_a_program_may_use_as_much_memory_as_is_asked_for(rung):
    [outcome] = judged([NEEDS_800], rung)
    assert outcome.status == "memory"
    [outcome] = judged([NEEDS_800], rung, memory=2048)
    assert outcome.status == "passed"
    [outcome] = judged([NEEDS_800], rung)  # by another worker than the one before
    assert outcome.status == "memory"


def test_a_small_memory_is_enough_for_a_small_program(rung):
    [small, large] = judged([RIGHT, f"    x = bytearray({120 * MIB})\n"], rung, memory=128)
    assert (small.status, large.status) == ("passed", "memory")


def test_a_longer_timeout_lets_a_sleeper_pass():
    sleeps = f"    import time\n    time.sleep(1.5)\n{RIGHT}"
    task = replace(ADD, test="def check(c):\n    assert c(1, 2) == 3\n")
    short = {"step_budget": 700_000}  # more steps would come with more time
    assert judge_one(sleeps, task, timeout=0.5, **short).status == "timeout"
    assert judge_one(sleeps, task, timeout=5.0, **short).status == "passed"


def test_verdicts_under_another_limit_are_not_taken_from_the_cache(tmp_path):
    cache = tmp_path / "outcomes.sqlite"
    assert judge_one(NEEDS_800, cache=cache).status == "memory"
    assert judge_one(NEEDS_800, cache=cache, memory=2048).status == "passed"
    assert judge_one(NEEDS_800, cache=cache).status == "memory"
    # It is stopped by the clock of its program, whose outcome is never kept.
    endless = "    return sum(range(10**13))\n"
    assert judge_one(endless, cache=cache, timeout=1.0).status == "timeout"


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--memory", "64", "64 is not at least 128"),
        ("--memory", "much", "'much' is not a whole number"),
        ("--timeout", "0", "0.0 is not above 0"),
        ("--timeout", "nan", "nan is not finite"),
    ],
)
def test_a_limit_out_of_bounds_is_refused_by_name(option, value, message, capsys):
    words = ["judge", "samples", "--tasks", "humaneval", "--out", "out", option, value]
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert option in error and message in error
