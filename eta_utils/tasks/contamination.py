"""Is a task for evaluation like one that was trained on?

>>> overlaps(load_tasks("mbpp"), load_tasks("humaneval"))[0]
Overlap(task='HumanEval/23', like='Mbpp/792', why='the same solution')

Two tasks are alike when one of these is the same:

- the prompts;
- the reference solutions, whatever the names in them;
- `WORDS` words in a row of their docstrings, as in Brown et al. 2020 (arXiv 2005.14165).

Docstrings that number steps, as those of `pipelines` do, are made of a few phrases, so
words in a row say nothing about them.  For these it is instead

- the sequence of operations, whatever their numbers and letters;
- the operations, in whatever order, which is less.

What a pretrained model has read before, nobody can look up here.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Hashable, Iterator, Mapping
from typing import NamedTuple

from eta_utils.tasks.task import Task

WORDS = 13  # as Brown et al. chose; shorter runs are often common phrases
_DOCSTRING = re.compile(r'"""(.*?)"""', re.DOTALL)
_CONSTANT = re.compile(r'\d+|"[^"]*"')  # a number or a letter in the phrase of a step


class Overlap(NamedTuple):
    """A task for evaluation, one that is trained on, and what they share, in words."""

    task: str
    like: str
    why: str


def overlaps(trained: Mapping[str, Task], tested: Mapping[str, Task]) -> list[Overlap]:
    """For each tested task that is like a trained one, which and why, in order.

    Of several reasons the first in the lists above is named, with the first trained task
    that it holds for.
    """
    known: dict[Hashable, str] = {}  # mark -> the first trained task that has it
    for name, task in trained.items():
        for _, mark in _marks(task):
            known.setdefault(mark, name)
    overlap_of: dict[str, Overlap] = {}
    for name, task in tested.items():
        for why, mark in _marks(task):
            if mark in known:
                overlap_of.setdefault(name, Overlap(name, known[mark], why))
    return list(overlap_of.values())


def _marks(task: Task) -> Iterator[tuple[str, Hashable]]:
    """(What it is in words, mark) for each thing in which two tasks can be the same."""
    yield "the same prompt", task.prompt.strip()
    if task.canonical_solution.strip():
        yield "the same solution", _nameless(task.prompt + task.canonical_solution)
    # Without a docstring, the whole prompt.
    description = "\n".join(_DOCSTRING.findall(task.prompt)) or task.prompt
    operations = _numbered(description)
    if operations:
        # A tuple and a set, so that one kind of mark is never equal to the other.
        yield "the same sequence of operations", tuple(operations)
        counts = frozenset(Counter(operations).items())
        yield "the same operations in another order", counts
        return
    words = re.findall(r"\w+", description.lower())
    for start in range(len(words) - WORDS + 1):
        yield f"{WORDS} words in a row", tuple(words[start : start + WORDS])


def _numbered(description: str) -> list[str]:
    """The phrases of a description that is a list of numbered steps, without constants.

    Empty for any other.
    """
    lines = [line.strip() for line in description.strip().splitlines()]
    starts = [f"{number}. " for number in range(1, len(lines) + 1)]
    if not all(map(str.startswith, lines, starts)):
        return []
    return [
        _CONSTANT.sub("_", line.removeprefix(start))
        for line, start in zip(lines, starts, strict=True)
    ]


class _Nameless(ast.NodeTransformer):
    """Replaces the names that a program gives by `v0`, `v1`, ... in order of appearance.

    Names of functions, arguments and variables.  Names that it only uses stay.
    """

    def __init__(self, tree: ast.Module) -> None:
        self.numbers: dict[str, str] = {}
        self.own = {name for node in ast.walk(tree) if (name := _named(node))}

    def _renamed(self, name: str) -> str:
        if name not in self.own:  # a program with len is not one with max
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
    """The name that a node gives to something: a variable, an argument, a function."""
    if isinstance(node, ast.Name):
        return node.id if isinstance(node.ctx, ast.Store) else None
    return getattr(node, "arg" if isinstance(node, ast.arg) else "name", None)


def _nameless(program: str) -> str:
    """The program's syntax tree without its own names, docstrings and annotations.

    The text itself where it does not compile.
    """
    try:
        tree = ast.parse(program)
        return ast.dump(_Nameless(tree).visit(tree))
    except SyntaxError:
        return program
