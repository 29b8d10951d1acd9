"""A test that loops over many inputs, as one assert for each of some of them.

>>> task = counted(load_tasks("humaneval+")["HumanEval/0"], most=40)

EvalPlus' checks go through hundreds of inputs in one loop (Liu et al. 2023, arXiv
2305.01210), so that a program holds or fails as a whole.  With asserts for some inputs,
spread evenly, the share that it passes can be counted.  For analysis: a verdict is that of
the whole test.

Leaves out: loops whose number of rounds the text does not say.
"""

from __future__ import annotations

import ast
from dataclasses import replace

from eta_utils.tasks.asserts import check_of
from eta_utils.tasks.task import Task

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
