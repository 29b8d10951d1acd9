"""What is evaluated on is compared with what was trained on."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from eta_utils.study.study import Study
from eta_utils.study.tasks import tasks_of
from eta_utils.tasks import Task, load_tasks
from eta_utils.tasks.contamination import overlaps
from eta_utils.tasks.pipelines import generate

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


# --- Docstrings that number steps


def numbered(name, *phrases):
    """A task whose docstring numbers these phrases, without a solution."""
    lines = "".join(f"    {number}. {text}\n" for number, text in enumerate(phrases, 1))
    prompt = f'def solve(words):\n    """\n{lines}    """\n'
    return {name: Task(name, prompt, "solve", TEST)}


TRAINED_STEPS = numbered("t", 'put "a" before each word', "take the first 3 words", "join")


@pytest.mark.parametrize(
    ("phrases", "why"),
    [
        (
            ('put "e" before each word', "take the first 2 words", "join"),
            "the same sequence of operations",
        ),
        (
            ("take the first 2 words", 'put "e" before each word', "join"),
            "the same operations in another order",
        ),
        (('put "a" before each word', "take the first 3 words"), None),
        (('put "a" before each word', "take the first 3 words", "join", "cut"), None),
        (('put "a" before each word', "skip the first 3 words", "join"), None),
        (('put "a" before each word', "join", "join"), None),
    ],
)
def test_steps_are_alike_by_their_operations_whatever_the_constants(phrases, why):
    found = overlaps(TRAINED_STEPS, numbered("e", *phrases))
    assert [overlap.why for overlap in found] == ([why] if why else [])


def test_an_order_that_is_trained_on_is_not_taken_for_the_sequence_of_another():
    # Sorted by name or not: the two marks must not meet.
    first, second = ("add 2", "cut"), ("cut", "add 3")
    for one, other in ((first, second), (second, first)):
        [overlap] = overlaps(numbered("t", *one), numbered("e", *other))
        assert overlap.why == "the same operations in another order"


def test_the_same_sequence_is_named_before_another_order_that_comes_first():
    # The prompts differ in their constants, so the sequence is what is the same.
    trained = numbered("other", "add 1", "cut") | numbered("same", "cut", "add 1")
    [overlap] = overlaps(trained, numbered("e", "cut", "add 2"))
    assert (overlap.like, overlap.why) == ("same", "the same sequence of operations")


def test_thirteen_words_in_a_row_say_nothing_about_numbered_steps():
    phrases = [f"step of number {letter} that is long" for letter in "abc"]
    assert not overlaps(numbered("t", *phrases), numbered("e", *phrases, "join"))


def test_a_text_with_numbers_in_it_is_not_a_list_of_steps():
    text = "1. add one\nand then do with it what the other thirteen words of this say"
    trained = {"t": Task("t", f'def f(x):\n    """{text} here."""\n', "f", TEST)}
    tested = {"e": Task("e", f'def g(x):\n    """{text} there."""\n', "g", TEST)}
    [overlap] = overlaps(trained, tested)
    assert overlap.why == "13 words in a row"


def test_held_out_tasks_of_the_built_in_family_share_no_sequence_with_trained_ones():
    trained = generate("sft", 192) | generate("align", 384)
    reasons = Counter(why for _, _, why in overlaps(trained, generate("test", 240)))
    assert set(reasons) == {"the same operations in another order"}
    assert reasons.total() < 48  # a fifth.  Seen: 26


@pytest.mark.parametrize("family", ["pipelines", "repair"])
def test_the_built_in_families_are_clean(family):
    few = {"sft_tasks": 40, "prompts_per_round": 20, "rounds": 2, "test_tasks": 40}
    study = Study.of(few | {"tasks": family})
    trained = tasks_of(study, "sft") | tasks_of(study, "align")
    reasons = {overlap.why for overlap in overlaps(trained, tasks_of(study, "test"))}
    assert reasons <= {"the same operations in another order"}
