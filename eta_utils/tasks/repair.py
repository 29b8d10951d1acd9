'''Repair: given a program that fails, and what it did, write the function again.

>>> print(as_repair(task, ["assert solve([3]) == 4 fails"]).prompt)
def solve(nums):
    """
    1. add 1 to each number
    2. sum up
    """
    nums = [n - 1 for n in nums]
    value = sum(nums)
    return value

# wrong: assert solve([3]) == 4 fails
def solve(nums):

As in HumanEvalFix (Muennighoff et al. 2023, arXiv 2308.07124), the program that is judged
is the whole text, in which the second definition replaces the first.

`study.tasks` executes the buggy programs; the notes come from their outcomes.
'''

from __future__ import annotations

import random
import textwrap
from collections.abc import Sequence
from dataclasses import replace

from eta_utils.tasks.asserts import assert_texts
from eta_utils.tasks.bugs import corrupt
from eta_utils.tasks.functions import last_signature
from eta_utils.tasks.task import Task

MOST_STATES = 4  # of the buggy program, shown in the prompt
# What the prompt says of the buggy program: that it is wrong; also which assert fails, and
# what it raised; also the first states of its variables.
REPAIRS = ("told", "tested", "traced")


def as_repair(task: Task, notes: Sequence[str] = ()) -> Task:
    """The task of repairing `task.buggy_solution`, with a comment for each of `notes`.

    Without notes the comment still says that the program is wrong.
    """
    comments = "".join(f"# {note}\n" for note in notes or ["wrong"])
    buggy = f"{task.prompt}{task.buggy_solution}".rstrip("\n")
    return replace(task, prompt=f"{buggy}\n\n{comments}{last_signature(task.prompt)}")


def notes_on(
    task: Task,
    first_failed: int | None,
    exception: str | None,
    states: Sequence[tuple[int, str, str]],
) -> list[str]:
    """What a failing program did, in a few words, as notes of one line each.

    `first_failed` is the number of the first assert that fails.  `exception` is what the
    program raised.  `states` are the states (line, variable, value) of its variables in
    that assert; the first `MOST_STATES` become notes.
    """
    notes = []
    texts = assert_texts(task.test)
    if first_failed is not None and first_failed < len(texts):
        text = texts[first_failed]
        notes.append(f"wrong: {text.replace('candidate', task.entry_point)}")
    if exception:
        notes.append(exception)
    notes += [
        f"line {line}: {name} = {value}" for line, name, value in states[:MOST_STATES]
    ]
    return [" ".join(note.split()) for note in notes]


def with_bugs(task: Task, count: int, rng: random.Random) -> list[Task]:
    """Up to `count` copies of a built-in task, each with its own `buggy_solution`.

    The bug is in the lines before the reference's one `return`.  It need not show: some
    such programs pass.
    """
    *lines, answer = textwrap.dedent(task.canonical_solution).rstrip("\n").split("\n")
    copies: dict[str, Task] = {}  # by text: the same bug is not told twice
    for _ in range(count):
        broken, _ = corrupt("\n".join(lines), rng)
        text = textwrap.indent(f"{broken}\n{answer}\n", "    ")
        # What does not compile could not be repaired: the answer stands in the same text.
        if _compiles(task.prompt + text):
            copies.setdefault(text, replace(task, buggy_solution=text))
    return list(copies.values())


def _compiles(program: str) -> bool:
    try:
        compile(program, "<buggy>", "exec")
    except SyntaxError:
        return False
    return True
