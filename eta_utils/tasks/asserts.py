"""The asserts of a task's test, as text: what each says about a program.

>>> assert_texts("def check(candidate):\n    assert candidate(1) == 2\n")
['assert candidate(1) == 2']

In the order in which the judge counts them.  Leaves out: asserts that hold for every
program (`assert True`), which are not counted.
"""

from __future__ import annotations

import ast
from dataclasses import replace

from eta_utils.tasks.task import Task


def check_of(tree: ast.Module) -> ast.FunctionDef:
    """The function `check` of a test.  Raises StopIteration where there is none."""
    return next(
        node
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and node.name == "check"
    )


def asserts_in(statement: ast.stmt) -> list[ast.Assert]:
    """Every assert within a statement, itself included."""
    return [node for node in ast.walk(statement) if isinstance(node, ast.Assert)]


def says_something(statement: ast.stmt) -> bool:
    """Whether some assert of the statement can fail: it has a name in it."""
    return any(
        isinstance(part, ast.Name)
        for each in asserts_in(statement)
        for part in ast.walk(each.test)
    )


def assert_texts(test: str) -> list[str]:
    """One text for each assert that is counted; a loop around asserts counts as one."""
    return [
        ast.unparse(statement)
        for statement in check_of(ast.parse(test)).body
        if says_something(statement)
    ]


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


MOST = 40


def counted(task: Task, most: int = MOST) -> Task:
    """The task with the last loop of its check, if it is over `inputs`, as asserts."""
    tree = ast.parse(task.test)
    check, rounds = check_of(tree), _rounds(tree)
    if not rounds or not isinstance(check.body[-1], ast.For):
        return task
    leaves = (ast.Break, ast.Continue, ast.Return)
    if any(isinstance(node, leaves) for node in ast.walk(check.body[-1])):
        return task
    loop = check.body.pop()
    step = f"def _step({_EACH}):\n    pass\n    return True\n"
    [function] = ast.parse(step).body
    unpack = ast.Assign([loop.target], ast.Name(_EACH, ast.Load()))
    function.body[:1] = [unpack, *loop.body]
    listed = ast.Assign(
        [ast.Name(_ALL, ast.Store())],
        ast.Call(ast.Name("list", ast.Load()), [loop.iter], []),
    )
    chosen = sorted({rounds * k // most for k in range(most)})
    asserts = ast.parse("\n".join(f"assert _step({_ALL}[{k}])" for k in chosen)).body
    check.body += [function, listed, *asserts]
    return replace(task, test=ast.unparse(ast.fix_missing_locations(tree)) + "\n")


_EACH, _ALL = "_each", "_all"


def _rounds(tree: ast.Module) -> int:
    """How many `inputs` the test has; 0 where it does not list them."""
    for node in ast.walk(tree):
        listed = isinstance(node, ast.Assign) and isinstance(node.value, ast.List)
        if listed and getattr(node.targets[0], "id", None) == "inputs":
            return len(node.value.elts)
    return 0
