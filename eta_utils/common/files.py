"""JSON, JSON Lines and CSV: clear errors, files written whole or not at all.

>>> for number, row in read_jsonl("samples.jsonl.gz"): ...
>>> with write_jsonl("out.jsonl") as write: write({"task_id": "HumanEval/0"})

There is no appending: a half-written file must never exist.  Of several processes of one
training (see `processes`) only the first writes; the others discard.
"""

from __future__ import annotations

import bz2
import contextlib
import csv
import functools
import gzip
import hashlib
import io
import json
import lzma
import os
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, TypeVar

from eta_utils.common.errors import BadInput
from eta_utils.common.processes import is_first

T = TypeVar("T")


def read_jsonl(path: str | Path) -> Iterator[tuple[int, dict]]:
    """Yield (line number from 1, object) for each non-blank line of `path`.

    Raises BadInput as `numbered_lines` does, and for a line that is not a JSON object.
    """
    for number, line in numbered_lines(path):
        if line.strip():
            yield (
                number,
                as_object(parse_json(line, path, number), f"{path}, line {number}"),
            )


# What a compressed file begins with, and what opens it.
_COMPRESSED = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\x00": lzma.open}
# What is no text, and is not unpacked here.
_REFUSED = {
    b"PK": "a zip archive",
    b"\x28\xb5\x2f\xfd": "compressed by zstd",
    b"7z\xbc\xaf": "a 7z archive",
}
# Byte order marks.  That of UTF-32 begins as one of UTF-16 does, so it comes first.
_MARKS = {
    b"\xef\xbb\xbf": "utf-8-sig",
    b"\xff\xfe\x00\x00": "utf-32",
    b"\x00\x00\xfe\xff": "utf-32",
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
}
PARQUET = b"PAR1"


def numbered_lines(path: str | Path, name: str | None = None) -> Iterator[tuple[int, str]]:
    """Yield (number from 1, line) for each line of a text file.

    What gzip, bzip2 or xz compressed is decompressed, whatever the file's name.  The text
    is UTF-8, or what its byte order mark says.  `-` is stdin.

    Raises BadInput, naming the file (`name`, if it has another for the user) and the line,
    when it is missing, may not be read, is cut short, or is no text.
    """
    number, name = 0, name or str(path)
    try:
        with _open_text(Path(path), name) as lines:
            for number, line in enumerate(lines, start=1):
                yield number, line
    except FileNotFoundError:
        raise BadInput(f"{name}: no such file") from None
    except IsADirectoryError:
        raise BadInput(f"{name}: is a folder, not a JSON Lines file") from None
    except (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile):
        raise BadInput(
            f"{name}: the compressed data ends or breaks after line {number}; "
            "copy or download the file again"
        ) from None
    except UnicodeError:
        raise BadInput(f"{name}: is not UTF-8 text, near line {number + 1}") from None
    except OSError as error:
        raise BadInput(f"{name}: cannot be read ({error.strerror})") from None


@contextlib.contextmanager
def _open_text(path: Path, name: str) -> Iterator[IO[str]]:
    with contextlib.ExitStack() as stack:
        stdin = str(path) == "-"
        raw = stack.enter_context(open(0 if stdin else path, "rb", closefd=not stdin))
        head = raw.peek(len(PARQUET))
        opener = _begins(head, _COMPRESSED)
        if path.suffix == ".gz" and head and opener is None:
            raise BadInput(f"{name}: is named .gz but is not a gzip file")
        if opener:
            raw = stack.enter_context(opener(raw))
            head = raw.peek(len(PARQUET))
        if what := _begins(head, _REFUSED):
            raise BadInput(f"{name}: is {what}; unpack it first")
        encoding = _begins(head, _MARKS) or "utf-8"
        yield stack.enter_context(io.TextIOWrapper(raw, encoding))


def _begins(head: bytes, table: Mapping[bytes, T]) -> T | None:
    """What the table has for the bytes that a file begins with."""
    return next((what for start, what in table.items() if head.startswith(start)), None)


def parse_json(text: str, name: str | Path, line: int) -> Any:
    """The JSON value that `text` is.

    Raises BadInput, naming the file and the number of the text's first line, where it is
    none, is nested too deeply, or has a number that Python does not read.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise not_json(error, name, line) from None


def not_json(error: Exception, name: str | Path, line: int) -> BadInput:
    """The error to raise where `json` raised another for a text that begins in `line`."""
    why = "it is nested too deeply"  # RecursionError
    if isinstance(error, json.JSONDecodeError):
        text = error.doc.rstrip()
        line += text.count("\n", 0, error.pos)
        why = f"{error.msg}, column {error.colno}"
        if error.pos >= len(text):
            why = "it ends too early"
        elif error.msg == "Extra data":
            why = f"something follows its end, column {error.colno}"
    elif isinstance(error, ValueError):  # from 4,300 digits
        why = "it has a number of too many digits"
    return BadInput(f"{name}, line {line}: is not JSON ({why})")


def as_object(value: object, where: str) -> dict:
    """The value, if it is a JSON object; else raises BadInput, naming `where` it stands."""
    if not isinstance(value, dict):
        kind = type(value).__name__
        raise BadInput(f"{where}: a JSON object is needed, not a {kind}")
    return value


@contextlib.contextmanager
def write_jsonl(path: str | Path) -> Iterator[Callable[[dict], None]]:
    """Give a function that writes one row; the file appears only when the block ends well.

    Rows go to a temporary file beside `path`, which is renamed at the end: a reader sees
    the old file or the whole new one.  Raises BadInput when `path` cannot be written, or a
    row is nested too deeply.
    """
    try:
        with write_whole(path) as file:
            yield lambda row: file.write(json.dumps(row) + "\n")
    except RecursionError:
        raise BadInput(f"{path}: a row is nested too deeply to be written") from None


@contextlib.contextmanager
def write_whole(path: str | Path, binary: bool = False) -> Iterator[IO]:
    """Open a temporary file that replaces `path` when the block ends well.

    It takes text unless `binary`, and compresses what goes to a `.gz`: the same content
    gives the same bytes, for neither name nor time is kept in the file.  Of a symbolic link
    the target is replaced.  A device or a pipe is written to as it is, and `-` is stdout.

    In a process that has joined a group and is not its first, everything written is
    discarded.  Raises BadInput when `path` cannot be written.
    """
    with contextlib.ExitStack() as stack:
        if not is_first():
            raw = stack.enter_context(open(os.devnull, "wb"))
        elif is_stdout(path):
            sys.stdout.flush()
            raw = stack.enter_context(open(1, "wb", closefd=False))
        else:
            raw = stack.enter_context(_replacing(Path(path)))
        file: IO = raw
        if Path(path).suffix == ".gz":
            file = stack.enter_context(gzip.GzipFile("", "wb", 9, raw, mtime=0))
        if not binary:
            file = stack.enter_context(io.TextIOWrapper(file, "utf-8"))
        yield file


def is_stdout(path: str | Path) -> bool:
    """Whether what is written to `path` goes where stdout goes: `-`, `/dev/stdout`, ..."""
    if str(path) == "-":
        return True
    try:
        return os.path.samestat(os.stat(path), os.fstat(1))
    except OSError:  # there is no such file yet, or no stdout
        return False


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[IO[bytes]]:
    """A temporary file that replaces `path`; or `path` itself, where it is no file."""
    if path.is_dir():
        raise BadInput(f"{path}: is a folder; name a file to write")
    temporary = None
    try:
        target = path.resolve()  # a link stays, and what it names is replaced
        if target.exists() and not target.is_file():
            file: IO[bytes] = open(target, "wb")  # noqa: SIM115
        else:
            handle, temporary = tempfile.mkstemp(
                dir=target.parent, prefix=f".{target.name}."
            )
            file = open(handle, "wb")  # noqa: SIM115
    except (OSError, RuntimeError) as error:  # RuntimeError: links that go in a circle
        why = getattr(error, "strerror", None) or "its links go in a circle"
        raise BadInput(f"{path}: cannot be written ({why})") from None
    try:
        with file:
            yield file
        if temporary:
            as_usual(temporary)
            os.replace(temporary, target)
    except BaseException:
        if temporary:
            os.unlink(temporary)
        raise


def read_json(path: str | Path) -> dict:
    """The object in a JSON file.  Raises BadInput, naming the file, when it is not one."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise BadInput(f"{path}: no such file") from None
    return as_object(parse_json(text, path, 1), f"{path}, line 1")


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
