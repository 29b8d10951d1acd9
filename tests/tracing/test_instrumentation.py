"""Instrumented programs do what they did, count what they do, and stop."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from eta_utils.tasks import load_tasks
from eta_utils.tracing.instrumentation import compile_plain, instrument
from eta_utils.tracing.recorder import Recorder


def load(source, budget=10_000):
    """(The program's globals, its recorder, the lines of its statements)."""
    program = instrument(source)
    namespace = {}
    recorder = Recorder(len(program.lines), budget, namespace)
    exec(program.code, namespace)
    return namespace, recorder, program.lines


def hits_by_line(recorder, lines):
    return dict(zip(lines, recorder.hits()[0], strict=True))


def test_each_statement_is_counted_on_its_line():
    source = (
        "def f(n):\n"  # 1
        "    'docstring'\n"
        "    total = 0\n"  # 3
        "    for i in range(n):\n"  # 4
        "        if i % 2:\n"  # 5
        "            continue\n"  # 6
        "        total += i\n"  # 7
        "    return total\n"  # 8
    )
    namespace, recorder, lines = load(source)
    assert namespace["f"](4) == 2
    # i = 0, 1, 2, 3: the test four times, `continue` for 1 and 3, the sum for 0 and 2
    assert hits_by_line(recorder, lines) == {1: 1, 3: 1, 4: 1, 5: 4, 6: 2, 7: 2, 8: 1}


def test_items_of_comprehensions_and_calls_of_lambdas_are_counted():
    namespace, recorder, _ = load(
        "def f(n):\n    return [(lambda: i)() for i in range(n)]\n"
    )
    namespace["f"](5)
    assert recorder.hits()[0] == [1, 1, 5, 5]  # def, return, items, lambdas


@pytest.mark.parametrize(
    "body",
    [
        "while True: pass",
        "for _ in iter(int, 1): pass",
        "[0 for _ in iter(int, 1)]",
        "{0 for _ in iter(int, 1)}",
        "{0: 0 for _ in iter(int, 1)}",
        "sum(0 for _ in iter(int, 1))",
        "[0 for _ in iter(int, 1) if False]",
        "[0 for _ in [1] for _ in iter(int, 1)]",
        "list(map(lambda _: 0, iter(int, 1)))",
        "any(map(f, iter(int, 1)))",
        "(lambda g: g(g))(lambda g: [g for _ in iter(int, 1)])",
        "\n    while True:\n        try:\n            while True: pass\n"
        "        except BaseException: continue",
        "\n    while True:\n        try:\n            raise ValueError\n"
        "        except ValueError: pass\n        finally: continue",
        "\n    while True:\n        with suppress(): f2()",
    ],
)
def test_nothing_written_in_python_escapes_the_budget(body):
    source = (
        "import contextlib\n"
        "def suppress(): return contextlib.suppress(BaseException)\n"
        "def f2():\n    while True: pass\n"
        "def f(_=None):\n"
        f"    if _ is not None: return 0\n    {body}\n"
    )
    namespace, recorder, _ = load(source, budget=2_000)
    # Iterators written in C take the StopIteration for their end, generators turn it into
    # a RuntimeError (PEP 479); either way the program ends and is known to be stopped.
    with contextlib.suppress(StopIteration, RuntimeError):
        namespace["f"]()
    hits, used_up = recorder.hits()
    assert used_up
    assert max(hits) == 1_000


def test_a_program_that_swallows_the_stop_is_still_seen_to_be_stopped():
    source = (
        "def f():\n    try:\n        while True: pass\n    except BaseException:\n"
        "        return 1\n"
    )
    namespace, recorder, _ = load(source, budget=100)
    assert namespace["f"]() == 1
    assert recorder.hits()[1]


def test_a_new_budget_starts_again_and_the_count_goes_on():
    namespace, recorder, _ = load("def f(n):\n    for _ in range(n): pass\n", budget=20)
    recorder.begin_call(budget=20)
    namespace["f"](8)
    recorder.begin_call(budget=20)
    namespace["f"](8)
    assert recorder.hits() == ([1, 2, 16], False)


TRICKY = '''
from __future__ import annotations
"""not a docstring"""
import functools

class Point:
    """With a docstring."""
    __slots__ = ("x", "__hidden")
    count: int = 0

    def __init__(self, x):
        self.x = x
        __local = x
        self.__hidden = __local

    @property
    def hidden(self):
        return self.__hidden

    @functools.cache
    def cached(self): return self.x

def generator(n):
    for i in range(n):
        got = yield i
    else:
        yield "else"
    return "done"

def delegating(n):
    result = yield from generator(n)
    yield result

def closure():
    count = 0
    def up():
        nonlocal count
        count += 1
        return count
    up()
    return up

def everything(xs, *args, key=lambda v: -v, **kwargs):
    global seen
    seen = {x: [y for y in range(x) if y] for x in xs}
    first, *rest = sorted(xs, key=key)
    (a, b), c = (1, 2), [3]
    c[0] += a
    try:
        del rest[100]
    except IndexError as error:
        b = type(error).__name__
    else:
        b = None
    finally:
        a += 1
    match first:
        case 3 if (n := len(rest)) > 1:
            result = ("three", n)
        case _:
            result = None
    with open("/dev/null") as file:
        assert file.read() == ""
    return first, rest, a, b, c, result, seen, kwargs

async def coroutine():
    return [x async for x in aiter_()]

async def aiter_():
    yield 1
'''


def outcome_of(code, namespace):
    exec(code, namespace)
    point = namespace["Point"](3)
    up = namespace["closure"]()
    return (
        point.hidden,
        point.cached(),
        namespace["Point"].__doc__,
        list(namespace["delegating"](2)),
        (up(), up()),
        namespace["everything"]([1, 3, 2], z=1),
        asyncio.run(namespace["coroutine"]()),
    )


def test_all_of_pythons_statements_behave_as_before():
    program = instrument(TRICKY)
    namespace = {"__name__": "tricky"}
    Recorder(len(program.lines), 10_000, namespace)
    plain = outcome_of(compile_plain(TRICKY).code, {"__name__": "tricky"})
    assert outcome_of(program.code, namespace) == plain


def test_every_reference_of_humaneval_can_be_instrumented():
    for task in load_tasks("humaneval").values():
        program = instrument(task.prompt + task.canonical_solution)
        assert program.lines


@pytest.mark.parametrize(
    "source", ["def f(:\n", "x = '\0'", "return 1", "  x = 1", "\ud800"]
)
def test_text_that_is_no_program_raises_as_compile_does(source):
    with pytest.raises((SyntaxError, ValueError)):
        instrument(source)
