"""How does judging scale with workers, and with the share of slow programs?

    python -m tests.execution.bench_scaling        (3 minutes on 2 cores)

Measures what a program costs on 2 workers of the local pool, traced, nothing cached;
simulates the dispatcher with these costs for more workers; judges mixes for real, to check
that.  Slow are endless loops: those that steps stop, and native ones that a clock stops.

In the simulation a worker is a core, and the dispatcher one process that spends processor
time on each program, in turn.  Left out: the network, cores that slow each other down,
workers that start or die, sleepers (the wall clock stops them), memory; and in the tables
of a million programs the references, which run once per task.
"""

from __future__ import annotations

import heapq
import itertools
import random
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from statistics import fmean
from typing import NamedTuple

from eta_utils.execution import JudgeSettings, judge
from eta_utils.execution.cache import OutcomeCache
from eta_utils.execution.dispatch import AHEAD, BATCH, BEHIND, FAR_BATCH, Dispatcher
from eta_utils.sandbox import pool
from eta_utils.tasks import load_tasks
from tests.execution.bench_judge import choose_samples

SHARES, CHECKED = (0.0, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2), (0.0, 0.01, 0.05, 0.2)
FARMS, HERE = (2, 64, 4096), 2  # workers simulated, workers of what is measured
USUAL, MILLION = 480, 1_000_000  # programs of the check, programs simulated
SLOW = {"budget": "x = 0\n    while True:\n        x += 1", "clock": "sum(range(10**13))"}
SHORT = JudgeSettings(timeout=1.0)
TASKS = load_tasks("humaneval")
COLUMNS = f"""A million programs: a second, and how much of the workers' time is used.
A: batches of {BATCH}, all handed out at once.  B: {AHEAD} for each worker not taken back.
C: as `dispatch` does it, with its own time.  D: C with {FAR_BATCH} to a batch (Dask)."""
PRICES = "A million programs: hours, core-hours of workers, as D; last by 64 judges of 64."


def simulate(
    seconds: Sequence[float],
    workers: int,
    *,
    ahead: int | None = AHEAD,
    behind: int = BEHIND,
    size: int = BATCH,
    per_program: float = 0.0,
) -> float:
    """The seconds until all programs are judged, given what each takes a worker.

    As `dispatch.Dispatcher` does it: programs are cut into batches of `size` and handed out
    in order, to whichever worker falls free, while no more than `ahead` for each worker are
    unfinished (None: all at once) and no more than `behind` times as many wait to be taken
    back in order.  The dispatcher spends `per_program` on each before its batch leaves.
    """
    batches = [seconds[at : at + size] for at in range(0, len(seconds), size)]
    room = len(batches) + 1 if ahead is None else ahead * workers
    free = [0.0] * workers  # when each worker falls free, a heap
    unfinished: list[float] = []  # when each batch that is out ends, a heap
    taken = [0.0]  # when all up to a batch have been taken back
    clock = 0.0  # the dispatcher's
    for number, batch in enumerate(batches):
        if len(unfinished) >= room:
            clock = max(clock, heapq.heappop(unfinished))
        oldest = number - behind * room
        if oldest >= 0:
            clock = max(clock, taken[oldest + 1])
        clock += len(batch) * per_program
        end = max(clock, free[0]) + sum(batch)
        heapq.heapreplace(free, end)
        heapq.heappush(unfinished, end)
        taken.append(max(taken[-1], end))
    return taken[-1]


def mix(usual: Sequence, slow: Sequence, share: float) -> list:
    """`usual` with `share` of its items, drawn at random, replaced by slow ones."""
    mixed = list(usual)
    places = random.Random(1).sample(range(len(mixed)), round(share * len(mixed)))
    for turn, place in enumerate(places):
        mixed[place] = slow[turn % len(slow)]
    return mixed


class Stopwatch(pool.Worker):
    """A worker that notes how long each job kept it, from the sending of its batch."""

    noted: dict[tuple, float] = {}  # all workers', by job

    def send(self, batch: pool.Batch, jobs: list[dict]) -> None:
        self._coming, self._since = iter(jobs), time.perf_counter()
        super().send(batch, jobs)

    def receive(self, wall_seconds: float) -> dict:
        raw = super().receive(wall_seconds)
        job, now = next(self._coming), time.perf_counter()
        self.noted[job["trusted"], job["program"].rstrip("\n")] = now - self._since
        self._since = now
        return raw


class Timing(NamedTuple):
    """What one call of `judge` took, in seconds."""

    wall: float
    processor: float  # of this process
    programs: list[float]  # of a worker, in order
    statuses: list[str]
    references: list[float]


def time_judge(samples: list[dict]) -> Timing:
    """Judge samples that are all different, on HERE workers, under the limits SHORT."""
    Stopwatch.noted.clear()
    wall, processor = time.perf_counter(), time.process_time()
    outcomes = list(judge(samples, TASKS, replace(SHORT, workers=HERE), cache=False))
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    programs = [Stopwatch.noted[False, _text(sample)] for sample in samples]
    references = [taken for key, taken in Stopwatch.noted.items() if key[0]]
    statuses = [outcome.status for outcome in outcomes]
    return Timing(wall, processor, programs, statuses, references)


def usual_samples(count: int) -> list[dict]:
    """Real samples in random order, no two of which are one job to the judge."""
    samples = {_text(sample): sample for sample in choose_samples(count + count // 20)}
    return random.Random(0).sample(list(samples.values())[:count], count)


def slow_samples(kind: str, count: int) -> list[dict]:
    """Slow programs, each different by a comment, for one task after another."""
    text = "def {}(*given):  # {}\n    {}\n"
    return [
        {"task_id": name, "solution": text.format(TASKS[name].entry_point, n, SLOW[kind])}
        for n, name in enumerate(itertools.islice(itertools.cycle(TASKS), count))
    ]


def _text(sample: dict) -> str:
    return TASKS[sample["task_id"]].program(sample).rstrip("\n")


def measure() -> dict[str, list[float]]:
    """Seconds of a worker by kind of program; `clock` under SHORT, and by default."""
    time_judge(usual_samples(len(TASKS)))  # starts the workers
    usual = time_judge(usual_samples(10 * len(TASKS)))
    seen = {"usual": usual.programs, "reference": usual.references}
    for kind in SLOW:
        seen[kind] = time_judge(slow_samples(kind, HERE * BATCH)).programs
    real = zip(usual.programs, usual.statuses, strict=True)
    seen["budget, of the usual ones"] = [
        seconds for seconds, status in real if status == "budget"
    ]
    longer = JudgeSettings().timeout - SHORT.timeout  # undisturbed
    seen["clock, default limits"] = [min(seen["clock"]) + longer]
    row("program", "seen", "mean", "longest", title="Seconds of a worker:")
    for name, times in seen.items():
        if times:
            row(name, f"{len(times):,}", f"{fmean(times):.4f}", f"{max(times):.3f}")
    return seen


def measure_dispatcher() -> float:
    """Processor time that the judging process takes for a program, printed."""
    few, many = (time_judge(usual_samples(n * len(TASKS))).processor for n in (1, 11))
    per_program = (many - few) / (10 * len(TASKS))
    print(f"\nThe judging process takes {per_program * 1e3:.3f} ms for a program.")
    return per_program


def check(costs: dict[str, list[float]], per_program: float) -> None:
    """The same mixes judged and simulated: from the costs of the usual ones alone and the
    slow ones alone, measured before, and from the costs of the very run."""
    samples = usual_samples(USUAL)
    names = "judged, s", "simulated, s", "ratio", "from its own costs, s", "ratio"
    row("slow", "share", *names, title=f"{USUAL} programs and their references, here:")
    for kind, share in itertools.product(SLOW, CHECKED):
        known = time_judge(samples)
        run = time_judge(mix(samples, slow_samples(kind, USUAL), share))
        before = known.references + mix(known.programs, costs[kind], share)
        ways = before, run.references + run.programs
        taken = [simulate(seconds, HERE, per_program=per_program) for seconds in ways]
        cells = (cell for seconds in taken for cell in (seconds, run.wall / seconds))
        row(kind, f"{share:.1%}", *(f"{cell:.2f}" for cell in (run.wall, *cells)))


class Sleepers(ThreadPoolExecutor):
    """Workers that sleep for as long as a program is said to take them."""

    def submit(self, _function: object, batch: pool.Batch) -> Future:
        """As `concurrent.futures` has it."""
        return super().submit(self._sleep, [float(job["program"]) for job in batch.jobs])

    def _sleep(self, seconds: list[float]) -> list[dict]:
        time.sleep(sum(seconds))
        return [{"status": "passed"}] * len(seconds)


def check_many(workers: int = 64, count: int = 10_000) -> None:
    """The real dispatcher with more workers than there are cores: they sleep."""
    names = "took, s", "simulated, s", "ratio", "B, s"
    row(
        "slow",
        *names,
        title=f"{count:,} programs of 10 ms, some of 2 s, {workers} workers:",
    )
    for share in (0.0, 0.005, 0.01, 0.05):
        usual = [0.01 + number * 1e-9 for number in range(count)]  # no two are one job
        seconds = mix(usual, [2 + number * 1e-6 for number in range(count)], share)
        jobs = ({"task_id": "", "program": repr(taken)} for taken in seconds)
        start = time.perf_counter()
        with (
            Sleepers(workers) as executor,
            OutcomeCache(None) as known,
            Dispatcher(executor, lambda: workers, "", BATCH) as dispatcher,
        ):
            assert sum(1 for _ in dispatcher.run(jobs, {"": ({}, "")}, known)) == count
            took = time.perf_counter() - start
        simulated, earlier = (simulate(seconds, workers, behind=n) for n in (BEHIND, 1))
        cells = took, simulated, took / simulated, earlier
        row(f"{share:.1%}", *(f"{cell:.2f}" for cell in cells))


def millions(costs: dict, shares: Iterable[float]) -> Iterator[tuple[str, float, list]]:
    """(Kind, share, seconds of a million programs): usual ones drawn, slow ones a mean."""
    usual = random.Random(0).choices(costs["usual"], k=MILLION)
    real = costs["budget, of the usual ones"] or costs["budget"]
    slow = {"budget": real, "clock": costs["clock, default limits"]}
    yield "none", 0.0, usual
    for kind, share in itertools.product(slow, filter(None, shares)):
        yield kind, share, mix(usual, [fmean(slow[kind])], share)


def show_throughput(costs: dict, per_program: float) -> None:
    """Programs per second and efficiency, as one bottleneck after another is added."""
    row("slow", "share", "workers", *"ABCD", title=COLUMNS)
    spent = {"per_program": per_program}
    ways = {"ahead": None}, {"behind": 1}, spent, spent | {"size": FAR_BATCH}
    for kind, share, seconds in millions(costs, SHARES):
        for workers in FARMS:
            taken = [simulate(seconds, workers, **how) for how in ways]
            used = sum(seconds) / workers
            cells = (f"{MILLION / wall:,.0f}, {used / wall:.0%}" for wall in taken)
            row(kind, f"{share:.1%}", f"{workers:,}", *cells)


def show_price(costs: dict, per_program: float) -> None:
    """Wall time and core-hours of a million programs."""
    farms = {(1, 1): "1", (64, 1): "64", (4096, 1): "4,096", (64, 64): "64 times 64"}
    row("slow", "share", *farms.values(), title=PRICES)
    for kind, share, seconds in millions(costs, CHECKED):
        cells = []
        for workers, parts in farms:
            shared = (seconds[part::parts] for part in range(parts))
            size = BATCH if workers == 1 else FAR_BATCH
            how = {"per_program": per_program, "size": size}
            taken = max(simulate(part, workers, **how) for part in shared)
            cells.append(f"{taken / 3600:.3f}, {taken / 3600 * workers * parts:.2f}")
        row(kind, f"{share:.1%}", *cells)


def row(*cells: str, title: str = "") -> None:
    """Print a line of a table; with a title, its first."""
    lines = ["", title, "", cells, ["---"] * len(cells)] if title else [cells]
    for line in lines:
        print(line if isinstance(line, str) else f"| {' | '.join(line)} |", flush=True)


def main() -> None:
    pool.Worker = Stopwatch
    costs, per_program = measure(), measure_dispatcher()
    check(costs, per_program)
    check_many()
    show_throughput(costs, per_program)
    show_price(costs, per_program)


if __name__ == "__main__":
    main()
