"""Workers die, and nothing is lost; they are ended, and nothing is left."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest

from eta_utils.execution import JudgeSettings, judge
from eta_utils.sandbox.pool import Worker
from tests.conftest import ADD


def processes_of(worker):
    return {process.pid for process in worker.processes}


def test_closing_a_worker_leaves_no_process_and_no_folder(rung):
    worker = Worker(rung)
    folder, pids = worker.site.folder, processes_of(worker)
    assert folder.exists()
    worker.close()
    assert not folder.exists()
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_workers_that_are_killed_mid_batch_lose_nothing():
    samples = [
        {"task_id": "add", "completion": f"    x = {number}\n    return a + b\n"}
        for number in range(1_500)
    ]
    killed = []

    def kill_all_workers():
        for _ in range(3):
            time.sleep(0.9)  # longer than a worker takes to start
            children = subprocess.run(
                # Ours alone: other judges may be at work here.
                ["pgrep", "-P", str(os.getpid()), "-f", "eta_utils.sandbox.examiner"],
                capture_output=True,
                text=True,
            )
            for pid in map(int, children.stdout.split()):
                os.kill(pid, signal.SIGKILL)
                killed.append(pid)

    killer = threading.Thread(target=kill_all_workers)
    killer.start()
    outcomes = list(judge(samples, {"add": ADD}, JudgeSettings(workers=2), cache=False))
    killer.join()
    assert killed
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
    before = len(os.listdir("/proc"))
    outcomes = list(judge(samples, {"add": ADD}, JudgeSettings(workers=2), cache=False))
    assert {outcome.status for outcome in outcomes} == {"passed"}
    assert len(os.listdir("/proc/self/fd")) == descriptors
    assert abs(len(os.listdir("/proc")) - before) < 10
    for scratch in Path("/tmp").glob("eta-sandbox-*/scratch"):
        assert len(list(scratch.iterdir())) <= 1
