"""What a test may change that the next test would find, and how it is undone.

All tests share the examiner's process.  A test may replace a function of a module, set a
signal handler or change the environment.  Tests are trusted, so this need not hold against
one that hides what it does.
"""

from __future__ import annotations

import ast
import os
import signal
import sys
from types import ModuleType

# Words of a test that may change what other tests find, too.
_PATCHING = frozenset(
    "patch mock setattr delattr monkeypatch environ putenv chdir signal alarm builtins "
    "stdin stdout stderr modules path setrecursionlimit globals vars exec eval __dict__ "
    "open filterwarnings simplefilter setlocale seterr set_printoptions getcontext "
    "setcontext basicConfig register sys os asyncio threading multiprocessing concurrent "
    "unittest".split()
)


def _imported(nodes: list[ast.AST]) -> set[str]:
    """The names that a test imports."""
    return {
        (alias.asname or alias.name).partition(".")[0]
        for node in nodes
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for alias in node.names
    }


def _assigned(nodes: list[ast.AST]) -> list[ast.Attribute]:
    """The attributes that a test sets or deletes."""
    return [
        node
        for node in nodes
        if isinstance(node, ast.Attribute) and not isinstance(node.ctx, ast.Load)
    ]


def may_patch(nodes: list[ast.AST], words: set[str]) -> bool:
    """Whether a test may change more than its own variables: it then leaves nothing.

    `nodes` are all of its syntax tree, `words` the names and texts in it.
    """
    changed = {getattr(node.value, "id", "") for node in _assigned(nodes)}
    return bool(words & _PATCHING or changed & _imported(nodes))


# Words of a test that runs what a program answers as code.
_EVALUATING = frozenset({"eval", "exec", "pickle", "marshal"})


def changes_classes(nodes: list[ast.AST]) -> bool:
    """Whether a test changes what lies within a module's objects, such as a method.

    That is not put back: its worker ends after it.
    """
    for node in _assigned(nodes):
        inner = node.value
        while isinstance(inner, ast.Attribute):
            inner = inner.value
        if inner is not node.value and getattr(inner, "id", "") in _imported(nodes):
            return True
    return False


def may_evaluate(words: set[str]) -> bool:
    """Whether a test may run an answer as code: then the program decides its verdict."""
    return bool(words & _EVALUATING)


class Before:
    """Modules, handlers of signals and the environment, as they are now.

    What a test adds to a module stays: modules add to themselves, too.
    """

    def __init__(self) -> None:
        self._modules = {name: dict(vars(module)) for name, module in _modules()}
        self._handlers = {
            number: signal.getsignal(number) for number in signal.valid_signals()
        }
        self._environment = dict(os.environ)
        self._folder = os.getcwd()
        self._limit, self._path = sys.getrecursionlimit(), list(sys.path)

    def restore(self) -> None:
        """Put all of it back."""
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in self._handlers.items():
            if handler is not None and signal.getsignal(number) is not handler:
                signal.signal(number, handler)
        for name, module in _modules():
            now = vars(module)
            for key, value in self._modules.get(name, {}).items():
                if now.get(key, self) is not value:  # never `==`: it may be the program's
                    now[key] = value
        if dict(os.environ) != self._environment:
            os.environ.clear()
            os.environ.update(self._environment)
        os.chdir(self._folder)
        sys.setrecursionlimit(self._limit)
        sys.path[:] = self._path
        if numpy := sys.modules.get("numpy"):
            numpy.seterr(divide="warn", over="warn", under="ignore", invalid="warn")


def _modules() -> list[tuple[str, ModuleType]]:
    return [
        (name, module)
        for name, module in sys.modules.items()
        if isinstance(module, ModuleType) and not name.startswith("eta_utils")
    ]
