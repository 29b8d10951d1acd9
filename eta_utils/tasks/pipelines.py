'''The built-in task family: functions whose docstring numbers the steps to take.

>>> tasks = generate("test", 240, steps=(3, 5))
>>> print(next(iter(tasks.values())).prompt)
def solve(text):
    """
    1. skip the first 3 letters
    2. write in capitals
    3. cut to 6 letters
    """

Everything is drawn from a seed.  Difficulty is the number of steps.  Visible tests are for
pairs and rewards, hidden ones for evaluation.

A checksum of a prompt's text says which split it belongs to.  So splits share no prompt,
whatever their sizes and seeds.

`operations` has the steps, and `bugs` what can go wrong in them.  Two functions are the way
in: `generate` makes tasks, `noisy_corpus` makes the programs that a base model is trained
on.  The rest of the module follows in the order in which they use it.
'''

from __future__ import annotations

import random
import zlib
from collections.abc import Iterator, Sequence

from eta_utils.common.errors import BadInput
from eta_utils.tasks.bugs import corrupt
from eta_utils.tasks.operations import BY_SOURCE, SOURCES, Operation
from eta_utils.tasks.task import Task

ENTRY_POINT = "solve"
VISIBLE, HIDDEN = 5, 10  # asserts
MOST_DRAWS = 50  # for each task that is asked for: many are rejected
# Fraction of all prompts in each split, in hundredths.
SPLITS = {"corpus": 50, "sft": 10, "align": 20, "tune": 10, "test": 10}
# Words that share many letters, so that operations on letters and on order matter.
_WORDS = (
    "stone river tree sun oats nest barn rose corn sea ant otter rat seed north east tone "
    "star note arm ear cart soon torn area"
).split()


def generate(
    split: str, count: int, *, steps: tuple[int, int] = (3, 5), seed: int = 0
) -> dict[str, Task]:
    """`count` tasks of a split, equally many of each difficulty from steps[0] to steps[1].

    No two share a prompt.  Every step of a task matters: leaving it out changes the answer
    to some visible test.

    Raises BadInput where there are not so many.
    """
    rng = random.Random(f"{split} {seed}")  # text is hashed the same in every process
    levels = range(steps[0], steps[1] + 1)
    tasks: dict[str, Task] = {}
    seen: set[str] = set()
    draws = 0
    while len(tasks) < count:
        # In turn, and a rejected task does not lose its turn: the counts stay equal.
        difficulty = levels[len(tasks) % len(levels)]
        prompt, codes = _draw(split, difficulty, rng)
        draws += 1
        if draws > MOST_DRAWS * count:
            raise BadInput(
                f"split {split}: there are not {count} different tasks with {steps[0]} to "
                f"{steps[1]} steps; ask for fewer, or for more steps"
            )
        if prompt in seen:  # taken, or rejected before
            continue
        seen.add(prompt)
        name = f"pipelines/{split}/{len(tasks)}"
        task = _task_if_good(name, prompt, codes, split, rng)
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
    """Programs as the web has them: each step has a bug with probability `noise`.

    Yields dicts with `prompt`, `completion` and `bugs` (a list of kinds, empty for a
    program without any); with `with_tasks` also the `task`, whose solution has no bugs.
    """
    rng = random.Random(f"corpus {seed}")
    # A stream of its own, so that the programs are the same with tasks and without.
    inputs = random.Random(f"corpus inputs {seed}")
    for number in range(count):
        prompt, codes = _draw("corpus", rng.randint(*steps), rng)
        row: dict = {"prompt": prompt, "bugs": []}
        if with_tasks:
            name = f"pipelines/corpus/{number}"
            row["task"] = _task(name, prompt, codes, "corpus", _inputs(prompt, inputs))
        for step, code in enumerate(codes):
            if rng.random() < noise:
                codes[step], kind = corrupt(code, rng)
                row["bugs"].append(kind)
        yield row | {"completion": _body(prompt, codes)}


def split_of(prompt: str) -> str:
    """The split that this prompt belongs to."""
    hundredth = zlib.crc32(prompt.encode()) % 100
    for split, share in SPLITS.items():
        hundredth -= share
        if hundredth < 0:
            return split
    raise AssertionError("the shares of SPLITS add up to 100")


def _draw(split: str, difficulty: int, rng: random.Random) -> tuple[str, list[str]]:
    """(A prompt of this split, the code of each of its steps)."""
    while True:  # rejected until the checksum says this split
        source = rng.choice(SOURCES)
        chain = _chain(source, difficulty, rng)
        phrases, codes = zip(*(operation.drawn(rng) for operation in chain), strict=True)
        prompt = _prompt(source, phrases)
        if split_of(prompt) == split:
            return prompt, list(codes)


def _chain(source: str, length: int, rng: random.Random) -> list[Operation]:
    """`length` different operations, each taking what the one before leaves."""
    chain: list[Operation] = []
    while len(chain) < length:
        kind = chain[-1].target if chain else source
        fitting = [step for step in BY_SOURCE[kind] if step not in chain]
        if fitting:
            chain.append(rng.choice(fitting))
        else:  # a single value soon has nothing left that can be done to it: begin again
            chain = []
    return chain


def _prompt(source: str, phrases: Sequence[str]) -> str:
    """The function's `def` line and its docstring, which numbers the phrases."""
    numbered = [f"    {number}. {phrase}\n" for number, phrase in enumerate(phrases, 1)]
    quotes = '    """\n'
    return f"def {ENTRY_POINT}({source}):\n{quotes}{''.join(numbered)}{quotes}"


def _body(prompt: str, codes: Sequence[str]) -> str:
    """The codes, indented, and the return of the variable that they leave the answer in."""
    lines = [line for code in codes for line in code.split("\n")]
    answer = _answer_variable(prompt, codes)
    return "".join(f"    {line}\n" for line in (*lines, f"return {answer}"))


def _answer_variable(prompt: str, codes: Sequence[str]) -> str:
    """The variable of a source (`nums`, `text`, ...) that is assigned last.

    The function's argument where none is.
    """
    for code in reversed(codes):
        for line in reversed(code.split("\n")):
            name = line.strip().split(" ", 1)[0]
            if name in BY_SOURCE:
                return name
    return prompt[prompt.index("(") + 1 : prompt.index(")")]


def _task_if_good(
    name: str, prompt: str, codes: list[str], split: str, rng: random.Random
) -> Task | None:
    """The task with its tests; None where the tests would let a wrong program pass.

    They would where too few of the visible answers differ: a constant would then pass most
    asserts.  They also would where some step can be left out.
    """
    inputs = _inputs(prompt, rng)
    visible = _answers(prompt + _body(prompt, codes), inputs[:VISIBLE])
    if len(set(map(repr, visible))) < VISIBLE - 1:  # by repr: lists have no hash
        return None
    for step in range(len(codes)):
        shorter = prompt + _body(prompt, codes[:step] + codes[step + 1 :])
        if _answers(shorter, inputs[:VISIBLE]) == visible:
            return None
    return _task(name, prompt, codes, split, inputs)


def _task(
    name: str, prompt: str, codes: Sequence[str], split: str, inputs: Sequence[object]
) -> Task:
    """The task whose tests are the answers of its own codes to these inputs."""
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
    """Inputs for the visible tests, then for the hidden ones."""
    source = prompt[prompt.index("(") + 1 : prompt.index(")")]
    return [_input(source, rng) for _ in range(VISIBLE + HIDDEN)]


def _input(source: str, rng: random.Random) -> object:
    if source == "nums":
        return [rng.randint(-4, 15) for _ in range(rng.randint(5, 9))]
    words = [rng.choice(_WORDS) for _ in range(rng.randint(3, 6))]
    return words if source == "words" else " ".join(words)


def _answers(program: str, inputs: Sequence[object]) -> list:
    """What a program of our own answers; None where it fails.

    One with a step left out may fail.  It runs here and not in the sandbox, because it is
    made of this package's own lines.
    """
    space: dict = {}
    exec(compile(program, "<pipelines>", "exec"), space)
    answers = []
    for given in inputs:
        try:
            answers.append(space[ENTRY_POINT](given))
        except (TypeError, NameError, AttributeError, ValueError):
            answers.append(None)
    return answers


def _check(inputs: Sequence[object], answers: Sequence[object]) -> str:
    """A test with an assert for each input."""
    lines = [
        f"    assert candidate({given!r}) == {answer!r}\n"
        for given, answer in zip(inputs, answers, strict=True)
    ]
    return f"def check(candidate):\n{''.join(lines)}"
