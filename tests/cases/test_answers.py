"""Programs may return anything: a test uses it as it would in one process."""

from __future__ import annotations

import textwrap

import pytest

from eta_utils.execution import JudgeSettings, judge
from eta_utils.tasks import Task

NAMEDTUPLE = "from collections import namedtuple\nSpan = namedtuple('Span', 'low high')\n"
LINKED = """
class Node:
    def __init__(self, value=0, next=None):
        self.value = value
        self.next = next

def linked(values):
    node = None
    for value in reversed(values):
        node = Node(value, node)
    return node

"""
COLOURS = "from enum import Enum\nclass Colour(Enum):\n    RED = 1\n    BLUE = 2\n\n"
POINT = (
    "from dataclasses import dataclass\n\n@dataclass\nclass Point:\n    x: int\n"
    "    y: int\n\n"
)

# By name: the prompt, a right completion, a wrong one, the test's statements.
CASES = {
    "a field of a namedtuple": (
        NAMEDTUPLE + "def f(xs):\n",
        "return Span(min(xs), max(xs))",
        "return Span(max(xs), min(xs))",
        "assert candidate([3, 1]).high == 3",
    ),
    "a namedtuple that only the program has": (
        "def f(x):\n",
        "from typing import NamedTuple\nclass Pair(NamedTuple):\n    a: int\n    b: int\n"
        "return Pair(x, x + 1)",
        "return (x, x + 1)",
        "assert candidate(1).b == 2\n    assert candidate(1) == (1, 2)",
    ),
    "a linked list of the prompt's class": (
        LINKED + "def f(xs):\n",
        "return linked(xs[::-1])",
        "return linked(xs)",
        "node = candidate([1, 2])\n    assert (node.value, node.next.value) == (2, 1)\n"
        "    assert node.next.next is None\n    assert isinstance(node, Node)",
    ),
    "a linked list that the test makes": (
        LINKED + "def f(node):\n",
        "return node.value + f(node.next) if node else 0",
        "return node.value",
        "assert candidate(linked([1, 2, 3])) == 6",
    ),
    "a linked list changed in place": (
        LINKED + "def f(node):\n",
        "while node:\n    node.value, node = -node.value, node.next",
        "node.value = -node.value",
        "head = linked([1, 2])\n    candidate(head)\n"
        "    assert (head.value, head.next.value) == (-1, -2)",
    ),
    "a dataclass of the prompt": (
        POINT + "def f(x):\n",
        "return Point(x, 2 * x)",
        "return Point(x, x)",
        "assert candidate(2) == Point(2, 4)\n    assert candidate(1).y == 2",
    ),
    "an enum of the prompt": (
        COLOURS + "def f(hot):\n",
        "return Colour.RED if hot else Colour.BLUE",
        "return Colour.RED",
        "assert candidate(True) is Colour.RED\n    assert candidate(False) == Colour.BLUE",
    ),
    "a class to write": (
        'class f:\n    """A counter."""\n',
        "def __init__(self):\n    self.n = 0\ndef add(self, k):\n    self.n += k\n"
        "def __len__(self):\n    return self.n",
        "def __init__(self):\n    self.n = 0\ndef add(self, k):\n    self.n = k\n"
        "def __len__(self):\n    return self.n",
        "counter = candidate()\n    counter.add(2)\n    counter.add(3)\n"
        "    assert len(counter) == 5\n    assert counter.n == 5",
    ),
    "operators of a class to write": (
        'class f:\n    """A vector."""\n',
        "def __init__(self, *xs):\n    self.xs = xs\n"
        "def __add__(self, other):\n    return f(*map(sum, zip(self.xs, other.xs)))",
        "def __init__(self, *xs):\n    self.xs = xs\ndef __add__(self, other):\n"
        "    return self",
        "assert (candidate(1, 2) + candidate(3, 4)).xs == (4, 6)",
    ),
    "a class as a context": (
        'class f:\n    """A list that is closed."""\n',
        "def __init__(self):\n    self.log = []\ndef __enter__(self):\n"
        "    self.log.append('in')\n    return self\n"
        "def __exit__(self, *_):\n    self.log.append('out')",
        "def __init__(self):\n    self.log = []\ndef __enter__(self):\n    return self\n"
        "def __exit__(self, *_):\n    self.log.append('out')",
        "with candidate() as opened:\n        pass\n    assert opened.log == ['in', 'out']",
    ),
    "a closure": (
        "def f(n):\n",
        "return lambda x: x + n",
        "return lambda x: x - n",
        "assert candidate(2)(3) == 5\n    assert list(map(candidate(1), [1, 2])) == [2, 3]",
    ),
    "views of a dict": (
        "def f(d):\n",
        "return d.keys(), d.values(), d.items()",
        "return {}.keys(), d.values(), d.items()",
        "keys, values, items = candidate({'a': 1})\n    assert keys == {'a'}\n"
        "    assert sorted(values) == [1]\n    assert ('a', 1) in items",
    ),
    "a dict with defaults": (
        "def f(s):\n",
        "from collections import defaultdict\nd = defaultdict(list)\n"
        "for c in s:\n    d[c].append(1)\nreturn d",
        "return dict.fromkeys(s, [1])",
        "assert candidate('a')['z'] == []\n    assert candidate('a') == {'a': [1]}",
    ),
    "classes": (
        "def f(xs):\n",
        "return [type(x) for x in xs]",
        "return [int for x in xs]",
        "assert candidate([1, 'a']) == [int, str]\n    assert candidate([])  == []\n"
        "    assert candidate([1.5])[0] is not int\n    assert float in candidate([1.5])",
    ),
    "a generator without end": (
        "def f():\n",
        "n = 1\nwhile True:\n    yield n\n    n *= 2",
        "n = 1\nwhile True:\n    yield n\n    n += 2",
        "from itertools import islice\n"
        "    assert list(islice(candidate(), 4)) == [1, 2, 4, 8]",
    ),
    "a long generator": (
        "def f(n):\n",
        "yield from range(n)",
        "yield from range(n - 1)",
        "assert sum(1 for _ in candidate(30_000)) == 30_000",
    ),
    "a generator that raises after its items": (
        "def f(n):\n",
        "for i in range(n):\n    yield i\nraise ValueError('over')",
        "for i in range(n):\n    yield i",
        "items = candidate(3)\n    assert [next(items) for _ in range(3)] == [0, 1, 2]\n"
        "    try:\n        next(items)\n        said = None\n"
        "    except ValueError as error:\n        said = str(error)\n"
        "    assert said == 'over'",
    ),
    "a coroutine": (
        "async def f(x):\n",
        "import asyncio\nawait asyncio.sleep(0)\nreturn 2 * x",
        "return x",
        "import asyncio\n    assert asyncio.run(candidate(4)) == 8",
    ),
    "a time with its zone": (
        "def f():\n",
        "from datetime import datetime, timezone as zone\n"
        "return datetime(1970, 1, 1, tzinfo=zone.utc)",
        "from datetime import datetime\nreturn datetime(1970, 1, 1)",
        "from datetime import datetime, timezone\n"
        "    assert candidate() == datetime(1970, 1, 1, tzinfo=timezone.utc)",
    ),
    "a match of a pattern": (
        "def f(text):\n",
        "import re\nreturn re.match(r'(\\w+) (\\w+)', text)",
        "import re\nreturn re.match(r'(\\w+)( )', text)",
        "assert candidate('ab cd').group(2) == 'cd'\n"
        "    assert candidate('ab cd')[1] == 'ab'",
    ),
}


def of(name):
    prompt, right, wrong, test = CASES[name]
    bodies = (f"{textwrap.indent(text, '    ')}\n" for text in (right, wrong))
    return prompt, *bodies, f"def check(candidate):\n    {test}\n"


def judged(name, rung, reference=True):
    """The outcomes of a right and of a wrong program."""
    prompt, right, wrong, test = of(name)
    task = Task(name, prompt, "f", test, right if reference else "")
    samples = [{"task_id": name, "completion": text} for text in (right, wrong)]
    settings = JudgeSettings(workers=1, isolation=rung)
    return list(judge(samples, {name: task}, settings, cache=False))


@pytest.mark.parametrize("name", CASES)
def test_a_right_program_passes_and_a_wrong_one_fails(name, rung):
    right, wrong = judged(name, rung)
    assert (right.status, right.result) == ("passed", "passed")
    assert wrong.passed is False, wrong.result


# Without a reference nothing says that the test may call methods of an answer, nor compute
# with it.
NEEDING = {"a match of a pattern", "operators of a class to write"}
WITHOUT = [name for name in CASES if name not in NEEDING]


@pytest.mark.parametrize("name", WITHOUT)
def test_so_it_is_without_a_reference(name):
    right, wrong = judged(name, "auto", reference=False)
    assert (right.status, right.result) == ("passed", "passed")
    assert wrong.passed is False, wrong.result


# Each would be right for any test if it decided how it compares.
FORGERIES = {
    "compares itself": "def __eq__(self, other):\n            return True",
    "is less than all": "def __lt__(self, other):\n            return True",
    "holds all": "def __contains__(self, item):\n            return True",
    "subtracts itself": "def __sub__(self, other):\n            return 0",
    "subtracts itself from": "def __rsub__(self, other):\n            return 0",
    "answers each method": "def __getattr__(self, _):\n            return lambda *_: True",
}


@pytest.mark.parametrize("reference", ["    return x + 1\n", ""])
@pytest.mark.parametrize("how", FORGERIES)
@pytest.mark.parametrize(
    "test",
    [
        "assert candidate(1) == 2",
        "assert 2 == candidate(1)",
        "assert abs(candidate(1) - 2) < 1e-6",
        "assert candidate(1) < 3",
        "assert 2 in candidate(1)",
        "assert candidate(1).startswith('a')",
        "assert candidate(1).issubset({2})",
    ],
)
def test_an_object_does_not_decide_its_own_verdict(how, test, reference):
    program = f"    class Any:\n        {FORGERIES[how]}\n    return Any()\n"
    task = Task("f", "def f(x):\n", "f", f"def check(candidate):\n    {test}\n", reference)
    [outcome] = judge([{"task_id": "f", "completion": program}], {"f": task}, cache=False)
    assert outcome.passed is False, outcome.result
