"""How far did a program get?  Counting and recording its steps from inside.

>>> from eta_utils.tracing import Recorder, instrument
>>> program = instrument("def f(n):\\n    while n:\\n        n -= 1\\n    return n\\n")
>>> globals_of_program = {}
>>> recorder = Recorder(len(program.lines), budget=1_000, namespace=globals_of_program)
>>> exec(program.code, globals_of_program)
>>> globals_of_program["f"](2)
0
>>> recorder.hits()                      # of lines 1 to 4; whether the budget is used up
([1, 1, 2, 1], False)

A step is the execution of one statement, one item of a comprehension, or one call of a
lambda.  The modules, in the order in which a program meets them:

- `instrumentation`  rewrites a program's syntax tree so that it counts its own steps;
- `recorder`         receives counts and variable states while the program runs;
- `answers`          turns what a call returned into a sequence that can be compared;
- `alignment`        compares states and answers with those of the reference solution;
- `departure`        names the line where a failing program leaves a passing one's states.

Why rewriting and not `sys.settrace`?  It costs half, it counts the same on every version of
Python, and the program cannot switch it off.  Not counted are code inside libraries and
strings given to `exec`.
"""

from importlib import import_module

_FACE = {"Recorder": "recorder", "instrument": "instrumentation"}


def __getattr__(name: str) -> object:
    """Import what this room hands out when it is first asked for (PEP 562).

    A candidate needs the recorder alone, and pays for every module that it loads.
    """
    if name not in _FACE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_FACE[name]}"), name)
