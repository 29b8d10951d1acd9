"""The rooms of the package and the imports between them, as the code has them now.

    python -m tests.house

`ALLOWED` says which rooms a room may import; the rooms stand from the ground up, so no
arrow can point upward and no circle can close.  `tests/test_house.py` holds the code to it.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1] / "eta_utils"
ALLOWED: dict[str, tuple[str, ...]] = {
    "common": (),
    "tracing": (),
    "sandbox": ("tracing",),
    "tasks": ("common",),
    "execution": ("sandbox", "tracing", "tasks", "common"),
    "preferences": ("execution", "tasks", "common"),
    "analysis": ("preferences", "execution", "tasks", "common"),
    "training": ("preferences", "execution", "tasks", "common"),
    "study": ("analysis", "training", "preferences", "execution", "tasks", "common"),
    "report": ("study", "sandbox", "common"),
    "cli": (
        "report",
        "study",
        "analysis",
        "training",
        "preferences",
        "execution",
        "sandbox",
        "tasks",
        "common",
    ),
}


def imports_in(text: str, package: str) -> Iterator[str]:
    """Every module that a source text imports, by its whole dotted name.

    `package` is the package that the text's module lies in, for relative imports.  All
    spellings count: `import a.b`, `from a import b` (b may be a module: `a.b`), `from .
    import b`, `from ..a import b`, `import_module("a.b")`, and the name of a module in a
    text, as `python -m` is given it.
    """
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*parts, *([node.module] if node.module else [])])
            yield from (f"{base}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            words = node.value.split(".")
            if words[0] == "eta_utils" and all(word.isidentifier() for word in words):
                yield node.value


def room_of(module: str) -> str | None:
    """The room that a dotted name belongs to; None for anything outside the rooms."""
    parts = module.split(".")
    if parts[0] != "eta_utils" or len(parts) < 2 or parts[1] not in ALLOWED:
        return None
    return parts[1]


def sources() -> Iterator[tuple[str, Path]]:
    """(Room, file) of every source file in a room."""
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).parts
        if len(parts) > 1:
            yield parts[0], path


def arrows() -> dict[tuple[str, str], list[str]]:
    """(Importing room, imported room) with the files that import, by both names."""
    found: dict[tuple[str, str], set[str]] = defaultdict(set)
    for room, path in sources():
        package = ".".join(("eta_utils", *path.relative_to(PACKAGE).parts[:-1]))
        for module in imports_in(path.read_text(encoding="utf-8"), package):
            target = room_of(module)
            if target and target != room:
                found[room, target].add(str(path.relative_to(PACKAGE)))
    return {pair: sorted(files) for pair, files in sorted(found.items())}


def main() -> None:
    """Print the rooms from the top down, and what each imports."""
    found = arrows()
    files = defaultdict(list)
    for room, path in sources():
        files[room].append(path)
    for room in reversed(ALLOWED):
        lines = sum(path.read_text(encoding="utf-8").count("\n") for path in files[room])
        below = [target for origin, target in found if origin == room]
        below.sort(key=list(ALLOWED).index, reverse=True)
        size = f"{len(files[room]):2} files, {lines:5,} lines"
        print(f"{room:12} {size}  imports {', '.join(below) or 'nothing'}")
    total = sum(map(len, files.values()))
    print(f"\n{len(ALLOWED)} rooms, {total} files, {len(found)} arrows, none upward")


if __name__ == "__main__":
    main()
