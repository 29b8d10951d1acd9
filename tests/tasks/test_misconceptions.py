"""Misconceptions: plausible mistakes that run on, and that every task with one shows."""

from __future__ import annotations

import ast
import itertools
import random
import re
from collections import Counter, defaultdict

import pytest

from eta_utils.common.errors import BadInput
from eta_utils.execution import JudgeSettings, judge
from eta_utils.tasks.misconceptions import MISCONCEPTIONS, misconceived
from eta_utils.tasks.operations import OPERATIONS
from eta_utils.tasks.pipelines import generate, noisy_corpus

ALL = misconceived(30)
WRONG = [pytest.param(step, code, id=step.phrase) for step, code in ALL.items()]
INPUTS = {
    "nums": [[3, -1, 8, 3, 14, 0, 6], [5, 2, 2, 9, -4], [12, 7, 1, 10, 4, 4, 15, -2]],
    "words": [["stone", "tree", "oats", "ant"], ["otter", "rat", "east", "area", "sun"]],
    "text": ["stone tree oats ant", "otter rat east area sun"],
    "value": [3, 40, 17],
}
TYPES = {"nums": (list, int), "words": (list, str), "text": str, "value": int}


def run(code, step, given):
    """What the code leaves in the variable of the step's target."""
    space = {step.source: given}
    exec(code, space)
    return space[step.target]


# --- The registry


def test_there_are_thirty_each_of_another_operation():
    assert len(ALL) == len(MISCONCEPTIONS) == 30
    assert set(ALL) <= set(OPERATIONS)


def test_a_smaller_number_takes_the_first_of_a_larger_one():
    for fewer, more in itertools.pairwise(range(31)):
        assert list(misconceived(more))[:fewer] == list(misconceived(fewer))
        assert len(misconceived(fewer)) == fewer


def test_the_first_ten_touch_numbers_words_and_text():
    assert {step.source for step in misconceived(10)} == {"nums", "words", "text"}


@pytest.mark.parametrize("count", [-1, 31])
def test_a_number_out_of_range_is_refused_with_the_range(count):
    with pytest.raises(BadInput, match=f"there are 0 to 30, not {count}"):
        misconceived(count)


# --- Each wrong code


@pytest.mark.parametrize(("step", "wrong"), WRONG)
def test_it_runs_and_leaves_the_type_that_the_next_step_takes(step, wrong):
    rng = random.Random(0)
    for _ in range(20):
        _, _, code = step.drawn(rng, wrong)
        for given in INPUTS[step.source]:
            left, wanted = run(code, step, given), TYPES[step.target]
            if isinstance(wanted, tuple):
                kind, of = wanted
                assert type(left) is kind
                assert all(type(item) is of for item in left)
            else:
                assert type(left) is wanted


@pytest.mark.parametrize(("step", "wrong"), WRONG)
def test_it_answers_otherwise_than_the_right_code(step, wrong):
    rng = random.Random(0)
    differing = 0
    for _ in range(40):
        _, right, code = step.drawn(rng, wrong)
        given = rng.choice(INPUTS[step.source])
        differing += run(right, step, given) != run(code, step, given)
    assert differing >= 10  # seen: 11 for the rarest, drop numbers from the front


@pytest.mark.parametrize(("step", "wrong"), WRONG)
def test_its_constants_are_those_of_the_phrase(step, wrong):
    assert set(re.findall(r"\{.\}", wrong)) == set(re.findall(r"\{.\}", step.code))
    phrase, right, code = step.drawn(random.Random(3), wrong)
    for constant in re.findall(r'\d+|"."', phrase.removesuffix(", or 0")):
        assert constant in right and constant in code
    assert "{" not in code


# The recurring trap of a table by hand: a row beside the wrong operation.  Values worked
# out by reading the phrase: (operation, input, what is right, what is believed).
@pytest.mark.parametrize(
    ("phrase", "given", "right", "believed"),
    [
        ("take every second number", [1, 2, 3, 4, 5], [1, 3, 5], [2, 4]),
        ("replace by the running totals", [2, 3, 4], [2, 5, 9], [0, 2, 5]),
        ("drop repeated numbers", [3, 1, 3], [3, 1], [1, 3]),
        ("square each number", [3, -4], [9, 16], [6, -8]),
        ("write each word in capitals", ["sun"], ["SUN"], ["Sun"]),
        ("sort the words by length", ["tree", "ant"], ["ant", "tree"], ["ant", "tree"]),
        ("sort the words by length", ["rat", "area"], ["rat", "area"], ["area", "rat"]),
        ("reverse the order of words", ["ab", "cd"], ["cd", "ab"], ["ba", "dc"]),
        ("join without gaps", ["ab", "cd"], "abcd", "ab cd"),
        ("reverse the text", "ab cd", "dc ba", "cd ab"),
        ("take the largest, or 0", [4, 9, 2], 9, 2),
        ("take the largest, or 0", [], 0, 0),
    ],
)
def test_known_values(phrase, given, right, believed):
    [step] = [step for step in OPERATIONS if step.phrase == phrase]
    assert run(step.code, step, given) == right
    assert run(ALL[step], step, given) == believed


# --- In tasks

MARKS = {re.sub(r'\d+|"?\{.\}"?', "_", step.phrase): step for step in OPERATIONS}


def steps_of(prompt):
    """The operations that a docstring numbers, and their constants as a phrase has them."""
    phrases = re.findall(r"^    \d+\. (.*)$", prompt, re.MULTILINE)
    return [(MARKS[re.sub(r'\d+|"."', "_", phrase)], phrase) for phrase in phrases]


def filled(code, phrase):
    """The code with the constants that stand in the phrase."""
    for constant in re.findall(r'\d+|"."', phrase):
        code = code.replace("{c}" if '"' in constant else "{k}", constant.strip('"'))
    return code


def with_misconceptions(task, places, wrong_codes):
    """The reference with the misconception in place of the right code at these places."""
    completion = ""
    for place, (step, phrase) in enumerate(steps_of(task.prompt)):
        code = wrong_codes[step] if place in places else step.code
        completion += "".join(f"    {line}\n" for line in filled(code, phrase).split("\n"))
    return completion + task.canonical_solution.splitlines(keepends=True)[-1]


def carrying(task, wrong_codes):
    return [
        place
        for place, (step, _) in enumerate(steps_of(task.prompt))
        if step in wrong_codes
    ]


def judged(completions, tasks):
    samples = [{"task_id": name, "completion": text} for name, text in completions]
    settings = JudgeSettings(step_budget=20_000, timeout=30.0)
    return list(judge(samples, tasks, settings, cache=False))


@pytest.fixture(scope="module")
def tasks():
    return generate("align", 90, steps=(3, 5), misconceptions=30)


def test_the_filled_in_lines_are_the_reference(tasks):
    # So that the next test replaces what it says it does.
    for task in tasks.values():
        assert with_misconceptions(task, [], ALL) == task.canonical_solution


@pytest.mark.parametrize("hidden", [False, True])
def test_a_misconception_alone_fails_visible_and_hidden_tests(tasks, hidden):
    asked = {name: task.hidden() if hidden else task for name, task in tasks.items()}
    completions = [
        (name, with_misconceptions(task, [place], ALL))
        for name, task in tasks.items()
        for place in carrying(task, ALL)
    ]
    assert len(completions) > 150
    outcomes = judged(completions, asked)
    assert Counter(outcome.passed for outcome in outcomes) == {False: len(completions)}


@pytest.mark.parametrize("hidden", [False, True])
def test_all_misconceptions_of_a_task_together_seldom_pass(tasks, hidden):
    asked = {name: task.hidden() if hidden else task for name, task in tasks.items()}
    completions = [
        (name, with_misconceptions(task, carrying(task, ALL), ALL))
        for name, task in tasks.items()
        if carrying(task, ALL)
    ]
    passed = sum(outcome.passed for outcome in judged(completions, asked))
    assert len(completions) > 70
    assert passed <= 1  # seen: 0


def test_every_misconception_comes_to_matter_in_some_task():
    # None is so rare or so hidden that no task with it is ever taken.
    tasks = generate("align", 768, steps=(3, 5), misconceptions=30)
    uses = Counter(step for task in tasks.values() for step, _ in steps_of(task.prompt))
    assert (
        min(uses[step] for step in ALL) >= 1
    )  # seen: 2, of halving; most have 20 and more


@pytest.mark.parametrize("misconceptions", [10, 14, 20, 30])
@pytest.mark.parametrize(("fewest", "most"), [(0, 0), (1, None), (2, None), (1, 2)])
def test_tasks_carry_as_many_as_they_are_asked_to(misconceptions, fewest, most):
    wrong_codes = misconceived(misconceptions)
    numbers = {"misconceptions": misconceptions, "fewest": fewest, "most": most}
    tasks = generate("test", 60, steps=(3, 5), **numbers)
    counts = {len(carrying(task, wrong_codes)) for task in tasks.values()}
    assert min(counts) == fewest
    assert max(counts) == most if most is not None else max(counts) > fewest
    assert len(tasks) == 60


@pytest.mark.parametrize("misconceptions", [10, 14, 20, 30])
def test_there_are_enough_tasks_for_all_rounds_with_two_or_more(misconceptions):
    tasks = generate("align", 768, misconceptions=misconceptions, fewest=2)
    assert len({task.prompt for task in tasks.values()}) == 768


@pytest.mark.parametrize(
    "numbers",
    [
        {"misconceptions": 20, "fewest": 3, "most": 2},
        {"misconceptions": 2, "fewest": 3},
        {"misconceptions": 0, "fewest": 1},
    ],
)
def test_tasks_that_cannot_be_are_refused_in_a_sentence(numbers):
    with pytest.raises(BadInput, match=r"split align: no task of 3 steps uses \d to \d of"):
        generate("align", 3, steps=(3, 3), **numbers)


def test_more_tasks_with_misconceptions_than_there_are_is_an_error_that_says_so():
    with pytest.raises(BadInput, match="there are not 300 different tasks"):
        generate("tune", 300, steps=(1, 1), misconceptions=3, fewest=1)


def test_a_seed_gives_the_same_tasks_twice():
    again = generate("align", 90, steps=(3, 5), misconceptions=30)
    assert again == generate("align", 90, steps=(3, 5), misconceptions=30)


# --- In the corpus


def uses_of(rows, wrong_codes):
    """For each misconceived operation: how often wrong and how often used at all."""
    counts = defaultdict(Counter)
    for row in rows:
        rest = row["completion"]
        for step, phrase in steps_of(row["prompt"]):
            if step in wrong_codes:
                for right, code in ((True, step.code), (False, wrong_codes[step])):
                    text = "".join(
                        f"    {line}\n" for line in filled(code, phrase).split("\n")
                    )
                    counts[step][right] += text in rest
    return counts


@pytest.mark.parametrize("rate", [0.7, 0.4])
def test_an_operation_has_its_misconception_at_the_rate_and_is_right_otherwise(rate):
    wrong_codes = misconceived(20)
    rows = list(noisy_corpus(6_000, 0.0, steps=(1, 5), misconceptions=20, rate=rate))
    total = Counter()
    for step, counts in uses_of(rows, wrong_codes).items():
        # The wrong code of an operation may be the right one of another in the program, so
        # a use can count twice, but seldom: that is what the 0.02 below are for.
        uses = counts[True] + counts[False]
        assert uses > 50
        deviation = (rate * (1 - rate) / uses) ** 0.5
        assert abs(counts[False] / uses - rate) < 4 * deviation + 0.02, step.phrase
        total += counts
    assert abs(total[False] / total.total() - rate) < 0.02


def test_the_kinds_of_a_row_count_its_misconceptions():
    for row in noisy_corpus(500, 0.0, steps=(1, 5), misconceptions=20, rate=1.0):
        carried = sum(step in misconceived(20) for step, _ in steps_of(row["prompt"]))
        assert row["bugs"] == ["misconception"] * carried


def test_only_the_other_steps_carry_random_bugs():
    wrong_codes = misconceived(20)
    kinds = Counter()
    for row in noisy_corpus(500, 1.0, steps=(1, 5), misconceptions=20, rate=0.0):
        steps = steps_of(row["prompt"])
        assert len(row["bugs"]) == sum(step not in wrong_codes for step, _ in steps)
        kinds.update(row["bugs"])
    assert "misconception" not in kinds and len(kinds) == 5


def test_a_rate_of_zero_leaves_the_programs_of_a_corpus_without_misconceptions_right():
    rows = noisy_corpus(500, 0.0, steps=(1, 5), misconceptions=30, rate=0.0)
    plain = noisy_corpus(500, 0.0, steps=(1, 5))
    for row in [*rows, *plain]:
        assert row["bugs"] == []
        assert filled_reference(row["prompt"]) in row["completion"]


def filled_reference(prompt):
    lines = [filled(step.code, phrase) for step, phrase in steps_of(prompt)]
    return "".join(f"    {line}\n" for code in lines for line in code.split("\n"))


def test_every_program_with_misconceptions_is_python_that_ends_in_a_return():
    for row in noisy_corpus(500, 0.06, steps=(1, 5), misconceptions=30, rate=0.7):
        [function] = ast.parse(row["prompt"] + row["completion"]).body
        assert isinstance(function.body[-1], ast.Return)


def test_the_solution_of_a_corpus_task_has_no_misconception():
    rows = list(
        noisy_corpus(40, 0.0, steps=(2, 5), misconceptions=30, rate=1.0, with_tasks=True)
    )
    tasks = {row["task"].task_id: row["task"] for row in rows}
    references = [(name, task.canonical_solution) for name, task in tasks.items()]
    assert all(outcome.passed for outcome in judged(references, tasks))
    assert any(row["completion"] != row["task"].canonical_solution for row in rows)
