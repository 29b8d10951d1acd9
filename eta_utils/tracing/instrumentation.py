"""Rewrite a program so that it counts its steps and reports its variables.

>>> program = instrument("def f(n):\\n    while n:\\n        n -= 1\\n    return n\\n")
>>> program.lines                 # the line of each counter
[1, 2, 3, 4]

The rewritten program calls global names that a `Recorder` supplies:

- `_eta_0()`, `_eta_1()`, ...   one before each statement, for each item of a comprehension
                                and for each call of a lambda.  It counts.  Once its share
                                of the step budget is used up, it raises, at every later
                                call too: no `except` keeps a loop alive;
- `_eta_see(("x", 3), x)`       after a statement, on line 3, that gave `x` a value or may
                                have changed it.

For example, `f` above becomes

    _eta_0()
    def f(n):
        _eta_1()
        while n:
            _eta_2()
            n -= 1
            _eta_see(("n", 3), n)
        _eta_3()
        _eta_result = n
        _eta_see(("return", 4), _eta_result)
        return _eta_result

Each turn of a loop and each call of a function begins with a statement, a comprehension's
item or a lambda.  So nothing written in Python escapes the budget.  Code that a program
compiles at run time does, and is stopped by the clock.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from types import CodeType

from eta_utils.tracing.recorder import COUNTER

FILENAME = "<candidate>"

_LOAD, _STORE, _AND = ast.Load(), ast.Store(), ast.And()
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
# The nodes in which comprehensions and lambdas may hide.  Statements are not among them,
# since each is visited on its own; nor are names and constants, which hold nothing.
_INNER_NODES = frozenset(
    {*ast.expr.__subclasses__(), *ast.excepthandler.__subclasses__()}
    | {*ast.pattern.__subclasses__(), ast.match_case, ast.arguments, ast.arg, ast.keyword}
    | {ast.comprehension, ast.withitem}
) - {ast.Name, ast.Constant}
_BLOCKS = ("body", "orelse", "finalbody")
_START = {"lineno": 1, "col_offset": 0}
# A node that never changes can stand in many places of one tree.
_SEE = ast.Name("_eta_see", _LOAD, **_START)


@dataclass(frozen=True)
class Instrumented:
    """A program ready to run: its code and, for each of its counters, the line."""

    code: CodeType
    lines: list[int]


def compile_plain(source: str) -> Instrumented:
    """Compile `source` as it is, without counters: nothing is counted or limited."""
    return Instrumented(compile(source, FILENAME, "exec", dont_inherit=True), [])


def instrument(source: str) -> Instrumented:
    """Compile `source` with counters and reports of variables.

    Raises whatever `compile` raises for text that is not a program: SyntaxError,
    ValueError, RecursionError, MemoryError, OverflowError, UnicodeEncodeError.
    """
    tree = ast.parse(source, FILENAME)
    writer = _Writer()
    tree.body = writer.block(tree.body, in_function=False, has_docstring=True)
    code = compile(tree, FILENAME, "exec", dont_inherit=True)
    return Instrumented(code, writer.lines)


class _Writer:
    """Walks the statements once, in source order, and writes the counters in."""

    def __init__(self) -> None:
        self.lines: list[int] = []  # of the counters written so far

    def block(self, body: list, in_function: bool, has_docstring: bool = False) -> list:
        """The statements of one block with their counters.

        Variables are reported in functions only: what the module level or the body of a
        class sets up is no state of a call.
        """
        written = []
        if has_docstring and _is_docstring(body):  # it must stay the first statement
            written.append(body[0])
            body = body[1:]
        for statement in body:
            if _must_come_first(statement):
                written.append(statement)
                continue
            written.append(ast.Expr(self.count(statement), **_place(statement)))
            self.inside(statement, in_function)
            written.extend(_with_states(statement) if in_function else (statement,))
        return written

    def count(self, node: ast.stmt | ast.expr) -> ast.Call:
        """A call of a new counter, at the place of `node`."""
        place = _place(node)
        name = f"{COUNTER}{len(self.lines)}"
        self.lines.append(node.lineno)
        return ast.Call(ast.Name(name, _LOAD, **place), [], [], **place)

    def inside(self, statement: ast.stmt, in_function: bool) -> None:
        """Write counters into the expressions and the blocks of one statement."""
        # In source order: first what the statement itself holds, then its blocks.
        self.expressions(statement)
        is_function = isinstance(statement, _FUNCTIONS)
        if isinstance(statement, ast.ClassDef):
            statement.body = self.block(statement.body, False, has_docstring=True)
            return
        # Blocks of loops, branches, `try` and `with`, and the bodies of functions.
        inner = in_function or is_function
        for name in _BLOCKS:
            if body := getattr(statement, name, None):
                is_body = is_function and name == "body"
                setattr(statement, name, self.block(body, inner, is_body))
        for part in getattr(statement, "handlers", ()) or getattr(statement, "cases", ()):
            part.body = self.block(part.body, inner)
        # The loop itself gives its variable a value, at the start of each turn.
        if in_function and isinstance(statement, (ast.For, ast.AsyncFor)):
            statement.body = [*_sees(statement.target, statement), *statement.body]

    def expressions(self, statement: ast.stmt) -> None:
        """Put a counter into every comprehension and lambda of a statement.

            [x for x in xs if c]    ->  [x for x in xs if _eta_0() if c]
            lambda x: x + 1         ->  lambda x: _eta_1() and x + 1

        A counter returns True, so neither changes what the expression gives.  Each `for` of
        a comprehension gets one, since an inner loop may turn without giving an item.
        """
        # A stack and not recursion: programs may nest deeply.
        stack: list[ast.AST] = [statement]
        while stack:
            node = stack.pop()
            if isinstance(node, _COMPREHENSIONS):
                for clause in node.generators:
                    clause.ifs.insert(0, self.count(node))
            elif isinstance(node, ast.Lambda):
                node.body = ast.BoolOp(_AND, [self.count(node), node.body], **_place(node))
            for value in vars(node).values():
                # By type, which is quicker than isinstance: most of a tree is leaves.
                if type(value) is list:
                    stack += [part for part in value if type(part) in _INNER_NODES]
                elif type(value) in _INNER_NODES:
                    stack.append(value)


def _with_states(statement: ast.stmt) -> Iterator[ast.stmt]:
    """`statement`, and after it a report of each variable that it may have changed."""
    # A returned value is a state, too.  It is evaluated once, into a variable.
    if isinstance(statement, ast.Return) and statement.value is not None:
        place = _place(statement)
        result = ast.Name("_eta_result", _STORE, **place)
        yield ast.Assign([result], statement.value, **place)
        value = ast.Name("_eta_result", _LOAD, **place)
        yield _see("return", value, place)
        yield ast.Return(value, **place)
        return
    yield statement
    if isinstance(statement, ast.Assign):
        for target in statement.targets:
            yield from _sees(target, statement)
    elif isinstance(statement, ast.AugAssign) or (
        isinstance(statement, ast.AnnAssign) and statement.value is not None
    ):
        yield from _sees(statement.target, statement)
    elif _is_method_call(statement):  # items.append(x) changes items
        yield from _sees(statement.value.func.value, statement)


def _is_method_call(statement: ast.stmt) -> bool:
    """Whether the statement is nothing but the call of a method."""
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Call)
        and isinstance(statement.value.func, ast.Attribute)
    )


def _sees(target: ast.expr, statement: ast.stmt) -> Iterator[ast.stmt]:
    """Reports for the variables at the root of an assignment's target.

    `x[0].y = 1` changes `x`; `a, (b, *c) = ...` gives values to `a`, `b` and `c`.
    """
    if isinstance(target, (ast.Tuple, ast.List)):
        for element in target.elts:
            yield from _sees(element, statement)
        return
    while isinstance(target, (ast.Subscript, ast.Attribute, ast.Starred)):
        target = target.value
    if isinstance(target, ast.Name):
        place = _place(statement)
        yield _see(target.id, ast.Name(target.id, _LOAD, **place), place)


def _see(name: str, value: ast.expr, place: dict) -> ast.stmt:
    """The statement `_eta_see((name, line), value)`.

    The line is a constant of the program's code, which costs nothing when it runs.  The
    name and the line are one argument: what stands in for the recorder takes two.
    """
    written = ast.Constant((name, place["lineno"]), **place)
    call = ast.Call(_SEE, [written, value], [], **place)
    return ast.Expr(call, **place)


def _place(node: ast.AST) -> dict:
    """Where a node stands: what is written in for it is to have its line in tracebacks."""
    return {"lineno": node.lineno, "col_offset": node.col_offset}


def _is_docstring(body: list[ast.stmt]) -> bool:
    first = body[0]
    return (
        isinstance(first, ast.Expr)
        and isinstance(first.value, ast.Constant)
        and isinstance(first.value.value, str)
    )


def _must_come_first(statement: ast.stmt) -> bool:
    """Declarations that are no steps; `from __future__` must stay the first statement."""
    if isinstance(statement, (ast.Global, ast.Nonlocal)):
        return True
    return isinstance(statement, ast.ImportFrom) and statement.module == "__future__"
