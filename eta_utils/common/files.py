"""JSON, JSON Lines and CSV: clear errors, files written whole or not at all.

>>> for number, row in read_jsonl("samples.jsonl.gz"): ...
>>> with write_jsonl("out.jsonl") as write: write({"task_id": "HumanEval/0"})

There is no appending: a half-written file must never exist.  Of several processes of one
training (see `processes`) only the first writes; the others discard.
"""

from __future__ import annotations

import contextlib
import csv
import functools
import gzip
import hashlib
import io
import json
import os
import tempfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

from eta_utils.common.errors import BadInput
from eta_utils.common.processes import is_first


def read_jsonl(path: str | Path) -> Iterator[tuple[int, dict]]:
    """Yield (line number from 1, object) for each non-blank line of `path`.

    Files that end in `.gz` are decompressed.  Raises BadInput, naming the file and the
    line, when the file is missing, cut short, not UTF-8, or a line is not a JSON object.
    """
    path, number = Path(path), 0
    try:
        with _open_text(path) as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield number, _parse_object(line, path, number)
    except FileNotFoundError:
        raise BadInput(f"{path}: no such file") from None
    except IsADirectoryError:
        raise BadInput(f"{path}: is a folder, not a JSON Lines file") from None
    except (EOFError, zlib.error):
        raise BadInput(
            f"{path}: the gzip data ends or breaks after line {number}; "
            "copy or download the file again"
        ) from None
    except gzip.BadGzipFile:
        raise BadInput(f"{path}: is named .gz but is not a gzip file") from None
    except UnicodeDecodeError:
        raise BadInput(f"{path}: is not UTF-8 text after line {number}") from None
    except PermissionError:
        raise BadInput(f"{path}: may not be read (permission denied)") from None


def _open_text(path: Path):
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8")
    return open(path, encoding="utf-8")


def _parse_object(line: str, path: Path, number: int) -> dict:
    try:
        row = json.loads(line)
    except (json.JSONDecodeError, RecursionError) as error:
        raise BadInput(f"{path}, line {number}: is not JSON ({error})") from None
    if not isinstance(row, dict):
        kind = type(row).__name__
        raise BadInput(f"{path}, line {number}: a JSON object is needed, not a {kind}")
    return row


@contextlib.contextmanager
def write_jsonl(path: str | Path) -> Iterator[Callable[[dict], None]]:
    """Give a function that writes one row; the file appears only when the block ends well.

    Rows go to a temporary file beside `path`, which is renamed at the end: a reader sees
    the old file or the whole new one.  Raises BadInput when `path` cannot be written.
    """
    with write_whole(path) as file:
        yield lambda row: file.write(json.dumps(row) + "\n")


@contextlib.contextmanager
def write_whole(path: str | Path, binary: bool = False) -> Iterator[IO]:
    """Open a temporary file that replaces `path` when the block ends well.

    It takes text unless `binary`, and compresses what goes to a `.gz`: the same content
    gives the same bytes, for neither name nor time is kept in the file.  In a process that
    has joined a group and is not its first, everything written is discarded.  Raises
    BadInput when `path` cannot be written.
    """
    path = Path(path)
    mode, encoding = ("wb", None) if binary else ("wt", "utf-8")
    if not is_first():
        with open(os.devnull, mode, encoding=encoding) as nowhere:
            yield nowhere
        return
    if path.is_dir():
        raise BadInput(f"{path}: is a folder; name a file to write")
    if path.exists() and not path.is_file():
        raise BadInput(f"{path}: is a device or a pipe; name a file to write")
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        os.close(handle)
    except OSError as error:
        raise BadInput(f"{path}: cannot be written ({error.strerror})") from None
    try:
        with contextlib.ExitStack() as stack:
            if path.suffix == ".gz":
                raw = stack.enter_context(open(name, "wb"))
                file: IO = stack.enter_context(gzip.GzipFile("", "wb", 9, raw, mtime=0))
                if not binary:
                    file = stack.enter_context(io.TextIOWrapper(file, encoding))
            else:
                file = stack.enter_context(open(name, mode, encoding=encoding))
            yield file
        as_usual(name)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


def read_json(path: str | Path) -> dict:
    """The object in a JSON file.  Raises BadInput, naming the file, when it is not one."""
    try:
        return _parse_object(Path(path).read_text(encoding="utf-8"), Path(path), 1)
    except FileNotFoundError:
        raise BadInput(f"{path}: no such file") from None


def write_json(path: str | Path, value: dict) -> None:
    """Write an object as indented JSON, whole or not at all."""
    with write_whole(path) as file:
        file.write(json.dumps(value, indent=2) + "\n")


def write_csv(path: str | Path, rows: Sequence[Mapping]) -> None:
    """Write rows as CSV, whole or not at all; the columns are all names in their order."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    with write_whole(path) as file:
        writer = csv.DictWriter(file, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def digest_of(path: Path) -> str:
    """16 hexadecimal digits of the SHA-256 of a file, or of a folder's files and names."""
    if path.is_dir():
        inside = sorted(each for each in path.rglob("*") if each.is_file())
        parts = [f"{each.relative_to(path)} {digest_of(each)}" for each in inside]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
    status = path.stat()
    return _digest_of_file(path, status.st_size, status.st_mtime_ns, status.st_ino)


@functools.lru_cache(maxsize=4096)
def _digest_of_file(path: Path, *_status: int) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def as_usual(path: str | Path) -> None:
    """Give a file the mode of any new one: temporary files are closed to other users."""
    mask = os.umask(0)
    os.umask(mask)
    os.chmod(path, 0o666 & ~mask)
