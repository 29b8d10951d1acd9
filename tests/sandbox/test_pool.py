"""Workers die, and nothing is lost; they are ended, and nothing is left."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from dataclasses import replace

import psutil
import pytest

from eta_utils.execution import JudgeSettings, dispatch, judge
from eta_utils.sandbox import pool
from eta_utils.sandbox.jail import Setup
from eta_utils.sandbox.pool import Worker
from eta_utils.tasks import Task
from tests.conftest import ADD, judge_one


def processes_of(worker):
    return {process.pid for process in worker.processes.values()}


def processes_below():
    """How many processes this one has started, and these in turn; no neighbour's count."""
    return len(psutil.Process().children(recursive=True))


def test_closing_a_worker_leaves_no_process_and_no_folder(rung):
    worker = Worker(Setup(rung))
    folder, pids = worker.site.folder, processes_of(worker)
    assert folder.exists()
    worker.close()
    assert not folder.exists()
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def kill_our_examiners():
    """Kill those of this process alone, since others may judge here; say how many."""
    killed = 0
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.NoSuchProcess):  # it has just ended
            if "eta_utils.sandbox.examiner" in child.cmdline():
                child.kill()
                killed += 1
    return killed


def test_workers_that_are_killed_mid_batch_lose_nothing():
    workers = 2
    # A program at which two workers die is given up.  So many outcomes after the first
    # kill, all programs that were under way then are judged, however slow the machine: no
    # more are taken ahead, but for the batch that reaches the bound.
    apart = dispatch.BATCH * (dispatch.AHEAD * dispatch.BEHIND * workers + 1)
    samples = [
        {"task_id": "add", "completion": f"    x = {number}\n    return a + b\n"}
        for number in range(apart + 500)
    ]
    outcomes = []
    for outcome in judge(
        samples, {"add": ADD}, JudgeSettings(workers=workers), cache=False
    ):
        outcomes.append(outcome)
        if len(outcomes) in (100, 100 + apart):
            assert kill_our_examiners() >= workers
    assert [outcome.sample for outcome in outcomes] == samples
    assert {outcome.status for outcome in outcomes} == {"passed"}


@pytest.mark.slow
def test_a_thousand_programs_leave_no_process_file_or_descriptor():
    samples = [
        {
            "task_id": "add",
            "completion": f"    open('f{number}', 'w').write('x')\n    return a + b\n",
        }
        for number in range(1_000)
    ]
    list(
        judge(samples[:50], {"add": ADD}, JudgeSettings(workers=2), cache=False)
    )  # workers are up
    descriptors = len(os.listdir("/proc/self/fd"))
    before = processes_below()
    outcomes = list(judge(samples, {"add": ADD}, JudgeSettings(workers=2), cache=False))
    assert {outcome.status for outcome in outcomes} == {"passed"}
    assert len(os.listdir("/proc/self/fd")) <= descriptors
    # Each of the two zygotes may have a candidate ready for the next program, or not yet.
    assert before >= 4 and abs(processes_below() - before) <= 2
    for worker in pool._workers:  # of this process alone
        assert len(list((worker.site.folder / "scratch").iterdir())) <= 1


def test_an_argument_that_is_too_large_to_send_is_the_tests_fault_and_ends_alone(rung):
    test = "def check(f):\n    assert f('x' * (40 << 20)) == 1\n    assert f('') == 0\n"
    task = Task("large", "def f(text):\n", "f", test)
    samples = [{"task_id": "large", "completion": "    return len(text)\n"}]
    samples += [{"task_id": "add", "completion": "    return a + b\n"}]
    settings = JudgeSettings(workers=1, isolation=rung)
    tasks = {"large": task, "add": ADD}
    large, after = judge(samples, tasks, settings, cache=False)
    assert large.status == "judge_error" and "cannot be sent" in large.result
    assert after.status == "passed"


def test_a_library_is_loaded_once_for_all_programs_that_name_it(rung):
    pytest.importorskip("numpy")
    samples = [
        {
            "task_id": "add",
            "completion": f"    import numpy\n    return a + b  # {number}\n",
        }
        for number in range(30)
    ]
    settings = JudgeSettings(workers=1, isolation=rung)
    list(judge(samples[:1], {"add": ADD}, settings, cache=False))
    start = time.monotonic()
    outcomes = list(judge(samples, {"add": ADD}, settings, cache=False))
    assert {outcome.status for outcome in outcomes} == {"passed"}
    # Each by itself would need 30 times as much as the first import.
    code = "import time; start = time.time(); import numpy; print(time.time() - start)"
    command = [sys.executable, "-c", code]
    once = float(subprocess.run(command, capture_output=True, check=True).stdout)
    assert time.monotonic() - start < 15 * once + 1


def test_numpys_random_numbers_are_the_same_for_each_program(rung):
    numpy = pytest.importorskip("numpy")
    numpy.random.seed(0)
    first = numpy.random.random()
    test = f"def check(c):\n    assert c(0, 0) == {first!r}\n"
    task = replace(ADD, test=test, canonical_solution="")
    program = "    import numpy\n    return float(numpy.random.random())\n"
    for _ in range(2):
        assert judge_one(program, task, isolation=rung).passed
