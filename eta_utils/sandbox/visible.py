"""What a sandboxed process can read: what Python needs to run, and nothing else.

A program that could read a hidden test, or the code that generates one, could return the
expected answers.  So this is a list of what is allowed:

- the interpreter, its standard library, the system's shared libraries, time zones;
- numpy, and libraries that a user names (`libraries`);
- of this package, only the parts that run inside (`PARTS`).

Two kinds of folders inside these are hidden, because other packages are installed there:
`site-packages` and `dist-packages` within a standard library, and what belongs to any other
Python within a folder of shared libraries.  Without a virtual environment, HumanEval's own
file lies in one of them.

`jail` mounts this list on one rung and hands it to Landlock on the other.
"""

from __future__ import annotations

import functools
import os
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

PACKAGE = Path(__file__).resolve().parents[1]
PARTS = ("__init__.py", "sandbox", "tracing")  # they hold no task, and no generator of one

_SYSTEM = ("/lib", "/lib64", "/usr/lib64")  # where the loader looks for shared libraries
_SHARED_DATA = ("/usr/share/zoneinfo", "/usr/lib/locale")
_OF_OTHERS = ("site-packages", "dist-packages")  # within a standard library


class Visible(NamedTuple):
    """Paths that exist on this machine.

    `links` are symbolic links of the system, to what they point to.  A folder of `folders`
    can be read with all that is in it, but for those paths of `hidden` that lie in it.  A
    later folder may lie in a hidden one.  `hidden` has, for each folder, what it hides.
    """

    links: dict[str, str]
    folders: list[str]
    hidden: dict[str, list[str]]


@functools.cache
def visible() -> Visible:
    """What Python needs on this machine."""
    libraries, stdlib = _shared_libraries(), standard_library()
    links = {path: os.readlink(path) for path in _SYSTEM if os.path.islink(path)}
    hidden = {folder: _children(folder, _of_a_python) for folder in libraries}
    hidden |= {folder: _children(folder, _OF_OTHERS.__contains__) for folder in stdlib}
    data = [path for path in _SHARED_DATA if os.path.isdir(path)]
    return Visible(links, [*libraries, *stdlib, *data, interpreter()], hidden)


def unhidden(folder: str, hidden: list[str]) -> list[str]:
    """The folder, or where it hides something, its entries without these.

    For Landlock, which cannot take away within a folder what it grants for the whole.
    """
    if not hidden:
        return [folder]
    return [entry for entry in _children(folder) if entry not in hidden]


def interpreter() -> str:
    """The interpreter itself; a virtual environment has only a link to it."""
    return os.path.realpath(sys._base_executable)


@functools.cache
def standard_library() -> list[str]:
    """The folders of the standard library: modules in Python, and modules in C.

    Usually the second lies in the first, and is then left out.
    """
    pure = os.path.realpath(sysconfig.get_path("stdlib"))
    in_c = os.path.realpath(sysconfig.get_config_var("DESTSHARED") or pure)
    apart = os.path.isdir(in_c) and os.path.commonpath([pure, in_c]) != pure
    return [pure, in_c] if apart else [pure]


def module_path() -> list[str]:
    """What `sys.path` has for the standard library."""
    pure = standard_library()[0]
    in_c = sysconfig.get_config_var("DESTSHARED") or ""
    return [pure, in_c if os.path.isdir(in_c) else os.path.join(pure, "lib-dynload")]


def _shared_libraries() -> list[str]:
    """Folders of the system's shared libraries, and of those that came with this Python."""
    multiarch = sysconfig.get_config_var("MULTIARCH") or ""
    own = os.path.join("/usr/lib", multiarch)
    found = [*_SYSTEM, own if os.path.isdir(own) else "/usr/lib"]
    if sys.base_prefix != "/usr":
        found.append(os.path.join(os.path.realpath(sys.base_prefix), "lib"))
    here = [path for path in found if os.path.isdir(path) and not os.path.islink(path)]
    return list(dict.fromkeys(path.rstrip("/") for path in here))


def _of_a_python(name: str) -> bool:
    return name.startswith("python") or name in _OF_OTHERS


def _children(folder: str, chosen: Callable[[str], bool] = lambda _name: True) -> list[str]:
    """The paths of what lies in a folder, of those with a chosen name, sorted."""
    names = filter(chosen, sorted(os.listdir(folder)))
    return [os.path.join(folder, name) for name in names]
