"""Orderings rank as they say; pairs are gated, seeded and in TRL's format."""

from __future__ import annotations

import time

import pytest

from eta_utils.common.errors import BadInput
from eta_utils.execution.records import Outcome
from eta_utils.preferences import (
    ORDERINGS,
    PairSettings,
    fill,
    make_pairs,
    sharing_prefix,
)
from eta_utils.preferences.orderings import LEAST_ETA, eta, tier
from eta_utils.tasks import Task

TASKS = {
    name: Task(name, f'def {name}():\n    """Do it."""\n\n', name, "def check(c): pass\n")
    for name in ("one", "two")
}


def outcome(status, asserts=0, task="one", text=None, **fields):
    """An outcome of a task with 4 asserts."""
    sample = {"task_id": task, "completion": text or f"    # {status} {asserts} {fields}\n"}
    sample |= {"hidden_fraction": fields.pop("hidden", 0.0)}
    defaults = {"steps": 10, "lines_reached": 3, "progress": 0.5, "first_failed_assert": 0}
    defaults |= {"asserts_passed": asserts, "asserts_total": 4, "closeness": 0.5}
    passed = status == "passed"
    return Outcome(sample, status, passed, "", **(defaults | fields))


PASSED = outcome("passed", 4, progress=1.0)
NEAR_MISS = outcome("assertion", 3)
WRONG = outcome("assertion", 1, progress=0.7)
ASTRAY = outcome("assertion", 1, progress=0.2)
RAISES = outcome("exception", 1, progress=0.2, steps=50, lines_reached=9)
ENDLESS = outcome("budget", 3, steps=10**6, progress=0.9)
LOAD_ERROR = outcome("exception", 0, first_failed_assert=None)
SYNTAX = outcome("syntax", 0, steps=0, lines_reached=0, progress=0.0)
TAMPERED = outcome("tampered", 3)


def prefers(name, better, worse):
    return ORDERINGS[name].margin(better, worse) > 0


@pytest.mark.parametrize("name", sorted(set(ORDERINGS) - {"oracle"}))
def test_a_passing_program_beats_every_failing_one_under_every_ordering(name):
    for worse in (NEAR_MISS, WRONG, RAISES, ENDLESS, LOAD_ERROR, SYNTAX):
        assert prefers(name, PASSED, worse)
        assert not prefers(name, worse, PASSED)


def test_each_ordering_decides_by_its_own_measure():
    assert not prefers("binary", NEAR_MISS, SYNTAX)
    assert prefers("steps", ENDLESS, NEAR_MISS)  # the founding rule, endless loops and all
    assert prefers("fraction", NEAR_MISS, WRONG)
    assert not prefers("fraction", WRONG, RAISES)
    assert prefers("alignment", WRONG, ASTRAY)
    assert prefers("oracle", outcome("assertion", hidden=0.5), outcome("assertion"))


def test_tiers_order_the_classes_of_error():
    stopped = outcome("timeout")
    ranked = [SYNTAX, LOAD_ERROR, stopped, RAISES, WRONG, PASSED]
    assert [tier(outcome) for outcome in ranked] == [0, 1, 2, 3, 4, 5]


def test_states_goes_by_tests_then_alignment_then_tier():
    assert prefers("states", NEAR_MISS, WRONG)
    assert prefers("states", WRONG, ASTRAY)
    assert prefers("states", ASTRAY, RAISES)  # same asserts, same alignment


def test_eta_adds_up_tests_and_answers():
    # 3/4 + 1.5 x 0.5 and 1/4 + 1.5 x 0.5
    assert eta(NEAR_MISS) - eta(WRONG) == pytest.approx(0.5)
    alike = outcome("assertion", 1, closeness=0.9)
    assert eta(alike) - eta(WRONG) == pytest.approx(1.5 * 0.4)
    assert eta(WRONG) - eta(outcome("assertion", 1, constant=True)) == pytest.approx(0.4)
    assert eta(RAISES) > eta(LOAD_ERROR) + 1
    assert eta(LOAD_ERROR) == pytest.approx(1.5 * 0.5 - 1.2)


def test_eta_leaves_small_differences_undecided():
    barely, clearly = (
        outcome("assertion", 1, closeness=0.5 + (LEAST_ETA + more) / 1.5)
        for more in (-0.01, 0.01)
    )
    assert not prefers("eta", barely, WRONG) and not prefers("eta", WRONG, barely)
    assert prefers("eta", clearly, WRONG)


def test_eta_without_a_reference_goes_by_tests_and_tier_alone():
    wrong, raises = (
        outcome("assertion", 1, progress=None, closeness=None),
        outcome("exception", 1, progress=None, closeness=None),
    )
    assert prefers("eta", wrong, raises)
    assert prefers("eta", outcome("exception", 2, progress=None, closeness=None), wrong)
    [pair] = make_pairs([wrong, raises], TASKS)
    assert pair["reason"] == "answers wrongly, the other raises"


def chosen_statuses(outcomes, ordering):
    """The statuses of all programs that win some pair."""
    status_of = {outcome.sample["completion"]: outcome.status for outcome in outcomes}
    pairs = make_pairs(outcomes, TASKS, ordering, PairSettings(pairs_per_prompt=100))
    return {status_of[pair["chosen"].removeprefix("\n\n")] for pair in pairs}


def test_a_stopped_program_never_wins_under_eta():
    assert chosen_statuses([ENDLESS, SYNTAX], "eta") == set()
    assert chosen_statuses([ENDLESS, SYNTAX], "steps") == {"budget"}


@pytest.mark.parametrize("name", sorted(ORDERINGS))
def test_a_tampered_program_never_wins(name):
    assert chosen_statuses([TAMPERED, SYNTAX], name) == set()


@pytest.mark.parametrize("name", sorted(ORDERINGS))
def test_where_something_passed_only_passing_programs_win(name):
    mixed = [PASSED, NEAR_MISS, WRONG, ENDLESS, SYNTAX]
    assert chosen_statuses(mixed, name) == {"passed"}


def test_binary_makes_no_pair_where_nothing_passed():
    assert make_pairs([NEAR_MISS, WRONG, SYNTAX], TASKS, ordering="binary") == []


def test_pairs_are_in_trls_format_with_the_newlines_on_the_completions_side():
    [pair] = make_pairs([NEAR_MISS, WRONG], TASKS)
    assert pair["prompt"] == TASKS["one"].prompt.rstrip("\n")
    assert pair["prompt"] + pair["chosen"] == TASKS["one"].program(NEAR_MISS.sample)
    assert pair["prompt"] + pair["rejected"] == TASKS["one"].program(WRONG.sample)
    assert pair["task_id"] == "one"
    assert pair["ordering"] == "eta"
    assert pair["margin"] == 0.5
    assert pair["reason"] == "passes 3 of 4 asserts against 1"


def test_a_solution_that_repeats_the_prompt_is_cut_to_its_completion():
    task = TASKS["one"]
    solutions = [
        Outcome({"task_id": "one", "solution": task.prompt + body}, "assertion", False, "",
                asserts_passed=number, asserts_total=4)
        for number, body in enumerate(("    return 0\n", "    return 1\n"))
    ]  # fmt: skip
    [pair] = make_pairs(solutions, TASKS)
    assert (pair["chosen"], pair["rejected"]) == (
        "\n\n    return 1\n",
        "\n\n    return 0\n",
    )


def test_the_margin_leaves_close_pairs_out():
    # eta's key leads by 3/4 - 1/4 of the asserts.
    for margin, pairs in ((0.4, 1), (0.5, 0)):
        settings = PairSettings(pair_margin=margin)
        assert len(make_pairs([NEAR_MISS, WRONG], TASKS, settings=settings)) == pairs


def test_without_the_gate_the_ordering_decides_where_something_passed_too():
    settings = PairSettings(pairs_per_prompt=100)
    outcomes = [PASSED, NEAR_MISS, WRONG]
    gated = make_pairs(outcomes, TASKS, settings=settings)
    assert [pair["winner_passes"] for pair in gated] == [True, True]
    free = make_pairs(outcomes, TASKS, settings=settings, gated=False)
    assert sorted(pair["winner_passes"] for pair in free) == [False, True, True]


@pytest.mark.parametrize("wrong", [{"pairs_per_prompt": 0}, {"pair_margin": -0.1}])
def test_settings_out_of_their_limits_are_named(wrong):
    [name] = wrong
    with pytest.raises(BadInput, match=f"{name}.*not at least"):
        PairSettings(**wrong).check()


def test_identical_programs_make_no_pair():
    twin = outcome("assertion", 3, text="    same\n")
    other = outcome("assertion", 1, text="    same\n")
    assert make_pairs([twin, other], TASKS) == []


def test_judge_errors_make_no_pair():
    ours = Outcome({"task_id": "one", "completion": "x"}, "judge_error", None, "")
    assert make_pairs([NEAR_MISS, ours], TASKS) == []


def test_the_choice_of_pairs_is_seeded_and_spreads_over_programs():
    many = [outcome("assertion", n % 4, text=f"    {n}\n", task=task)
            for task in TASKS for n in range(12)]  # fmt: skip
    settings = PairSettings(pairs_per_prompt=4)
    pairs = make_pairs(many, TASKS, settings=settings, seed=1)
    assert pairs == make_pairs(many, TASKS, settings=settings, seed=1)
    assert pairs != make_pairs(many, TASKS, settings=settings, seed=2)
    assert len(pairs) == 8
    for task in TASKS:
        used = [
            pair[side]
            for pair in pairs
            if pair["task_id"] == task
            for side in ("chosen", "rejected")
        ]
        assert len(set(used)) == 8


# --- As many pairs as another arm


def named(*names, prompt="p"):
    """A pair of each name, as far as `fill` looks at it."""
    return [{"prompt": prompt, "chosen": name, "rejected": "x"} for name in names]


def names_in(pairs):
    return [pair["chosen"] for pair in pairs]


@pytest.mark.parametrize("count", range(12))
def test_a_filled_arm_has_exactly_as_many_pairs_as_are_wanted(count):
    assert len(fill(named(*"ab"), named(*"abcd"), count, "0 1")) == count


def test_where_there_are_enough_pairs_a_random_part_of_them_is_taken_in_their_order():
    pairs = named(*"abcdefgh")
    chosen = [names_in(fill(pairs, named(*"z"), 4, f"{seed}")) for seed in range(20)]
    assert all(len(set(some)) == 4 and some == sorted(some) for some in chosen)
    assert len(set(map(tuple, chosen))) > 10
    assert set().union(*chosen) == set("abcdefgh")


def test_pairs_are_filled_up_from_the_spare_ones_before_any_is_taken_again():
    # Two pairs, three spare ones that they are not: five names, each once, then twice.
    pairs, spare = named(*"ab"), named(*"abcde")
    assert names_in(fill(pairs, spare, 2, "0")) == ["a", "b"]
    four = names_in(fill(pairs, spare, 4, "0"))
    assert four[:2] == ["a", "b"]
    assert len(set(four[2:])) == 2 and set(four[2:]) < set("cde")
    assert sorted(names_in(fill(pairs, spare, 5, "0"))) == list("abcde")
    assert sorted(names_in(fill(pairs, spare, 10, "0"))) == list("aabbccddee")
    seven = names_in(fill(pairs, spare, 7, "0"))
    assert set(seven) == set("abcde") and max(map(seven.count, seven)) == 2


def test_a_spare_pair_of_another_prompt_is_another_pair_though_its_texts_are_the_same():
    filled = fill(named("a"), named("a") + named("a", prompt="q"), 2, "0")
    assert [pair["prompt"] for pair in filled] == ["p", "q"]


def test_pairs_are_filled_alike_for_the_same_seed_only():
    spare = named(*"abcdefghijklmnop")
    first = fill(named("a"), spare, 5, "0 1")
    assert fill(named("a"), spare, 5, "0 1") == first
    assert any(fill(named("a"), spare, 5, f"{seed} 1") != first for seed in (1, 2, 3))


def test_without_any_pair_there_is_nothing_to_fill_with():
    assert fill([], [], 3, "0") == []


# --- Pairs that share a prefix


def restarted(text, prefix=None, task="one", status="assertion"):
    """An outcome of a program that was given its first `prefix` characters."""
    sample = {"task_id": task, "completion": text}
    if prefix is not None:
        sample["prefix"] = prefix
    return Outcome(sample, status, status == "passed", "")


def test_of_a_prompt_with_restarted_programs_those_with_their_prefix_stay():
    # The best of the two roots begins with `    a = 1\n`, ten characters.
    root, astray = restarted("    a = 1\n    b\n", 0), restarted("    c = 1\n    b\n", 0)
    suffixes = [restarted(f"    a = 1\n    {name}\n", 10) for name in "xy"]
    assert sharing_prefix([root, astray, *suffixes]) == [root, *suffixes]


def test_of_a_prompt_without_restarted_programs_all_stay():
    fresh = [restarted("    a\n", 0), restarted("    b\n", 0), restarted("    c\n")]
    assert sharing_prefix(fresh) == fresh


def test_the_prefix_of_one_prompt_concerns_no_other():
    one = [restarted("    a = 1\n    x\n", 10), restarted("    c\n", 0)]
    two = [restarted("    c\n", 0, "two"), restarted("    d\n", 0, "two")]
    assert sharing_prefix([*two, *one]) == [*two, one[0]]


def test_pairs_of_what_shares_a_prefix_differ_behind_it_alone():
    passing = restarted("    a = 1\n    x\n", 10, status="passed")
    outcomes = [restarted("    c\n", 0), passing, restarted("    a = 1\n    y\n", 10)]
    [pair] = make_pairs(sharing_prefix(outcomes), TASKS, "binary")
    assert pair["chosen"].endswith("\n    a = 1\n    x\n")
    assert pair["rejected"].endswith("\n    a = 1\n    y\n")


def test_the_oracle_says_what_it_needs():
    bare = [
        Outcome({"task_id": "one", "completion": text}, "assertion", False, "")
        for text in "ab"
    ]
    with pytest.raises(BadInput, match="hidden_fraction"):
        make_pairs(bare, TASKS, ordering="oracle")


# --- Many programs of one prompt


def many(count, **fields):
    """Distinct programs that all answer wrongly in the same way."""
    return [outcome("assertion", 1, text=f"    # {n}\n", **fields) for n in range(count)]


def test_the_one_program_that_got_further_than_thousands_is_found():
    equals = many(5_000)
    for best in (PASSED, NEAR_MISS):
        pairs = make_pairs([*equals, best], TASKS, "eta")
        chosen = {pair["chosen"].lstrip("\n") for pair in pairs}
        assert chosen == {best.sample["completion"]}
        assert len({pair["rejected"] for pair in pairs}) == 2
        among = make_pairs([*equals[:2_500], best, *equals[2_500:]], TASKS, "eta")
        assert len(among) == len(pairs)


def test_many_pairs_of_many_programs_are_distinct_and_seeded():
    outcomes = [*many(3_000), *(outcome("passed", 4, text=f"    {n}\n") for n in range(9))]
    settings = PairSettings(pairs_per_prompt=1_000)
    pairs = make_pairs(outcomes, TASKS, "eta", settings, seed=1)
    assert len({(pair["chosen"], pair["rejected"]) for pair in pairs}) == 1_000
    assert pairs == make_pairs(outcomes, TASKS, "eta", settings, seed=1)
    assert pairs != make_pairs(outcomes, TASKS, "eta", settings, seed=2)


def test_the_time_for_pairs_grows_no_faster_than_their_programs():
    few, lot = many(4_000), many(16_000)
    seconds = []
    for outcomes in (few, lot):
        took = []
        for _ in range(3):  # the collector of garbage may come between
            start = time.process_time()
            make_pairs([*outcomes, PASSED], TASKS, "eta")
            took.append(time.process_time() - start)
        seconds.append(min(took))
    # Four times as many programs: 4 where time grows with them, 16 with their square.
    assert seconds[1] < 9 * seconds[0]
