"""Programs written against this sandbox, by somebody who had read its code.

    python -m tests.sandbox.test_attacks

judges all of them at both rungs, each before an honest program, and prints what became of
them: nine minutes.  As a test, those that take seconds are left out.
"""

from __future__ import annotations

import collections
import importlib
import os
import stat
import time
from pathlib import Path

import psutil
import pytest

from eta_utils.execution import JudgeSettings, judge
from eta_utils.sandbox import pool
from tests.conftest import ADD, judge_one
from tests.sandbox.attacks import ATTACKS, SEND

LIMITS = {"step_budget": 700_000, "timeout": 6.0}
HANGS = 40  # seconds
# They end by a clock, or leave so much that a new worker must be started.
LONG = {
    "arguments_without_end",
    "colliding_constants",
    "decimal_as_a_key_beside_a_huge_number",
    "dicts_shared_three_deep",
    "dtype_with_an_endless_text",
    "finally_within_finally",
    "folders_named_as_the_cleaner_names_them",
    "folders_within_one_another_for_seconds",
    "fraction_of_two_huge_numbers",
    "half_a_million_statements",
    "impostor_that_reduces_to_a_deque_without_end",
    "kind_of_thirty_megabytes_that_compares",
    "links_with_long_names_for_seconds",
    "list_assigned_to_its_own_slice",
    "lists_left_in_a_method_of_the_decoder",
    "lock_taken_twice",
    "main_thread_ended_alone",
    "memory_error_survived",
    "memory_locked_and_shared",
    "names_times_lambdas",
    "notices_without_end",
    "only_marks",
    "pattern_that_goes_back",
    "powers_of_powers",
    "powers_of_ten_again_and_again",
    "process_that_outlives_its_judge",
    "range_of_a_huge_step",
    "recursion_in_a_destructor",
    "set_of_colliding_numbers",
    "shared_tuples_as_a_key",
    "sleep_after_a_slow_compilation",
    "ten_million_empty_lists",
    "text_of_many_fields",
    "text_of_thirty_megabytes",
}
QUICK = [name for name in ATTACKS if name not in LONG]


def attack(names, rung, monkeypatch=None):
    """Yield each name with what became of it, of the honest program after it, and seconds.

    Programs go out one by one: then each one's time is its own.
    """
    module = importlib.import_module("eta_utils.execution.judge")
    (monkeypatch.setattr if monkeypatch else setattr)(module, "BATCH", 1)
    samples = [
        {"task_id": "add", "completion": text}
        for name in names
        for text in (ATTACKS[name], f"    return a + b  # after {name}\n")
    ]
    settings = JudgeSettings(workers=1, isolation=rung, **LIMITS)
    outcomes = judge(samples, {"add": ADD}, settings, cache=False)
    for name in names:
        start = time.monotonic()
        yield name, next(outcomes), next(outcomes), time.monotonic() - start
    assert next(outcomes, None) is None


def outside():
    """The modes and times of this machine's devices, which a jail shows."""
    found = {}
    for name in ("null", "zero", "full", "random", "urandom", "tty"):
        status = os.stat(f"/dev/{name}")
        found[name] = stat.S_IMODE(status.st_mode), status.st_uid
    return found


def below():
    return {each.pid for each in psutil.Process().children(recursive=True)}


@pytest.mark.parametrize("how", ["report((a + b,))", "answer(plain(a + b))"])
def test_what_the_attacks_send_is_understood(how):
    outcome = judge_one(f"{SEND}    {how}\n    os._exit(0)\n")
    assert (outcome.asserts_passed, outcome.status) == (1, "exit")


@pytest.mark.slow
def test_no_attack_passes_or_leaves_the_statistics_or_harms_the_next(rung, monkeypatch):
    devices = outside()
    wrong = [
        (name, evil.status, evil.result, honest.status)
        for name, evil, honest, _ in attack(QUICK, rung, monkeypatch)
        if evil.passed is not False or not honest.passed
    ]
    assert wrong == []
    assert outside() == devices


# What those programs report that look for something: how much of it they found.
NOTHING = {
    "tests_and_tasks_on_the_disk": {"failed: read []"},
    "packages_that_are_installed": {"failed: imported []"},
    "folder_entered_and_left_upwards": {"failed: read []"},
    # On `process` the call is refused, in a jail it does nothing.
    "times_of_a_device_outside": {"failed: as before", "PermissionError"},
    "mode_of_a_device_outside": {"failed: as before", "PermissionError"},
}


@pytest.mark.parametrize("name", NOTHING)
def test_what_lies_outside_is_neither_found_nor_changed(name, rung, monkeypatch):
    [(_, evil, honest, _)] = attack([name], rung, monkeypatch)
    assert evil.result in NOTHING[name] or evil.exception in NOTHING[name]
    assert honest.passed


@pytest.mark.parametrize("left", ["lock", "flags"])
def test_nothing_is_left_on_standard_input(left, rung, monkeypatch):
    leave = f"{left}_left_on_standard_input"
    find = f"{leave}_{'is' if left == 'lock' else 'are'}_found"
    found = [evil for _, evil, _, _ in attack([leave, find], rung, monkeypatch)]
    assert [evil.status for evil in found] == ["assertion"] * 2  # each answers 7


def main() -> None:
    """Judge all at both rungs and print the counts."""
    for rung in ("jail", "process"):
        counts, slowest, devices = collections.Counter(), [], outside()
        before, folders = below(), set(Path("/tmp").glob("eta-*"))
        for name, evil, honest, seconds in attack(list(ATTACKS), rung):
            counts[evil.status] += 1
            slowest = sorted([*slowest, (round(seconds, 1), name)])[-5:]
            if evil.passed is not False:
                print(f"{rung}: {name}: {evil.status} {evil.result}")
            if not honest.passed:
                print(f"{rung}: after {name}: {honest.status} {honest.result}")
            if seconds > HANGS:
                print(f"{rung}: {name}: {seconds:.0f} s")
        pool.close_workers()
        time.sleep(1)
        left = [psutil.Process(pid).cmdline() for pid in below() - before]
        print(f"{rung}: {counts.total()} programs: {dict(counts.most_common())}")
        print(f"{rung}: slowest {slowest}; processes left {left}")
        print(f"{rung}: folders left {set(Path('/tmp').glob('eta-*')) - folders}")
        print(f"{rung}: devices as before: {outside() == devices}", flush=True)


if __name__ == "__main__":
    main()
