"""The audit counts pairs as the hidden tests see them."""

from __future__ import annotations

import math

import pytest

from eta_utils.audit import audit_pairs, hidden_fractions, silent_yield
from eta_utils.evaluation import proportion
from eta_utils.outcomes import Outcome
from eta_utils.preferences import make_pairs
from eta_utils.tasks import Task

TASKS = {name: Task(name, f"def {name}():\n", name, "") for name in ("one", "two", "three")}


def outcome(asserts, task="one", text=None, status=None):
    """An outcome of a task with 4 asserts."""
    status = status or ("passed" if asserts == 4 else "assertion")
    passed = None if status == "judge_error" else status == "passed"
    sample = {"task_id": task, "completion": text or f"    return {asserts}\n"}
    counts = {"asserts_passed": asserts, "asserts_total": 4, "first_failed_assert": 0}
    return Outcome(sample, status, passed, "", **counts)


def pair(chosen, rejected, task="one"):
    return {"prompt": "p", "chosen": chosen, "rejected": rejected, "task_id": task}


HIDDEN = {"pgood": 1.0, "pbetter": 0.6, "pbad": 0.5, "pbad too": 0.5, "pworst": 0.0}


def test_pairs_are_right_wrong_or_undecided_as_the_hidden_tests_say():
    right = [pair("good", "bad"), pair("better", "worst"), pair("good", "better")]
    wrong = [pair("worst", "bad")]
    undecided = [pair("bad", "bad too")]
    found = audit_pairs(right + wrong + undecided, HIDDEN)
    assert found == {
        "pairs": 5,
        "right": proportion(3, 4),
        "told apart": proportion(4, 5),
    }
    assert (found["right"].value, found["told apart"].value) == (0.75, 0.8)


def test_pairs_turned_round_are_as_often_wrong_as_they_were_right():
    pairs = [pair("good", "bad"), pair("better", "worst"), pair("worst", "bad")]
    turned = [pair(each["rejected"], each["chosen"]) for each in pairs]
    forth, back = audit_pairs(pairs, HIDDEN), audit_pairs(turned, HIDDEN)
    assert forth["right"].value == pytest.approx(1 - back["right"].value)
    assert forth["told apart"] == back["told apart"]


def test_where_no_pair_is_told_apart_the_share_of_right_ones_is_unknown():
    found = audit_pairs([pair("bad", "bad too")], HIDDEN)
    assert math.isnan(found["right"].value)
    assert found["told apart"].value == 0
    assert audit_pairs([], HIDDEN)["pairs"] == 0


def test_a_program_without_a_hidden_outcome_is_an_error():
    with pytest.raises(KeyError, match="unheard"):
        audit_pairs([pair("good", "unheard of")], HIDDEN)


def test_hidden_fractions_are_found_by_the_text_that_pairs_are_made_of():
    # Visible tests see 3 and 1 of 4, hidden ones say the opposite: the pair is wrong.
    visible = [outcome(3, text="    return 1\n"), outcome(1, text="    return 2\n")]
    hidden = [outcome(0, text="    return 1\n"), outcome(2, text="    return 2\n")]
    fractions = hidden_fractions(hidden, TASKS)
    assert fractions == {
        "def one():\n    return 1\n": 0.0,
        "def one():\n    return 2\n": 0.5,
    }
    pairs = make_pairs(visible, TASKS)
    assert audit_pairs(pairs, fractions)["right"] == proportion(0, 1)


def test_judge_errors_have_no_hidden_fraction():
    assert hidden_fractions([outcome(0, status="judge_error")], TASKS) == {}


def test_the_silent_yield_is_the_share_of_prompts_without_a_passing_sample_that_pair():
    outcomes = [
        *(outcome(n, "one") for n in (0, 4)),  # something passes: not silent
        *(outcome(n, "two") for n in (1, 3)),
        *(outcome(n, "three") for n in (2, 2)),
    ]
    # "two" gives two pairs and counts once, "three" gives none, "one" does not count.
    pairs = [pair("a", "b", "one"), pair("a", "b", "two"), pair("a", "c", "two")]
    assert silent_yield(pairs, outcomes) == proportion(1, 2)
    assert silent_yield([], outcomes) == proportion(0, 2)


def test_pass_and_fail_are_silent_where_nothing_passes_and_eta_is_not():
    outcomes = [outcome(n, task) for task in ("one", "two") for n in (1, 3)]
    shares = {
        name: silent_yield(make_pairs(outcomes, TASKS, ordering=name), outcomes).value
        for name in ("binary", "eta")
    }
    assert shares == {"binary": 0.0, "eta": 1.0}


def test_where_something_passes_everywhere_there_is_no_silence_to_yield():
    assert math.isnan(silent_yield([], [outcome(4)]).value)
