"""Hidden tests for a task that has none: its first asserts stay visible, the rest hide.

>>> task = in_halves(load_tasks("humaneval")["HumanEval/0"])
>>> task.test, task.hidden_test       # 3 asserts, 4 asserts

Leaves out: tests that are not statements of `check` itself (a loop around asserts counts as
one assert).
"""

from __future__ import annotations

import ast
from dataclasses import replace

from eta_utils.tasks.asserts import asserts_in, check_of, says_something
from eta_utils.tasks.task import Task

LEAST = 4  # asserts: with fewer a half says too little


def in_halves(task: Task) -> Task | None:
    """The task with the first half of its asserts as `test`, rounded down, and the others
    as `hidden_test`; None where `check` has fewer than `LEAST`.

    Statements of `check` that hold no assert stay in both halves.  Asserts that hold for
    every program (`assert True`) are left out.
    """
    tree = ast.parse(task.test)
    check = check_of(tree)
    numbered = [index for index, node in enumerate(check.body) if says_something(node)]
    if len(numbered) < LEAST:
        return None
    half = len(numbered) // 2
    body = list(check.body)
    texts = []
    for kept in (numbered[:half], numbered[half:]):
        check.body = [
            node for index, node in enumerate(body) if index in kept or not asserts_in(node)
        ]
        texts.append(ast.unparse(tree) + "\n")
    return replace(task, test=texts[0], hidden_test=texts[1])
