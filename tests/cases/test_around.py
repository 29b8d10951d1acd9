"""A test may set up the world around its program: the same text gets the same verdict."""

from __future__ import annotations

import pytest

from eta_utils.execution import JudgeSettings, judge
from eta_utils.tasks import Task

# By name: the prompt, a right completion, a wrong one, what the test imports and does.
CASES = {
    "captures what is printed": (
        "def f(n):\n",
        "    print('Hello', n)\n    import sys\n    print('!', file=sys.stderr)\n",
        "    print('Hullo', n)\n",
        "import io, contextlib",
        "out, err = io.StringIO(), io.StringIO()\n"
        "    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):\n"
        "        candidate('Ann')\n    assert out.getvalue() == 'Hello Ann\\n'\n"
        "    assert err.getvalue() == '!\\n'",
    ),
    "replaces standard output": (
        "def f():\n",
        "    import sys\n    sys.stdout.write('a')\n    sys.stdout.flush()\n",
        "    pass\n",
        "import io, sys",
        "kept, sys.stdout = sys.stdout, io.StringIO()\n    candidate()\n"
        "    said, sys.stdout = sys.stdout.getvalue(), kept\n    assert said == 'a'",
    ),
    "sets standard input": (
        "def f():\n",
        "    import sys\n    return int(input()) + int(sys.stdin.readline())\n",
        "    return int(input())\n",
        "import io, sys",
        "sys.stdin = io.StringIO('2\\n3\\n4\\n5\\n')\n    assert candidate() == 5\n"
        "    assert candidate() == 9",
    ),
    "replaces input": (
        "def f():\n",
        "    return input('name? ').upper() + input()\n",
        "    return input()\n",
        "from unittest.mock import patch",
        "with patch('builtins.input', side_effect=['bob', 'x']):\n"
        "        assert candidate() == 'BOBx'",
    ),
    "seeds random": (
        "import random\ndef f(n):\n",
        "    return [random.randint(1, 6) for _ in range(n)]\n",
        "    return [random.SystemRandom().random() for _ in range(n)]\n",
        "import random",
        "random.seed(7)\n    first = candidate(5)\n    random.seed(7)\n"
        "    assert candidate(5) == first\n    random.seed(7)\n"
        "    assert first == [random.randint(1, 6) for _ in range(5)]",
    ),
    "writes a file": (
        "def f(path):\n",
        "    with open(path) as file:\n        return sum(1 for _ in file)\n",
        "    return 0\n",
        "import tempfile",
        "with tempfile.NamedTemporaryFile('w', suffix='.txt') as file:\n"
        "        file.write('a\\nb\\n')\n        file.flush()\n"
        "        assert candidate(file.name) == 2",
    ),
    "reads a file that the program writes": (
        "def f(path, text):\n",
        "    with open(path, 'w') as file:\n        file.write(text)\n",
        "    pass\n",
        "import os, tempfile",
        "with tempfile.TemporaryDirectory() as folder:\n"
        "        path = os.path.join(folder, 'out.txt')\n        candidate(path, 'hi')\n"
        "        with open(path) as file:\n            assert file.read() == 'hi'",
    ),
    "writes a file in the working folder": (
        "def f():\n",
        "    with open('data.csv') as file:\n        return file.read()\n",
        "    return ''\n",
        "import os",
        "with open('data.csv', 'w') as file:\n        file.write('1,2')\n"
        "    assert candidate() == '1,2'",
    ),
    "reads a global variable": (
        "count = 0\ndef f():\n",
        "    global count\n    count += 1\n",
        "    count = 1\n",
        "",
        "candidate()\n    candidate()\n    assert count == 2",
    ),
    "looks at a row of a matrix": (
        "def f(m):\n",
        "    for row in m:\n        row[:] = [0] * len(row)\n",
        "    for i in range(len(m)):\n        m[i] = [0] * len(m[i])\n",
        "",
        "row = [1, 2]\n    candidate([row])\n    assert row == [0, 0]",
    ),
    "knows which row comes back": (
        "def f(m):\n",
        "    return max(m)\n",
        "    return list(max(m))\n",
        "",
        "rows = [[1], [2]]\n    assert candidate(rows) is rows[1]",
    ),
    "looks at a deque": (
        "def f(d):\n",
        "    d.rotate(1)\n",
        "    list(d).reverse()\n",
        "from collections import deque",
        "d = deque([1, 2, 3])\n    candidate(d)\n    assert list(d) == [3, 1, 2]",
    ),
    "looks at a number that changed its type": (
        "def f(xs):\n",
        "    xs[0] = float(xs[0])\n",
        "    pass\n",
        "",
        "xs = [1]\n    candidate(xs)\n    assert isinstance(xs[0], float)",
    ),
}


def judged(name, rung):
    prompt, right, wrong, imports, test = CASES[name]
    text = f"{imports}\n\ndef check(candidate):\n    {test}\n"
    task = Task(name, prompt, "f", text, right)
    samples = [{"task_id": name, "completion": body} for body in (right, wrong)]
    return list(judge(samples, {name: task}, JudgeSettings(isolation=rung), cache=False))


@pytest.mark.parametrize("name", CASES)
def test_the_reference_as_a_sample_passes_and_a_wrong_program_fails(name, rung):
    right, wrong = judged(name, rung)
    assert (right.status, right.result) == ("passed", "passed")
    assert wrong.passed is False, wrong.result


def test_arrays_changed_in_place_are_seen():
    pytest.importorskip("numpy")
    test = (
        "import numpy as np\n\ndef check(candidate):\n    a = np.ones(3)\n"
        "    candidate([a, np.ones(2)])\n    assert a.sum() == 0\n"
    )
    body = "    for a in arrays:\n        a[:] = 0\n"
    task = Task("zero", "def f(arrays):\n", "f", test, body)
    [outcome] = judge(
        [{"task_id": "zero", "completion": body}], {"zero": task}, cache=False
    )
    assert outcome.status == "passed", outcome.result


PATCHING = """
import math, os, signal, sys

def check(candidate):
    math.floor = lambda x: 7
    sys.stdin = None
    os.environ["LEFT"] = "1"
    __builtins__["ascii"] = lambda x: 7
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
    signal.alarm(100)
    assert candidate(1) == 2
"""
LOOKING = """
import math, os, signal, sys

def check(candidate):
    assert math.floor(1.5) == 1
    assert sys.stdin is not None
    assert "LEFT" not in os.environ
    assert ascii(1) == "1"
    assert signal.getsignal(signal.SIGALRM) is not signal.SIG_IGN
    assert candidate(1) == 2
"""


def test_what_a_test_patches_does_not_reach_the_next_test(rung):
    body = "    return x + 1\n"
    tasks = {
        name: Task(name, "def f(x):\n", "f", test, body)
        for name, test in (("patching", PATCHING), ("looking", LOOKING))
    }
    samples = [
        {"task_id": name, "completion": body} for name in ("patching", "looking") * 2
    ]
    settings = JudgeSettings(workers=1, isolation=rung)
    outcomes = list(judge(samples, tasks, settings, cache=False))
    assert [outcome.status for outcome in outcomes] == ["passed"] * 4
