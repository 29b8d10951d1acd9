"""Jobs go out while a slow one is waited for, and come back in order, within bounds."""

from __future__ import annotations

import io
import itertools
import threading
import time
from concurrent.futures import Executor, Future, ThreadPoolExecutor

import pytest
from tqdm import tqdm

from eta_utils.execution import dispatch
from eta_utils.execution.cache import OutcomeCache
from eta_utils.execution.dispatch import AHEAD, BEHIND, Dispatcher
from eta_utils.sandbox.channel import LARGEST_FRAME
from eta_utils.sandbox.jail import Setup

SIZE, WORKERS, SETUP = 4, 2, Setup("weak")
DESCRIBED = {"task": (b"", "digest")}


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

    def run(executor, count, described=DESCRIBED, padding="", **how):
        jobs = ({"task_id": "task", "program": f"{n}{padding}"} for n in range(count))
        with (
            OutcomeCache(None) as known,
            Dispatcher(executor, lambda: WORKERS, SETUP, SIZE) as dispatcher,
        ):
            for raw in dispatcher.run(jobs, described, known, **how):
                yield raw.get("program", raw)

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
    waited_for(lambda: len(executor.sent) == BEHIND * AHEAD * WORKERS)
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


def waited_for(condition, seconds=60):
    """Whether a condition holds before so many seconds are over."""
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return condition()


def done_at_once(_number, future, outcomes):
    future.set_result(outcomes)


def test_a_batch_holds_no_more_text_than_a_frame(outcomes_of):
    executor, padding = Recorded(done_at_once), " " * (LARGEST_FRAME // 3)
    assert len(list(outcomes_of(executor, 5, padding=padding))) == 5
    assert [len(outcomes) for _, outcomes in executor.sent] == [2, 2, 1]
    # The task travels with each batch, so it counts, once.
    large = {"task": (b"t" * (LARGEST_FRAME // 2), "digest")}
    executor, padding = Recorded(done_at_once), " " * (LARGEST_FRAME // 5)
    assert len(list(outcomes_of(executor, 4, large, padding))) == 4
    assert [len(outcomes) for _, outcomes in executor.sent] == [2, 2]


def test_what_is_larger_than_a_frame_is_not_sent(outcomes_of):
    executor = Recorded(done_at_once)
    [raw] = outcomes_of(executor, 1, padding="é" * (LARGEST_FRAME // 2 + 1))
    assert raw["status"] == "judge_error"
    assert raw["message"] == "the program is larger than 32 MiB"
    large = {"task": (b"t" * (LARGEST_FRAME + 1), "digest")}
    [raw] = outcomes_of(executor, 1, large)
    assert "its test" in raw["message"] and "larger than 32 MiB" in raw["message"]
    assert executor.sent == []


def test_a_bar_counts_what_has_come_though_the_first_has_not(outcomes_of, monkeypatch):
    monkeypatch.setattr(dispatch, "BEAT", 0.01)
    drawn, count = io.StringIO(), 20

    def finish(number, future, outcomes):
        if number:
            future.set_result(outcomes)

    executor = Recorded(finish)
    bar = tqdm(total=count, desc="references", file=drawn, mininterval=60, leave=False)
    coming = outcomes_of(executor, count, most=1, bar=bar)
    consumer = threading.Thread(target=lambda: list(coming), daemon=True)
    consumer.start()
    seen = waited_for(lambda: "19/20" in drawn.getvalue())
    first, its_outcomes = executor.sent[0]
    first.set_result(its_outcomes)
    consumer.join(60)
    assert seen, drawn.getvalue()
    assert len(executor.sent) == count  # batches of one job
    assert (bar.n, bar.disable) == (count, True)  # it is closed


@pytest.mark.parametrize("change", ["python", "numpy", "memory", "code"])
def test_outcomes_of_another_judge_are_not_taken_from_the_cache(monkeypatch, change):
    before = dispatch.judge_digest()
    if change == "python":
        monkeypatch.setattr(dispatch.platform, "python_version", lambda: "3.99.0")
    elif change == "numpy":
        monkeypatch.setattr(dispatch.importlib.metadata, "version", lambda name: "9.9")
    elif change == "memory":
        monkeypatch.setattr(dispatch, "EXAMINER_MEMORY", 1)
    else:
        monkeypatch.setattr(dispatch, "PARTS", ("sandbox",))
    assert dispatch.judge_digest.__wrapped__() != before
