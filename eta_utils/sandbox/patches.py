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
    "setcontext basicConfig register sys os".split()
)


def may_patch(tree: ast.Module, words: set[str]) -> bool:
    """Whether a test may change more than its own variables: it then leaves nothing."""
    imported = {
        (alias.asname or alias.name).partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for alias in node.names
    }
    changed = {
        getattr(node.value, "id", "")
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and not isinstance(node.ctx, ast.Load)
    }
    return bool(words & _PATCHING or changed & imported)


class Before:
    """Modules, handlers of signals and the environment, as they are now."""

    def __init__(self) -> None:
        self._modules = {name: dict(vars(module)) for name, module in _modules()}
        self._handlers = {
            number: signal.getsignal(number) for number in signal.valid_signals()
        }
        self._environment = dict(os.environ)
        self._folder = os.getcwd()
        self._limit = sys.getrecursionlimit()

    def restore(self) -> None:
        """Put all of it back."""
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in self._handlers.items():
            if handler is not None and signal.getsignal(number) is not handler:
                signal.signal(number, handler)
        for name, module in _modules():
            if name not in self._modules:
                continue  # the test has imported it
            before, now = self._modules[name], vars(module)
            if now != before:
                now.clear()
                now.update(before)
        if dict(os.environ) != self._environment:
            os.environ.clear()
            os.environ.update(self._environment)
        os.chdir(self._folder)
        sys.setrecursionlimit(self._limit)


def _modules() -> list[tuple[str, ModuleType]]:
    return [
        (name, module)
        for name, module in sys.modules.items()
        if isinstance(module, ModuleType) and not name.startswith("eta_utils")
    ]
