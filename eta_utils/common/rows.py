"""Rows of other people's files: JSON in its usual shapes, Parquet, data sets of the Hub.

>>> for where, row in read_rows("samples.json"): ...
>>> for where, row in read_rows("hub:owner/name:test"): ...

`files.read_jsonl` reads JSON Lines alone, such as this project writes.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from eta_utils.common.errors import BadInput
from eta_utils.common.files import PARQUET, not_json, numbered_lines

Rows = Iterator[tuple[str, Any]]  # with where each one stands: file and line

_BLANK = re.compile(r"\s*")
# A data set of the Hub: owner/name, perhaps /configuration, perhaps :split.
_HUB = re.compile(r"hub:([^/:]+/[^/:]+)(?:/([^/:]+))?(?::([^/:]+))?")


def is_hub(source: str | Path) -> bool:
    """Whether this names a data set of the Hub rather than a file."""
    return str(source).startswith("hub:")


def read_rows(source: str | Path, name: str | None = None) -> Rows:
    """Yield (where it stands, row) for each row of a file or of a data set of the Hub.

    A file is Parquet or JSON, which may be compressed.  JSON is one value per line, or
    values over several lines; the rows of an array are its items.  JSON Lines are read line
    by line, other JSON is held whole.

    Raises BadInput, naming the file (`name`, if it has another for the user) and the line,
    for what is none of these, and for a data set that cannot be fetched.
    """
    if is_hub(source):
        return _of_hub(str(source))
    if _is_parquet(Path(source)):
        return _of_parquet(str(source), name or str(source))
    return _of_json(source, name or str(source))


def _of_json(path: str | Path, name: str) -> Rows:
    lines = numbered_lines(path, name)
    for number, line in lines:
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except json.JSONDecodeError as error:
            if error.pos < len(line.rstrip()):
                raise not_json(error, name, number) from None
            # The value goes on in the next line: this is no JSON Lines.
            text = line + "".join(line for _, line in lines)
            yield from _of_text(text, name, number)
            return
        except (ValueError, RecursionError) as error:
            raise not_json(error, name, number) from None
        yield from _rows_in(value, name, number)


def _of_text(text: str, name: str, first: int) -> Rows:
    """The rows of values over several lines, one after another, from line `first`."""
    decode = json.JSONDecoder().raw_decode
    place, line = 0, first
    while (begin := _BLANK.match(text, place).end()) < len(text):
        line += text.count("\n", place, begin)
        try:
            value, place = decode(text, begin)
        except (ValueError, RecursionError) as error:
            raise not_json(error, name, first) from None
        yield from _rows_in(value, name, line)
        line += text.count("\n", begin, place)


def _rows_in(value: object, name: str, line: int) -> Rows:
    """A value as a row; an array as its items."""
    if isinstance(value, list):
        yield from ((f"{name}, item {number}", row) for number, row in enumerate(value, 1))
    else:
        yield f"{name}, line {line}", value


# --- Through the library `datasets`, which takes seconds to load


def _is_parquet(path: Path) -> bool:
    if not path.is_file():  # a pipe can be read once alone
        return False
    with contextlib.suppress(OSError), open(path, "rb") as file:
        return file.read(len(PARQUET)) == PARQUET
    return False


def _of_parquet(path: str, name: str) -> Rows:
    import datasets

    with _fetching(name, "be read as Parquet"):
        rows = datasets.load_dataset(
            "parquet", data_files=path, split="train", streaming=True
        )
        yield from _numbered(rows, name)


def _of_hub(source: str) -> Rows:
    match = _HUB.fullmatch(source)
    if match is None:
        raise BadInput(f"{source}: write hub:owner/name, or hub:owner/name/config:split")
    import datasets

    name, configuration, split = match.groups()
    with _fetching(source, "be fetched from the Hub now"):
        parts = datasets.load_dataset(name, configuration, streaming=True)
        if split is None and len(parts) == 1:
            [split] = parts
        if split not in parts:
            known = ", ".join(parts)
            raise BadInput(
                f"{source}: name one of its splits ({known}), as hub:{name}:SPLIT"
            )
        yield from _numbered(parts[split], source)


def _numbered(rows: Iterable[dict], name: str) -> Rows:
    for number, row in enumerate(rows, 1):
        # As JSON has it: times and other objects become text.
        yield f"{name}, row {number}", json.loads(json.dumps(row, default=str))


@contextlib.contextmanager
def _fetching(name: str, what: str) -> Iterator[None]:
    """Turn the errors of `datasets` into BadInput that says what cannot be done."""
    from datasets.exceptions import DatasetsError

    try:
        yield
    except BadInput:
        raise
    except (DatasetsError, OSError, RuntimeError, ValueError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise BadInput(f"{name}: cannot {what} ({reason})") from None
