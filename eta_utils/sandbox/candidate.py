"""The forked process that runs one program: confined, then answering calls until killed.

It receives compiled code and calls with plain arguments, and answers with plain values.
It never holds a test, an expected value or a verdict, so whatever a program does to this
module (it can do anything to it) changes only that program's own answers.

What a program does to look for its judge is noticed and reported, to give a failure its
right name (`tampered`); nothing depends on it being noticed.

Most of a candidate's cost is memory pages that it is the first to write to after the fork.
Hence few modules, the cores in C of `pickle` and `socket` instead of the whole, and
`warm_up`: code that has run often no longer rewrites itself.
"""

from __future__ import annotations

import builtins
import marshal
import os
import site
import sys
import types
from _pickle import dumps, loads
from _socket import socketpair
from collections.abc import Callable
from typing import NoReturn

from eta_utils.sandbox import confine
from eta_utils.sandbox.channel import Channel
from eta_utils.sandbox.values import encode
from eta_utils.tracing.recorder import Recorder

FILENAME = "<candidate>"
CHANNEL_LOST, OUT_OF_MEMORY = 97, 98  # exit codes: why no answer could be sent
LONGEST_TEXT = 200  # characters of a name or message that is sent

_PLAIN_ARGUMENTS = frozenset({str, int, float, bool, type(None)})
_TELLTALE = frozenset(
    {
        "sys._getframe",
        "sys._current_frames",
        "sys.settrace",
        "sys.setprofile",
        "gc.get_objects",
        "gc.get_referrers",
        "gc.get_referents",
    }
)


def prepare() -> None:
    """Once, in the zygote: what all candidates are to have."""
    site.setquit()  # -S leaves `quit` and `exit` out
    # Programs get a copy of the module `builtins`: one that they patch is not ours.
    copy = types.ModuleType("builtins")
    vars(copy).update(vars(builtins))
    sys.modules["builtins"] = copy
    sys.addaudithook(_watch)
    for _ in range(20):  # enough for the interpreter to specialise the code
        warm_up()


def run(channel: Channel, confine_program: Callable[[], None]) -> NoReturn:
    """Become the candidate: serve one program over `channel`."""
    try:
        program = loads(channel.receive())
        confine.limit_processor(program["processor_seconds"])
        confine_program()
        host = Host(program, notice=channel.send)
        channel.send(host.load())
        while True:
            channel.send(host.call(channel.receive()))
    except OSError:
        os._exit(CHANNEL_LOST)
    except MemoryError:
        os._exit(OUT_OF_MEMORY)
    finally:
        os._exit(1)


def check(function: object, args: tuple, kwargs: dict) -> object:
    """Call the program.  Named as the evaluator's own function is, so that a program which
    waits for `check` to appear on the stack meets what it would meet there."""
    return function(*args, **kwargs)


class Host:
    """The program's side of the conversation."""

    current: Host | None = None  # of this process, for the audit hook

    def __init__(self, program: dict, notice: Callable[[bytes], None]) -> None:
        self.program = program
        self.notice = notice  # sends what cannot wait for the next report
        self.namespace = {"__builtins__": vars(sys.modules["builtins"])}
        self.recorder = Recorder(
            program["counters"], program["budget"], self.namespace, program["in_words"]
        )
        self.tampering = ""
        Host.current = self

    def load(self) -> bytes:
        """Run the program's module level; return the report."""
        try:
            exec(marshal.loads(self.program["code"]), self.namespace)
            return self._report(None, None)
        except BaseException:
            return self._report(_describe(*sys.exc_info()), None)

    def call(self, question: bytes) -> bytes:
        """Make one call of the program; return the report."""
        name, args, kwargs, budget = loads(question)
        self.recorder.begin_call(budget)
        try:
            if name not in self.namespace:
                raise NameError(f"name '{name}' is not defined")
            result = check(self.namespace[name], args, kwargs)
            # The arguments go back too: the test may look at what the call did to them.
            return self._report(None, (result, args, kwargs))
        except BaseException:
            return self._report(_describe(*sys.exc_info()), None)

    def _report(self, raised: tuple | None, value: tuple | None) -> bytes:
        """What came of it, with the trace so far, ready to be sent."""
        # Comparing touches every built-in object, hence a page each: only where the
        # program's text mentions the module.
        if self.program["names_builtins"] and self.namespace["__builtins__"] != vars(
            builtins
        ):
            self.tampering = self.tampering or "builtins"
        recorder = self.recorder
        trace = *recorder.hits(), recorder.states(), recorder.words
        return encode((raised, value, *trace, self.tampering))[0]


def _watch(event: str, _details: tuple) -> None:
    """An audit hook: notes that the program itself looks for frames or for objects."""
    host = Host.current
    if event not in _TELLTALE or host is None or host.tampering:
        return
    host.tampering = event  # first, since asking for the frame is an event too
    if sys._getframe(1).f_code.co_filename != FILENAME:
        host.tampering = ""  # a library did, as namedtuple does
        return
    # The program may be about to end the process: tell at once.
    host.notice(dumps(event))


def _describe(kind: type, error: BaseException, trace: object) -> tuple[str, str, int]:
    """(Type, message, line in the program) of an exception, without asking its class.

    The message is given only for built-in exceptions with plain arguments: the `__str__`
    of a program's own exception might never return.
    """
    line = 0
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == FILENAME:
            line = trace.tb_lineno
        trace = trace.tb_next
    name = str(type.__dict__["__name__"].__get__(kind))[:LONGEST_TEXT]
    message = name
    if getattr(builtins, name, None) is kind and _PLAIN_ARGUMENTS.issuperset(
        map(type, error.args)
    ):
        message = str(error)[:LONGEST_TEXT]
    return name, message, line


_WARM_UP = """
def answer(xs):
    total = []
    for x in xs:
        total.append(x)
    if not total:
        raise ValueError("nothing")
    return total
"""


def warm_up() -> None:
    """Serve a small program within this process."""
    ours, theirs = socketpair()
    examiner, channel = Channel(theirs), Channel(ours)
    program = {"code": marshal.dumps(compile(_WARM_UP, FILENAME, "exec"))}
    program |= {"counters": 8, "budget": 100, "names_builtins": False, "in_words": False}
    examiner.send(dumps(program))
    host = Host(loads(channel.receive()), channel.send)
    channel.send(host.load())
    for xs in ([1, 2], []):
        examiner.send(encode(("answer", (xs,), {}, 100))[0])
        channel.send(host.call(channel.receive()))
    Host.current = None
    ours.close()
    theirs.close()


class Loopback:
    """A channel to a program that runs in this very process, for references.

    A reference solution comes with its tests and is trusted as they are: it needs no
    process of its own, and a fork costs more than most references run.
    """

    def __init__(self) -> None:
        self._host: Host | None = None
        self._report = b""

    def send(self, payload: bytes) -> None:
        """Do what the payload asks; the report can then be received."""
        if self._host is None:
            self._host = Host(loads(payload), notice=lambda _: None)
            self._report = self._host.load()
        else:
            self._report = self._host.call(payload)

    def receive(self) -> bytes:
        """The report of what was last sent."""
        return self._report

    def close(self) -> None:
        Host.current = None
