"""The asserts of a task's test: as text, shared out in two halves, or made out of a loop.

>>> test = "def check(candidate):\\n    assert candidate(1) == 2\\n"
>>> assert_texts(test)
['assert candidate(1) == 2']

- `assert_texts`  what the asserts say, one text each, in the order in which the judge
                  counts them;
- `in_halves`     a task whose first half of asserts is visible and whose others are hidden;
- `counted`       a task whose test loops over its inputs, with an assert for each input;
- `together`      base asserts and a test that goes beyond them, as one test.

As in the judge (`sandbox.checks`), a top-level statement of `check` that holds asserts
counts as one.  An assert that passes for every program (`assert True`) does not count.
"""

from __future__ import annotations

import ast
import re
import textwrap
from dataclasses import replace

from eta_utils.tasks.task import Task

LEAST_ASSERTS = 4  # of a test that is halved: with fewer a half says too little
MOST_ROUNDS = 40  # of a loop that become asserts


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
        for node in asserts_in(statement)
        for part in ast.walk(node.test)
    )


def assert_texts(test: str) -> list[str]:
    """One text for each assert that counts; a loop around asserts is one text.

    Raises SyntaxError for a test that does not compile, StopIteration for one without
    `check`.
    """
    return [
        ast.unparse(statement)
        for statement in check_of(ast.parse(test)).body
        if says_something(statement)
    ]


def in_halves(task: Task) -> Task | None:
    """The task with the first half of its asserts as `test`, the others as `hidden_test`.

    An odd number is rounded down for the first half.  None where fewer than
    `LEAST_ASSERTS` count.  Statements of `check` without an assert stay in both halves;
    asserts that pass for every program are left out.
    """
    tree = ast.parse(task.test)
    check = check_of(tree)
    counting = [index for index, node in enumerate(check.body) if says_something(node)]
    if len(counting) < LEAST_ASSERTS:
        return None
    half = len(counting) // 2
    statements = list(check.body)
    texts = []
    for kept in (counting[:half], counting[half:]):
        check.body = [
            node
            for index, node in enumerate(statements)
            if index in kept or not asserts_in(node)
        ]
        texts.append(ast.unparse(tree) + "\n")
    return replace(task, test=texts[0], hidden_test=texts[1])


_CHECK = re.compile(r"^def check\(candidate\):\n", re.MULTILINE)


def together(base: str, plus: str) -> tuple[str, int]:
    """(One test of the asserts of `base` and then all of `plus`, which counts as one more;
    how many asserts `base` has).

    Raises ValueError where one does not define `check(candidate)`, SyntaxError where `base`
    does not compile.  The text of `plus`, which may be long, is not parsed.
    """
    if not (_CHECK.search(base) and _CHECK.search(plus)):
        raise ValueError("its test does not define check(candidate)")
    tree = ast.parse(base)
    check = check_of(tree)
    setting = "".join(f"{ast.unparse(node)}\n" for node in tree.body if node is not check)
    asserts = textwrap.indent("\n".join(map(ast.unparse, check.body)), "    ")
    # A function of its own keeps its variables apart from those of the base asserts.
    more = _CHECK.sub("def _plus(candidate):\n", plus, count=1)
    both = f"def check(candidate):\n{asserts}\n    assert _plus(candidate) is None\n"
    return f"{setting}{more}\n\n{both}", sum(map(says_something, check.body))


def counted(task: Task, most: int = MOST_ROUNDS) -> Task:
    """The task with asserts in place of its test's loop over `inputs`.

    EvalPlus' tests loop over a list of inputs, so the judge would count one assert for all
    of them.  Where `check` ends in such a loop, it becomes

        def _step(_each):
            <target of the loop> = _each
            <body of the loop>
            return True
        _all = list(<what the loop goes through>)
        assert _step(_all[0])
        ...

    Of more than `most` rounds so many are chosen, at equal distances.  A task with another
    test, or whose loop can be left early, is returned as it is.
    """
    tree = ast.parse(task.test)
    check, rounds = check_of(tree), _rounds(tree)
    if not rounds or not isinstance(check.body[-1], ast.For):
        return task
    # In a function these would mean something else.
    leaves = (ast.Break, ast.Continue, ast.Return)
    if any(isinstance(node, leaves) for node in ast.walk(check.body[-1])):
        return task
    loop = check.body.pop()
    step = f"def _step({_EACH}):\n    pass\n    return True\n"
    [function] = ast.parse(step).body
    unpack = ast.Assign([loop.target], ast.Name(_EACH, ast.Load()))
    function.body[:1] = [unpack, *loop.body]  # in place of `pass`
    listed = ast.Assign(
        [ast.Name(_ALL, ast.Store())],
        ast.Call(ast.Name("list", ast.Load()), [loop.iter], []),
    )
    # A set, since with fewer rounds than `most` the same index comes up several times.
    chosen = sorted({rounds * k // most for k in range(most)})
    asserts = ast.parse("\n".join(f"assert _step({_ALL}[{k}])" for k in chosen)).body
    check.body += [function, listed, *asserts]
    return replace(task, test=ast.unparse(ast.fix_missing_locations(tree)) + "\n")


_EACH, _ALL = "_each", "_all"  # names that no test uses


def _rounds(tree: ast.Module) -> int:
    """How many `inputs` the test has; 0 where it does not list them."""
    for node in ast.walk(tree):
        listed = isinstance(node, ast.Assign) and isinstance(node.value, ast.List)
        if listed and getattr(node.targets[0], "id", None) == "inputs":
            return len(node.value.elts)
    return 0
