"""Real programs, run and traced: on which line they leave the reference's execution.

Lines count from 1 with the prompt; the task's prompt is one line long, so the first line of
a completion is line 2.
"""

from __future__ import annotations

import json

import pytest

from eta_utils.execution import JudgeSettings, Outcome, departure_from, judge, line_span
from eta_utils.tasks import Task, load_tasks
from tests.conftest import ADD, judge_one

# The sum of the doubles: [1, 2, 3] -> 12, [4] -> 8.
REFERENCE = """\
    out = []
    for x in xs:
        out.append(2 * x)
    total = sum(out)
    return total
"""
DOUBLES = Task(
    "doubles",
    "def f(xs):\n",
    "f",
    "def check(c):\n    assert c([1, 2, 3]) == 12\n    assert c([4]) == 8\n",
    canonical_solution=REFERENCE,
)


def where(completion, task=DOUBLES, **settings):
    outcome = judge_one(completion, task, **settings)
    assert not outcome.passed
    return outcome.departure, outcome.departure_kind


def test_a_wrong_value_departs_on_the_line_that_computed_it():
    # out = [], x = 1, out = [3]: the third state, of line 4
    assert where(REFERENCE.replace("2 * x", "3 * x")) == (4, "value")


def test_names_make_no_departure():
    renamed = REFERENCE.replace("out", "o").replace("total", "t").replace("x)", "n)")
    renamed = renamed.replace("for x", "for n")
    # total = 12 is right; the last line returns 13
    assert where(renamed.replace("return t", "return t + 1")) == (6, "value")


def test_a_state_that_the_reference_does_not_have_departs():
    assert where("    size = len(xs)\n" + REFERENCE.replace("2", "3")) == (2, "value")


def test_an_exception_departs_where_it_was_raised():
    assert where(REFERENCE.replace("sum(out)", "sum(outs)")) == (5, "raise")


def test_an_exception_while_the_module_loads_departs_there():
    assert where(REFERENCE + "undefined\n") == (7, "raise")


def test_an_exception_of_a_function_that_cannot_be_called_so_departs_nowhere():
    assert where("    pass\n\ndef f():\n    return 12\n") == (None, None)


def test_an_endless_loop_departs_in_its_body():
    endless = REFERENCE.replace("    total", "    while True:\n        pass\n    total")
    assert where(endless) == (6, "stopped")


def test_a_budget_that_a_failed_assert_left_over_does_not_count_as_endless():
    # The first assert fails on the last line.  The second, after it, may take 750,000 steps
    # and would take 800,000, within the 3 million of a call of its own.
    waits = "    if len(xs) == 1:\n        [0 for _ in range(800_000)]\n"
    late = waits + REFERENCE.replace("return total", "return total + (len(xs) == 3)")
    right = waits + REFERENCE
    assert judge_one(right, DOUBLES).passed
    outcome = judge_one(late, DOUBLES)
    assert outcome.truncated and outcome.asserts_passed == 0
    assert (outcome.departure, outcome.departure_kind) == (8, "value")


def test_a_call_that_returns_nothing_departs_at_its_last_state():
    nothing = REFERENCE.replace("    return total\n", "")
    assert where(nothing) == (5, "missing")
    assert where("    pass\n") == (2, "missing")


def test_a_line_that_wrongly_changes_nothing_departs():
    task = Task(
        "clean",
        "def f(text):\n",
        "f",
        "def check(c):\n    assert c('abba') == 'bb!'\n",
        canonical_solution=(
            "    text = text.replace('a', '')\n    text += '!'\n    return text\n"
        ),
    )
    # text is 'abba' after line 2, as `text = text.upper().lower()` of line 2 leaves it
    first = "    text = text[:]\n"
    reference = Task("clean", task.prompt, "f", task.test, first + task.canonical_solution)
    wrong = reference.canonical_solution.replace("'a', ''", "'x', ''")
    # text = 'abba' (line 2) is the first state; line 3 leaves it so, and line 4 adds '!'.
    assert where(wrong, reference) == (3, "value")


def test_only_the_failing_inputs_depart():
    # right for [4], and for [1, 2, 3] wrong from the second number on
    wrong = REFERENCE.replace("2 * x", "2 * xs[0]")
    outcome = judge_one(wrong, DOUBLES, keep_trace=True)
    assert outcome.trace["asserts"] == [False, True]
    assert (outcome.departure, outcome.departure_kind) == (4, "value")


def test_a_departure_in_a_recursion_is_found_on_its_line():
    reference = (
        "    if n < 2:\n"
        "        return 1\n"
        "    before = f(n - 1)\n"
        "    result = n * before\n"
        "    return result\n"
    )
    test = "def check(c):\n    assert c(4) == 24\n    assert c(1) == 1\n"
    task = Task("factorial", "def f(n):\n", "f", test, canonical_solution=reference)
    assert where(reference.replace("return 1", "return 0"), task) == (3, "value")
    # 1, before = 1, result = 2 * 1: the third state of f(4)
    assert where(reference.replace("n * before", "n + before"), task) == (5, "value")
    # never reaches 1: Python's own limit ends it, on either line of the descent
    line, kind = where(reference.replace("n < 2", "n == -10**9"), task)
    assert line in (2, 4) and kind == "raise"


def test_a_departure_in_a_helper_is_found_on_its_line():
    reference = (
        "    squares = [square(x) for x in xs]\n"
        "    return sum(squares)\n"
        "\n"
        "def square(x):\n"
        "    result = x * x\n"
        "    return result\n"
    )
    test = "def check(c):\n    assert c([2, 3]) == 13\n"
    task = Task("squares", "def f(xs):\n", "f", test, canonical_solution=reference)
    assert where(reference.replace("x * x", "x + x + (x > 2)"), task) == (6, "value")
    # the same helper, written before the function and with other names
    moved = (
        "def other(y):\n    power = y * y\n    return power + (y == 3)\n\n"
        "def f(xs):\n    every = [other(x) for x in xs]\n    return sum(every)\n"
    )
    sample = {"task_id": "squares", "solution": moved}
    [outcome] = judge([sample], {"squares": task}, cache=False)
    assert (outcome.departure, outcome.departure_kind) == (3, "value")


def test_the_body_of_a_generator_runs_after_the_call_and_leaves_no_states():
    reference = "    for x in range(n):\n        y = 2 * x\n        yield y\n"
    test = "def check(c):\n    assert list(c(3)) == [0, 2, 4]\n"
    task = Task("even", "def f(n):\n", "f", test, canonical_solution=reference)
    assert judge_one(reference, task).passed
    outcome = judge_one(reference.replace("2 *", "3 *"), task, keep_trace=True)
    assert (outcome.status, outcome.departure) == ("assertion", None)
    assert outcome.trace["states"] == outcome.trace["writes"] == []


def test_programs_that_pass_or_do_not_compile_have_none():
    # another way to the same answers departs at once, and does not count: it passes
    passes = judge_one("    return 2 * sum(xs)\n", DOUBLES)
    assert (passes.passed, passes.departure, passes.departure_kind) == (True, None, None)
    assert where("    return (\n") == (None, None)


def test_without_a_reference_there_is_none():
    task = Task("doubles", DOUBLES.prompt, "f", DOUBLES.test)
    assert where("    return 3\n", task) == (None, None)
    wrong = Task("doubles", DOUBLES.prompt, "f", DOUBLES.test, "    return 5\n")
    assert where("    return 3\n", wrong) == (None, None)


def test_a_call_that_only_the_clock_stops_departs_nowhere():
    sleeps = "    import time\n    time.sleep(60)\n"
    assert where(sleeps, timeout=0.5) == (None, None)


def test_calls_that_raise_as_a_test_expects_do_not_depart():
    test = (
        "def check(c):\n"
        "    try:\n        c(0)\n        assert False\n    except ZeroDivisionError: pass\n"
        "    assert c(2) == 4\n"
    )
    reference = "    inverse = 8 / n\n    return inverse\n"
    task = Task("divide", "def f(n):\n", "f", test, canonical_solution=reference)
    # the first unit raises on line 2 in both; the second departs on line 3
    assert where(reference.replace("return i", "return 1 + i"), task) == (3, "value")


@pytest.mark.slow
def test_in_real_buggy_programs_it_is_the_line_of_the_bug_or_near_it(data, monkeypatch):
    """HumanEvalFix: the buggy line is the first that differs from the fixed program's."""
    monkeypatch.setenv("ETA_DATA", str(data("humanevalfix.jsonl.gz").parent))
    tasks = load_tasks("humanevalfix")
    samples = [
        {"task_id": name, "completion": task.buggy_solution} for name, task in tasks.items()
    ]
    away = []
    # With more steps an endless loop makes a text so long that the clock is sooner.
    settings = JudgeSettings(step_budget=700_000)
    for outcome in judge(samples, tasks, settings, cache=False):
        task = tasks[outcome.task_id]
        fixed = (task.prompt + task.canonical_solution).split("\n")
        buggy = task.program(outcome.sample).split("\n")
        pairs = enumerate(zip(buggy, fixed, strict=False), 1)
        bug = next(number for number, (ours, theirs) in pairs if ours != theirs)
        if outcome.departure is not None:
            away.append(abs(outcome.departure - bug))
    assert len(samples) == 164
    # docs/judge.md names these numbers
    assert (away.count(0), sum(lines <= 2 for lines in away)) == (125, 148)


# --- From another program that passes


def judged(*completions, task=DOUBLES):
    samples = [{"task_id": task.task_id, "completion": text} for text in completions]
    settings = JudgeSettings(workers=1)
    return list(
        judge(samples, {task.task_id: task}, settings, cache=False, keep_trace=True)
    )


SIBLING = "    double = 2 * sum(xs)\n    return double\n"  # passes in its own way


def test_the_departure_from_the_reference_is_that_of_the_outcome():
    reference, *failing = judged(
        REFERENCE,
        REFERENCE.replace("2 * x", "3 * x"),
        REFERENCE.replace("sum(out)", "sum(outs)"),
        REFERENCE.replace("    return total\n", ""),
        REFERENCE.replace("    total", "    while True:\n        pass\n    total"),
        "    pass\n",
    )
    for outcome in failing:
        found = departure_from(outcome, reference)
        assert (found.line, found.kind) == (outcome.departure, outcome.departure_kind)
    # out, x, [3] against out, x, [2]; then out, x, [12] against out, x, [8]
    assert departure_from(failing[0], reference).followed == 2 + 2
    # [1, 2, 3]: out, then x and out three times; [4]: out, x, out
    assert departure_from(failing[1], reference).followed == 7 + 3


def test_a_sibling_that_works_otherwise_tells_another_line():
    sibling, like_the_reference, like_it = judged(
        SIBLING, REFERENCE.replace("2 *", "3 *"), SIBLING.replace("return ", "return 1 + ")
    )
    assert departure_from(like_the_reference, sibling) == (2, "value", 0)
    assert like_the_reference.departure == 4
    assert departure_from(like_it, sibling) == (3, "value", 2)  # double, in both asserts
    assert like_it.departure == 2


def test_programs_that_pass_or_do_not_compile_depart_from_no_sibling():
    reference, sibling, broken = judged(REFERENCE, SIBLING, "    return (\n")
    assert departure_from(sibling, reference) is None
    assert departure_from(broken, reference) is None


def test_a_departure_needs_both_traces_and_a_reference_that_passes():
    reference, failing = judged(REFERENCE, "    return 1\n")
    untraced = judge_one("    return 1\n", DOUBLES)
    with pytest.raises(ValueError, match="keep_trace"):
        departure_from(untraced, reference)
    with pytest.raises(ValueError, match="does not pass"):
        departure_from(failing, failing)


def test_traces_that_were_written_and_read_give_the_same_departure():
    pair = judged(REFERENCE, REFERENCE.replace("2 * x", "3 * x"))
    read = [Outcome.from_record(json.loads(json.dumps(one.record()))) for one in pair]
    assert departure_from(read[1], read[0]) == departure_from(pair[1], pair[0])
    assert [one.trace for one in read] == [one.trace for one in pair]


def test_a_trace_has_a_line_for_each_state_and_the_line_of_each_exception():
    body = "    n = 1\n    n = 1\n    if len(xs) < 2:\n        raise ValueError\n"
    body += "    return n\n"
    [outcome] = judged(body)
    # n = 1 again is no state: it is idle
    assert outcome.trace["lines"] == [(0, 0, [2, 6]), (1, 0, [2])]
    assert outcome.trace["writes"] == [(0, 0, [2, -3, 6]), (1, 0, [2, -3])]
    states = [(unit, call, len(some)) for unit, call, some in outcome.trace["states"]]
    assert states == [(0, 0, 2), (1, 0, 1)]
    assert outcome.trace["raised"] == [(1, 0, 5)]
    assert outcome.trace["ends"] == [(0, 0, "returned", 0), (1, 0, "raised", 5)]


# --- Lines in the sample's text


def text_of(completion, line, task=ADD):
    span = line_span(task, {"task_id": "add", "completion": completion}, line)
    return span and completion[slice(*span)]


def test_the_span_of_a_line_is_that_in_the_completion_with_its_newline():
    body = "    a = 'é'\n\n    return a\n"  # ADD's prompt is line 1
    assert [text_of(body, line) for line in range(1, 5)] == [
        None,
        "    a = 'é'\n",
        "\n",
        "    return a\n",
    ]


def test_lines_are_python_s_lines():
    # Neither a form feed nor a line separator in a text ends a line of Python.
    body = "    a = '\x0c\u2028'\r\n    b = 2\r    return b"
    assert text_of(body, 2) == "    a = '\x0c\u2028'\r\n"
    assert text_of(body, 3) == "    b = 2\r"
    assert text_of(body, 4) == "    return b"
    assert judge_one(body.replace("b = 2", "b = c")).line == 3


def test_a_completion_may_begin_with_what_the_prompt_has_lost():
    task = Task("add", "def add(a, b):", "add", ADD.test)
    assert text_of("\n    return a\n", 1, task) is None  # nothing but the newline
    assert text_of("\n    return a\n", 2, task) == "    return a\n"
    assert text_of(" return a\n", 1, task) == " return a\n"  # the rest of a line


@pytest.mark.parametrize(
    "body", ["    if a:\n", "    if a:\n\n\n", "    return (a +\n", "    x = '''\n\n"]
)
def test_an_error_at_the_end_of_the_text_has_the_last_line_with_text(body):
    outcome = judge_one(body)
    assert outcome.status == "syntax"
    assert text_of(body, outcome.line) == body.split("\n")[0] + "\n"


def test_a_sample_without_any_text_has_no_line():
    assert text_of("", 2) is None
    assert text_of(" \n", 2) is None


def test_lines_of_a_whole_solution_count_within_it():
    text = "def add(a, b):\n    return a\n"
    sample = {"task_id": "add", "solution": text}
    assert text[slice(*line_span(ADD, sample, 1))] == "def add(a, b):\n"
    assert text[slice(*line_span(ADD, sample, 2))] == "    return a\n"
