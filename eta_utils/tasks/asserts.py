"""The asserts of a task's test, as text: what each says about a program.

>>> assert_texts("def check(candidate):\n    assert candidate(1) == 2\n")
['assert candidate(1) == 2']

In the order in which the judge counts them.  Leaves out: asserts that hold for every
program (`assert True`), which are not counted.
"""

from __future__ import annotations

import ast


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
