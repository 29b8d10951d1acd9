"""Jobs go out while a slow one is waited for, and come back in order, within bounds."""

from __future__ import annotations

import itertools
import threading
import time
from concurrent.futures import Executor, Future, ThreadPoolExecutor

import pytest

from eta_utils.execution import dispatch
from eta_utils.execution.cache import OutcomeCache
from eta_utils.execution.dispatch import AHEAD, BEHIND, Dispatcher

SIZE, WORKERS = 4, 2
DESCRIBED = {"task": ({}, "digest")}


def outcome_of(job):
    return {"status": "passed", "program": job["program"]}


class Recorded(Executor):
    """Does nothing but note each batch; `finish` says what became of it."""

    def __init__(self, finish):
        self.finish, self.sent = finish, []

    def submit(self, _function, batch):
        future = Future()
        self.sent.append((future, [outcome_of(job) for job in batch.jobs]))
        self.finish(len(self.sent) - 1, *self.sent[-1])
        return future


@pytest.fixture
def outcomes_of():
    """A function that runs so many jobs through an executor: their programs, in order."""

    def run(executor, count):
        jobs = ({"task_id": "task", "program": str(n)} for n in range(count))
        with (
            OutcomeCache(None) as known,
            Dispatcher(executor, lambda: WORKERS, "weak", known, SIZE) as dispatcher,
        ):
            for raw in dispatcher.run(jobs, DESCRIBED):
                yield raw["program"]

    return run


def test_others_go_out_while_the_first_batch_is_slow(outcomes_of):
    """As many as may wait behind it; all but it are finished at once."""

    def finish(number, future, outcomes):
        if number:
            future.set_result(outcomes)
        if number == BEHIND * AHEAD * WORKERS - 1:
            first, its_outcomes = executor.sent[0]
            first.set_result(its_outcomes)

    executor = Recorded(finish)
    count = 3 * BEHIND * AHEAD * WORKERS * SIZE
    assert list(outcomes_of(executor, count)) == [str(n) for n in range(count)]


def test_no_more_is_sent_than_may_wait_behind_a_batch_that_does_not_end(outcomes_of):
    def finish(number, future, outcomes):
        if number:
            future.set_result(outcomes)

    executor, programs = Recorded(finish), []
    consumer = threading.Thread(
        target=lambda: programs.extend(outcomes_of(executor, 10_000)), daemon=True
    )
    consumer.start()
    deadline = time.monotonic() + 60
    while len(executor.sent) < BEHIND * AHEAD * WORKERS and time.monotonic() < deadline:
        time.sleep(0.01)
    consumer.join(0.5)  # time to send what it must not
    assert len(executor.sent) == BEHIND * AHEAD * WORKERS
    assert not programs
    first, its_outcomes = executor.sent[0]
    first.set_result(its_outcomes)
    consumer.join(120)
    assert len(programs) == 10_000


def test_no_more_is_under_way_than_the_workers_can_take(outcomes_of):
    executor, most = Recorded(lambda *_: None), 0
    coming = outcomes_of(executor, 50 * SIZE)

    def answer():
        nonlocal most
        for number in itertools.count():
            while len(executor.sent) <= number and number < 50:
                time.sleep(0)  # let the other thread send
            if number == 50:
                return
            most = max(most, len(executor.sent) - number)
            future, outcomes = executor.sent[number]
            future.set_result(outcomes)

    answering = threading.Thread(target=answer)
    answering.start()
    assert len(list(coming)) == 50 * SIZE
    answering.join()
    assert most <= AHEAD * WORKERS


def test_a_batch_that_fails_ends_the_run_after_what_came_before(outcomes_of):
    def finish(number, future, outcomes):
        if number == 3:
            future.set_exception(RuntimeError("lost"))
        else:
            future.set_result(outcomes)

    executor, programs = Recorded(finish), []
    with pytest.raises(RuntimeError, match="lost"):
        for program in outcomes_of(executor, 1_000):
            programs.append(program)
    assert programs == [str(n) for n in range(3 * SIZE)]


def test_a_real_pool_in_any_order_gives_the_order_of_the_jobs(outcomes_of):
    class Pool(ThreadPoolExecutor):
        def submit(self, _function, batch):
            return super().submit(lambda: [outcome_of(job) for job in batch.jobs])

    with Pool(8) as pool:
        assert list(outcomes_of(pool, 5_000)) == [str(n) for n in range(5_000)]


@pytest.mark.parametrize("change", ["python", "numpy", "memory", "code"])
def test_outcomes_of_another_judge_are_not_taken_from_the_cache(monkeypatch, change):
    before = dispatch.judge_digest()
    if change == "python":
        monkeypatch.setattr(dispatch.platform, "python_version", lambda: "3.99.0")
    elif change == "numpy":
        monkeypatch.setattr(dispatch.importlib.metadata, "version", lambda name: "9.9")
    elif change == "memory":
        monkeypatch.setattr(dispatch, "MEMORY", 1)
    else:
        monkeypatch.setattr(dispatch, "PARTS", ("sandbox",))
    assert dispatch.judge_digest.__wrapped__() != before
