"""Rewrite a task's `check(candidate)` so that each of its asserts is run and reported.

`check` stops at its first failing assert; to know *which* tests a program passes, each
top-level statement of `check` that holds an assert (a unit) becomes

    try: <the statement>
    except BaseException as _eta_error: _eta_unit(3, _eta_error)
    else: _eta_unit(3, None)

157 of HumanEval's 164 checks are a flat list of asserts, so a unit is one assert; a loop
around asserts is one unit.  A check without top-level asserts is one unit as a whole.
Statements between the units run as they stand.  Asserts without any name in them
(`assert True`) hold for every program: they are run but are no units, so that they do not
inflate the share of passed asserts.
"""

from __future__ import annotations

import ast
import builtins
from dataclasses import dataclass
from types import CodeType

FILENAME = "<test>"


class UnusableTest(Exception):
    """The task's test cannot be used; the message says why."""


@dataclass(frozen=True)
class Checks:
    """A task's test, ready to run against many programs.

    `code` defines `check`; `setting` is the prompt by itself, which defines the helpers
    and imports that tests may use; `units` counts the asserts that are reported, and
    `whole` says that `check` is one unit; `names` are the global names the test uses
    without defining them: they are the program's.
    """

    code: CodeType
    setting: CodeType | None
    units: int
    whole: bool
    names: frozenset[str]


def prepare(prompt: str, test: str) -> Checks:
    """Compile a task's test.  Raises UnusableTest."""
    try:
        tree = ast.parse(test, FILENAME)
        check = _find_check(tree)
        # Some data sets end their tests with this call, as others leave it to the judge.
        tree.body = [node for node in tree.body if not _calls_check(node)]
        units = _wrap_units(check)
        code = compile(tree, FILENAME, "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise UnusableTest(f"its test does not compile ({error})") from None
    names = frozenset(_global_names(code) - set(vars(builtins)))
    return Checks(code, _setting(prompt), units or 1, not units, names)


def _find_check(tree: ast.Module) -> ast.FunctionDef:
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == "check":
            return node
    raise UnusableTest("its test does not define check(candidate)")


def _calls_check(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Call)
        and isinstance(node.value.func, ast.Name)
        and node.value.func.id == "check"
    )


def _wrap_units(check: ast.FunctionDef) -> int:
    """Wrap each unit in place; return how many there are."""
    units = 0
    for index, statement in enumerate(check.body):
        if all(map(_is_trivial, _asserts_of(statement))):
            continue
        check.body[index] = _reported(statement, units)
        units += 1
    return units


def _asserts_of(statement: ast.stmt) -> list[ast.Assert]:
    if isinstance(statement, ast.Assert):
        return [statement]
    return [node for node in ast.walk(statement) if isinstance(node, ast.Assert)]


def _is_trivial(node: ast.Assert) -> bool:
    return not any(isinstance(part, ast.Name) for part in ast.walk(node.test))


def _reported(statement: ast.stmt, unit: int) -> ast.Try:
    place = {"lineno": statement.lineno, "col_offset": 0}
    error = ast.Name("_eta_error", ast.Load(), **place)
    anything = ast.Name("BaseException", ast.Load(), **place)
    failed = [_report(unit, error, place)]
    held = [_report(unit, ast.Constant(None, **place), place)]
    handler = ast.ExceptHandler(anything, "_eta_error", failed, **place)
    return ast.Try([statement], [handler], held, [], **place)


def _report(unit: int, error: ast.expr, place: dict) -> ast.Expr:
    function = ast.Name("_eta_unit", ast.Load(), **place)
    call = ast.Call(function, [ast.Constant(unit, **place), error], [], **place)
    return ast.Expr(call, **place)


def _setting(prompt: str) -> CodeType | None:
    """The prompt as a program of its own: a function whose body is its docstring."""
    for text in (prompt, prompt + "\n    pass\n"):
        try:
            return compile(text, "<prompt>", "exec", dont_inherit=True)
        except (SyntaxError, ValueError):
            continue
    return None


def _global_names(code: CodeType) -> set[str]:
    names = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            names |= _global_names(constant)
    return names
