"""A set that adds tests to another's: all of them decide, and both pass rates are shown."""

from __future__ import annotations

import json

import pytest

from eta_utils.analysis import audit
from eta_utils.cli import main
from eta_utils.execution import judge
from eta_utils.tasks import Task, load_tasks
from eta_utils.tasks.asserts import together
from tests.conftest import ADD, judge_one

HELPER = "def assertion(out, exp, atol):\n    assert out == exp, f'{out} is not {exp}'\n"
PLUS = "inputs = [[2, 3], [5, 7], [-4, 1]]\nresults = [5, 12, -3]\n"
LOOP = "for i, (inp, exp) in enumerate(zip(inputs, results)):\n"
# A row of each of the two sets, with answers that are published and others that are not.
MBPP_ROW = {
    "task_id": 3,
    "prompt": "Write a function to add two numbers.",
    "code": "def total(a, b):\n    return a + b",
    "test_imports": [],
    "test_list": ["assert total(1, 2) == 3", "assert total(0, 0) == 0"],
    "test": f"{HELPER}{PLUS}{LOOP}    assertion(total(*inp), exp, 0)\n",
}
HUMANEVAL_ROW = {
    "task_id": "HumanEval/23",
    "prompt": "def strlen(string: str) -> int:\n",
    "entry_point": "strlen",
    "canonical_solution": "    return len(string)\n",
    "test": f"{HELPER}def check(candidate):\n    for text in ('abcd', 'e' * 99):\n"
    "        assertion(candidate(text), len(text), 0)\n",
}
# What each program answers: the published inputs alone, or all, or none.
PROGRAMS = {
    "mbpp+": {
        "knows": "def total(a, b):\n    return {(1, 2): 3, (0, 0): 0}.get((a, b))\n",
        "right": "def total(a, b):\n    return a + b\n",
        "wrong": "def total(a, b):\n    return 0\n",
        "broken": "def total(a, b:\n",
    },
    "humaneval+": {
        "knows": "def strlen(s):\n    return {'': 0, 'x': 1, 'asdasnakj': 9}.get(s)\n",
        "right": "def strlen(s):\n    return len(s)\n",
        "wrong": "def strlen(s):\n    return 0\n",
        "broken": "def strlen(s:\n",
    },
}
NAMES = {"mbpp+": "Mbpp/3", "humaneval+": "HumanEval/23"}
VERDICTS = {  # passed, passed_base
    "knows": (False, True),
    "right": (True, True),
    "wrong": (False, False),
    "broken": (False, False),
}


@pytest.fixture(params=["mbpp+", "humaneval+"])
def plus(request, tmp_path, monkeypatch):
    """The name of a set, of which one task is here."""
    row = MBPP_ROW if request.param == "mbpp+" else HUMANEVAL_ROW
    file = tmp_path / f"{request.param.replace('+', '_plus')}.jsonl"
    file.write_text(json.dumps(row) + "\n")
    monkeypatch.setenv("ETA_DATA", str(tmp_path))
    return request.param


def samples_of(plus, *kinds):
    return [
        {"task_id": NAMES[plus], "solution": PROGRAMS[plus][kind], "kind": kind}
        for kind in kinds
    ]


def test_a_program_that_knows_the_published_answers_passes_the_base_alone(plus):
    outcomes = judge(samples_of(plus, *VERDICTS), load_tasks(plus), cache=False)
    found = {each.sample["kind"]: (each.passed, each.passed_base) for each in outcomes}
    assert found == VERDICTS


def test_pass_at_k_is_printed_for_base_and_for_plus(plus, tmp_path, capsys):
    samples, out = tmp_path / "samples.jsonl", tmp_path / "out.jsonl"
    rows = samples_of(plus, *VERDICTS)
    samples.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert main(["judge", str(samples), "--tasks", plus, "--out", str(out)]) == 0
    rates = [line for line in capsys.readouterr().out.splitlines() if "pass@" in line]
    assert [line.split()[:3] for line in rates] == [
        ["pass@1", "0.5000", "base:"],
        ["pass@1", "0.2500", "plus,"],
    ]
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    found = {row["kind"]: (row["passed"], row["passed_base"]) for row in rows}
    assert found == VERDICTS


def test_a_task_without_base_asserts_has_no_verdict_about_them():
    assert judge_one("    return a + b\n").passed_base is None


def test_a_program_that_the_judge_fails_on_has_no_verdict_about_base_asserts(plus):
    # It is too large to be judged.
    solution = PROGRAMS[plus]["right"] + "#" * (33 << 20)
    rows = [{"task_id": NAMES[plus], "solution": solution}]
    [outcome] = judge(rows, load_tasks(plus), cache=False)
    assert (outcome.passed, outcome.passed_base) == (None, None)


def test_a_study_still_shows_and_hides_what_it_did(plus):
    [task] = load_tasks(plus, apart=True).values()
    assert task.base_asserts == 0
    if plus == "mbpp+":
        assert "candidate(1, 2) == 3" in task.test and "inputs" not in task.test
        assert "inputs" in task.hidden_test and "(1, 2)" not in task.hidden_test
    else:
        assert task.test == HUMANEVAL_ROW["test"] == task.hidden().test


def test_an_audit_lets_orderings_see_visible_asserts_alone(
    plus, tmp_path, monkeypatch, capsys
):
    samples, out = tmp_path / "samples.jsonl", tmp_path / "out.jsonl"
    rows = samples_of(plus, "knows", "wrong")
    samples.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert main(["judge", str(samples), "--tasks", plus, "--out", str(out)]) == 0
    shown, by_hidden = [], audit.by_hidden

    def watch(outcomes, *rest, **options):
        shown.extend(outcomes)
        return by_hidden(outcomes, *rest, **options)

    monkeypatch.setattr(audit, "by_hidden", watch)
    assert main(["audit", str(out), "--tasks", plus, "--hidden", plus]) == 0
    [task] = load_tasks(plus, apart=True).values()
    visible = judge(rows, {task.task_id: task}, cache=False)
    assert [one.asserts_total for one in shown] == [one.asserts_total for one in visible]
    assert [one.passed_base for one in shown] == [None, None]


def test_variables_of_the_two_tests_stay_apart():
    """HumanEval has a test that calls a variable `str`; another may need the type."""
    base = "def check(candidate):\n    str = candidate(1, 2)\n    assert str == 3\n"
    more = "def check(candidate):\n    assert str(candidate(2, 2)) == '4'\n"
    test, count = together(base, more)
    assert count == 1
    task = Task("add", ADD.prompt, "add", test, base_asserts=count)
    outcome = judge_one("    return a + b\n", task)
    assert (outcome.passed, outcome.asserts_total) == (True, 2)
    outcome = judge_one("    return 3\n", task)
    assert (outcome.passed, outcome.passed_base) == (False, True)
