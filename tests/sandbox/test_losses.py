"""What the machine does to the sandbox is never booked as the program's doing.

Faults are injected where processes are made, and processes are killed from outside.
"""

from __future__ import annotations

import contextlib
import errno
import importlib
import json
import os
import sqlite3
import subprocess
import sys
import threading
import time

import psutil
import pytest

from eta_utils.cli import main
from eta_utils.common import write_jsonl
from eta_utils.execution import JudgeSettings, judge
from eta_utils.sandbox import isolation, pool
from eta_utils.sandbox.jail import RUNGS, Site
from eta_utils.sandbox.pool import MOST_BROKEN, SandboxError
from eta_utils.tasks import Task
from tests.conftest import ADD, ROOT

RIGHT, WRONG = "    return a + b  # {}\n", "    return a - b  # {}\n"


def programs(count):
    """Right and wrong programs in turn, and what must become of them."""
    texts = [(WRONG if number % 2 else RIGHT).format(number) for number in range(count)]
    return [{"task_id": "add", "completion": text} for text in texts]


def expected(count):
    return ["assertion" if number % 2 else "passed" for number in range(count)]


@pytest.fixture(params=RUNGS)
def every_rung(request):
    if not isolation.probe(request.param).holds:
        pytest.skip(str(isolation.probe(request.param)))
    return request.param


@pytest.fixture
def zygote_with(monkeypatch):
    """Start every zygote with some code that has changed it before."""
    pool.close_workers()  # those of earlier tests are sound
    # New threads: each counts how many programs in a row have ended its workers.
    importlib.import_module("eta_utils.execution.judge")._local_pool.cache_clear()
    command = Site.command

    def start(code):
        def changed(site, module, role, descriptors):
            arguments, environment = command(site, module, role, descriptors)
            if module.endswith(".zygote"):
                at = arguments.index("-m")
                whole = f"import {module} as zygote\n{code}\nzygote.main()"
                arguments[at : at + 2] = ["-c", whole]
            return arguments, environment

        monkeypatch.setattr(Site, "command", changed)

    yield start
    pool.close_workers()


@pytest.fixture
def bystander():
    """A process of ours that has nothing to do with the sandbox."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    yield process
    process.kill()
    process.wait()


FAILING_FORK = """
made, real = 0, zygote._libc.fork
class Libc:
    def fork(self):
        global made
        made += 1
        return -1 if made in {failing} else real()
zygote._libc = Libc()
"""


@pytest.mark.parametrize("failing", [[1, 2, 3], [2], [3, 4, 5], [6]])
def test_a_fork_that_fails_for_a_moment_changes_no_verdict(
    every_rung, zygote_with, bystander, failing
):
    zygote_with(FAILING_FORK.format(failing=failing))
    settings = JudgeSettings(workers=1, isolation=every_rung)
    outcomes = list(judge(programs(6), {"add": ADD}, settings, cache=False))
    assert [outcome.status for outcome in outcomes] == expected(6)
    assert bystander.poll() is None


@pytest.mark.parametrize("first", [2, 3])
def test_where_forks_go_on_failing_another_worker_takes_over(
    every_rung, zygote_with, bystander, first
):
    code = FAILING_FORK.format(failing=f"range({first}, 10**9)")
    zygote_with(code + "zygote._FORKS = 2\n")
    settings = JudgeSettings(workers=1, isolation=every_rung)
    outcomes = list(judge(programs(4), {"add": ADD}, settings, cache=False))
    assert [outcome.status for outcome in outcomes] == expected(4)
    assert bystander.poll() is None


def test_where_no_candidate_can_ever_be_forked_judging_stops_with_a_sentence(
    every_rung, zygote_with, bystander, tmp_path, capsys
):
    zygote_with(FAILING_FORK.format(failing="range(10**9)") + "zygote._FORKS = 1\n")
    outcomes = []
    with pytest.raises(SandboxError, match="limit processes or memory"):
        for outcome in judge(
            programs(3 * MOST_BROKEN),
            {"add": ADD},
            JudgeSettings(workers=1, isolation=every_rung),
        ):
            outcomes.append(outcome)
    assert {outcome.status for outcome in outcomes} <= {"judge_error"}
    assert bystander.poll() is None
    samples, out = tmp_path / "samples.jsonl", tmp_path / "outcomes.jsonl"
    with write_jsonl(samples) as write:
        for number in range(20):
            write({"task_id": f"HumanEval/{number}", "completion": "    return 0"})
    told = ["judge", str(samples), "--tasks", "humaneval", "--out", str(out)]
    assert main([*told, "--isolation", every_rung, "--workers", "1"]) == 1
    assert "in a row" in capsys.readouterr().err
    assert not out.exists()


def test_a_candidate_that_cannot_be_confined_is_our_failure(rung, zygote_with):
    zygote_with(
        "def refuse(seconds): raise OSError(1, 'refused')\n"
        "zygote.confine.limit_processor = refuse"
    )
    settings = JudgeSettings(workers=1, isolation=rung)
    outcomes = judge(programs(2), {"add": ADD}, settings, cache=False)
    assert {outcome.status for outcome in outcomes} == {"judge_error"}


def sandboxed():
    """Processes of our workers: zygotes, and candidates below them."""
    for worker in pool._workers:
        for process in worker.processes.values():
            with contextlib.suppress(psutil.Error):
                if "eta_utils.sandbox.zygote" in process.args:
                    yield psutil.Process(process.pid)


def kill_while_it_runs(victims, times):
    """In the background, kill what `victims` finds, so many times; wait for it to end."""

    def run():
        for _ in range(times):
            time.sleep(1.0)
            for process in victims():
                with contextlib.suppress(psutil.Error):
                    process.kill()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def candidates():
    return [child for zygote in sandboxed() for child in zygote.children(recursive=True)]


SLOW = {
    "task_id": "add",
    "completion": "    import time\n    time.sleep(0.5)\n    return a + b\n",
}


@pytest.mark.parametrize("victims", [candidates, sandboxed])
def test_a_program_whose_sandbox_is_killed_from_outside_is_tried_again(rung, victims):
    # Four calls of half a second: the kill after one second comes in the middle.
    settings = JudgeSettings(workers=1, isolation=rung)
    list(judge(programs(1), {"add": ADD}, settings, cache=False))  # the worker is up
    thread = kill_while_it_runs(victims, 1)
    [outcome] = judge([SLOW], {"add": ADD}, settings, cache=False)
    thread.join()
    assert outcome.status == "passed"


def test_what_is_killed_from_outside_is_a_judge_error_and_not_remembered(rung):
    settings = JudgeSettings(workers=1, isolation=rung)
    list(judge(programs(1), {"add": ADD}, settings, cache=False))
    thread = kill_while_it_runs(candidates, 6)
    [outcome] = judge([SLOW], {"add": ADD}, settings)
    thread.join()
    assert (outcome.status, outcome.passed) == ("judge_error", None)
    [outcome] = judge([SLOW], {"add": ADD}, settings)
    assert outcome.status == "passed"


def test_a_worker_that_stands_still_is_replaced(rung, monkeypatch):
    monkeypatch.setattr(pool, "PATIENCE", 1.0)
    settings = JudgeSettings(workers=1, isolation=rung, timeout=2.0)
    list(judge(programs(1), {"add": ADD}, settings, cache=False))  # the worker is up

    def freeze():
        time.sleep(1.0)
        for worker in pool._workers:
            for process in worker.processes.values():
                for each in psutil.Process(process.pid).children(recursive=True):
                    each.suspend()
                psutil.Process(process.pid).suspend()

    thread = threading.Thread(target=freeze)
    thread.start()
    [outcome] = judge([SLOW], {"add": ADD}, settings, cache=False)
    thread.join()
    assert outcome.status == "passed"


def test_a_test_that_computes_for_ever_over_an_answer_costs_its_program_alone(
    rung, monkeypatch
):
    monkeypatch.setattr(pool, "PATIENCE", 2.0)
    test = "def check(f):\n    assert sum(range(f(1))) == 1\n"
    tasks = {"add": ADD, "sum": Task("sum", "def f(x):\n", "f", test)}
    texts = ["    return 10**14\n", "    return 2\n"]
    samples = [{"task_id": "sum", "completion": text} for text in texts] + programs(2)
    settings = JudgeSettings(700_000, workers=1, isolation=rung, timeout=1.0)
    start = time.monotonic()
    outcomes = list(judge(samples, tasks, settings, cache=False))
    assert [outcome.status for outcome in outcomes] == ["timeout", "passed", *expected(2)]
    # 2 seconds on the wall, 2 of patience, 1 of looking; once, and not once more.
    assert time.monotonic() - start < 9


LARGE = """
    import os
    answer = b"\\x80\\x05(" + b"]" * {lists} + b"t."
    frame = len(answer).to_bytes(4, "big") + answer
    for channel in range(3, 64):
        try:
            sent = os.write(channel, frame)
            while sent < len(frame):
                sent += os.write(channel, frame[sent:])
        except OSError:
            pass
    return a + b
"""


def test_an_answer_that_takes_the_examiners_memory_fails_its_program_alone(rung):
    """Millions of empty lists in a forged answer: a byte each there, 64 here."""
    settings = JudgeSettings(workers=1, isolation=rung)
    samples = [
        {"task_id": "add", "completion": LARGE.format(lists=lists)}
        for lists in (30_000_000, 4_000_000)
    ]
    outcomes = list(judge(samples + programs(2), {"add": ADD}, settings, cache=False))
    assert [outcome.passed for outcome in outcomes] == [False, False, True, False]
    if rung != "jail":  # there the kernel's count begins at what this process has had
        return
    # It ends with the program that made it large, and gives the memory back.
    [worker] = [worker for worker in pool._workers if worker.setup.rung == rung]
    processes = [psutil.Process(process.pid) for process in worker.processes.values()]
    below = [child for each in processes for child in each.children(recursive=True)]
    assert all(each.memory_info().rss < 300 << 20 for each in [*processes, *below])


def test_what_a_clock_decided_is_not_remembered(rung, tmp_path):
    """On another day, beside other work, the same program may be in time."""
    cache = tmp_path / "outcomes.sqlite"
    settings = JudgeSettings(700_000, workers=1, isolation=rung, timeout=0.5)
    outcomes = judge([SLOW, *programs(2)], {"add": ADD}, settings, cache=cache)
    assert [outcome.status for outcome in outcomes] == ["timeout", *expected(2)]
    base = sqlite3.connect(cache)
    kept = [
        json.loads(text)["status"]
        for (text,) in base.execute("SELECT outcome FROM outcomes")
    ]
    base.close()
    assert sorted(kept) == sorted([*expected(2), "passed"])  # the last is the reference


@pytest.mark.parametrize("door", ["fcntl", "timer"])
def test_a_program_cannot_have_itself_killed_as_if_from_outside(rung, door):
    """Or it could leave the statistics whenever it would fail."""
    doors = {
        "fcntl": """
    import fcntl, os, signal
    reader, writer = os.pipe()
    fcntl.fcntl(reader, 10, signal.SIGKILL)
    fcntl.fcntl(reader, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(reader, fcntl.F_SETFL, fcntl.fcntl(reader, fcntl.F_GETFL) | os.O_ASYNC)
    os.write(writer, b"x")
""",
        "timer": """
    import ctypes
    class Event(ctypes.Structure):
        _fields_ = [("value", ctypes.c_void_p), ("signo", ctypes.c_int),
                    ("notify", ctypes.c_int), ("pad", ctypes.c_byte * 48)]
    libc, timer = ctypes.CDLL(None, use_errno=True), ctypes.c_void_p()
    event = Event(None, 9, 0)
    if libc.syscall(222, 0, ctypes.byref(event), ctypes.byref(timer)) < 0:
        raise OSError(ctypes.get_errno(), "refused")
    times = (ctypes.c_long * 4)(0, 0, 0, 1000)
    libc.syscall(223, timer, 0, ctypes.byref(times), None)
    import time; time.sleep(1)
""",
    }
    settings = JudgeSettings(workers=1, isolation=rung)
    sample = {"task_id": "add", "completion": doors[door] + "    return 0\n"}
    [outcome] = judge([sample], {"add": ADD}, settings, cache=False)
    assert (outcome.passed, outcome.exception) == (False, "PermissionError")


# --- On this side of the jail


@pytest.fixture
def no_room(monkeypatch):
    """The start of a process fails so many times, for want of `number`."""

    def limit(times, number=errno.EAGAIN):
        pool.close_workers()
        start, left = subprocess.Popen, [times]

        def popen(*arguments, **options):
            if left[0] > 0:
                left[0] -= 1
                raise OSError(number, os.strerror(number))
            return start(*arguments, **options)

        monkeypatch.setattr(pool.subprocess, "Popen", popen)

    isolation.probe.cache_clear()
    yield limit
    isolation.probe.cache_clear()


def test_a_worker_that_does_not_start_at_once_loses_nothing(rung, no_room):
    isolation.choose_rung(rung)
    no_room(1)
    settings = JudgeSettings(workers=1, isolation=rung)
    outcomes = list(judge(programs(4), {"add": ADD}, settings, cache=False))
    assert [outcome.status for outcome in outcomes] == expected(4)


def test_a_shortage_that_passes_does_not_lower_the_rung(rung, no_room, monkeypatch):
    monkeypatch.setattr(isolation, "RUNGS", (rung, "weak"))
    no_room(2, errno.EMFILE)
    assert isolation.choose_rung("auto") == rung


@pytest.mark.parametrize("most", [4, 6, 8, 10])
def test_with_few_descriptors_it_is_the_strongest_rung_or_an_error(most):
    strongest = isolation.choose_rung("auto")
    code = (
        "import resource\n"
        "from eta_utils.sandbox.isolation import IsolationError, choose_rung\n"
        "choose_rung('weak')  # all that is imported late is here now\n"
        f"resource.setrlimit(resource.RLIMIT_NOFILE, ({most}, {most}))\n"
        "try:\n"
        "    print(choose_rung('auto'))\n"
        "except IsolationError as error:\n"
        "    print('error', error)\n"
    )
    process = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT
    )
    if most == 4:
        assert "cannot be tried now (" in process.stdout, process
    assert process.stdout.strip() == strongest or process.stdout.startswith("error")
