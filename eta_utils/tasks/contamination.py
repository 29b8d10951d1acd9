"""Is something that is evaluated on like something that was trained on?

>>> overlaps(load_tasks("mbpp"), load_tasks("humaneval"))[0]
Overlap(task='HumanEval/35', like='Mbpp/517', why='the same solution')

Two tasks are alike when their prompts are the same, or their reference solutions but for
names, or when the docstrings share `WORDS` words in a row, as in Brown et al. 2020 (arXiv
2005.14165).

Leaves out: what a pretrained model has read before, which nobody can look up here.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Hashable, Iterator, Mapping
from typing import NamedTuple

from eta_utils.tasks.task import Task

WORDS = 13
_DOCSTRING = re.compile(r'"""(.*?)"""', re.DOTALL)


class Overlap(NamedTuple):
    """A task that is evaluated on, one that is trained on, and what they share."""

    task: str
    like: str
    why: str


def overlaps(trained: Mapping[str, Task], tested: Mapping[str, Task]) -> list[Overlap]:
    """For each tested task the first trained one that is like it, in the order of tasks."""
    known: dict[Hashable, str] = {}
    for name, task in trained.items():
        for _, mark in _marks(task):
            known.setdefault(mark, name)
    found: dict[str, Overlap] = {}
    for name, task in tested.items():
        for why, mark in _marks(task):
            if mark in known:
                found.setdefault(name, Overlap(name, known[mark], why))
    return list(found.values())


def _marks(task: Task) -> Iterator[tuple[str, Hashable]]:
    """What two tasks that are alike have in common, with what it is in words."""
    yield "the same prompt", task.prompt.strip()
    if task.canonical_solution.strip():
        yield "the same solution", _nameless(task.prompt + task.canonical_solution)
    told = "\n".join(_DOCSTRING.findall(task.prompt)) or task.prompt
    words = re.findall(r"\w+", told.lower())
    for start in range(len(words) - WORDS + 1):
        yield f"{WORDS} words in a row", tuple(words[start : start + WORDS])


class _Nameless(ast.NodeTransformer):
    """Numbers the functions, arguments and variables that a program names itself, in the
    order in which they appear."""

    def __init__(self, tree: ast.Module) -> None:
        self.numbers: dict[str, str] = {}
        self.own = {name for node in ast.walk(tree) if (name := _named(node))}

    def _renamed(self, name: str) -> str:
        if name not in self.own:  # len is not max
            return name
        return self.numbers.setdefault(name, f"v{len(self.numbers)}")

    def visit_Name(self, node: ast.Name) -> ast.Name:
        return ast.Name(self._renamed(node.id), node.ctx)

    def visit_arg(self, node: ast.arg) -> ast.arg:
        return ast.arg(self._renamed(node.arg))

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.name, node.returns = self._renamed(node.name), None
        if ast.get_docstring(node) is not None:
            node.body = node.body[1:]
        return self.generic_visit(node)


def _named(node: ast.AST) -> str | None:
    if isinstance(node, ast.Name):
        return node.id if isinstance(node.ctx, ast.Store) else None
    return getattr(node, "arg" if isinstance(node, ast.arg) else "name", None)


def _nameless(program: str) -> str:
    """The program's syntax tree without names, docstrings and annotations; the text itself
    where it does not compile."""
    try:
        tree = ast.parse(program)
        return ast.dump(_Nameless(tree).visit(tree))
    except SyntaxError:
        return program
