'''The built-in task family: functions whose docstring numbers the steps to take.

>>> tasks = generate("test", 240, steps=(3, 5))
>>> print(next(iter(tasks.values())).prompt)
def solve(nums):
    """
    1. keep the numbers above 1
    2. keep the odd numbers
    3. turn each number into text
    """

Everything is drawn from a seed.  Difficulty is the number of steps.  Visible tests are for
pairs and rewards, hidden ones for evaluation.

A checksum of the sequence of operations, whatever their numbers and letters, says which
split a task belongs to.  So no two splits share a sequence, whatever their sizes and seeds.
Single operations are free for all splits: there are only 46.

`operations` has the steps, `bugs` what can go wrong in them by chance, `misconceptions`
what goes wrong in them as a rule.  Two functions are the way in: `generate` makes tasks,
`noisy_corpus` makes the programs that a base model is trained on.  The rest of the module
follows in the order in which they use it.
'''

from __future__ import annotations

import random
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from eta_utils.common.errors import BadInput
from eta_utils.tasks.bugs import corrupt
from eta_utils.tasks.misconceptions import misconceived
from eta_utils.tasks.operations import BY_SOURCE, SOURCES, Operation
from eta_utils.tasks.task import Task

ENTRY_POINT = "solve"
VISIBLE, HIDDEN = 5, 10  # asserts
MOST_DRAWS = 50  # for each task that is asked for: many are rejected
MOST_CHAINS = 100_000  # for each draw: with few that fit, most chains are passed over
# Fraction of all sequences of operations in each split, in hundredths.
SPLITS = {"corpus": 50, "sft": 10, "align": 20, "tune": 10, "test": 10}
# Words that share many letters, so that operations on letters and on order matter.
_WORDS = (
    "stone river tree sun oats nest barn rose corn sea ant otter rat seed north east tone "
    "star note arm ear cart soon torn area"
).split()


class Step(NamedTuple):
    """An operation with its constants: a line of the docstring and what it stands for.

    `wrong` is the code of its misconception; None where it carries none.
    """

    phrase: str
    code: str
    wrong: str | None


def generate(
    split: str,
    count: int,
    *,
    steps: tuple[int, int] = (3, 5),
    seed: int = 0,
    misconceptions: int = 0,
    fewest: int = 0,
    most: int | None = None,
) -> dict[str, Task]:
    """`count` tasks of a split, equally many of each difficulty from steps[0] to steps[1].

    No two share a prompt.  Every step of a task matters: leaving it out changes the answer
    to some visible test.

    `misconceptions` is how many operations carry one in the corpus (see `misconceived`).  A
    task uses at least `fewest` and at most `most` of these (None: any number), and each
    matters: the misconception alone changes the answer to a visible and to a hidden test.

    Raises BadInput where there are not so many.
    """
    rng = random.Random(f"{split} {seed}")  # text is hashed the same in every process
    wrong_codes = misconceived(misconceptions)
    levels = range(steps[0], steps[1] + 1)
    tasks: dict[str, Task] = {}
    seen: set[str] = set()
    draws = 0
    while len(tasks) < count:
        # In turn, and a rejected task does not lose its turn: the counts stay equal.
        difficulty = levels[len(tasks) % len(levels)]
        prompt, drawn = _draw(split, difficulty, rng, wrong_codes, fewest, most)
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
        task = _task_if_good(name, prompt, drawn, split, rng)
        if task is not None:
            tasks[name] = task
    return tasks


def noisy_corpus(
    count: int,
    noise: float,
    *,
    steps: tuple[int, int] = (2, 5),
    seed: int = 0,
    misconceptions: int = 0,
    rate: float = 0.7,
    with_tasks: bool = False,
) -> Iterator[dict]:
    """Programs as the web has them: with bugs, and with misconceptions.

    A step whose operation is among the first `misconceptions` (see `misconceived`) has its
    misconception with probability `rate` and is right otherwise.  Any other has a random
    bug with probability `noise`.

    Yields dicts with `prompt`, `completion` and `bugs` (a list of kinds, empty for a
    program without any; a misconception is of the kind "misconception"); with `with_tasks`
    also the `task`, whose solution has no bugs.
    """
    rng = random.Random(f"corpus {seed}")
    # A stream of its own, so that the programs are the same with tasks and without.
    inputs = random.Random(f"corpus inputs {seed}")
    wrong_codes = misconceived(misconceptions)
    for number in range(count):
        prompt, drawn = _draw("corpus", rng.randint(*steps), rng, wrong_codes)
        codes = [step.code for step in drawn]
        row: dict = {"prompt": prompt, "bugs": []}
        if with_tasks:
            name = f"pipelines/corpus/{number}"
            given = _inputs(prompt, inputs)
            answers = _answers(prompt, codes, given)
            row["task"] = _task(name, prompt, codes, "corpus", given, answers)
        for place, step in enumerate(drawn):
            if step.wrong is not None:
                if rng.random() < rate:
                    codes[place] = step.wrong
                    row["bugs"].append("misconception")
            elif rng.random() < noise:
                codes[place], kind = corrupt(step.code, rng)
                row["bugs"].append(kind)
        yield row | {"completion": _body(prompt, codes)}


def split_of(chain: Sequence[Operation]) -> str | None:
    """The split that this sequence of operations belongs to; None for a single one."""
    if len(chain) < 2:
        return None
    # By the phrases with their places for constants, so that these make no difference.
    phrases = "\n".join(operation.phrase for operation in chain)
    hundredth = zlib.crc32(phrases.encode()) % 100
    for split, share in SPLITS.items():
        hundredth -= share
        if hundredth < 0:
            return split
    raise AssertionError("the shares of SPLITS add up to 100")


def _draw(
    split: str,
    difficulty: int,
    rng: random.Random,
    wrong_codes: Mapping[Operation, str],
    fewest: int = 0,
    most: int | None = None,
) -> tuple[str, list[Step]]:
    """(A prompt of this split, its steps: `fewest` to `most` with a misconception)."""
    most = difficulty if most is None else most
    for _ in range(MOST_CHAINS):
        source = rng.choice(SOURCES)
        chain = _chain(source, difficulty, rng, wrong_codes, most)
        if chain is None or split_of(chain) not in (split, None):
            continue
        if sum(operation in wrong_codes for operation in chain) >= fewest:
            steps = [_step(operation, wrong_codes, rng) for operation in chain]
            return _prompt(source, [step.phrase for step in steps]), steps
    raise BadInput(
        f"split {split}: no task of {difficulty} steps uses {fewest} to {most} of "
        f"{len(wrong_codes)} operations with a misconception; ask for other numbers"
    )


def _chain(
    source: str,
    length: int,
    rng: random.Random,
    wrong_codes: Mapping[Operation, str],
    most: int,
) -> list[Operation] | None:
    """`length` different operations, each taking what the one before leaves.

    Not more than `most` of them carry a misconception.  None where nothing fits any more: a
    single value soon has nothing left that can be done to it.
    """
    chain: list[Operation] = []
    kind, left = source, most
    while len(chain) < length:
        fitting = [step for step in BY_SOURCE[kind] if step not in chain]
        if not left:
            fitting = [step for step in fitting if step not in wrong_codes]
        if not fitting:
            return None
        chain.append(rng.choice(fitting))
        kind = chain[-1].target
        left -= chain[-1] in wrong_codes
    return chain


def _step(
    operation: Operation, wrong_codes: Mapping[Operation, str], rng: random.Random
) -> Step:
    """The operation with constants, the same in its code and in its misconception."""
    if operation in wrong_codes:
        return Step(*operation.drawn(rng, wrong_codes[operation]))
    return Step(*operation.drawn(rng), None)


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
    name: str, prompt: str, steps: Sequence[Step], split: str, rng: random.Random
) -> Task | None:
    """The task with its tests; None where the tests would let a wrong program pass.

    They would where too few of the visible answers differ: a constant would then pass most
    asserts.  They also would where some step can be left out, or where the misconception of
    one changes no visible or no hidden answer.
    """
    inputs = _inputs(prompt, rng)
    codes = [step.code for step in steps]
    # Most are rejected, and by the visible answers.  So the hidden ones wait.
    visible = _answers(prompt, codes, inputs[:VISIBLE])
    if len(set(map(repr, visible))) < VISIBLE - 1:  # by repr: lists have no hash
        return None
    for place in range(len(codes)):
        shorter = codes[:place] + codes[place + 1 :]
        if _answers(prompt, shorter, inputs[:VISIBLE]) == visible:
            return None
    hidden = _answers(prompt, codes, inputs[VISIBLE:])
    for place, step in enumerate(steps):
        if step.wrong is not None:
            wrong = [*codes[:place], step.wrong, *codes[place + 1 :]]
            answers = _answers(prompt, wrong, inputs)
            if answers[:VISIBLE] == visible or answers[VISIBLE:] == hidden:
                return None
    return _task(name, prompt, codes, split, inputs, visible + hidden)


def _task(
    name: str,
    prompt: str,
    codes: Sequence[str],
    split: str,
    inputs: Sequence[object],
    answers: Sequence[object],
) -> Task:
    """The task whose tests are the answers of its own codes to these inputs."""
    return Task(
        task_id=name,
        prompt=prompt,
        entry_point=ENTRY_POINT,
        test=_check(inputs[:VISIBLE], answers[:VISIBLE]),
        hidden_test=_check(inputs[VISIBLE:], answers[VISIBLE:]),
        canonical_solution=_body(prompt, codes),
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


def _answers(prompt: str, codes: Sequence[str], inputs: Sequence[object]) -> list:
    """What the program of these codes answers; None where it fails.

    One with a step left out may fail.  It runs here and not in the sandbox, because it is
    made of this package's own lines.
    """
    space: dict = {}
    exec(compile(prompt + _body(prompt, codes), "<pipelines>", "exec"), space)
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
