"""Hidden tests for a task that has none: its first asserts stay visible, the rest hide.

>>> task = in_halves(load_tasks("humaneval")["HumanEval/0"])
>>> task.test, task.hidden_test       # 3 asserts, 4 asserts

Leaves out: tests that are not statements of `check` itself (a loop around asserts counts as
one assert).
"""

from __future__ import annotations

import ast
from dataclasses import replace

from eta_utils.tasks.task import Task

LEAST = 4  # asserts: with fewer a half says too little


def in_halves(task: Task) -> Task | None:
    """The task with the first half of its asserts as `test`, rounded down, and the others
    as `hidden_test`; None where `check` has fewer than `LEAST`.

    Statements of `check` that hold no assert stay in both halves.  Asserts that hold for
    every program (`assert True`) are left out.
    """
    tree = ast.parse(task.test)
    check = next(
        node
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and node.name == "check"
    )
    numbered = [index for index, node in enumerate(check.body) if _tests(node)]
    if len(numbered) < LEAST:
        return None
    half = len(numbered) // 2
    body = list(check.body)
    texts = []
    for kept in (numbered[:half], numbered[half:]):
        check.body = [
            node for index, node in enumerate(body) if index in kept or not _asserts(node)
        ]
        texts.append(ast.unparse(tree) + "\n")
    return replace(task, test=texts[0], hidden_test=texts[1])


def _asserts(statement: ast.stmt) -> list[ast.Assert]:
    return [node for node in ast.walk(statement) if isinstance(node, ast.Assert)]


def _tests(statement: ast.stmt) -> bool:
    """Whether some assert of the statement says something about the program."""
    return any(
        isinstance(part, ast.Name)
        for each in _asserts(statement)
        for part in ast.walk(each.test)
    )
