'''The built-in task family: functions whose docstring numbers the steps to take.

>>> tasks = generate("test", 240, steps=(3, 5))
>>> print(next(iter(tasks.values())).prompt)
def solve(nums):
    """
    1. keep the even numbers
    2. add 3 to each number
    3. sum up
    """

Everything is drawn from a seed.  Difficulty is the number of steps.  A prompt belongs to
one split for ever (by a checksum of its text), so splits share no prompt whatever the sizes
and seeds.  Visible tests are for pairs and rewards, hidden ones for evaluation.

Leaves out: the operations themselves (`operations`) and their bugs (`bugs`).
'''

from __future__ import annotations

import random
import zlib
from collections.abc import Iterator, Sequence

from eta_utils.common.files import BadInput
from eta_utils.tasks.bugs import corrupt
from eta_utils.tasks.operations import BY_SOURCE, SOURCES, Operation
from eta_utils.tasks.task import Task

ENTRY_POINT = "solve"
VISIBLE, HIDDEN = 5, 10  # asserts
MOST_DRAWS = 50  # for each task that is asked for
# Share of all prompts in each split, in hundredths.
SPLITS = {"corpus": 50, "sft": 10, "align": 20, "tune": 10, "test": 10}
_WORDS = (
    "stone river tree sun oats nest barn rose corn sea ant otter rat seed north east tone "
    "star note arm ear cart soon torn area"
).split()


def generate(
    split: str, count: int, *, steps: tuple[int, int] = (3, 5), seed: int = 0
) -> dict[str, Task]:
    """`count` tasks of a split, equally many of each difficulty from steps[0] to steps[1].

    No two share a prompt, and every step of a task matters: leaving one out changes the
    answer to some visible test.  Raises BadInput where there are not so many.
    """
    rng = random.Random(f"{split} {seed}")
    levels = range(steps[0], steps[1] + 1)
    tasks: dict[str, Task] = {}
    seen: set[str] = set()
    draws = 0
    while len(tasks) < count:
        difficulty = levels[len(tasks) % len(levels)]
        prompt, codes = _drawn(split, difficulty, rng)
        draws += 1
        if draws > MOST_DRAWS * count:
            raise BadInput(
                f"split {split}: there are not {count} different tasks with {steps[0]} to "
                f"{steps[1]} steps; ask for fewer, or for more steps"
            )
        if prompt in seen:
            continue
        seen.add(prompt)
        name = f"pipelines/{split}/{len(tasks)}"
        task = _tested(name, prompt, codes, split, rng)
        if task is not None:
            tasks[name] = task
    return tasks


def noisy_corpus(
    count: int,
    noise: float,
    *,
    steps: tuple[int, int] = (2, 5),
    seed: int = 0,
    with_tasks: bool = False,
) -> Iterator[dict]:
    """Programs as found on the web: each step carries a bug with probability `noise`.

    Yields `prompt`, `completion` and `bugs` (a list of kinds, empty for a clean program);
    where they are wanted also the `task`, with clean solution and visible tests.
    """
    rng = random.Random(f"corpus {seed}")
    inputs = random.Random(f"corpus inputs {seed}")  # the programs are the same without
    for number in range(count):
        prompt, codes = _drawn("corpus", rng.randint(*steps), rng)
        row: dict = {"prompt": prompt, "bugs": []}
        if with_tasks:
            name, given = f"pipelines/corpus/{number}", _inputs(prompt, inputs)
            row["task"] = _task(name, prompt, codes, "corpus", given)
        for step, code in enumerate(codes):
            if rng.random() < noise:
                codes[step], kind = corrupt(code, rng)
                row["bugs"].append(kind)
        yield row | {"completion": _body(prompt, codes)}


def split_of(prompt: str) -> str:
    """The split that this prompt belongs to."""
    bucket = zlib.crc32(prompt.encode()) % 100
    for split, share in SPLITS.items():
        bucket -= share
        if bucket < 0:
            return split
    raise AssertionError("the shares of SPLITS add up to 100")


def _drawn(split: str, difficulty: int, rng: random.Random) -> tuple[str, list[str]]:
    """A prompt of this split, and the code of each of its steps."""
    while True:
        source = rng.choice(SOURCES)
        chain = _chain(source, difficulty, rng)
        phrases, codes = zip(*(each.drawn(rng) for each in chain), strict=True)
        prompt = _prompt(source, phrases)
        if split_of(prompt) == split:
            return prompt, list(codes)


def _chain(source: str, length: int, rng: random.Random) -> list[Operation]:
    """Different operations, each taking what the one before leaves."""
    chain: list[Operation] = []
    while len(chain) < length:
        kind = chain[-1].target if chain else source
        fitting = [each for each in BY_SOURCE[kind] if each not in chain]
        # a single value soon has nothing left that can be done to it: begin again
        chain = [*chain, rng.choice(fitting)] if fitting else []
    return chain


def _prompt(source: str, phrases: Sequence[str]) -> str:
    numbered = [f"    {number}. {phrase}\n" for number, phrase in enumerate(phrases, 1)]
    quotes = '    """\n'
    return f"def {ENTRY_POINT}({source}):\n{quotes}{''.join(numbered)}{quotes}"


def _body(prompt: str, codes: Sequence[str]) -> str:
    """The codes, indented, and the return of what the last one assigns."""
    lines = [line for code in codes for line in code.split("\n")]
    answer = _returned(prompt, codes)
    return "".join(f"    {line}\n" for line in (*lines, f"return {answer}"))


def _returned(prompt: str, codes: Sequence[str]) -> str:
    for code in reversed(codes):
        for line in reversed(code.split("\n")):
            name = line.strip().split(" ", 1)[0]
            if name in BY_SOURCE:
                return name
    return prompt[prompt.index("(") + 1 : prompt.index(")")]


def _tested(
    name: str, prompt: str, codes: list[str], split: str, rng: random.Random
) -> Task | None:
    """The task with its tests; None where a step does not matter or answers are dull."""
    inputs = _inputs(prompt, rng)
    visible = _answers(prompt + _body(prompt, codes), inputs[:VISIBLE])
    if len(set(map(repr, visible))) < VISIBLE - 1:
        return None
    for step in range(len(codes)):
        shorter = prompt + _body(prompt, codes[:step] + codes[step + 1 :])
        if _answers(shorter, inputs[:VISIBLE]) == visible:
            return None
    return _task(name, prompt, codes, split, inputs)


def _task(
    name: str, prompt: str, codes: Sequence[str], split: str, inputs: Sequence[object]
) -> Task:
    body = _body(prompt, codes)
    answers = _answers(prompt + body, inputs)
    return Task(
        task_id=name,
        prompt=prompt,
        entry_point=ENTRY_POINT,
        test=_check(inputs[:VISIBLE], answers[:VISIBLE]),
        hidden_test=_check(inputs[VISIBLE:], answers[VISIBLE:]),
        canonical_solution=body,
        split=split,
        difficulty=len(codes),
    )


def _inputs(prompt: str, rng: random.Random) -> list[object]:
    source = prompt[prompt.index("(") + 1 : prompt.index(")")]
    return [_input(source, rng) for _ in range(VISIBLE + HIDDEN)]


def _input(source: str, rng: random.Random) -> object:
    if source == "nums":
        return [rng.randint(-4, 15) for _ in range(rng.randint(5, 9))]
    words = [rng.choice(_WORDS) for _ in range(rng.randint(3, 6))]
    return words if source == "words" else " ".join(words)


def _answers(program: str, inputs: Sequence[object]) -> list:
    """What our own program answers (None where it fails, as one with a step left out may).
    It runs here, unconfined: it is made of this package's own lines."""
    space: dict = {}
    exec(compile(program, "<pipelines>", "exec"), space)
    answers = []
    for each in inputs:
        try:
            answers.append(space[ENTRY_POINT](each))
        except (TypeError, NameError, AttributeError, ValueError):
            answers.append(None)
    return answers


def _check(inputs: Sequence[object], answers: Sequence[object]) -> str:
    lines = [
        f"    assert candidate({given!r}) == {answer!r}\n"
        for given, answer in zip(inputs, answers, strict=True)
    ]
    return f"def check(candidate):\n{''.join(lines)}"
