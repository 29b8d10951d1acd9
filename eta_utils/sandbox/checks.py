"""Rewrite a task's `check(candidate)` so that each of its asserts is run and reported.

As written, `check` stops at its first failing assert.  To know *which* asserts a program
passes, each top-level statement of `check` that holds an assert becomes, with those before
it that hold none, a unit:

    try: <the statements>
    except BaseException as _eta_error: _eta_unit(3, _eta_error)
    else: _eta_unit(3, None)

So what is raised before one assert does not void the rest.  Statements after the last
assert belong to its unit.

In 157 of HumanEval's 164 tasks `check` is a flat list of asserts, so a unit is one assert.
A loop around asserts is one unit.  A `check` without asserts of its own is one unit as a
whole.

An assert without any name in it (`assert True`) passes for every program.  It is run, but
is no unit: it would inflate the fraction of asserts.
"""

from __future__ import annotations

import ast
import builtins
import dis
from dataclasses import dataclass
from types import CodeType

from eta_utils.sandbox.patches import changes_classes, may_evaluate, may_patch
from eta_utils.sandbox.world import needs_of

FILENAME = "<test>"
MOST_UNFINISHED = 30  # lines at the end of a prompt that may be within a statement


class UnusableTest(Exception):
    """The task's test cannot be used; the message says why."""


@dataclass(frozen=True)
class Checks:
    """A task's test, ready to run against many programs.

    `code` defines `check`.  `setting` is the prompt by itself, which defines helpers and
    imports that tests may use; None where it does not compile.  `units` is the number of
    units, and `whole` says that `check` as a whole is the only one.  `names` are the global
    names that the test uses, without the built-in ones: what neither the test nor the
    setting defines is the program's.  `classes` names the classes that the prompt defines,
    and `begun` those that it leaves to be completed.
    `needs` says what the test changes around the program (`world.needs_of`), `patches` that
    it may change more than its own variables, and `changes_classes` that this cannot be put
    back.
    """

    code: CodeType
    setting: CodeType | None
    units: int
    whole: bool
    names: frozenset[str]
    classes: frozenset[str]
    begun: frozenset[str]
    needs: frozenset[str]
    patches: bool
    changes_classes: bool


def prepare(prompt: str, test: str) -> Checks:
    """Compile a task's test.

    Raises UnusableTest where it does not compile or does not define `check`.
    """
    try:
        tree = ast.parse(test, FILENAME)
        check = _find_check(tree)
        # Some data sets end their tests with this call, as others leave it to the judge.
        tree.body = [node for node in tree.body if not _calls_check(node)]
        nodes = [*ast.walk(tree)]
        units = _wrap_units(check)
        code = compile(tree, FILENAME, "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise UnusableTest(f"its test does not compile ({error})") from None
    words = _words(code)
    if may_evaluate(words):
        raise UnusableTest("its test may run what a program answers as code")
    classes, begun = _classes(prompt)
    return Checks(
        code=code,
        setting=_setting(prompt),
        units=units or 1,
        whole=not units,
        names=_foreign_names(tree, code),
        classes=classes,
        begun=begun,
        needs=needs_of(words),
        patches=may_patch(nodes, words),
        changes_classes=changes_classes(nodes),
    )


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
    """Wrap each unit of `check` in place; return how many there are."""
    groups: list[list[ast.stmt]] = []
    waiting: list[ast.stmt] = []  # without an assert
    for statement in check.body:
        waiting.append(statement)
        # Also true of a statement without any assert.
        if not all(map(_is_trivial, _asserts_of(statement))):
            groups.append(waiting)
            waiting = []
    if groups:
        groups[-1] += waiting
        check.body = [_reported(group, number) for number, group in enumerate(groups)]
    return len(groups)


def _asserts_of(statement: ast.stmt) -> list[ast.Assert]:
    if isinstance(statement, ast.Assert):  # by far the most frequent: no need to walk
        return [statement]
    return [node for node in ast.walk(statement) if isinstance(node, ast.Assert)]


def _is_trivial(node: ast.Assert) -> bool:
    """Whether it has no name in it, so that no program can fail it."""
    return not any(isinstance(part, ast.Name) for part in ast.walk(node.test))


def _reported(statements: list[ast.stmt], unit: int) -> ast.Try:
    """The try statement of the module's docstring around one unit."""
    place = {"lineno": statements[0].lineno, "col_offset": 0}
    error = ast.Name("_eta_error", ast.Load(), **place)
    anything = ast.Name("BaseException", ast.Load(), **place)
    if_failed = [_report(unit, error, place)]
    if_passed = [_report(unit, ast.Constant(None, **place), place)]
    handler = ast.ExceptHandler(anything, "_eta_error", if_failed, **place)
    return ast.Try(statements, [handler], if_passed, [], **place)


def _report(unit: int, error: ast.expr, place: dict) -> ast.Expr:
    """The statement `_eta_unit(unit, error)`."""
    function = ast.Name("_eta_unit", ast.Load(), **place)
    call = ast.Call(function, [ast.Constant(unit, **place), error], [], **place)
    return ast.Expr(call, **place)


def _setting(prompt: str) -> CodeType | None:
    """The prompt as a program of its own: a function whose body is its docstring.

    Where it has no docstring, a `pass` completes it.  Of a prompt that ends within a
    statement, the longest part that compiles.
    """
    lines = prompt.splitlines(keepends=True)
    for end in range(len(lines), max(len(lines) - MOST_UNFINISHED, 0), -1):
        part = "".join(lines[:end])
        for text in (part, part + "\n    pass\n"):
            try:
                return compile(text, "<prompt>", "exec", dont_inherit=True)
            except (SyntaxError, ValueError):
                continue
    return None


def _foreign_names(tree: ast.Module, code: CodeType) -> frozenset[str]:
    """The global names that a test uses and does not define, without built-in ones."""
    defined = {name for statement in tree.body for name in _defined_by(statement)}
    # `helper = helper` reads what the program has defined.
    read = {
        step.argval for step in dis.get_instructions(code) if step.opname == "LOAD_NAME"
    }
    return frozenset(_global_names(code) - set(vars(builtins)) - (defined - read))


def _defined_by(statement: ast.stmt) -> list[str]:
    """The names to which a statement at the module level gives values, whatever happens."""
    if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return [statement.name]
    if isinstance(statement, (ast.Import, ast.ImportFrom)):
        return [name.asname or name.name.partition(".")[0] for name in statement.names]
    if isinstance(statement, ast.Assign):
        return [node.id for node in statement.targets if isinstance(node, ast.Name)]
    return []


def _global_names(code: CodeType) -> set[str]:
    """The global names that code uses, and the code of the functions in it.

    `co_names` has the names of attributes as well; asking for one too many does no harm.
    """
    names = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            names |= _global_names(constant)
    return names


def _classes(prompt: str) -> tuple[frozenset[str], frozenset[str]]:
    """The names of classes that a prompt defines, and of one that it leaves unfinished."""
    for text in (prompt, prompt + "\n    pass\n"):
        try:
            body = ast.parse(text).body
            break
        except (SyntaxError, ValueError):
            continue
    else:
        return frozenset(), frozenset()
    begun = {node.name for node in body[-1:] if isinstance(node, ast.ClassDef)}
    names = {node.name for node in body[:-1] if isinstance(node, ast.ClassDef)}
    for node in body:
        # `Point = namedtuple("Point", "x y")`
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
            names |= {part.id for part in node.targets if isinstance(part, ast.Name)}
    return frozenset(names), frozenset(begun)


def _words(code: CodeType) -> set[str]:
    """The names and the texts in code, and in the functions in it."""
    words = {*code.co_names, *code.co_varnames}
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            words |= _words(constant)
        elif isinstance(constant, str):
            words.add(constant)
        elif isinstance(constant, tuple):  # the names of keyword arguments
            words |= {part for part in constant if isinstance(part, str)}
    return words
