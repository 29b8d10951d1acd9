"""What is evaluated on is compared with what was trained on."""

from __future__ import annotations

from dataclasses import replace

import pytest

from eta_utils.study.study import Study
from eta_utils.study.tasks import tasks_of
from eta_utils.tasks import Task, load_tasks
from eta_utils.tasks.contamination import overlaps

TEST = "def check(candidate):\n    assert candidate(1)\n"
TRAINED = {
    "t": Task(
        "t", 'def f(x):\n    """Double it."""\n', "f", TEST, "    y = 2 * x\n    return y\n"
    )
}


def like(**changed):
    return overlaps(TRAINED, {"e": replace(TRAINED["t"], task_id="e", **changed)})


def test_the_same_prompt_is_found():
    [(task, other, why)] = like(canonical_solution="    return x + x\n")
    assert (task, other, why) == ("e", "t", "the same prompt")


def test_the_same_solution_under_other_names_is_found():
    prompt, body = 'def g(n):\n    """Twice."""\n', "    m = 2 * n\n    return m\n"
    [overlap] = like(prompt=prompt, canonical_solution=body)
    assert overlap.why == "the same solution"


def test_other_built_in_functions_are_another_solution():
    trained = {"t": Task("t", "def f(x):\n", "f", TEST, "    return len(x)\n")}
    tested = {"e": Task("e", "def g(y):\n", "g", TEST, "    return min(y)\n")}
    assert not overlaps(trained, tested)


def test_another_solution_of_another_task_is_not():
    assert not like(prompt="def g(n):\n", canonical_solution="    return n * 2\n")


def test_thirteen_words_in_a_row_are_found_and_twelve_are_not():
    words = "a b c d e f g h i j k l m".split()
    trained = {"t": Task("t", f"# {' '.join(words)} x", "f", TEST)}
    for count, expected in ((13, 1), (12, 0)):
        tested = {"e": Task("e", f"# {' '.join(words[:count])} y", "f", TEST)}
        assert len(overlaps(trained, tested)) == expected


def test_a_set_overlaps_with_itself():
    tasks = load_tasks("humaneval")
    assert len(overlaps(tasks, tasks)) == 164


@pytest.mark.parametrize("family", ["pipelines", "repair"])
def test_the_built_in_families_are_clean(family):
    few = {"sft_tasks": 40, "prompts_per_round": 20, "rounds": 2, "test_tasks": 40}
    study = Study.of(few | {"tasks": family})
    trained = tasks_of(study, "sft") | tasks_of(study, "align")
    reasons = {overlap.why for overlap in overlaps(trained, tasks_of(study, "test"))}
    assert "the same prompt" not in reasons
