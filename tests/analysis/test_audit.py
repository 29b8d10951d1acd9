"""The audit counts pairs of programs as the hidden tests see them."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from eta_utils.analysis.audit import (
    MARGINS,
    Programs,
    audit_table,
    by_margin,
    by_prompt,
    count,
    count_departures,
    count_margins,
    departures,
    hidden_fractions,
    tied,
)
from eta_utils.execution.records import Outcome
from eta_utils.tasks import Task

TASKS = {name: Task(name, f"def {name}():\n", name, "") for name in ("one", "two", "three")}


def outcome(asserts, task="one", text=None, status=None, **fields):
    """An outcome of a task with 4 asserts."""
    status = status or ("passed" if asserts == 4 else "assertion")
    passed = None if status == "judge_error" else status == "passed"
    sample = {"task_id": task, "completion": text or f"    return {asserts}\n"}
    counts = {"asserts_passed": asserts, "asserts_total": 4, "first_failed_assert": 0}
    return Outcome(sample, status, passed, "", **counts | fields)


def programs(*rows):
    """Rows of (asserts passed, fraction of hidden asserts) or (outcome, fraction)."""
    outcomes = [
        row[0] if isinstance(row[0], Outcome) else outcome(row[0], text=str(number))
        for number, row in enumerate(rows)
    ]
    return Programs(outcomes, np.array([row[1] for row in rows], float))


def audit(programs, ordering):
    [row] = audit_table(count(programs, [ordering])).to_dict("records")
    return row


def test_fail_fail_pairs_are_right_wrong_or_undecided_as_the_hidden_tests_say():
    # By fraction: b > a, c > a, d > b = c.  The hidden tests: c > b > d > a.
    one = programs((0, 0.0), (1, 0.5), (1, 0.6), (2, 0.2))
    row = audit({"one": one}, "fraction")
    assert row["fail/fail pairs"] == 6  # the hidden tests distinguish all
    assert row["decides, fail/fail"] == pytest.approx(5 / 6)  # all but b and c
    assert row["right, fail/fail"] == pytest.approx(3 / 5)  # d over b and c is wrong
    assert math.isnan(row["right, pass/fail"])
    assert row["yield"] == 1


def test_pairs_that_the_hidden_tests_do_not_distinguish_do_not_count():
    row = audit({"one": programs((0, 0.5), (1, 0.5))}, "fraction")
    assert row["fail/fail pairs"] == 0
    assert math.isnan(row["right, fail/fail"])
    assert row["yield"] == 1  # it is a pair all the same


def test_pairs_that_the_visible_tests_tie_are_counted_apart():
    # Steps of a to d: 1, 5, 5, 20; hidden: c > b > d > a.  The fifth is not tied.
    tied_ones = [outcome(1, text=str(steps), steps=steps) for steps in (1, 5, 5, 20)]
    one = programs(*zip(tied_ones, (0.1, 0.3, 0.4, 0.2), strict=True), (2, 0.9))
    row = audit({"one": one}, "steps")
    # The hidden tests distinguish all 6 pairs of the four; by steps: all but b and c.
    assert row["decides, tied"] == pytest.approx(5 / 6)
    # Right: b, c and d over a; wrong: d over b and c.
    assert row["right, tied"] == pytest.approx(3 / 5)
    assert math.isnan(audit({"one": one}, "fraction")["right, tied"])


def test_a_passing_program_over_a_failing_one_is_a_pair_of_its_own():
    # Two pass the visible tests, one of them fails most hidden ones.
    row = audit({"one": programs((4, 1.0), (4, 0.1), (1, 0.4))}, "binary")
    assert row["right, pass/fail"] == 0.5
    assert row["fail/fail pairs"] == 0
    assert math.isnan(row["yield"])  # there is no all-fail prompt


def test_all_fail_prompts_give_no_binary_pair_and_pairs_by_fraction():
    prompts = {
        "one": programs((1, 0.1), (2, 0.2)),
        "two": programs((1, 0.1), (1, 0.2)),
        "three": programs((4, 1.0), (1, 0.2)),
    }
    assert audit(prompts, "binary")["yield"] == 0
    assert audit(prompts, "fraction")["yield"] == 0.5


def test_endless_and_padded_winners_are_counted_among_all_winners():
    endless = outcome(0, text="loop", status="budget", steps=1000)
    padded = outcome(1, text="padded", steps=41)
    plain = outcome(1, text="plain", steps=10)
    one = programs((endless, 0.0), (padded, 0.5), (plain, 0.5))
    row = audit({"one": one}, "steps")
    # endless > padded > plain: two of three winners endless, and in every pair the winner
    # ran more than 4 times the loser's steps without passing more hidden tests.
    assert row["endless"] == pytest.approx(2 / 3)
    assert row["padded"] == pytest.approx(3 / 3)
    assert audit({"one": one}, "eta")["endless"] == 0  # a stopped one never wins


def test_intervals_are_over_tasks_and_not_over_pairs():
    right = programs(*((number % 4, number % 4) for number in range(40)))
    wrong = programs(*((number % 4, -(number % 4)) for number in range(40)))
    row = audit({"one": right, "two": wrong}, "fraction")
    # Thousands of pairs, but two tasks that contradict one another say nothing.
    shares = ("right, fail/fail", "right, fail/fail low", "right, fail/fail high")
    assert [row[name] for name in shares] == [0.5, 0, 1]


def test_prompts_of_several_seeds_count_as_different_tasks():
    right, wrong = programs((0, 0.0), (1, 1.0)), programs((0, 1.0), (1, 0.0))
    counts = count({"one": right, "two": wrong}, ["fraction"])
    [once] = audit_table(counts).to_dict("records")
    [often] = audit_table(pd.concat([counts] * 9)).to_dict("records")
    assert often["right, fail/fail"] == once["right, fail/fail"] == 0.5
    assert (once["right, fail/fail low"], once["right, fail/fail high"]) == (0, 1)
    assert 0.2 < often["right, fail/fail low"] < often["right, fail/fail high"] < 0.8


def test_larger_margins_can_be_read_apart_from_smaller_ones():
    # fraction: margins 1/4 (wrong), 1/4 (wrong), 2/4 (right) in this task, 3/4 in the next
    one = programs((0, 0.2), (1, 0.1), (2, 0.05))
    two = programs((0, 0.0), (3, 0.9))
    table = by_margin(count_margins({"one": one, "two": two}, "fraction"))
    assert list(table["margin"]) == list(MARGINS)
    assert table["pairs"].sum() == 4
    assert table.iloc[-1]["right"].value == 1.0
    assert table.iloc[-1]["pairs"] == 1


def test_thirds_by_margin_are_those_of_all_pairs_sorted():
    rng = random.Random(0)
    prompts = {
        name: programs(*((rng.randrange(5), rng.random()) for _ in range(30)))
        for name in ("one", "two", "three")
    }
    counts = count_margins(prompts, "fraction")
    sizes = np.repeat(counts["margin"].astype(float), counts["pairs"].astype(int))
    edges = np.quantile(sizes, (1 / 3, 2 / 3))
    expected = np.bincount(np.digitize(sizes, edges, right=True), minlength=3)
    assert list(by_margin(counts)["pairs"]) == list(expected)


def test_without_programs_there_is_nothing_to_read_by_margin():
    assert by_margin(count_margins({}, "eta")).empty


def test_programs_are_distinct_and_known_to_both_judges():
    visible = [
        outcome(3, text="    return 1\n"),
        outcome(3, text="    return 1\n"),
        outcome(1, text="    return 2\n"),
        outcome(0, text="    return 3\n", status="judge_error"),
        outcome(0, text="    return 4\n"),
    ]
    hidden = [
        outcome(0, text="    return 1\n"),
        outcome(2, text="    return 2\n"),
        outcome(2, text="    return 3\n"),
        outcome(0, text="    return 4\n", status="judge_error"),
    ]
    fractions = hidden_fractions(hidden, TASKS)
    assert fractions["def one():\n    return 2\n"] == 0.5
    kept = by_prompt(visible, fractions, TASKS)["one"]
    assert [program.sample["completion"][11] for program in kept.outcomes] == ["1", "2"]
    assert kept.hidden.tolist() == [0.0, 0.5]


def test_where_the_tests_are_tied_the_surest_right_and_wrong_pairs_are_found():
    # The first three pass one assert; by steps the third beats the second, the second the
    # first.
    steps = [outcome(1, text=str(n), steps=n) for n in (1, 5, 20)]
    many = programs((steps[0], 0.1), (steps[1], 0.5), (steps[2], 0.2), (2, 0.9))
    examples = tied({"one": many}, "steps")
    name, winner, loser = examples["right"]
    assert (name, winner.steps, loser.steps) == ("one", 20, 1)
    _, winner, loser = examples["wrong"]
    assert (winner.steps, loser.steps) == (20, 5)
    assert tied({"one": many}, "fraction") == {}


# --- Departing lines

REFERENCE = Task(
    "one", "def one():\n", "one", "", "    a = 1\n    b = 2\n    return a + b\n"
)


def failing(text, departure=None, line=None, **fields):
    """A failing program of a task with a reference."""
    status = "assertion" if line is None else "exception"
    kinds = {"departure_kind": departure and "value", "progress": 0.5}
    return outcome(
        1, text=text, status=status, departure=departure, line=line, **kinds | fields
    )


def departing(*outcomes, task=REFERENCE):
    [row] = departures(count_departures(outcomes, {"one": task})).to_dict("records")
    return row


def test_departing_lines_are_counted_among_failing_programs_that_compile():
    row = departing(
        failing("    a = 1\n    b = 3\n    return a + b\n", 3),
        failing("    a = 1\n    return 3\n", 2),
        failing("    a = x\n", 2, line=2),
        failing("    return []\n"),  # none is found
        outcome(4, text="    return 3\n", progress=1.0),
        outcome(0, text="    return (\n", status="syntax", progress=0.0),
        outcome(0, text="    judge\n", status="judge_error"),
    )
    assert row["failing"] == 4
    assert row["departure found"] == 3 / 4
    assert row["is the raising line"] == pytest.approx(1 / 3)
    # Lines 3, 3 and 2 are the first that differ; 3, 2 and 2 depart.
    assert row["is the first differing line"] == pytest.approx(2 / 3)


def test_departures_of_one_text_count_once():
    wrong = failing("    a = 1\n    b = 3\n", 3)
    assert departing(wrong, wrong)["failing"] == 1


def test_tasks_without_a_reference_are_no_failure_to_find_a_line():
    row = departing(failing("    return 1\n", progress=None))
    assert row["failing"] == 0
    assert math.isnan(row["departure found"])


def test_a_program_that_ends_early_differs_in_none_of_its_lines():
    # What is missing is the reference's last line; the departure names the one before.
    row = departing(failing("    a = 1\n    b = 2  \n", 3))
    assert row["is the first differing line"] == 0


def test_intervals_of_departures_are_over_tasks():
    tasks = {name: replace(REFERENCE, task_id=name) for name in ("one", "two")}
    found = [failing(f"    return {n}\n", 2, task="one") for n in range(40)]
    lost = [failing(f"    return {n}\n", task="two") for n in range(40)]
    [row] = departures(count_departures(found + lost, tasks)).to_dict("records")
    assert [row[f"departure found{end}"] for end in ("", " low", " high")] == [0.5, 0, 1]
